// A leaf that came by a stub, and the end of an EEXIT that did.
#include <atomic>

#include "emulator/context.hpp"
#include "emulator/costs.hpp"
#include "emulator/enclave.hpp"
#include "emulator/enclu.hpp"
#include "emulator/entry.hpp"
#include "emulator/fast/fast.hpp"
#include "emulator/transitions.hpp"

namespace sgxemu {

extern "C" {
extern const uint8_t sgxemu_stub[], sgxemu_stub_done[], sgxemu_stub_refused[];
void sgxemu_fast_leaf(Thread* thread, FastFrame* frame, const uint8_t* xstate);
void sgxemu_finish_exit();
}

namespace {

// Signals that came meanwhile come now.
void end_waiting(Thread& thread) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    thread.critical = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (thread.has_deferred == 0) return;
    thread.has_deferred = 0;
    set_signal_mask(thread.deferred_mask);
}

// False: it faulted.
bool run(Thread& thread, FastFrame& frame) {
    const LeafOperands operands{frame.rbx, frame.rcx, frame.rdx};
    const auto number = static_cast<uint32_t>(frame.rax);
    LeafRegisters registers{frame.rax, frame.rflags};
    if (execute_leaf(*thread.enclave, number, operands, registers)) return false;
    frame.rax = registers.rax;
    frame.rflags = registers.rflags;
    return true;
}

}  // namespace

// On the host's FS and GS; XSAVE state is saved.
void sgxemu_fast_leaf(Thread* thread, FastFrame* frame, const uint8_t* xstate) {
    const CostScope cost;
    FastThread& fast = fast_of(*thread);
    thread->critical = 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    fast.busy = 0;
    const bool done = run(*thread, *frame);
    const auto offset = (done ? sgxemu_stub_done : sgxemu_stub_refused) - sgxemu_stub;
    fast.next = fast.stub + static_cast<uint64_t>(offset);
    fast.retry = !done;
    fast.xstate = xstate;
    fast.frame = frame;
    // From here on a signal finds the end of the leaf in the frame: complete_leaf.
    end_waiting(*thread);
}

// entry.S, behind its ENCLU, on the host's FS and GS.
void sgxemu_finish_exit() {
    Thread* thread = known_thread();
    if (thread == nullptr) return;
    const CostScope cost;
    // Only then may it look: a handler completes the exit, too.
    thread->critical = 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (thread->inside == Thread::leaving) {
        charge(Charged::eexit);
        release_enclave(*thread);
    }
    end_waiting(*thread);
}

}  // namespace sgxemu
