// Random bytes from the processor, and libsodium's random interface on top of them.
//
// libsodium's own source asks the kernel and is not linked. RDSEED is preferred, RDRAND is the
// fallback; both are retried (Intel's guide: ten times for RDRAND, RDSEED may run dry for longer).
// Its CPU detection is not linked either: without it every primitive stays on its portable code.

#include <sodium/randombytes.h>

#include <cerrno>
#include <cstring>

#include "enclave/runtime/crash.hpp"
#include "enclave/runtime/runtime.hpp"

namespace sgxdl {

namespace {

bool random_word(uint64_t& word) {
    unsigned long long value;
    unsigned char ok;
    for (int attempt = 0; attempt < 100; ++attempt) {
        asm volatile("rdseed %0; setc %1" : "=r"(value), "=qm"(ok) : : "cc");
        if (ok != 0) {
            word = value;
            return true;
        }
        __builtin_ia32_pause();
    }
    for (int attempt = 0; attempt < 100; ++attempt) {
        asm volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(ok) : : "cc");
        if (ok != 0) {
            word = value;
            return true;
        }
    }
    return false;
}

}  // namespace

bool random_bytes(void* to, size_t bytes) {
    char* target = static_cast<char*>(to);
    while (bytes != 0) {
        uint64_t word;
        if (!random_word(word)) return false;
        const size_t part = bytes < sizeof(word) ? bytes : sizeof(word);
        memcpy(target, &word, part);
        target += part;
        bytes -= part;
    }
    return true;
}

}  // namespace sgxdl

extern "C" {

void randombytes_buf(void* const to, const size_t bytes) {
    // A caller of this function cannot be told; keys made of anything else must not exist.
    if (!sgxdl::random_bytes(to, bytes)) {
        sgxdl::crash(sgxdl::CrashKind::abort, "the processor gives no random bytes",
                     reinterpret_cast<uint64_t>(__builtin_return_address(0)));
    }
}

void randombytes(unsigned char* const to, const unsigned long long bytes) {
    randombytes_buf(to, static_cast<size_t>(bytes));
}

uint32_t randombytes_random(void) {
    uint32_t value;
    randombytes_buf(&value, sizeof(value));
    return value;
}

uint32_t randombytes_uniform(const uint32_t upper_bound) {
    if (upper_bound < 2) return 0;
    const uint32_t rejected_below = (0u - upper_bound) % upper_bound;
    uint32_t value;
    do {
        value = randombytes_random();
    } while (value < rejected_below);
    return value % upper_bound;
}

void randombytes_stir(void) {}
int randombytes_close(void) {
    return 0;
}
const char* randombytes_implementation_name(void) {
    return "rdseed";
}
int randombytes_set_implementation(randombytes_implementation*) {
    return -1;
}

int getentropy(void* to, size_t bytes) {
    if (bytes > 256 || !sgxdl::random_bytes(to, bytes)) {
        errno = EIO;
        return -1;
    }
    return 0;
}

// From libsodium's runtime.o, which executes CPUID. All features absent: portable code.
int _sodium_runtime_get_cpu_features(void) {
    return 0;
}
int sodium_runtime_has_neon(void) {
    return 0;
}
int sodium_runtime_has_sse2(void) {
    return 0;
}
int sodium_runtime_has_sse3(void) {
    return 0;
}
int sodium_runtime_has_ssse3(void) {
    return 0;
}
int sodium_runtime_has_sse41(void) {
    return 0;
}
int sodium_runtime_has_avx(void) {
    return 0;
}
int sodium_runtime_has_avx2(void) {
    return 0;
}
int sodium_runtime_has_avx512f(void) {
    return 0;
}
int sodium_runtime_has_pclmul(void) {
    return 0;
}
int sodium_runtime_has_aesni(void) {
    return 0;
}
int sodium_runtime_has_rdrand(void) {
    return 1;
}

// Concurrent sodium_init() calls; ours does nothing that needs a lock.
int sodium_crit_enter(void) {
    return 0;
}
int sodium_crit_leave(void) {
    return 0;
}
// libsodium found itself misused.
[[noreturn]] void sodium_misuse(void) {
    sgxdl::crash(sgxdl::CrashKind::abort, "libsodium: misuse",
                 reinterpret_cast<uint64_t>(__builtin_return_address(0)));
}
int sodium_set_misuse_handler(void (*)(void)) {
    return -1;
}
int sodium_init(void) {
    return 0;
}

}  // extern "C"
