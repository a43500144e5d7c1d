// Locks of the C library. Replaces musl's, which sleep by futex: an enclave's word means nothing to
// the kernel. Waiters spin, then yield to the host.
//
// The objects are the caller's, 40 bytes for a mutex and 4 for a once in both musl's and glibc's
// headers; zero is the initial state in both, and a mutex's kind stands at byte 16 as in glibc's
// static initialisers. Threads belong to the host: they cannot be created here.

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "enclave/runtime/crash.hpp"
#include "enclave/runtime/lock.hpp"
#include "enclave/runtime/thread.hpp"

using namespace sgxdl;

namespace {

struct Mutex {
    std::atomic<uint32_t> owner;  // thread index + 1, 0: free
    uint32_t depth;               // recursive: times taken beyond the first
    uint64_t unused;
    int32_t kind;
};
static_assert(sizeof(Mutex) <= sizeof(pthread_mutex_t));
static_assert(offsetof(Mutex, kind) == 16);

Mutex& of(pthread_mutex_t* mutex) {
    return *reinterpret_cast<Mutex*>(mutex);
}
uint32_t me() {
    return this_thread().index + 1;
}

// acquire: pairs with the release in unlock
bool take(std::atomic<uint32_t>& word, uint32_t value) {
    uint32_t free = 0;
    return word.compare_exchange_strong(free, value, std::memory_order_acquire);
}

void take_slowly(std::atomic<uint32_t>& word, uint32_t value) {
    for (uint32_t attempt = 0;; ++attempt) {
        for (int spin = 0; spin < 200; ++spin) {
            if (word.load(std::memory_order_relaxed) == 0 && take(word, value)) return;
            __builtin_ia32_pause();
        }
        yield_to_host(attempt);
    }
}

// 0 when the calling thread holds the mutex already and may take it again, EDEADLK when it may not,
// -1 when it does not hold it.
int taken_again(Mutex& mutex) {
    if (mutex.owner.load(std::memory_order_relaxed) != me()) return -1;
    if (mutex.kind == PTHREAD_MUTEX_ERRORCHECK) return EDEADLK;
    if (mutex.kind != PTHREAD_MUTEX_RECURSIVE) return -1;  // deadlocks, as everywhere
    ++mutex.depth;
    return 0;
}

enum : int { once_new = 0, once_running = 1, once_done = 2 };

}  // namespace

extern "C" {

int pthread_mutexattr_init(pthread_mutexattr_t* attributes) {
    *reinterpret_cast<int32_t*>(attributes) = PTHREAD_MUTEX_NORMAL;
    return 0;
}
int pthread_mutexattr_destroy(pthread_mutexattr_t*) {
    return 0;
}
int pthread_mutexattr_settype(pthread_mutexattr_t* attributes, int kind) {
    if (kind < PTHREAD_MUTEX_NORMAL || kind > PTHREAD_MUTEX_ERRORCHECK) return EINVAL;
    *reinterpret_cast<int32_t*>(attributes) = kind;
    return 0;
}

int pthread_mutex_init(pthread_mutex_t* mutex, const pthread_mutexattr_t* attributes) {
    Mutex& m = of(mutex);
    m.owner.store(0, std::memory_order_relaxed);
    m.depth = 0;
    m.unused = 0;
    m.kind = attributes == nullptr ? PTHREAD_MUTEX_NORMAL
                                   : *reinterpret_cast<const int32_t*>(attributes);
    return 0;
}
int pthread_mutex_destroy(pthread_mutex_t* mutex) {
    return of(mutex).owner.load(std::memory_order_relaxed) == 0 ? 0 : EBUSY;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
    Mutex& m = of(mutex);
    if (take(m.owner, me())) [[likely]]
        return 0;
    const int again = taken_again(m);
    if (again >= 0) return again;
    take_slowly(m.owner, me());
    return 0;
}
int pthread_mutex_trylock(pthread_mutex_t* mutex) {
    Mutex& m = of(mutex);
    if (take(m.owner, me())) return 0;
    return taken_again(m) == 0 ? 0 : EBUSY;
}
int pthread_mutex_unlock(pthread_mutex_t* mutex) {
    Mutex& m = of(mutex);
    if (m.owner.load(std::memory_order_relaxed) != me()) return EPERM;
    if (m.depth != 0) {
        --m.depth;
        return 0;
    }
    m.owner.store(0, std::memory_order_release);  // pairs with the acquire in take()
    return 0;
}

int pthread_once(pthread_once_t* control, void (*routine)()) {
    auto& state = *reinterpret_cast<std::atomic<int>*>(control);
    // acquire: pairs with the release below
    if (state.load(std::memory_order_acquire) == once_done) return 0;
    int fresh = once_new;
    if (state.compare_exchange_strong(fresh, once_running, std::memory_order_acquire)) {
        routine();
        state.store(once_done, std::memory_order_release);
        return 0;
    }
    for (uint32_t attempt = 0; state.load(std::memory_order_acquire) != once_done; ++attempt) {
        yield_to_host(attempt);
    }
    return 0;
}

pthread_t pthread_self() {
    return reinterpret_cast<pthread_t>(&this_thread());
}
int pthread_equal(pthread_t a, pthread_t b) {
    return a == b;
}

// musl's internal lock: an int, zero when free.
void __lock(volatile int* lock) {
    auto& word = *reinterpret_cast<std::atomic<uint32_t>*>(const_cast<int*>(lock));
    if (!take(word, 1)) take_slowly(word, 1);
}
void __unlock(volatile int* lock) {
    auto& word = *reinterpret_cast<std::atomic<uint32_t>*>(const_cast<int*>(lock));
    word.store(0, std::memory_order_release);  // pairs with the acquire in take()
}

// -fno-threadsafe-statics is not ours to demand of an application.
int __cxa_guard_acquire(uint64_t* guard) {
    auto& state = *reinterpret_cast<std::atomic<uint8_t>*>(guard);  // byte 0: done, as the ABI says
    auto& word = *reinterpret_cast<std::atomic<uint32_t>*>(reinterpret_cast<char*>(guard) + 4);
    if (state.load(std::memory_order_acquire) != 0) return 0;
    if (!take(word, 1)) take_slowly(word, 1);
    if (state.load(std::memory_order_acquire) == 0) return 1;
    word.store(0, std::memory_order_release);
    return 0;
}
void __cxa_guard_release(uint64_t* guard) {
    reinterpret_cast<std::atomic<uint8_t>*>(guard)->store(1, std::memory_order_release);
    reinterpret_cast<std::atomic<uint32_t>*>(reinterpret_cast<char*>(guard) + 4)
        ->store(0, std::memory_order_release);
}
void __cxa_guard_abort(uint64_t* guard) {
    reinterpret_cast<std::atomic<uint32_t>*>(reinterpret_cast<char*>(guard) + 4)
        ->store(0, std::memory_order_release);
}

}  // extern "C"
