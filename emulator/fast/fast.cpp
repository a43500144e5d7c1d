// The fast path's C++: what a thread needs for it, and how a signal handler finds its way out.
#include "emulator/fast/fast.hpp"

#include <cstdlib>
#include <cstring>

#include "emulator/context.hpp"
#include "emulator/dispositions.hpp"
#include "emulator/enclave.hpp"
#include "emulator/enclu.hpp"
#include "emulator/entry.hpp"
#include "emulator/fast/identity.hpp"
#include "emulator/fast/stub.hpp"
#include "emulator/machine.hpp"
#include "emulator/thread_slots.hpp"
#include "emulator/xstate.hpp"

namespace sgxemu {

namespace {

uint64_t reg(const ucontext_t& context, int index) {
    return static_cast<uint64_t>(context.uc_mcontext.gregs[index]);
}

void set(ucontext_t& context, int index, uint64_t value) {
    context.uc_mcontext.gregs[index] = static_cast<greg_t>(value);
}

// AX as lahf and seto left it.
void restore_flags(ucontext_t& context, uint64_t ax) {
    const uint64_t saved = (ax >> 8 & 0xff & rflags_arithmetic) | ((ax & 1) ? rflags_of : 0);
    set(context, REG_EFL, (reg(context, REG_EFL) & ~rflags_arithmetic) | saved);
}

// Back to the ENCLU: nothing has happened.
void roll_back(const FastThread& fast, const EncluStubs::Found& at, ucontext_t& context) {
    const uint64_t rax = reg(context, REG_RAX), rcx = reg(context, REG_RCX);
    switch (at.range.kind) {
        case SWAPPED:
            set(context, REG_RAX, rcx + at.range.value);
            set(context, REG_RCX, rax);
            break;
        case RCX_IN_RAX:
            set(context, REG_RAX, at.range.value);
            set(context, REG_RCX, rax);
            break;
        case FOUND:
            set(context, REG_RAX, fast.rax);
            set(context, REG_RCX, rax);
            break;
        case FLAGS_SAVED:
            restore_flags(context, fast.flags);
            [[fallthrough]];
        case SAVED:
            set(context, REG_RAX, fast.rax);
            set(context, REG_RCX, fast.rcx);
            break;
        default:
            break;
    }
    set(context, REG_RIP, at.site);
}

// The leaf has run, and what it leaves behind is in its frame.
void complete_leaf(const FastThread& fast, ucontext_t& context, Bases& bases) {
    const FastFrame& frame = *fast.frame;
    const std::pair<int, uint64_t> values[] = {
        {REG_RAX, frame.rax},    {REG_RCX, frame.rcx}, {REG_RBX, frame.rbx}, {REG_RDX, frame.rdx},
        {REG_RSI, frame.rsi},    {REG_RDI, frame.rdi}, {REG_RBP, frame.rbp}, {REG_R8, frame.r8},
        {REG_R9, frame.r9},      {REG_R10, frame.r10}, {REG_R11, frame.r11}, {REG_R12, frame.r12},
        {REG_R13, frame.r13},    {REG_R14, frame.r14}, {REG_R15, frame.r15}, {REG_RSP, fast.rsp},
        {REG_EFL, frame.rflags},
    };
    for (const auto& [index, value] : values)
        set(context, index, value);
    set(context, REG_RIP, enclu_of_stub(fast.stub) + (fast.retry ? 0 : enclu_length));
    bases = {frame.fs, frame.gs};
    static_cast<void>(load_xstate(context, fast.xfrm, fast.xstate));
}

}  // namespace

void start_fast() {
    Machine& m = machine();
    EncluEntry entry = m.config.entry;
    if (entry == EncluEntry::by_environment) {
        const char* text = std::getenv("SGXEMU_ENTRY");
        const bool is_trap = text != nullptr && std::strcmp(text, "trap") == 0;
        entry = is_trap ? EncluEntry::trap : EncluEntry::fast;
    }
    const bool wanted = entry == EncluEntry::fast && m.config.rewrite_enclu &&
                        m.xsave_size(m.xfrm_supported) <= FAST_XSAVE_SIZE;
    m.is_fast.store(wanted && start_identities(), std::memory_order_relaxed);
}

bool fast_is_on() {
    return machine().is_fast.load(std::memory_order_relaxed);
}

void prepare_fast(Thread& thread, uint64_t aep) {
    if (!fast_is_on()) return;
    FastThread& fast = fast_of(thread);
    if (!fast.prepared) {
        fast.stack = reinterpret_cast<uint64_t>(&thread) + slot_size;
        fast.xfrm = machine().xfrm_supported;
        fast.after = address_of(sgxemu_after_enclu);
        take_identity(thread);
        fast.prepared = true;
    }
    fast.exit_allowed = has_all_signals();
    fast.aep = aep;
    fast.frame = nullptr;
}

bool settle(Thread& thread, ucontext_t& context, Bases& bases, bool& in_stub) {
    in_stub = false;
    if (thread.enclave->contains(reg(context, REG_RIP))) return false;
    const FastThread& fast = fast_of(thread);
    EncluStubs::Found at;
    in_stub = thread.enclave->stubs.find(reg(context, REG_RIP), at) && at.range.kind != LEAF_DONE;
    if (in_stub) {
        roll_back(fast, at, context);
    } else if (fast.frame != nullptr) {
        complete_leaf(fast, context, bases);
    } else {
        return false;
    }
    return true;
}

void settle_exit(Thread& thread, ucontext_t& context, Bases& bases) {
    const FastThread& fast = fast_of(thread);
    bases = thread.host;
    EncluStubs::Found at;
    if (!thread.enclave->stubs.find(reg(context, REG_RIP), at)) return;
    restore_flags(context, fast.flags);
    set(context, REG_RAX, SGX_ENCLU_EEXIT);
    set(context, REG_RCX, fast.aep);
    set(context, REG_RIP, reg(context, REG_RBX));
}

}  // namespace sgxemu
