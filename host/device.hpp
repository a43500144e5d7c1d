// What the host library needs of Linux's SGX interface, and nothing else: two implementations, the
// kernel's device and the emulator. Arguments and results are the system calls' own
// (Documentation/x86/sgx.rst, <asm/sgx.h>).
#pragma once

#include <asm/sgx.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>

namespace sgxdl::host {

class SgxDevice {
 public:
    virtual ~SgxDevice() = default;
    virtual const char* name() const = 0;
    // A new, empty enclave. Returns a descriptor or -errno.
    virtual int open() = 0;
    virtual int close(int descriptor) = 0;
    // 0 or -errno; what the driver reports in the argument is there in both cases.
    virtual int ioctl(int descriptor, unsigned long request, void* argument) = 0;
    // MAP_FAILED and errno, or the address.
    virtual void* mmap(void* address, size_t size, int protection, int flags, int descriptor) = 0;
    virtual int munmap(void* address, size_t size) = 0;
    // True when the processor and the driver can add and remove pages of a running enclave (EDMM:
    // SGX2, Linux 6.0). `descriptor`: an enclave that was not created yet. Every such ioctl asks
    // this first and then whether the enclave is initialised (sgx_ioc_sgx2_ready).
    bool adds_pages_later(int descriptor) {
        sgx_enclave_restrict_permissions nothing = {};
        return ioctl(descriptor, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &nothing) == -EINVAL;
    }
    // __vdso_sgx_enter_enclave or its stand-in.
    virtual vdso_sgx_enter_enclave_t enter() const = 0;
};

// The kernel's device when /dev/sgx_enclave can be opened and the vDSO has the entry function,
// otherwise the emulator. `reason`, if given, gets a sentence on the choice.
std::shared_ptr<SgxDevice> choose_device(std::string* reason = nullptr);

std::shared_ptr<SgxDevice> make_kernel_device(std::string* why_not);
std::shared_ptr<SgxDevice> make_emulator_device();

// Address of a function of the vDSO (AT_SYSINFO_EHDR), nullptr when it has none of that name.
void* find_in_vdso(const char* name);

}  // namespace sgxdl::host
