// A three-state futex mutex (free, held, held with sleepers).
#include "emulator/lock.hpp"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sgxemu {

SignalMask set_signal_mask(SignalMask mask) {
    SignalMask previous = 0;
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &previous, sizeof(mask));
    return previous;
}

void Lock::lock() {
    uint32_t expected = 0;
    // Acquire: pairs with the release in unlock().
    if (state_.compare_exchange_strong(expected, 1, std::memory_order_acquire)) return;
    while (state_.exchange(2, std::memory_order_acquire) != 0) {
        ::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, 2, nullptr, nullptr, 0);
    }
}

bool Lock::try_lock() {
    uint32_t expected = 0;
    return state_.compare_exchange_strong(expected, 1, std::memory_order_acquire);
}

void Lock::unlock() {
    // Release: what was written under the lock is seen by the next holder's acquire.
    if (state_.exchange(0, std::memory_order_release) == 2) {
        ::syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
}

}  // namespace sgxemu
