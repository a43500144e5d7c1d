// Calls of the test enclave.
#pragma once

#include "enclave/interface/call.hpp"

namespace sgxdl::test {

using Echo = Ecall<64, uint64_t(In<char, 4096> text, Out<char, 4096> reply)>;
using Empty = Ecall<65, void()>;

}  // namespace sgxdl::test
