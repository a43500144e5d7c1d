// The rules of ENCLU: which condition ends a leaf, in which order, and how.
//
// rules.cpp has all of them as one table; a leaf runs through its rows, and what is left when none
// of them holds is its effect. Each row counts how often it decided, so that a test can show that
// it was this one (tests/emulator/rules_test.cpp has a case for every row).
//
// Source: the "Operation" of each leaf in SDM volume 3D, 38.4, whose order this is. They run under
// enclave.lock, which is also their concurrency rule: two leaves on one page never overlap, so the
// #GP for "page in use" does not occur.
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"
#include "emulator/fault.hpp"
#include "emulator/ssa.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxemu {

struct LeafOperands {
    uint64_t rbx = 0, rcx = 0, rdx = 0;
};

// One execution of a leaf: what its conditions look at and leave for later ones.
struct LeafRun {
    LeafRun(Enclave& of, const LeafOperands& with) : enclave(of), operands(with) {}

    Enclave& enclave;
    LeafOperands operands;
    Exception exception;  // of a condition whose verdict is fault
    // Copied in when the operand has been checked; indeterminate before (they are large).
    sgx_secinfo secinfo;
    sgx_keyrequest request;
    sgx_targetinfo target;
    // EENTER and ERESUME: the frame that an exit would use.
    SsaFrame frame;

    EpcmEntry& entry(uint64_t address) const { return enclave.entry(address); }
};

enum class Verdict : uint8_t {
    gp,     // #GP(0)
    fault,  // the exception that the condition left: #PF by page tables, driver or EPCM
    error,  // RAX, with ZF set
};

struct Rule {
    uint32_t leaf;          // SGX_ENCLU_*
    const char* condition;  // as the documentation and the tests name it
    bool (*holds)(LeafRun&);
    Verdict verdict;
    uint32_t error = 0;  // SGX error code
};

// The first row of the leaf that holds, or nullptr.
const Rule* find_violation(uint32_t leaf, LeafRun& run);
// The same as an exception, for leaves that have no error codes.
bool violates(uint32_t leaf, LeafRun& run, Exception& exception);

// --- Conditions of one leaf, beside it
// ------------------------------------------------------------

// secinfo.cpp
bool secinfo_has_reserved_bits(LeafRun& run);
bool secinfo_writes_without_reading(LeafRun& run);
bool secinfo_is_not_regular(LeafRun& run);
// eaccept.cpp
bool request_is_not_acceptable(LeafRun& run);
bool page_differs_from_request(LeafRun& run);
bool tcs_is_not_acceptable(LeafRun& run);
// eacceptcopy.cpp
bool destination_is_not_fresh(LeafRun& run);
// emodpe.cpp
bool would_write_without_reading(LeafRun& run);
// ereport.cpp
bool targetinfo_has_reserved_bits(LeafRun& run);
// egetkey.cpp
bool keyrequest_has_reserved_bits(LeafRun& run);
bool keyrequest_needs_kss(LeafRun& run);
bool key_name_is_unknown(LeafRun& run);
bool key_needs_attribute(LeafRun& run);
bool cpu_svn_is_beyond(LeafRun& run);
bool isv_svn_is_beyond(LeafRun& run);
bool config_svn_is_beyond(LeafRun& run);
// thread_control.cpp
bool aep_is_not_canonical(LeafRun& run);
bool tcs_is_not_usable(LeafRun& run);
bool enclave_is_not_initialised(LeafRun& run);
bool ssa_is_unaligned(LeafRun& run);
bool targets_are_not_canonical(LeafRun& run);
bool tcs_is_busy(LeafRun& run);
bool no_free_ssa_frame(LeafRun& run);
bool no_used_ssa_frame(LeafRun& run);
bool frame_is_outside(LeafRun& run);
bool frame_does_not_resolve(LeafRun& run);
bool frame_is_denied(LeafRun& run);
bool saved_state_is_not_canonical(LeafRun& run);

}  // namespace sgxemu
