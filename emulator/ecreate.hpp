// ECREATE's and EADD's checks of what the host supplies.
#pragma once

#include <cstdint>

#include "sgxdl/arch/sgx.h"

namespace sgxemu {

// CPUID.12H.0:EDX[15:8] of the emulated processor: the largest 64-bit enclave.
inline constexpr uint32_t max_enclave_bits = 36;
// CPUID.12H.1:EAX, without INIT, which is EINIT's.
inline constexpr uint64_t known_attributes = SGX_ATTR_DEBUG | SGX_ATTR_MODE64BIT |
                                             SGX_ATTR_PROVISIONKEY | SGX_ATTR_EINITTOKENKEY |
                                             SGX_ATTR_KSS;

// True when ECREATE accepts this SECS (SDM volume 3D, 38.3, ECREATE); otherwise it is #GP.
bool is_valid_secs(const sgx_secs& secs);

// True when EADD accepts this content as a TCS; sets what EADD forces.
bool prepare_tcs(sgx_tcs& tcs);

}  // namespace sgxemu
