// EPCM transitions. Each function is one leaf's "Operation" in the SDM, reduced to one entry.
#include "emulator/epcm.hpp"

namespace sgxemu {

namespace {

constexpr uint64_t permission_mask = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;
constexpr uint64_t known_flags = permission_mask | SGX_SECINFO_PENDING | SGX_SECINFO_MODIFIED |
                                 SGX_SECINFO_PR | SGX_SECINFO_PT_MASK;

}  // namespace

// SDM 38.3, EADD. A TCS has no permissions: software never touches it.
void encls_add(EpcmEntry& entry, uint64_t secinfo_flags) {
    entry = {};
    entry.type =
        static_cast<uint8_t>((secinfo_flags & SGX_SECINFO_PT_MASK) >> SGX_SECINFO_PT_SHIFT);
    entry.rwx = entry.type == SGX_PT_TCS ? uint8_t{0}
                                         : static_cast<uint8_t>(secinfo_flags & permission_mask);
    entry.valid = 1;
}

// SDM 38.3, EAUG with no SECINFO: a zeroed RW page that waits for the enclave's acceptance.
void encls_aug(EpcmEntry& entry) {
    entry = {};
    entry.type = SGX_PT_REG;
    entry.rwx = SGX_SECINFO_R | SGX_SECINFO_W;
    entry.pending = 1;
    entry.valid = 1;
}

// SDM 38.3, EMODPR.
EnclsResult encls_modpr(EpcmEntry& entry, uint64_t secinfo_flags) {
    if ((secinfo_flags & SGX_SECINFO_W) && !(secinfo_flags & SGX_SECINFO_R)) {
        return {Encls::general_protection};
    }
    if (!entry.valid) return {Encls::page_fault};
    if (entry.pending || entry.modified) return {Encls::error, SGX_PAGE_NOT_MODIFIABLE};
    if (entry.type != SGX_PT_REG) return {Encls::page_fault};
    entry.pr = 1;
    entry.rwx = static_cast<uint8_t>(entry.rwx & secinfo_flags);
    return {};
}

// SDM 38.3, EMODT.
EnclsResult encls_modt(EpcmEntry& entry, uint8_t type) {
    if (type != SGX_PT_TCS && type != SGX_PT_TRIM) return {Encls::general_protection};
    if (!entry.valid) return {Encls::page_fault};
    const bool from_regular = entry.type == SGX_PT_REG;
    const bool trims_tcs = entry.type == SGX_PT_TCS && type == SGX_PT_TRIM;
    if (!from_regular && !trims_tcs) return {Encls::page_fault};
    if (entry.pending || entry.modified) return {Encls::error, SGX_PAGE_NOT_MODIFIABLE};
    // A thread that is inside holds its TCS.
    if (entry.tcs_busy) return {Encls::error, SGX_EPC_PAGE_CONFLICT};
    entry.modified = 1;
    entry.pr = 0;
    entry.rwx = 0;
    entry.type = type;
    return {};
}

bool has_reserved_bits(const sgx_secinfo& secinfo) {
    if (secinfo.flags & ~known_flags) return true;
    for (const uint8_t byte : secinfo.reserved) {
        if (byte != 0) return true;
    }
    return false;
}

}  // namespace sgxemu
