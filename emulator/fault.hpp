// Page faults on enclave memory: address translation by the kernel's VMAs, the driver's fault
// handler with its EAUG, and the EPCM check that comes last.
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"

namespace sgxemu {

// An exception: what the vDSO reports, and what EXITINFO and EXINFO say.
struct Exception {
    uint8_t vector = 0;
    uint32_t error_code = 0;
    uint64_t address = 0;  // #PF: the linear address
};

inline constexpr uint8_t vector_ud = 6, vector_gp = 13, vector_pf = 14;
inline constexpr uint8_t vector_db = 1, vector_bp = 3;

enum class Outcome { allowed, faults };

struct Translation {
    Outcome outcome = Outcome::allowed;
    Exception exception;  // when it faults
};

// #GP(0), and #PF with the SGX bit, on an access of this kind.
Exception general_protection();
Exception epcm_fault(uint64_t address, Access access);

// EAUG at an address of ELRANGE that has no page; false is the driver's VM_FAULT_SIGBUS. Under
// enclave.lock.
bool add_fresh_page(Enclave& enclave, uintptr_t page);

// A hostile system: takes a page away, with its content, and has a fresh one wait in its place,
// unless a thread that is inside needs it. Always 0. Under enclave.lock.
int swap_page(Enclave& enclave, uintptr_t page);

// What the page tables and the driver make of an access to ELRANGE: no mapping, or one that denies
// it, is an ordinary #PF; an absent page is added by EAUG; what the driver cannot provide (no EPC,
// SGX1, over the cap) is its SIGBUS, which the vDSO reports as a #PF without the SGX bit. When it
// is allowed the page has a valid EPCM entry, which the caller has yet to check. Under
// enclave.lock.
Translation translate(Enclave& enclave, uint64_t address, Access access);

// An ordinary load, store or fetch from inside the enclave that faulted: translation, then EPCM.
// `allowed`: the fault has been cured, the instruction restarts. Under enclave.lock.
Translation resolve_access(Enclave& enclave, uint64_t address, Access access);

}  // namespace sgxemu
