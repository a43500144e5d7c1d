#include "tool/front/disassembly.hpp"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <string_view>

#include "tool/front/error.hpp"

namespace sgxdl::front {
namespace {

// Why an enclave may not contain this instruction; nullptr when it may.
// UD2 and INT3 are allowed: they raise an exception that the runtime reports, which is what the
// compiler wants of them. RDTSC and RDTSCP are legal on SGX2 processors.
const char* illegal_reason(const ZydisDecodedInstruction& instruction) {
    if (instruction.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) return "is privileged";
    if (instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
        return "is a far branch or changes the privilege level";
    }
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_SYSCALL:
        case ZYDIS_MNEMONIC_SYSENTER:
        case ZYDIS_MNEMONIC_INT:
        case ZYDIS_MNEMONIC_INTO:
        case ZYDIS_MNEMONIC_INT1:
            return "makes a system call or a software interrupt";
        case ZYDIS_MNEMONIC_CPUID:
        case ZYDIS_MNEMONIC_GETSEC:
        case ZYDIS_MNEMONIC_RDPMC:
        case ZYDIS_MNEMONIC_SGDT:
        case ZYDIS_MNEMONIC_SIDT:
        case ZYDIS_MNEMONIC_SLDT:
        case ZYDIS_MNEMONIC_STR:
        case ZYDIS_MNEMONIC_SMSW:
        case ZYDIS_MNEMONIC_VMCALL:
        case ZYDIS_MNEMONIC_VMMCALL:
        case ZYDIS_MNEMONIC_VMFUNC:
            return "is illegal in an enclave";
        case ZYDIS_MNEMONIC_IN:
        case ZYDIS_MNEMONIC_INSB:
        case ZYDIS_MNEMONIC_INSW:
        case ZYDIS_MNEMONIC_INSD:
        case ZYDIS_MNEMONIC_OUT:
        case ZYDIS_MNEMONIC_OUTSB:
        case ZYDIS_MNEMONIC_OUTSW:
        case ZYDIS_MNEMONIC_OUTSD:
            return "is port input or output";
        case ZYDIS_MNEMONIC_IRET:
        case ZYDIS_MNEMONIC_IRETD:
        case ZYDIS_MNEMONIC_IRETQ:
        case ZYDIS_MNEMONIC_LDS:
        case ZYDIS_MNEMONIC_LES:
        case ZYDIS_MNEMONIC_LFS:
        case ZYDIS_MNEMONIC_LGS:
        case ZYDIS_MNEMONIC_LSS:
            return "loads a segment register";
        case ZYDIS_MNEMONIC_WRFSBASE:
        case ZYDIS_MNEMONIC_WRGSBASE:
            return "changes a base that belongs to the runtime";
        case ZYDIS_MNEMONIC_HLT:
            return "is privileged";
        case ZYDIS_MNEMONIC_ENCLU:
        case ZYDIS_MNEMONIC_ENCLS:
        case ZYDIS_MNEMONIC_ENCLV:
            return "enters, leaves or changes the enclave";
        default:
            break;
    }
    bool legacy = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
    if (legacy && instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
        instruction.opcode == 0x8E) {
        return "loads a segment register";
    }
    if (legacy && instruction.opcode_map == ZYDIS_OPCODE_MAP_0F &&
        (instruction.opcode == 0xA1 || instruction.opcode == 0xA9)) {
        return "loads a segment register";
    }
    return nullptr;
}

// The XFRM bits that the instruction's state needs (SDM volume 1, chapter 13).
uint64_t needed_xfrm(const ZydisDecodedInstruction& instruction) {
    constexpr uint64_t avx = 0x4;
    constexpr uint64_t avx512 = 0xE0 | avx;
    if (instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
        switch (instruction.mnemonic) {
            case ZYDIS_MNEMONIC_RDPKRU:
            case ZYDIS_MNEMONIC_WRPKRU:
                return uint64_t{1} << 9;
            case ZYDIS_MNEMONIC_BNDCL:
            case ZYDIS_MNEMONIC_BNDCN:
            case ZYDIS_MNEMONIC_BNDCU:
            case ZYDIS_MNEMONIC_BNDLDX:
            case ZYDIS_MNEMONIC_BNDMK:
            case ZYDIS_MNEMONIC_BNDMOV:
            case ZYDIS_MNEMONIC_BNDSTX:
                return 0x18;
            default:
                return 0;
        }
    }
    if (instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
        instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX) {
        return avx512;
    }
    if (instruction.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX) return avx;
    switch (instruction.meta.category) {
        case ZYDIS_CATEGORY_KMASK:
            return avx512;
        case ZYDIS_CATEGORY_AMX_TILE:
            return 0x60000;
        // VEX encoding on general registers: no vector state (SDM volume 2, exception type 13).
        case ZYDIS_CATEGORY_BMI1:
        case ZYDIS_CATEGORY_BMI2:
            return 0;
        default:
            return avx;
    }
}

int64_t sign_extend(std::span<const uint8_t> bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size(); i++)
        value |= uint64_t{bytes[i]} << (8 * i);
    size_t shift = 64 - 8 * bytes.size();
    return static_cast<int64_t>(value << shift) >> shift;
}

}  // namespace

std::vector<Field> decode_text(std::span<const uint8_t> text, const std::string& where,
                               uint64_t xfrm) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    std::vector<Field> fields;
    fields.reserve(text.size() / 4);
    ZydisDecodedInstruction instruction;
    for (size_t at = 0; at < text.size(); at += instruction.length) {
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, text.data() + at,
                                                        text.size() - at, &instruction))) {
            fail("{}+{:#x}: bytes that are no instruction (data in text is not supported)", where,
                 at);
        }
        if (const char* reason = illegal_reason(instruction)) {
            fail("{}+{:#x}: {} {}", where, at, ZydisMnemonicGetString(instruction.mnemonic),
                 reason);
        }
        if (uint64_t missing = needed_xfrm(instruction) & ~xfrm) {
            fail(
                "{}+{:#x}: {} needs processor state outside the enclave's XFRM (bits {:#x}; "
                "allow it with --xfrm)",
                where, at, ZydisMnemonicGetString(instruction.mnemonic), missing);
        }
        Field field;
        field.begin = static_cast<uint32_t>(at);
        field.end = static_cast<uint32_t>(at + instruction.length);
        field.opcode = instruction.opcode;
        field.modrm =
            instruction.raw.modrm.offset ? text[at + instruction.raw.modrm.offset] : uint8_t{0};
        auto add = [&](FieldKind kind, uint8_t offset, uint8_t bits) {
            field.kind = kind;
            field.offset = static_cast<uint32_t>(at + offset);
            field.width = static_cast<uint8_t>(bits / 8);
            field.value = sign_extend(text.subspan(field.offset, field.width));
            fields.push_back(field);
        };
        if (instruction.raw.disp.size != 0) {
            bool rip = instruction.raw.modrm.offset != 0 && instruction.raw.modrm.mod == 0 &&
                       instruction.raw.modrm.rm == 5;
            add(rip ? FieldKind::rip_relative : FieldKind::displacement,
                instruction.raw.disp.offset, instruction.raw.disp.size);
        }
        for (const auto& immediate : instruction.raw.imm) {
            if (immediate.size == 0) continue;
            add(immediate.is_relative ? FieldKind::branch : FieldKind::immediate, immediate.offset,
                immediate.size);
        }
    }
    return fields;
}

const Field* find_field(const std::vector<Field>& fields, uint64_t offset) {
    auto at = std::lower_bound(fields.begin(), fields.end(), offset,
                               [](const Field& field, uint64_t o) { return field.offset < o; });
    return at != fields.end() && at->offset == offset ? &*at : nullptr;
}

}  // namespace sgxdl::front
