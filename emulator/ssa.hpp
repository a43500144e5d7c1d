// Where things are in a state save area frame (SDM volume 3D, 37.9).
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"

namespace sgxemu {

struct SsaFrame {
    uint64_t begin = 0;   // XSAVE area
    uint64_t exinfo = 0;  // MISC region, when MISCSELECT has EXINFO
    uint64_t gprsgx = 0;
};

inline SsaFrame ssa_frame(const Enclave& enclave, const sgx_tcs& tcs, uint32_t index) {
    const uint64_t size = uint64_t{enclave.secs.ssa_frame_size} * page_size;
    SsaFrame frame;
    frame.begin = enclave.base() + tcs.ossa + index * size;
    frame.gprsgx = frame.begin + size - SGX_GPRSGX_SIZE;
    frame.exinfo = frame.gprsgx - SGX_EXINFO_SIZE;
    return frame;
}

}  // namespace sgxemu
