// Many enclaves, at the same time and one after the other: nothing is left of those that are gone.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

// What a leak would show in.
struct Usage {
    size_t descriptors = 0, mappings = 0, resident_kib = 0;
};

Usage usage() {
    Usage u;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++u.descriptors;
    std::ifstream maps("/proc/self/maps"), status("/proc/self/status");
    for (std::string line; std::getline(maps, line);)
        ++u.mappings;
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmRSS:", 0) == 0) u.resident_kib = std::stoul(line.substr(6));
    }
    return u;
}

// Ten times slower under AddressSanitizer, which finds a leak in any number.
#ifdef __SANITIZE_ADDRESS__
constexpr int enclaves_in_a_row = 100;
#else
constexpr int enclaves_in_a_row = 1000;
#endif

void live_and_die() {
    TestEnclave enclave;
    enclave.commit(enclave.dynamic());
    enclave.write(enclave.dynamic(), 1);
    ASSERT_EQ(enclave.read(enclave.dynamic()), 1u);
}

TEST(Many, ThousandEnclavesLeaveNothing) {
    for (int i = 0; i < 50; ++i)
        live_and_die();  // whatever is made once is made
    const Usage before = usage();
    for (int i = 0; i < enclaves_in_a_row; ++i)
        live_and_die();
    const Usage after = usage();
    EXPECT_EQ(after.descriptors, before.descriptors);
    EXPECT_LE(after.mappings, before.mappings + 4);
    // AddressSanitizer keeps freed memory for a while; its leak check stands in for this.
#ifndef __SANITIZE_ADDRESS__
    EXPECT_LE(after.resident_kib, before.resident_kib + 2048);
#endif
    // And all of the EPC is free again.
    EXPECT_EQ(sgxemu::configure({}), 0);
}

TEST(Many, HundredAtTheSameTime) {
    std::vector<std::unique_ptr<TestEnclave>> enclaves;
    for (uint64_t i = 0; i < 100; ++i) {
        enclaves.push_back(std::make_unique<TestEnclave>());
        enclaves.back()->write(enclaves.back()->data(1), i);
    }
    for (uint64_t i = 0; i < enclaves.size(); ++i)
        EXPECT_EQ(enclaves[i]->read(enclaves[i]->data(1)), i);
}

}  // namespace
}  // namespace sgxemu_test
