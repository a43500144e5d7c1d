// EACCEPTCOPY: fills a pending page with the content of another and gives it its permissions.
//
// This is what W^X of loaded code rests on: the permissions of the destination become those of the
// SECINFO, in the same step in which the page becomes accessible.
#include <cstring>

#include "emulator/leaves/leaf.hpp"

namespace sgxemu {

namespace {

// The copy holds the source's own bytes, without what the emulator made of its ENCLUs.
void copy_page(Enclave& enclave, uint64_t to, uint64_t from) {
    std::memcpy(enclave.bytes(to), enclave.bytes(from), page_size);
    enclave.sites.for_each_in(from, from + page_size, [&](uintptr_t site) {
        restore_enclu(enclave.bytes(to + (site - from)));
    });
}

}  // namespace

// An added page as EAUG left it; anything else is a mismatch, not a fault.
bool destination_is_not_fresh(LeafRun& run) {
    const EpcmEntry& entry = run.entry(run.operands.rcx);
    return !entry.pending || entry.modified || entry.type != SGX_PT_REG ||
           entry.rwx != (SGX_SECINFO_R | SGX_SECINFO_W);
}

void eacceptcopy(LeafRun& run) {
    constexpr uint64_t permissions = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;
    EpcmEntry& entry = run.entry(run.operands.rcx);
    copy_page(run.enclave, run.operands.rcx, run.operands.rdx);
    entry.rwx = static_cast<uint8_t>(run.secinfo.flags & permissions);
    entry.pending = 0;
    if (run.enclave.watch) {
        run.enclave.watch->accepted(run.enclave.index_of(run.operands.rcx),
                                    (entry.rwx & SGX_SECINFO_X) != 0);
    }
}

}  // namespace sgxemu
