#include "enclave/loader/core.hpp"

namespace sgxdl {

Core::~Core() {
    for (Instance* instance : retired)
        free_instance(instance);
    for (Module* module : modules) {
        for (Instance* instance : module->kept)
            free_instance(instance);
        for (Unit& unit : module->units) {
            if (unit.live) free_instance(unit.live);
            unit.live = nullptr;
        }
        free_module(module);
    }
    while (arena.sweep()) {
    }
}

Module* Core::find_module(std::string_view name) {
    for (Module* module : modules) {
        if (!module->unloading && module->name == name) return module;
    }
    return nullptr;
}

uint64_t Core::floor_of(std::string_view name) const {
    for (const Floor& floor : floors) {
        if (name == floor.name) return floor.version;
    }
    return 0;
}

void Core::raise_floor(const sgxdl_bundle_header& header) {
    for (Floor& floor : floors) {
        if (std::string_view(header.module) != floor.name) continue;
        if (header.security_version > floor.version) floor.version = header.security_version;
        return;
    }
    Floor floor{{}, header.security_version};
    memcpy(floor.name, header.module, sizeof floor.name);
    const bool room = floors.push(floor);
    SGXDL_ASSERT(room);
}

uint32_t Core::find_import(std::string_view name) const {
    size_t low = 0, high = config.imports.size();
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = name.compare(config.imports[middle].name);
        if (order == 0) return static_cast<uint32_t>(middle);
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return none;
}

SymbolPlace place_of(const Definition& definition, uint32_t symbol) {
    const Bundle& bundle = *definition.bundle;
    for (uint32_t s = definition.first_symbol; s != none;
         s = bundle.symbols[s].next_in_definition) {
        const DefinedSymbol& defined = bundle.symbols[s];
        if (defined.id == symbol) return {&bundle.pieces[defined.piece], defined.offset};
    }
    return {};
}

const char* unit_name(const Module& module, uint32_t unit) {
    return module.symbols[module.units[unit].name_symbol].name.data();
}

template <class Use>
void Core::for_each_copy(const Module& module, uint32_t unit, Use&& use) {
    auto look = [&](Instance* copy) {
        if (copy && copy->module == &module && copy->definition->unit == unit) use(copy);
    };
    for (Instance* copy : retired)
        look(copy);
    for (Instance* copy : module.kept)
        look(copy);
    look(module.units[unit].live);
}

void Core::fill_stub(const Module& module, uint32_t symbol) {
    const ModuleSymbol& s = module.symbols[symbol];
    auto fill = [&](const Generation& generation, const Instance* copy) {
        const SymbolPlace place = copy ? place_of(*copy->definition, symbol) : SymbolPlace{};
        // A pending table without the page yet will be copied from the current one.
        if (place.piece && Generations::has(generation, s.stub))
            Generations::set(generation, s.stub, address_in(*copy, *place.piece, place.offset));
    };
    for (Generation* g = generations.current(); g; g = g->older) {
        // A generation that does not have the function gets the copy that introduced it.
        const Instance* first = nullptr;
        for_each_copy(module, s.unit, [&](Instance* copy) {
            if (g->number < copy->death && (copy->birth <= g->number || copy->from == 0) &&
                (!first || copy->birth < first->birth) && place_of(*copy->definition, symbol).piece)
                first = copy;
        });
        fill(*g, first);
    }
    if (generations.pending()) {
        const Unit& unit = module.units[s.unit];
        fill(*generations.pending(), unit.next ? unit.next : unit.live);
    }
}

void Core::free_instance(Instance* instance) {
    const Definition& definition = *instance->definition;
    for (size_t part = 0; part < 2; ++part) {
        if (definition.size[part]) arena.drop(instance->address[part], definition.size[part]);
    }
    SGXDL_ASSERT(instances > 0 && instance->module->instances > 0);
    --instances;
    --instance->module->instances;
    dereference(definition.bundle);
    destroy(instance);
}

void Core::free_module(Module* module) {
    SGXDL_ASSERT(module->instances == 0);
    for (const Block& block : module->blocks)
        arena.drop(block.address, block.size);
    for (Unit& unit : module->units) {
        if (unit.definition) dereference(unit.definition->bundle);
    }
    for (UndoEntry& entry : module->undo) {
        if (entry.definition) dereference(entry.definition->bundle);
    }
    for (PatchRecord& patch : module->patches) {
        if (patch.bundle) dereference(patch.bundle);
    }
    Bundle* base = module->base;
    destroy(module);
    dereference(base);
}

}  // namespace sgxdl
