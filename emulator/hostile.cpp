// A hostile operating system: everything here is in its power on hardware, too.
#include "emulator/hostile.hpp"

#include <time.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "emulator/hostile_plan.hpp"

namespace sgxemu {

namespace {

constexpr size_t operations = static_cast<size_t>(Operation::count);

struct Order {
    std::atomic<Misbehaviour> what{Misbehaviour::none};
    std::atomic<uint64_t> first{0}, count{0}, seen{0};
};
std::array<Order, operations> orders;

std::atomic<bool> stepping{false};
std::atomic<uint64_t> steps_left{0}, steps_taken{0};

}  // namespace

void misbehave(Operation operation, Misbehaviour what, uint64_t first, uint64_t count) {
    Order& order = orders[static_cast<size_t>(operation)];
    order.first.store(first, std::memory_order_relaxed);
    order.count.store(count, std::memory_order_relaxed);
    order.seen.store(0, std::memory_order_relaxed);
    order.what.store(what, std::memory_order_release);
}

void behave() {
    for (Order& order : orders)
        order.what.store(Misbehaviour::none, std::memory_order_release);
}

Misbehaviour misbehaviour_of(Operation operation) {
    Order& order = orders[static_cast<size_t>(operation)];
    const Misbehaviour what = order.what.load(std::memory_order_acquire);
    if (what == Misbehaviour::none) return what;
    const uint64_t number = order.seen.fetch_add(1, std::memory_order_relaxed);
    const uint64_t first = order.first.load(std::memory_order_relaxed);
    const uint64_t count = order.count.load(std::memory_order_relaxed);
    return number >= first && number - first < count ? what : Misbehaviour::none;
}

uint64_t occurrences(Operation operation) {
    return orders[static_cast<size_t>(operation)].seen.load(std::memory_order_relaxed);
}

std::string misbehave_as(std::string_view text) {
    HostilePlan plan;
    if (std::string error = parse_hostile_plan(text, plan); !error.empty()) return error;
    for (const HostileOrder& order : plan.orders)
        misbehave(order.operation, order.what, order.first, order.count);
    if (plan.steps) single_step(*plan.steps);
    return {};
}

void dawdle() {
    const timespec time{0, 20'000'000};
    ::nanosleep(&time, nullptr);
}

void single_step(uint64_t instructions) {
    steps_left.store(instructions, std::memory_order_relaxed);
    steps_taken.store(0, std::memory_order_relaxed);
    stepping.store(instructions != 0, std::memory_order_release);
}

uint64_t steps() {
    return steps_taken.load(std::memory_order_relaxed);
}

bool is_stepping() {
    return stepping.load(std::memory_order_acquire);
}

void set_step_flag(Thread& thread, ucontext_t& context) {
    constexpr greg_t rflags_tf = 0x100;
    thread.stepped = is_stepping();
    if (thread.stepped) context.uc_mcontext.gregs[REG_EFL] |= rflags_tf;
}

bool step_done() {
    if (!is_stepping()) return false;
    steps_taken.fetch_add(1, std::memory_order_relaxed);
    if (steps_left.fetch_sub(1, std::memory_order_relaxed) > 1) return false;
    stepping.store(false, std::memory_order_release);
    return true;
}

}  // namespace sgxemu
