// The runtime's parts as they know each other.
#pragma once

#include <cstdint>
#include <span>

#include "enclave/loader/result.hpp"
#include "enclave/runtime/dispatch.hpp"

namespace sgxdl {

// The first ecall of a thread: sets up its area, and the enclave with the very first one. False
// when the enclave is dead because of it.
bool start_thread();

// Adds rows to the dispatch table; false when a number is outside [first, last] or taken.
bool register_ecalls(std::span<const EcallRow> table, uint32_t first, uint32_t last);

uint64_t ecalls_completed();

// Pins the calling thread to the current generation of loaded code, and lets go.
Result<void> pin_thread();
void unpin_thread();

// `bytes` random bytes from RDSEED or RDRAND; false when the processor gives none.
[[nodiscard]] bool random_bytes(void* to, size_t bytes);

// Rows of the calls that the runtime and the loader answer.
std::span<const EcallRow> runtime_rows();
std::span<const EcallRow> loader_rows();

// Makes the loader ready for the application's trust anchor and imports.
Result<void> start_loader();

}  // namespace sgxdl
