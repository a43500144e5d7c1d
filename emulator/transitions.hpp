// Into and out of enclave mode: EENTER, EEXIT, AEX, ERESUME.
//
// SDM volume 3D: 38.4 (EENTER, EEXIT, ERESUME), chapter 36 (asynchronous exits).
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <optional>

#include "emulator/fault.hpp"
#include "emulator/thread.hpp"

namespace sgxemu {

struct EenterOperands {
    uint64_t tcs = 0;
    uint64_t aep = 0;
    uint64_t rsp = 0, rbp = 0;  // the program's, kept in the SSA frame
};

// EENTER. On success the thread is inside and thread.entry says what to load; on a fault nothing
// has changed. The caller has saved thread.host and thread.host_mask, and cannot be interrupted.
std::optional<Exception> eenter(Thread& thread, const EenterOperands& operands);

// The thread was interrupted after EENTER's decision in entry.S: loads into the context what was
// not loaded yet.
void complete_entry(const Thread& thread, ucontext_t& context, Bases& bases);

// The three below run in a signal handler and edit the context and the bases it will return to.

void eexit(Thread& thread, ucontext_t& context, Bases& bases);

// ERESUME with RBX = TCS and RCX = AEP in the context.
std::optional<Exception> eresume(Thread& thread, ucontext_t& context, Bases& bases);

// AEX: saves the enclave's state in the current SSA frame, loads the synthetic state and goes to
// the AEP. Without an exception it is an interrupt.
void aex(Thread& thread, ucontext_t& context, Bases& bases,
         const std::optional<Exception>& exception);

}  // namespace sgxemu
