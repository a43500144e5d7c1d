// A signal at every instruction of an entry, of leaves and of the exit, trapping or not: the
// program's handler runs as if between two instructions of the enclave, or of its own, may enter
// the enclave itself, and nothing is lost.
//
// A second process steps through one round to learn where it goes, and then stops it once at each
// place, by a debug register, to send the signal there.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <set>
#include <sstream>
#include <string>

#include "tests/emulator/patterns.hpp"
#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

constexpr uint64_t reg_rw = SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W;
constexpr uint64_t trap_flag = 0x100;

// Both processes see it.
struct Shared {
    uint64_t rounds = 0;
    uint64_t signals = 0;
    uint64_t nested_wrong = 0;
};

Shared* shared = nullptr;
TestEnclave* enclave_of_handler = nullptr;

// Enters on the thread's own TCS: at CSSA 1 if it was inside, at 0 if it had left.
void enter_in_handler(int) {
    shared->signals += 1;
    Op op{.code = OpCode::read, .a = enclave_of_handler->code()};
    const bool right = enclave_of_handler->enter(op).exited() && op.rax == 0x1122334455667788;
    shared->nested_wrong += !right || thread_local_value != 4711;
}

bool round_is_right(TestEnclave& enclave, uint64_t secinfo) {
    Registers found{};
    if (!leaf_keeps_registers(enclave, SGX_ENCLU_EACCEPT, secinfo, enclave.data(1),
                              SGX_PAGE_ATTRIBUTES_MISMATCH, found)) {
        return false;
    }
    expect_patterns(found);
    if (!leaf_keeps_registers(enclave, SGX_ENCLU_EMODPE, secinfo, enclave.data(1), SGX_ENCLU_EMODPE,
                              found)) {
        return false;
    }
    expect_patterns(found);
    return !testing::Test::HasFailure();
}

// The traced process: a stop, a round, a stop, … until it is killed, or ends because it was wrong.
[[noreturn]] void be_traced(int signal, sgxemu::EncluEntry entry) {
    if (sgxemu::configure({.entry = entry}) != 0) ::_exit(2);
    TestEnclave enclave({.nssa = 4});
    enclave_of_handler = &enclave;
    struct sigaction action {};
    action.sa_handler = enter_in_handler;
    if (signal == SIGUSR1) sigaction(signal, &action, nullptr);
    // The page of the SECINFO is the enclave's only writable operand: data(1) is accepted already.
    const uint64_t secinfo = enclave.put_secinfo(reg_rw | SGX_SECINFO_PENDING);
    for (int i = 0; i < 5; ++i) {
        if (!round_is_right(enclave, secinfo)) ::_exit(3);
    }
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    for (;;) {
        ::raise(SIGSTOP);
        if (!round_is_right(enclave, secinfo) || shared->nested_wrong != 0) ::_exit(4);
        shared->rounds += 1;
    }
}

// The tracer's side.
class Traced {
 public:
    explicit Traced(pid_t pid) : pid_(pid) {}
    ~Traced() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Traced(const Traced&) = delete;

    // Waits; the signal that stopped it, or -1 when it has ended.
    int wait() {
        if (::waitpid(pid_, &status_, 0) != pid_ || !WIFSTOPPED(status_)) return -1;
        return WSTOPSIG(status_);
    }
    void go(long how, int signal = 0) {
        ::ptrace(static_cast<__ptrace_request>(how), pid_, 0, signal);
    }
    user_regs_struct registers() {
        user_regs_struct r{};
        ::ptrace(PTRACE_GETREGS, pid_, 0, &r);
        return r;
    }
    // Goes on to the next SIGSTOP, the start of a round; everything else is the program's. False:
    // it has ended.
    bool to_next_round(int signal = 0) {
        go(PTRACE_CONT, signal);
        for (;;) {
            const int stopped_by = wait();
            if (stopped_by < 0) return false;
            if (stopped_by == SIGSTOP) return true;
            if (stopped_by == SIGTRAP) clear_trap_flag();
            go(PTRACE_CONT, stopped_by == SIGTRAP ? 0 : stopped_by);
        }
    }
    // All places of one round; from one SIGSTOP to the next.
    std::set<uint64_t> step_through() {
        std::set<uint64_t> places;
        go(PTRACE_SINGLESTEP);
        for (int stopped_by = wait(); stopped_by != SIGSTOP; stopped_by = wait()) {
            if (stopped_by < 0) return {};
            places.insert(registers().rip);
            go(PTRACE_SINGLESTEP, stopped_by == SIGTRAP ? 0 : stopped_by);
        }
        return places;
    }
    // Runs to the place. False: it came to the end of the round without it.
    bool run_to(uint64_t place) {
        set_debug_register(0, place);
        set_debug_register(7, 1);  // L0: on execution
        go(PTRACE_CONT);
        int stopped_by = wait();
        while (stopped_by > 0 && stopped_by != SIGSTOP) {
            const bool is_trap = stopped_by == SIGTRAP;
            if (is_trap && registers().rip == place) break;
            if (is_trap) clear_trap_flag();
            go(PTRACE_CONT, is_trap ? 0 : stopped_by);
            stopped_by = wait();
        }
        set_debug_register(7, 0);
        clear_trap_flag();
        return stopped_by == SIGTRAP;
    }
    // As waitpid said.
    int status() const { return status_; }
    bool has_debug_registers() {
        return set_debug_register(0, 0x1000) && set_debug_register(7, 1) &&
               set_debug_register(7, 0);
    }

 private:
    bool set_debug_register(size_t i, uint64_t value) {
        const size_t at = offsetof(user, u_debugreg) + i * sizeof(uint64_t);
        return ::ptrace(PTRACE_POKEUSER, pid_, at, value) == 0;
    }
    // PUSHF shows the flag that single steps set, and the POPF after it loads it.
    void clear_trap_flag() {
        user_regs_struct r = registers();
        r.eflags &= ~trap_flag;
        ::ptrace(PTRACE_SETREGS, pid_, 0, &r);
    }

    pid_t pid_;
    int status_ = 0;
};

// The tracer has the same libraries at the same addresses.
std::string name_of(uint64_t place) {
    std::ostringstream text;
    text << std::hex << "0x" << place;
    Dl_info info{};
    if (::dladdr(reinterpret_cast<void*>(place), &info) != 0) {
        text << ", " << info.dli_fname << " + 0x"
             << place - reinterpret_cast<uint64_t>(info.dli_fbase);
    }
    return text.str();
}

struct Case {
    const char* name;
    int signal;
    sgxemu::EncluEntry entry;
};

class EveryInstruction : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Ways, EveryInstruction,
                         testing::Values(Case{"SignalFast", SIGUSR1, sgxemu::EncluEntry::fast},
                                         Case{"SignalTrap", SIGUSR1, sgxemu::EncluEntry::trap},
                                         Case{"InterruptFast", 60, sgxemu::EncluEntry::fast}),
                         [](const auto& info) { return info.param.name; });

TEST_P(EveryInstruction, MayBeInterrupted) {
    void* p =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(p, MAP_FAILED);
    shared = new (p) Shared;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) be_traced(GetParam().signal, GetParam().entry);
    Traced traced(child);
    int stopped_by = traced.wait();
    while (stopped_by > 0 && stopped_by != SIGSTOP) {
        traced.go(PTRACE_CONT, stopped_by);
        stopped_by = traced.wait();
    }
    if (stopped_by < 0) GTEST_SKIP() << "this process may not trace another";
    if (!traced.has_debug_registers()) GTEST_SKIP() << "no debug registers here";

    const std::set<uint64_t> places = traced.step_through();
    ASSERT_GT(places.size(), 300u);
    size_t sent = 0;
    for (const uint64_t place : places) {
        SCOPED_TRACE(name_of(place));
        const uint64_t rounds = shared->rounds;
        // Where the signals of traps go may differ from round to round.
        if (!traced.run_to(place)) continue;
        ++sent;
        ASSERT_TRUE(traced.to_next_round(GetParam().signal)) << "it has ended: " << traced.status();
        ASSERT_EQ(shared->rounds, rounds + 1);
    }
    EXPECT_GT(sent, places.size() / 2);
    if (GetParam().signal == SIGUSR1) {
        EXPECT_EQ(shared->signals, sent);
    }
    EXPECT_EQ(shared->nested_wrong, 0u);
    RecordProperty("places", static_cast<int>(sent));
    ::munmap(p, sizeof(Shared));
}

}  // namespace
}  // namespace sgxemu_test
