// A module or patch in normal form (docs/bundle-format.md), in memory.
//
// `pack` builds an Image from compiler output, elf_writer.hpp writes it as an ELF payload and
// elf_reader.hpp reads it back; `diff` and `inspect` work on Images only.
//
// Invariants (checked by validate()): every section belongs to exactly one unit; relocations are
// sorted by offset, lie inside their section and do not overlap; names of defined symbols are
// unique; bytes under a relocation are zero; local symbols come before global ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sgxdl::front {

inline constexpr uint32_t no_index = UINT32_MAX;

enum class SectionKind : uint8_t { text, read_only, literal, writable, zeroed };
const char* section_kind_text(SectionKind kind);

enum class SymbolType : uint8_t {
    function,  // STT_FUNC: a direct branch, or the canonical address
    object,    // STT_OBJECT
    section,   // STT_SECTION of a text section: the address in this very copy of the unit
    untyped,   // STT_NOTYPE, undefined symbols only: an import of unknown type
};

enum class Binding : uint8_t { local, global, weak };

struct Relocation {
    uint64_t offset = 0;
    uint32_t type = 0;    // R_X86_64_*
    uint32_t symbol = 0;  // index into Image::symbols
    int64_t addend = 0;
};

struct Section {
    std::string name;  // for people: .text.foo
    SectionKind kind = SectionKind::read_only;
    uint64_t align = 1;          // bytes
    uint64_t entsize = 0;        // literals: bytes per character or constant
    bool strings = false;        // literals: NUL-terminated
    std::vector<uint8_t> bytes;  // empty for zeroed
    uint64_t size = 0;           // bytes
    std::vector<Relocation> relocations;
    uint32_t unit = no_index;
    // Where it came from: index into Image::objects and ELF section index. Not in the payload.
    uint32_t object = no_index;
    uint32_t object_section = no_index;
};

struct Symbol {
    std::string name;  // empty for SymbolType::section
    SymbolType type = SymbolType::untyped;
    Binding binding = Binding::local;
    uint32_t section = no_index;  // no_index: undefined
    uint64_t value = 0;           // offset in the section
    uint64_t size = 0;
    bool defined() const { return section != no_index; }
};

// Members of a unit, the function's own text section first.
struct Unit {
    std::vector<uint32_t> sections;
    std::string name;
};

// An immediate that `diff --omit-line-only` left at its old value because it is a line number.
struct OmittedLine {
    std::string symbol;    // of the module: the unit's name
    uint32_t section = 0;  // position of the section in the unit
    uint64_t offset = 0;   // of the immediate's first byte
    uint32_t width = 0;    // bytes
    uint64_t loaded = 0;   // what the enclave has
    uint64_t built = 0;    // what the build that the patch leads to has
};

struct Image {
    std::vector<Section> sections;
    std::vector<Symbol> symbols;
    std::vector<Unit> units;
    std::vector<std::string> notes;    // "key=value"
    std::vector<std::string> removed;  // patch: names of units that are gone
    std::vector<std::pair<std::string, std::string>> renamed;  // patch: build's name, module's name
    std::vector<OmittedLine> omitted;                          // patch
    std::vector<std::string> objects;  // display names of the inputs; not in the payload
};

// Every name of a defined symbol → its index.
std::unordered_map<std::string_view, uint32_t> defined_names(const Image& image);

// True when the unit contains text.
bool is_text_unit(const Image& image, uint32_t unit);
SectionKind unit_kind(const Image& image, uint32_t unit);  // kind of its first section
// Sum of the sizes of the unit's sections of text, or of data, in bytes.
uint64_t unit_text_bytes(const Image& image, uint32_t unit);
uint64_t unit_data_bytes(const Image& image, uint32_t unit);

// foo.cold, foo.cold.3: the part of a function that gcc moved to .text.unlikely.
bool is_cold_part_name(std::string_view name);

// Bytes that a relocation of this type fills; 0 for a type that normal form does not have.
uint32_t relocation_width(uint32_t type);
const char* relocation_text(uint32_t type);

// Addends and symbols' values beyond 2^61 are refused, so that sums of two cannot overflow.
constexpr bool addend_in_range(int64_t addend) {
    return addend < int64_t{1} << 61 && addend > -(int64_t{1} << 61);
}

// True for a branch that is bound to its target in the same generation: PLT32 to a function, in
// text. Everything else that names a function means its canonical address.
bool is_direct_branch(const Image& image, const Section& section, const Relocation& relocation);

// Sorts symbols (section symbols, locals, globals, undefined last) and names the units by rule 3
// of the format. Relocations follow.
void finish(Image& image);

// Throws Error naming the first rule of the normal form that the image breaks.
void validate(const Image& image);

}  // namespace sgxdl::front
