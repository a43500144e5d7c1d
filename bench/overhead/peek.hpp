// What the enclave of the overhead benchmark answers beside the SQLite example's calls.
#pragma once

#include "examples/sqlite/interface.hpp"

namespace sgxdl::bench {

// Reads the code that is loaded at, before or after a function: `offset` bytes from the present
// version's first byte. For measuring only: an enclave with secrets must not have this call.
using PeekCode = Ecall<110, void(In<char, 64> module, In<char, 64> function, int64_t offset,
                                 Out<uint8_t, 65536> bytes)>;

}  // namespace sgxdl::bench
