// A host thread that enters enclaves: its place in the emulator and its signal stack.
//
// Each thread gets a slot of one address range: its record, a guard page, its alternate signal
// stack. A handler finds the record from the stack the kernel reports, without FS, which may be
// the enclave's.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "emulator/lock.hpp"

namespace sgxemu {

class Enclave;

// The segment bases of a thread.
struct Bases {
    uint64_t fs = 0;
    uint64_t gs = 0;
};

// What EENTER loads, and where entry.S has saved what it keeps: see complete_entry.
struct EnterState {
    uint64_t rsp = 0, rbp = 0;  // the program's at the ENCLU
    uint64_t rip = 0;
    Bases bases;
    uint64_t cssa = 0;  // to RAX
};

// entry.S knows the offsets of the first four.
struct Thread {
    // 1 while the processor is in enclave mode on this thread; `leaving` after an EEXIT by the fast
    // path, until the emulator has noticed (fast/fast.hpp).
    uint64_t inside = 0;
    static constexpr uint64_t leaving = 2;
    Bases host;  // the program's bases, saved at EENTER and ERESUME
    // The kernel reads it at each system call (user_dispatch.hpp). It says block when the thread
    // goes on inside; entry.S sets it to allow first thing in a handler.
    uint8_t syscalls = 0;
    // While inside:
    Enclave* enclave = nullptr;  // holds a reference
    uint64_t tcs = 0;
    uint64_t ssa_begin = 0;    // of the SSA frame that an exit would use
    SignalMask host_mask = 0;  // the program's signal mask
    uint64_t stepped = 0;      // 1: the trap flag is the system's (hostile.hpp), not the enclave's
    // EENTER in entry.S, from its decision to its jump: what complete_entry loads.
    EnterState entry;
    // The emulator's code runs that no handler may interrupt, without signals being blocked.
    uint64_t critical = 0;
    uint64_t has_deferred = 0;  // a signal came meanwhile; it is pending, with everything blocked,
    SignalMask deferred_mask = 0;  // instead of this mask
    // Always:
    std::atomic<pid_t> tid{0};  // 0: the slot is free
    stack_t program_stack{};    // the alternate stack that the program believes in
};
static_assert(offsetof(Thread, inside) == 0 && offsetof(Thread, host) == 8);
static_assert(offsetof(Thread, syscalls) == 24);

// The calling thread's record, if it has one.
Thread* known_thread();

// The calling thread's record; made on the first call. nullptr: no slot, or no memory.
Thread* current_thread();

// True when the stack pointer lies in the thread's signal stack: a signal handler is running there.
bool is_on_signal_stack(const Thread& thread, uint64_t rsp);

// Signals that stay unblocked inside an enclave while only the fault signals are the emulator's
// (dispositions.hpp): these and interrupt_signal. Everything else waits until the thread has left:
// the program's handlers expect its FS.
SignalMask mask_inside();

// What sgxemu::interrupt sends; the handler is ours.
inline constexpr int interrupt_signal = 60;

}  // namespace sgxemu
