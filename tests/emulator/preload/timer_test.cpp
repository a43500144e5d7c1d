// Several threads that enter, accept pages, leave and remove them, each under a timer's signal
// 10,000 times a second.
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/emulator/patterns.hpp"
#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

constexpr uint64_t reg_rw = SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W;
constexpr auto duration = std::chrono::milliseconds(700);
constexpr long interval_ns = 100'000;

thread_local uint64_t ticks = 0;
std::atomic<uint64_t> wrong_tls{0};

void on_tick(int) {
    ticks = ticks + 1;
    wrong_tls += thread_local_value != 4711;
}

// For as long as it exists, the calling thread gets the signal.
class Timer {
 public:
    explicit Timer(int signal) {
        sigevent event{};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event._sigev_un._tid = current_tid();
        EXPECT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer_), 0);
        const itimerspec spec{{0, interval_ns}, {0, interval_ns}};
        EXPECT_EQ(::timer_settime(timer_, 0, &spec, nullptr), 0);
    }
    ~Timer() { ::timer_delete(timer_); }
    Timer(const Timer&) = delete;

 private:
    timer_t timer_{};
};

struct Worker {
    uint64_t rounds = 0, ticks = 0;
    const char* failure = nullptr;
};

// One page's life among patterns, and a count that other threads add to as well.
const char* run_round(TestEnclave& enclave, size_t thread, uint64_t secinfo, uint64_t trim) {
    const uint64_t address = enclave.dynamic(thread);
    const auto leaf = [&](uint64_t info, uint64_t rax) {
        Op op{.code = OpCode::enclu, .a = SGX_ENCLU_EACCEPT, .b = info, .c = address};
        return enclave.enter(op, thread).exited() && op.rax == rax;
    };
    if (!leaf(secinfo, SGX_SUCCESS)) return "EACCEPT";
    if (!leaf(secinfo, SGX_PAGE_ATTRIBUTES_MISMATCH)) return "EACCEPT again";
    Op write{.code = OpCode::write, .a = address, .b = address};
    Op read{.code = OpCode::read, .a = address};
    if (!enclave.enter(write, thread).exited()) return "write";
    if (!enclave.enter(read, thread).exited() || read.rax != address) return "read";
    Op count{.code = OpCode::count, .a = enclave.data(3), .b = 10};
    if (!enclave.enter(count, thread).exited()) return "count";
    sgx_enclave_modify_types types{};
    types.offset = address - enclave.base;
    types.length = page;
    types.page_type = SGX_PT_TRIM;
    int result = 0;
    // The driver lets one thread at a time into its ioctls.
    while ((result = sgxemu::ioctl(enclave.fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &types)) == -EBUSY) {
    }
    if (result != 0) return "MODIFY_TYPES";
    if (!leaf(trim, SGX_SUCCESS)) return "EACCEPT of the trim";
    sgx_enclave_remove_pages pages{};
    pages.offset = types.offset;
    pages.length = page;
    while ((result = sgxemu::ioctl(enclave.fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &pages)) == -EBUSY) {
    }
    return result == 0 ? nullptr : "REMOVE_PAGES";
}

class Ticking : public testing::TestWithParam<sgxemu::EncluEntry> {};

INSTANTIATE_TEST_SUITE_P(Ways, Ticking,
                         testing::Values(sgxemu::EncluEntry::trap, sgxemu::EncluEntry::fast),
                         [](const auto& info) {
                             return info.param == sgxemu::EncluEntry::fast ? "Fast" : "Trap";
                         });

TEST_P(Ticking, ThreadsLoseNothing) {
    constexpr size_t thread_count = 4;
    ASSERT_EQ(sgxemu::configure({.entry = GetParam()}), 0);
    struct sigaction action = {}, before = {};
    action.sa_handler = on_tick;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, &before);
    std::array<Worker, thread_count> workers;
    {
        TestEnclave enclave({.threads = thread_count});
        sgx_secinfo info{}, trim{};
        info.flags = reg_rw | SGX_SECINFO_PENDING;
        trim.flags = SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED;
        enclave.copy_in(enclave.data(), &info, sizeof(info));
        enclave.copy_in(enclave.data() + sizeof(info), &trim, sizeof(trim));
        const auto end = std::chrono::steady_clock::now() + duration;
        std::vector<std::thread> threads;
        for (size_t t = 0; t < thread_count; ++t) {
            threads.emplace_back([&, t] {
                const Timer timer(SIGUSR2);
                Worker& self = workers[t];
                while (self.failure == nullptr && std::chrono::steady_clock::now() < end) {
                    self.failure =
                        run_round(enclave, t, enclave.data(), enclave.data() + sizeof(sgx_secinfo));
                    self.rounds += self.failure == nullptr;
                }
                self.ticks = ticks;
            });
        }
        for (auto& thread : threads)
            thread.join();
        uint64_t rounds = 0;
        for (const Worker& worker : workers) {
            EXPECT_EQ(worker.failure, nullptr) << worker.failure;
            EXPECT_GT(worker.rounds, 10u);
            EXPECT_GT(worker.ticks, 100u);
            rounds += worker.rounds;
        }
        EXPECT_EQ(enclave.read(enclave.data(3)), rounds * 10);
    }
    EXPECT_EQ(wrong_tls, 0u);
    sigaction(SIGUSR2, &before, nullptr);
    EXPECT_EQ(sgxemu::configure({}), 0);
}

}  // namespace
}  // namespace sgxemu_test
