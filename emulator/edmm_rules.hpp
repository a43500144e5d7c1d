// The rules of the ioctls that change an initialised enclave: which condition ends one, in which
// order, and by which errno; EMODPR and EMODT are part of the rows for a page.
//
// edmm_rules.cpp has all of them as one table, as leaves/rules.cpp has those of ENCLU. Each row
// counts how often it decided (tests/emulator/edmm_rules_test.cpp has a case for every row).
//
// Source: arch/x86/kernel/cpu/sgx/ioctl.c of Linux 6.1, whose order this is, and the "Operation" of
// EMODPR and EMODT in SDM volume 3D, 38.3. What the driver rules out before it executes a leaf is
// not repeated in the leaf's rows.
#pragma once

#include <asm/sgx.h>

#include <cstdint>

#include "emulator/enclave.hpp"

namespace sgxemu {

// One ioctl. Argument is sgx_enclave_restrict_permissions, _modify_types or _remove_pages.
template <class Argument>
struct EdmmCall {
    Enclave& enclave;
    uint64_t pointer;  // the program's
    Argument argument{};
    uintptr_t page = 0;  // in rows for a page: the one whose turn it is
};

using RestrictCall = EdmmCall<sgx_enclave_restrict_permissions>;
using RetypeCall = EdmmCall<sgx_enclave_modify_types>;
using RemoveCall = EdmmCall<sgx_enclave_remove_pages>;

// What a row is about: the call as a whole, before any page; or one page. (An unknown page type is
// found in between, when results are already written back.)
enum class About : uint8_t { call, type, page };

template <class Call>
struct EdmmRule {
    About about;
    const char* condition;  // as the documentation and the tests name it
    bool (*holds)(Call&);
    int error;               // errno, negative
    uint64_t sgx_error = 0;  // SGX error code, for `result`
};

// The first row about that which holds, or nullptr. Rows about a page: under enclave.lock.
const EdmmRule<RestrictCall>* find_refusal(About about, RestrictCall& call);
const EdmmRule<RetypeCall>* find_refusal(About about, RetypeCall& call);
const EdmmRule<RemoveCall>* find_refusal(About about, RemoveCall& call);

}  // namespace sgxemu
