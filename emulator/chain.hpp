// Signals that are not the emulator's go on to whoever had them before.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include "emulator/lock.hpp"

namespace sgxemu {

// The kernel's struct sigaction (not glibc's).
struct KernelSigaction {
    void* handler = nullptr;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    SignalMask mask = 0;
};

// rt_sigaction past glibc and past sanitizers, whose wrappers would run on the enclave's FS.
// 0 or -errno.
int kernel_sigaction(int signal, const KernelSigaction* action, KernelSigaction* previous);

// Makes `action` the signal's handler and remembers the one it replaces. 0 or -errno.
int replace_handler(int signal, const KernelSigaction& action);

// Runs the remembered handler on this context, or has the default action happen once the
// context continues. In a handler, on the program's FS and GS.
void chain_signal(int signal, siginfo_t& info, ucontext_t& context);

}  // namespace sgxemu
