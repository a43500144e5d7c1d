// Makes the names of defined symbols unique and names what the compiler left without a name.
#include <sodium.h>

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "tool/front/builder.hpp"
#include "tool/front/error.hpp"

namespace sgxdl::front {

void Builder::name() {
    name_anonymous();
    std::unordered_map<std::string, uint32_t> uses;
    for (const Symbol& symbol : image_.symbols) {
        if (symbol.type != SymbolType::section) uses[symbol.name]++;
    }
    std::unordered_set<std::string> taken;
    for (const Symbol& symbol : image_.symbols) {
        if (symbol.type == SymbolType::section) continue;
        if (symbol.binding != Binding::local || !symbol.defined() || uses[symbol.name] == 1) {
            taken.insert(symbol.name);
        }
    }
    // All local symbols that share a name are renamed, so that the result does not depend on which
    // comes first.
    for (Symbol& symbol : image_.symbols) {
        if (symbol.type == SymbolType::section || symbol.binding != Binding::local ||
            !symbol.defined() || uses[symbol.name] == 1) {
            continue;
        }
        const Section& section = image_.sections[symbol.section];
        std::string file = section.object == no_index ? "" : objects_[section.object].file;
        std::string base = fmt::format("{}@{}", symbol.name, file);
        std::string name = base;
        for (int n = 2; !taken.insert(name).second; n++)
            name = fmt::format("{}.{}", base, n);
        symbol.name = name;
    }
}

// Tables of a unit are called after it; read-only data with relocations after its content.
void Builder::name_anonymous() {
    std::vector<uint8_t> busy(image_.sections.size());
    std::unordered_map<std::string, uint32_t> counts;
    auto unique = [&](const std::string& base) {
        uint32_t n = ++counts[base];
        return n == 1 ? base : fmt::format("{}.{}", base, n);
    };
    std::function<void(uint32_t)> visit = [&](uint32_t id) {
        if (!anonymous_[id] || busy[id]) return;
        busy[id] = 1;
        const Section& section = image_.sections[id];
        Symbol& symbol = image_.symbols[primary_[id]];
        const Unit& unit = image_.units[section.unit];
        if (unit.sections.size() > 1 && unit.sections[0] != id) {
            const char* what = section.kind == SectionKind::text ? "part" : "table";
            symbol.name =
                unique(fmt::format("{}@{}", image_.symbols[primary_[unit.sections[0]]].name, what));
            return;
        }
        if (section.kind != SectionKind::read_only) {
            symbol.name =
                unique(section.name.substr(section.name.front() == '.' ? 1 : 0) + "@anon");
            return;
        }
        std::string key = fmt::format("{} {}", section.align, section.size);
        key.append(section.bytes.begin(), section.bytes.end());
        for (const Relocation& relocation : section.relocations) {
            const Symbol& target = image_.symbols[relocation.symbol];
            if (target.defined()) visit(target.section);
            key += fmt::format(" {} {} {} {}", relocation.offset, relocation.type,
                               relocation.addend, target.name);
        }
        uint8_t digest[16];
        crypto_generichash(digest, sizeof digest, reinterpret_cast<const uint8_t*>(key.data()),
                           key.size(), nullptr, 0);
        std::string name = "const.";
        for (uint8_t byte : digest)
            name += fmt::format("{:02x}", byte);
        image_.symbols[primary_[id]].name = unique(name);
    };
    for (uint32_t i = 0; i < image_.sections.size(); i++)
        visit(i);
}

// Forgets symbols that nothing defines or uses.
void Builder::drop_unused() {
    std::vector<bool> used(image_.symbols.size());
    for (const Section& section : image_.sections) {
        for (const Relocation& relocation : section.relocations)
            used[relocation.symbol] = true;
    }
    std::vector<uint32_t> place(image_.symbols.size(), no_index);
    std::vector<Symbol> kept;
    for (uint32_t i = 0; i < image_.symbols.size(); i++) {
        Symbol& symbol = image_.symbols[i];
        bool keep = symbol.defined() && symbol.type != SymbolType::section ? true : used[i];
        if (!keep) continue;
        place[i] = static_cast<uint32_t>(kept.size());
        kept.push_back(std::move(symbol));
    }
    for (Section& section : image_.sections) {
        for (Relocation& relocation : section.relocations) {
            relocation.symbol = place[relocation.symbol];
        }
    }
    image_.symbols = std::move(kept);
}

Image Builder::build() {
    resolve();
    lay_out();
    refer();
    group();
    name();
    drop_unused();
    finish(image_);
    validate(image_);
    return std::move(image_);
}

}  // namespace sgxdl::front
