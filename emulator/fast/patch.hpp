// Rewriting an ENCLU in the EPC while threads may be executing it. All under enclave.lock.
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"

namespace sgxemu {

// A site that is HLT becomes a jump to a stub, if it can. It is asked once for each site.
void make_jump(Enclave& enclave, uint64_t site);

// The page's sites become ENCLU again, and are forgotten.
void restore_sites(Enclave& enclave, uint64_t page);

}  // namespace sgxemu
