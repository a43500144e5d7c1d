// Nothing is left of an enclave that is gone: descriptors, mappings, memory, EPC.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

// A sanitizer keeps what is freed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool counts_memory = false;
#else
constexpr bool counts_memory = true;
#endif

struct Resources {
    size_t descriptors = 0;
    size_t mappings = 0;
    size_t resident_pages = 0;
    size_t reserved_pages = 0;
};

Resources resources() {
    Resources r;
    const std::filesystem::directory_iterator list("/proc/self/fd");
    r.descriptors = static_cast<size_t>(std::distance(begin(list), end(list)));
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
        ++r.mappings;
    std::ifstream("/proc/self/statm") >> r.reserved_pages >> r.resident_pages;
    return r;
}

// Built, entered until its ENCLUs are jumps, given more pages, some of them trimmed, ended.
void live_and_die() {
    TestEnclave enclave({.threads = 2});
    for (uint64_t i = 0; i < 5; ++i) {
        enclave.write(enclave.data(1), i);
        enclave.commit(enclave.dynamic(i));
    }
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(0), SGX_PT_TRIM, 2), 0);
    // An exception that nobody went on from.
    Op op{.code = OpCode::undefined};
    ASSERT_EQ(enclave.enter(op, 1).run.exception_vector, 6);
}

TEST(Leaks, NothingOfAThousandEnclavesIsLeft) {
    for (int i = 0; i < 20; ++i)
        live_and_die();  // what is made once
    const Resources before = resources();
    for (int i = 0; i < 1000 && !HasFatalFailure(); ++i)
        live_and_die();
    const Resources after = resources();
    EXPECT_EQ(after.descriptors, before.descriptors);
    if (!counts_memory) return;
    EXPECT_LE(after.mappings, before.mappings + 2);  // the heap's own
    // An enclave's smallest trace of a page each would be 1,000.
    EXPECT_LE(after.resident_pages, before.resident_pages + 250);
    EXPECT_LE(after.reserved_pages, before.reserved_pages + 500);
}

// All of the EPC is there again: otherwise these would not find room.
TEST(Leaks, TheEpcIsGivenBack) {
    constexpr size_t epc_pages = 256;
    ASSERT_EQ(sgxemu::configure({.epc_pages = epc_pages, .reclaim = false}), 0);
    for (int i = 0; i < 20 && !HasFatalFailure(); ++i)
        live_and_die();
    EXPECT_EQ(sgxemu::configure({}), 0);
}

}  // namespace
}  // namespace sgxemu_test
