// /dev/sgx_provision: a file whose possession is the permission. sgx_set_attribute of
// arch/x86/kernel/cpu/sgx/main.c knows it by its file operations; here it is known by its inode,
// which duplicates and descriptors passed to other processes keep.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "emulator/driver.hpp"
#include "emulator/host.hpp"
#include "emulator/lock.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu {

namespace {

Lock file_lock;
int file_fd = -1;        // guarded by file_lock
host::FileId file_seen;  // guarded by file_lock

// The file, made at the first call; out of the way of the program's low descriptors.
int file() {
    if (file_fd >= 0 && host::file_id(file_fd) == file_seen) return file_fd;
    const int fd = ::memfd_create("sgx_provision", MFD_CLOEXEC);
    if (fd < 0) return -1;
    constexpr int out_of_the_way = 512;
    const int high = host::dup_above(fd, out_of_the_way);
    file_fd = high >= 0 ? high : fd;
    if (high >= 0) host::close(fd);
    file_seen = host::file_id(file_fd);
    return file_fd;
}

}  // namespace

bool is_provision_descriptor(int fd) {
    const Guard guard(file_lock);
    return file_fd >= 0 && host::file_id(fd) == file_seen;
}

int open_provision(int flags) {
    const SignalsBlocked blocked;
    const Guard guard(file_lock);
    const int fd = file();
    if (fd < 0) return -errno;
    // A second open of the same file, through its name in /proc: what it is open for is its own.
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
    const int access = flags & (O_ACCMODE | O_CLOEXEC);
    const auto opened = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path.data(), access, 0));
    return opened < 0 ? -errno : opened;
}

}  // namespace sgxemu
