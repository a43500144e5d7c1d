// MRENCLAVE: the SHA-256 that ECREATE starts, EADD and EEXTEND extend, EINIT ends.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "sgxdl/arch/sgx.h"

struct evp_md_ctx_st;

namespace sgxemu {

using Digest = std::array<uint8_t, 32>;

class Measurement {
 public:
    Measurement();
    ~Measurement();
    Measurement(const Measurement&) = delete;
    Measurement& operator=(const Measurement&) = delete;

    void create(uint32_t ssa_frame_size, uint64_t size);
    // `offset` from the enclave's base, `secinfo` as it was given to EADD.
    void add(uint64_t offset, const sgx_secinfo& secinfo);
    // One 256-byte chunk.
    void extend(uint64_t offset, const uint8_t* chunk);
    // The value so far; more may follow (EINIT may fail and be repeated).
    Digest value() const;

 private:
    void update(const void* bytes, size_t size);
    evp_md_ctx_st* context_;
};

// SHA-256 of one buffer.
Digest sha256(const void* bytes, size_t size);

}  // namespace sgxemu
