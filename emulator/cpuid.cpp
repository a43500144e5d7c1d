// SDM volume 3D, 34.7.2 (tables of leaf 12H); volume 2A, CPUID.
#include "emulator/cpuid.hpp"

#include <cpuid.h>

#include <array>
#include <atomic>

#include "emulator/ecreate.hpp"
#include "emulator/machine.hpp"

namespace sgxemu {

namespace {

constexpr uint32_t leaf_features = 7, leaf_sgx = 0x12;
constexpr uint32_t feature_sgx = 1u << 2;              // leaf 7, EBX
constexpr uint32_t feature_launch_control = 1u << 30;  // leaf 7, ECX
constexpr uint32_t sgx1_bit = 1, sgx2_bit = 2;         // leaf 12H.0, EAX
constexpr uint32_t epc_section = 1;                    // type, and "confidentiality, integrity,
                                                       // replay protection" in ECX
// Where the emulated EPC is in physical memory: nowhere that software could look.
constexpr uint64_t epc_physical_base = 0x7000'0000;

std::array<std::atomic<uint64_t>, 256> sites;
std::atomic<size_t> site_count{0};

CpuidResult host_cpuid(uint32_t leaf, uint32_t subleaf) {
    CpuidResult r;
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

CpuidResult sgx_capabilities() {
    CpuidResult r;
    r.eax = sgx1_bit | (machine().config.sgx2 ? sgx2_bit : 0);
    r.ebx = machine().miscselect_supported();
    r.edx = max_enclave_bits << 8 | 31;
    return r;
}

CpuidResult sgx_attributes_supported() {
    const uint64_t xfrm = machine().xfrm_supported;
    return {static_cast<uint32_t>(known_attributes | SGX_ATTR_INIT), 0, static_cast<uint32_t>(xfrm),
            static_cast<uint32_t>(xfrm >> 32)};
}

CpuidResult first_epc_section() {
    constexpr uint64_t low_mask = 0xffff'f000;
    const uint64_t size = uint64_t{machine().config.epc_pages} * SGX_ARCH_PAGE_SIZE;
    return {static_cast<uint32_t>((epc_physical_base & low_mask) | epc_section),
            static_cast<uint32_t>(epc_physical_base >> 32),
            static_cast<uint32_t>((size & low_mask) | epc_section),
            static_cast<uint32_t>(size >> 32)};
}

}  // namespace

CpuidResult emulated_cpuid(uint32_t leaf, uint32_t subleaf) {
    if (leaf == leaf_sgx) {
        if (subleaf == 0) return sgx_capabilities();
        if (subleaf == 1) return sgx_attributes_supported();
        return subleaf == 2 ? first_epc_section() : CpuidResult{};
    }
    CpuidResult r = host_cpuid(leaf, subleaf);
    if (leaf == 0 && r.eax < leaf_sgx) r.eax = leaf_sgx;
    if (leaf == leaf_features && subleaf == 0) {
        r.ebx |= feature_sgx;
        r.ecx |= feature_launch_control;
    }
    return r;
}

bool add_cpuid_site(uint64_t address) {
    const size_t i = site_count.load(std::memory_order_relaxed);
    for (size_t known = 0; known < i; ++known) {
        if (sites[known].load(std::memory_order_relaxed) == address) return true;
    }
    if (i == sites.size()) return false;
    sites[i].store(address, std::memory_order_relaxed);
    // Release: pairs with the acquire in execute_cpuid, which then sees the address.
    site_count.store(i + 1, std::memory_order_release);
    return true;
}

bool execute_cpuid(ucontext_t& context) {
    auto& gregs = context.uc_mcontext.gregs;
    const auto rip = static_cast<uint64_t>(gregs[REG_RIP]);
    const size_t count = site_count.load(std::memory_order_acquire);
    for (size_t i = 0; i < count; ++i) {
        if (sites[i].load(std::memory_order_relaxed) != rip) continue;
        const CpuidResult r = emulated_cpuid(static_cast<uint32_t>(gregs[REG_RAX]),
                                             static_cast<uint32_t>(gregs[REG_RCX]));
        gregs[REG_RAX] = r.eax;
        gregs[REG_RBX] = r.ebx;
        gregs[REG_RCX] = r.ecx;
        gregs[REG_RDX] = r.edx;
        gregs[REG_RIP] += 2;
        return true;
    }
    return false;
}

}  // namespace sgxemu
