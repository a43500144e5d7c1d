// The stat family: by path, and by descriptor of what this library opened.
#include <sys/stat.h>

#include "emulator/preload/device_files.hpp"
#include "emulator/preload/real.hpp"
#include "emulator/sgxemu.hpp"

namespace {

using namespace sgxemu::preload;

Device device_of_descriptor(int fd) {
    switch (sgxemu::descriptor_kind(fd)) {
        case sgxemu::Descriptor::enclave:
        case sgxemu::Descriptor::lost:
            return Device::enclave;
        case sgxemu::Descriptor::provision:
            return Device::provision;
        default:
            return Device::none;
    }
}

template <class Stat>
bool answer(Device device, Stat* out) {
    if (device == Device::none || out == nullptr) return false;
    fill_stat(device, *out);
    return true;
}

// fstatat with AT_EMPTY_PATH names the descriptor.
Device device_at(int directory, const char* path, int flags) {
    if ((flags & AT_EMPTY_PATH) && path != nullptr && *path == 0) {
        return device_of_descriptor(directory);
    }
    return device_of(path);
}

}  // namespace

#define STAT_BY_PATH(function, Stat)                                              \
    int function(const char* path, struct Stat* out) noexcept {                   \
        static const auto next = real<int(const char*, struct Stat*)>(#function); \
        return answer(device_of(path), out) ? 0 : next(path, out);                \
    }
#define STAT_BY_DESCRIPTOR(function, Stat)                                \
    int function(int fd, struct Stat* out) noexcept {                     \
        static const auto next = real<int(int, struct Stat*)>(#function); \
        return answer(device_of_descriptor(fd), out) ? 0 : next(fd, out); \
    }
#define STAT_AT(function, Stat)                                                             \
    int function(int directory, const char* path, struct Stat* out, int flags) noexcept {   \
        static const auto next = real<int(int, const char*, struct Stat*, int)>(#function); \
        if (answer(device_at(directory, path, flags), out)) return 0;                       \
        return next(directory, path, out, flags);                                           \
    }
// What programs that were built against a C library before 2.33 call.
#define OLD_STAT(function, Stat)                                                       \
    int function(int version, const char* path, struct Stat* out) noexcept;            \
    int function(int version, const char* path, struct Stat* out) noexcept {           \
        static const auto next = real<int(int, const char*, struct Stat*)>(#function); \
        return answer(device_of(path), out) ? 0 : next(version, path, out);            \
    }

extern "C" {
STAT_BY_PATH(stat, stat)
STAT_BY_PATH(stat64, stat64)
STAT_BY_PATH(lstat, stat)
STAT_BY_PATH(lstat64, stat64)
STAT_BY_DESCRIPTOR(fstat, stat)
STAT_BY_DESCRIPTOR(fstat64, stat64)
STAT_AT(fstatat, stat)
STAT_AT(fstatat64, stat64)
OLD_STAT(__xstat, stat)
OLD_STAT(__xstat64, stat64)
OLD_STAT(__lxstat, stat)
OLD_STAT(__lxstat64, stat64)

int statx(int directory, const char* path, int flags, unsigned int mask,
          struct statx* out) noexcept {
    static const auto next = real<int(int, const char*, int, unsigned int, struct statx*)>("statx");
    const Device device = device_at(directory, path, flags);
    if (device == Device::none) return next(directory, path, flags, mask, out);
    fill_statx(device, *out);
    return 0;
}
}
