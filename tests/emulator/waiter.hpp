// A thread that waits inside an enclave with known registers, for tests that interrupt it.
#pragma once

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {

inline pid_t current_tid() {
    return static_cast<pid_t>(::syscall(SYS_gettid));
}

// Reads wrong when a handler runs on the enclave's FS.
inline thread_local int thread_local_value = 4711;

struct Registers {
    uint64_t general[10];
    uint8_t carry, padding[15];
    uint64_t ymm0[4], ymm1[4], ymm15[4];
};
static_assert(offsetof(Registers, ymm0) == 96);

inline void expect_patterns(const Registers& r) {
    const uint64_t expected[] = {0x0101010101010101, 0x3333333333333333, 0x4444444444444444,
                                 0x2222222222222220, 0x5555555555555555, 0x6666666666666666,
                                 0x7777777777777777, 0x1010101010101010, 0x1212121212121212,
                                 0x1313131313131313};
    for (size_t i = 0; i < std::size(expected); ++i)
        EXPECT_EQ(r.general[i], expected[i]) << i;
    EXPECT_EQ(r.carry, 1);
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(r.ymm0[i], 0x0101010101010101u);
        EXPECT_EQ(r.ymm1[i], 0x0202020202020202u);
        EXPECT_EQ(r.ymm15[i], 0x0303030303030303u);
    }
}

// A thread that waits inside the enclave with known registers.
class Waiter {
 public:
    Waiter(TestEnclave& enclave, size_t tcs) {
        thread_ = std::thread([this, &enclave, tcs] {
            tid_ = current_tid();
            op_ = Op{.code = OpCode::registers,
                     .a = reinterpret_cast<uint64_t>(&ready_),
                     .b = reinterpret_cast<uint64_t>(&go_),
                     .c = reinterpret_cast<uint64_t>(&registers)};
            exited = enclave.enter(op_, tcs).exited();
            tls_after = thread_local_value;
            left = true;
        });
        while (ready_.load() == 0)
            std::this_thread::yield();
    }
    ~Waiter() { finish(); }
    void finish() {
        go_ = 1;
        if (thread_.joinable()) thread_.join();
    }
    pid_t tid() const { return tid_; }

    std::atomic<bool> left{false};
    bool exited = false;
    int tls_after = 0;
    Registers registers{};

 private:
    std::atomic<uint64_t> ready_{0}, go_{0};
    std::atomic<pid_t> tid_{0};
    Op op_;
    std::thread thread_;
};

}  // namespace sgxemu_test
