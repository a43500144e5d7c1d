// open and its relatives: the device's two names lead to the emulator, all others to the C library.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "emulator/preload/device_files.hpp"
#include "emulator/preload/real.hpp"

namespace {

using namespace sgxemu::preload;

mode_t mode_argument(int flags, va_list arguments) {
    const bool has_mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return has_mode ? va_arg(arguments, mode_t) : 0;
}

using Open = int(const char*, int, ...);
using OpenAt = int(int, const char*, int, ...);

int open_by(Open* next, const char* path, int flags, mode_t mode) {
    const Device device = device_of(path);
    return device == Device::none ? next(path, flags, mode) : open_device(device, flags);
}

int open_at_by(OpenAt* next, int directory, const char* path, int flags, mode_t mode) {
    const Device device = device_of(path);
    return device == Device::none ? next(directory, path, flags, mode) : open_device(device, flags);
}

int access_device(int wanted) {
    // rw for all, executable for nobody.
    if (!(wanted & X_OK)) return 0;
    return as_system_call(-EACCES);
}

}  // namespace

#define MODE_ARGUMENT()                                  \
    va_list arguments;                                   \
    va_start(arguments, flags);                          \
    const mode_t mode = mode_argument(flags, arguments); \
    va_end(arguments)

extern "C" {

int open(const char* path, int flags, ...) {
    static const auto next = real<Open>("open");
    MODE_ARGUMENT();
    return open_by(next, path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    static const auto next = real<Open>("open64");
    MODE_ARGUMENT();
    return open_by(next, path, flags, mode);
}

int openat(int directory, const char* path, int flags, ...) {
    static const auto next = real<OpenAt>("openat");
    MODE_ARGUMENT();
    return open_at_by(next, directory, path, flags, mode);
}

int openat64(int directory, const char* path, int flags, ...) {
    static const auto next = real<OpenAt>("openat64");
    MODE_ARGUMENT();
    return open_at_by(next, directory, path, flags, mode);
}

// What open becomes under _FORTIFY_SOURCE.
int __open_2(const char* path, int flags);
int __open_2(const char* path, int flags) {
    return open(path, flags);
}
int __open64_2(const char* path, int flags);
int __open64_2(const char* path, int flags) {
    return open64(path, flags);
}
int __openat_2(int directory, const char* path, int flags);
int __openat_2(int directory, const char* path, int flags) {
    return openat(directory, path, flags);
}
int __openat64_2(int directory, const char* path, int flags);
int __openat64_2(int directory, const char* path, int flags) {
    return openat64(directory, path, flags);
}

int access(const char* path, int wanted) noexcept {
    static const auto next = real<int(const char*, int)>("access");
    return device_of(path) == Device::none ? next(path, wanted) : access_device(wanted);
}

int euidaccess(const char* path, int wanted) noexcept {
    static const auto next = real<int(const char*, int)>("euidaccess");
    return device_of(path) == Device::none ? next(path, wanted) : access_device(wanted);
}

int eaccess(const char* path, int wanted) noexcept {
    return euidaccess(path, wanted);
}

int faccessat(int directory, const char* path, int wanted, int flags) noexcept {
    static const auto next = real<int(int, const char*, int, int)>("faccessat");
    return device_of(path) == Device::none ? next(directory, path, wanted, flags)
                                           : access_device(wanted);
}
}
