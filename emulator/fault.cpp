// sgx_vma_fault and sgx_encl_eaug_page of the driver; SDM volume 3D, 35.5.1 for the order.
#include "emulator/fault.hpp"

#include <utility>

#include "emulator/costs.hpp"
#include "emulator/hostile.hpp"
#include "emulator/machine.hpp"
#include "emulator/paging.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

uint32_t error_code_of(Access access) {
    return SGX_PFEC_U | ((access & PROT_WRITE) ? SGX_PFEC_W : 0) |
           ((access & PROT_EXEC) ? SGX_PFEC_I : 0);
}

Translation page_fault(uint64_t address, Access access, uint32_t extra) {
    return {Outcome::faults, {vector_pf, error_code_of(access) | extra, address}};
}

// On a page fault. A hostile system may add the page late or not at all, or put a fresh one in the
// place of the page that it added last.
bool augment(Enclave& enclave, uintptr_t page) {
    const Misbehaviour misbehaviour = misbehaviour_of(Operation::eaug);
    if (misbehaviour == Misbehaviour::refuse || misbehaviour == Misbehaviour::drop) return false;
    if (misbehaviour == Misbehaviour::delay) dawdle();
    const uintptr_t before = std::exchange(enclave.last_added, page);
    if (misbehaviour == Misbehaviour::swap && before != 0 && before != page) {
        static_cast<void>(swap_page(enclave, before));
    }
    if (!add_fresh_page(enclave, page)) return false;
    charge(Charged::eaug);
    return true;
}

}  // namespace

bool add_fresh_page(Enclave& enclave, uintptr_t page) {
    if (!machine().config.sgx2 || !enclave.initialized) return false;
    if (!grow(enclave) || !take_epc_page(&enclave)) return false;
    EpcmEntry& entry = enclave.entry(page);
    encls_aug(entry);
    // The driver leaves permissions of added pages to the enclave.
    entry.kernel_cap = PROT_READ | PROT_WRITE | PROT_EXEC;
    enclave.count_page(page, 1);
    enclave.enqueue(page);
    return true;
}

int swap_page(Enclave& enclave, uintptr_t page) {
    if (!fetch_page(enclave, page)) return 0;
    const EpcmEntry& entry = enclave.entry(page);
    if (entry.tcs_busy || entry.pinned || enclave.is_held(page)) return 0;
    if (!withdraw_access(enclave, page, page + page_size)) return 0;
    enclave.remove_page(page);
    static_cast<void>(add_fresh_page(enclave, page));
    return 0;
}

Exception general_protection() {
    return {vector_gp, 0, 0};
}

Exception epcm_fault(uint64_t address, Access access) {
    return {vector_pf, error_code_of(access) | SGX_PFEC_P | SGX_PFEC_SGX, address};
}

Translation translate(Enclave& enclave, uint64_t address, Access access) {
    const uintptr_t page = address & ~(page_size - 1);
    const Vma* vma = find_vma(enclave, page);
    if (vma == nullptr) return page_fault(address, access, 0);
    EpcmEntry& entry = enclave.entry(page);
    if ((vma->protection & access) != access) {
        return page_fault(address, access, entry.valid ? SGX_PFEC_P : 0);
    }
    if (!entry.exists() && !augment(enclave, page)) return page_fault(address, access, 0);
    if ((entry.kernel_cap & vma->protection) != vma->protection) {
        return page_fault(address, access, 0);
    }
    if (!fetch_page(enclave, page)) return page_fault(address, access, 0);
    enclave.hold(page);
    return {};
}

Translation resolve_access(Enclave& enclave, uint64_t address, Access access) {
    const HoldPages hold(enclave);
    const Translation translation = translate(enclave, address, access);
    if (translation.outcome == Outcome::faults) return translation;
    const uintptr_t page = address & ~(page_size - 1);
    if (!permits(enclave.entry(page), access)) {
        return {Outcome::faults, epcm_fault(address, access)};
    }
    if (access == PROT_EXEC && enclave.watch) enclave.watch->executed(enclave.index_of(page));
    // Another thread changed the page meanwhile. If the host cannot give the protection (its
    // mapping limit), the program learns it as the driver's SIGBUS rather than by an endless loop.
    if (apply_protection(enclave, page, page + page_size) != 0) {
        return page_fault(address, access, 0);
    }
    return {};
}

}  // namespace sgxemu
