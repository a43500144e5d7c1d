// Copies between the emulator and the host program's memory that fail instead of faulting, as
// copy_from_user and copy_to_user do.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sgxemu {

// True when all `size` bytes were copied. Safe in signal handlers.
bool copy_from_program(void* to, uint64_t from, size_t size);
bool copy_to_program(uint64_t to, const void* from, size_t size);

}  // namespace sgxemu
