// EWB and ELDU of one page: what is sealed and what a replay breaks on.
//
// AES-128-GCM under a key of this power-on. The IV is the version, which never repeats and stays in
// the version array; authenticated besides the page are its linear address, its enclave and its
// EPCM state. So an older copy, another page's or another enclave's does not come back.
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"

namespace sgxemu {

// Seals the page's memory and EPCM state into the backing store; the entry is the caller's to
// invalidate. Under the lock.
void encls_ewb(Enclave& enclave, uintptr_t page);

// Unseals the page into its memory and its EPCM state into the entry (SGX_MAC_COMPARE_FAIL: false;
// then the entry is unchanged and the memory undefined). Under the lock.
bool encls_eldu(Enclave& enclave, uintptr_t page);

}  // namespace sgxemu
