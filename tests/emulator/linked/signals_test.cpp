// Signals of a program that has the emulator linked in: its handlers are installed past the
// emulator, so they wait while the thread is inside.
#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>

#include "tests/emulator/test_enclave.hpp"
#include "tests/emulator/waiter.hpp"

namespace sgxemu_test {
namespace {

std::atomic<int> user_signals{0}, handler_saw_tls{0};

void on_user_signal(int) {
    handler_saw_tls = thread_local_value;
    user_signals += 1;
}

TEST(Signals, OfTheProgramWaitUntilTheThreadHasLeft) {
    TestEnclave enclave;
    user_signals = 0;
    handler_saw_tls = 0;
    struct sigaction action = {}, before = {};
    action.sa_handler = on_user_signal;
    sigaction(SIGUSR1, &action, &before);
    Waiter waiter(enclave, 0);
    ASSERT_EQ(::syscall(SYS_tgkill, ::getpid(), waiter.tid(), SIGUSR1), 0);
    ::usleep(20'000);
    EXPECT_EQ(user_signals, 0);
    waiter.finish();
    EXPECT_EQ(user_signals, 1);
    EXPECT_EQ(handler_saw_tls, 4711);
    expect_patterns(waiter.registers);
    sigaction(SIGUSR1, &before, nullptr);
}

// A handler on the signal stack cannot enter: it is told so, and nothing breaks.
TestEnclave* enclave_of_handler;
std::atomic<unsigned> vector_in_handler{0};

TEST(Signals, HandlerOnTheSignalStackCannotEnter) {
    TestEnclave enclave;
    enclave.read(enclave.code());  // makes the stack
    enclave_of_handler = &enclave;
    struct sigaction action = {}, before = {};
    action.sa_handler = [](int) {
        Op op;
        vector_in_handler = enclave_of_handler->enter(op).run.exception_vector;
    };
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, &before);
    ::raise(SIGUSR2);
    EXPECT_EQ(vector_in_handler, 13u);
    // On the thread's own stack it may.
    action.sa_flags = 0;
    sigaction(SIGUSR2, &action, nullptr);
    vector_in_handler = 99;
    ::raise(SIGUSR2);
    EXPECT_EQ(vector_in_handler, 0u);
    sigaction(SIGUSR2, &before, nullptr);
    EXPECT_EQ(enclave.read(enclave.code()), 0x1122334455667788u);
}

TEST(Descriptors, OfOtherFilesAreNotTheEmulators) {
    EXPECT_EQ(sgxemu::ioctl(STDIN_FILENO, SGX_IOC_ENCLAVE_CREATE, nullptr), -EBADF);
    EXPECT_EQ(sgxemu::close(STDIN_FILENO), -EBADF);
}

}  // namespace
}  // namespace sgxemu_test
