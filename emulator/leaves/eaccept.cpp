// EACCEPT: the enclave agrees to what the OS did to a page (added, restricted, retyped).
#include "emulator/leaves/leaf.hpp"

namespace sgxemu {

// What can be accepted: an added or restricted regular page, a retyped one.
bool request_is_not_acceptable(LeafRun& run) {
    const uint64_t flags = run.secinfo.flags;
    const uint64_t type = flags & SGX_SECINFO_PT_MASK;
    const bool modified = (flags & SGX_SECINFO_MODIFIED) != 0;
    if (type == SGX_SECINFO_REG) {
        return (flags & (SGX_SECINFO_PR | SGX_SECINFO_PENDING)) == 0 || modified;
    }
    const bool is_retyped = type == SGX_SECINFO_TCS || type == SGX_SECINFO_TRIM;
    return !is_retyped || (flags & (SGX_SECINFO_PR | SGX_SECINFO_PENDING)) || !modified;
}

// PR is not compared: an EMODPR that changed nothing is accepted like one that did.
bool page_differs_from_request(LeafRun& run) {
    constexpr uint64_t permissions = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;
    const EpcmEntry& entry = run.entry(run.operands.rcx);
    const uint64_t flags = run.secinfo.flags;
    return (entry.pending != 0) != ((flags & SGX_SECINFO_PENDING) != 0) ||
           (entry.modified != 0) != ((flags & SGX_SECINFO_MODIFIED) != 0) ||
           entry.rwx != (flags & permissions) ||
           uint64_t{entry.type} << SGX_SECINFO_PT_SHIFT != (flags & SGX_SECINFO_PT_MASK);
}

// A page becomes a thread's entry point: it must hold a well-formed, idle TCS. The SDM also wants
// CSSA below NSSA, which a page of zeroes fails; but Intel's memory manager tests on hardware that
// one is accepted. (EENTER refuses it in any case.)
bool tcs_is_not_acceptable(LeafRun& run) {
    if (run.entry(run.operands.rcx).type != SGX_PT_TCS) return false;
    const sgx_tcs& tcs = *run.enclave.at<sgx_tcs>(run.operands.rcx);
    for (const uint8_t byte : tcs.reserved) {
        if (byte != 0) return true;
    }
    return tcs.flags != 0 || tcs.cssa > tcs.nssa || tcs.aep != 0 || tcs.state != 0;
}

namespace {

void note_acceptance(LeafRun& run) {
    if (!run.enclave.watch) return;
    const EpcmEntry& entry = run.entry(run.operands.rcx);
    const size_t page = run.enclave.index_of(run.operands.rcx);
    if (entry.pending) run.enclave.watch->accepted(page, false);
    if (entry.type == SGX_PT_TRIM) run.enclave.watch->given_back(page);
}

}  // namespace

void eaccept(LeafRun& run) {
    note_acceptance(run);
    EpcmEntry& entry = run.entry(run.operands.rcx);
    entry.pending = 0;
    entry.modified = 0;
    entry.pr = 0;
}

}  // namespace sgxemu
