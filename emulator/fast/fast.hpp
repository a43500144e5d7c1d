// ENCLU without a trap.
//
// An ENCLU that has been executed twice is, in the EPC (not in what was measured), a jump: E9,
// whose four bytes of displacement are the other two of the instruction, free to choose, and the
// two that follow, which stay what they are. So it leads to one of 65,536 addresses, and a stub is
// mapped there. It stays HLT where that cannot be: the five bytes cross a page, the page is
// writable, the addresses are taken or in ELRANGE, the kernel lacks modify_ldt or membarrier's
// SYNC_CORE.
//
// In the stub: EEXIT to the emulator's own entry function, where the program's signals are all the
// emulator's (the preload form; elsewhere the signal mask has to change, which the trap does);
// EACCEPT, EACCEPTCOPY and EMODPE, which then run in C++ on a stack of the thread's slot. All else
// traps, in the stub, and so does a leaf that faults: the trap raises the exception.
//
// Signals: in a stub they find the state put back to the ENCLU, or completed (settle()); while a
// leaf runs they wait. A thread is `leaving` from its EEXIT to the first of: its entry function, a
// signal handler. Until then its TCS is busy, which no one can tell: that the thread is out is
// known only after that.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>

#include "emulator/fast/offsets.h"
#include "emulator/thread.hpp"
#include "emulator/user_dispatch.hpp"

namespace sgxemu {

// What sgxemu_fast_leaf_entry pushes.
struct FastFrame {
    uint64_t gs, fs;
    uint64_t rax, rcx, rbx, rdx, rsi, rdi, rbp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rflags;
};

// A thread's part of the fast path, FAST bytes behind its record.
struct FastThread {
    uint64_t exit_allowed = 0;  // EEXIT need not trap
    uint64_t after = 0;         // where it must go to
    uint64_t aep = 0;           // TCS.AEP
    uint64_t rax = 0, rcx = 0;  // at the ENCLU
    uint64_t flags = 0;         // lahf and seto, in AX
    uint64_t rsp = 0;
    uint64_t busy = 0;  // a leaf begins to run
    uint64_t stub = 0;  // the one that it came from
    uint64_t next = 0;  // where in it the leaf goes on
    uint64_t stack = 0;
    uint64_t xfrm = 0;  // what to save
    // The leaf has run: how it ends. Until the next entry, or leaf.
    const FastFrame* frame = nullptr;
    const uint8_t* xstate = nullptr;
    bool retry = false;     // it faulted: to be executed again, by a trap
    bool prepared = false;  // the thread has its selector, or cannot have one
};
static_assert(FAST + offsetof(FastThread, exit_allowed) == FAST_EXIT_ALLOWED);
static_assert(FAST + offsetof(FastThread, flags) == FAST_FLAGS);
static_assert(FAST + offsetof(FastThread, busy) == FAST_BUSY);
static_assert(FAST + offsetof(FastThread, xfrm) == FAST_XFRM);
static_assert(offsetof(Thread, inside) == THREAD_INSIDE &&
              offsetof(Thread, host) == THREAD_HOST_FS);
static_assert(offsetof(Thread, syscalls) == THREAD_SYSCALLS);
static_assert(syscalls_allowed == SYSCALLS_ALLOWED && syscalls_blocked == SYSCALLS_BLOCKED);
static_assert(sizeof(Thread) <= FAST && sizeof(FastThread) <= 4096 - FAST);

inline FastThread& fast_of(Thread& thread) {
    return *reinterpret_cast<FastThread*>(reinterpret_cast<uint8_t*>(&thread) + FAST);
}

// At open(), from ordinary code: gets ready what the configuration asks for.
void start_fast();

// Whether this machine's ENCLU is to be fast, and can be.
bool fast_is_on();

// Before the thread is inside: from now on its ENCLUs may be fast. `aep` is TCS.AEP.
void prepare_fast(Thread& thread, uint64_t aep);

// The thread's signals wait: a leaf runs without a trap.
inline bool is_busy(Thread& thread) {
    return fast_of(thread).busy != 0;
}

// The thread is inside and was interrupted outside the enclave's code, in a stub or a leaf's end:
// brings the context to before or behind the ENCLU. False: it was not there. `in_stub`: it was put
// back to before it.
bool settle(Thread& thread, ucontext_t& context, Bases& bases, bool& in_stub);

// The thread is leaving and was interrupted: completes the EEXIT.
void settle_exit(Thread& thread, ucontext_t& context, Bases& bases);

}  // namespace sgxemu
