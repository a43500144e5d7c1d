// The emulated processor and its EPC: what all enclaves of this process share.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "emulator/sgxemu.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxemu {

// Where XSAVE puts a state component in the standard format (CPUID leaf 0Dh).
struct StateComponent {
    uint32_t offset = 0;
    uint32_t size = 0;
};

struct Machine {
    MachineConfig config;
    std::atomic<size_t> epc_free{0};  // pages
    uint64_t xfrm_supported = 0;      // XCR0 without PKRU (not an enclave's) and AMX
    uint32_t mxcsr_mask = 0;
    std::array<StateComponent, 64> component{};
    // The fuses: every key is derived from it. Random for each process.
    std::array<uint8_t, 16> root_key{};
    // EREPORT's KEYID (CR_REPORT_KEYID), set at reset.
    std::array<uint8_t, 32> report_key_id{};
    // Seals pages that EWB writes out; new at each reset.
    std::array<uint8_t, 16> paging_key{};
    std::atomic<bool> is_fast{false};  // fast_is_on()
    bool usable = false;               // the host has what the emulator needs (FSGSBASE, XSAVE)

    // Takes one free page of the EPC; false when it is full. Use paging.hpp's, which makes room.
    bool take_free_epc_page();
    void return_epc_pages(size_t count) { epc_free.fetch_add(count, std::memory_order_relaxed); }
    // CPUID.12H.0:EBX. EXINFO came with the processors that have SGX2.
    uint32_t miscselect_supported() const { return config.sgx2 ? SGX_MISC_EXINFO : 0; }
    // Bytes of an XSAVE area in standard format that holds these components.
    size_t xsave_size(uint64_t xfrm) const;
};

// The machine; powered on by the first call, from ordinary code (CPUID costs a VM exit, keys are
// drawn). Signal handlers use it after that.
Machine& machine();

}  // namespace sgxemu
