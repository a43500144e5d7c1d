// The machine that the environment describes, in both forms of the emulator. `sgxdl emulate` writes
// these variables.
//
//   SGXEMU_EPC_SIZE   bytes of EPC, with K, M or G: 4096 times at least min_epc_pages
//   SGXEMU_SGX        1: a machine (and kernel) without SGX2; 2
//   SGXEMU_ENTRY      trap, fast: what EncluEntry::by_environment means
//   SGXEMU_STRICT     1: MachineConfig::strict; 0
//   SGXEMU_COUNTERS   preload form: a file to count paging in (sgxemu::count_paging_in)
// and those of environment.hpp, which are not about the machine.
#pragma once

#include "emulator/sgxemu.hpp"

namespace sgxemu {

// Changes what the variables say in the configuration; nullptr, or, with nothing changed, which
// variable is wrong and what it may be.
const char* read_settings(MachineConfig& machine);

}  // namespace sgxemu
