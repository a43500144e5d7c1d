// Rewrites the relocations of compiler output into those of normal form.
//
// Expressions are the psABI's (x86-64 psABI, table "Relocation Types"): S symbol, A addend, P
// place. A PC-relative operand of an instruction is measured from the instruction's end, so its
// addend is biased by the distance from the field to the end (-4 without, -5 with a one-byte
// immediate, ...); only disassembly tells, and only with it can a section-relative reference be
// traced to the string or function that it means.
#include <elf.h>

#include <algorithm>

#include "tool/front/builder.hpp"
#include "tool/front/error.hpp"

namespace sgxdl::front {

uint32_t Builder::undefined_symbol(const InputSymbol& symbol) {
    auto [at, fresh] = undefined_.emplace(symbol.name, no_index);
    if (fresh) {
        at->second = new_symbol({symbol.name, SymbolType::untyped, Binding::weak, no_index, 0, 0});
    }
    // One strong reference makes the import required.
    if (symbol.binding != STB_WEAK) image_.symbols[at->second].binding = Binding::global;
    return at->second;
}

uint32_t Builder::section_symbol(uint32_t section) {
    if (section_symbol_[section] == no_index) {
        section_symbol_[section] =
            new_symbol({"", SymbolType::section, Binding::local, section, 0, 0});
    }
    return section_symbol_[section];
}

// The function that starts there; cold parts are no functions.
uint32_t Builder::function_at(uint32_t section, int64_t offset) const {
    if (offset < 0) return no_index;
    auto found = functions_.find(uint64_t{section} << 32 | static_cast<uint64_t>(offset));
    return found == functions_.end() ? no_index : found->second;
}

// Where a relocation points: the symbol's place plus the addend plus `bias` (what the processor
// adds because it counts from the instruction's end).
Builder::Target Builder::locate(uint32_t section, const InputRelocation& raw, int64_t bias) {
    uint32_t object = image_.sections[section].object;
    const InputObject& input = objects_[object];
    const InputSymbol& symbol = input.symbols[raw.symbol];
    int64_t displacement = raw.addend + bias;
    bool local = symbol.binding == STB_LOCAL;
    if (!local || symbol.section == SHN_UNDEF) {
        if (symbol.name.empty()) refuse(section, raw.offset, "relocation without a symbol");
        auto global = globals_.find(symbol.name);
        if (global == globals_.end()) {
            if (definitions_.contains(symbol.name)) {
                refuse(section, raw.offset,
                       fmt::format("refers to {}, whose section is not loaded", symbol.name));
            }
            return {Target::What::undefined, undefined_symbol(symbol), no_index, displacement,
                    false};
        }
        const Symbol& definition = image_.symbols[global->second];
        return {Target::What::section, global->second, definition.section,
                static_cast<int64_t>(definition.value) + displacement, false};
    }
    if (symbol.section >= input.sections.size()) {
        refuse(section, raw.offset, fmt::format("refers to the absolute symbol {}", symbol.name));
    }
    const Place& place = places_[object][symbol.section];
    const InputSection& home = input.sections[symbol.section];
    auto value = static_cast<int64_t>(symbol.value);
    int64_t offset = value + displacement;
    Target target{Target::What::section, symbol_map_[object][raw.symbol], place.section, offset,
                  symbol.type == STT_SECTION};
    switch (place.what) {
        case Place::What::dropped:
            refuse(section, raw.offset,
                   fmt::format("refers to {}, which is not loaded", home.name));
        case Place::What::discarded:
            refuse(section, raw.offset,
                   fmt::format("refers to {}, discarded because another file defines its group",
                               home.name));
        case Place::What::section:
            for (const Place::Cut& cut : place.cuts) {
                int64_t at = target.by_section ? offset : value;
                if (at < static_cast<int64_t>(cut.begin) || at >= static_cast<int64_t>(cut.end)) {
                    continue;
                }
                target.section = cut.section;
                target.offset = offset - static_cast<int64_t>(cut.begin);
            }
            return target;
        case Place::What::literals:
            break;
    }
    // A symbol names the piece it stands in; a section symbol names nothing, so the place decides.
    int64_t at = target.by_section ? offset : value;
    if (place.pieces.size() == 1) at = 0;
    if (at < 0 || at >= static_cast<int64_t>(home.size)) {
        refuse(section, raw.offset,
               fmt::format("refers to {}{:+#x}, outside of every constant there", home.name, at));
    }
    auto next =
        std::upper_bound(place.pieces.begin(), place.pieces.end(), static_cast<uint64_t>(at));
    uint64_t end = next == place.pieces.end() ? home.size : *next;
    uint64_t begin = *(next - 1);
    target.section = literal(home, begin, end);
    target.symbol = primary_[target.section];
    target.offset = offset - static_cast<int64_t>(begin);
    target.by_section = false;
    return target;
}

// The relocation that makes the place hold target - bias; `type` is absolute or PC-relative.
Relocation Builder::to_place(uint32_t section, const InputRelocation& raw, uint32_t type,
                             const Target& target, int64_t bias) {
    Relocation out{raw.offset, type, no_index, 0};
    if (target.what == Target::What::undefined) {
        out.symbol = target.symbol;
        out.addend = target.offset - bias;
        return out;
    }
    const Section& home = image_.sections[target.section];
    if (home.kind != SectionKind::text) {
        out.symbol = target.symbol != no_index ? target.symbol : primary_[target.section];
        auto value = static_cast<int64_t>(image_.symbols[out.symbol].value);
        out.addend = target.offset - value - bias;
        return out;
    }
    bool named = target.symbol != no_index &&
                 static_cast<int64_t>(image_.symbols[target.symbol].value) == target.offset &&
                 !is_cold_part_name(image_.symbols[target.symbol].name);
    uint32_t function = named ? target.symbol : function_at(target.section, target.offset);
    if (function != no_index) {
        out.symbol = function;
        out.addend = -bias;
        return out;
    }
    out.symbol = section_symbol(target.section);
    out.addend = target.offset - bias;
    mids_.push_back({section, raw.offset, target.section});
    return out;
}

Relocation Builder::refer_branch(uint32_t section, const InputRelocation& raw, const Field& field) {
    if (raw.type != R_X86_64_PLT32 && raw.type != R_X86_64_PC32) {
        refuse(section, raw.offset,
               fmt::format("{} on a branch is not supported", relocation_text(raw.type)));
    }
    int64_t bias = field.end - field.offset;
    Target target = locate(section, raw, bias);
    if (target.what == Target::What::section &&
        image_.sections[target.section].kind != SectionKind::text) {
        refuse(section, raw.offset,
               fmt::format("branches into {}", image_.sections[target.section].name));
    }
    Relocation out = to_place(section, raw, R_X86_64_PC32, target, bias);
    if (image_.symbols[out.symbol].type == SymbolType::section) return out;
    if (out.addend != -4) {
        refuse(section, raw.offset,
               fmt::format("branches to {}{:+#x}, not to its start",
                           image_.symbols[out.symbol].name, out.addend + 4));
    }
    out.type = R_X86_64_PLT32;
    return out;
}

// As a static linker does (psABI, "Optimize GOTPCRELX Relocations"): what the module defines needs
// no GOT entry, `mov f@GOTPCREL(%rip), %r` becomes `lea f(%rip), %r` and an indirect call becomes a
// direct one. Keeps loaded text equal to statically linked text.
bool Builder::relax_got(uint32_t section, const InputRelocation& raw, const Field& field,
                        Relocation& out) {
    Target target = locate(section, raw, 4);
    if (target.what == Target::What::undefined || target.symbol == no_index) return false;
    if (field.kind != FieldKind::rip_relative || field.end - field.offset != 4) return false;
    if (raw.addend != -4) return false;
    std::vector<uint8_t>& bytes = image_.sections[section].bytes;
    uint64_t at = raw.offset;
    bool wide = at >= field.begin + 3 && (bytes[at - 3] & 0xF8) == 0x48;
    if (field.opcode == 0x8B && wide) {
        bytes[at - 2] = 0x8D;  // lea
        out = to_place(section, raw, R_X86_64_PC32, target, 4);
        return true;
    }
    bool function = image_.symbols[target.symbol].type == SymbolType::function;
    if (field.opcode == 0xFF && function && field.begin + 2 == at) {
        bool call = field.modrm == 0x15;
        if (!call && field.modrm != 0x25) return false;
        out = Relocation{call ? at : at - 1, R_X86_64_PLT32, target.symbol, -4};
        bytes[at - 2] = call ? 0x67 : 0xE9;  // addr32 call f; or jmp f, nop
        bytes[at - 1] = call ? 0xE8 : 0;
        if (!call) bytes[at + 3] = 0x90;
        return true;
    }
    return false;
}

// `bias` is the distance from the field to the instruction's end, 0 in data.
Relocation Builder::refer_address(uint32_t section, const InputRelocation& raw, int64_t bias) {
    bool text = image_.sections[section].kind == SectionKind::text;
    switch (raw.type) {
        case R_X86_64_64:
        case R_X86_64_32:
        case R_X86_64_32S:
            return to_place(section, raw, raw.type, locate(section, raw, 0), 0);
        case R_X86_64_PLT32:
            if (text) refuse(section, raw.offset, "R_X86_64_PLT32 outside of a branch");
            [[fallthrough]];
        case R_X86_64_PC32:
        case R_X86_64_PC64:
            break;
        default:
            refuse(section, raw.offset,
                   fmt::format("{} ({}) is not supported", relocation_text(raw.type), raw.type));
    }
    uint32_t type = raw.type == R_X86_64_PLT32 ? uint32_t{R_X86_64_PC32} : raw.type;
    Target target = locate(section, raw, bias);
    bool to_text = target.what == Target::What::section &&
                   image_.sections[target.section].kind == SectionKind::text;
    if (text || !to_text) return to_place(section, raw, type, target, bias);
    // In data the entry's own offset hides in the addend. A relocation that names a function means
    // its canonical address (relative virtual tables); one against the section is an entry of a
    // jump table, which points into its own function.
    if (!target.by_section && target.symbol != no_index &&
        !is_cold_part_name(image_.symbols[target.symbol].name)) {
        return {raw.offset, type, target.symbol, raw.addend};
    }
    mids_.push_back({section, raw.offset, target.section});
    return {raw.offset, type, section_symbol(target.section), target.offset};
}

void Builder::store(uint32_t section, const Relocation& relocation) {
    Section& home = image_.sections[section];
    if (!addend_in_range(relocation.addend)) {
        refuse(section, relocation.offset,
               fmt::format("addend {} is out of range", relocation.addend));
    }
    uint32_t width = relocation_width(relocation.type);
    auto at = home.bytes.begin() + static_cast<ptrdiff_t>(relocation.offset);
    std::fill(at, at + width, uint8_t{0});
    home.relocations.push_back(relocation);
}

// RIP-relative operands and branches that the assembler resolved itself.
void Builder::refer_implicit(uint32_t section, std::vector<Field>& fields) {
    for (const Field& field : fields) {
        if (field.kind != FieldKind::branch && field.kind != FieldKind::rip_relative) continue;
        int64_t target = int64_t{field.end} + field.value;
        if (target < 0 || target > static_cast<int64_t>(image_.sections[section].size)) {
            refuse(section, field.begin,
                   fmt::format("refers to {:#x}, outside of its section, without a relocation",
                               target));
        }
        if (field.kind == FieldKind::branch) continue;
        uint32_t function = function_at(section, target);
        if (function == no_index) continue;
        // A function's address taken within its own section: the canonical one is meant.
        store(section, {field.offset, R_X86_64_PC32, function,
                        -(int64_t{field.end} - int64_t{field.offset})});
    }
}

void Builder::refer_from_text(uint32_t section) {
    const Section& home = image_.sections[section];
    const InputSection& input = objects_[home.object].sections[home.object_section];
    std::vector<Field> fields = decode_text(home.bytes, where(section), xfrm_);
    std::vector<bool> relocated(fields.size());
    for (const InputRelocation& raw : input.relocations) {
        if (raw.type == R_X86_64_NONE) continue;
        const Field* field = find_field(fields, raw.offset);
        uint32_t width = relocation_width(raw.type);
        if (width == 0) {
            refuse(section, raw.offset,
                   fmt::format("{} ({}) is not supported", relocation_text(raw.type), raw.type));
        }
        if (!field || field->width != width) {
            refuse(section, raw.offset,
                   fmt::format("{} is not on an operand of an instruction",
                               relocation_text(raw.type)));
        }
        relocated[static_cast<size_t>(field - fields.data())] = true;
        Relocation out;
        if (field->kind == FieldKind::branch) {
            out = refer_branch(section, raw, *field);
        } else if (raw.type == R_X86_64_GOTPCREL || raw.type == R_X86_64_GOTPCRELX ||
                   raw.type == R_X86_64_REX_GOTPCRELX) {
            if (!relax_got(section, raw, *field, out)) {
                Target target = locate(section, raw, 0);
                uint32_t symbol = target.symbol;
                if (symbol == no_index) {
                    refuse(section, raw.offset, "a GOT entry for something without a name");
                }
                out = {raw.offset, raw.type, symbol, raw.addend};
            }
        } else {
            bool relative = raw.type == R_X86_64_PC32 || raw.type == R_X86_64_PC64 ||
                            raw.type == R_X86_64_PLT32;
            if (relative != (field->kind == FieldKind::rip_relative)) {
                refuse(section, raw.offset,
                       fmt::format("{} does not fit its operand", relocation_text(raw.type)));
            }
            out = refer_address(section, raw, relative ? field->end - field->offset : 0);
        }
        store(section, out);
    }
    std::vector<Field> implicit;
    for (size_t i = 0; i < fields.size(); i++) {
        if (!relocated[i]) implicit.push_back(fields[i]);
    }
    refer_implicit(section, implicit);
}

void Builder::refer_from_data(uint32_t section) {
    uint32_t object = image_.sections[section].object;
    uint32_t index = image_.sections[section].object_section;
    const Place& place = places_[object][index];
    bool is_cut = place.section != section;
    for (InputRelocation raw : objects_[object].sections[index].relocations) {
        if (raw.type == R_X86_64_NONE) continue;
        bool in_cut = std::any_of(place.cuts.begin(), place.cuts.end(), [&](const auto& cut) {
            return raw.offset >= cut.begin && raw.offset < cut.end;
        });
        if (is_cut ? raw.offset < origin_[section] || raw.offset >= origin_end_[section] : in_cut) {
            continue;
        }
        raw.offset -= origin_[section];
        uint32_t width = relocation_width(raw.type);
        if (width == 0) {
            refuse(section, raw.offset,
                   fmt::format("{} ({}) is not supported", relocation_text(raw.type), raw.type));
        }
        uint64_t size = image_.sections[section].bytes.size();
        if (raw.offset > size || size - raw.offset < width) {
            refuse(section, raw.offset, "relocation leaves the section");
        }
        size_t mids = mids_.size();
        Relocation out = refer_address(section, raw, 0);
        if (mids_.size() != mids && image_.sections[section].kind == SectionKind::writable) {
            refuse(section, raw.offset,
                   fmt::format("writable data that points into the middle of {}",
                               image_.sections[mids_.back().to].name));
        }
        store(section, out);
    }
}

void Builder::refer() {
    // Sections that lay_out made; literals are added on the way and refer to nothing.
    auto count = static_cast<uint32_t>(image_.sections.size());
    for (uint32_t i = 0; i < count; i++) {
        if (image_.sections[i].object == no_index) continue;
        if (image_.sections[i].kind == SectionKind::text) {
            refer_from_text(i);
        } else if (image_.sections[i].kind != SectionKind::zeroed) {
            refer_from_data(i);
        }
    }
}

}  // namespace sgxdl::front
