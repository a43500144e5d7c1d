// Building: stubs, GOT slots and veneers that are needed, memory, and the linked copies themselves.
//
// Code, tables and constants are built in a staging window and committed page by page to where
// they will stand (never writable there). Writable data is built in place. A copy's addresses are
// final before its first byte is written.
#include "enclave/loader/operation.hpp"

namespace sgxdl {

namespace {

constexpr uint64_t got_slot_size = 8;
constexpr uint64_t veneer_size = 16;
constexpr size_t window_minimum = 16;  // pages

// `jmp *2(%rip); ud2; .quad target` (SDM vol. 2, JMP FF /4).
void emit_veneer(uint8_t* bytes, uint64_t target) {
    static constexpr uint8_t code[] = {0xff, 0x25, 0x02, 0x00, 0x00, 0x00, 0x0f, 0x0b};
    memcpy(bytes, code, sizeof code);
    store_le<uint64_t>(bytes + 8, target);
}

}  // namespace

// --- what is needed -----------------------------------------------------------------------------

uintptr_t Operation::constant_address(const ModuleSymbol& symbol) const {
    const Unit& unit = module_->units[symbol.unit];
    return unit.mark == mark_link && !unit.next ? 0 : symbol_address(symbol);
}

uint32_t Operation::constant_slot(const ModuleSymbol& symbol) const {
    const uintptr_t value = constant_address(symbol);
    uint32_t i = symbol.first_slot;
    while (i != none && module_->constant_slots[i].value != value)
        i = module_->constant_slots[i].next;
    return i;
}

Result<void> Operation::survey_relocation(const Bundle& bundle, const Piece& piece,
                                          const elf::Rela& r) {
    const Target& target = bundle.targets[r.symbol];
    const auto type = static_cast<RelocationType>(r.type);
    const bool branch = type == RelocationType::plt32 && piece.part == Part::code;
    if (target.kind == Target::Kind::symbol) {
        ModuleSymbol& symbol = module_->symbols[target.index];
        if (symbol.function && !branch && symbol.stub == none) {
            if (!new_stubs_.push(target.index)) return make_error(Code::no_memory, "stub records");
            symbol.stub = core_.generations.allot_stub();
            if (symbol.stub == none) {
                new_stubs_.truncate(new_stubs_.size() - 1);
                return make_error(Code::stub_capacity, "'%s'", symbol.name.data());
            }
        }
        if (relocation_uses_got(type) && module_->units[symbol.unit].kind == UnitKind::constant) {
            if (constant_slot(symbol) != none) return {};
            const auto number = static_cast<uint32_t>(module_->constant_slots.size());
            if (!module_->constant_slots.push(
                    ConstantSlot{constant_address(symbol), 0, symbol.first_slot}) ||
                !slots_.push(Slot{target.index, none, false, number, 0}))
                return make_error(Code::no_memory, "GOT records");
            symbol.first_slot = number;
        } else if (relocation_uses_got(type) && symbol.got == 0) {
            if (!slots_.push(Slot{target.index, none, false, none, 0}))
                return make_error(Code::no_memory, "GOT records");
            symbol.got = 1;  // taken; take_memory() sets the address
        }
    }
    if (target.kind == Target::Kind::import) {
        ImportUse& use = module_->imports[target.index];
        if (relocation_uses_got(type) && use.got == 0) {
            if (!slots_.push(Slot{none, target.index, false, none, 0}))
                return make_error(Code::no_memory, "GOT records");
            use.got = 1;
        }
        // Near: a signed 32-bit displacement reaches it from everywhere in the arena.
        constexpr int64_t reach = (1ll << 31) - static_cast<int64_t>(page_size);
        const auto from_begin =
            static_cast<int64_t>(core_.config.imports[use.import].address - core_.arena.base());
        const bool near =
            from_begin < reach && from_begin - static_cast<int64_t>(core_.arena.size()) > -reach;
        if (branch && !near && use.veneer == 0) {
            if (!slots_.push(Slot{none, target.index, true, none, 0}))
                return make_error(Code::no_memory, "veneer records");
            use.veneer = 1;
        }
    }
    if (target.kind == Target::Kind::zero && relocation_uses_got(type) && module_->zero_got == 0) {
        if (!slots_.push(Slot{})) return make_error(Code::no_memory, "GOT records");
        module_->zero_got = 1;
    }
    return {};
}

Result<bool> Operation::survey(Budget& budget) {
    if (cursor_ == 0) stubs_before_ = core_.generations.stub_total();
    for (; cursor_ < link_.size(); ++cursor_) {
        if (budget.spent()) return false;
        const Definition& d = *effective(module_->units[link_[cursor_]]);
        for (uint32_t p = 0; p < d.piece_count; ++p) {
            const Piece& piece = d.bundle->pieces[d.bundle->piece_order[d.first_piece + p]];
            for (uint32_t i = 0; i < piece.rela_count; ++i)
                SGXDL_TRY(survey_relocation(*d.bundle, piece,
                                            elf::Rela::read(piece.relas + i * elf::rela_size)));
            budget.spend(piece.rela_count * Budget::relocation);
        }
        budget.spend(Budget::record);
    }
    return true;
}

// --- where everything will stand ----------------------------------------------------------------

Result<bool> Operation::place(Budget& budget) {
    for (; cursor_ < link_.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record * 2);
        Unit& unit = module_->units[link_[cursor_]];
        const Definition& d = *effective(unit);
        unit.next = create<Instance>();
        if (!unit.next) return make_error(Code::no_memory, "unit records");
        unit.next->module = module_;
        unit.next->definition = &d;
        for (size_t part = 0; part < 2; ++part) {
            Region& region = regions_[region_of(d.kind, static_cast<Part>(part))];
            if (d.size[part] == 0) continue;
            region.size = align_up(region.size, d.alignment[part]);
            unit.next->address[part] = region.size;  // an offset, until take_memory()
            region.size += d.size[part];
        }
        progress_.functions += d.kind == UnitKind::text;
    }
    for (Slot& slot : slots_) {
        Region& region = regions_[slot.veneer ? veneers : constants];
        slot.offset = region.size =
            align_up(region.size, slot.veneer ? veneer_size : got_slot_size);
        region.size += slot.veneer ? veneer_size : got_slot_size;
    }
    if (kind_ == Kind::patch || kind_ == Kind::rollback)
        progress_.closure_functions = progress_.functions;
    return true;
}

uintptr_t& Operation::slot_address(const Slot& slot) {
    if (slot.constant != none) return module_->constant_slots[slot.constant].slot;
    if (slot.symbol != none) return module_->symbols[slot.symbol].got;
    if (slot.import == none) return module_->zero_got;
    return slot.veneer ? module_->imports[slot.import].veneer : module_->imports[slot.import].got;
}

Result<bool> Operation::take_memory(Budget& budget) {
    size_t largest = 0;
    if (cursor_ == 0) {
        for (Region& region : regions_) {
            region.pages = (region.size + page_size - 1) / page_size;
            if (region.pages == 0) continue;
            region.base = core_.arena.take(region.pages);
            if (!region.base)
                return make_error(Code::no_arena, "%u pages", static_cast<uint64_t>(region.pages));
        }
        for (const Slot& slot : slots_) {
            const uintptr_t address =
                regions_[slot.veneer ? veneers : constants].base + slot.offset;
            slot_address(slot) = address;
        }
        for (uint32_t index : link_) {
            const Definition& d = *effective(module_->units[index]);
            for (size_t part = 0; part < 2; ++part) {
                const RegionKind kind = region_of(d.kind, static_cast<Part>(part));
                if (d.size[part] == 0) continue;
                module_->units[index].next->address[part] += regions_[kind].base;
                if (kind != data && d.size[part] > largest) largest = d.size[part];
            }
        }
        for (const Slot& slot : slots_) {
            if (slot.constant == none) continue;
            const ModuleSymbol& symbol = module_->symbols[slot.symbol];
            module_->constant_slots[slot.constant].value = symbol_address(symbol);
        }
        budget.spend(static_cast<int64_t>(link_.size()) * 8);
        window_pages_ = (largest + page_size - 1) / page_size + 2;
        if (window_pages_ < window_minimum) window_pages_ = window_minimum;
        window_ = static_cast<uint8_t*>(core_.platform.staging_alloc(window_pages_));
        if (!window_)
            return make_error(Code::no_memory, "%u staging pages",
                              static_cast<uint64_t>(window_pages_));
    }
    progress_.text_bytes = regions_[code].size;
    progress_.data_bytes = regions_[tables].size + regions_[constants].size + regions_[data].size;
    return true;
}

// --- linking ------------------------------------------------------------------------------------

uintptr_t Operation::symbol_address(const ModuleSymbol& symbol) const {
    const Unit& unit = module_->units[symbol.unit];
    const Instance* instance = unit.next ? unit.next : unit.live;
    SGXDL_ASSERT(instance);
    const bool next = unit.next_definition != nullptr;
    const uint32_t piece = next ? symbol.next_piece : symbol.piece;
    if (piece == none) return 0;
    return address_in(*instance, effective(unit)->bundle->pieces[piece],
                      next ? symbol.next_offset : symbol.offset);
}

// S, or G for the types that use it; `place` is P.
Result<uint64_t> Operation::target_address(const Unit& unit, const Piece& piece, const elf::Rela& r,
                                           uintptr_t place) {
    const Bundle& bundle = *effective(unit)->bundle;
    const Target& target = bundle.targets[r.symbol];
    const auto type = static_cast<RelocationType>(r.type);
    const bool branch = type == RelocationType::plt32 && piece.part == Part::code;
    switch (target.kind) {
        case Target::Kind::symbol: {
            const ModuleSymbol& symbol = module_->symbols[target.index];
            const bool got = relocation_uses_got(type);
            if (symbol.function && got) return symbol.got;
            if (symbol.function && !branch) return core_.generations.stub_address(symbol.stub);
            const uintptr_t address = symbol_address(symbol);
            if (address && got) {
                const uint32_t slot = constant_slot(symbol);
                return slot == none ? symbol.got : module_->constant_slots[slot].slot;
            }
            if (!address)
                return make_error(Code::no_such_symbol,
                                  "'%s' is not in the new definition of its unit",
                                  symbol.name.data());
            return address;
        }
        case Target::Kind::section: {
            const Piece& to = bundle.pieces[target.index];
            const Unit& owner = module_->units[bundle.definitions[to.definition].unit];
            const Instance* instance = owner.next ? owner.next : owner.live;
            SGXDL_ASSERT(instance);
            return address_in(*instance, to, target.value);
        }
        case Target::Kind::import: {
            const ImportUse& use = module_->imports[target.index];
            if (relocation_uses_got(type)) return use.got;
            if (branch && use.veneer) return use.veneer;
            return core_.config.imports[use.import].address;
        }
        case Target::Kind::zero:
            if (relocation_uses_got(type)) return module_->zero_got;
            // A call of an absent weak function never runs; let it reach the next instruction.
            return branch ? place - static_cast<uint64_t>(r.addend) : 0;
        case Target::Kind::unused:
        case Target::Kind::undefined:
            break;
    }
    platform_abort("relocation against an unbound symbol", __FILE__, __LINE__);
}

// Writes one piece of a unit, which will stand at `address`, to `bytes`.
Result<void> Operation::link_piece(const Unit& unit, const Piece& piece, uint8_t* bytes,
                                   uintptr_t address) {
    if (piece.bytes) memcpy(bytes, piece.bytes, piece.size);
    for (uint32_t i = 0; i < piece.rela_count; ++i) {
        const elf::Rela r = elf::Rela::read(piece.relas + i * elf::rela_size);
        auto target = target_address(unit, piece, r, address + r.offset);
        if (!target) return target.error();
        auto applied = apply_relocation(static_cast<RelocationType>(r.type), bytes + r.offset,
                                        address + r.offset, *target, r.addend);
        if (!applied) {
            return make_error(applied.error().code, "'%s': %s",
                              module_->symbols[unit.name_symbol].name.data(),
                              applied.error().context);
        }
    }
    progress_.relocations += piece.rela_count;
    return {};
}

// Makes the window hold the region's bytes [begin, end). All that lies below `begin` is written, so
// the pages below it are committed when they stand in the way.
Result<bool> Operation::make_room(Budget& budget, Region& region, RegionKind kind, uint64_t begin,
                                  uint64_t end) {
    const uint64_t window_size = window_pages_ * page_size;
    if (end <= region.window + window_size) return true;
    auto flushed = flush(budget, region, kind, begin / page_size);
    if (!flushed || !*flushed) return flushed;
    const uint64_t done = region.flushed - region.window;
    memmove(window_, window_ + done, window_size - done);
    memset(window_ + window_size - done, padding(kind), done);
    region.window = region.flushed;
    SGXDL_ASSERT(end <= region.window + window_size);
    return true;
}

// Commits the window's pages up to page `until` of the region.
Result<bool> Operation::flush(Budget& budget, Region& region, RegionKind kind, uint64_t until) {
    while (region.flushed < until * page_size) {
        if (budget.spent()) return false;
        uint64_t count = until - region.flushed / page_size;
        const auto affordable = static_cast<uint64_t>(budget.left / Budget::page) + 1;
        if (count > affordable) count = affordable;
        const PageUse use = kind == code || kind == veneers ? PageUse::code : PageUse::read_only;
        SGXDL_TRY(core_.arena.commit_copy(region.base + region.flushed,
                                          window_ + (region.flushed - region.window), count, use));
        budget.spend(static_cast<int64_t>(count) * Budget::page);
        region.flushed += count * page_size;
    }
    return true;
}

Result<bool> Operation::link_region(Budget& budget, RegionKind kind) {
    Region& region = regions_[kind];
    if (region.pages == 0) return true;
    if (cursor_ == 0) memset(window_, padding(kind), window_pages_ * page_size);
    for (; cursor_ < link_.size(); ++cursor_) {
        if (budget.spent()) return false;
        const Unit& unit = module_->units[link_[cursor_]];
        const Definition& d = *effective(unit);
        for (uint32_t p = 0; p < d.piece_count; ++p) {
            const Piece& piece = d.bundle->pieces[d.bundle->piece_order[d.first_piece + p]];
            if (region_of(d.kind, piece.part) != kind) continue;
            const auto part = static_cast<size_t>(piece.part);
            const uint64_t begin = unit.next->address[part] - region.base;
            auto room = make_room(budget, region, kind, begin, begin + d.size[part]);
            if (!room || !*room) return room;
            const uint64_t at = begin + piece.offset;
            SGXDL_TRY(link_piece(unit, piece, window_ + (at - region.window), region.base + at));
            budget.spend(piece.rela_count * Budget::relocation +
                         static_cast<int64_t>(piece.size) / Budget::bytes_per_unit);
        }
    }
    for (; cursor_ < link_.size() + slots_.size(); ++cursor_) {
        const Slot& slot = slots_[cursor_ - link_.size()];
        if ((slot.veneer ? veneers : constants) != kind) continue;
        auto room = make_room(budget, region, kind, slot.offset,
                              slot.offset + (slot.veneer ? veneer_size : got_slot_size));
        if (!room || !*room) return room;
        write_slot(slot, window_ + (slot.offset - region.window));
    }
    return flush(budget, region, kind, region.pages);
}

void Operation::write_slot(const Slot& slot, uint8_t* bytes) const {
    if (slot.import != none) {
        const uint64_t address = core_.config.imports[module_->imports[slot.import].import].address;
        if (slot.veneer) return emit_veneer(bytes, address);
        return store_le<uint64_t>(bytes, address);
    }
    if (slot.symbol == none) return store_le<uint64_t>(bytes, 0);
    const ModuleSymbol& symbol = module_->symbols[slot.symbol];
    store_le<uint64_t>(bytes, symbol.function ? core_.generations.stub_address(symbol.stub)
                                              : symbol_address(symbol));
}

// Writable data stands where it is built: its pages are zeroed and nobody knows them yet.
Result<bool> Operation::link_data(Budget& budget) {
    Region& region = regions_[data];
    while (region.flushed < region.pages * page_size) {
        if (budget.spent()) return false;
        uint64_t count = region.pages - region.flushed / page_size;
        const auto affordable = static_cast<uint64_t>(budget.left / Budget::page) + 1;
        if (count > affordable) count = affordable;
        SGXDL_TRY(core_.arena.commit_data(region.base + region.flushed, count));
        budget.spend(static_cast<int64_t>(count) * Budget::page);
        region.flushed += count * page_size;
    }
    for (; cursor_ < link_.size(); ++cursor_) {
        if (budget.spent()) return false;
        const Unit& unit = module_->units[link_[cursor_]];
        const Definition& d = *effective(unit);
        if (d.kind != UnitKind::data) continue;
        const Piece& piece = d.bundle->pieces[d.bundle->piece_order[d.first_piece]];
        const uintptr_t address = unit.next->address[static_cast<size_t>(piece.part)];
        SGXDL_TRY(link_piece(unit, piece, reinterpret_cast<uint8_t*>(address), address));
        budget.spend(piece.rela_count * Budget::relocation +
                     (piece.bytes ? static_cast<int64_t>(piece.size) / Budget::bytes_per_unit : 0));
    }
    return true;
}

}  // namespace sgxdl
