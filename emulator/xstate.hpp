// Moving XSAVE state between a signal frame and an SSA frame (SDM volume 3D, 36.3.2.1 and 37.9.3).
#pragma once

#include <ucontext.h>

#include <cstdint>

namespace sgxemu {

// AEX: writes the XFRM components of the interrupted context to the SSA frame's XSAVE area
// (standard format) and puts their initial values in their place.
void save_and_init_xstate(const ucontext_t& context, uint64_t xfrm, uint8_t* ssa);

// ERESUME: loads the XFRM components of the SSA frame into the context. False: the area is one that
// XRSTOR would refuse with #GP; then nothing has changed.
bool load_xstate(const ucontext_t& context, uint64_t xfrm, const uint8_t* ssa);

}  // namespace sgxemu
