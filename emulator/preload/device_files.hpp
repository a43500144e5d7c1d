// The names and the stat records of the SGX devices.
#pragma once

#include <sys/stat.h>

namespace sgxemu::preload {

enum class Device { none, enclave, provision };

// The device that an absolute path names; the second pair are the names of the out-of-tree driver's
// udev rules, which older runtimes try.
Device device_of(const char* path);

// Opens the device; -1 and errno.
int open_device(Device device, int flags);

// What stat says of it: a character device of the misc major, open to all.
template <class Stat>
void fill_stat(Device device, Stat& out);
void fill_statx(Device device, struct statx& out);

}  // namespace sgxemu::preload
