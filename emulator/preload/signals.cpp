// The signal functions: what the program asks for is kept by the emulator, which has the signals
// (emulator/dispositions.hpp).
#include <signal.h>

#include <cerrno>
#include <cstring>

#include "emulator/dispositions.hpp"
#include "emulator/preload/real.hpp"

namespace {

using sgxemu::KernelSigaction;
using sgxemu::SignalMask;
using sgxemu::preload::as_system_call;
using sgxemu::preload::real;

// The low 64 bits are all that the kernel has.
SignalMask mask_of(const sigset_t& set) {
    SignalMask mask = 0;
    std::memcpy(&mask, &set, sizeof(mask));
    return mask;
}

void set_mask(sigset_t& set, SignalMask mask) {
    ::sigemptyset(&set);
    std::memcpy(&set, &mask, sizeof(mask));
}

// Unblockable signals that this thread believes it has blocked.
thread_local SignalMask blocked_in_name = 0;

using ChangeMask = int(int, const sigset_t*, sigset_t*);

int change_mask(ChangeMask* next, int how, const sigset_t* set, sigset_t* previous) {
    const SignalMask in_name_before = blocked_in_name;
    sigset_t real_set;
    int result = 0;
    if (set == nullptr) {
        result = next(how, nullptr, previous);
    } else {
        const SignalMask wish = mask_of(*set);
        const SignalMask kept_open = wish & sgxemu::unblockable();
        set_mask(real_set, wish & ~sgxemu::unblockable());
        result = next(how, &real_set, previous);
        if (result != 0) return result;
        if (how == SIG_BLOCK) blocked_in_name |= kept_open;
        if (how == SIG_UNBLOCK) blocked_in_name &= ~kept_open;
        if (how == SIG_SETMASK) blocked_in_name = kept_open;
    }
    if (result == 0 && previous != nullptr) {
        set_mask(*previous, mask_of(*previous) | in_name_before);
    }
    return result;
}

__sighandler_t set_handler(int signal, __sighandler_t handler, unsigned long flags) {
    KernelSigaction action, previous;
    action.handler = reinterpret_cast<void*>(handler);
    action.flags = flags;
    if (as_system_call(sgxemu::program_sigaction(signal, &action, &previous)) != 0) return SIG_ERR;
    return reinterpret_cast<__sighandler_t>(previous.handler);
}

}  // namespace

extern "C" {

int sigaction(int signal, const struct sigaction* action, struct sigaction* previous) noexcept {
    KernelSigaction wish, found;
    // The C library keeps these two to itself.
    if (signal == 32 || signal == 33) return as_system_call(-EINVAL);
    if (action != nullptr) {
        wish.handler = reinterpret_cast<void*>(action->sa_handler);
        wish.flags = static_cast<unsigned int>(action->sa_flags);
        wish.mask = mask_of(action->sa_mask);
    }
    const int result = sgxemu::program_sigaction(signal, action != nullptr ? &wish : nullptr,
                                                 previous != nullptr ? &found : nullptr);
    if (result == 0 && previous != nullptr) {
        constexpr unsigned long sa_restorer = 0x04000000;
        previous->sa_handler = reinterpret_cast<__sighandler_t>(found.handler);
        previous->sa_flags = static_cast<int>(found.flags & ~sa_restorer);
        previous->sa_restorer = nullptr;
        set_mask(previous->sa_mask, found.mask);
    }
    return as_system_call(result);
}

__sighandler_t signal(int signal, __sighandler_t handler) noexcept {
    return set_handler(signal, handler, SA_RESTART);
}

__sighandler_t bsd_signal(int signal, __sighandler_t handler) noexcept;
__sighandler_t bsd_signal(int signal, __sighandler_t handler) noexcept {
    return set_handler(signal, handler, SA_RESTART);
}

__sighandler_t __sysv_signal(int signal, __sighandler_t handler) noexcept {
    return set_handler(signal, handler, static_cast<unsigned int>(SA_RESETHAND | SA_NODEFER));
}

__sighandler_t sysv_signal(int signal, __sighandler_t handler) noexcept {
    return __sysv_signal(signal, handler);
}

int sigaltstack(const stack_t* stack, stack_t* previous) noexcept {
    return as_system_call(sgxemu::program_sigaltstack(stack, previous));
}

int sigprocmask(int how, const sigset_t* set, sigset_t* previous) noexcept {
    static const auto next = real<ChangeMask>("sigprocmask");
    return change_mask(next, how, set, previous);
}

int pthread_sigmask(int how, const sigset_t* set, sigset_t* previous) noexcept {
    static const auto next = real<ChangeMask>("pthread_sigmask");
    return change_mask(next, how, set, previous);
}
}
