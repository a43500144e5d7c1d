// The kernel's signal frame as the register file of the emulated processor.
#include "emulator/context.hpp"

#include <cstring>

#include "emulator/dispositions.hpp"
#include "emulator/machine.hpp"
#include "emulator/registry.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

struct RegisterPair {
    int greg;
    uint64_t sgx_gprsgx::*field;
};

constexpr RegisterPair registers[] = {
    {REG_RAX, &sgx_gprsgx::rax}, {REG_RCX, &sgx_gprsgx::rcx},    {REG_RDX, &sgx_gprsgx::rdx},
    {REG_RBX, &sgx_gprsgx::rbx}, {REG_RSP, &sgx_gprsgx::rsp},    {REG_RBP, &sgx_gprsgx::rbp},
    {REG_RSI, &sgx_gprsgx::rsi}, {REG_RDI, &sgx_gprsgx::rdi},    {REG_R8, &sgx_gprsgx::r8},
    {REG_R9, &sgx_gprsgx::r9},   {REG_R10, &sgx_gprsgx::r10},    {REG_R11, &sgx_gprsgx::r11},
    {REG_R12, &sgx_gprsgx::r12}, {REG_R13, &sgx_gprsgx::r13},    {REG_R14, &sgx_gprsgx::r14},
    {REG_R15, &sgx_gprsgx::r15}, {REG_EFL, &sgx_gprsgx::rflags}, {REG_RIP, &sgx_gprsgx::rip},
};

}  // namespace

void save_general_registers(const ucontext_t& context, sgx_gprsgx& gpr) {
    for (const auto& r : registers) {
        gpr.*r.field = static_cast<uint64_t>(context.uc_mcontext.gregs[r.greg]);
    }
}

// The kernel lets sigreturn change only the flags that ring 3 may change.
void load_general_registers(ucontext_t& context, const sgx_gprsgx& gpr) {
    for (const auto& r : registers) {
        context.uc_mcontext.gregs[r.greg] = static_cast<greg_t>(gpr.*r.field);
    }
}

SignalMask signal_mask_of(const ucontext_t& context) {
    SignalMask mask = 0;
    std::memcpy(&mask, &context.uc_sigmask, sizeof(mask));
    return mask;
}

void set_signal_mask_of(ucontext_t& context, SignalMask mask) {
    std::memcpy(&context.uc_sigmask, &mask, sizeof(mask));
}

void leave_enclave(Thread& thread, ucontext_t& context, Bases& bases) {
    bases = thread.host;
    if (!has_all_signals()) set_signal_mask_of(context, thread.host_mask);
    release_enclave(thread);
}

void release_enclave(Thread& thread) {
    thread.inside = 0;
    const EnclaveRef enclave(thread.enclave);
    thread.enclave = nullptr;
    const Guard guard(enclave->lock);
    // Pages come back one by one, as the next thread inside touches them.
    if (--enclave->inside == 0 && machine().config.strict) {
        static_cast<void>(
            withdraw_access(*enclave, enclave->base(), enclave->base() + enclave->size()));
    }
    enclave->entry(thread.tcs).tcs_busy = 0;
    for (uint64_t i = 0; i < enclave->secs.ssa_frame_size; ++i) {
        const uint64_t page = thread.ssa_begin + i * page_size;
        if (enclave->contains(page)) enclave->entry(page).pinned = 0;
    }
}

}  // namespace sgxemu
