// The lock of the emulator: a futex word, usable in signal handlers.
//
// Rule that makes it so: whoever holds one has every signal blocked whose handler could want one.
// The functions that programs call begin with SignalsBlocked; the emulator's own handlers run with
// every signal masked. So a thread never meets, in a handler, a lock that it holds itself.
// Order: the registry's lock, an enclave's, the reclaimer's, and then, only tried, another
// enclave's.
#pragma once

#include <atomic>
#include <cstdint>

namespace sgxemu {

// Kernel's sigset_t: 64 bits, not glibc's 1024.
using SignalMask = uint64_t;

// rt_sigprocmask(SIG_SETMASK) past glibc, which would keep its internal signals out of the mask.
SignalMask set_signal_mask(SignalMask mask);

class Lock {
 public:
    void lock();
    bool try_lock();
    void unlock();

 private:
    // 0 free, 1 held, 2 held and someone sleeps.
    std::atomic<uint32_t> state_{0};
};

class Guard {
 public:
    explicit Guard(Lock& lock) : lock_(lock) { lock_.lock(); }
    ~Guard() { lock_.unlock(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

 private:
    Lock& lock_;
};

// Holds the lock if it was free.
class TryGuard {
 public:
    explicit TryGuard(Lock& lock) : lock_(lock.try_lock() ? &lock : nullptr) {}
    ~TryGuard() {
        if (lock_ != nullptr) lock_->unlock();
    }
    TryGuard(const TryGuard&) = delete;
    TryGuard& operator=(const TryGuard&) = delete;
    explicit operator bool() const { return lock_ != nullptr; }

 private:
    Lock* lock_;
};

class SignalsBlocked {
 public:
    SignalsBlocked() : previous_(set_signal_mask(~SignalMask{0})) {}
    ~SignalsBlocked() { set_signal_mask(previous_); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
    SignalMask previous_;
};

}  // namespace sgxemu
