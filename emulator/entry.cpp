// The C++ half of sgxemu_enter_enclave.
#include "emulator/entry.hpp"

#include <immintrin.h>

#include <atomic>

#include "emulator/costs.hpp"
#include "emulator/dispositions.hpp"
#include "emulator/hostile.hpp"
#include "emulator/hostile_ocalls.hpp"
#include "emulator/transitions.hpp"

namespace sgxemu {

namespace {

__attribute__((target("fsgsbase"))) Bases read_bases() {
    return {_readfsbase_u64(), _readgsbase_u64()};
}

// Between these no handler of the program's runs on this thread. When all signals are the
// emulator's, one that comes is put off, which costs no system call when none comes.
void begin_critical(Thread& thread) {
    if (!has_all_signals()) {
        thread.host_mask = set_signal_mask(~unblockable());
        return;
    }
    thread.critical = 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

void end_critical(Thread& thread, SignalMask mask) {
    if (!has_all_signals()) {
        set_signal_mask(mask);
        return;
    }
    // The handler on this thread sees what came before.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    thread.critical = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (thread.has_deferred == 0) return;
    thread.has_deferred = 0;
    set_signal_mask(thread.deferred_mask);
}

EntryOrder order_fault(const Exception& exception) {
    EntryOrder order;
    order.vector = exception.vector;
    order.error_code = exception.error_code;
    order.address = exception.address & ~(page_size - 1);
    return order;
}

}  // namespace

// `rsp` and `rbp` are the values at the ENCLU. ERESUME is left to the trap at the AEP, since it has
// to load every register.
extern "C" void sgxemu_prepare_entry(EntryOrder* order, uint64_t leaf, uint64_t tcs, uint64_t rsp,
                                     uint64_t rbp) {
    const CostScope cost;
    Thread* thread = current_thread();
    // A trap from inside the enclave would overwrite the frames of a signal handler that runs on
    // the signal stack; such a handler cannot enter.
    if (thread == nullptr || is_on_signal_stack(*thread, rsp)) {
        *order = order_fault(general_protection());
        return;
    }
    if (leaf == SGX_ENCLU_EENTER && are_ocalls_spoiled()) {
        const auto& saved = *reinterpret_cast<const SavedRegisters*>(rsp - sizeof(SavedRegisters));
        spoil_ocall_answer(tcs, saved.rdi, saved.rsi);
    }
    // The trap flag can be set only by a handler.
    if (leaf == SGX_ENCLU_ERESUME || is_stepping()) {
        order->what = EntryOrder::trap;
        return;
    }
    begin_critical(*thread);
    thread->stepped = 0;
    thread->host = read_bases();
    const EenterOperands operands{tcs, address_of(sgxemu_aep), rsp, rbp};
    if (const auto fault = eenter(*thread, operands)) {
        end_critical(*thread, thread->host_mask);
        *order = order_fault(*fault);
        return;
    }
    const EnterState& state = thread->entry;
    order->what = EntryOrder::enter;
    order->rip = state.rip;
    order->fs_base = state.bases.fs;
    order->gs_base = state.bases.gs;
    order->cssa = state.cssa;
    order->syscalls = &thread->syscalls;
    // From here to the jump an interrupt finds all it needs in thread->entry.
    end_critical(*thread, mask_inside());
}

}  // namespace sgxemu
