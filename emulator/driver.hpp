// The driver's ioctls, one function each; the argument is the program's pointer.
// Reference: arch/x86/kernel/cpu/sgx/ioctl.c of Linux 6.1; the order of checks and the errnos are
// the driver's.
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"

namespace sgxemu {

int ioctl_create(Enclave& enclave, uint64_t argument);
int ioctl_add_pages(Enclave& enclave, uint64_t argument);
int ioctl_init(Enclave& enclave, uint64_t argument);
int ioctl_provision(Enclave& enclave, uint64_t argument);
int ioctl_restrict_permissions(Enclave& enclave, uint64_t argument);
int ioctl_modify_types(Enclave& enclave, uint64_t argument);
int ioctl_remove_pages(Enclave& enclave, uint64_t argument);

// True when the descriptor is of what open_provision() opened (provision.cpp).
bool is_provision_descriptor(int fd);

// sgx_validate_offset_length.
bool is_valid_range(const Enclave& enclave, uint64_t offset, uint64_t length);

}  // namespace sgxemu
