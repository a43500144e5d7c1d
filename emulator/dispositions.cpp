// The table of the program's signal actions. Its lock is taken in handlers, too, so writers have
// signals blocked (lock.hpp).
#include "emulator/dispositions.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "emulator/entry.hpp"
#include "emulator/host.hpp"

namespace sgxemu {

namespace {

constexpr unsigned long sa_restorer = 0x04000000;
// Flags that speak to the kernel and not to whoever calls the handler.
constexpr unsigned long kernel_flags = SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT;

Lock table_lock;
std::array<KernelSigaction, last_signal + 1> wanted;  // guarded by table_lock
std::array<bool, last_signal + 1> taken;              // guarded by table_lock
std::atomic<bool> all_signals{false};

bool is_function(const KernelSigaction& action) {
    const auto handler = reinterpret_cast<__sighandler_t>(action.handler);
    return handler != SIG_DFL && handler != SIG_IGN;
}

KernelSigaction ours(const KernelSigaction& wish) {
    KernelSigaction action;
    action.handler = reinterpret_cast<void*>(sgxemu_signal_entry);
    action.flags = SA_SIGINFO | SA_ONSTACK | sa_restorer | (wish.flags & kernel_flags);
    action.restorer = sgxemu_signal_return;
    action.mask = ~SignalMask{0};
    return action;
}

// Under the lock.
int take(int signal) {
    const auto i = static_cast<size_t>(signal);
    if (taken[i]) return 0;
    KernelSigaction found;
    if (const int error = kernel_sigaction(signal, nullptr, &found)) return error;
    const KernelSigaction action = ours(found);
    if (const int error = kernel_sigaction(signal, &action, nullptr)) return error;
    wanted[i] = found;
    taken[i] = true;
    return 0;
}

bool is_on(const stack_t& stack, uint64_t address) {
    const auto begin = reinterpret_cast<uint64_t>(stack.ss_sp);
    return !(stack.ss_flags & SS_DISABLE) && address - begin < stack.ss_size;
}

}  // namespace

bool is_fault_signal(int signal) {
    return std::find(std::begin(fault_signals), std::end(fault_signals), signal) !=
           std::end(fault_signals);
}

SignalMask unblockable() {
    SignalMask mask = bit_of(interrupt_signal);
    for (const int signal : fault_signals)
        mask |= bit_of(signal);
    return mask;
}

int take_fault_signals() {
    const SignalsBlocked blocked;
    const Guard guard(table_lock);
    for (const int signal : fault_signals) {
        if (const int error = take(signal)) return error;
    }
    return take(interrupt_signal);
}

int take_all_signals() {
    if (const int error = take_fault_signals()) return error;
    for (int signal = 1; signal <= last_signal; ++signal) {
        if (signal == SIGKILL || signal == SIGSTOP) continue;
        if (const int error = adopt_handler(signal)) return error;
    }
    all_signals.store(true, std::memory_order_release);
    return 0;
}

bool has_all_signals() {
    return all_signals.load(std::memory_order_acquire);
}

int adopt_handler(int signal) {
    const SignalsBlocked blocked;
    const Guard guard(table_lock);
    KernelSigaction found;
    if (const int error = kernel_sigaction(signal, nullptr, &found)) return error;
    return is_function(found) ? take(signal) : 0;
}

int program_sigaction(int signal, const KernelSigaction* action, KernelSigaction* previous) {
    const SignalsBlocked blocked;
    const Guard guard(table_lock);
    const auto i = static_cast<size_t>(signal);
    if (signal < 1 || signal > last_signal || signal == SIGKILL || signal == SIGSTOP) {
        return kernel_sigaction(signal, action, previous);
    }
    if (previous != nullptr) {
        if (!taken[i]) {
            if (const int error = kernel_sigaction(signal, nullptr, previous)) return error;
        } else {
            *previous = wanted[i];
        }
    }
    if (action == nullptr) return 0;
    const bool is_ours =
        is_function(*action) || is_fault_signal(signal) || signal == interrupt_signal;
    const KernelSigaction installed = is_ours ? ours(*action) : *action;
    const KernelSigaction before = wanted[i];
    wanted[i] = *action;
    const int error = kernel_sigaction(signal, &installed, nullptr);
    if (error != 0) {
        wanted[i] = before;
    } else {
        taken[i] = is_ours;
    }
    return error;
}

int program_sigaltstack(const stack_t* stack, stack_t* previous) {
    const SignalsBlocked blocked;
    Thread* thread = known_thread();
    if (thread == nullptr) return host::sigaltstack(stack, previous) == 0 ? 0 : -errno;
    const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    const bool in_use = is_on(thread->program_stack, here);
    if (previous != nullptr) {
        *previous = thread->program_stack;
        if (in_use) previous->ss_flags |= SS_ONSTACK;
    }
    if (stack == nullptr) return 0;
    if (in_use) return -EPERM;
    constexpr unsigned int autodisarm = 1u << 31;
    const auto flags = static_cast<unsigned int>(stack->ss_flags) & ~autodisarm;
    if (flags != 0 && flags != SS_ONSTACK && flags != SS_DISABLE) return -EINVAL;
    if (flags != SS_DISABLE && stack->ss_size < 2048) return -ENOMEM;  // the kernel's MINSIGSTKSZ
    thread->program_stack = *stack;
    thread->program_stack.ss_flags = flags == SS_DISABLE ? SS_DISABLE : 0;
    return 0;
}

KernelSigaction take_action_for_delivery(int signal) {
    const Guard guard(table_lock);
    KernelSigaction& action = wanted[static_cast<size_t>(signal)];
    const KernelSigaction found = action;
    if (is_function(found) && (found.flags & static_cast<unsigned long>(SA_RESETHAND))) {
        action.handler = nullptr;
    }
    return found;
}

int kernel_sigaction(int signal, const KernelSigaction* action, KernelSigaction* previous) {
    const long r = ::syscall(SYS_rt_sigaction, signal, action, previous, sizeof(SignalMask));
    return r == 0 ? 0 : -errno;
}

}  // namespace sgxemu
