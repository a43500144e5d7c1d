// The witness of what becomes of an enclave's pages: it sees what a careless enclave does.
#include <gtest/gtest.h>

#include "tests/emulator/both_entries.hpp"
#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

class PageWatch : public testing::Test {
 protected:
    PageWatch() { sgxemu::watch_pages(true); }
    ~PageWatch() override { sgxemu::watch_pages(false); }
    static sgxemu::PageAudit audit(const TestEnclave& enclave) {
        return sgxemu::page_audit(enclave.fd);
    }
    static uint64_t call(TestEnclave& enclave, uint64_t address) {
        Op op{.code = OpCode::call, .a = address};
        return enclave.enter(op).exited() ? op.rax : ~uint64_t{0};
    }
};

TEST_F(PageWatch, CountsNothingOfACarefulEnclave) {
    TestEnclave enclave;
    const uint64_t scratch = enclave.dynamic(1), page_of_code = enclave.dynamic(0);
    enclave.commit(scratch);
    enclave.copy_in(scratch, code_page(44).data(), page);
    Op op;
    ASSERT_TRUE(enclave.eacceptcopy(op, page_of_code, scratch, reg_rx).exited());
    ASSERT_EQ(op.rax, 0u);
    EXPECT_EQ(call(enclave, page_of_code), 44u);
    EXPECT_EQ(audit(enclave).accepted, 2u);
    EXPECT_EQ(audit(enclave).accepted_twice, 0u);
    EXPECT_EQ(audit(enclave).executed, 2u) << "its own code, and the page";
    EXPECT_EQ(audit(enclave).executed_uncommitted, 0u);
}

TEST_F(PageWatch, APageAcceptedAgainAfterItsTrimIsAnotherOne) {
    TestEnclave enclave;
    for (int i = 0; i < 2; ++i) {
        enclave.commit(enclave.dynamic());
        ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
        Op op;
        ASSERT_TRUE(enclave.eaccept(op, enclave.dynamic(), SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED)
                        .exited());
        ASSERT_EQ(op.rax, 0u);
        ASSERT_EQ(enclave.remove(enclave.dynamic()), 0);
    }
    EXPECT_EQ(audit(enclave).accepted, 2u);
    EXPECT_EQ(audit(enclave).accepted_twice, 0u);
}

// The system swaps the page behind a restriction, and the enclave takes the fresh one for its own.
TEST_F(PageWatch, CountsAPageThatIsAcceptedTwice) {
    TestEnclave enclave;
    enclave.commit(enclave.dynamic());
    sgxemu::misbehave(sgxemu::Operation::restrict_permissions, sgxemu::Misbehaviour::swap);
    EXPECT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R), 0);
    sgxemu::behave();
    enclave.commit(enclave.dynamic());
    EXPECT_EQ(audit(enclave).accepted_twice, 1u);
}

TEST_F(PageWatch, CountsCodeThatWasWrittenInPlace) {
    TestEnclave enclave;
    const uint64_t page_of_code = enclave.dynamic(0);
    enclave.commit(page_of_code);
    enclave.copy_in(page_of_code, code_page(45).data(), page);
    sgx_secinfo executable{};
    executable.flags = reg_rx | SGX_SECINFO_W;
    enclave.copy_in(enclave.data(2), &executable, sizeof(executable));
    Op op;
    ASSERT_TRUE(enclave.enclu(op, SGX_ENCLU_EMODPE, enclave.data(2), page_of_code).exited());
    EXPECT_EQ(call(enclave, page_of_code), 45u);
    EXPECT_EQ(audit(enclave).executed_uncommitted, 1u);
}

TEST_F(PageWatch, EnclavesCreatedWhenNobodyWatchedHaveNoRecord) {
    sgxemu::watch_pages(false);
    TestEnclave enclave;
    enclave.commit(enclave.dynamic());
    EXPECT_EQ(audit(enclave).accepted, 0u);
    EXPECT_EQ(audit(enclave).executed, 0u);
}

}  // namespace
}  // namespace sgxemu_test
