// EACCEPT: the enclave agrees to what the OS did to a page (added, restricted, retyped).
#include "emulator/leaves/leaf.hpp"

namespace sgxemu {

namespace {

// Which changes can be accepted: an added or restricted regular page, a retyped one.
bool is_legal_request(uint64_t flags) {
    const uint64_t type = flags & SGX_SECINFO_PT_MASK;
    const bool modified = (flags & SGX_SECINFO_MODIFIED) != 0;
    if (type == SGX_SECINFO_REG) {
        return (flags & (SGX_SECINFO_PR | SGX_SECINFO_PENDING)) != 0 && !modified;
    }
    return (type == SGX_SECINFO_TCS || type == SGX_SECINFO_TRIM) &&
           !(flags & SGX_SECINFO_PENDING) && modified;
}

// PR is not compared: an EMODPR that changed nothing is accepted like one that did.
bool matches(const EpcmEntry& entry, uint64_t flags) {
    constexpr uint64_t permissions = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;
    return (entry.pending != 0) == ((flags & SGX_SECINFO_PENDING) != 0) &&
           (entry.modified != 0) == ((flags & SGX_SECINFO_MODIFIED) != 0) &&
           entry.rwx == (flags & permissions) &&
           uint64_t{entry.type} << SGX_SECINFO_PT_SHIFT == (flags & SGX_SECINFO_PT_MASK);
}

// A page becomes a thread's entry point: it must hold a well-formed, idle TCS.
bool is_acceptable_tcs(const sgx_tcs& tcs) {
    for (const uint8_t byte : tcs.reserved) {
        if (byte != 0) return false;
    }
    return tcs.flags == 0 && tcs.cssa < tcs.nssa && tcs.aep == 0 && tcs.state == 0;
}

}  // namespace

LeafResult eaccept(Enclave& enclave, const LeafOperands& operands) {
    const uint64_t info_address = operands.rbx;
    const uint64_t page = operands.rcx;
    Exception exception;
    if (!is_aligned(info_address, sizeof(sgx_secinfo))) return LeafResult::gp();
    if (!enclave.contains(info_address)) return LeafResult::gp();
    if (!resolves(enclave, info_address, PROT_READ, exception)) return LeafResult::fault(exception);
    if (!permits(enclave.entry(info_address), PROT_READ)) {
        return LeafResult::fault(epcm_fault(info_address, PROT_READ));
    }
    const sgx_secinfo secinfo = *enclave.at<sgx_secinfo>(info_address);
    if (has_reserved_bits(secinfo)) return LeafResult::gp();
    if (!is_aligned(page, page_size)) return LeafResult::gp();
    if (!enclave.contains(page)) return LeafResult::gp();
    if (!resolves(enclave, page, PROT_READ, exception)) return LeafResult::fault(exception);
    if (!is_legal_request(secinfo.flags)) return LeafResult::gp();
    EpcmEntry& entry = enclave.entry(page);
    if (entry.type != SGX_PT_REG && entry.type != SGX_PT_TCS && entry.type != SGX_PT_TRIM) {
        return LeafResult::fault(epcm_fault(page, PROT_READ));
    }
    if (!matches(entry, secinfo.flags)) return LeafResult::code(SGX_PAGE_ATTRIBUTES_MISMATCH);
    if (entry.type == SGX_PT_TCS && !is_acceptable_tcs(*enclave.at<sgx_tcs>(page))) {
        return LeafResult::gp();
    }
    entry.pending = 0;
    entry.modified = 0;
    entry.pr = 0;
    return LeafResult::code(SGX_SUCCESS);
}

}  // namespace sgxemu
