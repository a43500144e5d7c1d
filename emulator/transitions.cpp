// EENTER, EEXIT and ERESUME. AEX is in aex.cpp.
#include "emulator/transitions.hpp"

#include <algorithm>
#include <cstring>

#include "emulator/context.hpp"
#include "emulator/costs.hpp"
#include "emulator/dispositions.hpp"
#include "emulator/entry.hpp"
#include "emulator/fast/fast.hpp"
#include "emulator/hostile.hpp"
#include "emulator/leaves/rules.hpp"
#include "emulator/machine.hpp"
#include "emulator/registry.hpp"
#include "emulator/ssa.hpp"
#include "emulator/xstate.hpp"

namespace sgxemu {

namespace {

// The operand's alignment is checked before its translation.
Exception no_enclave_at(uint64_t tcs) {
    if (tcs % page_size != 0) return general_protection();
    return {vector_pf, SGX_PFEC_U, tcs};
}

// Takes the TCS; what an exit writes to stays in the EPC.
void occupy(Thread& thread, Enclave& enclave, uint64_t tcs, const SsaFrame& frame) {
    enclave.entry(tcs).tcs_busy = 1;
    ++enclave.inside;
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
    EnclaveRef enclave = find_by_address(operands.tcs);
    if (!enclave) return no_enclave_at(operands.tcs);
    {
        const Guard guard(enclave->lock);
        const HoldPages hold(*enclave);
        LeafRun run{*enclave, {operands.tcs, operands.aep, 0}};
        Exception exception;
        if (violates(SGX_ENCLU_EENTER, run, exception)) return exception;
        sgx_tcs& tcs = *enclave->at<sgx_tcs>(operands.tcs);
        const SsaFrame& frame = run.frame;

        sgx_gprsgx& gpr = *enclave->at<sgx_gprsgx>(frame.gprsgx);
        gpr.ursp = operands.rsp;
        gpr.urbp = operands.rbp;
        tcs.aep = operands.aep;
        occupy(thread, *enclave, operands.tcs, frame);
        const Bases inner{enclave->base() + tcs.ofs_base, enclave->base() + tcs.ogs_base};
        const uint64_t target = enclave->base() + tcs.oentry;
        thread.entry = {operands.rsp, operands.rbp, target, inner, tcs.cssa};
    }
    charge(Charged::eenter);
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
    charge(Charged::eexit);
    auto& gregs = context.uc_mcontext.gregs;
    gregs[REG_RIP] = gregs[REG_RBX];
    gregs[REG_EFL] &= ~static_cast<greg_t>(rflags_tf);
    gregs[REG_RCX] = static_cast<greg_t>(thread.enclave->at<sgx_tcs>(thread.tcs)->aep);
    leave_enclave(thread, context, bases);
}

std::optional<Exception> eresume(Thread& thread, ucontext_t& context, Bases& bases) {
    auto& gregs = context.uc_mcontext.gregs;
    const auto tcs_address = static_cast<uint64_t>(gregs[REG_RBX]);
    const auto aep = static_cast<uint64_t>(gregs[REG_RCX]);
    EnclaveRef enclave = find_by_address(tcs_address);
    if (!enclave) return no_enclave_at(tcs_address);
    {
        const Guard guard(enclave->lock);
        const HoldPages hold(*enclave);
        LeafRun run{*enclave, {tcs_address, aep, 0}};
        Exception exception;
        if (violates(SGX_ENCLU_ERESUME, run, exception)) return exception;
        sgx_tcs& tcs = *enclave->at<sgx_tcs>(tcs_address);
        const SsaFrame& frame = run.frame;
        sgx_gprsgx& gpr = *enclave->at<sgx_gprsgx>(frame.gprsgx);
        const uint64_t xfrm = enclave->secs.attributes.xfrm;
        if (!load_xstate(context, xfrm, enclave->bytes(frame.begin))) return general_protection();

        const auto rsp = static_cast<uint64_t>(gregs[REG_RSP]);
        const auto rbp = static_cast<uint64_t>(gregs[REG_RBP]);
        load_general_registers(context, gpr);
        set_step_flag(thread, context);
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
    charge(Charged::eresume);
    enter(thread, std::move(enclave), tcs_address, aep);
    return std::nullopt;
}

}  // namespace sgxemu
