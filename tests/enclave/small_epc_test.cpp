// A machine with little EPC: a page that the OS cannot give is an error, never a hang or a crash.

#include "tests/enclave/fixture.hpp"

namespace sgxdl::test {

class SmallEpc : public testing::Test {
 protected:
    static void SetUpTestSuite() {
        sgxemu::MachineConfig config;
        config.epc_pages = 3000;
        configured = sgxemu::configure(config);
    }
    static inline int configured = -1;
};

TEST_F(SmallEpc, EacceptWithoutAPageBecomesAnError) {
    ASSERT_EQ(configured, 0);
    host::EnclaveOptions options;
    options.housekeeping = false;
    host::Enclave enclave(SGXDL_TEST_IMAGE, options);
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    const auto small = enclave.call<Commit>(uint64_t{100});
    ASSERT_TRUE(small && small.value) << small.message();
    for (int round = 0; round < 3; ++round) {
        const auto large = enclave.call<Commit>(uint64_t{4000});
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
            several.push_back(std::make_unique<host::Enclave>(SGXDL_TEST_IMAGE, options));
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

}  // namespace sgxdl::test
