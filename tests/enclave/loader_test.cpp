// The whole way of a module and of patches: bundle files made by the tool, the host library, the
// loader's ecalls, the loader on EACCEPTCOPY'd pages. The loader itself is tested in tests/loader.

#include <atomic>
#include <thread>

#include "enclave/loader/result.hpp"
#include "tests/enclave/fixture.hpp"

namespace sgxdl::test {

class Loading : public EnclaveTest {
 protected:
    int64_t advance(int32_t n) {
        const auto outcome =
            enclave.call<CallLoaded>(module_name, std::string_view("advance", 8), n);
        EXPECT_TRUE(outcome) << outcome.message();
        return outcome.value;
    }
    sgxemu::EpcCount epc() { return sgxemu::epc_count(enclave.descriptor()); }
    void load() {
        const host::OperationReport report = enclave.load_module(SGXDL_TEST_MODULE);
        ASSERT_TRUE(report) << report.message();
    }
    static constexpr std::string_view module_name{"counter", 8};
};

TEST_F(Loading, AModuleIsLoadedAndCalled) {
    uint32_t slices = 0;
    const host::OperationReport report =
        enclave.load_module(SGXDL_TEST_MODULE, {}, [&](const WireProgress&) { ++slices; });
    ASSERT_TRUE(report) << report.message();
    EXPECT_EQ(report.progress.done, 1u);
    EXPECT_EQ(report.progress.functions, 3u);
    EXPECT_GE(slices, 1u);
    EXPECT_EQ(advance(5), 6);
    const auto info = enclave.info();
    ASSERT_TRUE(info);
    EXPECT_EQ(info.value.modules, 1u);
    EXPECT_EQ(info.value.w_xor_x, static_form() ? 0u : 1u);
    const std::vector<WireModuleInfo> modules = enclave.modules();
    ASSERT_EQ(modules.size(), 1u);
    EXPECT_STREQ(modules[0].name, "counter");
    EXPECT_STREQ(modules[0].version, "1");
    EXPECT_GT(enclave.call<FindSymbol>(module_name, std::string_view("advance", 8)).value, 0u);
}

// With static pages it is the other way round: all of the arena is both, from the start to the end.
TEST_F(Loading, CodePagesAreExecutableAndNeverWritable) {
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    const sgxemu::EpcCount before = epc();
    load();
    EXPECT_EQ(epc().executable > before.executable, !static_form());
    EXPECT_EQ(epc().writable_executable, static_form() ? static_arena_pages : 0u);
    EXPECT_EQ(epc().pending, 0u);
}

TEST_F(Loading, PatchRollbackAndUnloadGivePagesBack) {
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    Pages loaded = {};
    for (int round = 0; round < 20; ++round) {
        load();
        EXPECT_EQ(advance(1), 2);
        const host::OperationReport patch = enclave.apply_patch(SGXDL_TEST_PATCH);
        ASSERT_TRUE(patch) << patch.message();
        EXPECT_GE(patch.progress.changed_functions, 1u);
        EXPECT_GT(patch.activation_us, 0);
        EXPECT_EQ(advance(1), 11);
        const host::OperationReport back = enclave.rollback("counter");
        ASSERT_TRUE(back) << back.message();
        EXPECT_EQ(advance(1), 2);
        const auto calls =
            enclave.call<CallLoaded>(module_name, std::string_view("call_count", 11), 0);
        EXPECT_EQ(calls.value, 3) << "data keeps its content across patches";
        const host::OperationReport gone = enclave.unload("counter", {}, true);
        ASSERT_TRUE(gone) << gone.message();
        enclave.reclaim_now();
        if (round == 1) loaded = count_pages(enclave);
        if (round > 1) {
            EXPECT_EQ(count_pages(enclave).in_use, loaded.in_use) << "round " << round;
            EXPECT_EQ(count_pages(enclave).executable, loaded.executable) << "round " << round;
        }
    }
    EXPECT_EQ(enclave.call<GetCounters>().value.pages_set_aside, 0u);
}

TEST_F(Loading, RefusalsNameTheReason) {
    ASSERT_TRUE(enclave.call<Empty>());
    const host::OperationReport foreign = enclave.load_module(SGXDL_FOREIGN_MODULE);
    EXPECT_EQ(foreign.status, static_cast<Status>(Code::bad_signature)) << foreign.message();
    const host::OperationReport early = enclave.apply_patch(SGXDL_TEST_PATCH);
    EXPECT_FALSE(early);
    const std::vector<uint8_t> nothing(3);
    EXPECT_EQ(enclave.load_bundle(nothing).status, static_cast<Status>(Code::truncated));
    EXPECT_EQ(enclave.rollback("nosuch").status, static_cast<Status>(Code::no_such_module));
    EXPECT_THROW(enclave.load_module("/nonexistent"), host::Error);
    EXPECT_THROW(enclave.load_module(SGXDL_TEST_PATCH), host::Error);
    EXPECT_THROW(enclave.apply_patch(SGXDL_TEST_MODULE), host::Error);
    load();
    EXPECT_EQ(advance(5), 6);
}

// Clients call through the canonical address while patches come and go.
TEST_F(Loading, CallsGoOnAcrossPatches) {
    load();
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> wrong{0}, calls{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < 2; ++i) {
        clients.emplace_back([&] {
            while (!stop) {
                const auto outcome =
                    enclave.call<CallLoaded>(module_name, std::string_view("advance", 8), 1);
                wrong += !outcome || (outcome.value != 2 && outcome.value != 11);
                ++calls;
            }
        });
    }
    for (int round = 0; round < 50; ++round) {
        const host::OperationReport patch = enclave.apply_patch(SGXDL_TEST_PATCH);
        ASSERT_TRUE(patch) << patch.message();
        const host::OperationReport back = enclave.rollback("counter");
        ASSERT_TRUE(back) << back.message();
    }
    stop = true;
    for (std::thread& client : clients)
        client.join();
    EXPECT_EQ(wrong, 0u);
    EXPECT_GT(calls, 100u);
    enclave.reclaim_now();
    const auto info = enclave.info();
    EXPECT_EQ(info.value.generations_live, 1u);
}

// The library's own thread does the tidying up when nobody asks for it.
TEST(Housekeeping, FreesRetiredCodeInTheBackground) {
    host::Enclave enclave(test_image());
    ASSERT_TRUE(enclave.load_module(SGXDL_TEST_MODULE));
    ASSERT_TRUE(enclave.apply_patch(SGXDL_TEST_PATCH));
    ASSERT_TRUE(enclave.rollback("counter"));
    for (int attempt = 0; attempt < 200; ++attempt) {
        const auto info = enclave.info();
        if (info && info.value.generations_live == 1) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << "retired generations are still there after two seconds";
}

}  // namespace sgxdl::test
