// The ENCLU leaves that run inside an enclave and touch its pages. One file each.
//
// Each function is the "Operation" of the leaf in SDM volume 3D, 38.4, its checks in the same
// order. They run under enclave.lock, which is also their concurrency rule: two leaves on one page
// never overlap, so the #GP for "page in use" does not occur.
#pragma once

#include <cstdint>

#include "emulator/enclave.hpp"
#include "emulator/fault.hpp"

namespace sgxemu {

struct LeafOperands {
    uint64_t rbx = 0, rcx = 0, rdx = 0;
};

// How a leaf ends. done: RAX and ZF say how it went. silent: no register changes. fault: #GP or
// #PF.
struct LeafResult {
    enum class Kind { done, silent, fault };
    Kind kind = Kind::done;
    uint64_t rax = SGX_SUCCESS;
    Exception exception;

    static LeafResult code(uint64_t error) { return {Kind::done, error, {}}; }
    static LeafResult silent() { return {Kind::silent, 0, {}}; }
    static LeafResult fault(const Exception& exception) { return {Kind::fault, 0, exception}; }
    static LeafResult gp() { return fault(general_protection()); }
};

LeafResult eaccept(Enclave& enclave, const LeafOperands& operands);
LeafResult eacceptcopy(Enclave& enclave, const LeafOperands& operands);
LeafResult emodpe(Enclave& enclave, const LeafOperands& operands);
LeafResult ereport(Enclave& enclave, const LeafOperands& operands);
LeafResult egetkey(Enclave& enclave, const LeafOperands& operands);

// --- What the leaves share -----------------------------------------------------------------------

inline bool is_aligned(uint64_t address, uint64_t alignment) {
    return address % alignment == 0;
}

// "DS:reg does not resolve within an EPC": translation, which may add the page.
inline bool resolves(Enclave& enclave, uint64_t address, Access access, Exception& exception) {
    const Translation translation = translate(enclave, address, access);
    exception = translation.exception;
    return translation.outcome == Outcome::allowed;
}

// A memory operand whose page must be present, regular, settled and allow the access; otherwise
// `exception` is the #PF to raise.
inline bool check_operand(Enclave& enclave, uint64_t address, Access access, Exception& exception) {
    if (!resolves(enclave, address, access, exception)) return false;
    exception = epcm_fault(address, access);
    return permits(enclave.entry(address), access);
}

}  // namespace sgxemu
