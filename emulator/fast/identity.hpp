// Which thread is it? Answered by a segment register: enclave code can load none (SDM volume 3D,
// 35.6.1), and in 64-bit mode nothing else depends on ES. Each thread's names a descriptor of the
// process's LDT, which describes nothing; the selector is an offset into a table of records below
// 2 GiB, where a stub reaches it without a base register.
#pragma once

#include <cstdint>

#include "emulator/thread.hpp"

namespace sgxemu {

// Makes the table, and asks for the right to MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE. False: the
// kernel has not got it.
bool start_identities();

// What a stub adds to ES. After start_identities().
uint32_t record_table();

// Loads ES of the calling thread so that it names its record. False: it names nobody's.
bool take_identity(Thread& thread);

}  // namespace sgxemu
