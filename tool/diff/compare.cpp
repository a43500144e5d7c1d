#include "tool/diff/compare.hpp"

#include <algorithm>

#include "tool/front/error.hpp"

namespace sgxdl::diff {
namespace {

using front::Binding;
using front::Image;
using front::no_index;
using front::Relocation;
using front::Section;
using front::SectionKind;
using front::Symbol;
using front::SymbolType;

std::string target_text(const Image& image, const Relocation& relocation) {
    const Symbol& symbol = image.symbols[relocation.symbol];
    if (!symbol.defined()) return symbol.name;
    const Section& section = image.sections[symbol.section];
    if (section.kind == SectionKind::literal) return preview(section);
    return symbol.type == SymbolType::section ? section.name : symbol.name;
}

bool is_literal(const Image& image, const Relocation& relocation) {
    const Symbol& symbol = image.symbols[relocation.symbol];
    return symbol.defined() && image.sections[symbol.section].kind == SectionKind::literal;
}

Difference compare_relocations(const Image& image_a, const Section& a, const Image& image_b,
                               const Section& b, const Pairing& pairing) {
    Difference worst;
    if (a.relocations.size() != b.relocations.size()) {
        return {Reason::bytes, fmt::format("{}: {} relocations became {}", a.name,
                                           a.relocations.size(), b.relocations.size())};
    }
    for (size_t i = 0; i < a.relocations.size(); i++) {
        const Relocation& old_one = a.relocations[i];
        const Relocation& new_one = b.relocations[i];
        std::string where = fmt::format("{}+{:#x}", a.name, old_one.offset);
        if (old_one.offset != new_one.offset || old_one.type != new_one.type) {
            return {Reason::bytes, where + ": relocations differ"};
        }
        bool same = pairing.symbol_a_to_b[old_one.symbol] == new_one.symbol;
        if (same && old_one.addend == new_one.addend) continue;
        bool literal = is_literal(image_a, old_one) && is_literal(image_b, new_one);
        Reason reason = literal ? Reason::literal : Reason::target;
        if (reason <= worst.reason) continue;
        std::string detail = fmt::format("{}: {} became {}", where, target_text(image_a, old_one),
                                         target_text(image_b, new_one));
        if (same) detail += fmt::format(" ({:+} became {:+})", old_one.addend, new_one.addend);
        worst = {reason, detail};
    }
    return worst;
}

std::vector<std::vector<uint32_t>> symbols_by_section(const Image& image) {
    std::vector<std::vector<uint32_t>> symbols(image.sections.size());
    for (uint32_t i = 0; i < image.symbols.size(); i++) {
        const Symbol& symbol = image.symbols[i];
        if (symbol.defined() && symbol.type != SymbolType::section) {
            symbols[symbol.section].push_back(i);
        }
    }
    return symbols;
}

// Names (globals), places and bindings of a unit's symbols, as sorted text. Local names are free.
std::vector<std::string> symbol_set(const Image& image, uint32_t unit,
                                    const std::vector<std::vector<uint32_t>>& symbols) {
    std::vector<std::string> set;
    for (size_t position = 0; position < image.units[unit].sections.size(); position++) {
        for (uint32_t index : symbols[image.units[unit].sections[position]]) {
            const Symbol& symbol = image.symbols[index];
            bool local = symbol.binding == Binding::local;
            set.push_back(fmt::format("{}+{:#x} {}", position, symbol.value,
                                      local ? "local " + stable_name(symbol.name) : symbol.name));
        }
    }
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
    return set;
}

}  // namespace

const char* reason_text(Reason reason) {
    switch (reason) {
        case Reason::none:
            return "same";
        case Reason::literal:
            return "literal";
        case Reason::target:
            return "relocation target";
        case Reason::symbols:
            return "symbols";
        case Reason::bytes:
            return "bytes";
        case Reason::size:
            return "size";
    }
    return "?";
}

std::string preview(const Section& section) {
    std::string text = "\"";
    for (size_t i = 0; i < section.bytes.size() && i < 48; i++) {
        uint8_t byte = section.bytes[i];
        if (section.strings && byte == 0) break;
        if (byte >= 0x20 && byte < 0x7F) {
            text.push_back(static_cast<char>(byte));
        } else {
            text += fmt::format("\\x{:02x}", byte);
        }
    }
    return text + "\"";
}

Comparer::Comparer(const Image& a, const Image& b, const Pairing& pairing)
    : a_(a),
      b_(b),
      pairing_(pairing),
      symbols_a_(symbols_by_section(a)),
      symbols_b_(symbols_by_section(b)) {}

Difference Comparer::units(uint32_t a, uint32_t b, bool ignore_bytes) const {
    const auto& in_a = a_.units[a].sections;
    const auto& in_b = b_.units[b].sections;
    if (in_a.size() != in_b.size()) {
        return {Reason::size, fmt::format("{} sections became {}", in_a.size(), in_b.size())};
    }
    Difference worst;
    for (size_t i = 0; i < in_a.size(); i++) {
        const Section& old_one = a_.sections[in_a[i]];
        const Section& new_one = b_.sections[in_b[i]];
        if (old_one.kind != new_one.kind) {
            return {Reason::size, fmt::format("{} became {}", section_kind_text(old_one.kind),
                                              section_kind_text(new_one.kind))};
        }
        if (old_one.size != new_one.size || old_one.align != new_one.align) {
            return {Reason::size,
                    fmt::format("{}: {} bytes aligned to {} became {} aligned to {}", old_one.name,
                                old_one.size, old_one.align, new_one.size, new_one.align)};
        }
        auto bytes = std::mismatch(old_one.bytes.begin(), old_one.bytes.end(),
                                   new_one.bytes.begin(), new_one.bytes.end());
        Difference here;
        bool ignored = ignore_bytes && old_one.kind == SectionKind::text;
        if (!ignored && bytes.first != old_one.bytes.end()) {
            here = {Reason::bytes,
                    fmt::format("{}+{:#x}", old_one.name, bytes.first - old_one.bytes.begin())};
        } else {
            here = compare_relocations(a_, old_one, b_, new_one, pairing_);
        }
        if (here.reason > worst.reason) worst = here;
    }
    if (worst.reason < Reason::symbols && unit_kind(a_, a) != SectionKind::literal) {
        auto old_set = symbol_set(a_, a, symbols_a_);
        auto new_set = symbol_set(b_, b, symbols_b_);
        if (old_set != new_set) {
            worst = {Reason::symbols, fmt::format("{} became {}", fmt::join(old_set, ", "),
                                                  fmt::join(new_set, ", "))};
        }
    }
    return worst;
}

std::vector<std::string> equal_units(const Image& a, const Image& b, const Hints& hints) {
    Pairing pairing = pair_images(a, b, hints);
    Comparer comparer(a, b, pairing);
    std::vector<std::string> differences;
    for (uint32_t i = 0; i < a.units.size(); i++) {
        // A literal that nothing uses any more stays in the module; it is nobody's content.
        if (unit_kind(a, i) == SectionKind::literal) continue;
        uint32_t partner = pairing.a_to_b[i];
        if (partner == no_index) {
            differences.push_back(fmt::format("{}: only in the first", a.units[i].name));
            continue;
        }
        Difference difference = comparer.units(i, partner);
        if (difference.reason != Reason::none) {
            differences.push_back(fmt::format("{}: {}: {}", a.units[i].name,
                                              reason_text(difference.reason), difference.detail));
        }
    }
    for (uint32_t i = 0; i < b.units.size(); i++) {
        if (pairing.b_to_a[i] == no_index) {
            differences.push_back(fmt::format("{}: only in the second", b.units[i].name));
        }
    }
    return differences;
}

}  // namespace sgxdl::diff
