// EMODPE: the enclave extends a page's permissions.
#include "emulator/fast/patch.hpp"
#include "emulator/leaves/leaf.hpp"

namespace sgxemu {

LeafResult emodpe(Enclave& enclave, const LeafOperands& operands) {
    const uint64_t info_address = operands.rbx;
    const uint64_t page = operands.rcx;
    Exception exception;
    if (!is_aligned(info_address, sizeof(sgx_secinfo)) || !is_aligned(page, page_size)) {
        return LeafResult::gp();
    }
    if (!enclave.contains(info_address) || !enclave.contains(page)) return LeafResult::gp();
    if (!resolves(enclave, info_address, PROT_READ, exception) ||
        !resolves(enclave, page, PROT_READ, exception)) {
        return LeafResult::fault(exception);
    }
    if (!permits(enclave.entry(info_address), PROT_READ)) {
        return LeafResult::fault(epcm_fault(info_address, PROT_READ));
    }
    const sgx_secinfo secinfo = *enclave.at<sgx_secinfo>(info_address);
    if (has_reserved_bits(secinfo)) return LeafResult::gp();
    EpcmEntry& entry = enclave.entry(page);
    if (!is_usable(entry)) return LeafResult::fault(epcm_fault(page, PROT_READ));
    if (!(entry.rwx & SGX_SECINFO_R) && !(secinfo.flags & SGX_SECINFO_R) &&
        (secinfo.flags & SGX_SECINFO_W)) {
        return LeafResult::gp();
    }
    constexpr uint64_t permissions = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;
    // A page that the enclave may write holds its own bytes (enclu.cpp).
    if (secinfo.flags & SGX_SECINFO_W) restore_sites(enclave, page);
    entry.rwx = static_cast<uint8_t>(entry.rwx | (secinfo.flags & permissions));
    return LeafResult::silent();
}

}  // namespace sgxemu
