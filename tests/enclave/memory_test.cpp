// Heap and pages, counted by count_pages().

#include <thread>

#include "tests/enclave/fixture.hpp"

namespace sgxdl::test {

class Memory : public EnclaveTest {
 protected:
    size_t in_use() { return count_pages(enclave).in_use; }
};

TEST_F(Memory, HeapGrowsAndShrinksInTheEpc) {
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    enclave.reclaim_now();
    const size_t before = in_use();
    const auto filled = enclave.call<Fill>(uint64_t{32} << 20, uint64_t{1000});
    ASSERT_TRUE(filled && filled.value) << filled.message();
    const size_t full = in_use();
    EXPECT_GE(full - before, (32u << 20) / 4096);
    EXPECT_LE(full - before, (36u << 20) / 4096);  // size classes waste at most a tenth here
    ASSERT_TRUE(enclave.call<Release>());
    enclave.reclaim_now();
    const size_t after = in_use();
    // What stays: one unit of the size class and pages of the heap's table and the page records.
    EXPECT_LE(after - before, 16u + 16 + 4);
    const auto counters = enclave.call<GetCounters>();
    EXPECT_EQ(counters.value.pages_set_aside, 0u);
    // The second time costs nothing new.
    ASSERT_TRUE(enclave.call<Fill>(uint64_t{32} << 20, uint64_t{1000}));
    ASSERT_TRUE(enclave.call<Release>());
    enclave.reclaim_now();
    EXPECT_EQ(in_use(), after);
    const sgxemu::EpcCount count = sgxemu::epc_count(enclave.descriptor());
    EXPECT_EQ(count.pending, 0u);
    EXPECT_EQ(count.trimmed, 0u);
    EXPECT_EQ(count.writable_executable, static_form() ? static_arena_pages : 0u);
}

TEST_F(Memory, LargeBlocksGrowAndShrink) {
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    enclave.reclaim_now();
    const size_t before = in_use();
    const auto filled = enclave.call<Fill>(uint64_t{64} << 20, uint64_t{1} << 20);
    ASSERT_TRUE(filled && filled.value);
    EXPECT_GE(in_use() - before, (64u << 20) / 4096);
    ASSERT_TRUE(enclave.call<Release>());
    enclave.reclaim_now();
    EXPECT_LE(in_use() - before, 16u);  // pages of the table and the records
}

TEST_F(Memory, TrimKeepsWhatIsInUse) {
    ASSERT_TRUE(enclave.call<Fill>(uint64_t{4} << 20, uint64_t{100}));
    enclave.reclaim_now();
    const auto counters = enclave.call<GetCounters>();
    EXPECT_GE(counters.value.heap_live_bytes, 4u << 20);
    EXPECT_GE(counters.value.heap_pages, (4u << 20) / 4096);
    ASSERT_TRUE(enclave.call<Release>());
}

TEST_F(Memory, RandomUseIsConsistent) {
    const auto before = enclave.call<GetCounters>();
    const auto outcome = enclave.call<Churn>(uint64_t{1}, uint64_t{200'000});
    ASSERT_TRUE(outcome) << outcome.message();
    EXPECT_EQ(outcome.value, 0u);
    const auto after = enclave.call<GetCounters>();
    EXPECT_EQ(after.value.heap_live_blocks, before.value.heap_live_blocks);
    EXPECT_EQ(after.value.heap_live_bytes, before.value.heap_live_bytes);
}

// The heap under four threads while a fifth gives pages back.
TEST_F(Memory, ThreadsShareTheHeapWhileItIsTrimmed) {
    ASSERT_TRUE(enclave.call<Empty>());
    std::atomic<int> running{4};
    std::atomic<uint64_t> errors{0};
    std::vector<std::thread> threads;
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        threads.emplace_back([&, seed] {
            for (uint64_t round = 0; round < 5; ++round) {
                const auto outcome = enclave.call<Churn>(seed * 100 + round, uint64_t{20'000});
                errors += outcome ? outcome.value : 1;
            }
            --running;
        });
    }
    uint64_t given = 0;
    while (running != 0) {
        const auto trimmed = enclave.call<TrimHeap>(uint64_t{64}, HeapTrim::everything);
        given += trimmed ? trimmed.value : 0;
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(errors, 0u);
    EXPECT_GT(given, 0u);
    EXPECT_EQ(enclave.call<GetCounters>().value.pages_set_aside, 0u);
}

TEST_F(Memory, ReleasingAnEnclaveGivesAllPagesBack) {
    SGXDL_NEED_EMULATOR(enclave);
    for (int round = 0; round < 5; ++round) {
        host::Enclave other(test_image(), quiet());
        ASSERT_TRUE(other.call<Fill>(uint64_t{8} << 20, uint64_t{4096}));
    }
    ASSERT_TRUE(enclave.call<Empty>());
}

}  // namespace sgxdl::test
