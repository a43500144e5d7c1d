// MRENCLAVE, computed from the layout alone and independently of any SGX implementation.
#pragma once

#include <array>
#include <cstdint>

#include "tool/signer/layout.hpp"

namespace sgxdl::signer {

using Digest = std::array<uint8_t, 32>;

// SDM volume 3D, 36.4.1: SHA-256 over one 64-byte record for ECREATE, one for each EADD, and for
// each EEXTEND a record followed by its 256 bytes.
Digest measure(const EnclaveLayout& layout);

}  // namespace sgxdl::signer
