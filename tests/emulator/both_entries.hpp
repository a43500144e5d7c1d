// A test by trap and by jump (MachineConfig::entry), and code with ENCLUs made for it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <initializer_list>
#include <string>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {

inline constexpr uint64_t reg_rw = SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W;
inline constexpr uint64_t reg_rx = SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_X;
// The first execution traps as #UD, the second as HLT, the third jumps.
inline constexpr int rounds = 5;

class BothEntries : public testing::TestWithParam<sgxemu::EncluEntry> {
 protected:
    void SetUp() override { ASSERT_EQ(sgxemu::configure({.entry = GetParam()}), 0); }
    void TearDown() override { ASSERT_EQ(sgxemu::configure({}), 0); }
    static bool is_fast() { return GetParam() == sgxemu::EncluEntry::fast; }
};

inline std::string name_of(const testing::TestParamInfo<sgxemu::EncluEntry>& info) {
    return info.param == sgxemu::EncluEntry::fast ? "Fast" : "Trap";
}

inline const auto both_entries =
    testing::Values(sgxemu::EncluEntry::trap, sgxemu::EncluEntry::fast);

// Pages of code as they are written at run time.
template <size_t size = page>
class Code {
 public:
    size_t at = 0;
    std::array<uint8_t, size> bytes{};

    Code& put(std::initializer_list<uint8_t> code) {
        for (const uint8_t byte : code)
            bytes[at++] = byte;
        return *this;
    }
    template <class T>
    Code& put_value(const T& value) {
        std::memcpy(&bytes[at], &value, sizeof(value));
        at += sizeof(value);
        return *this;
    }
    Code& rax(uint32_t value) { return put({0xb8}).put_value(value); }
    Code& rbx(uint64_t value) { return put({0x48, 0xbb}).put_value(value); }
    Code& rcx(uint64_t value) { return put({0x48, 0xb9}).put_value(value); }
    Code& enclu() { return put({0x0f, 0x01, 0xd7}); }
    // Back to the test enclave's code, with the answer in RAX.
    Code& come_back() { return put({0x41, 0xff, 0xe5}); }
};

}  // namespace sgxemu_test
