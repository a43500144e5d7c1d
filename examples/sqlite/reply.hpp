// What a call to the SQLite enclave says.
#pragma once

#include <cstdint>

namespace sgxdl::sqlite {

struct Reply {
    int32_t result = 0;  // row (more rows wait: fetch them), done, ok, or SQLite's error code
    uint32_t rows = 0;   // complete rows in this answer
    uint64_t size = 0;   // bytes of text in this answer
};

// SQLite's result codes that are handled here; the values are part of its stable interface.
inline constexpr int result_ok = 0;
inline constexpr int result_error = 1;
inline constexpr int result_busy = 5;
inline constexpr int result_nomem = 7;
inline constexpr int result_toobig = 18;
inline constexpr int result_misuse = 21;
inline constexpr int result_row = 100;
inline constexpr int result_done = 101;

}  // namespace sgxdl::sqlite
