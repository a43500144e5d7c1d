// The measured image as the runtime sees itself: base address and the page the signer filled in.
#pragma once

#include <cstdint>

#include "enclave/interface/layout.h"

extern "C" {
extern const char sgxdl_image_base[];  // first byte of ELRANGE
extern const sgxdl_image_info sgxdl_image_information;
}

namespace sgxdl {

inline uintptr_t enclave_base() {
    return reinterpret_cast<uintptr_t>(sgxdl_image_base);
}
inline const sgxdl_image_info& image_info() {
    return sgxdl_image_information;
}

// True when [address, address + size) lies wholly outside the enclave and does not wrap.
inline bool outside_enclave(uint64_t address, uint64_t size) {
    const uint64_t base = enclave_base();
    const uint64_t end = base + image_info().elrange_size;
    if (address + size < address) return false;
    return address + size <= base || address >= end;
}

}  // namespace sgxdl
