// The first thing a signal handler does, possibly on the enclave's FS: this file is compiled
// without stack protector and without sanitizers, and calls nothing.
#include <sys/syscall.h>
#include <ucontext.h>

#include "emulator/thread_slots.hpp"

namespace sgxemu {

// The record of the thread that the handler runs on, or nullptr when it has none. Called by
// entry.S.
extern "C" Thread* sgxemu_find_thread(const ucontext_t* context) {
    const uintptr_t begin = slots_begin.load(std::memory_order_acquire);
    if (begin == 0) return nullptr;
    const auto stack = reinterpret_cast<uintptr_t>(context->uc_stack.ss_sp);
    if (stack - begin < slot_size * slot_count) {
        return reinterpret_cast<Thread*>(stack - stack_offset);
    }
    // The program has put its own signal stack in the place of ours.
    pid_t tid = 0;
    asm volatile("syscall" : "=a"(tid) : "a"(SYS_gettid) : "rcx", "r11", "memory");
    const size_t used = slots_used.load(std::memory_order_acquire);
    for (size_t i = 0; i < used; ++i) {
        if (slot_state[i].load(std::memory_order_acquire) != SlotState::open) continue;
        Thread* thread = thread_in_slot(begin, i);
        if (thread->tid.load(std::memory_order_acquire) == tid) return thread;
    }
    return nullptr;
}

}  // namespace sgxemu
