// The second half of diff(): writes the patch, applies it to the state and compares the result
// with the new build.
#include <algorithm>

#include "tool/diff/differ.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"

namespace sgxdl::diff {

using front::Binding;
using front::Error;
using front::fail;
using front::Failure;
using front::Image;
using front::no_index;
using front::Relocation;
using front::Section;
using front::SectionKind;
using front::Symbol;
using front::SymbolType;

// Everything that the module has keeps the module's name; what is new takes a name that no bundle
// of the module ever used.
void Differ::choose_names() {
    std::set<std::string> taken = state_.names;
    std::set<std::string> defined;
    for (const Symbol& symbol : actual_.symbols) {
        if (symbol.type == SymbolType::section) continue;
        taken.insert(symbol.name);
        if (symbol.defined()) defined.insert(symbol.name);
    }
    for (const std::string& name : removed_)
        defined.erase(name);
    for (const Symbol& symbol : new_.symbols) {
        if (!symbol.defined() && symbol.type != SymbolType::section) taken.insert(symbol.name);
    }
    name_of_.resize(new_.symbols.size());
    for (uint32_t i = 0; i < new_.symbols.size(); i++) {
        const Symbol& symbol = new_.symbols[i];
        if (symbol.type == SymbolType::section) continue;
        uint32_t partner = base_new_.symbol_b_to_a[i];
        if (partner != no_index) {
            name_of_[i] = actual_.symbols[partner].name;
            continue;
        }
        name_of_[i] = symbol.name;
        if (!symbol.defined() || symbol.binding != Binding::local) {
            if (defined.contains(symbol.name)) {
                throw Error(fmt::format("{} is a name that the module uses for something else",
                                        symbol.name),
                            Failure::cannot_diff);
            }
            taken.insert(symbol.name);
            continue;
        }
        bool literal = new_.sections[symbol.section].kind == SectionKind::literal;
        if (literal) continue;
        std::string base = symbol.name;
        for (int n = 2; !taken.insert(name_of_[i]).second; n++) {
            name_of_[i] = fmt::format("{}@{}", base, n);
        }
    }
    auto symbols = front::defined_names(new_);
    for (Change& change : result_.changes) {
        if (change.kind == ChangeKind::added) change.name = name_of_[symbols.at(change.built_name)];
    }
}

// The included units and the literals that they use, wherever else those are defined too.
std::vector<bool> Differ::with_literals() const {
    std::vector<bool> units = included_;
    for (const Section& section : new_.sections) {
        if (!included_[section.unit]) continue;
        for (const Relocation& relocation : section.relocations) {
            const Symbol& symbol = new_.symbols[relocation.symbol];
            if (!symbol.defined()) continue;
            const Section& target = new_.sections[symbol.section];
            if (target.kind == SectionKind::literal) units[target.unit] = true;
        }
    }
    return units;
}

Image Differ::make_patch() {
    std::vector<bool> units = with_literals();
    Image patch;
    std::vector<uint32_t> place(new_.sections.size(), no_index);
    std::vector<std::string> expected;  // [patch unit] the module's name of the unit, or empty
    for (uint32_t b = 0; b < new_.units.size(); b++) {
        if (!units[b]) continue;
        auto id = static_cast<uint32_t>(patch.units.size());
        patch.units.emplace_back();
        for (uint32_t section : new_.units[b].sections) {
            place[section] = static_cast<uint32_t>(patch.sections.size());
            patch.units[id].sections.push_back(place[section]);
            patch.sections.push_back(new_.sections[section]);
            patch.sections.back().unit = id;
        }
        uint32_t base = base_new_.b_to_a[b];
        expected.push_back(base == no_index ? "" : actual_.units[base].name);
    }
    std::vector<uint32_t> symbol_place(new_.symbols.size(), no_index);
    auto add = [&](uint32_t i) {
        Symbol symbol = new_.symbols[i];
        symbol.name = name_of_[i];
        symbol_place[i] = static_cast<uint32_t>(patch.symbols.size());
        if (symbol.defined()) {
            symbol.section = place[symbol.section];
            if (symbol.section == no_index) {
                // Stays in the module: an undefined symbol of the module's type.
                symbol.binding = Binding::global;
                symbol.value = symbol.size = 0;
            }
        }
        patch.symbols.push_back(std::move(symbol));
    };
    std::set<std::string> naming(expected.begin(), expected.end());
    auto is_defined_here = [&](uint32_t i) {
        const Symbol& symbol = new_.symbols[i];
        return symbol.defined() && place[symbol.section] != no_index;
    };
    // The symbols that name units come first, so that each unit keeps the name it has.
    for (uint32_t i = 0; i < new_.symbols.size(); i++) {
        if (is_defined_here(i) && naming.contains(name_of_[i])) add(i);
    }
    for (uint32_t i = 0; i < new_.symbols.size(); i++) {
        if (is_defined_here(i) && symbol_place[i] == no_index) add(i);
    }
    for (Section& section : patch.sections) {
        for (Relocation& relocation : section.relocations) {
            if (symbol_place[relocation.symbol] == no_index) add(relocation.symbol);
            relocation.symbol = symbol_place[relocation.symbol];
        }
    }
    patch.notes = new_.notes;
    patch.removed = removed_;
    patch.omitted = omitted_;
    for (uint32_t i = 0; i < new_.symbols.size(); i++) {
        const Symbol& symbol = new_.symbols[i];
        if (symbol.type == SymbolType::section || symbol.name == name_of_[i]) continue;
        patch.renamed.emplace_back(symbol.name, name_of_[i]);
    }
    front::finish(patch);
    for (size_t i = 0; i < patch.units.size(); i++) {
        if (!expected[i].empty() && patch.units[i].name != expected[i]) {
            throw Error(fmt::format("the unit that the module knows as {} would become {}; a patch "
                                    "cannot rename it",
                                    expected[i], patch.units[i].name),
                        Failure::cannot_diff);
        }
    }
    front::validate(patch);
    return patch;
}

void Differ::check_result(const Image& patch) {
    // What is checked is what the loader will read.
    Image reread = front::read_elf(front::write_elf(patch), "the patch");
    Image after = apply(actual_, reread);
    Image built = nominal(after, omitted_after(state_.omitted, reread));
    Hints hints;
    for (uint32_t i = 0; i < new_.symbols.size(); i++) {
        if (new_.symbols[i].type != SymbolType::section) hints[new_.symbols[i].name] = name_of_[i];
    }
    std::vector<std::string> differences = equal_units(built, new_, hints);
    if (!differences.empty()) {
        size_t count = differences.size();
        if (count > 8) differences.resize(8);
        fail("the patch would not lead to the new build ({} units); please report this:\n  {}",
             count, fmt::join(differences, "\n  "));
    }
    std::set<std::string> text;
    std::set<std::string> replaced;
    for (uint32_t i = 0; i < patch.units.size(); i++) {
        SectionKind kind = unit_kind(patch, i);
        if (kind == SectionKind::text) text.insert(patch.units[i].name);
        if (kind != SectionKind::literal) replaced.insert(patch.units[i].name);
    }
    std::vector<bool> changed_text(after.units.size());
    std::vector<bool> changed(after.units.size());
    for (uint32_t i = 0; i < after.units.size(); i++) {
        changed_text[i] = text.contains(after.units[i].name);
        changed[i] = replaced.contains(after.units[i].name);
    }
    result_.changed = measure(after, changed_text);
    result_.closure = closure(after, changed);
}

void Differ::seal(const Image& patch) {
    front::BundleInfo info = state_.info;
    info.kind = SGXDL_BUNDLE_PATCH;
    info.flags = options_.allow_rollback ? uint32_t{SGXDL_BUNDLE_ROLLBACK_ALLOWED} : 0;
    info.version = options_.version;
    info.security_version = security_version_;
    info.predecessor = state_.digest;
    result_.bundle = front::seal(info, front::write_elf(patch), options_.key);
    sgxdl_bundle_header header;
    std::copy_n(result_.bundle.begin(), sizeof header, reinterpret_cast<uint8_t*>(&header));
    result_.digest = front::bundle_digest(header);
}

}  // namespace sgxdl::diff
