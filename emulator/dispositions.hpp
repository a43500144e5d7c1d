// What the program wants of each signal, and handing it on.
//
// The emulator takes the fault signals in any case, and remembers what was there before. In the
// preload form it takes every signal that has a handler: one that arrives inside an enclave makes
// it exit (AEX) before the program's handler runs, on the program's stack, with the program's FS.
// What the program then sees of sigaction, sigaltstack and its signal mask is kept here and in the
// thread's record.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include "emulator/lock.hpp"
#include "emulator/thread.hpp"

namespace sgxemu {

// The kernel's struct sigaction (not glibc's).
struct KernelSigaction {
    void* handler = nullptr;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    SignalMask mask = 0;
};

inline constexpr int last_signal = 64;
inline constexpr SignalMask bit_of(int signal) {
    return SignalMask{1} << (signal - 1);
}

// Signals that faults of enclave code come as.
inline constexpr int fault_signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP, SIGSYS};
bool is_fault_signal(int signal);
// What the program cannot block while its signals are the emulator's: without these the emulator
// would not run.
SignalMask unblockable();

// Takes the fault signals and interrupt_signal, once. 0 or -errno.
int take_fault_signals();
// From now on the program's signals are the emulator's business: takes those that have handlers
// now, and those for which program_sigaction installs one.
int take_all_signals();
bool has_all_signals();
// Takes a handler that was installed past program_sigaction (the C library's own). 0 or -errno.
int adopt_handler(int signal);

// sigaction and sigaltstack as the program calls them. 0 or -errno.
int program_sigaction(int signal, const KernelSigaction* action, KernelSigaction* previous);
int program_sigaltstack(const stack_t* stack, stack_t* previous);

// The program's handler for the signal, for a handler of ours: removes it when it is SA_RESETHAND.
KernelSigaction take_action_for_delivery(int signal);

// rt_sigaction past glibc and past sanitizers, whose wrappers would run on the enclave's FS.
// 0 or -errno.
int kernel_sigaction(int signal, const KernelSigaction* action, KernelSigaction* previous);

}  // namespace sgxemu
