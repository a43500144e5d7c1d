// The SQLite that is linked into this program, as the enclave's base code would see it.
#pragma once

#include "examples/sqlite/enclave/sqlite_api.hpp"

namespace sgxdl::sqlite {

// Static storage.
const Api& native_api();

}  // namespace sgxdl::sqlite
