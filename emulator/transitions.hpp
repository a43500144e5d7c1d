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

// What EENTER loads into the processor.
struct EenterState {
    uint64_t rip = 0;
    Bases bases;
    uint64_t cssa = 0;  // to RAX
};

// EENTER. On success the thread is inside; on a fault nothing has changed. The caller has saved
// thread.host and thread.host_mask, and has signals blocked but for mask_inside()'s.
std::optional<Exception> eenter(Thread& thread, const EenterOperands& operands, EenterState& state);

// The three below run in a signal handler and edit the context and the bases it will return to.

void eexit(Thread& thread, ucontext_t& context, Bases& bases);

// ERESUME with RBX = TCS and RCX = AEP in the context.
std::optional<Exception> eresume(Thread& thread, ucontext_t& context, Bases& bases);

// AEX: saves the enclave's state in the current SSA frame, loads the synthetic state and goes to
// the AEP. Without an exception it is an interrupt.
void aex(Thread& thread, ucontext_t& context, Bases& bases,
         const std::optional<Exception>& exception);

}  // namespace sgxemu
