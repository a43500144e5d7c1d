// Leaving an enclave other than by EEXIT: interrupts, exceptions, re-entry, resumption; several
// threads; and what becomes of the program's own signals.
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "tests/emulator/after_segv.hpp"
#include "tests/emulator/test_enclave.hpp"
#include "tests/emulator/waiter.hpp"

namespace sgxemu_test {

sigjmp_buf after_segv;

namespace {

// --- The program's own handlers, installed before the first enclave
// -------------------------------

std::atomic<int> traps{0}, trap_rip_in_enclave{0};

void on_segv(int, siginfo_t*, void*) {
    siglongjmp(after_segv, 1);
}

void on_trap(int, siginfo_t*, void* context) {
    const auto* uc = static_cast<ucontext_t*>(context);
    const auto rip = static_cast<uint64_t>(uc->uc_mcontext.gregs[REG_RIP]);
    traps += 1;
    trap_rip_in_enclave += sgxemu::is_enclave_address(reinterpret_cast<void*>(rip));
}

class Handlers : public testing::Environment {
 public:
    void SetUp() override {
        struct sigaction action = {};
        action.sa_sigaction = on_segv;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &action, nullptr);
        action.sa_sigaction = on_trap;
        sigaction(SIGTRAP, &action, nullptr);
    }
};
[[maybe_unused]] const auto* const handlers = testing::AddGlobalTestEnvironment(new Handlers);

// --- Interrupts ----------------------------------------------------------------------------------

TEST(Interrupt, PreservesEveryRegister) {
    TestEnclave enclave({.threads = 2});
    Waiter waiter(enclave, 0);
    for (int i = 0; i < 2000; ++i) {
        ASSERT_EQ(sgxemu::interrupt(waiter.tid()), 0);
        if (i % 50 == 0) ::usleep(1000);
    }
    waiter.finish();
    EXPECT_TRUE(waiter.exited);
    EXPECT_EQ(waiter.tls_after, 4711);
    expect_patterns(waiter.registers);
    // It really went through the SSA: the frame holds the waiting loop's state, and no EXITINFO.
    Op read{.code = OpCode::read, .a = enclave.gprsgx(0, 0, SGX_GPRSGX_RDX)};
    ASSERT_TRUE(enclave.enter(read, 1).exited());
    EXPECT_EQ(read.rax, 0x3333333333333333u);
    read.a = enclave.gprsgx(0, 0, SGX_GPRSGX_EXITINFO);
    ASSERT_TRUE(enclave.enter(read, 1).exited());
    EXPECT_EQ(read.rax & 0xffffffff, 0u);
}

TEST(Interrupt, OutsideAnEnclaveDoesNothing) {
    TestEnclave enclave;
    EXPECT_EQ(sgxemu::interrupt(current_tid()), 0);
    EXPECT_EQ(enclave.read(enclave.code()), 0x1122334455667788u);
    EXPECT_EQ(sgxemu::interrupt(0x7ffffff0), -ESRCH);
}

// Interrupts at any instruction, entry and exit included.
TEST(Interrupt, AnywhereInAnEntry) {
    TestEnclave enclave({.threads = 2});
    const pid_t victim = current_tid();
    std::atomic<bool> stop{false};
    std::thread sender([&] {
        // With pauses: without them the victim would do nothing but take interrupts.
        while (!stop) {
            sgxemu::interrupt(victim);
            ::usleep(20);
        }
    });
    for (uint64_t i = 0; i < 3000; ++i) {
        Op write{.code = OpCode::write, .a = enclave.data(1), .b = i};
        ASSERT_TRUE(enclave.enter(write).exited());
        Op read{.code = OpCode::read, .a = enclave.data(1)};
        ASSERT_TRUE(enclave.enter(read).exited());
        ASSERT_EQ(read.rax, i);
        ASSERT_EQ(thread_local_value, 4711);
    }
    stop = true;
    sender.join();
}

TEST(Signals, MaskOfTheProgramIsRestored) {
    TestEnclave enclave;
    sigset_t before, after;
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    enclave.read(enclave.code());
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    EXPECT_EQ(sigismember(&after, SIGUSR2), 1);
    EXPECT_EQ(sigismember(&after, SIGUSR1), 0);
    Op op{.code = OpCode::undefined};
    enclave.enter(op);
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    EXPECT_EQ(sigismember(&after, SIGUSR2), 1);
    EXPECT_EQ(sigismember(&after, SIGUSR1), 0);
    sigemptyset(&before);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Signals, FaultsOfTheProgramReachItsHandler) {
    TestEnclave enclave;
    enclave.read(enclave.code());
    volatile int caught = 0;
    volatile uintptr_t nowhere = 8;
    if (sigsetjmp(after_segv, 1) == 0) {
        *reinterpret_cast<volatile int*>(nowhere) = 1;
    } else {
        caught = 1;
    }
    EXPECT_EQ(caught, 1);
    EXPECT_EQ(enclave.read(enclave.code()), 0x1122334455667788u);
}

// --- Exceptions ----------------------------------------------------------------------------------

struct ExceptionCase {
    const char* name;
    OpCode code;
    unsigned vector;
    bool always_reported;  // in EXITINFO, with or without EXINFO
};

const ExceptionCase exception_cases[] = {
    {"#UD", OpCode::undefined, 6, true},
    {"#DE", OpCode::divide, 0, true},
    {"#GP", OpCode::halt, 13, false},
};

TEST(Exceptions, AreReportedAsByTheVdso) {
    for (const uint32_t miscselect : {0u, unsigned{SGX_MISC_EXINFO}}) {
        TestEnclave enclave({.miscselect = miscselect});
        for (const auto& c : exception_cases) {
            SCOPED_TRACE(c.name);
            Op op{.code = c.code};
            const Entry entry = enclave.enter(op);
            EXPECT_EQ(entry.returned, 0);
            EXPECT_EQ(entry.run.function, unsigned{SGX_ENCLU_ERESUME});
            EXPECT_EQ(entry.run.exception_vector, c.vector);
            EXPECT_EQ(entry.run.exception_error_code, 0);
            EXPECT_EQ(op.done, 0u);
            const uint64_t info = enclave.read(enclave.gprsgx(0, 0, SGX_GPRSGX_EXITINFO));
            const bool reported = c.always_reported || miscselect != 0;
            EXPECT_EQ(info & 0xffffffff, reported ? 0x80000300u | c.vector : 0u);
            enclave.give_up();
        }
    }
}

TEST(Exceptions, PageFaultDetailsOnlyWithExinfo) {
    for (const uint32_t miscselect : {0u, unsigned{SGX_MISC_EXINFO}}) {
        TestEnclave enclave({.miscselect = miscselect});
        Op op{.code = OpCode::write, .a = enclave.dynamic() + 0x123};
        const Entry entry = enclave.enter(op);
        // The host sees the page, not the byte.
        EXPECT_EQ(fault_of(entry), epcm_fault(enclave.dynamic(), on_write));
        EXPECT_EQ(entry.run.exception_addr, enclave.dynamic());
        const uint64_t info = enclave.read(enclave.gprsgx(0, 0, SGX_GPRSGX_EXITINFO));
        EXPECT_EQ(info & 0xffffffff, miscselect != 0 ? 0x8000030eu : 0u);
        if (miscselect != 0) {
            const uint64_t exinfo = enclave.gprsgx(0, 0, 0) - SGX_EXINFO_SIZE;
            EXPECT_EQ(enclave.read(exinfo), enclave.dynamic() + 0x123);
            EXPECT_EQ(enclave.read(exinfo + 8), 0x8007u);
        }
    }
}

TEST(Exceptions, InTheProgramsMemoryAreReportedToo) {
    TestEnclave enclave;
    Op op{.code = OpCode::read, .a = 0x1000};
    EXPECT_EQ(fault_of(enclave.enter(op)), os_fault(0x1000, on_read));
}

// #BP is never fixed up by the vDSO: the program's SIGTRAP handler sees the AEP, and the enclave
// goes on after it.
TEST(Exceptions, BreakpointIsASignalAtTheAep) {
    TestEnclave enclave;
    traps = 0;
    trap_rip_in_enclave = 0;
    Op op{.code = OpCode::breakpoint};
    EXPECT_TRUE(enclave.enter(op).exited());
    EXPECT_EQ(op.rax, 1u);
    EXPECT_EQ(traps, 1);
    EXPECT_EQ(trap_rip_in_enclave, 0);
    const uint64_t info = enclave.read(enclave.gprsgx(0, 0, SGX_GPRSGX_EXITINFO));
    EXPECT_EQ(info & 0xffffffff, 0x80000603u);
}

TEST(Exceptions, HandledAtCssaOneTheEnclaveGoesOn) {
    TestEnclave enclave;
    Op op{.code = OpCode::undefined};
    ASSERT_EQ(enclave.enter(op).run.exception_vector, 6);
    // What the enclave's own handler would do: step over the two bytes of UD2.
    const uint64_t rip_field = enclave.gprsgx(0, 0, SGX_GPRSGX_RIP);
    enclave.write(rip_field, enclave.read(rip_field) + 2);
    EXPECT_TRUE(enclave.enter(op, 0, SGX_ENCLU_ERESUME).exited());
    EXPECT_EQ(op.rax, 1u);
    EXPECT_EQ(op.done, 1u);
    // On its own segment bases.
    EXPECT_EQ(op.registers[0], enclave.at(14) + 0x800);
    EXPECT_EQ(op.registers[1], enclave.at(14) + 0xc00);
}

TEST(Exceptions, SsaFramesRunOut) {
    TestEnclave enclave({.nssa = 2});
    Op first{.code = OpCode::undefined}, second{.code = OpCode::undefined}, third;
    EXPECT_EQ(enclave.enter(first).run.exception_vector, 6);
    EXPECT_EQ(enclave.enter(second).run.exception_vector, 6);
    const Entry refused = enclave.enter(third);
    EXPECT_EQ(fault_of(refused), gp());
    EXPECT_EQ(refused.run.function, unsigned{SGX_ENCLU_EENTER});
    EXPECT_EQ(third.done, 0u);
}

TEST(Exceptions, FramesAreUsedInOrderAndLeftInReverse) {
    TestEnclave enclave({.nssa = 3});
    Op outer{.code = OpCode::undefined}, inner{.code = OpCode::divide};
    ASSERT_EQ(enclave.enter(outer).run.exception_vector, 6);
    ASSERT_EQ(enclave.enter(inner).run.exception_vector, 0);
    EXPECT_EQ(enclave.read(enclave.gprsgx(0, 0, SGX_GPRSGX_EXITINFO)) & 0xff, 6u);
    EXPECT_EQ(enclave.read(enclave.gprsgx(0, 1, SGX_GPRSGX_EXITINFO)) & 0xff, 0u);
    // DIV is two bytes, too.
    for (const size_t frame : {0u, 1u}) {
        const uint64_t field = enclave.gprsgx(0, frame, SGX_GPRSGX_RIP);
        enclave.write(field, enclave.read(field) + 2);
    }
    Op unused;
    EXPECT_TRUE(enclave.enter(unused, 0, SGX_ENCLU_ERESUME).exited());
    EXPECT_EQ(inner.rax, 1u);
    EXPECT_EQ(outer.rax, 0u);
    EXPECT_TRUE(enclave.enter(unused, 0, SGX_ENCLU_ERESUME).exited());
    EXPECT_EQ(outer.rax, 1u);
}

TEST(Exceptions, ResumeWithoutAFrameIsRefused) {
    TestEnclave enclave;
    Op op;
    const Entry entry = enclave.enter(op, 0, SGX_ENCLU_ERESUME);
    EXPECT_EQ(fault_of(entry), gp());
    EXPECT_EQ(entry.run.function, unsigned{SGX_ENCLU_ERESUME});
}

TEST(Exceptions, InaccessibleSsaIsAFaultAtEenter) {
    TestEnclave enclave;
    ASSERT_EQ(sgxemu::mprotect(reinterpret_cast<void*>(enclave.ssa(0, 0)), page, PROT_READ), 0);
    Op op;
    const Entry entry = enclave.enter(op);
    EXPECT_EQ(fault_of(entry), os_fault(enclave.ssa(0, 0), on_write | SGX_PFEC_P));
    EXPECT_EQ(entry.run.function, unsigned{SGX_ENCLU_EENTER});
}

TEST(Exceptions, EnclsAndUnknownLeavesAreRefused) {
    TestEnclave enclave({.nssa = 4});
    for (const uint64_t leaf :
         {uint64_t{SGX_ENCLU_EENTER}, uint64_t{SGX_ENCLU_ERESUME}, uint64_t{8}, uint64_t{0x1000}}) {
        Op op;
        EXPECT_EQ(fault_of(enclave.enclu(op, leaf, enclave.tcs(), 0)), gp()) << leaf;
        enclave.give_up();
    }
}

// --- The vDSO's contract -------------------------------------------------------------------------

TEST(Vdso, RefusesOtherFunctionsAndReservedBytes) {
    TestEnclave enclave;
    Op op;
    EXPECT_EQ(enclave.enter(op, 0, SGX_ENCLU_EEXIT).returned, -EINVAL);
    EXPECT_EQ(enclave.enter(op, 0, SGX_ENCLU_EGETKEY).returned, -EINVAL);
    EXPECT_EQ(op.done, 0u);
}

struct HandlerState {
    TestEnclave* enclave;
    std::vector<unsigned> functions;
    Op nested;
    bool nested_exited = false;
};

// Widens the protection that the enclave met, and lets it go on.
int widen_and_resume(long, long, long, long, long, long, sgx_enclave_run* run) {
    auto* state = reinterpret_cast<HandlerState*>(run->user_data);
    state->functions.push_back(run->function);
    if (run->function == SGX_ENCLU_EEXIT) return 0;
    sgxemu::mprotect(reinterpret_cast<void*>(run->exception_addr), page, PROT_READ | PROT_WRITE);
    return SGX_ENCLU_ERESUME;
}

TEST(Vdso, UserHandlerMayResume) {
    TestEnclave enclave;
    ASSERT_EQ(sgxemu::mprotect(reinterpret_cast<void*>(enclave.data(2)), page, PROT_READ), 0);
    HandlerState state{&enclave, {}, {}};
    Op op{.code = OpCode::write, .a = enclave.data(2), .b = 17};
    const Entry entry =
        enclave.enter_with_handler(op, 0, widen_and_resume, reinterpret_cast<uint64_t>(&state));
    EXPECT_TRUE(entry.exited());
    EXPECT_EQ(state.functions, (std::vector<unsigned>{SGX_ENCLU_ERESUME, SGX_ENCLU_EEXIT}));
    EXPECT_EQ(enclave.read(enclave.data(2)), 17u);
}

// An ocall that calls back in, on another TCS.
int enter_again(long, long, long, long, long, long, sgx_enclave_run* run) {
    auto* state = reinterpret_cast<HandlerState*>(run->user_data);
    state->nested_exited = state->enclave->enter(state->nested, 1).exited();
    return -77;
}

TEST(Vdso, UserHandlerMayEnterAgain) {
    TestEnclave enclave({.threads = 2});
    HandlerState state{&enclave, {}, Op{.code = OpCode::read, .a = enclave.code()}};
    Op op;
    const Entry entry =
        enclave.enter_with_handler(op, 0, enter_again, reinterpret_cast<uint64_t>(&state));
    EXPECT_EQ(entry.returned, -77);
    EXPECT_TRUE(state.nested_exited);
    EXPECT_EQ(state.nested.rax, 0x1122334455667788u);
}

TEST(Vdso, SegmentBasesComeFromTheTcs) {
    TestEnclave enclave;
    Op op{.code = OpCode::bases};
    ASSERT_TRUE(enclave.enter(op).exited());
    EXPECT_EQ(op.registers[0], enclave.at(14) + 0x800);
    EXPECT_EQ(op.registers[1], enclave.at(14) + 0xc00);
    EXPECT_FALSE(op.registers[2] >= enclave.base && op.registers[2] < enclave.at(256));
    EXPECT_EQ(thread_local_value, 4711);
}

// --- Threads -------------------------------------------------------------------------------------

TEST(Threads, BusyTcsIsRefused) {
    TestEnclave enclave({.threads = 2});
    Waiter waiter(enclave, 0);
    Op op;
    EXPECT_EQ(fault_of(enclave.enter(op, 0)), gp());
    EXPECT_TRUE(enclave.enter(op, 1).exited());
    waiter.finish();
    EXPECT_TRUE(enclave.enter(op, 0).exited());
}

TEST(Threads, BusyTcsCannotBeTrimmed) {
    TestEnclave enclave({.threads = 2});
    Waiter waiter(enclave, 0);
    EXPECT_EQ(enclave.modify_type(enclave.tcs(0), SGX_PT_TRIM), -EFAULT);
    EXPECT_EQ(enclave.last_result, uint64_t{SGX_EPC_PAGE_CONFLICT});
    waiter.finish();
    EXPECT_EQ(enclave.modify_type(enclave.tcs(0), SGX_PT_TRIM), 0);
}

TEST(Threads, RunAtOnceUnderInterrupts) {
    constexpr size_t thread_count = 4;
    constexpr uint64_t rounds = 300, increments = 5000;
    TestEnclave enclave({.threads = thread_count});
    std::vector<std::thread> threads;
    std::array<std::atomic<pid_t>, thread_count> tids{};
    std::atomic<size_t> running{thread_count};
    std::atomic<int> failures{0};
    for (size_t t = 0; t < thread_count; ++t) {
        threads.emplace_back([&, t] {
            tids[t] = current_tid();
            for (uint64_t i = 0; i < rounds; ++i) {
                Op op{.code = OpCode::count, .a = enclave.data(1), .b = increments};
                failures += !enclave.enter(op, t).exited();
            }
            tids[t] = 0;
            running -= 1;
        });
    }
    while (running != 0) {
        for (auto& tid : tids) {
            if (const pid_t target = tid) sgxemu::interrupt(target);
        }
        ::usleep(200);
    }
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(failures, 0);
    EXPECT_EQ(enclave.read(enclave.data(1)), thread_count * rounds * increments);
}

// Threads race for the same pages: each is accepted by exactly one.
TEST(Threads, PageIsAcceptedOnce) {
    constexpr size_t thread_count = 3, pages = 100;
    TestEnclave enclave({.threads = thread_count});
    const uint64_t secinfo =
        enclave.put_secinfo(SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_PENDING);
    std::atomic<size_t> accepted{0}, refused{0}, others{0};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < thread_count; ++t) {
        threads.emplace_back([&, t] {
            for (size_t i = 0; i < pages; ++i) {
                Op op;
                const Entry entry =
                    enclave.enclu(op, SGX_ENCLU_EACCEPT, secinfo, enclave.dynamic(i), 0, t);
                if (!entry.exited()) {
                    ++others;
                } else if (op.rax == SGX_SUCCESS) {
                    ++accepted;
                } else if (op.rax == SGX_PAGE_ATTRIBUTES_MISMATCH) {
                    ++refused;
                }
            }
        });
    }
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(accepted, pages);
    EXPECT_EQ(refused, (thread_count - 1) * pages);
    EXPECT_EQ(others, 0u);
}

TEST(Threads, ManyShortLivedOnesReuseTheirSlots) {
    TestEnclave enclave;
    for (int i = 0; i < 200; ++i) {
        std::thread([&] {
            Op op;
            EXPECT_TRUE(enclave.enter(op).exited());
        }).join();
    }
}

// --- Fork ----------------------------------------------------------------------------------------

// What the child finds, as its exit status: 0 when all is as it should be.
int check_in_child(TestEnclave& parents) {
    Op op;
    const Entry entry = parents.enter(op);
    if (entry.exited() || entry.run.exception_vector != 14) return 1;
    if (sgxemu::epc_count(parents.fd).valid != 0) return 2;
    sgx_enclave_init init{};
    if (sgxemu::ioctl(parents.fd, SGX_IOC_ENCLAVE_INIT, &init) != -ENODEV) return 3;
    TestEnclave own;
    if (!own.enter(op).exited()) return 4;
    return testing::Test::HasFailure() ? 5 : 0;
}

TEST(Fork, ChildHasNoEnclaveAndMayMakeItsOwn) {
    TestEnclave enclave;
    enclave.write(enclave.data(1), 5);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(check_in_child(enclave));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(enclave.read(enclave.data(1)), 5u);
}

// --- Without the rewriting of ENCLU --------------------------------------------------------------

TEST(NoRewrite, WorksAndLeavesTheCodeAsItWas) {
    ASSERT_EQ(sgxemu::configure({.rewrite_enclu = false}), 0);
    {
        TestEnclave enclave;
        std::array<uint8_t, page> before{}, after{};
        enclave.copy_out(before.data(), enclave.code(), page);
        enclave.commit(enclave.dynamic());
        enclave.copy_out(after.data(), enclave.code(), page);
        EXPECT_EQ(before, after);
    }
    EXPECT_EQ(sgxemu::configure({}), 0);
}

}  // namespace
}  // namespace sgxemu_test
