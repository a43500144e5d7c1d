// The hostile operating system: what each misbehaviour does, and what enclave code sees of it.
// Nothing is silent: a page is either what the enclave accepted or inaccessible to it.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

using sgxemu::Misbehaviour;
using sgxemu::Operation;

constexpr uint64_t trimmed = SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED;

class Hostile : public testing::Test {
 protected:
    void TearDown() override {
        sgxemu::behave();
        sgxemu::single_step(0);
    }
    // EACCEPT's answer; faults as all ones.
    uint64_t accept(uint64_t page, uint64_t flags) {
        Op op;
        const Entry entry = enclave.eaccept(op, page, flags);
        if (entry.exited()) return op.rax;
        enclave.give_up();
        return ~uint64_t{0};
    }
    Fault fault_of_read(uint64_t address) {
        Op read{.code = OpCode::read, .a = address};
        const Fault fault = fault_of(enclave.enter(read));
        if (fault.vector != 0) enclave.give_up();
        return fault;
    }
    TestEnclave enclave;
};

TEST_F(Hostile, DroppedTrimIsNoticedByEaccept) {
    enclave.commit(enclave.dynamic());
    sgxemu::misbehave(Operation::modify_types, Misbehaviour::drop);
    EXPECT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
    EXPECT_EQ(enclave.last_count, page);
    EXPECT_EQ(accept(enclave.dynamic(), trimmed), uint64_t{SGX_PAGE_ATTRIBUTES_MISMATCH});
}

TEST_F(Hostile, DroppedRestrictionIsNoticedByEaccept) {
    enclave.commit(enclave.dynamic());
    sgxemu::misbehave(Operation::restrict_permissions, Misbehaviour::drop);
    EXPECT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R), 0);
    EXPECT_EQ(accept(enclave.dynamic(), SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_PR),
              uint64_t{SGX_PAGE_ATTRIBUTES_MISMATCH});
}

TEST_F(Hostile, DroppedRemovalKeepsThePageTrimmed) {
    enclave.commit(enclave.dynamic());
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
    ASSERT_EQ(accept(enclave.dynamic(), trimmed), 0u);
    sgxemu::misbehave(Operation::remove_pages, Misbehaviour::drop);
    EXPECT_EQ(enclave.remove(enclave.dynamic()), 0);
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).trimmed, 1u);
    EXPECT_EQ(fault_of_read(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_read));
}

TEST_F(Hostile, RefusalsAreErrors) {
    enclave.commit(enclave.dynamic());
    for (const auto operation : {Operation::modify_types, Operation::restrict_permissions,
                                 Operation::remove_pages, Operation::eaug}) {
        sgxemu::misbehave(operation, Misbehaviour::refuse);
    }
    EXPECT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), -EFAULT);
    EXPECT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R), -EFAULT);
    EXPECT_EQ(enclave.remove(enclave.dynamic()), -EFAULT);
    EXPECT_EQ(fault_of_read(enclave.dynamic(1)), os_fault(enclave.dynamic(1), on_read));
    sgxemu::behave();
    enclave.commit(enclave.dynamic(1));
}

TEST_F(Hostile, RepeatedOperationsChangeNothingMore) {
    enclave.commit(enclave.dynamic());
    for (const auto operation : {Operation::modify_types, Operation::remove_pages})
        sgxemu::misbehave(operation, Misbehaviour::repeat);
    EXPECT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
    EXPECT_EQ(accept(enclave.dynamic(), trimmed), 0u);
    EXPECT_EQ(enclave.remove(enclave.dynamic()), 0);
    enclave.commit(enclave.dynamic());
    EXPECT_EQ(enclave.read(enclave.dynamic()), 0u);
}

// The content is gone, but not unnoticed: the fresh page is inaccessible until the enclave accepts
// it, which one that keeps a record of its pages does not do twice.
TEST_F(Hostile, SwappedPageIsInaccessible) {
    enclave.commit(enclave.dynamic());
    enclave.write(enclave.dynamic(), 77);
    sgxemu::misbehave(Operation::restrict_permissions, Misbehaviour::swap);
    EXPECT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R | SGX_SECINFO_W), 0);
    EXPECT_EQ(fault_of_read(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_read));
    EXPECT_EQ(
        accept(enclave.dynamic(), SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_PR),
        uint64_t{SGX_PAGE_ATTRIBUTES_MISMATCH});
}

TEST_F(Hostile, FromTheNthOn) {
    sgxemu::misbehave(Operation::eaug, Misbehaviour::refuse, 2);
    enclave.commit(enclave.dynamic(0));
    enclave.commit(enclave.dynamic(1));
    EXPECT_EQ(fault_of_read(enclave.dynamic(2)), os_fault(enclave.dynamic(2), on_read));
}

TEST_F(Hostile, DroppedAddPagesShowsInTheMeasurement) {
    Options options;
    options.expect_refusal = true;
    sgxemu::misbehave(Operation::add_pages, Misbehaviour::drop, 1);
    TestEnclave other(options);
    EXPECT_EQ(other.init_error, -EPERM);
    EXPECT_EQ(sgxemu::einit_result(other.fd), SGX_INVALID_MEASUREMENT);
}

// --- Single steps -------------------------------------------------------------------------------

TEST_F(Hostile, InterruptAfterEveryInstruction) {
    enclave.write(enclave.data(1), 5);
    sgxemu::single_step(1'000'000);
    Op read{.code = OpCode::read, .a = enclave.data(1)};
    ASSERT_TRUE(enclave.enter(read).exited());
    EXPECT_EQ(read.rax, 5u);
    const uint64_t first = sgxemu::steps();
    EXPECT_GT(first, 10u);
    // A loop of three instructions, 100 times.
    uint64_t counter = 0;
    Op count{.code = OpCode::count, .a = reinterpret_cast<uint64_t>(&counter), .b = 100};
    ASSERT_TRUE(enclave.enter(count).exited());
    EXPECT_EQ(counter, 100u);
    EXPECT_GE(sgxemu::steps() - first, 300u);
}

// At each instruction of an entry the thread is left outside; entered at CSSA 1, it runs; resumed,
// it ends as if nothing had been.
TEST_F(Hostile, ReentryAtEveryInstruction) {
    enclave.write(enclave.data(1), 5);
    uint64_t at = 1;
    for (;; ++at) {
        ASSERT_LT(at, 1000u);
        Op write{.code = OpCode::write, .a = enclave.data(1), .b = at};
        sgxemu::single_step(at);
        const Entry first = enclave.enter(write);
        sgxemu::single_step(0);
        if (first.exited()) break;
        ASSERT_EQ(first.run.exception_vector, sgxemu::step_vector);
        Op read{.code = OpCode::read, .a = enclave.data(2)};
        ASSERT_TRUE(enclave.enter(read).exited());
        ASSERT_TRUE(enclave.enter(write, 0, SGX_ENCLU_ERESUME).exited());
        ASSERT_EQ(enclave.read(enclave.data(1)), at);
    }
    EXPECT_GT(at, 10u);
}

}  // namespace
}  // namespace sgxemu_test
