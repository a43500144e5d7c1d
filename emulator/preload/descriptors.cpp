// What a program does with descriptors: ioctl, close, dup, fcntl.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "emulator/host.hpp"
#include "emulator/preload/real.hpp"
#include "emulator/sgxemu.hpp"

namespace {

using namespace sgxemu::preload;

int noted_duplicate(int from, int to) {
    if (to >= 0) sgxemu::duplicated(from, to);
    return to;
}

// Before the C library overwrites or closes the number.
void forget(int fd) {
    const int saved = errno;
    static_cast<void>(sgxemu::forget_descriptor(fd));
    errno = saved;
}

int fcntl_by(int (*next)(int, int, ...), int fd, int command, void* argument) {
    const int result = next(fd, command, argument);
    const bool duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    return duplicates ? noted_duplicate(fd, result) : result;
}

}  // namespace

#define NEXT_ARGUMENT(last)                    \
    va_list arguments;                         \
    va_start(arguments, last);                 \
    void* argument = va_arg(arguments, void*); \
    va_end(arguments)

extern "C" {

int ioctl(int fd, unsigned long request, ...) noexcept {
    static const auto next = real<int(int, unsigned long, ...)>("ioctl");
    NEXT_ARGUMENT(request);
    const int result = sgxemu::ioctl(fd, request, argument);
    return result == -EBADF ? next(fd, request, argument) : as_system_call(result);
}

int close(int fd) {
    static const auto next = real<int(int)>("close");
    forget(fd);
    return next(fd);
}

int dup(int fd) noexcept {
    static const auto next = real<int(int)>("dup");
    return noted_duplicate(fd, next(fd));
}

int dup2(int fd, int to) noexcept {
    static const auto next = real<int(int, int)>("dup2");
    if (fd != to) forget(to);
    return noted_duplicate(fd, next(fd, to));
}

int dup3(int fd, int to, int flags) noexcept {
    static const auto next = real<int(int, int, int)>("dup3");
    if (fd != to) forget(to);
    return noted_duplicate(fd, next(fd, to, flags));
}

int fcntl(int fd, int command, ...) {
    static const auto next = real<int(int, int, ...)>("fcntl");
    NEXT_ARGUMENT(command);
    return fcntl_by(next, fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    static const auto next = real<int(int, int, ...)>("fcntl64");
    NEXT_ARGUMENT(command);
    return fcntl_by(next, fd, command, argument);
}

int close_range(unsigned int first, unsigned int last, int flags) noexcept {
    static const auto next = real<int(unsigned int, unsigned int, int)>("close_range");
    if (!(flags & CLOSE_RANGE_CLOEXEC)) sgxemu::forget_descriptors(first, last);
    return next(first, last, flags);
}

void closefrom(int lowest) noexcept {
    static const auto next = real<void(int)>("closefrom");
    sgxemu::forget_descriptors(lowest < 0 ? 0u : static_cast<unsigned int>(lowest), ~0u);
    next(lowest);
}
}
