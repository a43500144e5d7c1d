// Signals of a program under the preload form: one that comes while a thread is inside an enclave
// makes it leave (AEX), and the program's handler runs as on a kernel with SGX: on the program's
// stack, with its FS, with RIP at the AEP; afterwards the enclave is resumed.
#include <gtest/gtest.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "tests/emulator/test_enclave.hpp"
#include "tests/emulator/waiter.hpp"

namespace sgxemu_test {
namespace {

// Installs a handler for one test.
class Handler {
 public:
    using Function = void (*)(int, siginfo_t*, void*);
    Handler(int signal, Function function, int flags = 0) : signal_(signal) {
        struct sigaction action = {};
        action.sa_sigaction = function;
        action.sa_flags = SA_SIGINFO | flags;
        EXPECT_EQ(sigaction(signal, &action, &before_), 0);
    }
    ~Handler() { sigaction(signal_, &before_, nullptr); }
    Handler(const Handler&) = delete;

 private:
    int signal_;
    struct sigaction before_ = {};
};

void send(pid_t tid, int signal) {
    ASSERT_EQ(::syscall(SYS_tgkill, ::getpid(), tid, signal), 0);
}

bool wait_for(const std::atomic<int>& count, int wanted) {
    for (int i = 0; i < 2000 && count < wanted; ++i)
        ::usleep(1000);
    return count >= wanted;
}

struct Seen {
    std::atomic<int> count{0};
    int tls = 0;
    uint64_t rip = 0, rax = 0, rsp = 0, frame = 0;
    int code = 0;
} seen;

void note(int, siginfo_t* info, void* context) {
    const auto& gregs = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    seen.tls = thread_local_value;
    seen.rip = static_cast<uint64_t>(gregs[REG_RIP]);
    seen.rax = static_cast<uint64_t>(gregs[REG_RAX]);
    seen.rsp = static_cast<uint64_t>(gregs[REG_RSP]);
    seen.frame = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    seen.code = info->si_code;
    seen.count += 1;
}

TEST(PreloadSignals, RunAtOnceAndSeeTheProgramsState) {
    TestEnclave enclave;
    seen.count = 0;
    const Handler handler(SIGUSR1, note);
    Waiter waiter(enclave, 0);
    for (int i = 1; i <= 100; ++i) {
        send(waiter.tid(), SIGUSR1);
        ASSERT_TRUE(wait_for(seen.count, i)) << "the thread never leaves by itself";
        ASSERT_EQ(seen.tls, 4711);
        ASSERT_EQ(seen.rax, uint64_t{SGX_ENCLU_ERESUME});
        ASSERT_FALSE(sgxemu::is_enclave_address(reinterpret_cast<void*>(seen.rip)));
        ASSERT_LT(seen.rsp - seen.frame, 8192u) << "not on the program's stack";
        ASSERT_EQ(seen.code, SI_TKILL);
    }
    EXPECT_FALSE(waiter.left);
    waiter.finish();
    EXPECT_TRUE(waiter.exited);
    expect_patterns(waiter.registers);
}

TestEnclave* enclave_of_handler = nullptr;
std::atomic<int> entered{0};

void enter_again(int, siginfo_t*, void*) {
    Op op{.code = OpCode::read, .a = enclave_of_handler->code()};
    // The same TCS, at CSSA 1: the frame of the interrupted state stays what it is.
    if (enclave_of_handler->enter(op, 0).exited()) entered += 1;
}

TEST(PreloadSignals, HandlerMayEnterTheSameThreadAnew) {
    TestEnclave enclave({.threads = 2});
    enclave_of_handler = &enclave;
    entered = 0;
    const Handler handler(SIGUSR2, enter_again);
    Waiter waiter(enclave, 0);
    for (int i = 1; i <= 20; ++i) {
        send(waiter.tid(), SIGUSR2);
        ASSERT_TRUE(wait_for(entered, i));
    }
    waiter.finish();
    EXPECT_TRUE(waiter.exited);
    expect_patterns(waiter.registers);
}

TEST(PreloadSignals, HandlerOutsideMayEnter) {
    TestEnclave enclave;
    enclave.read(enclave.code());
    enclave_of_handler = &enclave;
    entered = 0;
    const Handler handler(SIGUSR2, enter_again, SA_ONSTACK);
    ::raise(SIGUSR2);
    EXPECT_EQ(entered, 1);
}

TEST(PreloadSignals, AlternateStackIsTheProgramsOwn) {
    TestEnclave enclave;
    enclave.read(enclave.code());
    const auto stack = std::make_unique<std::array<uint8_t, 65536>>();
    stack_t mine{}, before{}, found{};
    mine.ss_sp = stack->data();
    mine.ss_size = stack->size();
    ASSERT_EQ(sigaltstack(&mine, &before), 0);
    ASSERT_EQ(sigaltstack(nullptr, &found), 0);
    EXPECT_EQ(found.ss_sp, mine.ss_sp);
    EXPECT_EQ(found.ss_size, mine.ss_size);
    EXPECT_EQ(found.ss_flags, 0);
    seen.count = 0;
    {
        const Handler handler(SIGUSR1, note, SA_ONSTACK);
        ::raise(SIGUSR1);
        EXPECT_LT(seen.frame - reinterpret_cast<uint64_t>(stack->data()), stack->size());
    }
    {
        const Handler handler(SIGUSR1, note);
        ::raise(SIGUSR1);
        EXPECT_GE(seen.frame - reinterpret_cast<uint64_t>(stack->data()), stack->size());
    }
    EXPECT_EQ(seen.count, 2);
    enclave.read(enclave.code());
    mine.ss_flags = SS_DISABLE;
    EXPECT_EQ(sigaltstack(&mine, nullptr), 0);
    mine = {stack->data(), 0, 100};
    EXPECT_EQ(sigaltstack(&mine, nullptr), -1);
    EXPECT_EQ(errno, ENOMEM);
    sigaltstack(&before, nullptr);
}

sigjmp_buf jump;

void jump_out(int, siginfo_t*, void*) {
    siglongjmp(jump, 1);
}

// A handler that does not return: the thread has left the enclave, whose state waits in the SSA.
TEST(PreloadSignals, HandlerMayJumpOut) {
    TestEnclave enclave;
    const Handler handler(SIGUSR1, jump_out);
    const pid_t self = current_tid();
    std::atomic<uint64_t> ready{0}, go{0};
    Registers registers{};
    Op op{.code = OpCode::registers,
          .a = reinterpret_cast<uint64_t>(&ready),
          .b = reinterpret_cast<uint64_t>(&go),
          .c = reinterpret_cast<uint64_t>(&registers)};
    std::thread sender([&] {
        while (ready == 0)
            ::usleep(100);
        send(self, SIGUSR1);
    });
    if (sigsetjmp(jump, 1) == 0) {
        enclave.enter(op);
        ADD_FAILURE() << "came back without the signal";
    }
    sender.join();
    go = 1;
    EXPECT_TRUE(enclave.enter(op, 0, SGX_ENCLU_ERESUME).exited());
    expect_patterns(registers);
}

std::atomic<int> ticks{0};

void tick(int, siginfo_t*, void*) {
    ticks += 1;
}

// 10,000 signals a second at every place of entries, traps and exits.
TEST(PreloadSignals, TimerAtTenKilohertz) {
    TestEnclave enclave;
    ticks = 0;
    const Handler handler(SIGALRM, tick, SA_RESTART);
    const itimerval fast{{0, 100}, {0, 100}}, off{};
    ASSERT_EQ(setitimer(ITIMER_REAL, &fast, nullptr), 0);
    for (uint64_t i = 0; i < 20'000; ++i) {
        Op write{.code = OpCode::write, .a = enclave.data(1), .b = i};
        ASSERT_TRUE(enclave.enter(write).exited());
        Op read{.code = OpCode::read, .a = enclave.data(1)};
        ASSERT_TRUE(enclave.enter(read).exited());
        ASSERT_EQ(read.rax, i);
        ASSERT_EQ(thread_local_value, 4711);
    }
    setitimer(ITIMER_REAL, &off, nullptr);
    EXPECT_GT(ticks, 100);
}

TEST(PreloadSignals, ActionsReadBackAsTheyWereSet) {
    struct sigaction action = {}, found = {}, before = {};
    action.sa_sigaction = note;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaddset(&action.sa_mask, SIGUSR2);
    ASSERT_EQ(sigaction(SIGSEGV, &action, &before), 0);
    ASSERT_EQ(sigaction(SIGSEGV, &before, &found), 0);
    EXPECT_EQ(found.sa_sigaction, note);
    EXPECT_EQ(found.sa_flags, SA_SIGINFO | SA_NODEFER);
    EXPECT_EQ(sigismember(&found.sa_mask, SIGUSR2), 1);
    EXPECT_EQ(sigismember(&found.sa_mask, SIGUSR1), 0);
    EXPECT_EQ(sigaction(SIGKILL, &action, nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(sigaction(33, nullptr, &found), -1);
}

TEST(PreloadSignals, ResetHandAndIgnore) {
    seen.count = 0;
    const Handler handler(SIGURG, note, SA_RESETHAND);
    ::raise(SIGURG);
    ::raise(SIGURG);  // by default nothing happens
    EXPECT_EQ(seen.count, 1);
    EXPECT_NE(::signal(SIGUSR1, SIG_IGN), SIG_ERR);
    ::raise(SIGUSR1);
    EXPECT_EQ(::signal(SIGUSR1, SIG_DFL), SIG_IGN);
}

// The program may believe that it has blocked the fault signals; enclaves work all the same.
TEST(PreloadSignals, BlockedFaultSignals) {
    TestEnclave enclave;
    sigset_t all, before, found;
    sigfillset(&all);
    ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &all, &before), 0);
    ASSERT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &found), 0);
    EXPECT_EQ(sigismember(&found, SIGSEGV), 1);
    EXPECT_EQ(sigismember(&found, SIGUSR1), 1);
    enclave.commit(enclave.dynamic());
    Op op{.code = OpCode::undefined};
    EXPECT_EQ(enclave.enter(op).run.exception_vector, 6u);
    enclave.give_up();
    ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
    ASSERT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &found), 0);
    EXPECT_EQ(sigismember(&found, SIGSEGV), 0);
}

// A signal that the thread has blocked waits, inside as well.
TEST(PreloadSignals, BlockedSignalWaits) {
    TestEnclave enclave;
    seen.count = 0;
    const Handler handler(SIGUSR1, note);
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, &before);
    Waiter waiter(enclave, 0);  // inherits the mask
    send(waiter.tid(), SIGUSR1);
    ::usleep(20'000);
    EXPECT_EQ(seen.count, 0);
    waiter.finish();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The C library's own signals: all threads change their group ids together.
TEST(PreloadSignals, SetxidReachesAThreadInside) {
    TestEnclave enclave;
    Waiter waiter(enclave, 0);
    for (int i = 0; i < 20; ++i)
        ASSERT_EQ(::setgid(::getgid()), 0);
    EXPECT_FALSE(waiter.left);
    waiter.finish();
    EXPECT_TRUE(waiter.exited);
    EXPECT_EQ(waiter.tls_after, 4711);
    expect_patterns(waiter.registers);
}

// What has no handler takes effect while the thread is inside.
TEST(PreloadSignals, DefaultActionEndsAThreadInside) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        TestEnclave enclave;
        uint64_t ready = 0, go = 0;
        Registers registers{};
        Op op{.code = OpCode::registers,
              .a = reinterpret_cast<uint64_t>(&ready),
              .b = reinterpret_cast<uint64_t>(&go),
              .c = reinterpret_cast<uint64_t>(&registers)};
        enclave.enter(op);
        ::_exit(0);
    }
    ::usleep(100'000);
    ASSERT_EQ(::kill(child, SIGTERM), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
}

}  // namespace
}  // namespace sgxemu_test
