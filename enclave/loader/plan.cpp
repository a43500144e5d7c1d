// Planning: which definitions become the module's, which units must be linked, which end.
//
// Edges (Bundle::edges) are references bound at link time: direct branches, and uses of named
// constants. A patch links what changed, and every loaded unit that reaches it over edges;
// references through stubs and to writable data end the closure, because those addresses never
// change.
#include "enclave/loader/operation.hpp"

namespace sgxdl {

// --- the next state of the module ---------------------------------------------------------------

Result<void> Operation::set_next(uint32_t index, const Definition* definition) {
    Unit& unit = module_->units[index];
    if (!touched_.push(index)) return make_error(Code::no_memory, "change records");
    unit.next_definition = definition;
    const Bundle& bundle = *definition->bundle;
    for (uint32_t s = definition->first_symbol; s != none;
         s = bundle.symbols[s].next_in_definition) {
        ModuleSymbol& symbol = module_->symbols[bundle.symbols[s].id];
        symbol.next_piece = bundle.symbols[s].piece;
        symbol.next_offset = bundle.symbols[s].offset;
    }
    return {};
}

void Operation::clear_next(Unit& unit) {
    if (unit.next_definition) {
        const Bundle& bundle = *unit.next_definition->bundle;
        for (uint32_t s = unit.next_definition->first_symbol; s != none;
             s = bundle.symbols[s].next_in_definition) {
            module_->symbols[bundle.symbols[s].id].next_piece = none;
        }
    }
    unit.next_definition = nullptr;
    unit.next_removed = false;
}

// Equal bytes and equal references; both definitions are single sections of this module.
bool Operation::same_content(const Definition& a, const Definition& b) const {
    const Piece& x = a.bundle->pieces[a.bundle->piece_order[a.first_piece]];
    const Piece& y = b.bundle->pieces[b.bundle->piece_order[b.first_piece]];
    if (a.piece_count != 1 || b.piece_count != 1 || x.size != y.size ||
        x.alignment != y.alignment || x.rela_count != y.rela_count || !x.bytes != !y.bytes)
        return false;
    if (x.bytes && memcmp(x.bytes, y.bytes, x.size) != 0) return false;
    for (uint32_t i = 0; i < x.rela_count; ++i) {
        const auto p = elf::Rela::read(x.relas + i * elf::rela_size),
                   q = elf::Rela::read(y.relas + i * elf::rela_size);
        if (p.offset != q.offset || p.type != q.type || p.addend != q.addend) return false;
        const Target& s = a.bundle->targets[p.symbol];
        const Target& t = b.bundle->targets[q.symbol];
        if (s.kind != t.kind) return false;
        if (s.kind == Target::Kind::section
                ? s.value != t.value || target_unit(*a.bundle, s) != target_unit(*b.bundle, t)
                : s.index != t.index)
            return false;
    }
    return true;
}

// The bundle's definitions become the module's next ones.
Result<bool> Operation::adopt(Budget& budget) {
    for (; cursor_ < bundle_->definitions.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        const Definition& next = bundle_->definitions[cursor_];
        Unit& unit = module_->units[next.unit];
        const Definition* present = unit.definition;
        const char* name = unit_name(*module_, next.unit);
        if (unit.next_removed)
            return make_error(Code::not_normal_form, "'%s' is both defined and removed", name);
        bool changed = next.kind == UnitKind::text;
        if (present && next.kind != UnitKind::text) {
            const bool same = same_content(*present, next);
            // The bytes decide, not the name: a literal is its content.
            if (next.kind == UnitKind::literal && !same)
                return make_error(Code::not_normal_form, "literal '%s' has two contents", name);
            if (next.kind == UnitKind::data && !(same && unit.removed))
                return make_error(Code::writable_replaced, "'%s'", name);
            changed = !same;
        }
        SGXDL_TRY(set_next(next.unit, &next));
        if (changed && unit.live) SGXDL_TRY(mark_for_link(next.unit));
        if (next.kind == UnitKind::text && kind_ == Kind::patch) ++progress_.changed_functions;
    }
    return true;
}

// The newest patch's predecessors become the module's next definitions.
Result<bool> Operation::restore(Budget&) {
    const PatchRecord& patch = module_->patches[module_->patches.size() - 1];
    for (size_t i = patch.first_undo; i < module_->undo.size(); ++i) {
        const UndoEntry& entry = module_->undo[i];
        Unit& unit = module_->units[entry.unit];
        if (!entry.definition || entry.removed) {
            if (!touched_.push(entry.unit)) return make_error(Code::no_memory, "change records");
            unit.next_removed = true;
            continue;
        }
        const bool text = entry.definition->kind == UnitKind::text;
        const bool changed =
            text || (entry.definition->kind == UnitKind::constant && unit.definition &&
                     !same_content(*entry.definition, *unit.definition));
        SGXDL_TRY(set_next(entry.unit, entry.definition));
        if (changed && unit.live) SGXDL_TRY(mark_for_link(entry.unit));
        if (text) ++progress_.changed_functions;
    }
    return true;
}

bool Operation::stays_removed(const Unit& unit) const {
    // While unloading, next_removed only says "not a root any more".
    if (kind_ == Kind::unload || !(unit.next_definition || unit.next_removed)) return unit.removed;
    return unit.next_removed;
}

// --- closure ------------------------------------------------------------------------------------

Result<void> Operation::mark_for_link(uint32_t index) {
    Unit& unit = module_->units[index];
    if (unit.mark) return {};
    unit.mark = mark_link;
    if (!link_.push(index)) return make_error(Code::no_memory, "list of units");
    return {};
}

// Turns the edges of all loaded code and constants round: counts, then fills.
Result<bool> Operation::find_edges(Budget& budget) {
    const size_t count = module_->units.size();
    if (cursor_ == 0 && !reverse_first_.resize(count + 1, 0))
        return make_error(Code::no_memory, "edges");
    auto for_each_edge = [&](uint32_t index, auto&& use) {
        const Unit& unit = module_->units[index];
        const Definition* d = effective(unit);
        if (!unit.live || !d || d->kind == UnitKind::data || d->kind == UnitKind::literal) return;
        // A removed function stays bound to what it was built with (see keep_for_removed).
        if (stays_removed(unit)) return;
        for (uint32_t e = 0; e < d->edge_count; ++e)
            use(module_->symbols[d->bundle->edges[d->first_edge + e]].unit);
        budget.spend(d->edge_count * 4);
    };
    for (; cursor_ < count; ++cursor_) {
        if (budget.spent()) return false;
        for_each_edge(static_cast<uint32_t>(cursor_), [&](uint32_t to) { ++reverse_first_[to]; });
        budget.spend(4);
    }
    if (cursor_ == count) {
        uint32_t sum = 0;
        for (uint32_t& first : reverse_first_)
            first = sum += first;  // ends; filling moves them to the starts
        if (!reverse_.resize(sum)) return make_error(Code::no_memory, "edges");
        ++cursor_;
    }
    for (; cursor_ <= 2 * count; ++cursor_) {
        if (budget.spent()) return false;
        const auto from = static_cast<uint32_t>(cursor_ - count - 1);
        for_each_edge(from, [&](uint32_t to) { reverse_[--reverse_first_[to]] = from; });
        budget.spend(4);
    }
    return true;
}

// The first symbol of the definition that has a stub; none when there is none.
uint32_t Operation::stub_of(const Definition& d) const {
    for (uint32_t s = d.first_symbol; s != none; s = d.bundle->symbols[s].next_in_definition) {
        const uint32_t symbol = d.bundle->symbols[s].id;
        if (module_->symbols[symbol].stub != none) return symbol;
    }
    return none;
}

// Removed functions end, unless a stub leads to them or loaded code that stays branches to them.
Result<bool> Operation::drop_removed(Budget&) {
    for (uint32_t index : touched_) {
        Unit& unit = module_->units[index];
        if (!unit.next_removed || !unit.live || unit.kind != UnitKind::text ||
            stub_of(*unit.live->definition) != none)
            continue;
        unit.mark = mark_dropped;
        if (!dropped_.push(index)) return make_error(Code::no_memory, "list of units");
    }
    // Edges of removed functions do not count (see find_edges), so one look is enough.
    for (size_t i = 0; i < dropped_.size();) {
        const uint32_t index = dropped_[i];
        if (reverse_first_[index] == reverse_first_[index + 1]) {
            ++i;
            continue;
        }
        module_->units[index].mark = 0;
        dropped_.remove_unordered(i);
    }
    return true;
}

Result<bool> Operation::close_over(Budget& budget) {
    for (; cursor_ < link_.size(); ++cursor_) {
        if (budget.spent()) return false;
        const uint32_t to = link_[cursor_];
        for (uint32_t e = reverse_first_[to]; e < reverse_first_[to + 1]; ++e)
            SGXDL_TRY(mark_for_link(reverse_[e]));
        budget.spend(Budget::record +
                     4 * static_cast<int64_t>(reverse_first_[to + 1] - reverse_first_[to]));
    }
    return true;
}

// --- what else must be loaded -------------------------------------------------------------------

// Units that are asked for; publishing writes it down.
Result<bool> Operation::choose_roots(Budget& budget) {
    auto choose = [&](uint32_t index) -> Result<void> {
        if (!roots_.push(index)) return make_error(Code::no_memory, "list of units");
        if (!module_->units[index].live) SGXDL_TRY(mark_for_link(index));
        return {};
    };
    for (; names_.empty() && cursor_ < module_->units.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record / 4);
        const Unit& unit = module_->units[cursor_];
        if (effective(unit) && !unit.removed) SGXDL_TRY(choose(static_cast<uint32_t>(cursor_)));
    }
    const NameMap& names = new_module_ ? bundle_->names : module_->names;
    while (cursor_ < names_.size()) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        const std::string_view name(&names_[cursor_]);
        cursor_ += name.size() + 1;
        const uint32_t symbol = names.find(name);
        const uint32_t index = symbol == none ? none : module_->symbols[symbol].unit;
        if (index == none || !effective(module_->units[index]) || module_->units[index].removed)
            return make_error(Code::no_such_symbol, "'%s' in module '%s'", name.data(),
                              module_->name.data());
        SGXDL_TRY(choose(index));
    }
    return true;
}

// Everything that the units to link refer to, in any way, is loaded too.
Result<bool> Operation::reach(Budget& budget) {
    for (size_t i = 0; cursor_ == 0 && i < touched_.size(); ++i) {
        const Unit& unit = module_->units[touched_[i]];
        const bool asked_for = unit.root || (module_->whole && touched_[i] >= old_units_);
        if (asked_for && !unit.live && unit.next_definition && !unit.next_removed)
            SGXDL_TRY(mark_for_link(touched_[i]));
    }
    for (; cursor_ < link_.size(); ++cursor_) {
        if (budget.spent()) return false;
        const Definition& d = *effective(module_->units[link_[cursor_]]);
        for (uint32_t p = 0; p < d.piece_count; ++p) {
            const Piece& piece = d.bundle->pieces[d.bundle->piece_order[d.first_piece + p]];
            for (uint32_t i = 0; i < piece.rela_count; ++i) {
                const Target& target =
                    d.bundle->targets[elf::Rela::read(piece.relas + i * elf::rela_size).symbol];
                const uint32_t to = target_unit(*d.bundle, target);
                if (to == none) continue;
                const Unit& unit = module_->units[to];
                if (unit.mark == mark_dropped || !effective(unit))
                    return make_error(Code::no_such_symbol, "'%s' needs '%s', which was removed",
                                      unit_name(*module_, link_[cursor_]), unit_name(*module_, to));
                if (!unit.live) SGXDL_TRY(mark_for_link(to));
            }
            budget.spend(piece.rela_count * Budget::relocation);
        }
        budget.spend(Budget::record);
    }
    return true;
}

// --- unloading ----------------------------------------------------------------------------------

// Named functions, and loaded code that nothing else reaches, end. Data, constants and literals
// stay until the module goes, because programs keep pointers to them, and so does what they point
// to. Removed functions that have a stub stay unless they are named.
Result<bool> Operation::choose_kept(Budget& budget) {
    if (names_.empty()) return true;
    while (cursor_ < names_.size()) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        const std::string_view name(&names_[cursor_]);
        cursor_ += name.size() + 1;
        const uint32_t symbol = module_->names.find(name);
        Unit* unit = symbol == none ? nullptr : &module_->units[module_->symbols[symbol].unit];
        if (!unit || !unit->live || unit->kind != UnitKind::text)
            return make_error(Code::no_such_symbol, "no function '%s' of '%s' is loaded",
                              name.data(), module_->name.data());
        unit->next_removed = true;  // scratch here: not a root any more
        if (!touched_.push(module_->symbols[symbol].unit))
            return make_error(Code::no_memory, "change records");
    }
    while (cursor_ < names_.size() + module_->units.size()) {
        const size_t index = cursor_ - names_.size();
        Unit& unit = module_->units[index];
        if (unit.live && !unit.next_removed &&
            (unit.root || unit.kind != UnitKind::text ||
             (unit.removed && stub_of(*unit.live->definition) != none))) {
            unit.mark = mark_link;
            if (!kept_.push(static_cast<uint32_t>(index)))
                return make_error(Code::no_memory, "list of units");
        }
        ++cursor_;
        budget.spend(Budget::record / 4);
        if (budget.spent()) return false;
    }
    return true;
}

Result<bool> Operation::spread_kept(Budget& budget) {
    for (; cursor_ < kept_.size(); ++cursor_) {
        if (budget.spent()) return false;
        const Definition& d = *module_->units[kept_[cursor_]].definition;
        for (uint32_t p = 0; p < d.piece_count; ++p) {
            const Piece& piece = d.bundle->pieces[d.bundle->piece_order[d.first_piece + p]];
            for (uint32_t i = 0; i < piece.rela_count; ++i) {
                const elf::Rela r = elf::Rela::read(piece.relas + i * elf::rela_size);
                const uint32_t to = target_unit(*d.bundle, d.bundle->targets[r.symbol]);
                if (to == none || module_->units[to].mark || !module_->units[to].live) continue;
                if (module_->units[to].next_removed)
                    return make_error(Code::in_use, "'%s' is used by '%s'", unit_name(*module_, to),
                                      unit_name(*module_, kept_[cursor_]));
                module_->units[to].mark = mark_link;
                if (!kept_.push(to)) return make_error(Code::no_memory, "list of units");
            }
            budget.spend(piece.rela_count * Budget::relocation);
        }
        budget.spend(Budget::record);
    }
    return true;
}

Result<bool> Operation::choose_dropped(Budget& budget) {
    for (; cursor_ < module_->units.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record / 4);
        Unit& unit = module_->units[cursor_];
        if (!unit.live || unit.mark) continue;
        const Definition& d = *unit.live->definition;
        const uint32_t handed_out = force_ ? none : stub_of(d);
        if (handed_out != none)
            return make_error(Code::in_use, "the address of '%s' was handed out",
                              module_->symbols[handed_out].name.data());
        unit.mark = mark_dropped;
        if (!dropped_.push(static_cast<uint32_t>(cursor_)))
            return make_error(Code::no_memory, "list of units");
        if (d.kind == UnitKind::text) ++progress_.functions;
        progress_.text_bytes += d.size[0];
    }
    return true;
}

}  // namespace sgxdl
