// A session in the enclave, seen from the host.
#pragma once

#include <memory>
#include <string>

#include "examples/sqlite/interface.hpp"
#include "examples/sqlite/server/clients.hpp"
#include "sgxdl/host.hpp"

namespace sgxdl::sqlite {

// Starts SQLite after its module was loaded; throws std::runtime_error with SQLite's message.
void start_sqlite(host::Enclave& enclave);

// Opens `database` in session `number` (below max_sessions) and closes it with the object. Throws
// std::runtime_error. A call that the enclave refuses is an error reply with the reason as text.
std::unique_ptr<Connection> connect_to_enclave(host::Enclave& enclave, uint32_t number,
                                               const std::string& database,
                                               uint32_t column_limit = 0);

}  // namespace sgxdl::sqlite
