// EINIT's verification of a SIGSTRUCT against a measured enclave.
#pragma once

#include "emulator/measurement.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxemu {

// SGX_SUCCESS or the SGX error code that EINIT leaves in EAX. `secs` is the enclave's as ECREATE
// left it; `mrenclave` its measurement now.
int verify_sigstruct(const sgx_sigstruct& sigstruct, const sgx_secs& secs, const Digest& mrenclave);

}  // namespace sgxemu
