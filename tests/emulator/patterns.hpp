// An ENCLU among registers that all hold patterns, which it must leave alone.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "tests/emulator/test_enclave.hpp"
#include "tests/emulator/waiter.hpp"

namespace sgxemu_test {

// True when the leaf leaves `rax` behind, and otherwise only changes the flags that it may: all but
// EMODPE clear CF, which was set.
inline bool leaf_keeps_registers(TestEnclave& enclave, uint64_t leaf, uint64_t rbx, uint64_t rcx,
                                 uint64_t rax, Registers& found) {
    Op op{.code = OpCode::enclu_registers,
          .a = leaf,
          .b = rbx,
          .c = rcx,
          .d = reinterpret_cast<uint64_t>(&found)};
    if (!enclave.enter(op).exited()) return false;
    uint64_t rcx_after = 0;
    std::memcpy(&rcx_after, found.padding + 7, sizeof(rcx_after));
    const bool right = found.general[0] == rax && found.general[2] == rbx && rcx_after == rcx &&
                       found.carry == ((leaf & 0xff) == SGX_ENCLU_EMODPE);
    // The rest is as a waiting thread's.
    found.general[0] = 0x0101010101010101;
    found.general[2] = 0x4444444444444444;
    found.carry = 1;
    return right;
}

inline void check_leaf(TestEnclave& enclave, uint64_t leaf, uint64_t rbx, uint64_t rcx,
                       uint64_t rax) {
    Registers found{};
    EXPECT_TRUE(leaf_keeps_registers(enclave, leaf, rbx, rcx, rax, found));
    expect_patterns(found);
}

}  // namespace sgxemu_test
