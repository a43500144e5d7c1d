// Makes units: joins the parts of a function, and the tables that point into its middle, with it.
#include <algorithm>

#include "tool/front/builder.hpp"
#include "tool/front/error.hpp"

namespace sgxdl::front {

uint32_t Builder::root(uint32_t section) {
    while (parent_[section] != section) {
        parent_[section] = parent_[parent_[section]];
        section = parent_[section];
    }
    return section;
}

void Builder::join(uint32_t a, uint32_t b) {
    a = root(a);
    b = root(b);
    if (a != b) parent_[std::max(a, b)] = std::min(a, b);
}

// Text that holds parts of functions: a .cold symbol, or no function at all.
void Builder::find_parts() {
    std::vector<bool> function(image_.sections.size());
    part_.assign(image_.sections.size(), false);
    for (const Symbol& symbol : image_.symbols) {
        if (!symbol.defined() || symbol.type == SymbolType::section || symbol.name.empty())
            continue;
        if (is_cold_part_name(symbol.name)) part_[symbol.section] = true;
        function[symbol.section] = true;
    }
    for (size_t i = 0; i < part_.size(); i++) {
        if (!function[i]) part_[i] = true;
    }
}

void Builder::group() {
    find_parts();
    parent_.resize(image_.sections.size());
    for (uint32_t i = 0; i < parent_.size(); i++)
        parent_[i] = i;
    auto is_text = [&](uint32_t section) {
        return image_.sections[section].kind == SectionKind::text;
    };
    for (const MidReference& mid : mids_) {
        if (!is_text(mid.from) || root(mid.from) == root(mid.to)) continue;
        bool same_file = image_.sections[mid.from].object == image_.sections[mid.to].object;
        if (!same_file || (!is_part(mid.from) && !is_part(mid.to))) {
            refuse(mid.from, mid.offset,
                   fmt::format("refers into the middle of {}, which is another function",
                               image_.sections[mid.to].name));
        }
        join(mid.from, mid.to);
    }
    // Only now tables: each belongs to one function.
    std::vector<uint32_t> owner(image_.sections.size(), no_index);
    for (const MidReference& mid : mids_) {
        if (is_text(mid.from)) continue;
        uint32_t text = root(mid.to);
        uint32_t& mine = owner[mid.from];
        if (mine != no_index && mine != text) {
            refuse(mid.from, mid.offset,
                   fmt::format("one table that points into two functions, {} and {}",
                               image_.sections[mine].name, image_.sections[text].name));
        }
        mine = text;
    }
    for (uint32_t i = 0; i < owner.size(); i++) {
        if (owner[i] != no_index) join(i, owner[i]);
    }
    std::vector<uint32_t> unit_of(image_.sections.size(), no_index);
    for (uint32_t i = 0; i < image_.sections.size(); i++) {
        uint32_t top = root(i);
        if (unit_of[top] == no_index) {
            unit_of[top] = static_cast<uint32_t>(image_.units.size());
            image_.units.emplace_back();
        }
        image_.sections[i].unit = unit_of[top];
        image_.units[unit_of[top]].sections.push_back(i);
    }
    // The function's own text first, then its other text, then tables, each in file order.
    for (Unit& unit : image_.units) {
        if (unit.sections.size() == 1) continue;
        auto rank = [&](uint32_t section) {
            if (!is_text(section)) return 2;
            return is_part(section) ? 1 : 0;
        };
        std::stable_sort(unit.sections.begin(), unit.sections.end(),
                         [&](uint32_t a, uint32_t b) { return rank(a) < rank(b); });
    }
    check_table_users();
}

// A table in a unit is freed with it, so nothing else may point to it. (The loader refuses it too.)
// That cut tables (lay_out.cpp) are used by their own function only is what makes the cut sure.
void Builder::check_table_users() {
    for (uint32_t i = 0; i < image_.sections.size(); i++) {
        const Section& section = image_.sections[i];
        for (const Relocation& relocation : section.relocations) {
            const Symbol& symbol = image_.symbols[relocation.symbol];
            if (!symbol.defined() || symbol.type != SymbolType::object) continue;
            const Section& target = image_.sections[symbol.section];
            if (target.unit == section.unit || target.kind != SectionKind::read_only) continue;
            if (image_.units[target.unit].sections.size() == 1) continue;
            refuse(i, relocation.offset,
                   fmt::format("refers to a jump table in {} that belongs to another function "
                               "(compile with -ffunction-sections -fdata-sections)",
                               target.name));
        }
    }
}

}  // namespace sgxdl::front
