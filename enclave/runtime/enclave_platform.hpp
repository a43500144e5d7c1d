// The loader core's platform inside an enclave. The contract is in enclave/loader/platform.hpp.
//
// Memory: dynamic pages by EACCEPT (data) and EACCEPTCOPY (code, constants); W^X by the EPCM. An
// image signed for SGX1 has static pages instead (pages.hpp), and no W^X.
// Stubs jump through GS. EENTER sets GS to an address range that is never backed, the entry code
// restores it around ocalls, and only set_table() changes it: it always points into the enclave.
#pragma once

#include <cstddef>
#include <cstdint>

#include "enclave/interface/layout.h"
#include "enclave/loader/platform.hpp"

namespace sgxdl {

class Platform {
 public:
    static constexpr uint32_t thread_capacity = SGXDL_MAX_THREADS;
    static constexpr size_t stub_size = 16;  // bytes

    AddressRange arena();
    Result<void> commit_data(uintptr_t address, size_t count);
    Result<void> commit_copy(uintptr_t address, const void* source, size_t count, PageUse use);
    bool release(uintptr_t address, size_t count);
    bool usable(uintptr_t address, size_t count);
    void* staging_alloc(size_t count);
    void staging_free(void* pages, size_t count);
    static void* allocate(size_t bytes);
    static void deallocate(void* block);
    static void* reserve(size_t bytes);
    static bool extend(void* block, size_t bytes);
    static uint64_t heap_growth();
    uint32_t thread_index();
    // jmp *%gs:8*index; int3 up to stub_size bytes. `bytes` is where it is built, not where it
    // runs.
    static void emit_stub(void* bytes, uint32_t index);
    // `table` lies in the enclave; nullptr: the range that faults.
    void set_table(const void* table);
    uintptr_t trap_address();
    bool w_xor_x();
    // Sends the line to the host; what becomes of it is the host's affair.
    void log(const char* line);
};

}  // namespace sgxdl
