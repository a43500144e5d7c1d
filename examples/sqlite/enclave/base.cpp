// The enclave's base code: finds SQLite in the loaded module once, then serves sessions.
//
// Trusts the loader (what it loaded was signed) and nothing from the host: numbers and texts are
// checked here, statements are SQLite's to judge.
#include "examples/sqlite/enclave/base.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace sgxdl::sqlite {

namespace {

enum class Ready : uint32_t { no, starting, yes };

Api addresses;
std::atomic<Ready> ready = Ready::no;
Session sessions[max_sessions];

// Every function by its name; the name of the first that is missing, or nullptr.
const char* look_up(Api& out) {
#define SGXDL_SQLITE_LOOK_UP(name, result, parameters)                         \
    out.name = reinterpret_cast<decltype(out.name)>(find(module_name, #name)); \
    if (out.name == nullptr) return #name;
    SGXDL_SQLITE_FUNCTIONS(SGXDL_SQLITE_LOOK_UP)
#undef SGXDL_SQLITE_LOOK_UP
    return nullptr;
}

}  // namespace

Session* session(uint32_t number) {
    return number < max_sessions ? &sessions[number] : nullptr;
}

const Api* api() {
    // acquire: the addresses were written before; partner: the release in start_sqlite().
    return ready.load(std::memory_order_acquire) == Ready::yes ? &addresses : nullptr;
}

Reply text_reply(int result, const char* what, OutBuffer<char>& text) {
    text.count = std::min(std::strlen(what), text.storage.size());
    if (text.count != 0) std::memcpy(text.storage.data(), what, text.count);
    return {.result = result, .rows = 0, .size = text.count};
}

Reply start_sqlite(OutBuffer<char>& text) {
    Ready expected = Ready::no;
    // relaxed: only one caller gets past, and nobody else looks at what it writes before `yes`.
    if (!ready.compare_exchange_strong(expected, Ready::starting, std::memory_order_relaxed)) {
        return text_reply(result_misuse, "SQLite was started already", text);
    }
    Reply reply;
    if (const char* missing = look_up(addresses)) {
        reply = text_reply(result_error, missing, text);
    } else {
        const int result = addresses.enclave_sqlite_start();
        reply = text_reply(result, addresses.sqlite3_errstr(result), text);
    }
    // release: partner of the acquire in api().
    ready.store(reply.result == result_ok ? Ready::yes : Ready::no, std::memory_order_release);
    return reply;
}

Reply open_session(uint32_t number, std::span<const char> name, uint32_t column_limit,
                   OutBuffer<char>& text) {
    Session* const target = session(number);
    const Api* const sqlite = api();
    if (target == nullptr) return text_reply(result_misuse, "no such session", text);
    if (sqlite == nullptr) return text_reply(result_misuse, "SQLite is not started", text);
    char terminated[max_name + 1] = {};
    std::copy_n(name.begin(), std::min(name.size(), max_name), terminated);
    const int limit = static_cast<int>(std::min(column_limit, uint32_t{INT32_MAX}));
    const Reply reply = target->open(*sqlite, terminated, limit, text.storage);
    text.count = reply.size;
    return reply;
}

Reply execute_sql(uint32_t number, std::span<const char> sql, OutBuffer<char>& text) {
    Session* const target = session(number);
    if (target == nullptr) return text_reply(result_misuse, "no such session", text);
    const Reply reply = target->execute(sql, text.storage);
    text.count = reply.size;
    return reply;
}

Reply fetch_rows(uint32_t number, OutBuffer<char>& text) {
    Session* const target = session(number);
    if (target == nullptr) return text_reply(result_misuse, "no such session", text);
    const Reply reply = target->fetch(text.storage);
    text.count = reply.size;
    return reply;
}

Reply close_session(uint32_t number) {
    Session* const target = session(number);
    return target != nullptr ? target->close() : Reply{.result = result_misuse};
}

}  // namespace sgxdl::sqlite
