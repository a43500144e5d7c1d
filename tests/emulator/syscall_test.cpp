// Instructions that the hardware refuses in enclave mode and the processor underneath does not.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

// A committed page of code: mov $39 (getpid), %eax; the instruction; jmp *%r13.
uint64_t code_with(TestEnclave& enclave, std::array<uint8_t, 2> instruction) {
    auto bytes = code_page(39);
    std::memmove(&bytes[7], &bytes[5], 3);
    std::memcpy(&bytes[5], instruction.data(), instruction.size());
    enclave.copy_in(enclave.data(1), bytes.data(), bytes.size());
    Op op;
    EXPECT_TRUE(enclave
                    .eacceptcopy(op, enclave.dynamic(0), enclave.data(1),
                                 SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_X)
                    .exited());
    EXPECT_EQ(op.rax, 0u);
    return enclave.dynamic(0);
}

constexpr std::array<uint8_t, 2> syscall_instruction = {0x0f, 0x05}, int80 = {0xcd, 0x80};

class Syscall : public testing::Test {
 protected:
    void SetUp() override {
        TestEnclave enclave;
        enclave.read(enclave.code());
        if (!sgxemu::stops_syscalls()) GTEST_SKIP() << "this kernel has no Syscall User Dispatch";
    }
    static void expect_undefined(std::array<uint8_t, 2> instruction) {
        TestEnclave enclave;
        const uint64_t code = code_with(enclave, instruction);
        Op call{.code = OpCode::call, .a = code};
        const Entry entry = enclave.enter(call);
        EXPECT_EQ(fault_of(entry), (Fault{6, 0, 0}));
        // It is reported at the instruction, which has not happened.
        Op read{.code = OpCode::read, .a = enclave.gprsgx(0, 0, SGX_GPRSGX_RIP)};
        ASSERT_TRUE(enclave.enter(read).exited());
        EXPECT_EQ(read.rax, code + 5);
        read.a = enclave.gprsgx(0, 0, 0);
        ASSERT_TRUE(enclave.enter(read).exited());
        EXPECT_EQ(read.rax, 39u);
    }
};

TEST_F(Syscall, IsUndefinedInside) {
    expect_undefined(syscall_instruction);
}

TEST_F(Syscall, Int80IsUndefinedInside) {
    expect_undefined(int80);
}

TEST_F(Syscall, IsUndefinedOnAnotherThreadAndAfterFork) {
    std::thread([] { expect_undefined(syscall_instruction); }).join();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        expect_undefined(syscall_instruction);
        ::_exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace sgxemu_test
