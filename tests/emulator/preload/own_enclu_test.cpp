// A runtime that executes ENCLU itself, not through the vDSO: it gets exceptions as signals, and
// they are those that the kernel makes of them (arch/x86/kernel/traps.c, arch/x86/mm/fault.c),
// whatever trapped here.
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <array>

#include "tests/emulator/test_enclave.hpp"

// ENCLU with this leaf and TCS; the AEP is an ENCLU, too, by itself an ERESUME.
extern "C" void own_enclu(uint64_t leaf, uint64_t tcs, void* op);
extern "C" const uint8_t own_enclu_site[];
extern "C" const uint8_t own_enclu_aep[];
asm(R"(
    .text
    .globl own_enclu, own_enclu_site, own_enclu_aep
own_enclu:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rdi, %rax
    mov %rsi, %rbx
    mov %rdx, %rdi
    lea own_enclu_aep(%rip), %rcx
own_enclu_site:
    .byte 0x0f, 0x01, 0xd7
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
own_enclu_aep:
    .byte 0x0f, 0x01, 0xd7
    ud2
)");

namespace sgxemu_test {
namespace {

struct Caught {
    int signal = 0, code = 0;
    uint64_t address = 0, rip = 0, vector = 0, error_code = 0;
    bool operator==(const Caught&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Caught& c) {
    return out << std::hex << "signal " << c.signal << " code " << c.code << " address "
               << c.address << " rip " << c.rip << " vector " << c.vector << " error code "
               << c.error_code;
}

Caught caught;
sigjmp_buf jump_out;

void catch_it(int signal, siginfo_t* info, void* context) {
    const auto& gregs = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto reg = [&](int index) { return static_cast<uint64_t>(gregs[index]); };
    caught = {signal,       info->si_code,   reinterpret_cast<uint64_t>(info->si_addr),
              reg(REG_RIP), reg(REG_TRAPNO), reg(REG_ERR)};
    siglongjmp(jump_out, 1);
}

constexpr std::array signals = {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP};

class OwnEnclu : public ::testing::Test {
 protected:
    void SetUp() override {
        struct sigaction action {};
        action.sa_sigaction = catch_it;
        action.sa_flags = SA_SIGINFO;
        for (size_t i = 0; i < signals.size(); ++i)
            ASSERT_EQ(sigaction(signals[i], &action, &before_[i]), 0);
    }
    void TearDown() override {
        for (size_t i = 0; i < signals.size(); ++i)
            sigaction(signals[i], &before_[i], nullptr);
    }

    // The signal that this entry ends with.
    static Caught enter(uint64_t tcs, void* op = nullptr, uint64_t leaf = SGX_ENCLU_EENTER) {
        caught = {};
        if (sigsetjmp(jump_out, 1) == 0) own_enclu(leaf, tcs, op);
        return caught;
    }
    // An operation that leaves by an exception; twice, since ENCLU in an enclave may trap in
    // another way the second time.
    static void expect_inside(TestEnclave& enclave, Op op, const Caught& expected) {
        for (int i = 0; i < 2; ++i) {
            EXPECT_EQ(enter(enclave.tcs(), &op), expected);
            enclave.give_up();
        }
    }

    static uint64_t site() { return reinterpret_cast<uint64_t>(own_enclu_site); }
    static uint64_t aep() { return reinterpret_cast<uint64_t>(own_enclu_aep); }

 private:
    std::array<struct sigaction, signals.size()> before_{};
};

constexpr uint64_t ud = 6, gp_vector = 13, pf = 14, user = SGX_PFEC_U;
constexpr uint64_t by_epcm = SGX_PFEC_P | SGX_PFEC_SGX | user;

TEST_F(OwnEnclu, EntersAndLeaves) {
    TestEnclave enclave;
    Op op{.code = OpCode::read, .a = enclave.code()};
    EXPECT_EQ(enter(enclave.tcs(), &op), Caught{});
    EXPECT_EQ(op.rax, 0x1122334455667788u);
}

TEST_F(OwnEnclu, RefusedEntriesAreSegmentationFaults) {
    TestEnclave enclave;
    const Caught general{SIGSEGV, SI_KERNEL, 0, site(), gp_vector, 0};
    EXPECT_EQ(enter(enclave.tcs() + 8), general);
    EXPECT_EQ(enter(enclave.tcs(), nullptr, SGX_ENCLU_ERESUME), general);
    EXPECT_EQ(enter(enclave.tcs(), nullptr, 77), general);
    const Caught not_a_tcs{SIGSEGV, SEGV_ACCERR, enclave.data(), site(), pf, by_epcm};
    EXPECT_EQ(enter(enclave.data()), not_a_tcs);
    EXPECT_EQ(enter(0), (Caught{SIGSEGV, SEGV_MAPERR, 0, site(), pf, user}));
}

TEST_F(OwnEnclu, ExceptionsInsideComeFromTheAep) {
    TestEnclave enclave;
    expect_inside(enclave, {.code = OpCode::undefined}, {SIGILL, ILL_ILLOPN, aep(), aep(), ud, 0});
    expect_inside(enclave, {.code = OpCode::halt}, {SIGSEGV, SI_KERNEL, 0, aep(), gp_vector, 0});
    expect_inside(enclave, {.code = OpCode::divide}, {SIGFPE, FPE_INTDIV, aep(), aep(), 0, 0});
    // A leaf's exception is none of the trap's.
    expect_inside(enclave,
                  {.code = OpCode::enclu,
                   .a = SGX_ENCLU_EACCEPT,
                   .b = enclave.data() + 1,
                   .c = enclave.dynamic()},
                  {SIGSEGV, SI_KERNEL, 0, aep(), gp_vector, 0});
}

TEST_F(OwnEnclu, PageFaultsInsideTellThePageOnly) {
    TestEnclave enclave;
    const uint64_t denied = SGX_PFEC_P | SGX_PFEC_W | user;
    expect_inside(enclave, {.code = OpCode::write, .a = enclave.constant() + 8},
                  {SIGSEGV, SEGV_ACCERR, enclave.constant(), aep(), pf, denied});
    ASSERT_EQ(enclave.restrict(enclave.data(1), SGX_SECINFO_R), 0);
    expect_inside(enclave, {.code = OpCode::write, .a = enclave.data(1) + 8},
                  {SIGSEGV, SEGV_ACCERR, enclave.data(1), aep(), pf, denied | SGX_PFEC_SGX});
    const uint64_t nowhere = 8;
    const Caught unmapped{SIGSEGV, SEGV_MAPERR, 0, aep(), pf, user};
    expect_inside(enclave, {.code = OpCode::read, .a = nowhere}, unmapped);
    void* forbidden = ::mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(forbidden, MAP_FAILED);
    const auto address = reinterpret_cast<uint64_t>(forbidden);
    expect_inside(enclave, {.code = OpCode::read, .a = address + 8},
                  {SIGSEGV, SEGV_ACCERR, address, aep(), pf, user});
    ::munmap(forbidden, page);
    void* hole = reinterpret_cast<void*>(enclave.dynamic());
    ASSERT_EQ(::munmap(hole, page), 0);
    expect_inside(enclave, {.code = OpCode::read, .a = enclave.dynamic() + 8},
                  {SIGSEGV, SEGV_MAPERR, enclave.dynamic(), aep(), pf, user});
}

// The driver adds no page before INIT has come; the mapping would allow the access.
TEST_F(OwnEnclu, WhatTheDriverDoesNotProvideIsABusError) {
    const auto spoil = [](sgx_sigstruct& s) { s.signature[0] ^= 1; };
    TestEnclave enclave({.after_signing = spoil, .expect_refusal = true});
    EXPECT_EQ(enter(enclave.dynamic()),
              (Caught{SIGBUS, BUS_ADRERR, enclave.dynamic(), site(), pf, user}));
}

TEST_F(OwnEnclu, WithoutAHandlerTheSignalIsTheSame) {
    const auto die = [](uint64_t tcs) {
        for (const int signal : signals)
            ::signal(signal, SIG_DFL);
        own_enclu(SGX_ENCLU_EENTER, tcs, nullptr);
    };
    EXPECT_EXIT(die(0), ::testing::KilledBySignal(SIGSEGV), "");
}

}  // namespace
}  // namespace sgxemu_test
