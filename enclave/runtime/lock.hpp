// Locks between the threads of an enclave. A waiter spins, then asks the host to run someone else:
// whether a lock is ever released is up to the host anyway, who schedules its holder.
#pragma once

#include <atomic>
#include <cstdint>

namespace sgxdl {

// Leaves the enclave and lets the host schedule. `attempt` grows while the caller keeps waiting.
void yield_to_host(uint32_t attempt);

class SpinLock {
 public:
    void lock() {
        // acquire: pairs with the release in unlock()
        if (held_.exchange(1, std::memory_order_acquire) == 0) [[likely]]
            return;
        lock_slow();
    }
    bool try_lock() { return held_.exchange(1, std::memory_order_acquire) == 0; }
    // release: what was done under the lock is seen by the next holder
    void unlock() { held_.store(0, std::memory_order_release); }

 private:
    void lock_slow();
    std::atomic<uint32_t> held_{0};
};

class LockGuard {
 public:
    explicit LockGuard(SpinLock& lock) : lock_(lock) { lock_.lock(); }
    ~LockGuard() { lock_.unlock(); }
    LockGuard(const LockGuard&) = delete;

 private:
    SpinLock& lock_;
};

}  // namespace sgxdl
