// CPUID as the emulated processor answers it.
#pragma once

#include <ucontext.h>

#include <cstdint>

namespace sgxemu {

struct CpuidResult {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// The host's answer, with SGX in leaf 7 and the SGX leaves 12H (SDM volume 3D, 34.7). Costs a VM
// exit on most machines; not for handlers on a hot path.
CpuidResult emulated_cpuid(uint32_t leaf, uint32_t subleaf);

// Declares that the HLT at the address stands for a CPUID. False: too many. Known to every trap
// that comes after the return.
bool add_cpuid_site(uint64_t address);

// Executes the CPUID that trapped, when RIP is a known site. In a handler.
bool execute_cpuid(ucontext_t& context);

}  // namespace sgxemu
