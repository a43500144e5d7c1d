// Changing an initialised enclave: RESTRICT_PERMISSIONS, MODIFY_TYPES, REMOVE_PAGES.
//
// The driver follows each EMODPR and EMODT by ETRACK and an interrupt to every processor, so that
// no stale translation survives. Here the host's mprotect does just that before the ioctl returns,
// so an EACCEPT never finds its page untracked.
#include <asm/sgx.h>

#include <cerrno>

#include "emulator/driver.hpp"
#include "emulator/machine.hpp"
#include "emulator/paging.hpp"
#include "emulator/usercopy.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

constexpr uint64_t secinfo_permissions = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;
constexpr uint64_t page_type_mask = 0xff;
// Pages changed under one hold of the lock, so that a fault elsewhere does not wait for long.
constexpr uint64_t pages_per_hold = 64;

// sgx_ioc_sgx2_ready.
int sgx2_ready(const Enclave& enclave) {
    if (!machine().config.sgx2) return -ENODEV;
    return enclave.initialized ? 0 : -EINVAL;
}

// Calls step(address) for each page until one fails; protection follows in runs. Returns its error.
template <class Step>
int for_each_page(Enclave& enclave, uint64_t offset, uint64_t length, uint64_t& count, Step step) {
    const uintptr_t begin = enclave.base() + offset;
    count = 0;
    int error = 0;
    while (count < length && error == 0) {
        const Guard guard(enclave.lock);
        const uint64_t hold_begin = count;
        while (count < length && count - hold_begin < pages_per_hold * page_size) {
            error = step(begin + count);
            if (error != 0) break;
            count += page_size;
        }
        // One page more when a step failed: it may have changed its entry before.
        const uint64_t changed = error == 0 ? count : count + page_size;
        const int applied = apply_protection(enclave, begin + hold_begin, begin + changed);
        if (error == 0) error = applied;
    }
    return error;
}

int restrict_page(Enclave& enclave, uintptr_t address, uint64_t permissions, uint64_t& result) {
    EpcmEntry& entry = enclave.entry(address);
    if (!fetch_page(enclave, address)) return -EFAULT;
    if (entry.type != SGX_PT_REG) return -EINVAL;
    const EnclsResult r = encls_modpr(entry, permissions);
    if (r.outcome == Encls::error) result = r.error;
    return r.outcome == Encls::done ? 0 : -EFAULT;
}

int modify_page_type(Enclave& enclave, uintptr_t address, uint8_t type, uint64_t& result) {
    EpcmEntry& entry = enclave.entry(address);
    if (!fetch_page(enclave, address)) return -EFAULT;
    const bool allowed =
        entry.type == SGX_PT_REG || (entry.type == SGX_PT_TCS && type == SGX_PT_TRIM);
    if (!allowed) return -EINVAL;
    const uint8_t cap_before = entry.kernel_cap;
    if (entry.type == SGX_PT_REG && type == SGX_PT_TCS) {
        constexpr int read_write = PROT_READ | PROT_WRITE;
        if (~entry.kernel_cap & read_write) return -EPERM;
        entry.kernel_cap = read_write;
    }
    const EnclsResult r = encls_modt(entry, type);
    if (r.outcome == Encls::done) return 0;
    entry.kernel_cap = cap_before;
    if (r.outcome == Encls::error) result = r.error;
    return -EFAULT;
}

// Removal is allowed when the enclave accepted the trim. The driver finds out by an EMODPR that
// changes nothing: #PF says accepted, SGX_PAGE_NOT_MODIFIABLE says not yet.
int check_removable(Enclave& enclave, uintptr_t address) {
    EpcmEntry& entry = enclave.entry(address);
    if (!fetch_page(enclave, address)) return -EFAULT;
    if (entry.type != SGX_PT_TRIM) return -EPERM;
    return encls_modpr(entry, secinfo_permissions).outcome == Encls::page_fault ? 0 : -EPERM;
}

}  // namespace

int ioctl_restrict_permissions(Enclave& enclave, uint64_t argument) {
    if (const int error = sgx2_ready(enclave)) return error;
    sgx_enclave_restrict_permissions p{};
    if (!copy_from_program(&p, argument, sizeof(p))) return -EFAULT;
    if (!is_valid_range(enclave, p.offset, p.length)) return -EINVAL;
    if (p.permissions & ~secinfo_permissions) return -EINVAL;
    if ((p.permissions & SGX_SECINFO_W) && !(p.permissions & SGX_SECINFO_R)) return -EINVAL;
    if (p.result != 0 || p.count != 0) return -EINVAL;
    uint64_t count = 0, result = 0;
    const int error = for_each_page(enclave, p.offset, p.length, count, [&](uintptr_t address) {
        return restrict_page(enclave, address, p.permissions, result);
    });
    p.count = count;
    p.result = result;
    return copy_to_program(argument, &p, sizeof(p)) ? error : -EFAULT;
}

int ioctl_modify_types(Enclave& enclave, uint64_t argument) {
    if (const int error = sgx2_ready(enclave)) return error;
    sgx_enclave_modify_types p{};
    if (!copy_from_program(&p, argument, sizeof(p))) return -EFAULT;
    if (!is_valid_range(enclave, p.offset, p.length)) return -EINVAL;
    if (p.page_type & ~page_type_mask) return -EINVAL;
    if (p.result != 0 || p.count != 0) return -EINVAL;
    uint64_t count = 0, result = 0;
    int error = -EINVAL;
    const auto type = static_cast<uint8_t>(p.page_type);
    if (type == SGX_PT_TCS || type == SGX_PT_TRIM) {
        error = for_each_page(enclave, p.offset, p.length, count, [&](uintptr_t address) {
            return modify_page_type(enclave, address, type, result);
        });
    }
    p.count = count;
    p.result = result;
    return copy_to_program(argument, &p, sizeof(p)) ? error : -EFAULT;
}

int ioctl_remove_pages(Enclave& enclave, uint64_t argument) {
    if (const int error = sgx2_ready(enclave)) return error;
    sgx_enclave_remove_pages p{};
    if (!copy_from_program(&p, argument, sizeof(p))) return -EFAULT;
    if (!is_valid_range(enclave, p.offset, p.length)) return -EINVAL;
    if (p.count != 0) return -EINVAL;
    uint64_t count = 0;
    const int error = for_each_page(enclave, p.offset, p.length, count, [&](uintptr_t address) {
        const int refused = check_removable(enclave, address);
        // A trimmed page has no access in the host's page tables: nothing to unmap.
        if (refused == 0) enclave.remove_page(address);
        return refused;
    });
    p.count = count;
    return copy_to_program(argument, &p, sizeof(p)) ? error : -EFAULT;
}

}  // namespace sgxemu
