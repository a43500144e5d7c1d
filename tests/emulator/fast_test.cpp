// ENCLU by a jump instead of a trap (emulator/fast/): the same results and the same registers, and
// what the enclave sees of its own code.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "tests/emulator/both_entries.hpp"
#include "tests/emulator/patterns.hpp"
#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

class EncluEntry : public BothEntries {};

INSTANTIATE_TEST_SUITE_P(Ways, EncluEntry, both_entries, name_of);

// The enclave's code page as the enclave reads it.
std::array<uint8_t, page> code_of(TestEnclave& enclave) {
    std::array<uint8_t, page> bytes{};
    enclave.copy_out(bytes.data(), enclave.code(), page);
    return bytes;
}

TEST_P(EncluEntry, EncluIsRewrittenInTheEpcAfterItsSecondExecution) {
    TestEnclave enclave;
    const auto first = code_of(enclave);
    for (int i = 0; i < rounds; ++i) {
        Op op;
        ASSERT_TRUE(enclave.enclu(op, SGX_ENCLU_EMODPE, enclave.put_secinfo(reg_rw), enclave.data())
                        .exited());
    }
    const auto then = code_of(enclave);
    size_t halts = 0, jumps = 0, others = 0;
    for (size_t i = 0; i + 3 < page; ++i) {
        if (first[i] != 0x0f || first[i + 1] != 0x01 || first[i + 2] != 0xd7) continue;
        halts += then[i] == 0xf4;
        jumps += then[i] == 0xe9;
        EXPECT_EQ(first[i + 3], then[i + 3]);
    }
    for (size_t i = 0; i < page; ++i)
        others += first[i] != then[i];
    if (is_fast()) {
        EXPECT_GE(jumps, 1u);
    } else {
        EXPECT_EQ(jumps, 0u);
        EXPECT_GE(halts, 1u);
        EXPECT_LE(others, halts);
    }
}

TEST_P(EncluEntry, LeavesChangeOnlyWhatTheyMay) {
    TestEnclave enclave;
    const uint64_t secinfo = enclave.put_secinfo(reg_rw | SGX_SECINFO_PENDING);
    for (int i = 0; i < rounds; ++i) {
        SCOPED_TRACE(i);
        // On an absent page, so that EAUG and the host's page tables are in it.
        check_leaf(enclave, SGX_ENCLU_EACCEPT, secinfo, enclave.dynamic(size_t(i)), SGX_SUCCESS);
        check_leaf(enclave, SGX_ENCLU_EACCEPT, secinfo, enclave.dynamic(size_t(i)),
                   SGX_PAGE_ATTRIBUTES_MISMATCH);
        check_leaf(enclave, SGX_ENCLU_EMODPE, secinfo, enclave.data(1), SGX_ENCLU_EMODPE);
    }
}

// Bits above EAX are not looked at by the instruction.
TEST_P(EncluEntry, UpperHalfOfRaxIsIgnored) {
    TestEnclave enclave;
    const uint64_t secinfo = enclave.put_secinfo(reg_rw);
    for (int i = 0; i < rounds; ++i) {
        constexpr uint64_t leaf = uint64_t{0x87654321} << 32 | SGX_ENCLU_EMODPE;
        check_leaf(enclave, leaf, secinfo, enclave.data(1), leaf);
    }
}

// A fault is raised at the ENCLU, with every register as it was there.
TEST_P(EncluEntry, FaultsOfLeavesLeaveTheStateAlone) {
    TestEnclave enclave;
    for (int i = 0; i < rounds; ++i) {
        Op op;
        const uint64_t unaligned = enclave.data() + 1;
        ASSERT_EQ(fault_of(enclave.enclu(op, SGX_ENCLU_EACCEPT, unaligned, enclave.dynamic())),
                  gp());
        const auto saved = [&](size_t field) { return enclave.read(enclave.gprsgx(0, 0, field)); };
        EXPECT_EQ(saved(SGX_GPRSGX_RAX), uint64_t{SGX_ENCLU_EACCEPT});
        EXPECT_EQ(saved(SGX_GPRSGX_RBX), unaligned);
        EXPECT_EQ(saved(SGX_GPRSGX_RCX), enclave.dynamic());
        // ENCLU's flags were those of -1 + 1.
        EXPECT_EQ(saved(SGX_GPRSGX_RFLAGS) & 0x8d5, 0x55u);
        const uint64_t rip = saved(SGX_GPRSGX_RIP) - enclave.code();
        EXPECT_LT(rip, page);
        enclave.give_up();
    }
}

// A copied or newly writable page has the bytes that the enclave put there.
TEST_P(EncluEntry, CopiedAndWritablePagesHoldTheirOwnBytes) {
    TestEnclave enclave;
    const uint64_t accepted = enclave.data();
    Code<> written;
    written.rbx(accepted).rcx(enclave.data(1)).rax(SGX_ENCLU_EACCEPT).enclu().come_back();
    const auto& code = written.bytes;
    enclave.commit(enclave.dynamic(0));
    enclave.copy_in(enclave.dynamic(0), code.data(), page);
    Op op;
    for (const size_t i : {1u, 2u}) {
        ASSERT_TRUE(
            enclave.eacceptcopy(op, enclave.dynamic(i), enclave.dynamic(i - 1), reg_rx).exited());
        ASSERT_EQ(op.rax, uint64_t{SGX_SUCCESS});
        std::array<uint8_t, page> copied{};
        enclave.copy_out(copied.data(), enclave.dynamic(i), page);
        ASSERT_EQ(copied, code);
        enclave.put_secinfo(reg_rw | SGX_SECINFO_PENDING);
        for (int round = 0; round < rounds; ++round) {
            op = Op{.code = OpCode::call, .a = enclave.dynamic(i)};
            ASSERT_TRUE(enclave.enter(op).exited());
            ASSERT_EQ(op.rax, uint64_t{SGX_PAGE_ATTRIBUTES_MISMATCH});
        }
    }
    std::array<uint8_t, page> bytes{};
    enclave.copy_out(bytes.data(), enclave.dynamic(2), page);
    EXPECT_NE(bytes, code);
    ASSERT_TRUE(enclave.emodpe(op, enclave.dynamic(2), reg_rx | SGX_SECINFO_W).exited());
    enclave.copy_out(bytes.data(), enclave.dynamic(2), page);
    EXPECT_EQ(bytes, code);
    enclave.put_secinfo(reg_rw | SGX_SECINFO_PENDING);
    for (int round = 0; round < rounds; ++round) {
        op = Op{.code = OpCode::call, .a = enclave.dynamic(2)};
        ASSERT_TRUE(enclave.enter(op).exited());
        ASSERT_EQ(op.rax, uint64_t{SGX_PAGE_ATTRIBUTES_MISMATCH});
    }
    enclave.copy_out(bytes.data(), enclave.dynamic(2), page);
    EXPECT_EQ(bytes, code);
}

}  // namespace
}  // namespace sgxemu_test
