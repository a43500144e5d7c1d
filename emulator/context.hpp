// Reading and editing the context that a signal handler will return to.
#pragma once

#include <ucontext.h>

#include <cstdint>

#include "emulator/thread.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxemu {

inline constexpr uint64_t rflags_cf = 0x1, rflags_pf = 0x4, rflags_af = 0x10, rflags_zf = 0x40,
                          rflags_sf = 0x80, rflags_of = 0x800;
inline constexpr uint64_t rflags_tf = 0x100;
inline constexpr uint64_t rflags_arithmetic =
    rflags_cf | rflags_pf | rflags_af | rflags_zf | rflags_sf | rflags_of;

void save_general_registers(const ucontext_t& context, sgx_gprsgx& gpr);
void load_general_registers(ucontext_t& context, const sgx_gprsgx& gpr);

SignalMask signal_mask_of(const ucontext_t& context);
void set_signal_mask_of(ucontext_t& context, SignalMask mask);

// The common end of EEXIT and AEX: the TCS is free, the program's bases and mask are back, the
// thread's reference is dropped.
void leave_enclave(Thread& thread, ucontext_t& context, Bases& bases);
// Of that, what does not concern the registers.
void release_enclave(Thread& thread);

}  // namespace sgxemu
