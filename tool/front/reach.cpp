#include "tool/front/reach.hpp"

#include "tool/front/error.hpp"

namespace sgxdl::front {

Extent measure(const Image& image, const std::vector<bool>& units) {
    Extent extent;
    for (uint32_t i = 0; i < image.units.size(); i++) {
        if (!units[i]) continue;
        extent.units.push_back(i);
        if (is_text_unit(image, i)) extent.functions++;
        extent.text_bytes += unit_text_bytes(image, i);
        extent.data_bytes += unit_data_bytes(image, i);
        for (uint32_t section : image.units[i].sections) {
            extent.relocations += image.sections[section].relocations.size();
        }
    }
    return extent;
}

Extent reach(const Image& image, const std::vector<std::string>& names) {
    auto defined = defined_names(image);
    std::vector<bool> marked(image.units.size());
    std::vector<uint32_t> work;
    auto mark = [&](uint32_t unit) {
        if (marked[unit]) return;
        marked[unit] = true;
        work.push_back(unit);
    };
    for (const std::string& name : names) {
        auto found = defined.find(name);
        if (found == defined.end()) fail("{} is not defined in the bundle", name);
        const Symbol& symbol = image.symbols[found->second];
        if (symbol.type != SymbolType::function) fail("{} is not a function", name);
        mark(image.sections[symbol.section].unit);
    }
    while (!work.empty()) {
        uint32_t unit = work.back();
        work.pop_back();
        for (uint32_t id : image.units[unit].sections) {
            for (const Relocation& relocation : image.sections[id].relocations) {
                const Symbol& symbol = image.symbols[relocation.symbol];
                if (symbol.defined()) mark(image.sections[symbol.section].unit);
            }
        }
    }
    return measure(image, marked);
}

Extent closure(const Image& image, const std::vector<bool>& changed) {
    std::vector<std::vector<uint32_t>> users(image.units.size());
    for (uint32_t i = 0; i < image.units.size(); i++) {
        SectionKind kind = unit_kind(image, i);
        if (kind == SectionKind::writable || kind == SectionKind::zeroed) continue;
        for (uint32_t id : image.units[i].sections) {
            const Section& section = image.sections[id];
            for (const Relocation& relocation : section.relocations) {
                const Symbol& symbol = image.symbols[relocation.symbol];
                if (!symbol.defined()) continue;
                bool canonical = symbol.type == SymbolType::function &&
                                 !is_direct_branch(image, section, relocation);
                uint32_t target = image.sections[symbol.section].unit;
                if (!canonical && target != i) users[target].push_back(i);
            }
        }
    }
    std::vector<bool> marked = changed;
    std::vector<uint32_t> work;
    for (uint32_t i = 0; i < marked.size(); i++) {
        if (marked[i]) work.push_back(i);
    }
    while (!work.empty()) {
        uint32_t unit = work.back();
        work.pop_back();
        for (uint32_t user : users[unit]) {
            if (marked[user]) continue;
            marked[user] = true;
            work.push_back(user);
        }
    }
    return measure(image, marked);
}

}  // namespace sgxdl::front
