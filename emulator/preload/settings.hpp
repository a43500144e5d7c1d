// The machine that the environment describes. `sgxdl emulate` writes these variables.
//
//   SGXEMU_EPC_SIZE   bytes of EPC, with K, M or G: 4096 times at least min_epc_pages
//   SGXEMU_SGX        1: a machine (and kernel) without SGX2; 2
//   SGXEMU_COUNTERS   a file to count paging in (sgxemu::count_paging_in)
// and those of emulator/environment.hpp.
#pragma once

#include "emulator/sgxemu.hpp"

namespace sgxemu::preload {

// Fills the configuration; nullptr, or which variable is wrong and what it may be.
const char* read_settings(MachineConfig& config);

}  // namespace sgxemu::preload
