// SQLite as the enclave's base code sees it: addresses that were looked up by name.
//
// The base image contains nothing of SQLite, not even its header: SQLite is a module that comes at
// run time, signed by the vendor. The addresses are canonical (they stay equal across patches and
// every call through them goes to the version that the calling ecall is pinned to). The few
// constants below are part of SQLite's stable interface; native/native.cpp, which has sqlite3.h,
// asserts that they and the types agree.
#pragma once

#include <cstddef>
#include <cstdint>

struct sqlite3;
struct sqlite3_stmt;

namespace sgxdl::sqlite {

// name, result, parameters: one list for the table, the look-up and the native checks.
#define SGXDL_SQLITE_FUNCTIONS(F)                                                          \
    F(enclave_sqlite_start, int, (void))                                                   \
    F(sqlite3_open_v2, int, (const char*, sqlite3**, int, const char*))                    \
    F(sqlite3_close_v2, int, (sqlite3*))                                                   \
    F(sqlite3_limit, int, (sqlite3*, int, int))                                            \
    F(sqlite3_busy_timeout, int, (sqlite3*, int))                                          \
    F(sqlite3_prepare_v2, int, (sqlite3*, const char*, int, sqlite3_stmt**, const char**)) \
    F(sqlite3_step, int, (sqlite3_stmt*))                                                  \
    F(sqlite3_finalize, int, (sqlite3_stmt*))                                              \
    F(sqlite3_column_count, int, (sqlite3_stmt*))                                          \
    F(sqlite3_column_type, int, (sqlite3_stmt*, int))                                      \
    F(sqlite3_column_text, const unsigned char*, (sqlite3_stmt*, int))                     \
    F(sqlite3_column_bytes, int, (sqlite3_stmt*, int))                                     \
    F(sqlite3_errmsg, const char*, (sqlite3*))                                             \
    F(sqlite3_errstr, const char*, (int))                                                  \
    F(sqlite3_set_authorizer, int,                                                         \
      (sqlite3*, int (*)(void*, int, const char*, const char*, const char*, const char*), void*))

struct Api {
#define SGXDL_SQLITE_FIELD(name, result, parameters) result(*name) parameters = nullptr;
    SGXDL_SQLITE_FUNCTIONS(SGXDL_SQLITE_FIELD)
#undef SGXDL_SQLITE_FIELD
};

// From sqlite3.h.
inline constexpr int type_null = 5;
inline constexpr int open_readwrite = 0x2;
inline constexpr int open_create = 0x4;
inline constexpr int open_uri = 0x40;
inline constexpr int limit_column = 2;

}  // namespace sgxdl::sqlite
