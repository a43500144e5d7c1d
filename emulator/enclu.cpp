// The dispatch of ENCLU (SDM volume 3D, 38.1.2).
#include "emulator/enclu.hpp"

#include <atomic>

#include "emulator/context.hpp"
#include "emulator/costs.hpp"
#include "emulator/dispositions.hpp"
#include "emulator/fast/fast.hpp"
#include "emulator/fast/patch.hpp"
#include "emulator/hostile.hpp"
#include "emulator/leaves/leaf.hpp"
#include "emulator/machine.hpp"
#include "emulator/paging.hpp"
#include "emulator/transitions.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

uint64_t reg(const ucontext_t& context, int index) {
    return static_cast<uint64_t>(context.uc_mcontext.gregs[index]);
}

bool is_enclu(Enclave& enclave, uint64_t rip) {
    return *enclave.bytes(rip) == enclu_first_byte && *enclave.bytes(rip + 1) == 0x01 &&
           *enclave.bytes(rip + 2) == 0xd7;
}

// One byte, so that a thread executing here sees the old instruction or the new one. Under the
// lock.
void rewrite_site(Enclave& enclave, uint64_t rip) {
    if (!permits(enclave.entry(rip), PROT_EXEC)) return;
    // A page that the enclave may write is left alone: it would find bytes it never wrote.
    if (permits(enclave.entry(rip), PROT_WRITE)) return;
    if (!enclave.sites.insert(rip)) return;
    std::atomic_ref<uint8_t>(*enclave.bytes(rip)).store(hlt_byte, std::memory_order_release);
}

struct LeafEntry {
    void (*effect)(LeafRun&);
    bool has_code;      // RAX and ZF say how it went; otherwise no register changes
    bool changes_page;  // the page at RCX, whose protection then follows
    Charged cost;
};

// By leaf number; EENTER, ERESUME and EEXIT are transitions.
constexpr LeafEntry leaves[] = {
    {ereport, false, false, Charged::ereport}, {egetkey, true, false, Charged::egetkey},
    {nullptr, false, false, Charged::count},   {nullptr, false, false, Charged::count},
    {nullptr, false, false, Charged::count},   {eaccept, true, true, Charged::eaccept},
    {emodpe, false, true, Charged::emodpe},    {eacceptcopy, true, true, Charged::eacceptcopy},
};

// The page of the instruction at RIP, which another thread's needs may have driven out of the EPC
// since it trapped. False: it cannot be had. Under the lock.
bool fetch_instruction(Enclave& enclave, uint64_t rip) {
    for (const uint64_t address : {rip, rip + enclu_length - 1}) {
        if (!enclave.entry(address).exists()) return false;
        if (!fetch_page(enclave, address & ~(page_size - 1))) return false;
        enclave.hold(address & ~(page_size - 1));
    }
    return true;
}

}  // namespace

// Between this thread's trap and now another one may have rewritten the site, or given it back its
// bytes: ENCLU's own are always #UD on the host.
bool trapped_on_enclu(Thread& thread, const ucontext_t& context, uint8_t vector) {
    Enclave& enclave = *thread.enclave;
    const uint64_t rip = reg(context, REG_RIP);
    if (!enclave.contains(rip) || !enclave.contains(rip + enclu_length - 1)) return false;
    if (vector != vector_gp && vector != vector_ud) return false;
    const Guard guard(enclave.lock);
    const HoldPages hold(enclave);
    if (!fetch_instruction(enclave, rip)) return false;
    if (enclave.sites.contains(rip)) {
        if (enclave.sites.may_jump(rip) && fast_is_on()) make_jump(enclave, rip);
        return true;
    }
    if (!is_enclu(enclave, rip)) return false;
    if (machine().config.rewrite_enclu) rewrite_site(enclave, rip);
    return true;
}

// The host's page tables are brought in line while the lock is held; should that fail (the
// mapping limit), the access that follows finds out and faults as for a lack of EPC.
std::optional<Exception> execute_leaf(Enclave& enclave, uint32_t number,
                                      const LeafOperands& operands, LeafRegisters& registers) {
    if (number >= std::size(leaves) || leaves[number].effect == nullptr) {
        return general_protection();
    }
    const LeafEntry& leaf = leaves[number];
    charge(leaf.cost);
    const Guard guard(enclave.lock);
    const HoldPages hold(enclave);
    LeafRun run{enclave, operands};
    uint64_t code = SGX_SUCCESS;
    if (const Rule* rule = find_violation(number, run)) {
        if (rule->verdict == Verdict::gp) return general_protection();
        if (rule->verdict == Verdict::fault) return run.exception;
        code = rule->error;
    } else {
        leaf.effect(run);
        if (leaf.changes_page) {
            static_cast<void>(apply_protection(enclave, operands.rcx, operands.rcx + page_size));
        }
    }
    if (leaf.has_code) {
        registers.rax = code;
        registers.rflags &= ~rflags_arithmetic;
        if (code != SGX_SUCCESS) registers.rflags |= rflags_zf;
    }
    return std::nullopt;
}

std::optional<Exception> execute_enclu_inside(Thread& thread, ucontext_t& context, Bases& bases) {
    const auto number = static_cast<uint32_t>(reg(context, REG_RAX));
    if (number == SGX_ENCLU_EEXIT) {
        eexit(thread, context, bases);
        return std::nullopt;
    }
    const LeafOperands operands{reg(context, REG_RBX), reg(context, REG_RCX),
                                reg(context, REG_RDX)};
    LeafRegisters registers{reg(context, REG_RAX), reg(context, REG_EFL)};
    if (const auto fault = execute_leaf(*thread.enclave, number, operands, registers)) return fault;
    auto& gregs = context.uc_mcontext.gregs;
    gregs[REG_RIP] += static_cast<greg_t>(enclu_length);
    gregs[REG_RAX] = static_cast<greg_t>(registers.rax);
    gregs[REG_EFL] = static_cast<greg_t>(registers.rflags);
    return std::nullopt;
}

std::optional<Exception> execute_enclu_outside(Thread& thread, ucontext_t& context, Bases& bases) {
    const auto number = static_cast<uint32_t>(reg(context, REG_RAX));
    if (number == SGX_ENCLU_ERESUME) return eresume(thread, context, bases);
    if (number != SGX_ENCLU_EENTER) return general_protection();
    const uint64_t tcs = reg(context, REG_RBX);
    const EenterOperands operands{tcs, reg(context, REG_RCX), reg(context, REG_RSP),
                                  reg(context, REG_RBP)};
    thread.host = bases;
    thread.host_mask = signal_mask_of(context);
    if (const auto fault = eenter(thread, operands)) return fault;
    auto& gregs = context.uc_mcontext.gregs;
    const EnterState& state = thread.entry;
    gregs[REG_RAX] = static_cast<greg_t>(state.cssa);
    gregs[REG_RCX] = gregs[REG_RIP] + static_cast<greg_t>(enclu_length);
    gregs[REG_RIP] = static_cast<greg_t>(state.rip);
    bases = state.bases;
    set_step_flag(thread, context);
    if (!has_all_signals()) set_signal_mask_of(context, mask_inside());
    return std::nullopt;
}

}  // namespace sgxemu
