// From a linked image to the pages of an enclave: where everything stands, in the order in which it
// is measured.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "enclave/interface/layout.h"
#include "sgxdl/arch/sgx.h"
#include "sgxdl/signed_image.h"
#include "tool/signer/elf_image.hpp"

namespace sgxdl::signer {

// What the person who signs decides.
struct EnclaveConfig {
    uint64_t elrange_size = 1u << 30;  // bytes, power of two
    uint64_t arena_size = 256u << 20;  // bytes, for modules
    // Bytes of heap in static pages, for machines without SGX2; the arena is static then, too.
    // 0: dynamic pages, the heap is what the range has room for.
    uint64_t static_heap_size = 0;
    uint32_t threads = 8;
    uint32_t stack_pages = 128;
    uint64_t attributes = 0x4;  // MODE64BIT
    uint64_t xfrm = 0x7;        // x87, SSE, AVX

    // Details of #PF and #GP, without which an EACCEPT that faults could not be an error. They came
    // with SGX2: an enclave that is to start without it cannot ask for them.
    uint32_t miscselect() const { return static_heap_size == 0 ? SGX_MISC_EXINFO : 0; }
    std::string product;
    std::optional<std::array<uint8_t, 32>> vendor_key;
};

struct PageRun {
    uint64_t offset;             // in ELRANGE
    uint64_t size;               // bytes, whole pages
    uint64_t secinfo;            // SECINFO.FLAGS
    std::vector<uint8_t> bytes;  // empty: zero pages
    bool measured = true;        // the content, by EEXTEND
};

struct EnclaveLayout {
    sgxdl_image_info info;
    std::vector<PageRun> runs;  // in the order in which they are added
    uint64_t tcs_offset, tcs_stride;
};

// Lays the enclave out and fills in the image's information page. Throws Error when it does not
// fit.
EnclaveLayout lay_out(ElfImage image, const EnclaveConfig& config);

}  // namespace sgxdl::signer
