// The enclave page cache map: one entry per page, and the rules that consult it.
//
// Source: SDM volume 3D, 35.5.1 (access control), 37.19 (EPCM), and the ENCLS leaves of 38.3 that
// the driver executes: EADD, EAUG, EREMOVE, EMODPR, EMODT. An entry is looked up by the page's
// place in ELRANGE, so ENCLAVESECS and ENCLAVEADDRESS hold by construction; BLOCKED does not exist
// because a page that the reclaimer writes out (paging.hpp) is out of reach at once.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#include "sgxdl/arch/sgx.h"

namespace sgxemu {

inline constexpr size_t page_size = SGX_ARCH_PAGE_SIZE;

// What an instruction wants of a page, as PROT_* bits (one of PROT_READ, PROT_WRITE, PROT_EXEC).
using Access = int;

// No index of a page: 2^36 bytes of ELRANGE are 2^24 pages.
inline constexpr uint32_t no_page = ~uint32_t{0};

struct EpcmEntry {
    uint8_t valid = 0;
    uint8_t type = 0;  // SGX_PT_*
    uint8_t rwx = 0;   // SGX_SECINFO_R | W | X
    uint8_t pending = 0;
    uint8_t modified = 0;
    uint8_t pr = 0;
    // Not of the EPCM: the driver's vm_max_prot_bits (PROT_*), and TCS.STATE.
    uint8_t kernel_cap = 0;
    uint8_t tcs_busy = 0;
    // Of the driver: the page lies in the backing store; then valid is 0 and kernel_cap stays.
    uint8_t written_out = 0;
    // TCS and SSA frame of a thread that is inside: an asynchronous exit writes there.
    uint8_t pinned = 0;
    // The host maps the page privately, for debuggers (vma.cpp).
    uint8_t host_private = 0;
    // Neighbours in the enclave's queue of pages in the EPC (page_queue.hpp), as page indices.
    uint32_t older = no_page, newer = no_page;

    // The driver knows the page, wherever it is (an entry of its page_array).
    bool exists() const { return valid || written_out; }
};
static_assert(sizeof(EpcmEntry) == 20);

// SECINFO permission bits as PROT_* bits.
inline int protection_of(uint8_t rwx) {
    return ((rwx & SGX_SECINFO_R) ? PROT_READ : 0) | ((rwx & SGX_SECINFO_W) ? PROT_WRITE : 0) |
           ((rwx & SGX_SECINFO_X) ? PROT_EXEC : 0);
}

// A regular page that software may touch at all.
inline bool is_usable(const EpcmEntry& entry) {
    return entry.valid && entry.type == SGX_PT_REG && !entry.pending && !entry.modified;
}

// An ordinary access from inside the enclave (SDM 35.5.1), and the check of every leaf's
// memory operands (SECINFO, KEYREQUEST, output buffers…).
inline bool permits(const EpcmEntry& entry, Access access) {
    return is_usable(entry) && (protection_of(entry.rwx) & access) == access;
}

// --- The effects of ENCLS leaves on one entry ----------------------------------------------------
// Their conditions are in edmm_rules.cpp. EADD, EAUG: the caller has made sure that it is not
// valid.

void encls_add(EpcmEntry& entry, uint64_t secinfo_flags);
void encls_aug(EpcmEntry& entry);
// EMODPR: removes the permissions that are not in secinfo_flags.
void encls_modpr(EpcmEntry& entry, uint64_t secinfo_flags);
// EMODT: to SGX_PT_TCS or SGX_PT_TRIM.
void encls_modt(EpcmEntry& entry, uint8_t type);

// True when the flags of a SECINFO or its reserved part have bits that must be zero.
bool has_reserved_bits(const sgx_secinfo& secinfo);

}  // namespace sgxemu
