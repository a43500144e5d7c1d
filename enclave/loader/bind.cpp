// Binding: a decoded bundle's symbols become module symbols, its undefined names module symbols or
// imports; then every relocation is checked against the rules of docs/bundle-format.md.
#include "enclave/loader/operation.hpp"

namespace sgxdl {

namespace {
uint64_t u(uint64_t value) {
    return value;
}
}  // namespace

Result<void> Operation::bind_new_symbol(DefinedSymbol& symbol) {
    ModuleSymbol made;
    made.name = symbol.name;
    made.function = symbol.function;
    made.global = symbol.global;
    made.piece = none;
    if (!new_module_) {
        // The patch's bundle may be freed before the module is.
        char* copy = static_cast<char*>(Platform::allocate(symbol.name.size() + 1));
        if (!copy || !module_->owned_names.push(copy)) {
            Platform::deallocate(copy);
            return make_error(Code::no_memory, "symbol name");
        }
        memcpy(copy, symbol.name.data(), symbol.name.size() + 1);
        made.name = {copy, symbol.name.size()};
    }
    symbol.id = static_cast<uint32_t>(module_->symbols.size());
    if (!module_->symbols.push(made)) return make_error(Code::no_memory, "symbol records");
    return {};
}

Result<void> Operation::bind_definition(Definition& d) {
    const uint32_t name = bundle_->symbols[d.name_symbol].id;
    if (name < old_symbols_) {
        d.unit = module_->symbols[name].unit;
        const Unit& unit = module_->units[d.unit];
        if (unit.name_symbol != name || unit.kind != d.kind) {
            return make_error(Code::not_normal_form, "'%s' is another kind of unit in the module",
                              module_->symbols[name].name.data());
        }
    } else {
        d.unit = static_cast<uint32_t>(module_->units.size());
        Unit made;
        made.name_symbol = name;
        made.kind = d.kind;
        if (!module_->units.push(made)) return make_error(Code::no_memory, "unit records");
    }
    for (uint32_t s = d.first_symbol; s != none; s = bundle_->symbols[s].next_in_definition) {
        ModuleSymbol& symbol = module_->symbols[bundle_->symbols[s].id];
        if (symbol.unit == none) symbol.unit = d.unit;
        if (symbol.unit != d.unit)
            return make_error(Code::not_normal_form, "'%s' belongs to another unit of the module",
                              symbol.name.data());
    }
    return {};
}

Result<bool> Operation::bind_units(Budget& budget) {
    Vec<DefinedSymbol>& symbols = bundle_->symbols;
    if (cursor_ == 0 && (!module_->symbols.reserve(old_symbols_ + symbols.size()) ||
                         !module_->units.reserve(old_units_ + bundle_->definitions.size()))) {
        return make_error(Code::no_memory, "module records");
    }
    for (; cursor_ < symbols.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        DefinedSymbol& symbol = symbols[cursor_];
        symbol.id = new_module_ ? none : module_->names.find(symbol.name);
        if (symbol.id == none) {
            SGXDL_TRY(bind_new_symbol(symbol));
        } else if (module_->symbols[symbol.id].function != symbol.function) {
            return make_error(Code::not_normal_form,
                              "'%s' is a function in one build and an object in the other",
                              symbol.name.data());
        }
    }
    for (; cursor_ < symbols.size() + bundle_->definitions.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        SGXDL_TRY(bind_definition(bundle_->definitions[cursor_ - symbols.size()]));
    }
    return true;
}

Result<uint32_t> Operation::use_import(uint32_t import) {
    for (uint32_t i = 0; i < module_->imports.size(); ++i) {
        if (module_->imports[i].import == import) return i;
    }
    if (!module_->imports.push(ImportUse{import, 0, 0}))
        return make_error(Code::no_memory, "import records");
    return static_cast<uint32_t>(module_->imports.size() - 1);
}

// Units that the patch removes. It refers to none of them: their names are free for imports.
Result<void> Operation::bind_removed() {
    std::string_view names = bundle_->removed;
    while (!names.empty()) {
        const std::string_view name(names.data());
        names.remove_prefix(name.size() + 1);
        const uint32_t symbol = new_module_ ? none : module_->names.find(name);
        if (symbol == none || module_->units[module_->symbols[symbol].unit].name_symbol != symbol)
            return make_error(Code::no_such_symbol, "'%s', which the patch removes", name.data());
        Unit& unit = module_->units[module_->symbols[symbol].unit];
        if (unit.next_removed) continue;
        if (!touched_.push(module_->symbols[symbol].unit))
            return make_error(Code::no_memory, "change records");
        unit.next_removed = true;
    }
    return {};
}

Result<bool> Operation::bind_targets(Budget& budget) {
    if (cursor_ == 0) SGXDL_TRY(bind_removed());
    for (; cursor_ < bundle_->targets.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        Target& target = bundle_->targets[cursor_];
        if (target.kind == Target::Kind::symbol) target.index = bundle_->symbols[target.index].id;
        if (target.kind != Target::Kind::undefined) continue;
        const std::string_view name(bundle_->strings.data() + target.value);
        const uint32_t symbol = new_module_ ? none : module_->names.find(name);
        const Unit* unit =
            symbol == none ? nullptr : &module_->units[module_->symbols[symbol].unit];
        if (unit && !unit->removed && !unit->next_removed) {
            target =
                Target{Target::Kind::symbol, module_->symbols[symbol].function, false, symbol, 0};
            continue;
        }
        const uint32_t import = core_.find_import(name);
        if (import == none && target.weak) {
            target = Target{Target::Kind::zero, false, true, 0, 0};
            continue;
        }
        if (import == none) return make_error(Code::missing_import, "'%s'", name.data());
        auto used = use_import(import);
        if (!used) return used.error();
        budget.spend(static_cast<int64_t>(module_->imports.size()));
        target =
            Target{Target::Kind::import, core_.config.imports[import].is_function, false, *used, 0};
    }
    return true;
}

uint32_t Operation::target_unit(const Bundle& bundle, const Target& target) const {
    if (target.kind == Target::Kind::symbol) return module_->symbols[target.index].unit;
    if (target.kind == Target::Kind::section)
        return bundle.definitions[bundle.pieces[target.index].definition].unit;
    return none;
}

Result<void> Operation::add_edge(uint32_t symbol) {
    if (!bundle_->edges.push(symbol)) return make_error(Code::no_memory, "edges");
    return {};
}

Result<void> Operation::check_relocation(const Definition& d, const Piece& piece,
                                         const elf::Rela& r) {
    const char* unit = module_->symbols[bundle_->symbols[d.name_symbol].id].name.data();
    const char* type_name = relocation_name(r.type);
    if (!type_name)
        return make_error(Code::unknown_relocation, "type %u in '%s' at %x", u(r.type), unit,
                          r.offset);
    const auto type = static_cast<RelocationType>(r.type);
    if (!in_range(r.offset, relocation_width(type), piece.size))
        return make_error(Code::bad_relocation, "%s in '%s' at %x is outside the section",
                          type_name, unit, r.offset);
    if (r.symbol >= bundle_->targets.size())
        return make_error(Code::bad_relocation, "%s in '%s' at %x: symbol %u", type_name, unit,
                          r.offset, u(r.symbol));
    const Target& target = bundle_->targets[r.symbol];
    const bool branch = type == RelocationType::plt32 && piece.part == Part::code;
    auto refuse = [&](const char* why) {
        return make_error(Code::bad_relocation, "%s in '%s' at %x %s", type_name, unit, r.offset,
                          why);
    };
    const uint32_t to = target_unit(*bundle_, target);
    const bool other = to != d.unit;
    switch (target.kind) {
        case Target::Kind::unused:
        case Target::Kind::undefined:
            return refuse("names a symbol that cannot be reached");
        case Target::Kind::import:
            // No fault of the payload: the image's list of imports knows what the name stands for.
            if (branch && !target.function)
                return make_error(
                    Code::missing_import, "'%s' as a function, which '%s' calls; it is an object",
                    core_.config.imports[module_->imports[target.index].import].name, unit);
            return {};
        case Target::Kind::zero:
            return {};
        case Target::Kind::section: {
            if (relocation_uses_got(type) || branch) return refuse("wants a named symbol");
            const Definition& target_definition =
                bundle_->definitions[bundle_->pieces[target.index].definition];
            if (other && target_definition.kind == UnitKind::text)
                return refuse("reaches into the middle of another unit");
            if (other && target_definition.kind == UnitKind::constant)
                return add_edge(bundle_->symbols[target_definition.name_symbol].id);
            return {};
        }
        case Target::Kind::symbol:
            break;
    }
    const ModuleSymbol& symbol = module_->symbols[target.index];
    if (symbol.function) {
        if (branch)
            return r.addend == -4 ? add_edge(target.index)
                                  : refuse("branches past a function's start");
        const bool absolute = type == RelocationType::abs64 || type == RelocationType::abs32 ||
                              type == RelocationType::abs32s;
        if (absolute && r.addend != 0) return refuse("points past a function's start");
        return {};
    }
    if (branch) return refuse("branches to an object");
    const UnitKind kind = module_->units[to].kind;
    if (other && kind == UnitKind::text) return refuse("uses a table of another unit");
    if (kind == UnitKind::text && relocation_uses_got(type))
        return refuse("wants a GOT slot for a table");
    if (other && kind == UnitKind::constant) return add_edge(target.index);
    return {};
}

Result<bool> Operation::check_relocations(Budget& budget) {
    for (; cursor_ < bundle_->definitions.size(); ++cursor_) {
        if (budget.spent()) return false;
        Definition& d = bundle_->definitions[cursor_];
        d.first_edge = static_cast<uint32_t>(bundle_->edges.size());
        for (uint32_t p = 0; p < d.piece_count; ++p) {
            const Piece& piece = bundle_->pieces[bundle_->piece_order[d.first_piece + p]];
            for (uint32_t i = 0; i < piece.rela_count; ++i) {
                SGXDL_TRY(
                    check_relocation(d, piece, elf::Rela::read(piece.relas + i * elf::rela_size)));
            }
            budget.spend(piece.rela_count * Budget::relocation);
        }
        d.edge_count = static_cast<uint32_t>(bundle_->edges.size()) - d.first_edge;
        budget.spend(Budget::record / 4);
    }
    return true;
}

}  // namespace sgxdl
