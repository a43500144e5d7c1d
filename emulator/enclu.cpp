// The dispatch of ENCLU (SDM volume 3D, 38.1.2).
#include "emulator/enclu.hpp"

#include <atomic>

#include "emulator/context.hpp"
#include "emulator/costs.hpp"
#include "emulator/dispositions.hpp"
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

// The two bytes after the first, which no rewriting changes.
bool has_enclu_tail(Enclave& enclave, uint64_t rip) {
    return *enclave.bytes(rip + 1) == 0x01 && *enclave.bytes(rip + 2) == 0xd7;
}

// One byte, so that a thread executing here sees the old instruction or the new one.
void rewrite_site(Enclave& enclave, uint64_t rip) {
    const Guard guard(enclave.lock);
    if (!permits(enclave.entry(rip), PROT_EXEC)) return;
    // A page that the enclave may write is left alone: it would find bytes it never wrote.
    if (permits(enclave.entry(rip), PROT_WRITE)) return;
    if (!enclave.sites.insert(rip)) return;
    std::atomic_ref<uint8_t>(*enclave.bytes(rip)).store(hlt_byte, std::memory_order_release);
}

// How a leaf ends that is not an exception.
enum class Ends : uint8_t {
    with_code,
    silently
};  // RAX and ZF say how it went; no register changes

struct LeafEntry {
    void (*effect)(LeafRun&);
    Ends ends;
    bool changes_page;  // the page at RCX, whose protection then follows
    Charged cost;
};

// By leaf number; EENTER, ERESUME and EEXIT are transitions.
constexpr LeafEntry leaves[] = {
    {ereport, Ends::silently, false, Charged::ereport},
    {egetkey, Ends::with_code, false, Charged::egetkey},
    {nullptr, Ends::silently, false, Charged::count},
    {nullptr, Ends::silently, false, Charged::count},
    {nullptr, Ends::silently, false, Charged::count},
    {eaccept, Ends::with_code, true, Charged::eaccept},
    {emodpe, Ends::silently, true, Charged::emodpe},
    {eacceptcopy, Ends::with_code, true, Charged::eacceptcopy},
};

void finish(ucontext_t& context, Ends ends, uint64_t code) {
    auto& gregs = context.uc_mcontext.gregs;
    gregs[REG_RIP] += static_cast<greg_t>(enclu_length);
    if (ends == Ends::silently) return;
    gregs[REG_RAX] = static_cast<greg_t>(code);
    uint64_t flags = reg(context, REG_EFL) & ~rflags_arithmetic;
    if (code != SGX_SUCCESS) flags |= rflags_zf;
    gregs[REG_EFL] = static_cast<greg_t>(flags);
}

// Returns the exception, or the code that RAX gets. The host's page tables are brought in line
// while the lock is held; should that fail (the mapping limit), the access that follows finds out
// and faults as for a lack of EPC.
std::optional<Exception> run_leaf(Enclave& enclave, uint32_t number, const LeafOperands& operands,
                                  uint64_t& code) {
    const Guard guard(enclave.lock);
    const HoldPages hold(enclave);
    const LeafEntry& leaf = leaves[number];
    LeafRun run{enclave, operands};
    code = SGX_SUCCESS;
    if (const Rule* rule = find_violation(number, run)) {
        if (rule->verdict == Verdict::gp) return general_protection();
        if (rule->verdict == Verdict::fault) return run.exception;
        code = rule->error;
        return std::nullopt;
    }
    leaf.effect(run);
    if (leaf.changes_page) {
        static_cast<void>(apply_protection(enclave, operands.rcx, operands.rcx + page_size));
    }
    return std::nullopt;
}

}  // namespace

namespace {

// The bytes of the instruction at RIP, which another thread's needs may have driven out of the EPC
// since it trapped; nullopt: they cannot be had.
std::optional<uint8_t> first_byte_of_enclu(Enclave& enclave, uint64_t rip) {
    const Guard guard(enclave.lock);
    const HoldPages hold(enclave);
    for (const uint64_t address : {rip, rip + enclu_length - 1}) {
        if (!enclave.entry(address).exists()) return std::nullopt;
        if (!fetch_page(enclave, address & ~(page_size - 1))) return std::nullopt;
        enclave.hold(address & ~(page_size - 1));
    }
    if (!has_enclu_tail(enclave, rip)) return std::nullopt;
    return *enclave.bytes(rip);
}

}  // namespace

bool trapped_on_enclu(Thread& thread, const ucontext_t& context, uint8_t vector) {
    Enclave& enclave = *thread.enclave;
    const uint64_t rip = reg(context, REG_RIP);
    if (!enclave.contains(rip) || !enclave.contains(rip + enclu_length - 1)) return false;
    if (vector != vector_gp && vector != vector_ud) return false;
    const std::optional<uint8_t> first = first_byte_of_enclu(enclave, rip);
    if (!first) return false;
    if (vector == vector_gp) return first == hlt_byte && enclave.sites.contains(rip);
    // Between this thread's #UD and now another one may have rewritten the site.
    if (first == hlt_byte && enclave.sites.contains(rip)) return true;
    if (first != enclu_first_byte) return false;
    if (machine().config.rewrite_enclu) rewrite_site(enclave, rip);
    return true;
}

std::optional<Exception> execute_enclu_inside(Thread& thread, ucontext_t& context, Bases& bases) {
    const auto number = static_cast<uint32_t>(reg(context, REG_RAX));
    if (number == SGX_ENCLU_EEXIT) {
        charge(Charged::eexit);
        eexit(thread, context, bases);
        return std::nullopt;
    }
    if (number >= std::size(leaves) || leaves[number].effect == nullptr) {
        return general_protection();
    }
    const LeafOperands operands{reg(context, REG_RBX), reg(context, REG_RCX),
                                reg(context, REG_RDX)};
    charge(leaves[number].cost);
    uint64_t code = SGX_SUCCESS;
    if (const auto fault = run_leaf(*thread.enclave, number, operands, code)) return fault;
    finish(context, leaves[number].ends, code);
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
    set_step_flag(context);
    if (!has_all_signals()) set_signal_mask_of(context, mask_inside());
    return std::nullopt;
}

}  // namespace sgxemu
