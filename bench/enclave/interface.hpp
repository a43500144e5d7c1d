// The calls of the benchmark enclave.
#pragma once

#include "enclave/interface/call.hpp"

namespace sgxdl::bench {

enum class Way : uint32_t { direct, indirect, canonical };

// Calls the module's leaf function `count` times in one of the ways; returns what it counted.
using CallLoop = Ecall<64, int64_t(Way way, uint64_t count)>;

// Nothing: in and out.
using Empty = Ecall<65, void()>;

}  // namespace sgxdl::bench
