// The calls between the SQLite server and its enclave. Shared by both sides; see
// enclave/interface/call.hpp for what the declarations mean.
//
// Texts that a reply carries (rows, or SQLite's message) come in the output buffer; Reply::size
// says how many bytes of it count.
#pragma once

#include <cstdint>

#include "enclave/interface/call.hpp"
#include "examples/sqlite/reply.hpp"

namespace sgxdl::sqlite {

inline constexpr uint32_t max_sessions = 16;
inline constexpr size_t max_name = 256;           // bytes of a database's name
inline constexpr size_t max_statement = 1 << 20;  // bytes of SQL in one call
inline constexpr size_t max_text = 1 << 16;       // bytes of answer in one call

inline constexpr char module_name[] = "sqlite";

// Looks SQLite's functions up in the loaded module and initialises SQLite. Once, after the load.
using Start = Ecall<64, Reply(Out<char, max_text> text)>;
// Opens a database in one of the sessions. column_limit: see Session::open.
using Open = Ecall<65, Reply(uint32_t session, In<char, max_name> name, uint32_t column_limit,
                             Out<char, max_text> text)>;
using Execute =
    Ecall<66, Reply(uint32_t session, In<char, max_statement> sql, Out<char, max_text> text)>;
using Fetch = Ecall<67, Reply(uint32_t session, Out<char, max_text> text)>;
using Close = Ecall<68, Reply(uint32_t session)>;

// Runs speedtest1's main() from the module named; `arguments`: its command line, separated by
// single spaces. The text is what it printed (as much as fits); Reply::result its exit status.
using Speedtest =
    Ecall<69, Reply(In<char, 64> module, In<char, 1024> arguments, Out<char, max_text> text)>;

}  // namespace sgxdl::sqlite
