#include "examples/sqlite/enclave/session.hpp"

#include <algorithm>
#include <cstring>

namespace sgxdl::sqlite {

namespace {

Reply plain(int result) {
    return {.result = result};
}

Reply message(int result, const char* what, std::span<char> text) {
    const size_t size = std::min(std::strlen(what), text.size());
    std::memcpy(text.data(), what, size);
    return {.result = result, .rows = 0, .size = size};
}

}  // namespace

// Holds the session for one call; says no when another call is inside.
class Session::Guard {
 public:
    explicit Guard(Session& session) : session_(session) {
        // acquire: sees what the call before left behind; partner: the release in ~Guard.
        owns_ = !session_.in_call_.test_and_set(std::memory_order_acquire);
    }
    ~Guard() {
        if (owns_) session_.in_call_.clear(std::memory_order_release);
    }
    Guard(const Guard&) = delete;
    explicit operator bool() const { return owns_; }

 private:
    Session& session_;
    bool owns_;
};

Reply Session::open(const Api& api, const char* name, int column_limit, std::span<char> text) {
    const Guard guard(*this);
    if (!guard) return message(result_busy, "the session is in use", text);
    if (database_ != nullptr) return message(result_misuse, "the session is open already", text);
    api_ = &api;
    const int result =
        api.sqlite3_open_v2(name, &database_, open_readwrite | open_create | open_uri, nullptr);
    if (result != result_ok) {
        const Reply reply = database_ != nullptr
                                ? fail(result, text)
                                : message(result, api.sqlite3_errstr(result), text);
        api.sqlite3_close_v2(database_);
        database_ = nullptr;
        return reply;
    }
    api.sqlite3_busy_timeout(database_, 2000);
    if (column_limit > 0) {
        // The limit also holds for CREATE TABLE texts read back from the schema: read it before.
        static constexpr char any[] = "SELECT 1 FROM sqlite_schema";
        const int read = api.sqlite3_prepare_v2(database_, any, sizeof any, &statement_, nullptr);
        if (read != result_ok) return fail(read, text);
        drop_statement();
        api.sqlite3_limit(database_, limit_column, column_limit);
    }
    return plain(result_ok);
}

Reply Session::execute(std::span<const char> sql, std::span<char> text) {
    const Guard guard(*this);
    if (!guard) return message(result_busy, "the session is in use", text);
    if (database_ == nullptr) return message(result_misuse, "the session is not open", text);
    if (sql.size() > INT32_MAX) return message(result_toobig, "the statement is too long", text);
    drop_statement();
    const char* next = sql.data();
    const char* const end = sql.data() + sql.size();
    Reply reply = plain(result_done);
    while (next < end) {
        const int result = api_->sqlite3_prepare_v2(database_, next, static_cast<int>(end - next),
                                                    &statement_, &next);
        if (result != result_ok) return fail(result, text);
        if (statement_ == nullptr) continue;  // white space or a comment
        reply = read_rows(text, reply.size, reply.rows);
        if (reply.result == result_row && next < end) {
            drop_statement();
            return message(result_toobig, "only the last statement may have more rows than fit",
                           text);
        }
        if (reply.result != result_done) return reply;
    }
    return reply;
}

Reply Session::fetch(std::span<char> text) {
    const Guard guard(*this);
    if (!guard) return message(result_busy, "the session is in use", text);
    if (statement_ == nullptr) return message(result_misuse, "there is nothing to fetch", text);
    return read_rows(text, 0, 0);
}

Reply Session::close() {
    const Guard guard(*this);
    if (!guard) return plain(result_busy);
    if (database_ == nullptr) return plain(result_misuse);
    drop_statement();
    const int result = api_->sqlite3_close_v2(database_);
    database_ = nullptr;
    return plain(result);
}

Reply Session::set_authorizer(Authorizer callback, void* context) {
    const Guard guard(*this);
    if (!guard) return plain(result_busy);
    if (database_ == nullptr) return plain(result_misuse);
    return plain(api_->sqlite3_set_authorizer(database_, callback, context));
}

// Steps the open statement until it is done, fails, or the text is full.
Reply Session::read_rows(std::span<char> text, size_t used, uint32_t rows) {
    for (;;) {
        if (!row_waits_) {
            const int result = api_->sqlite3_step(statement_);
            if (result == result_done) {
                drop_statement();
                return {.result = result_done, .rows = rows, .size = used};
            }
            if (result != result_row) {
                const Reply reply = fail(result, text);
                drop_statement();
                return reply;
            }
        }
        row_waits_ = !write_row(text, used);
        if (row_waits_) break;
        ++rows;
    }
    if (used == 0) {
        drop_statement();
        return message(result_toobig, "a row is larger than the buffer", text);
    }
    return {.result = result_row, .rows = rows, .size = used};
}

// Appends the current row; false, with nothing changed, when it does not fit.
bool Session::write_row(std::span<char> text, size_t& used) const {
    static constexpr char null_text[] = "NULL";
    size_t at = used;
    const int columns = api_->sqlite3_column_count(statement_);
    for (int i = 0; i < columns; ++i) {
        const void* value = null_text;
        size_t size = sizeof null_text - 1;
        if (api_->sqlite3_column_type(statement_, i) != type_null) {
            value = api_->sqlite3_column_text(statement_, i);
            size = static_cast<size_t>(api_->sqlite3_column_bytes(statement_, i));
        }
        if (size + 1 > text.size() - at) return false;
        if (size != 0) std::memcpy(text.data() + at, value, size);
        at += size;
        text[at++] = i + 1 == columns ? '\n' : '|';
    }
    used = at;
    return true;
}

Reply Session::fail(int result, std::span<char> text) const {
    return message(result, api_->sqlite3_errmsg(database_), text);
}

void Session::drop_statement() {
    if (statement_ != nullptr) api_->sqlite3_finalize(statement_);
    statement_ = nullptr;
    row_waits_ = false;
}

}  // namespace sgxdl::sqlite
