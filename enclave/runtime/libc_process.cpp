// The C library's ways out, its clocks, and the compiler's runtime checks.
//
// Time comes from the host: it may stand still, jump or lie. Nothing of the loader's safety rests
// on it.

#include <sys/time.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "enclave/interface/runtime_calls.hpp"
#include "enclave/loader/platform.hpp"
#include "enclave/runtime/crash.hpp"
#include "enclave/runtime/lock.hpp"
#include "enclave/runtime/ocall.hpp"

using namespace sgxdl;

#define END_OF_ENCLAVE(text) \
    crash(CrashKind::abort, text, reinterpret_cast<uint64_t>(__builtin_return_address(0)))

extern "C" {

void abort() {
    END_OF_ENCLAVE("abort");
}
void exit(int) {
    END_OF_ENCLAVE("exit");
}
void _Exit(int) {
    END_OF_ENCLAVE("_Exit");
}
void _exit(int) {
    END_OF_ENCLAVE("_exit");
}

[[noreturn]] void __assert_fail(const char* condition, const char* file, int line, const char*) {
    platform_abort(condition, file, line);
}
[[noreturn]] void __stack_chk_fail() {
    END_OF_ENCLAVE("stack smashing detected");
}
[[noreturn]] void __chk_fail() {
    END_OF_ENCLAVE("buffer overflow detected");
}
[[noreturn]] void __cxa_pure_virtual() {
    END_OF_ENCLAVE("pure virtual function called");
}
int raise(int) {
    END_OF_ENCLAVE("raise");
}

// An enclave has no end at which destructors or handlers would run.
int atexit(void (*)()) {
    return 0;
}
int __cxa_atexit(void (*)(void*), void*, void*) {
    return 0;
}
extern void* __dso_handle;
void* __dso_handle = nullptr;

int clock_gettime(clockid_t clock, struct timespec* time) {
    if (clock < 0 || clock > CLOCK_TAI) {
        errno = EINVAL;
        return -1;
    }
    const OcallAnswer now = ocall<Clock>(static_cast<uint32_t>(clock));
    if (!now.ok) {
        errno = EIO;
        return -1;
    }
    time->tv_sec = now.value / 1'000'000'000;
    time->tv_nsec = now.value % 1'000'000'000;
    return 0;
}
int __clock_gettime(clockid_t clock, struct timespec* time) {
    return clock_gettime(clock, time);
}

time_t time(time_t* result) {
    timespec now;
    const time_t seconds = clock_gettime(CLOCK_REALTIME, &now) == 0 ? now.tv_sec : time_t{-1};
    if (result != nullptr) *result = seconds;
    return seconds;
}

int gettimeofday(struct timeval* result, void*) {
    timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return 0;
}

clock_t clock() {
    timespec now;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) return -1;
    return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

int sched_yield() {
    yield_to_host(0);
    return 0;
}

// There are no processes, no environment and no cancellation.
pid_t getpid() {
    return 1;
}
char* getenv(const char*) {
    return nullptr;
}
char* secure_getenv(const char*) {
    return nullptr;
}
int nanosleep(const struct timespec* wanted, struct timespec* rest) {
    int64_t left = wanted->tv_sec * 1'000'000 + (wanted->tv_nsec + 999) / 1000;
    while (left > 0) {
        const uint32_t part = left < 1'000'000 ? static_cast<uint32_t>(left) : 1'000'000u;
        (void)ocall<ThreadWait>(uint32_t{0xffffffff}, part);
        left -= part;
    }
    if (rest != nullptr) rest->tv_sec = rest->tv_nsec = 0;
    return 0;
}

}  // extern "C"
