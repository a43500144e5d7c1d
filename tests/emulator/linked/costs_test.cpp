// The cost model: what is charged for, how often, and that nothing is without it.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

using sgxemu::Charged;

class Costs : public testing::Test {
 protected:
    void TearDown() override { sgxemu::charge_costs(""); }
    // A page's life in one enclave that exists already.
    static void live(TestEnclave& enclave) {
        enclave.commit(enclave.dynamic());
        ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
        Op op;
        ASSERT_TRUE(enclave.eaccept(op, enclave.dynamic(), SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED)
                        .exited());
        ASSERT_EQ(op.rax, 0u);
        ASSERT_EQ(enclave.remove(enclave.dynamic()), 0);
    }
};

TEST_F(Costs, CountsOfAPagesLife) {
    TestEnclave enclave;
    ASSERT_EQ(sgxemu::charge_costs("gemini-lake"), 0);
    EXPECT_STREQ(sgxemu::cost_model(), "gemini-lake");
    Op empty;
    ASSERT_TRUE(enclave.enter(empty).exited());
    EXPECT_EQ(sgxemu::charged(Charged::eenter), 1u);
    EXPECT_EQ(sgxemu::charged(Charged::eexit), 1u);
    EXPECT_EQ(sgxemu::charged(Charged::aex), 0u);
    const uint64_t entries = sgxemu::charged(Charged::eenter);
    live(enclave);
    EXPECT_EQ(sgxemu::charged(Charged::eaug), 1u);
    EXPECT_EQ(sgxemu::charged(Charged::eaccept), 2u);
    EXPECT_EQ(sgxemu::charged(Charged::emodt), 1u);
    EXPECT_EQ(sgxemu::charged(Charged::eremove), 1u);
    EXPECT_EQ(sgxemu::charged(Charged::eacceptcopy), 0u);
    EXPECT_EQ(sgxemu::charged(Charged::eenter) - entries,
              sgxemu::charged(Charged::eexit) - entries);
}

TEST_F(Costs, CountsOfBuildingAndOfAnException) {
    ASSERT_EQ(sgxemu::charge_costs("skylake"), 0);
    TestEnclave enclave;
    EXPECT_EQ(sgxemu::charged(Charged::ecreate), 1u);
    EXPECT_EQ(sgxemu::charged(Charged::einit), 1u);
    const uint64_t added = sgxemu::charged(Charged::eadd);
    EXPECT_EQ(added, sgxemu::epc_count(enclave.fd).valid - 1) << "all but the SECS";
    EXPECT_EQ(sgxemu::charged(Charged::eextend), 16 * added);
    Op read{.code = OpCode::read, .a = 0};
    EXPECT_FALSE(enclave.enter(read).exited());
    EXPECT_EQ(sgxemu::charged(Charged::aex), 1u);
    enclave.give_up();
    EXPECT_EQ(sgxemu::charged(Charged::eresume), 1u);
}

TEST_F(Costs, NothingIsChargedWithoutAModel) {
    ASSERT_EQ(sgxemu::charge_costs(""), 0);
    EXPECT_EQ(sgxemu::cost_model(), nullptr);
    TestEnclave enclave;
    live(enclave);
    for (unsigned i = 0; i < static_cast<unsigned>(Charged::count); ++i)
        EXPECT_EQ(sgxemu::charged(static_cast<Charged>(i)), 0u) << i;
}

TEST_F(Costs, UnknownTablesAreRefused) {
    EXPECT_EQ(sgxemu::charge_costs("nosuch"), -ENOENT);
}

// Every row says where its figure comes from, and none is charged that the table does not explain.
TEST_F(Costs, EveryRowHasASourceOrSaysWhatStandsInForIt) {
    size_t tables = 0;
    for (; sgxemu::cost_record(tables, 0).name != nullptr; ++tables) {
        size_t quoted = 0;
        for (size_t row = 0;; ++row) {
            const sgxemu::CostRecord record = sgxemu::cost_record(tables, row);
            if (record.what == Charged::count) break;
            EXPECT_GT(strlen(record.source), 20u);
            EXPECT_GT(strlen(record.machine), 5u);
            EXPECT_GT(record.ghz, 0.5);
            EXPECT_GT(strlen(record.note), 2u);
            quoted += record.quoted;
        }
        EXPECT_GT(quoted, 0u);
    }
    EXPECT_EQ(tables, 2u);
}

}  // namespace
}  // namespace sgxemu_test
