// An operation in flight: load, extend, patch, rollback or unload.
//
// Each kind is a list of passes (pipelines at the top of operation.cpp); read them as the whole
// story. A pass does a slice of work and says whether it is finished. Up to publish() every pass
// may fail and the destructor undoes all; publish() and what follows cannot fail.
//
//   decode:  verify, read_*, bind_*, check_relocations       bundle → module, nothing visible
//   plan:    adopt, restore, closure, reach, reuse, survey   which units, stubs, slots
//   build:   place, grow, prepare, link_*                    memory, staging, relocation
//   publish: fill_table, publish                             one pointer store
#pragma once

#include "enclave/loader/core.hpp"
#include "enclave/loader/decode.hpp"
#include "enclave/loader/relocate.hpp"

namespace sgxdl {

class Operation {
 public:
    enum class Kind : uint8_t { load, extend, patch, rollback, unload };

    Operation(Core& core, Kind kind) : core_(core), kind_(kind) {}
    ~Operation();
    Operation(const Operation&) = delete;

    Result<void> begin_bundle(const sgxdl_bundle_header& header, std::span<const char> names);
    Result<void> begin_module(const char* module, std::span<const char> names, bool force);
    Result<void> feed(std::span<const uint8_t> bytes);
    Result<void> step();
    const Progress& progress() const { return progress_; }

 private:
    using Pass = Result<bool> (Operation::*)(Budget&);
    struct Step {
        Pass run;
        Stage reached;  // the stage after this pass
    };
    static std::span<const Step> pipeline(Kind kind);

    // decode.* (bind.cpp)
    Result<bool> verify(Budget&);
    Result<bool> read_header(Budget& b) { return decoder().read_header(b); }
    Result<bool> read_sections(Budget& b) { return decoder().read_sections(b); }
    Result<bool> make_definitions(Budget& b) { return decoder().make_definitions(b); }
    Result<bool> read_symbols(Budget& b) { return decoder().read_symbols(b); }
    Result<bool> bind_units(Budget&);
    Result<bool> bind_targets(Budget&);
    Result<bool> check_relocations(Budget&);
    // plan.cpp
    Result<bool> adopt(Budget&);
    Result<bool> restore(Budget&);
    Result<bool> find_edges(Budget&);
    Result<bool> close_over(Budget&);
    Result<bool> drop_removed(Budget&);
    Result<bool> choose_roots(Budget&);
    Result<bool> reach(Budget&);
    Result<bool> choose_kept(Budget&);
    Result<bool> spread_kept(Budget&);
    Result<bool> choose_dropped(Budget&);
    // reuse.cpp
    Result<bool> find_copies(Budget&);
    Result<bool> settle_copies(Budget&);
    Result<bool> check_copies(Budget&);
    // link.cpp
    Result<bool> survey(Budget&);
    Result<bool> place(Budget&);
    Result<bool> take_memory(Budget&);
    Result<bool> grow_stubs(Budget& b) { return core_.generations.grow(b); }
    Result<bool> link_code(Budget& b) { return link_region(b, code); }
    Result<bool> link_tables(Budget& b) { return link_region(b, tables); }
    Result<bool> link_constants(Budget& b) { return link_region(b, constants); }
    Result<bool> link_veneers(Budget& b) { return link_region(b, veneers); }
    Result<bool> link_data(Budget&);
    // publish.cpp
    Result<bool> prepare_generation(Budget&);
    Result<bool> copy_table(Budget& b) { return core_.generations.copy_table(b); }
    Result<bool> reserve_records(Budget&);
    Result<bool> fill_table(Budget&);
    Result<bool> publish(Budget&);

    // --- shared pieces ---
    enum RegionKind : uint8_t { code, tables, constants, data, veneers, region_count };
    struct Region {
        uintptr_t base = 0;
        size_t pages = 0;
        uint64_t size = 0;     // bytes laid out
        uint64_t flushed = 0;  // bytes committed
        uint64_t window = 0;   // offset of the staging window's first byte
    };
    // A GOT slot or a veneer that this operation makes.
    struct Slot {
        uint32_t symbol = none;  // Module::symbols, or
        uint32_t import = none;  // Module::imports, or neither: the slot that holds 0
        bool veneer = false;
        uint32_t constant = none;  // Module::constant_slots, for a symbol that is a constant
        uint64_t offset = 0;       // in its region
    };
    Decoder& decoder() { return *decoder_; }
    const Definition* effective(const Unit& unit) const {
        return unit.next_definition ? unit.next_definition : unit.definition;
    }
    static RegionKind region_of(UnitKind unit, Part part) {
        if (part == Part::code) return code;
        return unit == UnitKind::text ? tables : unit == UnitKind::data ? data : constants;
    }
    Result<void> bind_new_symbol(DefinedSymbol& symbol);
    Result<void> bind_definition(Definition& definition);
    Result<void> bind_removed();
    Result<uint32_t> use_import(uint32_t import);
    Result<void> check_relocation(const Definition& definition, const Piece& piece,
                                  const elf::Rela& rela);
    Result<void> add_edge(uint32_t symbol);
    // The unit that a target belongs to; none for imports.
    uint32_t target_unit(const Bundle& bundle, const Target& target) const;
    Result<void> set_next(uint32_t unit, const Definition* definition);
    void clear_next(Unit& unit);
    uint32_t stub_of(const Definition& definition) const;
    bool same_content(const Definition& a, const Definition& b) const;
    Result<void> mark_for_link(uint32_t unit);
    void use_module(Module* module);
    Result<void> parse_names(std::span<const char> names);
    template <class Use>
    void for_each_copy(uint32_t unit, Use&& use);
    // True when the constant points to one that is not decided upon.
    bool waits(uint32_t unit) const;
    Result<bool> equals_copy(const Unit& unit);
    // Where the constant will stand; 0 for a copy that this operation makes, before place().
    uintptr_t constant_address(const ModuleSymbol& symbol) const;
    // The constant's slot in Module::constant_slots; none when it must be made.
    uint32_t constant_slot(const ModuleSymbol& symbol) const;
    Result<void> survey_relocation(const Bundle& bundle, const Piece& piece, const elf::Rela& rela);
    Result<void> link_piece(const Unit& unit, const Piece& piece, uint8_t* bytes,
                            uintptr_t address);
    Result<uint64_t> target_address(const Unit& unit, const Piece& piece, const elf::Rela& rela,
                                    uintptr_t place);
    uintptr_t symbol_address(const ModuleSymbol& symbol) const;
    Result<bool> link_region(Budget& budget, RegionKind kind);
    static uint8_t padding(RegionKind kind) { return kind == code || kind == veneers ? 0xcc : 0; }
    Result<bool> make_room(Budget& budget, Region& region, RegionKind kind, uint64_t begin,
                           uint64_t end);
    Result<bool> flush(Budget& budget, Region& region, RegionKind kind, uint64_t until);
    uintptr_t& slot_address(const Slot& slot);
    void write_slot(const Slot& slot, uint8_t* bytes) const;
    void back_fill(uint64_t number);
    void publish_units(uint64_t number);
    void record_undo();
    bool stays_removed(const Unit& unit) const;
    bool reserve_kept();
    void keep_for_removed();
    void keep_for_older_pins();
    void log_stage();

    Core& core_;
    Kind kind_;
    Progress progress_;
    size_t pass_ = 0;
    size_t cursor_ = 0;  // of the pass that runs; 0 when it begins
    bool published_ = false;

    Module* module_ = nullptr;
    bool new_module_ = false;
    Bundle* bundle_ = nullptr;  // holds a reference
    Decoder* decoder_ = nullptr;
    Vec<char> names_;  // requested, NUL-terminated one after another
    bool force_ = false;

    // Ends of the module's arrays before the operation.
    size_t old_symbols_ = 0, old_units_ = 0, old_imports_ = 0, old_names_ = 0, old_slots_ = 0;

    Vec<uint32_t> roots_;                    // units that are asked for
    Vec<uint32_t> touched_;                  // units with next_definition or next_removed
    Vec<uint32_t> link_;                     // units to link, in link order
    Vec<uint32_t> undecided_;                // constants that may go back to a copy of before
    Vec<uint32_t> reused_;                   // constants that do
    Vec<uint32_t> kept_;                     // unloading: units that stay, as far as known
    Vec<uint32_t> dropped_;                  // units whose live copy ends
    Vec<Instance*> needed_;                  // copies that removed functions are bound to
    Vec<uint32_t> reverse_first_, reverse_;  // edges by target unit

    uint32_t stubs_before_ = 0;
    Vec<uint32_t> new_stubs_;  // symbols
    Vec<Slot> slots_;
    Region regions_[region_count];
    uint8_t* window_ = nullptr;  // staging pages
    size_t window_pages_ = 0;
};

}  // namespace sgxdl
