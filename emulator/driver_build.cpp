// Building an enclave: CREATE, ADD_PAGES, INIT, PROVISION.
#include <asm/sgx.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "emulator/costs.hpp"
#include "emulator/driver.hpp"
#include "emulator/ecreate.hpp"
#include "emulator/hostile.hpp"
#include "emulator/machine.hpp"
#include "emulator/paging.hpp"
#include "emulator/sigstruct.hpp"
#include "emulator/source_pages.hpp"
#include "emulator/usercopy.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

constexpr uint64_t secinfo_permissions = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;
// SGX_SECINFO_RESERVED_MASK of arch/x86/include/asm/sgx.h.
constexpr uint64_t driver_secinfo_known = secinfo_permissions | SGX_SECINFO_PT_MASK;
constexpr size_t measured_chunk = 256;

// sgx_validate_secinfo.
bool is_valid_secinfo(const sgx_secinfo& secinfo) {
    const uint64_t type = secinfo.flags & SGX_SECINFO_PT_MASK;
    const uint64_t permissions = secinfo.flags & secinfo_permissions;
    if (type != SGX_SECINFO_REG && type != SGX_SECINFO_TCS) return false;
    if ((permissions & SGX_SECINFO_W) && !(permissions & SGX_SECINFO_R)) return false;
    if (type == SGX_SECINFO_TCS && permissions != 0) return false;
    if (secinfo.flags & ~driver_secinfo_known) return false;
    return std::all_of(std::begin(secinfo.reserved), std::end(secinfo.reserved),
                       [](uint8_t b) { return b == 0; });
}

// sgx_encl_add_page: EADD and, if asked for, sixteen EEXTENDs. Under enclave.lock.
int add_page(Enclave& enclave, uint64_t offset, uint64_t source, const sgx_secinfo& secinfo,
             bool measure) {
    const uintptr_t address = enclave.base() + offset;
    EpcmEntry& entry = enclave.entry(address);
    if (entry.exists()) return -EBUSY;
    if (!grow(enclave) || !take_epc_page(&enclave)) return -ENOMEM;
    uint8_t* page = enclave.bytes(address);
    const bool is_tcs = (secinfo.flags & SGX_SECINFO_PT_MASK) == SGX_SECINFO_TCS;
    int error = 0;
    if (!copy_from_program(page, source, page_size)) {
        error = -EFAULT;
    } else if (is_tcs && !prepare_tcs(*reinterpret_cast<sgx_tcs*>(page))) {
        error = -EIO;  // EADD is #GP
    }
    if (error != 0) {
        std::memset(page, 0, page_size);
        machine().return_epc_pages(1);
        return error;
    }
    encls_add(entry, secinfo.flags);
    // The cap is for ever: the build-time permissions; a TCS is read-write to the processor.
    entry.kernel_cap =
        static_cast<uint8_t>(is_tcs ? PROT_READ | PROT_WRITE : protection_of(entry.rwx));
    enclave.count_page(address, 1);
    enclave.enqueue(address);
    if (enclave.watch) {
        enclave.watch->added(enclave.index_of(address), (entry.rwx & SGX_SECINFO_X) != 0);
    }
    enclave.measurement.add(offset, secinfo);
    charge(Charged::eadd);
    if (measure) {
        for (size_t i = 0; i < page_size; i += measured_chunk) {
            enclave.measurement.extend(offset + i, page + i);
        }
        charge(Charged::eextend, page_size / measured_chunk);
    }
    return 0;
}

// A hostile system takes added pages away and adds empty ones.
void swap_pages(Enclave& enclave, uint64_t offset, uint64_t length, const sgx_secinfo& secinfo) {
    alignas(page_size) static const uint8_t empty[page_size] = {};
    for (uint64_t done = 0; done < length; done += page_size) {
        enclave.remove_page(enclave.base() + offset + done);
        static_cast<void>(
            add_page(enclave, offset + done, reinterpret_cast<uint64_t>(empty), secinfo, false));
    }
}

}  // namespace

bool is_valid_range(const Enclave& enclave, uint64_t offset, uint64_t length) {
    if (offset % page_size != 0 || length == 0 || length % page_size != 0) return false;
    if (offset + length < offset) return false;
    return offset + length - page_size < enclave.size();
}

int ioctl_create(Enclave& enclave, uint64_t argument) {
    if (enclave.created) return -EINVAL;
    sgx_enclave_create arguments{};
    if (!copy_from_program(&arguments, argument, sizeof(arguments))) return -EFAULT;
    sgx_secs secs;
    if (!copy_from_program(&secs, arguments.src, sizeof(secs))) return -EFAULT;
    if (!std::has_single_bit(secs.size)) return -EINVAL;
    if (!is_valid_secs(secs)) return -EIO;
    if (!take_epc_page(nullptr)) return -ENOMEM;
    const Guard guard(enclave.lock);
    if (!grow(enclave)) {
        machine().return_epc_pages(1);
        return -ENOMEM;
    }
    if (const int error = enclave.make_pages(secs.base, secs.size)) {
        machine().return_epc_pages(1);
        return error;
    }
    // ECREATE clears the identities; EINIT sets them.
    std::memset(secs.mrenclave, 0, sizeof(secs.mrenclave));
    std::memset(secs.mrsigner, 0, sizeof(secs.mrsigner));
    secs.isv_prod_id = 0;
    secs.isv_svn = 0;
    enclave.secs = secs;
    enclave.watch = make_page_watch(secs.size / page_size);
    enclave.measurement.create(secs.ssa_frame_size, secs.size);
    enclave.created = true;
    charge(Charged::ecreate);
    join_reclaimer(enclave);
    return map_into_elrange(enclave);
}

int ioctl_add_pages(Enclave& enclave, uint64_t argument) {
    if (!enclave.created || enclave.initialized) return -EINVAL;
    sgx_enclave_add_pages arguments{};
    if (!copy_from_program(&arguments, argument, sizeof(arguments))) return -EFAULT;
    if (arguments.src % page_size != 0) return -EINVAL;
    if (!is_valid_range(enclave, arguments.offset, arguments.length)) return -EINVAL;
    sgx_secinfo secinfo{};
    if (!copy_from_program(&secinfo, arguments.secinfo, sizeof(secinfo))) return -EFAULT;
    if (!is_valid_secinfo(secinfo)) return -EINVAL;
    int error = 0;
    uint64_t done = 0;
    const Misbehaviour misbehaviour = misbehaviour_of(Operation::add_pages);
    if (misbehaviour == Misbehaviour::refuse) return -EFAULT;
    if (misbehaviour == Misbehaviour::delay) dawdle();
    if (misbehaviour == Misbehaviour::drop) {
        done = arguments.length;
    } else {
        const size_t executable = executable_source(arguments.src, arguments.length);
        const Guard guard(enclave.lock);
        while (done < arguments.length && error == 0) {
            error = done == executable
                        ? -EACCES
                        : add_page(enclave, arguments.offset + done, arguments.src + done, secinfo,
                                   (arguments.flags & SGX_PAGE_MEASURE) != 0);
            if (error == 0) done += page_size;
        }
        if (misbehaviour == Misbehaviour::swap) {
            swap_pages(enclave, arguments.offset, done, secinfo);
        }
        const uintptr_t begin = enclave.base() + arguments.offset;
        const int applied = apply_protection(enclave, begin, begin + done);
        if (error == 0) error = applied;
    }
    arguments.count = done;
    if (!copy_to_program(argument, &arguments, sizeof(arguments))) return -EFAULT;
    return error;
}

int ioctl_init(Enclave& enclave, uint64_t argument) {
    if (!enclave.created || enclave.initialized) return -EINVAL;
    sgx_enclave_init arguments{};
    if (!copy_from_program(&arguments, argument, sizeof(arguments))) return -EFAULT;
    sgx_sigstruct sigstruct{};
    if (!copy_from_program(&sigstruct, arguments.sigstruct, sizeof(sigstruct))) return -EFAULT;
    if (sigstruct.vendor != 0 && sigstruct.vendor != 0x8086) return -EINVAL;
    const Guard guard(enclave.lock);
    if (enclave.secs.attributes.flags & ~enclave.allowed_attributes) return -EACCES;
    const Digest mrenclave = enclave.measurement.value();
    charge(Charged::einit);
    enclave.einit_result = verify_sigstruct(sigstruct, enclave.secs, mrenclave);
    if (enclave.einit_result != SGX_SUCCESS) return -EPERM;
    const Digest mrsigner = sha256(sigstruct.modulus, sizeof(sigstruct.modulus));
    std::copy(mrenclave.begin(), mrenclave.end(), enclave.secs.mrenclave);
    std::copy(mrsigner.begin(), mrsigner.end(), enclave.secs.mrsigner);
    enclave.secs.isv_prod_id = sigstruct.isv_prod_id;
    enclave.secs.isv_svn = sigstruct.isv_svn;
    std::copy_n(sigstruct.isv_family_id, sizeof(enclave.isv_family_id), enclave.isv_family_id);
    std::copy_n(sigstruct.isv_ext_prod_id, sizeof(enclave.isv_ext_prod_id),
                enclave.isv_ext_prod_id);
    enclave.secs.attributes.flags |= SGX_ATTR_INIT;
    enclave.initialized = true;
    return 0;
}

int ioctl_provision(Enclave& enclave, uint64_t argument) {
    sgx_enclave_provision arguments{};
    if (!copy_from_program(&arguments, argument, sizeof(arguments))) return -EFAULT;
    if (!is_provision_descriptor(static_cast<int>(arguments.fd))) return -EINVAL;
    const Guard guard(enclave.lock);
    enclave.allowed_attributes |= SGX_ATTR_PROVISIONKEY;
    return 0;
}

}  // namespace sgxemu
