// EMODPE: the enclave extends a page's permissions.
#include "emulator/fast/patch.hpp"
#include "emulator/leaves/leaf.hpp"

namespace sgxemu {

bool would_write_without_reading(LeafRun& run) {
    const uint64_t flags = run.secinfo.flags | run.entry(run.operands.rcx).rwx;
    return !(flags & SGX_SECINFO_R) && (run.secinfo.flags & SGX_SECINFO_W);
}

void emodpe(LeafRun& run) {
    constexpr uint64_t permissions = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;
    EpcmEntry& entry = run.entry(run.operands.rcx);
    // A page that the enclave may write holds its own bytes (enclu.cpp).
    if (run.secinfo.flags & SGX_SECINFO_W) restore_sites(run.enclave, run.operands.rcx);
    entry.rwx = static_cast<uint8_t>(entry.rwx | (run.secinfo.flags & permissions));
}

}  // namespace sgxemu
