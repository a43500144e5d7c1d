// The device file: open, close, ioctl; and what tests may ask about an enclave.
#include <asm/sgx.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "emulator/costs.hpp"
#include "emulator/dispositions.hpp"
#include "emulator/driver.hpp"
#include "emulator/environment.hpp"
#include "emulator/fast/fast.hpp"
#include "emulator/host.hpp"
#include "emulator/machine.hpp"
#include "emulator/registry.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu {

namespace {

int dispatch(Enclave& enclave, unsigned long request, uint64_t argument) {
    switch (request) {
        case SGX_IOC_ENCLAVE_CREATE:
            return ioctl_create(enclave, argument);
        case SGX_IOC_ENCLAVE_ADD_PAGES:
            return ioctl_add_pages(enclave, argument);
        case SGX_IOC_ENCLAVE_INIT:
            return ioctl_init(enclave, argument);
        case SGX_IOC_ENCLAVE_PROVISION:
            return ioctl_provision(enclave, argument);
        case SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS:
            return ioctl_restrict_permissions(enclave, argument);
        case SGX_IOC_ENCLAVE_MODIFY_TYPES:
            return ioctl_modify_types(enclave, argument);
        case SGX_IOC_ENCLAVE_REMOVE_PAGES:
            return ioctl_remove_pages(enclave, argument);
        default:
            return -ENOTTY;
    }
}

}  // namespace

int open(int flags) {
    if (const std::string& error = apply_environment(); !error.empty()) {
        std::fprintf(stderr, "sgxemu: %s\n", error.c_str());
        return -EINVAL;
    }
    const SignalsBlocked blocked;
    if (!machine().usable) return -ENODEV;
    if (const int error = take_fault_signals()) return error;
    start_fast();
    const int fd = ::memfd_create("sgx_enclave", (flags & O_CLOEXEC) ? MFD_CLOEXEC : 0);
    if (fd < 0) return -errno;
    const int epc_fd = host::dup_above(fd, 0);
    if (epc_fd < 0) {
        const int error = -errno;
        host::close(fd);
        return error;
    }
    auto enclave = std::make_unique<Enclave>(epc_fd);
    if (!register_enclave(enclave.get(), fd)) {
        host::close(fd);
        return -ENOMEM;
    }
    enclave.release();  // the registry's reference counts own it now
    return fd;
}

int close(int fd) {
    if (const int error = forget_descriptor(fd)) return error;
    return host::close(fd) == 0 ? 0 : -errno;
}

int forget_descriptor(int fd) {
    const SignalsBlocked blocked;
    return release_descriptor(fd) ? 0 : -EBADF;
}

void forget_descriptors(unsigned int first, unsigned int last) {
    const SignalsBlocked blocked;
    release_descriptors(first, last);
}

bool duplicated(int from, int to) {
    const SignalsBlocked blocked;
    return add_descriptor(from, to);
}

Descriptor descriptor_kind(int fd) {
    const SignalsBlocked blocked;
    if (find_by_descriptor(fd)) return Descriptor::enclave;
    if (is_lost_descriptor(fd)) return Descriptor::lost;
    return is_provision_descriptor(fd) ? Descriptor::provision : Descriptor::other;
}

int ioctl(int fd, unsigned long request, void* argument) {
    const CostScope cost;
    const SignalsBlocked blocked;
    const EnclaveRef enclave = find_by_descriptor(fd);
    if (!enclave) return is_lost_descriptor(fd) ? -ENODEV : -EBADF;
    // The driver refuses a second ioctl on the same enclave while one runs.
    if (enclave->ioctl_busy.exchange(true, std::memory_order_acquire)) return -EBUSY;
    const int result = dispatch(*enclave, request, reinterpret_cast<uint64_t>(argument));
    enclave->ioctl_busy.store(false, std::memory_order_release);
    return result;
}

EpcCount epc_count(int fd) {
    const SignalsBlocked blocked;
    EpcCount count;
    const EnclaveRef enclave = find_by_descriptor(fd);
    if (!enclave) return count;
    const Guard guard(enclave->lock);
    if (!enclave->created) return count;
    count.valid = 1;  // the SECS
    const uintptr_t end = enclave->base() + enclave->size();
    uintptr_t page = enclave->skip_holes(enclave->base(), end);
    for (; page < end; page = enclave->skip_holes(page + page_size, end)) {
        const EpcmEntry& e = enclave->entry(page);
        if (!e.valid) continue;
        const bool is_regular = e.type == SGX_PT_REG;
        const bool executable = is_regular && (e.rwx & SGX_SECINFO_X);
        ++count.valid;
        count.regular += is_regular;
        count.executable += executable;
        count.writable_executable += executable && (e.rwx & SGX_SECINFO_W);
        count.pending += e.pending;
        count.trimmed += e.type == SGX_PT_TRIM;
    }
    return count;
}

BackingPage backing_page(int fd, const void* address) {
    const SignalsBlocked blocked;
    const auto page = reinterpret_cast<uintptr_t>(address) & ~(page_size - 1);
    const EnclaveRef enclave = find_by_descriptor(fd);
    if (!enclave) return {};
    const Guard guard(enclave->lock);
    if (!enclave->contains(page) || !enclave->entry(page).written_out) return {};
    const size_t index = enclave->index_of(page);
    return {enclave->paged_out.content(index), &enclave->paged_out.pcmd(index)};
}

int measurement(int fd, uint8_t mrenclave[32]) {
    const SignalsBlocked blocked;
    const EnclaveRef enclave = find_by_descriptor(fd);
    if (!enclave) return -EBADF;
    const Guard guard(enclave->lock);
    if (!enclave->initialized) return -ENOENT;
    std::copy_n(enclave->secs.mrenclave, sizeof(enclave->secs.mrenclave), mrenclave);
    return 0;
}

int einit_result(int fd) {
    const SignalsBlocked blocked;
    const EnclaveRef enclave = find_by_descriptor(fd);
    if (!enclave) return -EBADF;
    const Guard guard(enclave->lock);
    return enclave->einit_result;
}

}  // namespace sgxemu
