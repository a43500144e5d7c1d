// What the test enclave answers beside the example's calls.
#pragma once

#include "examples/sqlite/interface.hpp"
#include "tests/sqlite/rearm.hpp"

namespace sgxdl::sqlite::test {

// Calls the rearm module; see rearm.hpp.
using TickModule = Ecall<100, Ticks()>;

// From now on, the session's next SELECT leaves the enclave by Parked from inside
// sqlite3_prepare, below sqlite3Select. Once.
using ParkNextSelect = Ecall<101, Reply(uint32_t session)>;

// The thread waits until the host answers.
using Parked = Ocall<100, Answer<0, 0>()>;

}  // namespace sgxdl::sqlite::test
