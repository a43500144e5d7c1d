// read_elf(): a payload to an Image.
#include <elf.h>

#include <charconv>
#include <cstring>
#include <sstream>

#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"

namespace sgxdl::front {
namespace {

// Non-allocated sections whose contents the tools read; read_object() leaves them out.
std::vector<std::string> read_lines(std::span<const uint8_t> payload, std::string_view wanted) {
    Elf64_Ehdr elf;
    if (payload.size() < sizeof elf) return {};
    memcpy(&elf, payload.data(), sizeof elf);
    auto header_at = [&](uint64_t index, Elf64_Shdr& out) {
        if (elf.e_shoff > payload.size() ||
            index >= (payload.size() - elf.e_shoff) / sizeof(Elf64_Shdr)) {
            return false;
        }
        memcpy(&out, payload.data() + elf.e_shoff + index * sizeof out, sizeof out);
        return out.sh_type == SHT_NOBITS ||
               (out.sh_offset <= payload.size() && out.sh_size <= payload.size() - out.sh_offset);
    };
    Elf64_Shdr zero;
    if (!header_at(0, zero)) return {};
    uint64_t count = elf.e_shnum != 0 ? elf.e_shnum : zero.sh_size;
    uint64_t names_index = elf.e_shstrndx != SHN_XINDEX ? elf.e_shstrndx : zero.sh_link;
    Elf64_Shdr names;
    if (!header_at(names_index, names) || names.sh_type != SHT_STRTAB) return {};
    std::vector<std::string> lines;
    for (uint64_t i = 1; i < count; i++) {
        Elf64_Shdr section;
        if (!header_at(i, section) || section.sh_type != SHT_PROGBITS) continue;
        if (section.sh_flags != 0 || section.sh_name >= names.sh_size) continue;
        auto* name =
            reinterpret_cast<const char*>(payload.data() + names.sh_offset + section.sh_name);
        if (std::string_view(name, strnlen(name, names.sh_size - section.sh_name)) != wanted)
            continue;
        std::string line;
        for (uint64_t k = 0; k < section.sh_size; k++) {
            char c = static_cast<char>(payload[section.sh_offset + k]);
            if (c != 0) {
                line.push_back(c);
            } else {
                lines.push_back(std::exchange(line, {}));
            }
        }
    }
    return lines;
}

SectionKind kind_of(const InputSection& section, const std::string& name) {
    bool text = section.flags & SHF_EXECINSTR;
    bool writable = section.flags & SHF_WRITE;
    if (text && writable) fail("{}: {} is writable and executable", name, section.name);
    if (section.type != SHT_PROGBITS && section.type != SHT_NOBITS) {
        fail("{}: {} has type {:#x}", name, section.name, section.type);
    }
    if (text) return SectionKind::text;
    if (writable) return section.type == SHT_NOBITS ? SectionKind::zeroed : SectionKind::writable;
    return section.flags & SHF_MERGE ? SectionKind::literal : SectionKind::read_only;
}

}  // namespace

Image read_elf(std::span<const uint8_t> payload, const std::string& name) {
    InputObject object = read_object({payload.begin(), payload.end()}, name);
    Image image;
    std::vector<uint32_t> place(object.sections.size(), no_index);
    for (uint32_t i = 1; i < object.sections.size(); i++) {
        InputSection& input = object.sections[i];
        if (!(input.flags & SHF_ALLOC)) continue;
        Section section;
        section.name = input.name;
        section.kind = kind_of(input, name);
        section.align = input.align;
        section.entsize = input.entsize;
        section.strings = input.flags & SHF_STRINGS;
        section.size = input.size;
        section.bytes = std::move(input.bytes);
        for (const InputRelocation& raw : input.relocations) {
            section.relocations.push_back({raw.offset, raw.type, raw.symbol, raw.addend});
        }
        place[i] = static_cast<uint32_t>(image.sections.size());
        image.sections.push_back(std::move(section));
    }
    for (const InputGroup& group : object.groups) {
        Unit unit;
        for (uint32_t member : group.members) {
            if (place[member] == no_index || image.sections[place[member]].unit != no_index) {
                fail("{}: section {} cannot be in a group", name, object.sections[member].name);
            }
            image.sections[place[member]].unit = static_cast<uint32_t>(image.units.size());
            unit.sections.push_back(place[member]);
        }
        if (unit.sections.empty()) fail("{}: empty section group", name);
        image.units.push_back(std::move(unit));
    }
    for (uint32_t i = 0; i < image.sections.size(); i++) {
        if (image.sections[i].unit != no_index) continue;
        image.sections[i].unit = static_cast<uint32_t>(image.units.size());
        image.units.push_back({{i}, {}});
    }
    // ELF symbol 0 stands for "no symbol"; the others keep their order.
    for (uint32_t i = 1; i < object.symbols.size(); i++) {
        const InputSymbol& raw = object.symbols[i];
        Symbol symbol;
        symbol.name = raw.name;
        symbol.value = raw.value;
        symbol.size = raw.size;
        symbol.binding = raw.binding == STB_LOCAL  ? Binding::local
                         : raw.binding == STB_WEAK ? Binding::weak
                                                   : Binding::global;
        switch (raw.type) {
            case STT_FUNC:
                symbol.type = SymbolType::function;
                break;
            case STT_OBJECT:
                symbol.type = SymbolType::object;
                break;
            case STT_SECTION:
                symbol.type = SymbolType::section;
                break;
            case STT_NOTYPE:
                symbol.type = SymbolType::untyped;
                break;
            default:
                fail("{}: symbol {} has type {}", name, raw.name, raw.type);
        }
        if (raw.section != SHN_UNDEF) {
            if (raw.section >= place.size() || place[raw.section] == no_index) {
                fail("{}: symbol {} is not in an allocated section", name, raw.name);
            }
            symbol.section = place[raw.section];
        }
        image.symbols.push_back(std::move(symbol));
    }
    for (Section& section : image.sections) {
        for (Relocation& relocation : section.relocations) {
            if (relocation.symbol == 0) {
                fail("{}: {}+{:#x}: relocation without a symbol", name, section.name,
                     relocation.offset);
            }
            relocation.symbol--;
        }
    }
    image.notes = read_lines(payload, ".sgxdl.note");
    image.removed = read_lines(payload, ".sgxdl.removed");
    std::vector<std::string> pairs = read_lines(payload, ".sgxdl.renamed");
    for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
        image.renamed.emplace_back(pairs[i], pairs[i + 1]);
    }
    for (const std::string& text : read_lines(payload, ".sgxdl.omitted")) {
        OmittedLine line;
        std::istringstream in(text);
        in >> line.symbol >> line.section >> line.offset >> line.width >> line.loaded >> line.built;
        if (!in) fail("{}: .sgxdl.omitted: unreadable line \"{}\"", name, text);
        image.omitted.push_back(line);
    }
    finish(image);
    validate(image);
    return image;
}

}  // namespace sgxdl::front
