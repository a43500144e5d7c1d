#include "examples/sqlite/native/native_api.hpp"

#include <type_traits>

#include "examples/sqlite/reply.hpp"

extern "C" {
#include "enclave_sqlite.h"
}

namespace sgxdl::sqlite {

// sqlite_api.hpp declares without sqlite3.h what sqlite3.h declares: here both are visible. The
// table's own types name sgxdl's view of sqlite3 and sqlite3_stmt, which are the same global ones.
#define SGXDL_SQLITE_CHECK(name, result, parameters) \
    static_assert(std::is_same_v<decltype(Api::name), decltype(&::name)>);
SGXDL_SQLITE_FUNCTIONS(SGXDL_SQLITE_CHECK)
#undef SGXDL_SQLITE_CHECK
static_assert(result_ok == SQLITE_OK && result_busy == SQLITE_BUSY && result_nomem == SQLITE_NOMEM);
static_assert(result_error == SQLITE_ERROR);
static_assert(result_toobig == SQLITE_TOOBIG && result_misuse == SQLITE_MISUSE);
static_assert(result_row == SQLITE_ROW && result_done == SQLITE_DONE && type_null == SQLITE_NULL);
static_assert(open_readwrite == SQLITE_OPEN_READWRITE && open_create == SQLITE_OPEN_CREATE);
static_assert(open_uri == SQLITE_OPEN_URI && limit_column == SQLITE_LIMIT_COLUMN);

const Api& native_api() {
    static const Api api = {
#define SGXDL_SQLITE_ADDRESS(name, result, parameters) .name = &::name,
        SGXDL_SQLITE_FUNCTIONS(SGXDL_SQLITE_ADDRESS)
#undef SGXDL_SQLITE_ADDRESS
    };
    return api;
}

}  // namespace sgxdl::sqlite
