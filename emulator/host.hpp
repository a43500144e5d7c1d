// The host's system calls, past the C library's functions: in the preload form those names are the
// emulator's own (emulator/preload/). Results are the C library's: -1 or MAP_FAILED, and errno.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sgxemu::host {

inline void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    return reinterpret_cast<void*>(
        ::syscall(SYS_mmap, address, length, protection, flags, fd, offset));
}

// Where to look for room that need not be near anything: enclaves keep what is around them, which
// the stubs of their ENCLUs want (fast/fast.hpp). Only a hint.
inline void* far_away(size_t length) {
    constexpr uintptr_t granule = uintptr_t{1} << 21;
    static std::atomic<uintptr_t> next{uintptr_t{0x2000} << 32};
    return reinterpret_cast<void*>(next.fetch_add((length + granule) & ~(granule - 1)));
}

inline int munmap(void* address, size_t length) {
    return static_cast<int>(::syscall(SYS_munmap, address, length));
}

inline int mprotect(void* address, size_t length, int protection) {
    return static_cast<int>(::syscall(SYS_mprotect, address, length, protection));
}

inline int close(int fd) {
    return static_cast<int>(::syscall(SYS_close, fd));
}

inline int dup_above(int fd, int lowest) {
    return static_cast<int>(::syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest));
}

// Which file a descriptor is of; zero when it is of none.
struct FileId {
    uint64_t device = 0, inode = 0;
    bool operator==(const FileId&) const = default;
};
inline FileId file_id(int fd) {
    struct ::stat s {};
    if (::syscall(SYS_fstat, fd, &s) != 0) return {};
    return {s.st_dev, s.st_ino};
}

inline int sigaltstack(const stack_t* stack, stack_t* previous) {
    return static_cast<int>(::syscall(SYS_sigaltstack, stack, previous));
}

}  // namespace sgxemu::host
