// Symbol resolution across the objects of a module (gABI, "Symbol Table": binding rules).
#include <elf.h>

#include "tool/front/builder.hpp"
#include "tool/front/error.hpp"

namespace sgxdl::front {

// The first COMDAT group of a name wins; the members of later ones are discarded.
void Builder::resolve_groups() {
    std::unordered_map<std::string, uint32_t> winners;
    discarded_.resize(objects_.size());
    for (uint32_t o = 0; o < objects_.size(); o++) {
        const InputObject& object = objects_[o];
        discarded_[o].resize(object.sections.size());
        for (const InputGroup& group : object.groups) {
            if (!group.comdat) continue;
            const InputSymbol& signature = object.symbols[group.signature];
            // A section symbol may sign a group: then the section's name is the signature.
            std::string name = signature.type == STT_SECTION && signature.section != 0
                                   ? object.sections[signature.section].name
                                   : signature.name;
            if (winners.emplace(name, o).second) continue;
            for (uint32_t member : group.members)
                discarded_[o][member] = true;
        }
    }
}

void Builder::resolve() {
    resolve_groups();
    for (uint32_t o = 0; o < objects_.size(); o++) {
        const InputObject& object = objects_[o];
        for (uint32_t s = 1; s < object.symbols.size(); s++) {
            const InputSymbol& symbol = object.symbols[s];
            if (symbol.type == STT_TLS) {
                fail("{}: {} is thread-local; thread-local storage is not supported",
                     object.display(), symbol.name);
            }
            if (symbol.type == STT_GNU_IFUNC) {
                fail("{}: {} is an indirect function (IFUNC), which is not supported",
                     object.display(), symbol.name);
            }
            if (symbol.binding == STB_LOCAL || symbol.section == SHN_UNDEF) continue;
            if (symbol.section == section_absolute) {
                fail("{}: {} is an absolute symbol, which is not supported", object.display(),
                     symbol.name);
            }
            if (symbol.section < object.sections.size() && discarded_[o][symbol.section]) continue;
            Definition definition{o, s, 3};
            if (symbol.section == section_common) definition.rank = 2;
            if (symbol.binding == STB_WEAK) definition.rank = 1;
            auto [at, fresh] = definitions_.emplace(symbol.name, definition);
            if (fresh) continue;
            Definition& old = at->second;
            if (old.rank == 3 && definition.rank == 3) {
                fail("{} is defined twice: in {} and in {}", symbol.name,
                     objects_[old.object].display(), object.display());
            }
            // The largest common symbol wins among common symbols.
            bool larger = old.rank == 2 && definition.rank == 2 &&
                          symbol.size > objects_[old.object].symbols[old.symbol].size;
            if (definition.rank > old.rank || larger) old = definition;
        }
    }
}

}  // namespace sgxdl::front
