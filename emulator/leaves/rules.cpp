// The table. Operands by register: EACCEPT, EMODPE: RBX SECINFO, RCX page. EACCEPTCOPY: RDX source
// as well. EREPORT: RBX TARGETINFO, RCX REPORTDATA, RDX REPORT. EGETKEY: RBX KEYREQUEST, RCX key.
// EENTER, ERESUME: RBX TCS, RCX AEP.
#include "emulator/leaves/rules.hpp"

#include <array>
#include <atomic>
#include <iterator>

#include "emulator/machine.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu {

namespace {

using Operand = uint64_t LeafOperands::*;
constexpr Operand rbx = &LeafOperands::rbx, rcx = &LeafOperands::rcx, rdx = &LeafOperands::rdx;
constexpr Access on_read = PROT_READ, on_write = PROT_WRITE, on_both = PROT_READ | PROT_WRITE;

bool no_sgx2(LeafRun&) {
    return !machine().config.sgx2;
}

template <Operand operand, uint64_t alignment>
bool unaligned(LeafRun& run) {
    return run.operands.*operand % alignment != 0;
}

template <Operand operand>
bool outside(LeafRun& run) {
    return !run.enclave.contains(run.operands.*operand);
}

// "does not resolve within an EPC": translation by page tables and driver, which may add the page.
template <Operand operand, Access access>
bool unresolved(LeafRun& run) {
    const Translation translation = translate(run.enclave, run.operands.*operand, access);
    run.exception = translation.exception;
    return translation.outcome == Outcome::faults;
}

// The operand's page must be regular, settled and allow the access. (EMODPE's page: whatever it
// allows.)
template <Operand operand, Access access>
bool denied(LeafRun& run) {
    const uint64_t address = run.operands.*operand;
    run.exception = epcm_fault(address, access == 0 ? PROT_READ : access);
    return !permits(run.entry(address), access);
}

constexpr Access on_any = 0;
constexpr uint32_t eenter = SGX_ENCLU_EENTER, eresume = SGX_ENCLU_ERESUME,
                   ereport = SGX_ENCLU_EREPORT, egetkey = SGX_ENCLU_EGETKEY,
                   eaccept = SGX_ENCLU_EACCEPT, emodpe = SGX_ENCLU_EMODPE,
                   eacceptcopy = SGX_ENCLU_EACCEPTCOPY;
constexpr Verdict gp = Verdict::gp, fault = Verdict::fault, error = Verdict::error;

// clang-format off
constexpr Rule rules[] = {
    {eaccept, "no SGX2", no_sgx2, gp},
    {eaccept, "SECINFO unaligned", unaligned<rbx, 64>, gp},
    {eaccept, "SECINFO outside ELRANGE", outside<rbx>, gp},
    {eaccept, "SECINFO does not resolve", unresolved<rbx, on_read>, fault},
    {eaccept, "SECINFO not readable", denied<rbx, on_read>, fault},
    {eaccept, "SECINFO reserved bits", secinfo_has_reserved_bits, gp},
    {eaccept, "page unaligned", unaligned<rcx, 4096>, gp},
    {eaccept, "page outside ELRANGE", outside<rcx>, gp},
    {eaccept, "page does not resolve", unresolved<rcx, on_read>, fault},
    {eaccept, "request not acceptable", request_is_not_acceptable, gp},
    {eaccept, "page differs from request", page_differs_from_request, error, SGX_PAGE_ATTRIBUTES_MISMATCH},
    {eaccept, "TCS not acceptable", tcs_is_not_acceptable, gp},

    {eacceptcopy, "no SGX2", no_sgx2, gp},
    {eacceptcopy, "SECINFO unaligned", unaligned<rbx, 64>, gp},
    {eacceptcopy, "page unaligned", unaligned<rcx, 4096>, gp},
    {eacceptcopy, "source unaligned", unaligned<rdx, 4096>, gp},
    {eacceptcopy, "SECINFO outside ELRANGE", outside<rbx>, gp},
    {eacceptcopy, "page outside ELRANGE", outside<rcx>, gp},
    {eacceptcopy, "source outside ELRANGE", outside<rdx>, gp},
    {eacceptcopy, "SECINFO does not resolve", unresolved<rbx, on_read>, fault},
    {eacceptcopy, "page does not resolve", unresolved<rcx, on_both>, fault},
    {eacceptcopy, "source does not resolve", unresolved<rdx, on_read>, fault},
    {eacceptcopy, "SECINFO not readable", denied<rbx, on_read>, fault},
    {eacceptcopy, "SECINFO reserved bits", secinfo_has_reserved_bits, gp},
    {eacceptcopy, "SECINFO W without R", secinfo_writes_without_reading, gp},
    {eacceptcopy, "SECINFO not of a regular page", secinfo_is_not_regular, gp},
    {eacceptcopy, "source not readable", denied<rdx, on_read>, fault},
    {eacceptcopy, "page not as EAUG left it", destination_is_not_fresh, error, SGX_PAGE_ATTRIBUTES_MISMATCH},

    {emodpe, "no SGX2", no_sgx2, gp},
    {emodpe, "SECINFO unaligned", unaligned<rbx, 64>, gp},
    {emodpe, "page unaligned", unaligned<rcx, 4096>, gp},
    {emodpe, "SECINFO outside ELRANGE", outside<rbx>, gp},
    {emodpe, "page outside ELRANGE", outside<rcx>, gp},
    {emodpe, "SECINFO does not resolve", unresolved<rbx, on_read>, fault},
    {emodpe, "page does not resolve", unresolved<rcx, on_read>, fault},
    {emodpe, "SECINFO not readable", denied<rbx, on_read>, fault},
    {emodpe, "SECINFO reserved bits", secinfo_has_reserved_bits, gp},
    {emodpe, "page not regular and settled", denied<rcx, on_any>, fault},
    {emodpe, "would be W without R", would_write_without_reading, gp},

    {ereport, "TARGETINFO unaligned", unaligned<rbx, 512>, gp},
    {ereport, "REPORTDATA unaligned", unaligned<rcx, 128>, gp},
    {ereport, "REPORT unaligned", unaligned<rdx, 512>, gp},
    {ereport, "TARGETINFO outside ELRANGE", outside<rbx>, gp},
    {ereport, "REPORTDATA outside ELRANGE", outside<rcx>, gp},
    {ereport, "REPORT outside ELRANGE", outside<rdx>, gp},
    {ereport, "TARGETINFO does not resolve", unresolved<rbx, on_read>, fault},
    {ereport, "TARGETINFO not readable", denied<rbx, on_read>, fault},
    {ereport, "REPORTDATA does not resolve", unresolved<rcx, on_read>, fault},
    {ereport, "REPORTDATA not readable", denied<rcx, on_read>, fault},
    {ereport, "REPORT does not resolve", unresolved<rdx, on_write>, fault},
    {ereport, "REPORT not writable", denied<rdx, on_write>, fault},
    {ereport, "TARGETINFO reserved bits", targetinfo_has_reserved_bits, gp},

    {egetkey, "KEYREQUEST unaligned", unaligned<rbx, 512>, gp},
    {egetkey, "KEYREQUEST outside ELRANGE", outside<rbx>, gp},
    {egetkey, "KEYREQUEST does not resolve", unresolved<rbx, on_read>, fault},
    {egetkey, "KEYREQUEST not readable", denied<rbx, on_read>, fault},
    {egetkey, "key unaligned", unaligned<rcx, 16>, gp},
    {egetkey, "key outside ELRANGE", outside<rcx>, gp},
    {egetkey, "key does not resolve", unresolved<rcx, on_write>, fault},
    {egetkey, "key not writable", denied<rcx, on_write>, fault},
    {egetkey, "KEYREQUEST reserved bits", keyrequest_has_reserved_bits, gp},
    {egetkey, "KEYREQUEST needs KSS", keyrequest_needs_kss, gp},
    {egetkey, "unknown key name", key_name_is_unknown, error, SGX_INVALID_KEYNAME},
    {egetkey, "attribute missing", key_needs_attribute, error, SGX_INVALID_ATTRIBUTE},
    {egetkey, "CPUSVN beyond", cpu_svn_is_beyond, error, SGX_INVALID_CPUSVN},
    {egetkey, "ISVSVN beyond", isv_svn_is_beyond, error, SGX_INVALID_ISVSVN},
    {egetkey, "CONFIGSVN beyond", config_svn_is_beyond, error, SGX_INVALID_ISVSVN},

    {eenter, "TCS unaligned", unaligned<rbx, 4096>, gp},
    {eenter, "AEP not canonical", aep_is_not_canonical, gp},
    {eenter, "TCS does not resolve", unresolved<rbx, on_read>, fault},
    {eenter, "not a settled TCS", tcs_is_not_usable, fault},
    {eenter, "enclave not initialised", enclave_is_not_initialised, gp},
    {eenter, "OSSA unaligned", ssa_is_unaligned, gp},
    {eenter, "targets not canonical", targets_are_not_canonical, gp},
    {eenter, "TCS busy", tcs_is_busy, gp},
    {eenter, "no free SSA frame", no_free_ssa_frame, gp},
    {eenter, "SSA frame outside ELRANGE", frame_is_outside, gp},
    {eenter, "SSA frame does not resolve", frame_does_not_resolve, fault},
    {eenter, "SSA frame not writable", frame_is_denied, fault},

    {eresume, "TCS unaligned", unaligned<rbx, 4096>, gp},
    {eresume, "AEP not canonical", aep_is_not_canonical, gp},
    {eresume, "TCS does not resolve", unresolved<rbx, on_read>, fault},
    {eresume, "not a settled TCS", tcs_is_not_usable, fault},
    {eresume, "enclave not initialised", enclave_is_not_initialised, gp},
    {eresume, "OSSA unaligned", ssa_is_unaligned, gp},
    {eresume, "targets not canonical", targets_are_not_canonical, gp},
    {eresume, "TCS busy", tcs_is_busy, gp},
    {eresume, "nothing to resume", no_used_ssa_frame, gp},
    // (The frame lies in ELRANGE: EENTER has made sure, and the TCS has not changed since.)
    {eresume, "SSA frame does not resolve", frame_does_not_resolve, fault},
    {eresume, "SSA frame not writable", frame_is_denied, fault},
    {eresume, "saved state not canonical", saved_state_is_not_canonical, gp},
};
// clang-format on

// A leaf's rows are neighbours: the first of each, by leaf number.
constexpr size_t leaf_count = SGX_ENCLU_EACCEPTCOPY + 1;
constexpr std::array<size_t, leaf_count> first_rows() {
    std::array<size_t, leaf_count> first{};
    for (size_t i = std::size(rules); i-- > 0;)
        first[rules[i].leaf] = i;
    return first;
}
constexpr auto first_row = first_rows();
constexpr bool rows_are_neighbours() {
    for (size_t i = 1; i < std::size(rules); ++i) {
        if (rules[i].leaf != rules[i - 1].leaf && first_row[rules[i].leaf] != i) return false;
    }
    return true;
}
static_assert(rows_are_neighbours());

std::array<std::atomic<uint64_t>, std::size(rules)> decided;

}  // namespace

const Rule* find_violation(uint32_t leaf, LeafRun& run) {
    for (size_t i = first_row[leaf]; i < std::size(rules) && rules[i].leaf == leaf; ++i) {
        if (!rules[i].holds(run)) continue;
        decided[i].fetch_add(1, std::memory_order_relaxed);
        return &rules[i];
    }
    return nullptr;
}

bool violates(uint32_t leaf, LeafRun& run, Exception& exception) {
    const Rule* rule = find_violation(leaf, run);
    if (rule == nullptr) return false;
    exception = rule->verdict == Verdict::fault ? run.exception : general_protection();
    return true;
}

RuleRecord rule_record(size_t index) {
    if (index >= std::size(rules)) return {};
    const Rule& rule = rules[index];
    return {rule.leaf, rule.condition, decided[index].load(std::memory_order_relaxed)};
}

}  // namespace sgxemu
