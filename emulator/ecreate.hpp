// ECREATE's and EADD's checks of what the host supplies.
#pragma once

#include <cstdint>

#include "sgxdl/arch/sgx.h"

namespace sgxemu {

// True when ECREATE accepts this SECS (SDM volume 3D, 38.3, ECREATE); otherwise it is #GP.
bool is_valid_secs(const sgx_secs& secs);

// True when EADD accepts this content as a TCS; sets what EADD forces.
bool prepare_tcs(sgx_tcs& tcs);

}  // namespace sgxemu
