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
void encls_modpr(EpcmEntry& entry, uint64_t secinfo_flags) {
    entry.pr = 1;
    entry.rwx = static_cast<uint8_t>(entry.rwx & secinfo_flags);
}

// SDM 38.3, EMODT.
void encls_modt(EpcmEntry& entry, uint8_t type) {
    entry.modified = 1;
    entry.pr = 0;
    entry.rwx = 0;
    entry.type = type;
}

bool has_reserved_bits(const sgx_secinfo& secinfo) {
    if (secinfo.flags & ~known_flags) return true;
    for (const uint8_t byte : secinfo.reserved) {
        if (byte != 0) return true;
    }
    return false;
}

}  // namespace sgxemu
