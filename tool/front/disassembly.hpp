// Finds the operands of machine code that relocations and linking touch.
//
// Text is decoded linearly from the section's start with Zydis in 64-bit mode. What cannot be
// decoded is refused: guessing at code that will run inside an enclave is not an option.
// Instruction formats: SDM volume 2, chapter 2; illegal instructions: volume 3D, "Intel SGX
// Interactions with IA32 and Intel 64 Architecture", table of illegal instructions in an enclave.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sgxdl::front {

// x87, SSE and AVX: what every SGX2 machine's enclave can be given.
inline constexpr uint64_t default_xfrm = 0x7;

enum class FieldKind : uint8_t {
    branch,        // relative target of a call or jump
    rip_relative,  // displacement of a RIP-relative memory operand
    displacement,  // any other displacement
    immediate,
};

// One field of an instruction that could hold an address or a number.
struct Field {
    FieldKind kind = FieldKind::immediate;
    uint8_t width = 0;    // bytes
    uint32_t offset = 0;  // in the section
    uint32_t begin = 0;   // of the instruction
    uint32_t end = 0;     // one past the instruction
    uint8_t opcode = 0;   // last opcode byte
    uint8_t modrm = 0;
    int64_t value = 0;  // as encoded, sign-extended
};

// The fields of all instructions of a text section, in order. `where` starts error messages
// ("file: section"). Throws Error for undecodable bytes and for instructions that an enclave
// cannot or must not execute, given its XFRM (SDM: XFRM enables extended state like XCR0).
std::vector<Field> decode_text(std::span<const uint8_t> text, const std::string& where,
                               uint64_t xfrm);

// The field whose bytes start at `offset`; nullptr when there is none.
const Field* find_field(const std::vector<Field>& fields, uint64_t offset);

}  // namespace sgxdl::front
