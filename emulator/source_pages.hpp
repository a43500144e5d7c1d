// Whether the kernel would take the pages to be added to an enclave from where the program has
// them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sgxemu {

// Bytes from the address on, at most `size`, before the first mapping of a file on a file system
// that is mounted noexec: those lack VM_MAYEXEC, and __sgx_encl_add_page refuses them with EACCES.
size_t executable_source(uint64_t address, size_t size);

}  // namespace sgxemu
