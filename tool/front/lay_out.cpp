// Decides what becomes of each input section and makes the image's sections and symbols.
#include <elf.h>
#include <sodium.h>

#include <algorithm>
#include <bit>
#include <set>

#include "tool/front/builder.hpp"
#include "tool/front/error.hpp"

namespace sgxdl::front {
namespace {

constexpr uint64_t max_section_size = 1u << 30;  // bytes; the loader's own limit
constexpr uint64_t max_zeroes = 16u << 20;       // bytes

bool starts_with(const std::string& text, std::string_view prefix) {
    return text.compare(0, prefix.size(), prefix) == 0;
}

// Allocated sections that only unwinders, profilers and debuggers read: nothing that runs in the
// enclave uses them.
bool is_bystander(const InputSection& section) {
    return section.type == SHT_NOTE || section.type == SHT_X86_64_UNWIND ||
           section.name == ".eh_frame" || starts_with(section.name, ".gcc_except_table") ||
           starts_with(section.name, ".gnu.lto_");
}

bool is_constructor_table(const InputSection& section) {
    return section.type == SHT_INIT_ARRAY || section.type == SHT_FINI_ARRAY ||
           section.type == SHT_PREINIT_ARRAY || starts_with(section.name, ".init_array") ||
           starts_with(section.name, ".fini_array") || starts_with(section.name, ".ctors") ||
           starts_with(section.name, ".dtors") || section.name == ".init" ||
           section.name == ".fini";
}

}  // namespace

bool is_compiler_constant_name(std::string_view name) {
    for (std::string_view prefix :
         {"CSWTCH.", ".LC", ".L", "switch.table.", "__const.", "reltable.", "__func__.",
          "__FUNCTION__.", "__PRETTY_FUNCTION__."}) {
        if (name.substr(0, prefix.size()) == prefix) return true;
    }
    return false;
}

std::string Builder::where(uint32_t object, const std::string& section) const {
    return fmt::format("{}: {}", objects_[object].display(), section);
}

std::string Builder::where(uint32_t section) const {
    const Section& s = image_.sections[section];
    if (s.object == no_index) return s.name;
    return where(s.object, objects_[s.object].sections[s.object_section].name);
}

void Builder::refuse(uint32_t section, uint64_t offset, const std::string& text) const {
    fail("{}+{:#x}: {}", where(section), origin_[section] + offset, text);
}

uint32_t Builder::new_symbol(Symbol symbol) {
    image_.symbols.push_back(std::move(symbol));
    return static_cast<uint32_t>(image_.symbols.size() - 1);
}

uint32_t Builder::new_section(uint32_t object, uint32_t index, SectionKind kind) {
    const InputSection& input = objects_[object].sections[index];
    Section section;
    section.name = input.name;
    section.kind = kind;
    section.align = input.align;
    section.size = input.size;
    section.object = object;
    section.object_section = index;
    if (kind != SectionKind::zeroed) section.bytes = input.bytes;
    image_.sections.push_back(std::move(section));
    primary_.push_back(no_index);
    anonymous_.push_back(false);
    section_symbol_.push_back(no_index);
    origin_.push_back(0);
    origin_end_.push_back(input.size);
    return static_cast<uint32_t>(image_.sections.size() - 1);
}

std::vector<Builder::Naming> Builder::name_sections(const InputObject& object) {
    std::vector<Naming> naming(object.sections.size());
    for (const InputSymbol& symbol : object.symbols) {
        if (symbol.section >= naming.size() || symbol.type == STT_SECTION) continue;
        Naming& home = naming[symbol.section];
        if (symbol.binding != STB_LOCAL) home.global = home.any = true;
        if (!starts_with(symbol.name, ".L")) home.any = true;
        if (symbol.binding == STB_LOCAL && !is_compiler_constant_name(symbol.name)) {
            home.local = true;
        }
    }
    return naming;
}

Builder::Place Builder::lay_out_section(uint32_t object, uint32_t index, const Naming& naming) {
    const InputSection& input = objects_[object].sections[index];
    Place place;
    if (discarded_[object][index]) {
        place.what = Place::What::discarded;
        return place;
    }
    if (!(input.flags & SHF_ALLOC) || is_bystander(input)) return place;
    std::string at = where(object, input.name);
    if (input.flags & SHF_TLS) fail("{}: thread-local storage is not supported", at);
    if (is_constructor_table(input)) {
        fail("{}: constructors and destructors are not supported", at);
    }
    if (input.type != SHT_PROGBITS && input.type != SHT_NOBITS) {
        fail("{}: allocated section of type {:#x}", at, input.type);
    }
    if (!std::has_single_bit(input.align) || input.align > 4096) {
        fail("{}: alignment {} is not a power of two of at most 4096", at, input.align);
    }
    bool writable = (input.flags & SHF_WRITE) != 0;
    bool text = (input.flags & SHF_EXECINSTR) != 0;
    // What is constant once it has been relocated needs no W here.
    if (starts_with(input.name, ".data.rel.ro")) writable = false;
    if (writable && text) fail("{}: writable and executable", at);
    if (text && input.type == SHT_NOBITS) fail("{}: text without contents", at);
    if (input.size > max_section_size) {
        fail("{}: {} bytes; a section may have at most {}", at, input.size, max_section_size);
    }
    // Zeroes cost nothing in an object file, but the bundle has to hold them.
    if (!writable && input.type == SHT_NOBITS && input.size > max_zeroes) {
        fail("{}: {} bytes of read-only zeroes; a bundle may hold at most {} in one section", at,
             input.size, max_zeroes);
    }
    // An empty section may still be a place that symbols name; an unnamed one (there always is an
    // empty .text) is nothing.
    if (input.size == 0 && !naming.any) return place;
    if (!text && !writable && input.relocations.empty() && input.type == SHT_PROGBITS) {
        bool merge = (input.flags & SHF_MERGE) != 0;
        bool named = naming.global || (!merge && naming.local);
        if (!named && input.size != 0) {
            place.what = Place::What::literals;
            place.pieces = merge ? cut_pieces(input, at) : std::vector<uint64_t>{0};
            return place;
        }
    }
    SectionKind kind = text                       ? SectionKind::text
                       : !writable                ? SectionKind::read_only
                       : input.type == SHT_NOBITS ? SectionKind::zeroed
                                                  : SectionKind::writable;
    place.what = Place::What::section;
    place.section = new_section(object, index, kind);
    if (kind == SectionKind::read_only && input.type == SHT_NOBITS) {
        image_.sections[place.section].bytes.resize(input.size);
    }
    if (kind == SectionKind::read_only && !input.relocations.empty()) {
        cut_jump_tables(object, index, place);
    }
    return place;
}

// Without -fdata-sections gcc puts the jump tables of all functions of a file into one .rodata,
// among its constants. A run of PC32 relocations, four bytes apart and against one text section,
// is taken out as a section of its own; zeros stay in its place, so no other offset changes.
void Builder::cut_jump_tables(uint32_t object, uint32_t index, Place& place) {
    const InputObject& input = objects_[object];
    if (input.sections[index].name != ".rodata") return;
    std::vector<InputRelocation> relocations = input.sections[index].relocations;
    std::sort(relocations.begin(), relocations.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
    auto text_of = [&](const InputRelocation& relocation) -> uint32_t {
        const InputSymbol& symbol = input.symbols[relocation.symbol];
        if (relocation.type != R_X86_64_PC32 || symbol.type != STT_SECTION) return 0;
        return input.sections[symbol.section].flags & SHF_EXECINSTR ? symbol.section : 0;
    };
    for (size_t i = 0; i < relocations.size();) {
        uint32_t text = text_of(relocations[i]);
        size_t end = i + 1;
        while (text != 0 && end < relocations.size() && text_of(relocations[end]) == text &&
               relocations[end].offset == relocations[end - 1].offset + 4) {
            end++;
        }
        uint64_t begin_offset = relocations[i].offset;
        uint64_t end_offset = relocations[end - 1].offset + 4;
        i = end;
        if (text == 0 || end_offset > input.sections[index].bytes.size()) continue;
        uint32_t id = new_section(object, index, SectionKind::read_only);
        Section& table = image_.sections[id];
        table.bytes.assign(table.bytes.begin() + static_cast<ptrdiff_t>(begin_offset),
                           table.bytes.begin() + static_cast<ptrdiff_t>(end_offset));
        table.size = end_offset - begin_offset;
        table.align = 4;
        origin_[id] = begin_offset;
        origin_end_[id] = end_offset;
        std::vector<uint8_t>& rest = image_.sections[place.section].bytes;
        std::fill(rest.begin() + static_cast<ptrdiff_t>(begin_offset),
                  rest.begin() + static_cast<ptrdiff_t>(end_offset), uint8_t{0});
        place.cuts.push_back({begin_offset, end_offset, id});
    }
}

void Builder::lay_out() {
    places_.resize(objects_.size());
    for (uint32_t o = 0; o < objects_.size(); o++) {
        image_.objects.push_back(objects_[o].display());
        places_[o].resize(objects_[o].sections.size());
        std::vector<Naming> naming = name_sections(objects_[o]);
        for (uint32_t s = 1; s < objects_[o].sections.size(); s++) {
            places_[o][s] = lay_out_section(o, s, naming[s]);
        }
    }
    lay_out_symbols();
    lay_out_common();
    // Every section has a symbol that stands for it; name.cpp names those that have none yet.
    for (uint32_t i = 0; i < image_.sections.size(); i++) {
        if (primary_[i] != no_index || image_.sections[i].kind == SectionKind::literal) continue;
        bool text = image_.sections[i].kind == SectionKind::text;
        anonymous_[i] = true;
        primary_[i] = new_symbol({"", text ? SymbolType::function : SymbolType::object,
                                  Binding::local, i, 0, image_.sections[i].size});
    }
    note_compilers();
}

void Builder::lay_out_symbols() {
    symbol_map_.resize(objects_.size());
    std::vector<uint32_t> global_primary(image_.sections.size(), no_index);
    for (uint32_t o = 0; o < objects_.size(); o++) {
        const InputObject& object = objects_[o];
        symbol_map_[o].assign(object.symbols.size(), no_index);
        for (uint32_t s = 1; s < object.symbols.size(); s++) {
            const InputSymbol& raw = object.symbols[s];
            if (raw.section == SHN_UNDEF || raw.section >= object.sections.size()) continue;
            if (raw.type == STT_SECTION || raw.type == STT_FILE) continue;
            const Place& place = places_[o][raw.section];
            if (place.what != Place::What::section) continue;
            uint32_t section = place.section;
            uint64_t value = raw.value;
            for (const Place::Cut& cut : place.cuts) {
                if (value >= cut.begin && value < cut.end) {
                    section = cut.section;
                    value -= cut.begin;
                    break;
                }
            }
            const Section& home = image_.sections[section];
            bool text = home.kind == SectionKind::text;
            bool local = raw.binding == STB_LOCAL;
            // Labels of hand-written assembly and of the compiler are places, not names.
            if (starts_with(raw.name, ".L")) continue;
            if (local && raw.type == STT_NOTYPE && text) continue;
            if (home.kind == SectionKind::read_only && local &&
                is_compiler_constant_name(raw.name)) {
                continue;
            }
            if (value > home.size || raw.size > home.size - value) {
                fail("{}: symbol {} leaves its section {}", object.display(), raw.name, home.name);
            }
            Symbol symbol{raw.name,       text ? SymbolType::function : SymbolType::object,
                          Binding::local, section,
                          value,          raw.size};
            if (!local) {
                const Definition& winner = definitions_.at(raw.name);
                bool wins = winner.object == o && winner.symbol == s;
                bool hidden = raw.visibility == STV_HIDDEN || raw.visibility == STV_INTERNAL;
                // A weak definition that lost stays as a local one: its own file may use it by
                // place. A hidden symbol is local to the module, as in any linked image.
                if (wins && !hidden) {
                    symbol.binding = raw.binding == STB_WEAK ? Binding::weak : Binding::global;
                }
                uint32_t id = new_symbol(symbol);
                if (wins) globals_[raw.name] = id;
                if (symbol.binding == Binding::local) {
                    if (primary_[section] == no_index) primary_[section] = id;
                } else if (global_primary[section] == no_index) {
                    global_primary[section] = id;
                }
                symbol_map_[o][s] = wins ? id : no_index;
                if (text) functions_.emplace(uint64_t{section} << 32 | value, id);
                continue;
            }
            uint32_t id = new_symbol(symbol);
            symbol_map_[o][s] = id;
            if (primary_[section] == no_index) primary_[section] = id;
            if (text && !is_cold_part_name(raw.name)) {
                functions_.emplace(uint64_t{section} << 32 | value, id);
            }
        }
    }
    for (uint32_t i = 0; i < image_.sections.size(); i++) {
        if (primary_[i] == no_index) primary_[i] = global_primary[i];
    }
}

// A common symbol becomes zeroed data (gABI: the value is its alignment).
void Builder::lay_out_common() {
    std::set<std::string> names;  // in a fixed order
    for (const auto& [name, definition] : definitions_) {
        if (definition.rank == 2) names.insert(name);
    }
    for (const std::string& name : names) {
        const Definition& definition = definitions_.at(name);
        const InputSymbol& raw = objects_[definition.object].symbols[definition.symbol];
        uint64_t align = std::max<uint64_t>(raw.value, 1);
        if (!std::has_single_bit(align) || align > 4096) {
            fail("{}: common symbol {} has alignment {}", objects_[definition.object].display(),
                 name, align);
        }
        if (raw.size > max_section_size) {
            fail("{}: common symbol {} has {} bytes; at most {}",
                 objects_[definition.object].display(), name, raw.size, max_section_size);
        }
        Section section;
        section.name = ".bss." + name;
        section.kind = SectionKind::zeroed;
        section.align = align;
        section.size = raw.size;
        image_.sections.push_back(std::move(section));
        auto id = static_cast<uint32_t>(image_.sections.size() - 1);
        bool hidden = raw.visibility == STV_HIDDEN || raw.visibility == STV_INTERNAL;
        uint32_t symbol = new_symbol(
            {name, SymbolType::object, hidden ? Binding::local : Binding::global, id, 0, raw.size});
        primary_.push_back(symbol);
        anonymous_.push_back(false);
        section_symbol_.push_back(no_index);
        origin_.push_back(0);
        origin_end_.push_back(raw.size);
        globals_[name] = symbol;
    }
}

void Builder::note_compilers() {
    std::set<std::string> comments;
    for (const InputObject& object : objects_) {
        for (const InputSection& section : object.sections) {
            if (section.name != ".comment") continue;
            std::string text;
            for (uint8_t byte : section.bytes) {
                if (byte != 0) {
                    text.push_back(static_cast<char>(byte));
                } else if (!text.empty()) {
                    comments.insert(std::exchange(text, {}));
                }
            }
        }
    }
    for (const std::string& comment : comments)
        image_.notes.push_back("comment=" + comment);
}

// Where each string or constant of a mergeable section starts, as a linker that merges sees it:
// a string ends with its terminator and the next one starts at the section's alignment.
std::vector<uint64_t> Builder::cut_pieces(const InputSection& section, const std::string& where) {
    uint64_t unit = section.entsize;
    if (unit == 0 || section.bytes.size() % unit != 0) {
        fail("{}: mergeable section of {} bytes with entries of {}", where, section.bytes.size(),
             unit);
    }
    std::vector<uint64_t> pieces;
    if (!(section.flags & SHF_STRINGS)) {
        for (uint64_t at = 0; at < section.bytes.size(); at += unit)
            pieces.push_back(at);
        return pieces;
    }
    auto is_zero = [&](uint64_t at) {
        return std::all_of(section.bytes.begin() + static_cast<ptrdiff_t>(at),
                           section.bytes.begin() + static_cast<ptrdiff_t>(at + unit),
                           [](uint8_t byte) { return byte == 0; });
    };
    uint64_t size = section.bytes.size();
    for (uint64_t at = 0; at < size;) {
        pieces.push_back(at);
        while (at < size && !is_zero(at))
            at += unit;
        if (at == size) fail("{}: string without an end", where);
        at += unit;
        while (at < size && at % section.align != 0 && is_zero(at))
            at += unit;
    }
    return pieces;
}

uint32_t Builder::literal(const InputSection& input, uint64_t begin, uint64_t end) {
    Section section;
    section.kind = SectionKind::literal;
    section.strings = (input.flags & SHF_STRINGS) && (input.flags & SHF_MERGE);
    section.bytes.assign(input.bytes.begin() + static_cast<ptrdiff_t>(begin),
                         input.bytes.begin() + static_cast<ptrdiff_t>(end));
    if (section.strings) {
        // Padding up to the next string's alignment is not part of this one.
        uint64_t size = section.bytes.size();
        auto zero = [&](uint64_t from) {
            return std::all_of(section.bytes.begin() + static_cast<ptrdiff_t>(from),
                               section.bytes.begin() + static_cast<ptrdiff_t>(from + input.entsize),
                               [](uint8_t byte) { return byte == 0; });
        };
        while (size >= 2 * input.entsize && zero(size - input.entsize) &&
               zero(size - 2 * input.entsize)) {
            size -= input.entsize;
        }
        section.bytes.resize(size);
    }
    section.size = section.bytes.size();
    section.entsize = section.strings ? input.entsize : section.size;
    section.align = begin == 0
                        ? input.align
                        : std::min<uint64_t>(input.align, uint64_t{1} << std::countr_zero(begin));
    std::vector<uint8_t> key{static_cast<uint8_t>(std::countr_zero(section.align))};
    key.insert(key.end(), section.bytes.begin(), section.bytes.end());
    std::string known(key.begin(), key.end());
    auto found = literals_.find(known);
    if (found != literals_.end()) return found->second;
    uint8_t digest[16];
    crypto_generichash(digest, sizeof digest, key.data(), key.size(), nullptr, 0);
    std::string name = "lit.";
    for (uint8_t byte : digest)
        name += fmt::format("{:02x}", byte);
    section.name = section.strings ? ".rodata.str" : ".rodata.cst";
    uint64_t size = section.size;
    image_.sections.push_back(std::move(section));
    auto id = static_cast<uint32_t>(image_.sections.size() - 1);
    primary_.push_back(new_symbol({name, SymbolType::object, Binding::local, id, 0, size}));
    anonymous_.push_back(false);
    section_symbol_.push_back(no_index);
    origin_.push_back(begin);
    origin_end_.push_back(end);
    literals_.emplace(std::move(known), id);
    return id;
}

}  // namespace sgxdl::front
