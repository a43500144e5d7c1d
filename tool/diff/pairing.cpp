#include "tool/diff/pairing.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "tool/front/error.hpp"

namespace sgxdl::diff {
namespace {

using front::Binding;
using front::Image;
using front::no_index;
using front::Relocation;
using front::Section;
using front::SectionKind;
using front::Symbol;
using front::SymbolType;

bool is_number(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// One side of the comparison with what refinement keeps asking for.
struct Side {
    const Image& image;
    std::vector<std::string> key;               // [unit]
    std::vector<std::string> global;            // [unit] first global name, or empty
    std::vector<std::vector<uint32_t>> target;  // [unit] target unit of each relocation, in order
    std::vector<std::vector<uint32_t>> users;   // [unit] who refers to it
    std::vector<uint32_t>& partner;

    Side(const Image& side, std::vector<uint32_t>& pairs) : image(side), partner(pairs) {
        size_t count = image.units.size();
        key.resize(count);
        global.resize(count);
        target.resize(count);
        users.resize(count);
        partner.assign(count, no_index);
        for (const Symbol& symbol : image.symbols) {
            if (!symbol.defined() || symbol.type == SymbolType::section) continue;
            std::string& name = global[image.sections[symbol.section].unit];
            if (symbol.binding != Binding::local && name.empty()) name = symbol.name;
        }
        for (uint32_t i = 0; i < count; i++) {
            key[i] = class_of(i) + stable_name(image.units[i].name);
            for (uint32_t id : image.units[i].sections) {
                for (const Relocation& relocation : image.sections[id].relocations) {
                    const Symbol& symbol = image.symbols[relocation.symbol];
                    uint32_t to = symbol.defined() ? image.sections[symbol.section].unit : no_index;
                    target[i].push_back(to);
                    if (to != no_index && to != i) users[to].push_back(i);
                }
            }
        }
    }

    bool writable(uint32_t unit) const {
        SectionKind kind = front::unit_kind(image, unit);
        return kind == SectionKind::writable || kind == SectionKind::zeroed;
    }

    std::string class_of(uint32_t unit) const {
        switch (front::unit_kind(image, unit)) {
            case SectionKind::text:
                return "t ";
            case SectionKind::literal:
                return "l ";
            case SectionKind::read_only:
                return "r ";
            default:
                return "w ";
        }
    }
};

class Refiner {
 public:
    Refiner(const Image& a, const Image& b, Pairing& pairing)
        : a_(a, pairing.a_to_b), b_(b, pairing.b_to_a), pairing_(pairing) {}

    void run(const Hints& hints) {
        by_hints(hints);
        by_global_name();
        by_exact_name();
        by_unique_key();
        while (by_signature() || by_references()) {
        }
        by_order();
        find_ambiguous();
    }

 private:
    bool pair(uint32_t a, uint32_t b) {
        if (a_.partner[a] != no_index || b_.partner[b] != no_index) return false;
        if (a_.class_of(a) != b_.class_of(b)) return false;
        a_.partner[a] = b;
        b_.partner[b] = a;
        return true;
    }

    static std::unordered_map<std::string_view, uint32_t> unit_names(const Side& side) {
        std::unordered_map<std::string_view, uint32_t> names;
        for (uint32_t i = 0; i < side.image.units.size(); i++) {
            names.emplace(side.image.units[i].name, i);
        }
        return names;
    }

    void by_hints(const Hints& hints) {
        if (hints.empty()) return;
        auto names = unit_names(a_);
        for (uint32_t i = 0; i < b_.image.units.size(); i++) {
            auto hint = hints.find(b_.image.units[i].name);
            if (hint == hints.end()) continue;
            auto found = names.find(hint->second);
            if (found != names.end()) pair(found->second, i);
        }
    }

    void by_global_name() {
        std::unordered_map<std::string_view, uint32_t> names;
        for (const Symbol& symbol : a_.image.symbols) {
            if (!symbol.defined() || symbol.binding == Binding::local) continue;
            names.emplace(symbol.name, a_.image.sections[symbol.section].unit);
        }
        for (const Symbol& symbol : b_.image.symbols) {
            if (!symbol.defined() || symbol.binding == Binding::local) continue;
            auto found = names.find(symbol.name);
            if (found != names.end()) pair(found->second, b_.image.sections[symbol.section].unit);
        }
    }

    // Names that nothing numbers: literals, statics of a file. Not const.<hash>, whose names are
    // equal only if what they refer to has equal names too.
    void by_exact_name() {
        auto names = unit_names(a_);
        for (uint32_t i = 0; i < b_.image.units.size(); i++) {
            const std::string& name = b_.image.units[i].name;
            bool literal = front::unit_kind(b_.image, i) == SectionKind::literal;
            if (!literal && (is_numbered(name) || name.starts_with("const."))) continue;
            auto found = names.find(name);
            if (found != names.end()) pair(found->second, i);
        }
    }

    using Groups = std::map<std::string, std::pair<std::vector<uint32_t>, std::vector<uint32_t>>>;
    Groups groups() const {
        Groups groups;
        for (uint32_t i = 0; i < a_.key.size(); i++) {
            if (a_.partner[i] == no_index) groups[a_.key[i]].first.push_back(i);
        }
        for (uint32_t i = 0; i < b_.key.size(); i++) {
            if (b_.partner[i] == no_index) groups[b_.key[i]].second.push_back(i);
        }
        return groups;
    }

    // The only one of its kind on both sides. Numbered writable objects (static locals) and
    // anonymous constants need more than a name.
    void by_unique_key() {
        for (const auto& [key, members] : groups()) {
            const auto& [in_a, in_b] = members;
            if (in_a.size() != 1 || in_b.size() != 1 || key == "r const") continue;
            if (a_.writable(in_a[0]) && is_numbered(a_.image.units[in_a[0]].name)) continue;
            pair(in_a[0], in_b[0]);
        }
    }

    // Content and references; a paired target counts as its pair, another one as its key.
    std::string signature(const Side& side, uint32_t unit, bool is_a) const {
        std::string text;
        size_t k = 0;
        for (uint32_t id : side.image.units[unit].sections) {
            const Section& section = side.image.sections[id];
            text += fmt::format("{} {} {}:", static_cast<int>(section.kind), section.align,
                                section.size);
            text.append(section.bytes.begin(), section.bytes.end());
            for (const Relocation& relocation : section.relocations) {
                uint32_t to = side.target[unit][k++];
                text += fmt::format("|{} {} {} ", relocation.offset, relocation.type,
                                    relocation.addend);
                if (to == no_index) {
                    text += side.image.symbols[relocation.symbol].name;
                } else if (to == unit) {
                    text += "self";
                } else if (side.partner[to] != no_index) {
                    text += fmt::format("#{}", is_a ? to : side.partner[to]);
                } else {
                    text += side.key[to];
                }
            }
        }
        // Static locals are told apart by their users, not by their (often zero) content.
        if (side.writable(unit)) {
            std::set<std::string> users;
            for (uint32_t user : side.users[unit]) {
                users.insert(side.partner[user] != no_index
                                 ? fmt::format("#{}", is_a ? user : side.partner[user])
                                 : side.key[user]);
            }
            for (const std::string& user : users)
                text += "<" + user;
        }
        return text;
    }

    bool by_signature() {
        bool moved = false;
        for (const auto& [key, members] : groups()) {
            const auto& [in_a, in_b] = members;
            if (in_a.empty() || in_b.empty()) continue;
            std::map<std::string, std::pair<std::vector<uint32_t>, std::vector<uint32_t>>> equal;
            for (uint32_t unit : in_a)
                equal[signature(a_, unit, true)].first.push_back(unit);
            for (uint32_t unit : in_b)
                equal[signature(b_, unit, false)].second.push_back(unit);
            for (const auto& [text, both] : equal) {
                if (both.first.size() != 1 || both.second.size() != 1) continue;
                if (a_.writable(both.first[0]) && !share_user(both.first[0], both.second[0]))
                    continue;
                moved |= pair(both.first[0], both.second[0]);
            }
        }
        return moved;
    }

    bool share_user(uint32_t a, uint32_t b) const {
        return std::any_of(a_.users[a].begin(), a_.users[a].end(), [&](uint32_t user) {
            uint32_t partner = a_.partner[user];
            return partner != no_index &&
                   std::find(b_.users[b].begin(), b_.users[b].end(), partner) != b_.users[b].end();
        });
    }

    // Follows paired units to what they refer to.
    bool by_references() {
        bool moved = false;
        for (uint32_t u = 0; u < a_.partner.size(); u++) {
            uint32_t v = a_.partner[u];
            if (v == no_index) continue;
            const auto& from_a = a_.target[u];
            const auto& from_b = b_.target[v];
            bool parallel = from_a.size() == from_b.size();
            for (size_t k = 0; parallel && k < from_a.size(); k++) {
                parallel = key_of(a_, from_a[k]) == key_of(b_, from_b[k]);
            }
            if (parallel) {
                for (size_t k = 0; k < from_a.size(); k++) {
                    if (!is_open(a_, from_a[k]) || !is_open(b_, from_b[k])) continue;
                    // Anonymous constants are what they contain.
                    if (a_.key[from_a[k]] == "r const" &&
                        signature(a_, from_a[k], true) != signature(b_, from_b[k], false)) {
                        continue;
                    }
                    moved |= pair(from_a[k], from_b[k]);
                }
                continue;
            }
            // The references of a changed unit cannot be matched one by one; a name that stands
            // for one thing on each side can.
            std::map<std::string, std::pair<std::set<uint32_t>, std::set<uint32_t>>> named;
            for (uint32_t to : from_a) {
                if (is_open(a_, to)) named[a_.key[to]].first.insert(to);
            }
            for (uint32_t to : from_b) {
                if (is_open(b_, to)) named[b_.key[to]].second.insert(to);
            }
            for (const auto& [key, both] : named) {
                if (both.first.size() == 1 && both.second.size() == 1 && key != "r const") {
                    moved |= pair(*both.first.begin(), *both.second.begin());
                }
            }
        }
        return moved;
    }

    static std::string key_of(const Side& side, uint32_t unit) {
        return unit == no_index ? std::string() : side.key[unit];
    }

    static bool is_open(const Side& side, uint32_t unit) {
        return unit != no_index && side.partner[unit] == no_index;
    }

    // What is left of a group of functions or constants: equal ones first, then in order.
    void by_order() {
        for (const auto& [key, members] : groups()) {
            const auto& [in_a, in_b] = members;
            if (in_a.empty() || in_b.empty() || a_.writable(in_a[0])) continue;
            std::multimap<std::string, uint32_t> known;
            for (uint32_t unit : in_a)
                known.emplace(signature(a_, unit, true), unit);
            for (uint32_t unit : in_b) {
                auto found = known.find(signature(b_, unit, false));
                if (found == known.end()) continue;
                pair(found->second, unit);
                known.erase(found);
            }
            // Anonymous constants are what they contain; others may have changed.
            if (key == "r const") continue;
            size_t next = 0;
            for (uint32_t unit : in_b) {
                if (b_.partner[unit] != no_index) continue;
                while (next < in_a.size() && a_.partner[in_a[next]] != no_index)
                    next++;
                if (next < in_a.size()) pair(in_a[next], unit);
            }
        }
    }

    void find_ambiguous() {
        for (const auto& [key, members] : groups()) {
            const auto& [in_a, in_b] = members;
            if (in_a.empty() || in_b.empty() || !a_.writable(in_a[0])) continue;
            for (uint32_t unit : in_a)
                pairing_.ambiguous.push_back(a_.image.units[unit].name);
        }
    }

    Side a_, b_;
    Pairing& pairing_;
};

// Symbols of paired units: by name when global, by stable name and place when local.
void pair_symbols(const Image& a, const Image& b, Pairing& pairing) {
    pairing.symbol_a_to_b.assign(a.symbols.size(), no_index);
    pairing.symbol_b_to_a.assign(b.symbols.size(), no_index);
    auto position = [](const Image& image, uint32_t section) {
        const auto& members = image.units[image.sections[section].unit].sections;
        return static_cast<size_t>(std::find(members.begin(), members.end(), section) -
                                   members.begin());
    };
    auto join = [&](uint32_t in_a, uint32_t in_b) {
        if (pairing.symbol_a_to_b[in_a] != no_index || pairing.symbol_b_to_a[in_b] != no_index)
            return;
        pairing.symbol_a_to_b[in_a] = in_b;
        pairing.symbol_b_to_a[in_b] = in_a;
    };
    // Everything that two symbols must share is in the text; `pass` tells how strictly.
    auto text = [&](const Image& image, uint32_t index, int pass, bool is_a) -> std::string {
        const Symbol& symbol = image.symbols[index];
        if (!symbol.defined()) return "undefined " + symbol.name;
        uint32_t unit = image.sections[symbol.section].unit;
        uint32_t id = is_a ? unit : pairing.b_to_a[unit];
        if (id == no_index) return {};
        std::string place = fmt::format("{} {} ", id, position(image, symbol.section));
        if (symbol.type == SymbolType::section) return place;
        bool local = symbol.binding == Binding::local;
        if (!local || pass == 0) return place + (local ? "local " : "global ") + symbol.name;
        std::string name = stable_name(symbol.name);
        if (pass == 1) return fmt::format("{}local {} {}", place, symbol.value, name);
        return fmt::format("{}local {}", place, name);
    };
    for (int pass = 0; pass < 3; pass++) {
        std::unordered_map<std::string, uint32_t> known;
        for (uint32_t i = 0; i < a.symbols.size(); i++) {
            if (pairing.symbol_a_to_b[i] == no_index) known.emplace(text(a, i, pass, true), i);
        }
        for (uint32_t i = 0; i < b.symbols.size(); i++) {
            if (pairing.symbol_b_to_a[i] != no_index) continue;
            std::string wanted = text(b, i, pass, false);
            auto found = known.find(wanted);
            if (!wanted.empty() && found != known.end()) join(found->second, i);
        }
    }
}

}  // namespace

bool is_numbered(const std::string& name) {
    std::string_view rest = std::string_view(name).substr(0, name.find('@'));
    size_t dot = rest.find('.');
    while (dot != std::string_view::npos) {
        size_t next = rest.find('.', dot + 1);
        if (is_number(
                rest.substr(dot + 1, next == std::string_view::npos ? next : next - dot - 1))) {
            return true;
        }
        dot = next;
    }
    return false;
}

std::string stable_name(const std::string& name) {
    if (name.starts_with("const.")) return "const";
    if (name.starts_with("lit.")) return name;
    std::string_view rest = std::string_view(name).substr(0, name.find('@'));
    std::string stable;
    for (size_t at = 0; at <= rest.size();) {
        size_t dot = std::min(rest.find('.', at), rest.size());
        std::string_view part = rest.substr(at, dot - at);
        if (at == 0 || !is_number(part)) {
            if (at != 0) stable += '.';
            stable += part;
        }
        at = dot + 1;
    }
    // pack's own names for tables and parts keep what says so.
    size_t sign = name.find('@');
    if (sign != std::string::npos && name.compare(sign, 6, "@table") == 0) stable += "@table";
    return stable;
}

Pairing pair_images(const Image& a, const Image& b, const Hints& hints) {
    Pairing pairing;
    Refiner(a, b, pairing).run(hints);
    pair_symbols(a, b, pairing);
    return pairing;
}

void unpair(const Image& a, const Image& b, Pairing& pairing, uint32_t unit) {
    uint32_t partner = pairing.a_to_b[unit];
    pairing.a_to_b[unit] = no_index;
    pairing.b_to_a[partner] = no_index;
    for (uint32_t i = 0; i < a.symbols.size(); i++) {
        uint32_t other = pairing.symbol_a_to_b[i];
        if (other == no_index || !a.symbols[i].defined()) continue;
        if (a.sections[a.symbols[i].section].unit != unit) continue;
        if (b.sections[b.symbols[other].section].unit != partner) continue;
        pairing.symbol_a_to_b[i] = no_index;
        pairing.symbol_b_to_a[other] = no_index;
    }
}

}  // namespace sgxdl::diff
