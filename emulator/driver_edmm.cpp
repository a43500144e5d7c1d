// Changing an initialised enclave: RESTRICT_PERMISSIONS, MODIFY_TYPES, REMOVE_PAGES.
//
// The driver follows each EMODPR and EMODT by ETRACK and an interrupt to every processor, so that
// no stale translation survives. Here the host's mprotect does just that before the ioctl returns,
// so an EACCEPT never finds its page untracked.
#include <asm/sgx.h>

#include <cerrno>

#include "emulator/costs.hpp"
#include "emulator/driver.hpp"
#include "emulator/edmm_rules.hpp"
#include "emulator/fault.hpp"
#include "emulator/hostile.hpp"
#include "emulator/paging.hpp"
#include "emulator/usercopy.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

// Pages changed under one hold of the lock, so that a fault elsewhere does not wait for long.
constexpr uint64_t pages_per_hold = 64;

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

// As the system does it, or as a hostile one pretends to.
template <class Step>
int carry_out(Operation operation, Enclave& enclave, uint64_t offset, uint64_t length,
              uint64_t& count, Step step) {
    const Misbehaviour misbehaviour = misbehaviour_of(operation);
    if (misbehaviour == Misbehaviour::refuse) return -EFAULT;
    if (misbehaviour == Misbehaviour::drop) {
        count = length;
        return 0;
    }
    if (misbehaviour == Misbehaviour::delay) dawdle();
    const int error = for_each_page(enclave, offset, length, count, step);
    uint64_t ignored = 0;
    if (misbehaviour == Misbehaviour::repeat) {
        static_cast<void>(for_each_page(enclave, offset, length, ignored, step));
    }
    if (misbehaviour == Misbehaviour::swap) {
        static_cast<void>(for_each_page(enclave, offset, length, ignored, [&](uintptr_t address) {
            return swap_page(enclave, address);
        }));
    }
    return error;
}

// What the rules refuse of the page, else the leaf's effect.
template <class Call, class Effect>
int change_page(Call& call, uintptr_t address, uint64_t& result, Effect effect) {
    call.page = address;
    if (const auto* refusal = find_refusal(About::page, call)) {
        result = refusal->sgx_error;
        return refusal->error;
    }
    effect(call.enclave.entry(address));
    return 0;
}

}  // namespace

int ioctl_restrict_permissions(Enclave& enclave, uint64_t argument) {
    RestrictCall call{enclave, argument};
    if (const auto* refusal = find_refusal(About::call, call)) return refusal->error;
    auto& p = call.argument;
    uint64_t count = 0, result = 0;
    const int error = carry_out(
        Operation::restrict_permissions, enclave, p.offset, p.length, count,
        [&](uintptr_t address) {
            return change_page(call, address, result,
                               [&](EpcmEntry& entry) { encls_modpr(entry, p.permissions); });
        });
    charge(Charged::emodpr, count / page_size);
    p.count = count;
    p.result = result;
    return copy_to_program(argument, &p, sizeof(p)) ? error : -EFAULT;
}

int ioctl_modify_types(Enclave& enclave, uint64_t argument) {
    RetypeCall call{enclave, argument};
    if (const auto* refusal = find_refusal(About::call, call)) return refusal->error;
    auto& p = call.argument;
    uint64_t count = 0, result = 0;
    int error = 0;
    if (const auto* refusal = find_refusal(About::type, call)) {
        error = refusal->error;
    } else {
        const auto type = static_cast<uint8_t>(p.page_type);
        error = carry_out(Operation::modify_types, enclave, p.offset, p.length, count,
                          [&](uintptr_t address) {
                              return change_page(call, address, result, [&](EpcmEntry& entry) {
                                  if (type == SGX_PT_TCS) entry.kernel_cap = PROT_READ | PROT_WRITE;
                                  encls_modt(entry, type);
                              });
                          });
    }
    charge(Charged::emodt, count / page_size);
    p.count = count;
    p.result = result;
    return copy_to_program(argument, &p, sizeof(p)) ? error : -EFAULT;
}

int ioctl_remove_pages(Enclave& enclave, uint64_t argument) {
    RemoveCall call{enclave, argument};
    if (const auto* refusal = find_refusal(About::call, call)) return refusal->error;
    auto& p = call.argument;
    uint64_t count = 0, ignored = 0;
    // A trimmed page has no access in the host's page tables: nothing to unmap.
    const int error = carry_out(
        Operation::remove_pages, enclave, p.offset, p.length, count, [&](uintptr_t address) {
            return change_page(call, address, ignored,
                               [&](EpcmEntry&) { enclave.remove_page(address); });
        });
    charge(Charged::eremove, count / page_size);
    p.count = count;
    return copy_to_program(argument, &p, sizeof(p)) ? error : -EFAULT;
}

}  // namespace sgxemu
