// The table.
#include "emulator/edmm_rules.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <iterator>

#include "emulator/driver.hpp"
#include "emulator/epcm.hpp"
#include "emulator/machine.hpp"
#include "emulator/paging.hpp"
#include "emulator/sgxemu.hpp"
#include "emulator/usercopy.hpp"

namespace sgxemu {

namespace {

constexpr uint64_t secinfo_permissions = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X;

// --- About the call ------------------------------------------------------------------------------

template <class Call>
bool no_sgx2(Call&) {
    return !machine().config.sgx2;
}

template <class Call>
bool not_initialised(Call& call) {
    return !call.enclave.initialized;
}

template <class Call>
bool argument_not_readable(Call& call) {
    return !copy_from_program(&call.argument, call.pointer, sizeof(call.argument));
}

template <class Call>
bool range_invalid(Call& call) {
    return !is_valid_range(call.enclave, call.argument.offset, call.argument.length);
}

bool permissions_unknown(RestrictCall& call) {
    return (call.argument.permissions & ~secinfo_permissions) != 0;
}

bool writes_without_reading(RestrictCall& call) {
    return (call.argument.permissions & SGX_SECINFO_W) &&
           !(call.argument.permissions & SGX_SECINFO_R);
}

bool bits_beyond_type(RetypeCall& call) {
    return call.argument.page_type > 0xff;
}

template <class Call>
bool result_not_zero(Call& call) {
    return call.argument.result != 0;
}

template <class Call>
bool count_not_zero(Call& call) {
    return call.argument.count != 0;
}

bool type_neither_tcs_nor_trim(RetypeCall& call) {
    return call.argument.page_type != SGX_PT_TCS && call.argument.page_type != SGX_PT_TRIM;
}

// --- About a page --------------------------------------------------------------------------------

template <class Call>
EpcmEntry& entry_of(Call& call) {
    return call.enclave.entry(call.page);
}

// Not there, or not to be had again from the backing store.
template <class Call>
bool absent(Call& call) {
    return !fetch_page(call.enclave, call.page);
}

bool not_regular(RestrictCall& call) {
    return entry_of(call).type != SGX_PT_REG;
}

bool no_such_change(RetypeCall& call) {
    const uint8_t type = entry_of(call).type;
    const bool trims = call.argument.page_type == SGX_PT_TRIM;
    return type != SGX_PT_REG && !(type == SGX_PT_TCS && trims);
}

// A TCS is mapped read-write; a page that may never be both cannot become one.
bool capped_below_tcs(RetypeCall& call) {
    constexpr int read_write = PROT_READ | PROT_WRITE;
    return call.argument.page_type == SGX_PT_TCS && entry_of(call).type == SGX_PT_REG &&
           (~entry_of(call).kernel_cap & read_write) != 0;
}

template <class Call>
bool unsettled(Call& call) {
    return entry_of(call).pending || entry_of(call).modified;
}

// A thread that is inside holds its TCS.
bool in_use(RetypeCall& call) {
    return entry_of(call).tcs_busy;
}

bool not_trimmed(RemoveCall& call) {
    return entry_of(call).type != SGX_PT_TRIM;
}

// clang-format off
constexpr EdmmRule<RestrictCall> restrict_rules[] = {
    {About::call, "no SGX2", no_sgx2, -ENODEV},
    {About::call, "not initialised", not_initialised, -EINVAL},
    {About::call, "argument not readable", argument_not_readable, -EFAULT},
    {About::call, "range invalid", range_invalid, -EINVAL},
    {About::call, "permissions unknown", permissions_unknown, -EINVAL},
    {About::call, "W without R", writes_without_reading, -EINVAL},
    {About::call, "result not zero", result_not_zero, -EINVAL},
    {About::call, "count not zero", count_not_zero, -EINVAL},
    {About::page, "absent", absent, -EFAULT},
    {About::page, "not regular", not_regular, -EINVAL},
    {About::page, "EMODPR: pending or modified", unsettled, -EFAULT, SGX_PAGE_NOT_MODIFIABLE},
};

constexpr EdmmRule<RetypeCall> retype_rules[] = {
    {About::call, "no SGX2", no_sgx2, -ENODEV},
    {About::call, "not initialised", not_initialised, -EINVAL},
    {About::call, "argument not readable", argument_not_readable, -EFAULT},
    {About::call, "range invalid", range_invalid, -EINVAL},
    {About::call, "bits beyond the type", bits_beyond_type, -EINVAL},
    {About::call, "result not zero", result_not_zero, -EINVAL},
    {About::call, "count not zero", count_not_zero, -EINVAL},
    {About::type, "type neither TCS nor TRIM", type_neither_tcs_nor_trim, -EINVAL},
    {About::page, "absent", absent, -EFAULT},
    {About::page, "no such change", no_such_change, -EINVAL},
    {About::page, "TCS of a page capped below RW", capped_below_tcs, -EPERM},
    {About::page, "EMODT: pending or modified", unsettled, -EFAULT, SGX_PAGE_NOT_MODIFIABLE},
    {About::page, "EMODT: TCS in use", in_use, -EFAULT, SGX_EPC_PAGE_CONFLICT},
};

constexpr EdmmRule<RemoveCall> remove_rules[] = {
    {About::call, "no SGX2", no_sgx2, -ENODEV},
    {About::call, "not initialised", not_initialised, -EINVAL},
    {About::call, "argument not readable", argument_not_readable, -EFAULT},
    {About::call, "range invalid", range_invalid, -EINVAL},
    {About::call, "count not zero", count_not_zero, -EINVAL},
    {About::page, "absent", absent, -EFAULT},
    {About::page, "not trimmed", not_trimmed, -EPERM},
    // The driver finds out by an EMODPR: SGX_PAGE_NOT_MODIFIABLE says not yet, #PF accepted.
    {About::page, "trim not accepted", unsettled, -EPERM},
};
// clang-format on

template <size_t n>
using Decided = std::array<std::atomic<uint64_t>, n>;
Decided<std::size(restrict_rules)> restrict_decided;
Decided<std::size(retype_rules)> retype_decided;
Decided<std::size(remove_rules)> remove_decided;

template <class Call, size_t n>
const EdmmRule<Call>* find(const EdmmRule<Call> (&rules)[n], Decided<n>& decided, About about,
                           Call& call) {
    for (size_t i = 0; i < n; ++i) {
        if (rules[i].about != about || !rules[i].holds(call)) continue;
        decided[i].fetch_add(1, std::memory_order_relaxed);
        return &rules[i];
    }
    return nullptr;
}

// The row at `index`, which is counted down by the table's length when it is not in it.
template <class Call, size_t n>
bool record(uint32_t ioctl, const EdmmRule<Call> (&rules)[n], const Decided<n>& decided,
            size_t& index, RuleRecord& out) {
    if (index >= n) {
        index -= n;
        return false;
    }
    out = {ioctl, rules[index].condition, decided[index].load(std::memory_order_relaxed)};
    return true;
}

}  // namespace

const EdmmRule<RestrictCall>* find_refusal(About about, RestrictCall& call) {
    return find(restrict_rules, restrict_decided, about, call);
}

const EdmmRule<RetypeCall>* find_refusal(About about, RetypeCall& call) {
    return find(retype_rules, retype_decided, about, call);
}

const EdmmRule<RemoveCall>* find_refusal(About about, RemoveCall& call) {
    return find(remove_rules, remove_decided, about, call);
}

RuleRecord driver_rule_record(size_t index) {
    RuleRecord out;
    if (record(SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, restrict_rules, restrict_decided, index,
               out) ||
        record(SGX_IOC_ENCLAVE_MODIFY_TYPES, retype_rules, retype_decided, index, out) ||
        record(SGX_IOC_ENCLAVE_REMOVE_PAGES, remove_rules, remove_decided, index, out)) {
        return out;
    }
    return {};
}

}  // namespace sgxemu
