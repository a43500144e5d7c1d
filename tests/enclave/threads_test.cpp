// Several threads inside at once.

#include <thread>

#include "tests/enclave/fixture.hpp"

namespace sgxdl::test {

using Threads = EnclaveTest;

TEST_F(Threads, FirstEcallsOfAllThreadsAtOnce) {
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] { good += enclave.call<Empty>() ? 1 : 0; });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(good, 8);
}

TEST_F(Threads, AreInsideTogether) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] { EXPECT_TRUE(enclave.call<Meet>(uint64_t{4})); });
    }
    for (std::thread& thread : threads)
        thread.join();
}

TEST_F(Threads, RecursiveMutexProtects) {
    constexpr uint64_t each = 20'000;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] { EXPECT_TRUE(enclave.call<Count>(each)); });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(enclave.call<Count>(uint64_t{0}).value, 4 * each);
}

// More threads than slots: the rest wait for their turn.
TEST_F(Threads, MoreThreadsThanSlots) {
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int i = 0; i < 20; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 200; ++round)
                good += enclave.call<Empty>() ? 1 : 0;
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(good, 20 * 200);
}

}  // namespace sgxdl::test
