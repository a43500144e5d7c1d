// Strict mode: what the host gets of an enclave's memory while no thread is inside, and what it
// still gets. A program of its own: the machine is configured once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

sigjmp_buf after_fault;

void on_fault(int) {
    siglongjmp(after_fault, 1);
}

// Whether an ordinary load faults; its value otherwise.
bool load_faults(uint64_t address, uint64_t* value) {
    if (sigsetjmp(after_fault, 1) != 0) return true;
    *value = *reinterpret_cast<volatile uint64_t*>(address);
    return false;
}

constexpr uint64_t secret = 0x5ec2e75ec2e7;

struct Strict : testing::Test {
    Strict() { enclave.write(enclave.data(1), secret); }
    TestEnclave enclave;
};

TEST_F(Strict, APointerReadByTheHostFaults) {
    for (const uint64_t address : {enclave.code(), enclave.data(1), enclave.constant()}) {
        uint64_t value = 0;
        EXPECT_TRUE(load_faults(address, &value)) << value;
    }
    // Nothing is lost: inside it is what it was.
    EXPECT_EQ(enclave.read(enclave.data(1)), secret);
    uint64_t value = 0;
    EXPECT_TRUE(load_faults(enclave.data(1), &value)) << "after an exit again";
}

TEST_F(Strict, SystemCallsGetNothing) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    EXPECT_EQ(::write(pipe_ends[1], reinterpret_cast<const void*>(enclave.data(1)), 8), -1);
    EXPECT_EQ(errno, EFAULT);
    uint64_t copy = 0;
    const iovec to{&copy, sizeof(copy)};
    const iovec from{reinterpret_cast<void*>(enclave.data(1)), sizeof(copy)};
    EXPECT_EQ(process_vm_readv(getpid(), &to, 1, &from, 1, 0), -1);
    EXPECT_EQ(copy, 0u);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

// What strict mode does not stop, as documented: a debugger's way, and the EPC's own file.
TEST_F(Strict, ADebuggersWayStillReads) {
    const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(memory, 0);
    uint64_t copy = 0;
    ASSERT_EQ(pread(memory, &copy, sizeof(copy), static_cast<off_t>(enclave.data(1))), 8);
    EXPECT_EQ(copy, secret);
    close(memory);
    ASSERT_EQ(
        pread(enclave.fd, &copy, sizeof(copy), static_cast<off_t>(enclave.data(1) - enclave.base)),
        8);
    EXPECT_EQ(copy, secret);
}

// After an exception the thread is outside, too; the page operations go on.
TEST_F(Strict, AfterAnExceptionAndWithDriverOperations) {
    Op read{.code = OpCode::read, .a = 0};
    EXPECT_FALSE(enclave.enter(read).exited());
    uint64_t value = 0;
    EXPECT_TRUE(load_faults(enclave.data(1), &value));
    enclave.give_up();
    enclave.commit(enclave.dynamic());
    enclave.write(enclave.dynamic(), 77);
    EXPECT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R), 0);
    Op accept;
    ASSERT_TRUE(
        enclave.eaccept(accept, enclave.dynamic(), SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_PR)
            .exited());
    EXPECT_TRUE(load_faults(enclave.dynamic(), &value));
    EXPECT_EQ(enclave.read(enclave.dynamic()), 77u);
}

}  // namespace
}  // namespace sgxemu_test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    // Before the first enclave (sgxemu.hpp).
    struct sigaction action {};
    action.sa_handler = sgxemu_test::on_fault;
    sigaction(SIGSEGV, &action, nullptr);
    sgxemu::MachineConfig config;
    config.strict = true;
    if (sgxemu::configure(config) != 0) return 1;
    return RUN_ALL_TESTS();
}
