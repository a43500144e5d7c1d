// What the program sees at /dev/sgx_enclave and /dev/sgx_provision.
#include "emulator/preload/device_files.hpp"

#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>

#include "emulator/preload/cpuid.hpp"
#include "emulator/preload/library_handlers.hpp"
#include "emulator/preload/real.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu::preload {

namespace {

constexpr unsigned int misc_major = 10;
// Misc devices get dynamic minors; these are what a machine with nothing else would give.
constexpr unsigned int enclave_minor = 125, provision_minor = 126;
constexpr mode_t mode = S_IFCHR | 0666;

unsigned int minor_of(Device device) {
    return device == Device::enclave ? enclave_minor : provision_minor;
}

}  // namespace

int as_system_call(int result) {
    if (result >= 0) return result;
    errno = -result;
    return -1;
}

Device device_of(const char* path) {
    constexpr char prefix[] = "/dev/sgx";
    if (path == nullptr || std::strncmp(path, prefix, sizeof(prefix) - 1) != 0) {
        return Device::none;
    }
    const char* rest = path + sizeof(prefix) - 1;
    if (*rest != '_' && *rest != '/') return Device::none;
    if (std::strcmp(rest + 1, "enclave") == 0) return Device::enclave;
    return std::strcmp(rest + 1, "provision") == 0 ? Device::provision : Device::none;
}

int open_device(Device device, int flags) {
    // Libraries that came after start-up ask the processor about SGX, too.
    rewrite_cpuid_sites();
    adopt_library_handlers();
    return as_system_call(device == Device::enclave ? sgxemu::open(flags)
                                                    : sgxemu::open_provision(flags));
}

template <class Stat>
void fill_stat(Device device, Stat& out) {
    out = {};
    out.st_mode = mode;
    out.st_nlink = 1;
    out.st_rdev = makedev(misc_major, minor_of(device));
    out.st_ino = minor_of(device);
    out.st_blksize = 4096;
}
template void fill_stat(Device, struct stat&);
template void fill_stat(Device, struct stat64&);

void fill_statx(Device device, struct statx& out) {
    out = {};
    out.stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO;
    out.stx_mode = mode;
    out.stx_nlink = 1;
    out.stx_rdev_major = misc_major;
    out.stx_rdev_minor = minor_of(device);
    out.stx_ino = minor_of(device);
    out.stx_blksize = 4096;
}

}  // namespace sgxemu::preload
