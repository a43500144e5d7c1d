// The C++ half of sgxemu_enter_enclave.
#include "emulator/entry.hpp"

#include <immintrin.h>

#include "emulator/transitions.hpp"

namespace sgxemu {

namespace {

__attribute__((target("fsgsbase"))) Bases read_bases() {
    return {_readfsbase_u64(), _readgsbase_u64()};
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
    Thread* thread = current_thread();
    // A trap from inside the enclave would overwrite the frames of a signal handler that runs on
    // the signal stack; such a handler cannot enter.
    if (thread == nullptr || is_on_signal_stack(*thread, rsp)) {
        *order = order_fault(general_protection());
        return;
    }
    if (leaf == SGX_ENCLU_ERESUME) {
        order->what = EntryOrder::trap;
        return;
    }
    thread->host = read_bases();
    thread->host_mask = set_signal_mask(mask_inside());
    EenterState state;
    if (const auto fault = eenter(*thread, {tcs, address_of(sgxemu_aep), rsp, rbp}, state)) {
        set_signal_mask(thread->host_mask);
        *order = order_fault(*fault);
        return;
    }
    order->what = EntryOrder::enter;
    order->rip = state.rip;
    order->fs_base = state.bases.fs;
    order->gs_base = state.bases.gs;
    order->cssa = state.cssa;
}

}  // namespace sgxemu
