// The base code's handlers, for the application table (and for the tests' larger one).
#pragma once

#include <span>

#include "examples/sqlite/enclave/session.hpp"
#include "examples/sqlite/interface.hpp"
#include "sgxdl/enclave.hpp"

namespace sgxdl::sqlite {

// The address of a function of SQLite, canonical; nullptr when there is none. In the example it
// comes from the loaded module, in the statically linked image of bench/ from the image itself.
void* find(const char* module, const char* name);

// The session of that number; nullptr when there is none.
Session* session(uint32_t number);

// SQLite's addresses; nullptr before Start succeeded.
const Api* api();

// Puts a text into a reply.
Reply text_reply(int result, const char* what, OutBuffer<char>& text);

Reply start_sqlite(OutBuffer<char>& text);
Reply open_session(uint32_t number, std::span<const char> name, uint32_t column_limit,
                   OutBuffer<char>& text);
Reply execute_sql(uint32_t number, std::span<const char> sql, OutBuffer<char>& text);
Reply fetch_rows(uint32_t number, OutBuffer<char>& text);
Reply close_session(uint32_t number);
Reply run_speedtest(std::span<const char> module, std::span<const char> arguments,
                    OutBuffer<char>& text);

}  // namespace sgxdl::sqlite
