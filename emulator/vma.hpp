// Mappings of enclave memory: the driver's mmap and mprotect rules, and the host protection that
// follows from them.
//
// Host protection of a page = VMA's wish, if the driver's cap allows all of it, ∩ EPCM; nothing
// while the page is pending, modified, a TCS, trimmed or absent. (sgx_encl_load_page_in_vma in
// arch/x86/kernel/cpu/sgx/encl.c; SDM volume 3D, 35.5.1.)
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"

namespace sgxemu {

// The mapping that contains the address, or nullptr. Under enclave.lock.
const Vma* find_vma(const Enclave& enclave, uintptr_t address);

// Brings the host's page tables in line with VMAs and EPCM over [begin, end) of ELRANGE; changes
// runs of equal protection together (vm.max_map_count). Under enclave.lock. 0 or -errno.
int apply_protection(Enclave& enclave, uintptr_t begin, uintptr_t end);

// Takes all access to the mapped parts of [begin, end) away, whatever the EPCM says. Under
// enclave.lock. False: the host did not do it.
bool withdraw_access(Enclave& enclave, uintptr_t begin, uintptr_t end);

// ECREATE came after mmap: the parts of earlier mappings that lie in ELRANGE become EPC mappings.
// Under enclave.lock. 0 or -errno.
int map_into_elrange(Enclave& enclave);

}  // namespace sgxemu
