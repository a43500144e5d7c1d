// EENTER, EEXIT and ERESUME. AEX is in aex.cpp.
#include "emulator/transitions.hpp"

#include <algorithm>
#include <cstring>

#include "emulator/context.hpp"
#include "emulator/dispositions.hpp"
#include "emulator/entry.hpp"
#include "emulator/fast/fast.hpp"
#include "emulator/machine.hpp"
#include "emulator/registry.hpp"
#include "emulator/ssa.hpp"
#include "emulator/xstate.hpp"

namespace sgxemu {

namespace {

bool is_canonical(uint64_t address) {
    const auto top = static_cast<int64_t>(address) >> 47;
    return top == 0 || top == -1;
}

// The checks on the TCS page that EENTER and ERESUME share, in the SDM's order. Under the lock.
std::optional<Exception> check_tcs(Enclave& enclave, uint64_t address) {
    const Translation translation = translate(enclave, address, PROT_READ);
    if (translation.outcome == Outcome::faults) return translation.exception;
    const EpcmEntry& entry = enclave.entry(address);
    if (entry.type != SGX_PT_TCS || entry.pending || entry.modified) {
        return epcm_fault(address, PROT_READ);
    }
    if (!enclave.initialized) return general_protection();
    const sgx_tcs& tcs = *enclave.at<sgx_tcs>(address);
    if (tcs.ossa % page_size != 0) return general_protection();
    const uint64_t target = enclave.base() + tcs.oentry;
    if (!is_canonical(target) || !is_canonical(enclave.base() + tcs.ofs_base) ||
        !is_canonical(enclave.base() + tcs.ogs_base)) {
        return general_protection();
    }
    if (entry.tcs_busy) return general_protection();
    return std::nullopt;
}

// Every page that AEX may write to must be an accessible regular page of the enclave.
std::optional<Exception> check_ssa(Enclave& enclave, const SsaFrame& frame) {
    const size_t xsave_size = machine().xsave_size(enclave.secs.attributes.xfrm);
    const auto check = [&](uint64_t address) -> std::optional<Exception> {
        if (!enclave.contains(address)) return general_protection();
        const Translation translation = translate(enclave, address, PROT_WRITE);
        if (translation.outcome == Outcome::faults) return translation.exception;
        if (!permits(enclave.entry(address), PROT_READ | PROT_WRITE)) {
            return epcm_fault(address, PROT_WRITE);
        }
        return std::nullopt;
    };
    for (uint64_t offset = 0; offset < xsave_size; offset += page_size) {
        if (const auto fault = check(frame.begin + offset)) return fault;
    }
    return check(frame.gprsgx & ~(page_size - 1));
}

// Takes the TCS; what an exit writes to stays in the EPC.
void occupy(Thread& thread, Enclave& enclave, uint64_t tcs, const SsaFrame& frame) {
    enclave.entry(tcs).tcs_busy = 1;
    thread.ssa_begin = frame.begin;
    for (uint64_t i = 0; i < enclave.secs.ssa_frame_size; ++i) {
        const uint64_t page = frame.begin + i * page_size;
        if (enclave.contains(page)) enclave.entry(page).pinned = 1;
    }
}

// Marks the thread as inside; it keeps the reference.
void enter(Thread& thread, EnclaveRef enclave, uint64_t tcs, uint64_t aep) {
    prepare_fast(thread, aep);
    thread.tcs = tcs;
    thread.enclave = enclave.release();
    // The interrupt handler on this thread reads `inside` first.
    std::atomic_signal_fence(std::memory_order_release);
    thread.inside = 1;
}

}  // namespace

std::optional<Exception> eenter(Thread& thread, const EenterOperands& operands) {
    if (operands.tcs % page_size != 0) return general_protection();
    EnclaveRef enclave = find_by_address(operands.tcs);
    if (!enclave) return Exception{vector_pf, SGX_PFEC_U, operands.tcs};
    if (!is_canonical(operands.aep)) return general_protection();
    {
        const Guard guard(enclave->lock);
        const HoldPages hold(*enclave);
        if (const auto fault = check_tcs(*enclave, operands.tcs)) return fault;
        sgx_tcs& tcs = *enclave->at<sgx_tcs>(operands.tcs);
        if (tcs.cssa >= tcs.nssa) return general_protection();
        const SsaFrame frame = ssa_frame(*enclave, tcs, tcs.cssa);
        if (const auto fault = check_ssa(*enclave, frame)) return fault;

        sgx_gprsgx& gpr = *enclave->at<sgx_gprsgx>(frame.gprsgx);
        gpr.ursp = operands.rsp;
        gpr.urbp = operands.rbp;
        tcs.aep = operands.aep;
        occupy(thread, *enclave, operands.tcs, frame);
        const Bases inner{enclave->base() + tcs.ofs_base, enclave->base() + tcs.ogs_base};
        const uint64_t target = enclave->base() + tcs.oentry;
        thread.entry = {operands.rsp, operands.rbp, target, inner, tcs.cssa};
    }
    enter(thread, std::move(enclave), operands.tcs, operands.aep);
    return std::nullopt;
}

void complete_entry(const Thread& thread, ucontext_t& context, Bases& bases) {
    const EnterState& entry = thread.entry;
    const auto& saved =
        *reinterpret_cast<const SavedRegisters*>(entry.rsp - sizeof(SavedRegisters));
    auto& gregs = context.uc_mcontext.gregs;
    const auto set = [&](int index, uint64_t value) { gregs[index] = static_cast<greg_t>(value); };
    set(REG_RDI, saved.rdi);
    set(REG_RSI, saved.rsi);
    set(REG_RDX, saved.rdx);
    set(REG_R8, saved.r8);
    set(REG_R9, saved.r9);
    set(REG_R10, saved.r10);
    set(REG_R11, saved.r11);
    set(REG_R12, saved.r12);
    set(REG_R13, saved.r13);
    set(REG_R14, saved.r14);
    set(REG_R15, saved.r15);
    set(REG_RAX, entry.cssa);
    set(REG_RBX, thread.tcs);
    set(REG_RCX, address_of(sgxemu_after_enclu));
    set(REG_RSP, entry.rsp);
    set(REG_RBP, entry.rbp);
    set(REG_RIP, entry.rip);
    bases = entry.bases;
}

void eexit(Thread& thread, ucontext_t& context, Bases& bases) {
    auto& gregs = context.uc_mcontext.gregs;
    gregs[REG_RIP] = gregs[REG_RBX];
    gregs[REG_RCX] = static_cast<greg_t>(thread.enclave->at<sgx_tcs>(thread.tcs)->aep);
    leave_enclave(thread, context, bases);
}

std::optional<Exception> eresume(Thread& thread, ucontext_t& context, Bases& bases) {
    auto& gregs = context.uc_mcontext.gregs;
    const auto tcs_address = static_cast<uint64_t>(gregs[REG_RBX]);
    const auto aep = static_cast<uint64_t>(gregs[REG_RCX]);
    if (tcs_address % page_size != 0) return general_protection();
    EnclaveRef enclave = find_by_address(tcs_address);
    if (!enclave) return Exception{vector_pf, SGX_PFEC_U, tcs_address};
    if (!is_canonical(aep)) return general_protection();
    {
        const Guard guard(enclave->lock);
        const HoldPages hold(*enclave);
        if (const auto fault = check_tcs(*enclave, tcs_address)) return fault;
        sgx_tcs& tcs = *enclave->at<sgx_tcs>(tcs_address);
        if (tcs.cssa == 0) return general_protection();
        const SsaFrame frame = ssa_frame(*enclave, tcs, tcs.cssa - 1);
        if (const auto fault = check_ssa(*enclave, frame)) return fault;
        sgx_gprsgx& gpr = *enclave->at<sgx_gprsgx>(frame.gprsgx);
        if (!is_canonical(gpr.rip) || !is_canonical(gpr.fsbase) || !is_canonical(gpr.gsbase)) {
            return general_protection();
        }
        const uint64_t xfrm = enclave->secs.attributes.xfrm;
        if (!load_xstate(context, xfrm, enclave->bytes(frame.begin))) return general_protection();

        const auto rsp = static_cast<uint64_t>(gregs[REG_RSP]);
        const auto rbp = static_cast<uint64_t>(gregs[REG_RBP]);
        load_general_registers(context, gpr);
        gpr.ursp = rsp;
        gpr.urbp = rbp;
        thread.host = bases;
        thread.host_mask = signal_mask_of(context);
        bases = {gpr.fsbase, gpr.gsbase};
        tcs.aep = aep;
        tcs.cssa -= 1;
        occupy(thread, *enclave, tcs_address, frame);
    }
    if (!has_all_signals()) set_signal_mask_of(context, mask_inside());
    enter(thread, std::move(enclave), tcs_address, aep);
    return std::nullopt;
}

}  // namespace sgxemu
