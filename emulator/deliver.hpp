// Runs the program's handler for a signal that the emulator received.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include "emulator/fault.hpp"
#include "emulator/thread.hpp"

namespace sgxemu {

// In a handler, on the program's FS and GS; the context is the program's (after an asynchronous
// exit, if it was inside). Afterwards the context continues in the program's handler, which returns
// to where it was, or with the signal's default action; or the handler has run already, when the
// emulator has no say over this thread's stacks.
void deliver_signal(int signal, siginfo_t& info, ucontext_t& context, const Thread* thread);

// The same for an exception of an enclave or of ENCLU, which a trap of another kind may have
// brought here as `signal` and `info`: the program gets what the kernel makes of the exception.
// The context is the one at the AEP, or at the program's ENCLU. Enclave locks are taken.
void deliver_exception(const Exception& exception, int signal, siginfo_t& info, ucontext_t& context,
                       const Thread* thread);

}  // namespace sgxemu
