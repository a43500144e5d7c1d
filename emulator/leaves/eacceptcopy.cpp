// EACCEPTCOPY: fills a pending page with the content of another and gives it its permissions.
//
// This is what W^X of loaded code rests on: the permissions of the destination become those of the
// SECINFO, in the same step in which the page becomes accessible.
#include <cstring>

#include "emulator/leaves/leaf.hpp"

namespace sgxemu {

namespace {

// The operand's page must be regular, settled and readable: SECINFO and source.
bool is_readable_operand(Enclave& enclave, uint64_t address) {
    return permits(enclave.entry(address), PROT_READ);
}

// An added page as EAUG left it; anything else is a mismatch, not a fault.
bool is_fresh(const EpcmEntry& entry) {
    return entry.valid && entry.pending && !entry.modified && entry.type == SGX_PT_REG &&
           entry.rwx == (SGX_SECINFO_R | SGX_SECINFO_W);
}

// The copy holds the source's own bytes, without what the emulator made of its ENCLUs.
void copy_page(Enclave& enclave, uint64_t to, uint64_t from) {
    std::memcpy(enclave.bytes(to), enclave.bytes(from), page_size);
    enclave.sites.for_each_in(from, from + page_size, [&](uintptr_t site) {
        restore_enclu(enclave.bytes(to + (site - from)));
    });
}

}  // namespace

LeafResult eacceptcopy(Enclave& enclave, const LeafOperands& operands) {
    const uint64_t info_address = operands.rbx;
    const uint64_t destination = operands.rcx;
    const uint64_t source = operands.rdx;
    Exception exception;
    if (!is_aligned(info_address, sizeof(sgx_secinfo))) return LeafResult::gp();
    if (!is_aligned(destination, page_size) || !is_aligned(source, page_size)) {
        return LeafResult::gp();
    }
    if (!enclave.contains(info_address) || !enclave.contains(destination) ||
        !enclave.contains(source)) {
        return LeafResult::gp();
    }
    if (!resolves(enclave, info_address, PROT_READ, exception) ||
        !resolves(enclave, destination, PROT_READ | PROT_WRITE, exception) ||
        !resolves(enclave, source, PROT_READ, exception)) {
        return LeafResult::fault(exception);
    }
    if (!is_readable_operand(enclave, info_address)) {
        return LeafResult::fault(epcm_fault(info_address, PROT_READ));
    }
    const sgx_secinfo secinfo = *enclave.at<sgx_secinfo>(info_address);
    const bool write_without_read =
        (secinfo.flags & SGX_SECINFO_W) && !(secinfo.flags & SGX_SECINFO_R);
    const bool is_regular = (secinfo.flags & SGX_SECINFO_PT_MASK) == SGX_SECINFO_REG;
    if (has_reserved_bits(secinfo) || write_without_read || !is_regular) return LeafResult::gp();
    if (!is_readable_operand(enclave, source)) {
        return LeafResult::fault(epcm_fault(source, PROT_READ));
    }
    EpcmEntry& entry = enclave.entry(destination);
    if (!is_fresh(entry)) return LeafResult::code(SGX_PAGE_ATTRIBUTES_MISMATCH);
    copy_page(enclave, destination, source);
    entry.rwx =
        static_cast<uint8_t>(secinfo.flags & (SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X));
    entry.pending = 0;
    return LeafResult::code(SGX_SUCCESS);
}

}  // namespace sgxemu
