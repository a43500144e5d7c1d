// Relocations: every type the loader knows, its fixup expression, width and overflow rule
// (x86-64 psABI, table 4.9). S: symbol, A: addend, P: place, G: address of the symbol's GOT slot.
//
//   R_X86_64_64             word64  S + A              cannot overflow
//   R_X86_64_PC32           word32  S + A - P          signed 32
//   R_X86_64_PLT32          word32  S + A - P          signed 32 (S: the function, or its veneer)
//   R_X86_64_32             word32  S + A              unsigned 32
//   R_X86_64_32S            word32  S + A              signed 32
//   R_X86_64_PC64           word64  S + A - P          cannot overflow
//   R_X86_64_GOTPCREL       word32  G + A - P          signed 32
//   R_X86_64_GOTPCRELX      word32  G + A - P          signed 32, not relaxed here
//   R_X86_64_REX_GOTPCRELX  word32  G + A - P          signed 32, not relaxed here
#pragma once

#include <cstdint>

#include "enclave/loader/result.hpp"

namespace sgxdl {

enum class RelocationType : uint32_t {
    abs64 = 1,
    pc32 = 2,
    plt32 = 4,
    gotpcrel = 9,
    abs32 = 10,
    abs32s = 11,
    pc64 = 24,
    gotpcrelx = 41,
    rex_gotpcrelx = 42,
};

// The psABI's name of a type, e.g. "R_X86_64_PC32"; nullptr for a type that the loader does not
// know.
const char* relocation_name(uint32_t type);
// Bytes that a known type writes: 4 or 8.
uint32_t relocation_width(RelocationType type);
// True for the types whose expression uses G.
bool relocation_uses_got(RelocationType type);

// Computes the fixup and writes it at `bytes`, which will stand at address `place`. `target` is S,
// or G for the types that use it. Returns relocation_overflow, with expression and limit in the
// text, and writes nothing, when the value does not fit.
Result<void> apply_relocation(RelocationType type, uint8_t* bytes, uint64_t place, uint64_t target,
                              int64_t addend);

}  // namespace sgxdl
