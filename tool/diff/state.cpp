#include "tool/diff/state.hpp"

#include <algorithm>
#include <unordered_map>

#include "tool/front/error.hpp"
#include "tool/front/object.hpp"

namespace sgxdl::diff {

using front::fail;
using front::Image;
using front::no_index;
using front::Relocation;
using front::Section;
using front::SectionKind;
using front::Symbol;
using front::SymbolType;

namespace {

// Copies units of several images into one; symbols meet by name.
class Merger {
 public:
    void add(const Image& from, const std::vector<bool>& units) {
        std::vector<uint32_t> place(from.sections.size(), no_index);
        for (uint32_t u = 0; u < from.units.size(); u++) {
            if (!units[u]) continue;
            front::Unit unit;
            unit.name = from.units[u].name;
            for (uint32_t id : from.units[u].sections) {
                place[id] = static_cast<uint32_t>(out_.sections.size());
                unit.sections.push_back(place[id]);
                out_.sections.push_back(from.sections[id]);
                out_.sections.back().unit = static_cast<uint32_t>(out_.units.size());
            }
            out_.units.push_back(std::move(unit));
        }
        std::vector<uint32_t> symbols(from.symbols.size(), no_index);
        for (uint32_t i = 0; i < from.symbols.size(); i++) {
            const Symbol& symbol = from.symbols[i];
            if (!symbol.defined() || place[symbol.section] == no_index) continue;
            symbols[i] = static_cast<uint32_t>(out_.symbols.size());
            out_.symbols.push_back(symbol);
            out_.symbols.back().section = place[symbol.section];
            if (symbol.type == SymbolType::section) continue;
            if (!names_.emplace(symbol.name, symbols[i]).second) {
                fail("the patch defines {}, which the module has elsewhere", symbol.name);
            }
        }
        // Everything else is bound by name once all units are there.
        for (uint32_t i = 0; i < place.size(); i++) {
            if (place[i] == no_index) continue;
            auto& relocations = out_.sections[place[i]].relocations;
            for (size_t k = 0; k < relocations.size(); k++) {
                uint32_t symbol = relocations[k].symbol;
                relocations[k].symbol = symbols[symbol];
                if (symbols[symbol] == no_index) {
                    open_.push_back({place[i], k, &from.symbols[symbol]});
                }
            }
        }
    }

    Image finish() {
        std::unordered_map<std::string, uint32_t> imports;
        for (const Open& open : open_) {
            uint32_t symbol = no_index;
            auto defined = names_.find(open.symbol->name);
            if (open.symbol->type == SymbolType::section) {
                fail("internal: a reference into a unit that is gone");
            }
            if (defined != names_.end()) {
                symbol = defined->second;
            } else {
                auto [at, fresh] = imports.emplace(open.symbol->name, no_index);
                if (fresh) {
                    at->second = static_cast<uint32_t>(out_.symbols.size());
                    Symbol import = *open.symbol;
                    import.section = no_index;
                    import.value = import.size = 0;
                    // A local of the module that is gone: nothing may want it any more.
                    if (open.symbol->binding == front::Binding::local) {
                        fail("{} is referred to but no longer defined", import.name);
                    }
                    out_.symbols.push_back(std::move(import));
                }
                symbol = at->second;
                if (open.symbol->binding == front::Binding::global) {
                    out_.symbols[symbol].binding = front::Binding::global;
                }
            }
            out_.sections[open.section].relocations[open.relocation].symbol = symbol;
        }
        front::finish(out_);
        return std::move(out_);
    }

 private:
    struct Open {
        uint32_t section;
        size_t relocation;
        const Symbol* symbol;  // of an image that outlives the merger
    };
    Image out_;
    std::unordered_map<std::string, uint32_t> names_;
    std::vector<Open> open_;
};

bool same_content(const Image& a, uint32_t unit_a, const Image& b, uint32_t unit_b) {
    const Section& old_one = a.sections[a.units[unit_a].sections[0]];
    const Section& new_one = b.sections[b.units[unit_b].sections[0]];
    if (old_one.kind != new_one.kind || old_one.align != new_one.align ||
        old_one.size != new_one.size || old_one.bytes != new_one.bytes ||
        old_one.relocations.size() != new_one.relocations.size()) {
        return false;
    }
    for (size_t i = 0; i < old_one.relocations.size(); i++) {
        const Relocation& x = old_one.relocations[i];
        const Relocation& y = new_one.relocations[i];
        if (x.offset != y.offset || x.type != y.type || x.addend != y.addend ||
            a.symbols[x.symbol].name != b.symbols[y.symbol].name) {
            return false;
        }
    }
    return true;
}

}  // namespace

Image apply(const Image& base, const Image& patch) {
    std::vector<bool> keep_base(base.units.size(), true);
    std::vector<bool> take_patch(patch.units.size(), true);
    std::unordered_map<std::string_view, uint32_t> units;
    for (uint32_t i = 0; i < base.units.size(); i++)
        units.emplace(base.units[i].name, i);
    for (const std::string& name : patch.removed) {
        auto found = units.find(name);
        if (found == units.end())
            fail("the patch removes {}, which the module does not have", name);
        keep_base[found->second] = false;
    }
    for (uint32_t i = 0; i < patch.units.size(); i++) {
        auto found = units.find(patch.units[i].name);
        if (found == units.end()) continue;
        uint32_t old_one = found->second;
        SectionKind kind = unit_kind(patch, i);
        SectionKind old_kind = unit_kind(base, old_one);
        bool text = kind == SectionKind::text;
        if (text != (old_kind == SectionKind::text)) {
            fail("{} is {} in the module and {} in the patch", patch.units[i].name,
                 section_kind_text(old_kind), section_kind_text(kind));
        }
        if (text) {
            keep_base[old_one] = false;
        } else if (kind == SectionKind::literal || same_content(base, old_one, patch, i)) {
            take_patch[i] = false;
        } else if (old_kind == SectionKind::writable || old_kind == SectionKind::zeroed ||
                   kind != SectionKind::read_only) {
            fail("the patch defines the writable object {} again", patch.units[i].name);
        } else {
            keep_base[old_one] = false;
        }
    }
    Merger merger;
    merger.add(base, keep_base);
    merger.add(patch, take_patch);
    Image image = merger.finish();
    image.notes = patch.notes;
    return image;
}

Image nominal(const Image& image, const std::vector<front::OmittedLine>& omitted) {
    Image built = image;
    std::unordered_map<std::string_view, uint32_t> units;
    for (uint32_t i = 0; i < image.units.size(); i++)
        units.emplace(image.units[i].name, i);
    for (const front::OmittedLine& line : omitted) {
        auto found = units.find(line.symbol);
        if (found == units.end()) continue;
        const auto& members = built.units[found->second].sections;
        if (line.section >= members.size()) fail("{}: omitted line in no section", line.symbol);
        Section& section = built.sections[members[line.section]];
        if (line.width > 8 || line.offset > section.size ||
            section.size - line.offset < line.width) {
            fail("{}: omitted line outside of {}", line.symbol, section.name);
        }
        for (uint32_t i = 0; i < line.width; i++) {
            uint8_t& byte = section.bytes[line.offset + i];
            if (byte != static_cast<uint8_t>(line.loaded >> (8 * i))) {
                fail("{}: omitted line does not match {}+{:#x}", line.symbol, section.name,
                     line.offset);
            }
            byte = static_cast<uint8_t>(line.built >> (8 * i));
        }
    }
    return built;
}

std::vector<front::OmittedLine> omitted_after(const std::vector<front::OmittedLine>& before,
                                              const Image& patch) {
    std::set<std::string> known(patch.removed.begin(), patch.removed.end());
    for (const front::Unit& unit : patch.units)
        known.insert(unit.name);
    for (const front::OmittedLine& line : patch.omitted)
        known.insert(line.symbol);
    std::vector<front::OmittedLine> after;
    for (const front::OmittedLine& line : before) {
        if (!known.contains(line.symbol)) after.push_back(line);
    }
    after.insert(after.end(), patch.omitted.begin(), patch.omitted.end());
    return after;
}

ModuleState open_state(const std::vector<std::string>& paths, const front::PublicKey& key) {
    ModuleState state;
    for (size_t i = 0; i < paths.size(); i++) {
        front::Bundle bundle = front::open_bundle(front::read_file(paths[i]), paths[i]);
        if (!front::signed_by(bundle, key)) fail("{}: is not signed by the key given", paths[i]);
        bool module = bundle.info.kind == SGXDL_BUNDLE_MODULE;
        if (module != (i == 0)) {
            fail("{}: the first --base must be a module, the others patches in order", paths[i]);
        }
        for (const Symbol& symbol : bundle.image.symbols) {
            if (symbol.defined() && symbol.type != SymbolType::section)
                state.names.insert(symbol.name);
        }
        if (module) {
            state.image = std::move(bundle.image);
        } else {
            if (bundle.info.predecessor != state.digest ||
                bundle.info.module != state.info.module ||
                bundle.info.product != state.info.product) {
                fail("{}: is not a patch for the state after {}", paths[i], paths[i - 1]);
            }
            state.image = apply(state.image, bundle.image);
            state.omitted = omitted_after(state.omitted, bundle.image);
        }
        state.info = bundle.info;
        state.digest = bundle.digest;
    }
    return state;
}

}  // namespace sgxdl::diff
