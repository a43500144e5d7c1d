// Paging of the EPC: pages leave it sealed (EBLOCK, ETRACK, EWB) and come back (ELDU).
//
// SDM volume 3D, 38.3 (EWB, ELDU), 37.12 (PCMD), 37.20 (version array); the reclaimer is the
// driver's (sgx_reclaim_pages in arch/x86/kernel/cpu/sgx/main.c): 16 pages at a time, oldest first.
// There is no accessed bit to look at: the oldest of each enclave in turn leave, in use or not.
// SECS and version array pages stay.
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"

namespace sgxemu {

// An enclave whose pages may be written out; until leave_reclaimer. Under its lock.
void join_reclaimer(Enclave& enclave);
// Without its lock.
void leave_reclaimer(Enclave& enclave);
void forget_reclaimer_in_child();

// Takes a page of the EPC, if need be by writing others out. The caller holds the lock of
// `enclave`, whose held pages stay (HoldPages), or of none (nullptr). False: the EPC is full.
bool take_epc_page(Enclave* enclave);

// The driver sets a page of version array aside for each 512 pages before it adds one more
// (sgx_encl_grow). False: the EPC is full. Under the lock.
bool grow(Enclave& enclave);

// The page, an address of ELRANGE, is in the EPC afterwards: true; it was never added, there is no
// room for it, or what came from the backing store is not what was written there: false. Leaves the
// host's protection to the caller. Under the lock.
bool fetch_page(Enclave& enclave, uintptr_t address);

}  // namespace sgxemu
