// SDM volume 3D, 36.6.1 and table 36-1 (illegal instructions in an enclave); the W^X rule and the
// relocation rule are ours (docs/architecture.md).

#include "tool/signer/audit.hpp"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace sgxdl::signer {

namespace {

// Why the instruction may not be in an image; nullptr when it may.
const char* forbidden(const ZydisDecodedInstruction& in, const ZydisDecodedOperand* operands) {
    switch (in.mnemonic) {
        case ZYDIS_MNEMONIC_SYSCALL:
        case ZYDIS_MNEMONIC_SYSENTER:
        case ZYDIS_MNEMONIC_SYSRET:
        case ZYDIS_MNEMONIC_SYSEXIT:
            return "changes the privilege level (#UD in an enclave)";
        case ZYDIS_MNEMONIC_INT:
        case ZYDIS_MNEMONIC_INTO:
        case ZYDIS_MNEMONIC_INT1:
            return "software interrupt (#UD in an enclave)";
        case ZYDIS_MNEMONIC_CPUID:
        case ZYDIS_MNEMONIC_GETSEC:
        case ZYDIS_MNEMONIC_RDPMC:
        case ZYDIS_MNEMONIC_SGDT:
        case ZYDIS_MNEMONIC_SIDT:
        case ZYDIS_MNEMONIC_SLDT:
        case ZYDIS_MNEMONIC_STR:
        case ZYDIS_MNEMONIC_SMSW:
        case ZYDIS_MNEMONIC_VMCALL:
        case ZYDIS_MNEMONIC_VMFUNC:
            return "causes or may cause a VM exit (#UD in an enclave)";
        case ZYDIS_MNEMONIC_IN:
        case ZYDIS_MNEMONIC_INSB:
        case ZYDIS_MNEMONIC_INSW:
        case ZYDIS_MNEMONIC_INSD:
        case ZYDIS_MNEMONIC_OUT:
        case ZYDIS_MNEMONIC_OUTSB:
        case ZYDIS_MNEMONIC_OUTSW:
        case ZYDIS_MNEMONIC_OUTSD:
            return "port input or output (#UD in an enclave)";
        case ZYDIS_MNEMONIC_IRET:
        case ZYDIS_MNEMONIC_IRETD:
        case ZYDIS_MNEMONIC_IRETQ:
            return "far return (#UD in an enclave)";
        case ZYDIS_MNEMONIC_HLT:
        case ZYDIS_MNEMONIC_ENCLS:
        case ZYDIS_MNEMONIC_ENCLV:
        case ZYDIS_MNEMONIC_CLI:
        case ZYDIS_MNEMONIC_STI:
        case ZYDIS_MNEMONIC_LGDT:
        case ZYDIS_MNEMONIC_LIDT:
        case ZYDIS_MNEMONIC_LLDT:
        case ZYDIS_MNEMONIC_LTR:
        case ZYDIS_MNEMONIC_RDMSR:
        case ZYDIS_MNEMONIC_WRMSR:
        case ZYDIS_MNEMONIC_SWAPGS:
        case ZYDIS_MNEMONIC_CLTS:
        case ZYDIS_MNEMONIC_INVD:
        case ZYDIS_MNEMONIC_WBINVD:
        case ZYDIS_MNEMONIC_INVLPG:
            return "privileged";
        case ZYDIS_MNEMONIC_LFS:
        case ZYDIS_MNEMONIC_LGS:
        case ZYDIS_MNEMONIC_LSS:
            return "loads a segment register";
        case ZYDIS_MNEMONIC_XBEGIN:
            return "transactions are aborted by every asynchronous exit";
        case ZYDIS_MNEMONIC_WRFSBASE:
            return "FS belongs to the runtime";
        default:
            break;
    }
    if ((in.mnemonic == ZYDIS_MNEMONIC_CALL || in.mnemonic == ZYDIS_MNEMONIC_JMP ||
         in.mnemonic == ZYDIS_MNEMONIC_RET) &&
        in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
        return "far branch (#UD in an enclave)";
    }
    if (in.mnemonic == ZYDIS_MNEMONIC_MOV) {
        const ZydisDecodedOperand& to = operands[0];
        if (to.type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(to.reg.value) == ZYDIS_REGCLASS_SEGMENT) {
            return "loads a segment register";
        }
        for (int i = 0; i < 2; ++i) {
            if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
            const ZydisRegisterClass kind = ZydisRegisterGetClass(operands[i].reg.value);
            if (kind == ZYDIS_REGCLASS_CONTROL || kind == ZYDIS_REGCLASS_DEBUG) return "privileged";
        }
    }
    if (in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) return "AVX-512 is not in XFRM";
    return nullptr;
}

// Functions in address order, so that a finding can name where it stands and decoding resumes at
// each one.
std::vector<const Symbol*> functions(const ElfImage& image) {
    std::vector<const Symbol*> result;
    for (const Symbol& symbol : image.symbols) {
        if (symbol.defined && symbol.type == STT_FUNC) result.push_back(&symbol);
    }
    std::stable_sort(result.begin(), result.end(),
                     [](const Symbol* a, const Symbol* b) { return a->address < b->address; });
    return result;
}

void audit_text(const ElfImage& image, const TextRange& range, AuditReport& report) {
    const Segment* segment = nullptr;
    for (const Segment& s : image.segments) {
        if (range.begin >= s.address && range.end <= s.address + s.bytes.size()) segment = &s;
    }
    if (segment == nullptr) {
        report.findings.push_back(
            fmt::format("executable section at {:#x} is in no segment", range.begin));
        return;
    }
    const uint64_t enclu_begin = image.address_of("sgxdl_enclu_begin");
    const uint64_t enclu_end = image.address_of("sgxdl_enclu_end");
    const std::vector<const Symbol*> starts = functions(image);
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    auto next = starts.begin();
    const Symbol* current = nullptr;
    report.text_bytes += range.end - range.begin;
    for (uint64_t at = range.begin; at < range.end;) {
        while (next != starts.end() && (*next)->address <= at)
            current = *next++;
        const uint64_t stop =
            next != starts.end() && (*next)->address < range.end ? (*next)->address : range.end;
        const std::string where =
            current != nullptr ? fmt::format("{}+{:#x}", current->name, at - current->address)
                               : fmt::format("{:#x}", at);
        ZydisDecodedInstruction in;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        const uint8_t* bytes = segment->bytes.data() + (at - segment->address);
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, stop - at, &in, operands))) {
            // Zero bytes between functions are the linker's or an assembler's filling.
            if (*bytes == 0) {
                ++at;
                continue;
            }
            report.findings.push_back(fmt::format("{}: undecodable byte {:#04x}", where, *bytes));
            at = stop;
            continue;
        }
        ++report.instructions;
        if (const char* why = forbidden(in, operands)) {
            report.findings.push_back(
                fmt::format("{}: {}: {}", where, ZydisMnemonicGetString(in.mnemonic), why));
        }
        if (in.mnemonic == ZYDIS_MNEMONIC_ENCLU) {
            ++report.enclu_sites;
            if (at < enclu_begin || at >= enclu_end) {
                report.findings.push_back(
                    fmt::format("{}: enclu outside of the runtime's entry code", where));
            }
        }
        if (in.mnemonic == ZYDIS_MNEMONIC_RDTSC || in.mnemonic == ZYDIS_MNEMONIC_RDTSCP) {
            report.uses_rdtsc = true;
        }
        if (in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) report.uses_avx = true;
        at += in.length;
    }
}

bool is_own(const Symbol& symbol) {
    return symbol.name.starts_with("_ZN5sgxdl") || symbol.name.starts_with("_ZNK5sgxdl") ||
           symbol.name.starts_with("sgxdl_");
}

}  // namespace

AuditReport audit(const ElfImage& image) {
    AuditReport report;
    for (const Segment& s : image.segments) {
        if ((s.flags & PF_W) != 0 && (s.flags & PF_X) != 0) {
            report.findings.push_back(
                fmt::format("segment at {:#x} is writable and executable", s.address));
        }
    }
    for (const Elf64_Rela& r : image.relocations) {
        if (ELF64_R_TYPE(r.r_info) != R_X86_64_RELATIVE) {
            report.findings.push_back(fmt::format("relocation of type {} at {:#x}, not RELATIVE",
                                                  ELF64_R_TYPE(r.r_info), r.r_offset));
        }
        bool writable = false;
        for (const Segment& s : image.segments) {
            if ((s.flags & PF_W) != 0 && r.r_offset >= s.address &&
                r.r_offset + 8 <= s.address + s.bytes.size()) {
                writable = true;
            }
        }
        if (!writable) {
            report.findings.push_back(
                fmt::format("relocation at {:#x}, outside of writable data", r.r_offset));
        }
    }
    for (const Symbol& symbol : image.symbols) {
        if (!symbol.defined && symbol.binding == STB_GLOBAL && !symbol.name.empty()) {
            report.findings.push_back(fmt::format("undefined symbol {}", symbol.name));
        }
    }
    for (const TextRange& range : image.text)
        audit_text(image, range, report);
    std::set<uint64_t> counted;  // aliases count once
    for (const Symbol* symbol : functions(image)) {
        if (is_own(*symbol) && counted.insert(symbol->address).second) {
            report.own_text_bytes += symbol->size;
        }
    }
    return report;
}

}  // namespace sgxdl::signer
