// The vDSO that the program finds.
#pragma once

namespace sgxemu::preload {

// Makes a vDSO image that has __vdso_sgx_enter_enclave besides what the kernel's own has, and lets
// AT_SYSINFO_EHDR in the program's auxiliary vector, which follows `environment` on the initial
// stack, point to it. False when that cannot be done; then the program finds the kernel's.
bool replace_vdso(char** environment);

}  // namespace sgxemu::preload
