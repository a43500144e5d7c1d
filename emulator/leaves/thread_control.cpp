// What EENTER and ERESUME check of a TCS and of the SSA frame that an exit would write to.
#include <array>

#include "emulator/leaves/rules.hpp"
#include "emulator/machine.hpp"

namespace sgxemu {

namespace {

bool is_canonical(uint64_t address) {
    const auto top = static_cast<int64_t>(address) >> 47;
    return top == 0 || top == -1;
}

const sgx_tcs& tcs_of(const LeafRun& run) {
    return *run.enclave.at<sgx_tcs>(run.operands.rbx);
}

// Calls f(page) for every page of the frame that an exit writes to, until one returns true: the
// XSAVE area, and the page with GPRSGX and the MISC region.
template <class F>
bool any_frame_page(const LeafRun& run, F f) {
    const size_t xsave_size = machine().xsave_size(run.enclave.secs.attributes.xfrm);
    for (uint64_t offset = 0; offset < xsave_size; offset += page_size) {
        if (f(run.frame.begin + offset)) return true;
    }
    return f(run.frame.gprsgx & ~(page_size - 1));
}

}  // namespace

bool aep_is_not_canonical(LeafRun& run) {
    return !is_canonical(run.operands.rcx);
}

bool tcs_is_not_usable(LeafRun& run) {
    const EpcmEntry& entry = run.entry(run.operands.rbx);
    run.exception = epcm_fault(run.operands.rbx, PROT_READ);
    return entry.type != SGX_PT_TCS || entry.pending || entry.modified;
}

bool enclave_is_not_initialised(LeafRun& run) {
    return !run.enclave.initialized;
}

bool ssa_is_unaligned(LeafRun& run) {
    return tcs_of(run).ossa % page_size != 0;
}

bool targets_are_not_canonical(LeafRun& run) {
    const sgx_tcs& tcs = tcs_of(run);
    const uint64_t base = run.enclave.base();
    return !is_canonical(base + tcs.oentry) || !is_canonical(base + tcs.ofs_base) ||
           !is_canonical(base + tcs.ogs_base);
}

bool tcs_is_busy(LeafRun& run) {
    return run.entry(run.operands.rbx).tcs_busy;
}

bool no_free_ssa_frame(LeafRun& run) {
    const sgx_tcs& tcs = tcs_of(run);
    run.frame = ssa_frame(run.enclave, tcs, tcs.cssa);
    return tcs.cssa >= tcs.nssa;
}

bool no_used_ssa_frame(LeafRun& run) {
    const sgx_tcs& tcs = tcs_of(run);
    if (tcs.cssa == 0) return true;
    run.frame = ssa_frame(run.enclave, tcs, tcs.cssa - 1);
    return false;
}

bool frame_is_outside(LeafRun& run) {
    return any_frame_page(run, [&](uint64_t page) { return !run.enclave.contains(page); });
}

bool frame_does_not_resolve(LeafRun& run) {
    return any_frame_page(run, [&](uint64_t page) {
        const Translation translation = translate(run.enclave, page, PROT_WRITE);
        run.exception = translation.exception;
        return translation.outcome == Outcome::faults;
    });
}

bool frame_is_denied(LeafRun& run) {
    return any_frame_page(run, [&](uint64_t page) {
        run.exception = epcm_fault(page, PROT_WRITE);
        return !permits(run.entry(page), PROT_READ | PROT_WRITE);
    });
}

bool saved_state_is_not_canonical(LeafRun& run) {
    const sgx_gprsgx& gpr = *run.enclave.at<sgx_gprsgx>(run.frame.gprsgx);
    return !is_canonical(gpr.rip) || !is_canonical(gpr.fsbase) || !is_canonical(gpr.gsbase);
}

}  // namespace sgxemu
