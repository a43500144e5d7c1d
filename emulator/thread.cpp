// Slots are taken and given back without a lock.
#include "emulator/thread.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>

#include "emulator/fast/fast.hpp"
#include "emulator/host.hpp"
#include "emulator/thread_slots.hpp"
#include "emulator/user_dispatch.hpp"

namespace sgxemu {

std::atomic<uintptr_t> slots_begin{0};
std::atomic<size_t> slots_used{0};
std::atomic<SlotState> slot_state[slot_count];

namespace {

pid_t current_tid() {
    return static_cast<pid_t>(::syscall(SYS_gettid));
}

uintptr_t reserve_slots() {
    uintptr_t begin = slots_begin.load(std::memory_order_acquire);
    if (begin != 0) return begin;
    void* p = host::mmap(host::far_away(slot_size * slot_count), slot_size * slot_count, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return 0;
    const auto made = reinterpret_cast<uintptr_t>(p);
    // Release: pairs with the acquire loads; a loser gives its range back.
    if (slots_begin.compare_exchange_strong(begin, made, std::memory_order_acq_rel)) return made;
    host::munmap(p, slot_size * slot_count);
    return begin;
}

bool open_slot(uintptr_t slot) {
    constexpr size_t page = 4096;
    constexpr int read_write = PROT_READ | PROT_WRITE;
    return host::mprotect(reinterpret_cast<void*>(slot), page, read_write) == 0 &&
           host::mprotect(reinterpret_cast<void*>(slot + stack_offset), slot_size - stack_offset,
                          read_write) == 0;
}

Thread* take_slot(pid_t tid) {
    const uintptr_t begin = reserve_slots();
    if (begin == 0) return nullptr;
    for (size_t i = 0; i < slot_count; ++i) {
        Thread* thread = thread_in_slot(begin, i);
        SlotState state = SlotState::closed;
        if (slot_state[i].compare_exchange_strong(state, SlotState::opening)) {
            if (!open_slot(begin + i * slot_size)) return nullptr;
            new (thread) Thread;
            new (&fast_of(*thread)) FastThread;
            thread->tid.store(tid);
            slot_state[i].store(SlotState::open);
            size_t used = slots_used.load();
            while (used < i + 1 && !slots_used.compare_exchange_weak(used, i + 1)) {
            }
            return thread;
        }
        if (state != SlotState::open) continue;
        pid_t free = 0;
        if (thread->tid.compare_exchange_strong(free, tid)) return thread;
    }
    return nullptr;
}

bool set_signal_stack(Thread& thread) {
    stack_t stack{};
    stack.ss_sp = reinterpret_cast<uint8_t*>(&thread) + stack_offset;
    stack.ss_size = signal_stack_size;
    return host::sigaltstack(&stack, &thread.program_stack) == 0;
}

// Gives the slot back when the thread ends.
struct ThreadHolder {
    Thread* thread = nullptr;
    ~ThreadHolder() {
        if (thread == nullptr) return;
        host::sigaltstack(&thread->program_stack, nullptr);
        // The slot may become another thread's.
        ::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
        thread->tid.store(0);
    }
};

thread_local ThreadHolder holder;

// After fork the record is the child's, with the parent's thread id.
void adopt_in_child() {
    if (holder.thread == nullptr) return;
    holder.thread->tid.store(current_tid());
    watch_syscalls(*holder.thread);
}

}  // namespace

Thread* known_thread() {
    return holder.thread;
}

Thread* current_thread() {
    if (holder.thread != nullptr) return holder.thread;
    static const int fork_handler = ::pthread_atfork(nullptr, nullptr, adopt_in_child);
    if (fork_handler != 0) return nullptr;
    Thread* thread = take_slot(current_tid());
    if (thread == nullptr) return nullptr;
    thread->inside = 0;
    fast_of(*thread).prepared = false;
    if (!set_signal_stack(*thread)) {
        thread->tid.store(0);
        return nullptr;
    }
    watch_syscalls(*thread);
    holder.thread = thread;
    return thread;
}

bool is_on_signal_stack(const Thread& thread, uint64_t rsp) {
    const uint64_t slot = reinterpret_cast<uint64_t>(&thread);
    return rsp - (slot + stack_offset) < signal_stack_size;
}

SignalMask mask_inside() {
    constexpr auto bit = [](int signal) { return SignalMask{1} << (signal - 1); };
    constexpr SignalMask open = bit(SIGSEGV) | bit(SIGILL) | bit(SIGBUS) | bit(SIGFPE) |
                                bit(SIGTRAP) | bit(SIGSYS) | bit(interrupt_signal);
    return ~open;
}

}  // namespace sgxemu
