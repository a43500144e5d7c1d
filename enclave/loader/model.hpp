// What the loader knows: bundles (immutable once decoded), modules, units, linked copies.
//
//   Bundle      a verified payload and what decoding found in it. Referenced by whoever may still
//               link from it; freed with the last reference.
//   Definition  one unit as a bundle defines it: pieces (sections), symbols, edges.
//   Module      name → symbols → units; the present definition of each unit.
//   Instance    one linked copy of a unit, alive in generations [birth, death).
//
// While an operation is in flight its intentions stand in the `next_*` fields and beyond the old
// ends of the module's arrays; abandoning it drops them, publishing moves them into place.
#pragma once

#include <sodium/crypto_generichash.h>

#include <string_view>

#include "enclave/loader/elf.hpp"
#include "enclave/loader/name_map.hpp"
#include "sgxdl/bundle.h"

namespace sgxdl {

inline constexpr uint32_t none = UINT32_MAX;
inline constexpr uint64_t forever = UINT64_MAX;
// Unit::mark.
inline constexpr uint32_t mark_link = 1, mark_dropped = 2, mark_undecided = 3;

struct Bundle;
struct Module;

enum class UnitKind : uint8_t { text, constant, literal, data };

// Where a piece lives. Code and tables belong to their function and die with it.
enum class Part : uint8_t { code, rest };

struct Piece {
    const uint8_t* bytes = nullptr;  // nullptr: zeroed (NOBITS)
    uint64_t size = 0;
    const uint8_t* relas = nullptr;
    uint32_t rela_count = 0;
    uint32_t alignment = 1;
    uint32_t section = 0;  // ELF index, for messages
    uint32_t definition = none;
    uint64_t offset = 0;  // in its part of the unit
    Part part = Part::rest;
    UnitKind kind = UnitKind::constant;  // what a lone section of these flags is
};

struct Definition {
    Bundle* bundle = nullptr;
    uint32_t unit = none;      // in the module
    uint32_t first_piece = 0;  // in Bundle::piece_order
    uint32_t piece_count = 0;
    uint32_t first_symbol = none;  // in Bundle::symbols, linked by next_in_definition
    uint32_t name_symbol = none;   // in Bundle::symbols
    uint32_t first_edge = 0;       // in Bundle::edges
    uint32_t edge_count = 0;
    uint64_t size[2] = {};  // bytes of each Part
    uint32_t alignment[2] = {1, 1};
    UnitKind kind = UnitKind::constant;
};

// A named symbol that a bundle defines.
struct DefinedSymbol {
    std::string_view name;
    uint32_t definition = none;
    uint32_t piece = none;  // in Bundle::pieces
    uint32_t next_in_definition = none;
    uint32_t id = none;   // in Module::symbols
    uint64_t offset = 0;  // in the piece
    bool function = false;
    bool global = false;
};

// What an ELF symbol of a bundle stands for.
struct Target {
    enum class Kind : uint8_t {
        unused,     // no relocation may name it
        symbol,     // index: Module::symbols (Bundle::symbols until bound)
        section,    // index: Bundle::pieces
        undefined,  // index: ELF symbol, until bound
        import,     // index: the allow-list
        zero,       // an undefined weak symbol that is not there
    };
    Kind kind = Kind::unused;
    bool function = false;
    bool weak = false;
    uint32_t index = none;
    uint64_t value = 0;
};

struct Bundle {
    sgxdl_bundle_header header;
    uint8_t digest[32];  // BLAKE2b-256 of the signed header bytes
    uint32_t references = 0;
    uint8_t* payload = nullptr;
    uint64_t received = 0;  // bytes
    crypto_generichash_state hash;

    Vec<uint32_t> section_piece;  // ELF section → pieces
    Vec<Piece> pieces;
    Vec<uint32_t> piece_order;  // pieces grouped by definition
    Vec<Definition> definitions;
    Vec<DefinedSymbol> symbols;
    Vec<Target> targets;       // by ELF symbol
    Vec<uint32_t> edges;       // Module::symbols bound at link time, by definition
    NameMap names;             // symbols
    std::string_view strings;  // of the symbol table
    std::string_view section_names;
    std::string_view removed;  // .sgxdl.removed

    ~Bundle() { Platform::deallocate(payload); }
};

inline void reference(Bundle* bundle) {
    ++bundle->references;
}
inline void dereference(Bundle* bundle) {
    SGXDL_ASSERT(bundle->references > 0);
    if (--bundle->references == 0) destroy(bundle);
}

struct Instance {
    Module* module = nullptr;
    const Definition* definition = nullptr;  // holds a reference to its bundle
    uint64_t birth = 0;
    uint64_t death = forever;
    uint64_t from = 0;            // freed when no pin lies in [from, until): birth, or 0 when a
    uint64_t until = forever;     // back-filled function is bound to it
    Instance* reached = nullptr;  // scratch of publishing: list
    bool needed = false;          // scratch of publishing: a removed function is bound to it
    uintptr_t address[2] = {};    // of each Part
};

struct Unit {
    const Definition* definition = nullptr;       // present; holds a reference to its bundle
    const Definition* next_definition = nullptr;  // of the operation in flight
    Instance* live = nullptr;
    Instance* next = nullptr;
    Instance* kept = nullptr;  // scratch of publishing: its copies in Module::kept
    uint32_t mark = 0;         // scratch of the operation in flight
    uint32_t name_symbol = none;
    UnitKind kind = UnitKind::text;  // for life
    bool root = false;               // asked for by name, or by loading the whole module
    bool removed = false;  // the present build does not have it; kept for its stub or address
    bool next_removed = false;
    uint64_t removed_at = 0;  // generation that first did not have it
};

struct ModuleSymbol {
    std::string_view name;
    uint32_t unit = none;
    uint32_t piece = 0;  // in the definition's bundle
    uint32_t next_piece = none;
    uint64_t offset = 0;
    uint64_t next_offset = 0;
    uintptr_t got = 0;  // its GOT slot, 0: none
    uint32_t stub = none;
    uint32_t first_slot = none;  // a constant's, in Module::constant_slots
    bool handed_out = false;     // by symbol()
    bool function = false;
    bool global = false;
};

// A GOT slot that holds the address of one copy of a constant. Other symbols have one address for
// life and one slot at most (ModuleSymbol::got).
struct ConstantSlot {
    uintptr_t value = 0;  // 0: of the copy that the operation in flight makes
    uintptr_t slot = 0;
    uint32_t next = none;  // of the same symbol
};

// What a module uses of the allow-list.
struct ImportUse {
    uint32_t import = none;
    uintptr_t got = 0;
    uintptr_t veneer = 0;  // 0: none needed
};

// GOT slots and veneers: pages that live as long as the module.
struct Block {
    uintptr_t address = 0;
    uint64_t size = 0;
};

struct UndoEntry {
    uint32_t unit;
    const Definition* definition;  // before the patch; nullptr: the patch brought the unit
    bool removed;                  // state before the patch
};

struct PatchRecord {
    Bundle* bundle = nullptr;  // nullptr: let go, nothing leads back to it
    uint32_t first_undo = 0;   // in Module::undo
};

struct Module {
    std::string_view name;  // in the first bundle's header
    Bundle* base = nullptr;
    Vec<Unit> units;
    Vec<ModuleSymbol> symbols;
    NameMap names;
    Vec<char*> owned_names;  // names that patches brought
    Vec<ImportUse> imports;
    Vec<Block> blocks;
    Vec<Instance*> kept;  // replaced copies: constants, and what removed functions are bound to
    Vec<ConstantSlot> constant_slots;
    Vec<PatchRecord> patches;
    Vec<UndoEntry> undo;
    uintptr_t zero_got = 0;  // GOT slot of absent weak symbols, 0: none
    uint64_t instances = 0;  // linked copies, retired ones included
    bool whole = false;      // loaded whole: a patch's new units are loaded too
    bool unloading = false;

    const Bundle* newest() const {
        return patches.empty() ? base : patches[patches.size() - 1].bundle;
    }
    ~Module() {
        for (char* owned : owned_names)
            Platform::deallocate(owned);
    }
};

// Address of a symbol in a linked copy of its unit, for the definition that copy was linked from.
inline uintptr_t address_in(const Instance& instance, const Piece& piece, uint64_t offset) {
    return instance.address[static_cast<size_t>(piece.part)] + piece.offset + offset;
}

}  // namespace sgxdl
