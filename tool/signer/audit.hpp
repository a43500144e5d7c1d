// The audit of an enclave image: what must not be in it, whoever linked it.
#pragma once

#include <string>
#include <vector>

#include "tool/signer/elf_image.hpp"

namespace sgxdl::signer {

struct AuditReport {
    std::vector<std::string> findings;  // one line each; empty: the image passes
    uint64_t instructions = 0;          // decoded
    uint64_t text_bytes = 0;
    uint64_t own_text_bytes = 0;  // of it the runtime and the loader core
    uint64_t enclu_sites = 0;
    bool uses_rdtsc = false;  // legal inside an enclave on SGX2 only
    bool uses_avx = false;    // needs XFRM bit 2
};

// Looks at every byte of executable sections, at segments, relocations and symbols.
AuditReport audit(const ElfImage& image);

}  // namespace sgxdl::signer
