// A machine with little EPC: a page that the OS cannot give is an error, never a hang or a crash.
// An image with static pages has all that it ever gets; there it is the heap that ends.

#include <atomic>

#include "emulator/settings.hpp"
#include "enclave/loader/result.hpp"
#include "tests/enclave/fixture.hpp"
#include "tests/loader/workspace.hpp"
#include "tool/front/pack.hpp"

// host/enter.S
extern "C" int sgxdl_host_enter(uint64_t rdi, uint64_t rsi, uint64_t rdx, unsigned function,
                                sgx_enclave_run* run, vdso_sgx_enter_enclave_t enter);

namespace sgxdl::test {

class SmallEpc : public testing::Test {
 protected:
    static void SetUpTestSuite() {
        sgxemu::MachineConfig config;
        ASSERT_EQ(sgxemu::read_settings(config), nullptr);
        config.epc_pages = static_form() ? 30'000 : 3000;
        config.reclaim = false;  // what is full stays full
        configured = sgxemu::configure(config);
    }
    static inline int configured = -1;
};

TEST_F(SmallEpc, EacceptWithoutAPageBecomesAnError) {
    ASSERT_EQ(configured, 0);
    host::EnclaveOptions options;
    options.housekeeping = false;
    host::Enclave enclave(test_image(), options);
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    const auto small = enclave.call<Commit>(uint64_t{100});
    ASSERT_TRUE(small && small.value) << small.message();
    for (int round = 0; round < 3; ++round) {
        const auto large = enclave.call<Commit>(static_form() ? 25'000u : uint64_t{4000});
        ASSERT_TRUE(large) << large.message();
        EXPECT_FALSE(large.value);
        // What it did get is free again and can be used.
        const auto again = enclave.call<Commit>(uint64_t{100});
        ASSERT_TRUE(again && again.value) << again.message();
    }
    enclave.reclaim_now();
    EXPECT_FALSE(enclave.crash().has_value());
    EXPECT_EQ(enclave.call<GetCounters>().value.pages_set_aside, 0u);
    EXPECT_EQ(sgxemu::epc_count(enclave.descriptor()).pending, 0u);
}

TEST_F(SmallEpc, AnEnclaveThatDoesNotFitIsAnError) {
    host::EnclaveOptions options;
    options.housekeeping = false;
    std::vector<std::unique_ptr<host::Enclave>> several;
    bool refused = false;
    for (int i = 0; i < 8 && !refused; ++i) {
        try {
            several.push_back(std::make_unique<host::Enclave>(test_image(), options));
        } catch (const host::Error& error) {
            refused = true;
            EXPECT_NE(std::string(error.what()).find("ADD_PAGES"), std::string::npos)
                << error.what();
        }
    }
    EXPECT_TRUE(refused);
    EXPECT_GE(several.size(), 1u);
    EXPECT_TRUE(several[0]->call<Empty>());
}

// The OS runs out of pages half-way and does not take back what it gave. What it kept is not used
// again; everything else is.
class KeepsPages : public SmallEpc {
 protected:
    KeepsPages() {
        options.housekeeping = false;
        other = std::make_unique<host::Enclave>(test_image(), options);
        enclave = std::make_unique<host::Enclave>(test_image(), options);
        enclave->serve<RemovePages>([this](uint64_t offset, uint64_t length) {
            sgx_enclave_remove_pages remove = {.offset = offset, .length = length, .count = 0};
            if (keeps.exchange(false)) return int64_t{11};
            const int result =
                sgxemu::ioctl(enclave->descriptor(), SGX_IOC_ENCLAVE_REMOVE_PAGES, &remove);
            return int64_t{result == 0 ? 0 : 5};
        });
    }
    uint64_t set_aside() { return enclave->call<GetCounters>().value.pages_set_aside; }
    host::EnclaveOptions options;
    std::atomic<bool> keeps{false};
    std::unique_ptr<host::Enclave> other, enclave;
    Workspace work;
};

TEST_F(KeepsPages, TheHeapGoesOnElsewhere) {
    SGXDL_NEED_EMULATOR(*enclave);
    ASSERT_TRUE(enclave->call<Empty>());
    keeps = true;
    const auto large = enclave->call<Commit>(uint64_t{4000});
    ASSERT_TRUE(large) << large.message();
    EXPECT_FALSE(large.value);
    ASSERT_GT(set_aside(), 0u);
    const uint64_t fits = enclave->call<GetCounters>().value.heap_pages;
    other.reset();
    enclave->reclaim_now();
    for (int round = 0; round < 3; ++round) {
        const auto more = enclave->call<Commit>(fits + 64);
        ASSERT_TRUE(more) << more.message();
        EXPECT_TRUE(more.value) << fits + 64 << " pages, round " << round;
    }
}

TEST_F(KeepsPages, TheArenaGoesOnElsewhere) {
    SGXDL_NEED_EMULATOR(*enclave);
    ASSERT_TRUE(enclave->call<Empty>());
    const auto module = [&](const char* name, size_t pages) {
        const front::PackOptions pack{"test", name, "1.0", 1,
                                      front::read_secret_key(SGXDL_TEST_KEY)};
        const std::string source = "char ballast[" + std::to_string(pages * 4096) +
                                   "]; int run(int x) { return ballast[x] + x; }";
        return front::pack_objects({work.compile(std::string(name) + ".c", source)}, pack);
    };
    const auto large = module("large", 4000), small = module("small", 64);
    keeps = true;
    EXPECT_EQ(enclave->load_bundle(large).status, static_cast<Status>(Code::page_refused));
    ASSERT_GT(set_aside(), 0u);
    other.reset();
    // The same addresses, were they not set aside.
    const host::OperationReport again = enclave->load_bundle(large);
    EXPECT_EQ(again.status, static_cast<Status>(Code::page_refused)) << again.message();
    const host::OperationReport report = enclave->load_bundle(small);
    ASSERT_TRUE(report) << report.message();
    EXPECT_EQ(
        enclave
            ->call<CallLoaded>(std::string_view("small", 6), std::string_view("run", 4), int32_t{7})
            .value,
        7);
}

// The protocol of exceptions, by hand: with CSSA = 1 only the handler can be entered, it is refused
// when nothing is pending, and it handles each exception once.
TEST_F(SmallEpc, ExceptionsAreHandledOnceAndOnlyWhenPending) {
    constexpr unsigned eenter = 2, eresume = 3, eexit = 4;
    host::EnclaveOptions options;
    options.housekeeping = false;
    host::Enclave enclave(test_image(), options);
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    auto area = std::make_unique<HostArea>();
    CallFrame frame = {};
    frame.id = Commit::id;
    frame.arguments[0] = 4000;  // pages, more than there are
    sgx_enclave_run run = {};
    const auto enter = [&](Entry entry, unsigned function) {
        run = {};
        run.tcs = reinterpret_cast<uint64_t>(enclave.base()) +
                  enclave.tcs_offset(enclave.thread_count() - 1);
        area->exit_reason = 0;
        area->refusal = 0;
        EXPECT_EQ(
            sgxdl_host_enter(static_cast<uint64_t>(entry), reinterpret_cast<uint64_t>(area.get()),
                             reinterpret_cast<uint64_t>(&frame), function, &run,
                             sgxemu::sgxemu_enter_enclave),
            0);
        return run.function == eexit ? static_cast<Exit>(area->exit_reason) : Exit::none;
    };
    Entry entry = Entry::ecall;
    unsigned function = eenter;
    int exceptions = 0;
    for (int rounds = 0; rounds < 10'000; ++rounds) {
        const Exit exit = enter(entry, function);
        function = eenter;
        if (exit == Exit::done) break;
        if (exit == Exit::ocall) {
            area->ocall.result = 11;  // EAGAIN to the removal of pages: they are set aside
            entry = Entry::ocall_return;
            continue;
        }
        ASSERT_EQ(run.function, eresume) << "an exception inside";
        ASSERT_EQ(run.exception_vector, 14);
        ++exceptions;
        EXPECT_EQ(enter(Entry::exception, eenter), Exit::resume);
        // Again, and as if it were a new call: nothing is pending any more.
        EXPECT_EQ(enter(Entry::exception, eenter), Exit::refused);
        EXPECT_EQ(area->refusal, static_cast<uint64_t>(Status::nothing_pending));
        EXPECT_EQ(enter(Entry::ecall, eenter), Exit::refused);
        EXPECT_EQ(area->refusal, static_cast<uint64_t>(Status::nothing_pending));
        EXPECT_EQ(enter(Entry::ocall_return, eenter), Exit::refused);
        function = eresume;
        entry = Entry::ecall;
    }
    EXPECT_EQ(frame.status, 0u);
    EXPECT_EQ(frame.result[0], 0u) << "the allocation failed";
    EXPECT_EQ(exceptions, 1);
    EXPECT_FALSE(enclave.crash().has_value());
    EXPECT_TRUE(enclave.call<Empty>());
}

}  // namespace sgxdl::test
