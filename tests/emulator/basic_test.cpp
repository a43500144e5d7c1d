// Entering, leaving, reading and writing; what MRENCLAVE is.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

TEST(Basic, EntersAndLeaves) {
    TestEnclave enclave;
    Op op;
    const Entry entry = enclave.enter(op);
    EXPECT_TRUE(entry.exited());
    EXPECT_EQ(op.done, 1u);
}

TEST(Basic, ReadsAndWritesItsData) {
    TestEnclave enclave;
    enclave.write(enclave.data(1, 8), 0x1234);
    EXPECT_EQ(enclave.read(enclave.data(1, 8)), 0x1234u);
    EXPECT_EQ(enclave.read(enclave.code()), 0x1122334455667788u);
}

TEST(Basic, MeasurementIsExact) {
    TestEnclave enclave;
    uint8_t found[32];
    ASSERT_EQ(sgxemu::measurement(enclave.fd, found), 0);
    EXPECT_EQ(std::memcmp(found, enclave.mrenclave.data(), 32), 0);
}

TEST(Basic, CommitsAPageOnEaccept) {
    TestEnclave enclave;
    enclave.commit(enclave.dynamic());
    enclave.write(enclave.dynamic(), 99);
    EXPECT_EQ(enclave.read(enclave.dynamic()), 99u);
}

}  // namespace
}  // namespace sgxemu_test
