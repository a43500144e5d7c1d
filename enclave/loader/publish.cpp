// Publishing: the new table, the one store that makes a generation current, and the records.
#include "enclave/loader/operation.hpp"

namespace sgxdl {

Result<bool> Operation::prepare_generation(Budget&) {
    SGXDL_TRY(core_.generations.prepare());
    return true;
}

bool Operation::reserve_kept() {
    bool any = !module_->kept.empty() || !reused_.empty();
    for (const Unit& unit : module_->units)
        any |= stays_removed(unit);
    for (uint32_t index : link_)
        any |= module_->units[index].live && module_->units[index].kind == UnitKind::constant;
    if (!any) return true;
    const size_t more = link_.size() + dropped_.size() + reused_.size();
    return module_->kept.reserve(module_->kept.size() + more) &&
           core_.retired.reserve(core_.retired.size() + module_->kept.size() + more) &&
           needed_.reserve(module_->units.size() + module_->kept.size());
}

// All memory that publish() will need, so that it cannot fail.
Result<bool> Operation::reserve_records(Budget&) {
    const bool room =
        core_.retired.reserve(core_.retired.size() + link_.size() + dropped_.size()) &&
        core_.modules.reserve(core_.modules.size() + 1) && core_.reserve_floor() &&
        module_->names.reserve(module_->symbols.size()) &&
        module_->blocks.reserve(module_->blocks.size() + 2) &&
        module_->patches.reserve(module_->patches.size() + 1) &&
        module_->undo.reserve(module_->undo.size() + touched_.size()) && reserve_kept();
    if (!room) return make_error(Code::no_memory, "records");
    return true;
}

// Stub slots of everything that was linked or ends. Nobody meets the pending table yet, nor a stub
// that is new; live tables get nothing else before publish().
Result<bool> Operation::fill_table(Budget& budget) {
    Generations& generations = core_.generations;
    for (; cursor_ < new_stubs_.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record +
                     static_cast<int64_t>(core_.retired.size() + module_->kept.size()) *
                         generations.live_count());
        core_.fill_stub(*module_, new_stubs_[cursor_]);
    }
    if (!generations.pending()) return true;
    if (cursor_ == new_stubs_.size()) {
        for (uint32_t index : dropped_) {
            const Definition& d = *module_->units[index].live->definition;
            for (uint32_t s = d.first_symbol; s != none;
                 s = d.bundle->symbols[s].next_in_definition) {
                const uint32_t stub = module_->symbols[d.bundle->symbols[s].id].stub;
                if (stub != none)
                    Generations::set(*generations.pending(), stub, generations.trap());
            }
        }
    }
    for (; cursor_ < new_stubs_.size() + link_.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        const Unit& unit = module_->units[link_[cursor_ - new_stubs_.size()]];
        const Definition& d = *effective(unit);
        if (d.kind != UnitKind::text) continue;
        if (unit.live) {
            // A function that the unit no longer has, and nobody else took over.
            const Definition& old = *unit.live->definition;
            for (uint32_t s = old.first_symbol; s != none && unit.next_definition;
                 s = old.bundle->symbols[s].next_in_definition) {
                const ModuleSymbol& symbol = module_->symbols[old.bundle->symbols[s].id];
                if (symbol.stub != none && symbol.next_piece == none)
                    Generations::set(*generations.pending(), symbol.stub, generations.trap());
            }
        }
        for (uint32_t s = d.first_symbol; s != none; s = d.bundle->symbols[s].next_in_definition) {
            const DefinedSymbol& defined = d.bundle->symbols[s];
            const uint32_t stub = module_->symbols[defined.id].stub;
            if (stub == none) continue;
            const uintptr_t address =
                address_in(*unit.next, d.bundle->pieces[defined.piece], defined.offset);
            Generations::set(*generations.pending(), stub, address);
        }
    }
    return true;
}

// Functions that are new here get the stub slots of all live generations that hold the trap.
// Threads may run them from now on, so this is past every failure.
void Operation::back_fill(uint64_t number) {
    for (uint32_t index : link_) {
        const Unit& unit = module_->units[index];
        const Definition& d = *effective(unit);
        unit.next->birth = number;
        unit.next->from = unit.live ? number : 0;
        if (d.kind != UnitKind::text || (unit.live && !unit.next_definition)) continue;
        for (uint32_t s = d.first_symbol; s != none; s = d.bundle->symbols[s].next_in_definition) {
            const DefinedSymbol& defined = d.bundle->symbols[s];
            if (unit.live && module_->symbols[defined.id].piece != none) continue;
            unit.next->from = 0;
            const uint32_t stub = module_->symbols[defined.id].stub;
            if (stub == none) continue;
            const uintptr_t address =
                address_in(*unit.next, d.bundle->pieces[defined.piece], defined.offset);
            for (Generation* g = core_.generations.current(); g; g = g->older) {
                if (Generations::get(*g, stub) == core_.generations.trap())
                    Generations::set(*g, stub, address);
            }
        }
    }
}

void Operation::record_undo() {
    if (kind_ == Kind::rollback) {
        const PatchRecord undone = module_->patches[module_->patches.size() - 1];
        for (size_t i = undone.first_undo; i < module_->undo.size(); ++i) {
            if (module_->undo[i].definition) dereference(module_->undo[i].definition->bundle);
        }
        module_->undo.truncate(undone.first_undo);
        module_->patches.truncate(module_->patches.size() - 1);
        dereference(undone.bundle);
        return;
    }
    if (!(bundle_->header.flags & SGXDL_BUNDLE_ROLLBACK_ALLOWED)) {
        // No way back behind this patch: what older ones would restore is not needed any more.
        for (UndoEntry& entry : module_->undo) {
            if (entry.definition) dereference(entry.definition->bundle);
        }
        module_->undo.truncate(0);
        for (PatchRecord& patch : module_->patches) {
            if (!patch.bundle || patch.bundle->references > 1) continue;
            dereference(patch.bundle);
            patch.bundle = nullptr;
        }
        core_.raise_floor(bundle_->header);
    }
    if (kind_ != Kind::patch) return;
    bool room =
        module_->patches.push(PatchRecord{bundle_, static_cast<uint32_t>(module_->undo.size())});
    reference(bundle_);
    for (uint32_t index : touched_) {
        if (!(bundle_->header.flags & SGXDL_BUNDLE_ROLLBACK_ALLOWED)) break;
        const Unit& unit = module_->units[index];
        room &= module_->undo.push(UndoEntry{index, unit.definition, unit.removed});
        if (unit.definition) reference(unit.definition->bundle);
    }
    SGXDL_ASSERT(room);
}

// A removed function whose address was handed out keeps its last version, and that version stays
// bound to the copies it was linked with: marks them `needed`.
void Operation::keep_for_removed() {
    auto need = [&](Instance* instance) {
        if (!instance || instance->needed) return;
        instance->needed = true;
        const bool room = needed_.push(instance);
        SGXDL_ASSERT(room);
    };
    for (Instance* copy : module_->kept) {
        Unit& unit = module_->units[copy->definition->unit];
        copy->reached = unit.kept;
        unit.kept = copy;
    }
    // What is needed has not ended, or is kept since then.
    auto copy_at = [](const Unit& unit, uint64_t number) {
        if (unit.live && unit.live->birth <= number) return unit.live;
        Instance* copy = unit.kept;
        while (copy && (copy->birth > number || copy->death <= number))
            copy = copy->reached;
        return copy;
    };
    const uint64_t next = core_.generations.current()->number + 1;
    for (Unit& unit : module_->units) {
        const bool text = unit.live && unit.live->definition->kind == UnitKind::text;
        if (!text || !stays_removed(unit) || unit.mark) continue;
        if (!unit.removed) unit.removed_at = next;
        const size_t first = needed_.size();
        need(unit.live);
        for (size_t at = first; at < needed_.size(); ++at) {
            const Definition& d = *needed_[at]->definition;
            for (uint32_t e = 0; e < d.edge_count; ++e) {
                const uint32_t to = module_->symbols[d.bundle->edges[d.first_edge + e]].unit;
                need(copy_at(module_->units[to], unit.removed_at - 1));
            }
        }
    }
    for (Instance* copy : module_->kept)
        module_->units[copy->definition->unit].kept = nullptr;
}

// A back-filled function can be entered under any older pin, and with it all that it is bound to:
// that stays for pins below its own birth, too (model/: BACKFILLED_NOT_BOUND).
void Operation::keep_for_older_pins() {
    Instance* list = nullptr;
    auto reach = [&list](Instance* instance) {
        instance->from = 0;
        instance->reached = list;
        list = instance;
    };
    for (uint32_t index : link_) {
        if (Instance* instance = module_->units[index].live; instance->from == 0) reach(instance);
    }
    while (Instance* instance = list) {
        list = instance->reached;
        const Definition& d = *instance->definition;
        for (uint32_t e = 0; e < d.edge_count; ++e) {
            const uint32_t to = module_->symbols[d.bundle->edges[d.first_edge + e]].unit;
            Instance* target = module_->units[to].live;
            if (target && target->from != 0) reach(target);
        }
    }
}

void Operation::publish_units(uint64_t number) {
    if (needed_.capacity()) keep_for_removed();
    // Programs keep pointers to constants, so all their copies stay as long as the module.
    const bool ends = kind_ == Kind::unload && names_.empty();
    auto stays = [ends](const Instance* instance) {
        return instance->needed || (!ends && instance->definition->kind == UnitKind::constant);
    };
    auto retire = [&](Unit& unit) {
        const bool kept = stays(unit.live);
        unit.live->death = number;
        unit.live->until = kept ? forever : number;
        const bool room = (kept ? module_->kept : core_.retired).push(unit.live);
        SGXDL_ASSERT(room);
        unit.live = nullptr;
    };
    for (size_t i = 0; !reused_.empty() && i < module_->kept.size();) {
        Instance* instance = module_->kept[i];
        if (module_->units[instance->definition->unit].next == instance) {
            module_->kept.remove_unordered(i);
        } else {
            ++i;
        }
    }
    for (uint32_t index : reused_) {
        Unit& unit = module_->units[index];
        retire(unit);
        unit.live = unit.next;
        unit.live->death = forever;
        unit.next = nullptr;
    }
    for (size_t i = 0; i < module_->kept.size();) {
        Instance* instance = module_->kept[i];
        if (stays(instance)) {
            ++i;
            continue;
        }
        // Threads pinned to any generation before this one may have reached it.
        instance->until = number;
        const bool room = core_.retired.push(instance);
        SGXDL_ASSERT(room);
        module_->kept.remove_unordered(i);
    }
    for (uint32_t index : dropped_)
        retire(module_->units[index]);
    for (uint32_t index : link_) {
        Unit& unit = module_->units[index];
        const Definition& d = *unit.next->definition;
        if (unit.live) retire(unit);
        unit.live = unit.next;
        unit.next = nullptr;
        reference(d.bundle);
        ++core_.instances;
        ++module_->instances;
        for (size_t part = 0; part < 2; ++part)
            core_.arena.hold(unit.live->address[part], d.size[part]);
    }
    for (Instance* instance : needed_)
        instance->needed = false;
    keep_for_older_pins();
    for (uint32_t index : touched_) {
        Unit& unit = module_->units[index];
        if (kind_ == Kind::unload) {
            unit.root = false;
            continue;
        }
        unit.removed = unit.next_removed;
        if (module_->whole && index >= old_units_) unit.root = true;
        const Definition* old = unit.definition;
        const Definition* next = unit.next_definition;
        if (!next && (unit.live || !unit.removed)) continue;
        for (uint32_t s = old ? old->first_symbol : none; s != none;
             s = old->bundle->symbols[s].next_in_definition)
            module_->symbols[old->bundle->symbols[s].id].piece = none;
        if (next) {
            reference(next->bundle);
            for (uint32_t s = next->first_symbol; s != none;
                 s = next->bundle->symbols[s].next_in_definition) {
                const DefinedSymbol& defined = next->bundle->symbols[s];
                ModuleSymbol& symbol = module_->symbols[defined.id];
                symbol.piece = symbol.next_piece;
                symbol.offset = symbol.next_offset;
                symbol.global = defined.global;
            }
        }
        clear_next(unit);
        unit.definition = next;
        if (old) dereference(old->bundle);
    }
}

Result<bool> Operation::publish(Budget&) {
    published_ = true;  // from here on nothing fails
    Generations& generations = core_.generations;
    const uint64_t number =
        generations.pending() ? generations.pending()->number : generations.current()->number;
    back_fill(number);
    if (new_module_) {
        module_->names = std::move(bundle_->names);
        const bool room = core_.modules.push(module_);
        SGXDL_ASSERT(room);
    } else {
        for (size_t i = old_symbols_; i < module_->symbols.size(); ++i)
            module_->names.insert(module_->symbols[i].name, static_cast<uint32_t>(i));
    }
    // What a patch replaces is recorded before it goes; what a rollback undoes is let go after.
    if (kind_ == Kind::load || kind_ == Kind::patch) record_undo();
    publish_units(number);
    if (kind_ == Kind::rollback) record_undo();
    for (RegionKind kind : {constants, veneers}) {
        // GOT slots and veneers live as long as the module.
        uint64_t first = forever, end = 0;
        for (const Slot& slot : slots_) {
            if ((slot.veneer ? veneers : constants) != kind) continue;
            if (slot.offset < first) first = slot.offset;
            end = slot.offset + (slot.veneer ? 16 : 8);
        }
        if (first == forever) continue;
        const Block block{regions_[kind].base + first, end - first};
        core_.arena.hold(block.address, block.size);
        const bool room = module_->blocks.push(block);
        SGXDL_ASSERT(room);
    }
    for (uint32_t index : roots_)
        module_->units[index].root = true;
    if (kind_ == Kind::extend && names_.empty()) {
        module_->whole = true;
        // Also those that are not in the present build: they may come again.
        for (Unit& unit : module_->units)
            unit.root = true;
    }
    if (kind_ == Kind::unload && names_.empty()) module_->unloading = true;
    if (generations.pending()) generations.publish();
    progress_.generation = generations.current()->number;
    return true;
}

}  // namespace sgxdl
