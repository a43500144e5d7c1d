// Slots are taken and given back without a lock. thread_of_handler() may run on the enclave's FS:
// this file is compiled without stack protector and without instrumentation.
#include "emulator/thread.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>

namespace sgxemu {

namespace {

constexpr size_t page = 4096;
constexpr size_t slot_size = 256u << 10;
constexpr size_t slot_count = 4096;
constexpr size_t stack_offset = 2 * page;  // record, guard page, stack
static_assert(sizeof(Thread) <= page);

std::atomic<uintptr_t> slots_begin{0};
std::atomic<size_t> slots_used{0};  // one past the highest slot ever taken

pid_t current_tid() {
    return static_cast<pid_t>(::syscall(SYS_gettid));
}

uintptr_t reserve_slots() {
    uintptr_t begin = slots_begin.load(std::memory_order_acquire);
    if (begin != 0) return begin;
    void* p = ::mmap(nullptr, slot_size * slot_count, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return 0;
    const auto made = reinterpret_cast<uintptr_t>(p);
    // Release: pairs with the acquire loads; a loser gives its range back.
    if (slots_begin.compare_exchange_strong(begin, made, std::memory_order_acq_rel)) return made;
    ::munmap(p, slot_size * slot_count);
    return begin;
}

Thread* thread_in_slot(uintptr_t begin, size_t i) {
    return reinterpret_cast<Thread*>(begin + i * slot_size);
}

bool open_slot(uintptr_t slot) {
    constexpr int read_write = PROT_READ | PROT_WRITE;
    return ::mprotect(reinterpret_cast<void*>(slot), page, read_write) == 0 &&
           ::mprotect(reinterpret_cast<void*>(slot + stack_offset), slot_size - stack_offset,
                      read_write) == 0;
}

// Which slots are open (have memory); a bit each, so that free slots can be told without touching.
std::atomic<uint8_t> slot_open[slot_count];

Thread* take_slot(pid_t tid) {
    const uintptr_t begin = reserve_slots();
    if (begin == 0) return nullptr;
    for (size_t i = 0; i < slot_count; ++i) {
        Thread* thread = thread_in_slot(begin, i);
        uint8_t closed = 0;
        if (slot_open[i].compare_exchange_strong(closed, 1)) {
            if (!open_slot(begin + i * slot_size)) return nullptr;
            new (thread) Thread;
            thread->tid.store(tid);
            slot_open[i].store(2);
            size_t used = slots_used.load();
            while (used < i + 1 && !slots_used.compare_exchange_weak(used, i + 1)) {
            }
            return thread;
        }
        if (closed != 2) continue;
        pid_t free = 0;
        if (thread->tid.compare_exchange_strong(free, tid)) return thread;
    }
    return nullptr;
}

bool set_signal_stack(Thread& thread) {
    stack_t stack{};
    stack.ss_sp = reinterpret_cast<uint8_t*>(&thread) + stack_offset;
    stack.ss_size = slot_size - stack_offset;
    return ::sigaltstack(&stack, &thread.previous_stack) == 0;
}

// Gives the slot back when the thread ends.
struct ThreadHolder {
    Thread* thread = nullptr;
    ~ThreadHolder() {
        if (thread == nullptr) return;
        ::sigaltstack(&thread->previous_stack, nullptr);
        thread->tid.store(0);
    }
};

thread_local ThreadHolder holder;

}  // namespace

Thread* current_thread() {
    if (holder.thread != nullptr) return holder.thread;
    Thread* thread = take_slot(current_tid());
    if (thread == nullptr) return nullptr;
    thread->inside = 0;
    if (!set_signal_stack(*thread)) {
        thread->tid.store(0);
        return nullptr;
    }
    holder.thread = thread;
    return thread;
}

Thread* thread_of_handler(const stack_t& stack) {
    const uintptr_t begin = slots_begin.load(std::memory_order_acquire);
    if (begin == 0) return nullptr;
    const auto base = reinterpret_cast<uintptr_t>(stack.ss_sp);
    if (base - begin < slot_size * slot_count)
        return reinterpret_cast<Thread*>(base - stack_offset);
    // The program has put its own signal stack in the place of ours.
    pid_t tid = 0;
    asm volatile("syscall" : "=a"(tid) : "a"(SYS_gettid) : "rcx", "r11", "memory");
    const size_t used = slots_used.load(std::memory_order_acquire);
    for (size_t i = 0; i < used; ++i) {
        if (slot_open[i].load(std::memory_order_acquire) != 2) continue;
        Thread* thread = thread_in_slot(begin, i);
        if (thread->tid.load(std::memory_order_acquire) == tid) return thread;
    }
    return nullptr;
}

SignalMask mask_inside() {
    constexpr auto bit = [](int signal) { return SignalMask{1} << (signal - 1); };
    constexpr SignalMask open = bit(SIGSEGV) | bit(SIGILL) | bit(SIGBUS) | bit(SIGFPE) |
                                bit(SIGTRAP) | bit(SIGSYS) | bit(interrupt_signal);
    return ~open;
}

}  // namespace sgxemu
