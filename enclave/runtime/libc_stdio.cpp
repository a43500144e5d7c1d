// Standard output and error by ocall; there are no other files.
//
// musl's formatted output works on its FILE; the functions that would reach the kernel are replaced
// here. What is printed goes to the host in plain text.

#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <span>

#include "enclave/interface/runtime_calls.hpp"
#include "enclave/runtime/lock.hpp"
#include "enclave/runtime/ocall.hpp"
#include "enclave/runtime/thread.hpp"

using namespace sgxdl;

namespace {

// The beginning of musl 1.2.3's FILE, as far as output looks at it.
struct MuslFile {
    unsigned flags;
    unsigned char *read_position, *read_end;
    int (*close)(FILE*);
    unsigned char *write_end, *write_position;
    unsigned char* must_be_zero;
    unsigned char* write_base;
    size_t (*read)(FILE*, unsigned char*, size_t);
    size_t (*write)(FILE*, const unsigned char*, size_t);
    off_t (*seek)(FILE*, off_t, int);
    unsigned char* buffer;
    size_t buffer_size;
    FILE *previous, *next;
    int descriptor;
    int pipe_pid;
    long lock_count;
    int mode;
    int lock;
};
static_assert(offsetof(MuslFile, write_base) == 0x38);
static_assert(offsetof(MuslFile, descriptor) == 0x78);
static_assert(offsetof(MuslFile, lock) == 0x8c);
constexpr unsigned error_flag = 32;

MuslFile& of(FILE* file) {
    return *reinterpret_cast<MuslFile*>(file);
}

ssize_t write_all(int descriptor, const void* bytes, size_t count) {
    const char* from = static_cast<const char*>(bytes);
    size_t done = 0;
    while (done < count) {
        const size_t part = count - done < 32768 ? count - done : 32768;
        const OcallAnswer answer = ocall<Write>(static_cast<uint32_t>(descriptor),
                                                std::span<const char>(from + done, part));
        if (!answer.ok || answer.value <= 0 || static_cast<size_t>(answer.value) > part) {
            errno = EIO;
            return -1;
        }
        done += static_cast<size_t>(answer.value);
    }
    return static_cast<ssize_t>(done);
}

}  // namespace

extern "C" {

ssize_t write(int descriptor, const void* bytes, size_t count) {
    if (descriptor != 1 && descriptor != 2) {
        errno = EBADF;
        return -1;
    }
    return write_all(descriptor, bytes, count);
}

// Writes what is buffered and then `bytes`; returns how many of `bytes` were written.
size_t __stdio_write(FILE* file, const unsigned char* bytes, size_t count) {
    MuslFile& f = of(file);
    const size_t buffered = static_cast<size_t>(f.write_position - f.write_base);
    if ((buffered != 0 && write_all(f.descriptor, f.write_base, buffered) < 0) ||
        (count != 0 && write_all(f.descriptor, bytes, count) < 0)) {
        f.write_end = f.write_position = f.write_base = nullptr;
        f.flags |= error_flag;
        return 0;
    }
    f.write_end = f.buffer + f.buffer_size;
    f.write_position = f.write_base = f.buffer;
    return count;
}
size_t __stdout_write(FILE* file, const unsigned char* bytes, size_t count) {
    return __stdio_write(file, bytes, count);
}
size_t __stdio_read(FILE*, unsigned char*, size_t) {
    return 0;
}
off_t __stdio_seek(FILE*, off_t, int) {
    errno = ESPIPE;
    return -1;
}
int __stdio_close(FILE*) {
    return 0;
}

// A file's lock: the owner's index + 1. 1 when it was taken, 0 when this thread holds it already;
// musl gives back what it took. musl asks for it only when `lock` is not negative, which the
// runtime's start sees to.
int __lockfile(FILE* file) {
    std::atomic_ref<int> lock(of(file).lock);
    const int me = static_cast<int>(this_thread().index) + 1;
    if (lock.load(std::memory_order_relaxed) == me) return 0;
    // acquire: pairs with the release in __unlockfile
    for (uint32_t attempt = 0;; ++attempt) {
        int free = 0;
        if (lock.compare_exchange_strong(free, me, std::memory_order_acquire)) return 1;
        yield_to_host(attempt);
    }
}
void __unlockfile(FILE* file) {
    std::atomic_ref<int>(of(file).lock).store(0, std::memory_order_release);
}

int fputc(int character, FILE* file) {
    const bool taken = of(file).lock >= 0 && __lockfile(file) != 0;
    const int result = putc_unlocked(character, file);
    if (taken) __unlockfile(file);
    return result;
}
int putc(int character, FILE* file) {
    return fputc(character, file);
}
int _IO_putc(int character, FILE* file) {
    return fputc(character, file);
}
int putchar(int character) {
    return fputc(character, stdout);
}

// Nothing can be opened.
FILE* fopen(const char*, const char*) {
    errno = ENOENT;
    return nullptr;
}

}  // extern "C"
