// Calls of the test enclave: each lets a test look at one thing from inside.
#pragma once

#include "enclave/interface/call.hpp"

namespace sgxdl::test {

using Echo = Ecall<64, uint64_t(In<char, 4096> text, Out<char, 4096> reply)>;
using Empty = Ecall<65, void()>;
// Parameters of every kind; returns them back.
struct Mixed {
    uint8_t small;
    int32_t negative;
    uint64_t sum;
    bool flag;
};
using Mix = Ecall<66, Mixed(uint8_t small, int32_t negative, In<uint16_t, 100> numbers, bool flag)>;
// A handler that fails with a loader code and this text.
using Fail = Ecall<67, uint64_t(In<char, 64> text)>;

// Allocates blocks of `size` until `total` bytes are live, touching each; false when out of memory.
using Fill = Ecall<68, bool(uint64_t total, uint64_t size)>;
// Frees all of them.
using Release = Ecall<69, void()>;
// Allocates, grows, shrinks and frees at random, checking contents; returns the count of errors.
using Churn = Ecall<70, uint64_t(uint64_t seed, uint64_t steps)>;

// Adds one `count` times under a mutex, recursively taken; returns the count seen at the end.
using Count = Ecall<71, uint64_t(uint64_t count)>;
// Spins until `flag` threads have arrived, proof that they are inside together.
using Meet = Ecall<72, uint64_t(uint64_t threads)>;

enum class Fault : uint32_t {
    null_write,
    bad_opcode,
    divide,
    stack_overflow,
    abort,
    assertion,
    double_free,
    smash,
    code_write,
    stray_jump,
    unset_stub,
};
using Die = Ecall<73, void(Fault fault)>;
// Jumps through a stub's table in a call that is pinned to no generation.
using JumpUnpinned = Ecall<84, void(), Pin::no>;

// Makes the ocall `Ask` or `AskNested` and returns what came: answer, or -1 when it was refused.
using Relay = Ecall<74, int64_t(bool nested, int64_t value)>;
using Ask = Ocall<32, Answer<0, 1000>(int64_t value)>;
using AskNested = Ocall<33, Answer<0, 1000>(int64_t value), Nested::allowed>;
// An ocall with buffers both ways; returns their checksum difference (0 when right).
using Swap = Ecall<75, uint64_t(uint64_t size)>;
using Transform = Ocall<34, Answer<0, 65536>(In<uint8_t, 20000> bytes, Out<uint8_t, 20000> answer)>;

// What C's library makes of things: one line each, to be compared with the host's.
using Library = Ecall<76, void(Out<char, 8192> text)>;
// libsodium: signs a message with the key made from the seed.
using Sign = Ecall<77, void(In<uint8_t, 32> seed, In<uint8_t, 4096> message, Out<uint8_t, 64> mac,
                            Out<uint8_t, 32> key)>;
using Random = Ecall<78, void(Out<uint8_t, 64> bytes)>;
using Print = Ecall<79, int64_t(In<char, 4096> text)>;
// DF, AC, MXCSR, x87 control word, and whether vector registers were clean at the handler's entry.
struct Processor {
    uint64_t flags;
    uint32_t mxcsr;
    uint16_t x87_control;
    uint16_t reserved;
};
using GetProcessor = Ecall<80, Processor()>;
// Commits `pages` of heap in one block; false when the OS gave none.
using Commit = Ecall<81, bool(uint64_t pages)>;
// Calls `int name(int)` of a loaded module through its canonical address.
using CallLoaded = Ecall<82, int64_t(In<char, 64> module, In<char, 64> function, int32_t argument)>;
// The stack protector's canary, fresh with every start.
using Canary = Ecall<83, uint64_t()>;

}  // namespace sgxdl::test
