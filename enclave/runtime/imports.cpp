// The application's import allow-list, made by cmake/imports.cmake.

#include <cstddef>

#include "enclave/runtime/application.hpp"

// Rows of three quads: name, address, 1 for a function. The last is read as Import::is_function.
extern "C" const sgxdl::Import sgxdl_import_rows[];
extern "C" const uint64_t sgxdl_import_count;

static_assert(sizeof(sgxdl::Import) == 24 && offsetof(sgxdl::Import, is_function) == 16);

namespace sgxdl {

std::span<const Import> application_imports() {
    return {sgxdl_import_rows, sgxdl_import_count};
}

}  // namespace sgxdl
