// What the kernel would do with the program's own disposition of a signal.
#include "emulator/chain.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "emulator/context.hpp"

namespace sgxemu {

namespace {

std::array<KernelSigaction, 65> previous_action;

SignalMask bit_of(int signal) {
    return SignalMask{1} << (signal - 1);
}

// A fault restarts and comes again, now with the default action; anything else is sent again.
void let_default_happen(int signal, const siginfo_t& info) {
    const KernelSigaction by_default{};
    kernel_sigaction(signal, &by_default, nullptr);
    const bool comes_again = info.si_code > 0 && signal != SIGTRAP;
    if (!comes_again) ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), signal);
}

}  // namespace

int kernel_sigaction(int signal, const KernelSigaction* action, KernelSigaction* previous) {
    const long r = ::syscall(SYS_rt_sigaction, signal, action, previous, sizeof(SignalMask));
    return r == 0 ? 0 : -errno;
}

int replace_handler(int signal, const KernelSigaction& action) {
    KernelSigaction found;
    if (const int error = kernel_sigaction(signal, nullptr, &found)) return error;
    if (found.handler == action.handler) return 0;
    previous_action[static_cast<size_t>(signal)] = found;
    return kernel_sigaction(signal, &action, nullptr);
}

void chain_signal(int signal, siginfo_t& info, ucontext_t& context) {
    KernelSigaction& previous = previous_action[static_cast<size_t>(signal)];
    const auto handler = reinterpret_cast<__sighandler_t>(previous.handler);
    if (handler == SIG_IGN && info.si_code <= 0) return;
    // The kernel does not let a fault be ignored.
    if (handler == SIG_DFL || handler == SIG_IGN) return let_default_happen(signal, info);
    const KernelSigaction action = previous;
    if (action.flags & static_cast<unsigned long>(SA_RESETHAND)) previous.handler = nullptr;
    SignalMask mask = signal_mask_of(context) | action.mask;
    if (!(action.flags & SA_NODEFER)) mask |= bit_of(signal);
    const SignalMask all = set_signal_mask(mask);
    if (action.flags & SA_SIGINFO) {
        using Handler = void (*)(int, siginfo_t*, void*);
        reinterpret_cast<Handler>(action.handler)(signal, &info, &context);
    } else {
        handler(signal);
    }
    set_signal_mask(all);
}

}  // namespace sgxemu
