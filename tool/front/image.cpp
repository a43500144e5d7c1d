#include "tool/front/image.hpp"

#include <elf.h>

#include <algorithm>
#include <numeric>

#include "tool/front/error.hpp"

namespace sgxdl::front {

const char* section_kind_text(SectionKind kind) {
    switch (kind) {
        case SectionKind::text:
            return "text";
        case SectionKind::read_only:
            return "read-only data";
        case SectionKind::literal:
            return "literal";
        case SectionKind::writable:
            return "writable data";
        case SectionKind::zeroed:
            return "zeroed data";
    }
    return "?";
}

std::unordered_map<std::string_view, uint32_t> defined_names(const Image& image) {
    std::unordered_map<std::string_view, uint32_t> names;
    names.reserve(image.symbols.size());
    for (uint32_t i = 0; i < image.symbols.size(); i++) {
        const Symbol& symbol = image.symbols[i];
        if (symbol.defined() && symbol.type != SymbolType::section) names.emplace(symbol.name, i);
    }
    return names;
}

SectionKind unit_kind(const Image& image, uint32_t unit) {
    return image.sections[image.units[unit].sections[0]].kind;
}

bool is_text_unit(const Image& image, uint32_t unit) {
    return unit_kind(image, unit) == SectionKind::text;
}

uint64_t unit_text_bytes(const Image& image, uint32_t unit) {
    uint64_t bytes = 0;
    for (uint32_t id : image.units[unit].sections) {
        if (image.sections[id].kind == SectionKind::text) bytes += image.sections[id].size;
    }
    return bytes;
}

uint64_t unit_data_bytes(const Image& image, uint32_t unit) {
    uint64_t bytes = 0;
    for (uint32_t id : image.units[unit].sections) {
        if (image.sections[id].kind != SectionKind::text) bytes += image.sections[id].size;
    }
    return bytes;
}

bool is_cold_part_name(std::string_view name) {
    size_t at = name.rfind(".cold");
    if (at == std::string_view::npos || at == 0) return false;
    std::string_view rest = name.substr(at + 5);
    if (rest.empty()) return true;
    if (rest.front() == '@') return true;  // renamed by pack
    if (rest.front() != '.' || rest.size() == 1) return false;
    rest.remove_prefix(1);
    rest = rest.substr(0, rest.find('@'));
    return std::all_of(rest.begin(), rest.end(), [](char c) { return c >= '0' && c <= '9'; });
}

uint32_t relocation_width(uint32_t type) {
    switch (type) {
        case R_X86_64_64:
        case R_X86_64_PC64:
            return 8;
        case R_X86_64_32:
        case R_X86_64_32S:
        case R_X86_64_PC32:
        case R_X86_64_PLT32:
        case R_X86_64_GOTPCREL:
        case R_X86_64_GOTPCRELX:
        case R_X86_64_REX_GOTPCRELX:
            return 4;
        default:
            return 0;
    }
}

const char* relocation_text(uint32_t type) {
    switch (type) {
        case R_X86_64_NONE:
            return "R_X86_64_NONE";
        case R_X86_64_64:
            return "R_X86_64_64";
        case R_X86_64_PC32:
            return "R_X86_64_PC32";
        case R_X86_64_PC64:
            return "R_X86_64_PC64";
        case R_X86_64_32:
            return "R_X86_64_32";
        case R_X86_64_32S:
            return "R_X86_64_32S";
        case R_X86_64_PLT32:
            return "R_X86_64_PLT32";
        case R_X86_64_GOTPCREL:
            return "R_X86_64_GOTPCREL";
        case R_X86_64_GOTPCRELX:
            return "R_X86_64_GOTPCRELX";
        case R_X86_64_REX_GOTPCRELX:
            return "R_X86_64_REX_GOTPCRELX";
        case R_X86_64_TLSGD:
            return "R_X86_64_TLSGD";
        case R_X86_64_TLSLD:
            return "R_X86_64_TLSLD";
        case R_X86_64_DTPOFF32:
            return "R_X86_64_DTPOFF32";
        case R_X86_64_GOTTPOFF:
            return "R_X86_64_GOTTPOFF";
        case R_X86_64_TPOFF32:
            return "R_X86_64_TPOFF32";
        case R_X86_64_TPOFF64:
            return "R_X86_64_TPOFF64";
        case R_X86_64_GOTPC32:
            return "R_X86_64_GOTPC32";
        case R_X86_64_GOTOFF64:
            return "R_X86_64_GOTOFF64";
        case R_X86_64_8:
            return "R_X86_64_8";
        case R_X86_64_16:
            return "R_X86_64_16";
        default:
            return "relocation of unknown type";
    }
}

bool is_direct_branch(const Image& image, const Section& section, const Relocation& relocation) {
    return relocation.type == R_X86_64_PLT32 && section.kind == SectionKind::text &&
           image.symbols[relocation.symbol].type != SymbolType::section;
}

void finish(Image& image) {
    auto rank = [&](uint32_t index) {
        const Symbol& symbol = image.symbols[index];
        if (symbol.type == SymbolType::section) return 0;
        if (symbol.binding == Binding::local) return 1;
        return symbol.defined() ? 2 : 3;
    };
    std::vector<uint32_t> order(image.symbols.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return rank(a) < rank(b); });
    std::vector<uint32_t> place(order.size());
    std::vector<Symbol> symbols(order.size());
    for (uint32_t i = 0; i < order.size(); i++) {
        place[order[i]] = i;
        symbols[i] = std::move(image.symbols[order[i]]);
    }
    image.symbols = std::move(symbols);
    for (Section& section : image.sections) {
        for (Relocation& relocation : section.relocations) {
            relocation.symbol = place[relocation.symbol];
        }
        std::sort(section.relocations.begin(), section.relocations.end(),
                  [](const Relocation& a, const Relocation& b) { return a.offset < b.offset; });
    }
    for (Unit& unit : image.units)
        unit.name.clear();
    for (const Symbol& symbol : image.symbols) {
        if (!symbol.defined() || symbol.type == SymbolType::section) continue;
        Unit& unit = image.units[image.sections[symbol.section].unit];
        if (unit.sections[0] == symbol.section && unit.name.empty()) unit.name = symbol.name;
    }
}

namespace {

void validate_relocations(const Image& image, const Section& section) {
    uint64_t end = 0;
    for (const Relocation& relocation : section.relocations) {
        uint32_t width = relocation_width(relocation.type);
        if (width == 0) {
            fail("{}+{:#x}: {} ({}) is not in normal form", section.name, relocation.offset,
                 relocation_text(relocation.type), relocation.type);
        }
        if (relocation.offset < end || relocation.offset > section.bytes.size() ||
            section.bytes.size() - relocation.offset < width) {
            fail("{}+{:#x}: relocation overlaps another one or leaves the section", section.name,
                 relocation.offset);
        }
        end = relocation.offset + width;
        if (relocation.symbol >= image.symbols.size()) {
            fail("{}+{:#x}: relocation names no symbol", section.name, relocation.offset);
        }
        const Symbol& symbol = image.symbols[relocation.symbol];
        if (symbol.type == SymbolType::section && !symbol.defined()) {
            fail("{}+{:#x}: refers to the start of an undefined section", section.name,
                 relocation.offset);
        }
        if (symbol.type == SymbolType::section &&
            image.sections[symbol.section].unit != section.unit) {
            fail("{}+{:#x}: refers into the middle of {} from another unit", section.name,
                 relocation.offset, image.sections[symbol.section].name);
        }
        if (is_direct_branch(image, section, relocation) && relocation.addend != -4) {
            fail("{}+{:#x}: branch to {} with addend {}", section.name, relocation.offset,
                 symbol.name, relocation.addend);
        }
    }
}

}  // namespace

void validate(const Image& image) {
    std::unordered_map<std::string_view, uint32_t> names;
    std::vector<bool> named(image.sections.size());
    for (const Symbol& symbol : image.symbols) {
        if (symbol.type == SymbolType::section) continue;
        if (symbol.name.empty()) fail("a symbol has no name");
        if (!names.emplace(symbol.name, 0).second) fail("two symbols are named {}", symbol.name);
        if (!symbol.defined()) continue;
        const Section& section = image.sections[symbol.section];
        if (symbol.value > section.size || symbol.size > section.size - symbol.value) {
            fail("symbol {} leaves its section {}", symbol.name, section.name);
        }
        named[symbol.section] = true;
    }
    for (uint32_t i = 0; i < image.sections.size(); i++) {
        const Section& section = image.sections[i];
        if (!named[i]) fail("section {} defines no symbol", section.name);
        if (section.align == 0 || (section.align & (section.align - 1)) != 0 ||
            section.align > 4096) {
            fail("section {}: alignment {}", section.name, section.align);
        }
        if (section.kind != SectionKind::zeroed && section.bytes.size() != section.size) {
            fail("section {}: size {} but {} bytes", section.name, section.size,
                 section.bytes.size());
        }
        if ((section.kind == SectionKind::zeroed || section.kind == SectionKind::literal) &&
            !section.relocations.empty()) {
            fail("section {}: {} with relocations", section.name, section_kind_text(section.kind));
        }
        validate_relocations(image, section);
    }
    for (const Unit& unit : image.units) {
        bool has_text = image.sections[unit.sections[0]].kind == SectionKind::text;
        for (uint32_t id : unit.sections) {
            SectionKind kind = image.sections[id].kind;
            bool fits = kind == SectionKind::text || kind == SectionKind::read_only;
            if (unit.sections.size() > 1 && (!has_text || !fits)) {
                fail("unit {}: {} cannot be in a group", unit.name, image.sections[id].name);
            }
        }
    }
}

}  // namespace sgxdl::front
