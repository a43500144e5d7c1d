// One client's connection: open, execute, fetch. Answers are text, one row per line, columns
// separated by '|', NULL as "NULL"; errors carry SQLite's own message.
//
// Every statement is prepared when it is executed and dropped when its last row was read: nothing
// of SQLite's inner structures is kept from one query to the next.
//
// Threads: a session serves one call at a time. The host decides which threads call, so a second
// call that arrives while one runs is answered with result_busy, not trusted to stay away.
// The same code runs in the enclave and in the native reference.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "examples/sqlite/enclave/sqlite_api.hpp"
#include "examples/sqlite/reply.hpp"

namespace sgxdl::sqlite {

class Session {
 public:
    // Opens a database by name, e.g. "file:/data?vfs=memdb" (shared by all that open this name).
    // column_limit: SQLITE_LIMIT_COLUMN of this connection, which also bounds the number of
    // aggregate terms once CVE-2025-6965 is fixed; 0 leaves SQLite's default of 2000.
    // Writes SQLite's message to `text` when it fails.
    Reply open(const Api& api, const char* name, int column_limit, std::span<char> text);

    // Runs the statements in `sql` (size bytes, no NUL needed). Rows go to `text`. When they do not
    // fit: result_row, and fetch() gives the rest; only the last statement may have more.
    Reply execute(std::span<const char> sql, std::span<char> text);

    // The next rows of the statement that execute() left open.
    Reply fetch(std::span<char> text);

    Reply close();

    // Calls `callback` for every access that prepare checks; nullptr ends it. For tests that hold a
    // thread inside sqlite3_prepare.
    using Authorizer = int (*)(void*, int, const char*, const char*, const char*, const char*);
    Reply set_authorizer(Authorizer callback, void* context);

    bool is_open() const { return database_ != nullptr; }

 private:
    class Guard;

    Reply read_rows(std::span<char> text, size_t used, uint32_t rows);
    bool write_row(std::span<char> text, size_t& used) const;
    Reply fail(int result, std::span<char> text) const;
    void drop_statement();

    const Api* api_ = nullptr;
    sqlite3* database_ = nullptr;
    sqlite3_stmt* statement_ = nullptr;  // open between execute() and the last fetch()
    bool row_waits_ = false;             // statement_ stands on a row that did not fit
    std::atomic_flag in_call_ = ATOMIC_FLAG_INIT;
};

}  // namespace sgxdl::sqlite
