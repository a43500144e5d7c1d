#include "tool/diff/diff.hpp"

#include <algorithm>

#include "tool/diff/differ.hpp"
#include "tool/diff/layouts.hpp"
#include "tool/front/error.hpp"
#include "tool/front/pack.hpp"

namespace sgxdl::diff {

using front::Binding;
using front::Error;
using front::Failure;
using front::Image;
using front::no_index;
using front::Section;
using front::SectionKind;
using front::Symbol;
using front::SymbolType;

namespace {

template <class... Arguments>
[[noreturn]] void cannot(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    throw Error(fmt::format(text, std::forward<Arguments>(arguments)...), Failure::cannot_diff);
}

bool is_writable(SectionKind kind) {
    return kind == SectionKind::writable || kind == SectionKind::zeroed;
}

}  // namespace

const char* change_text(ChangeKind kind) {
    switch (kind) {
        case ChangeKind::changed:
            return "changed";
        case ChangeKind::line_numbers:
            return "line numbers";
        case ChangeKind::line_numbers_omitted:
            return "line numbers, left out";
        case ChangeKind::added:
            return "new";
        case ChangeKind::removed:
            return "removed";
        case ChangeKind::constant:
            return "constant replaced";
    }
    return "?";
}

// The base can be loaded again after an unload unless the patch raised the floor above it.
void Differ::set_security_version() {
    const uint64_t base = state_.info.security_version;
    const uint64_t least = options_.allow_rollback ? base : base + 1;
    security_version_ = options_.security_version.value_or(least);
    if (security_version_ < base) {
        front::fail("security version {} is below the base's {}", security_version_, base);
    }
    if (security_version_ < least) {
        result_.warnings.push_back(
            fmt::format("the patch does not allow rollback, but its security version {} is the "
                        "base's, too: the base can be loaded again after an unload",
                        security_version_));
    }
}

void Differ::read() {
    if (options_.base.empty()) front::fail("no --base bundle given");
    state_ = open_state(options_.base, options_.key.public_key);
    set_security_version();
    nominal_ = nominal(state_.image, state_.omitted);
    actual_ = std::move(state_.image);
    for (const auto& line : state_.omitted)
        lined_.insert(line.symbol);
    old_ = front::build_image(options_.old_objects, options_.xfrm);
    new_ = front::build_image(options_.new_objects, options_.xfrm);
    constexpr auto everything = front::DebugInfo::Detail::everything;
    old_debug_ = front::DebugInfo::read(options_.old_objects, everything);
    new_debug_ = front::DebugInfo::read(options_.new_objects, everything);
}

// Unchanged callers rely on what the compiler found out about their callees (-fipa-ra and the
// like); another compiler or other flags find out other things.
void Differ::check_compilers() {
    std::set<std::string> a(old_.notes.begin(), old_.notes.end());
    std::set<std::string> b(new_.notes.begin(), new_.notes.end());
    if (a != b) {
        std::vector<std::string> gone;
        std::vector<std::string> come;
        std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(gone));
        std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(come));
        cannot("the builds come from different compilers or flags:\n  only old: {}\n  only new: {}",
               fmt::join(gone, "; "), fmt::join(come, "; "));
    }
    if (!old_debug_.without().empty() || !new_debug_.without().empty() || old_debug_.empty()) {
        result_.warnings.push_back(
            "some objects have no debug information (compile with -g): compiler flags and type "
            "layouts were not compared, line numbers not proven");
    }
}

void Differ::match_old_build() {
    base_old_ = pair_images(nominal_, old_);
    std::vector<std::string> differences;
    Comparer comparer(nominal_, old_, base_old_);
    for (uint32_t i = 0; i < nominal_.units.size(); i++) {
        const std::string& name = nominal_.units[i].name;
        uint32_t partner = base_old_.a_to_b[i];
        if (unit_kind(nominal_, i) == SectionKind::literal) continue;
        if (partner == no_index) {
            differences.push_back(fmt::format("{}: not in the old objects", name));
            continue;
        }
        Difference difference = comparer.units(i, partner);
        if (difference.reason != Reason::none) {
            differences.push_back(
                fmt::format("{}: {}: {}", name, reason_text(difference.reason), difference.detail));
        }
    }
    for (uint32_t i = 0; i < old_.units.size(); i++) {
        if (base_old_.b_to_a[i] == no_index) {
            differences.push_back(fmt::format("{}: not in the base", old_.units[i].name));
        }
    }
    if (differences.empty()) return;
    size_t count = differences.size();
    if (count > 8) differences.resize(8);
    cannot("the old objects are not the build of the base; {} units differ:\n  {}", count,
           fmt::join(differences, "\n  "));
}

// base ↔ new is what base ↔ old and old ↔ new give together.
void Differ::match_new_build() {
    old_new_ = pair_images(old_, new_);
    if (!old_new_.ambiguous.empty()) {
        cannot("cannot tell which writable object of the old build is which of the new one: {}",
               fmt::join(old_new_.ambiguous, ", "));
    }
    // Constants without a name are what they contain: two that differ are two.
    for (bool moved = true; moved;) {
        moved = false;
        Comparer comparer(old_, new_, old_new_);
        for (uint32_t i = 0; i < old_.units.size(); i++) {
            uint32_t partner = old_new_.a_to_b[i];
            if (partner == no_index || !old_.units[i].name.starts_with("const.")) continue;
            if (comparer.units(i, partner).reason == Reason::none) continue;
            unpair(old_, new_, old_new_, i);
            moved = true;
        }
    }
    auto compose = [](const std::vector<uint32_t>& first, const std::vector<uint32_t>& second) {
        std::vector<uint32_t> both(first.size(), no_index);
        for (size_t i = 0; i < first.size(); i++) {
            if (first[i] != no_index) both[i] = second[first[i]];
        }
        return both;
    };
    base_new_.a_to_b = compose(base_old_.a_to_b, old_new_.a_to_b);
    base_new_.b_to_a = compose(old_new_.b_to_a, base_old_.b_to_a);
    base_new_.symbol_a_to_b = compose(base_old_.symbol_a_to_b, old_new_.symbol_a_to_b);
    base_new_.symbol_b_to_a = compose(old_new_.symbol_b_to_a, base_old_.symbol_b_to_a);
    // Literals that the old build does not use may still be in the module, and pair by name.
    auto names = front::defined_names(actual_);
    for (uint32_t i = 0; i < new_.symbols.size(); i++) {
        const Symbol& symbol = new_.symbols[i];
        if (!symbol.defined() || new_.sections[symbol.section].kind != SectionKind::literal)
            continue;
        auto found = names.find(symbol.name);
        if (found == names.end() || base_new_.symbol_b_to_a[i] != no_index) continue;
        uint32_t a = actual_.sections[actual_.symbols[found->second].section].unit;
        uint32_t b = new_.sections[symbol.section].unit;
        base_new_.symbol_b_to_a[i] = found->second;
        base_new_.symbol_a_to_b[found->second] = i;
        base_new_.a_to_b[a] = b;
        base_new_.b_to_a[b] = a;
    }
}

void Differ::include(uint32_t b, Change change) {
    included_[b] = true;
    result_.changes.push_back(std::move(change));
}

// Leaves a function at its old line numbers; false when more than those differ from the enclave's.
bool Differ::omit(uint32_t b, uint32_t base, const Change& change) {
    if (base_new_comparer_->units(base, b, true).reason != Reason::none) return false;
    struct At {
        uint32_t section;
        uint64_t offset;
        uint32_t width;
        auto operator<=>(const At&) const = default;
    };
    std::set<At> places;
    for (const LineNumber& line : change.lines)
        places.insert({line.section, line.offset, line.width});
    for (const auto& line : state_.omitted) {
        if (line.symbol == change.name) places.insert({line.section, line.offset, line.width});
    }
    std::vector<front::OmittedLine> lines;
    Image explained = actual_;
    for (const At& at : places) {
        Section& loaded = explained.sections[actual_.units[base].sections[at.section]];
        const Section& built = new_.sections[new_.units[b].sections[at.section]];
        uint64_t was = 0;
        uint64_t is = 0;
        for (uint32_t i = 0; i < at.width; i++) {
            was |= uint64_t{loaded.bytes[at.offset + i]} << (8 * i);
            is |= uint64_t{built.bytes[at.offset + i]} << (8 * i);
            loaded.bytes[at.offset + i] = built.bytes[at.offset + i];
        }
        lines.push_back({change.name, at.section, at.offset, at.width, was, is});
    }
    for (size_t i = 0; i < actual_.units[base].sections.size(); i++) {
        if (explained.sections[actual_.units[base].sections[i]].bytes !=
            new_.sections[new_.units[b].sections[i]].bytes) {
            return false;
        }
    }
    omitted_.insert(omitted_.end(), lines.begin(), lines.end());
    return true;
}

void Differ::compare_text(uint32_t b, uint32_t base) {
    const std::string& name = actual_.units[base].name;
    Difference now = base_new_comparer_->units(base, b);
    bool was_lined = lined_.contains(name);
    if (now.reason == Reason::none) {
        // Lines that were left out before fit the new build by chance: the next diff must know.
        for (const auto& line : state_.omitted) {
            if (line.symbol != name) continue;
            omitted_.push_back(
                {name, line.section, line.offset, line.width, line.loaded, line.loaded});
        }
        return;
    }
    Change change{ChangeKind::changed,
                  SectionKind::text,
                  name,
                  new_.units[b].name,
                  now.reason,
                  now.detail,
                  unit_text_bytes(actual_, base),
                  unit_text_bytes(new_, b),
                  {}};
    // Proven between the two builds; what was left out before was proven then.
    uint32_t old_unit = old_new_.b_to_a[b];
    Difference built = old_new_comparer_->units(old_unit, b);
    bool line_only = was_lined && built.reason == Reason::none;
    if (built.reason == Reason::bytes &&
        old_new_comparer_->units(old_unit, b, true).reason == Reason::none) {
        change.lines =
            line_numbers_only(old_, old_unit, old_debug_, new_, b, new_debug_, options_.xfrm);
        line_only = !change.lines.empty();
    }
    if (line_only && change.lines.empty()) {
        for (const auto& line : state_.omitted) {
            if (line.symbol != name) continue;
            change.lines.push_back(
                {line.section, line.offset, line.width, line.loaded, line.built});
        }
    }
    if (line_only) change.kind = ChangeKind::line_numbers;
    if (line_only && options_.omit_line_only && omit(b, base, change)) {
        change.kind = ChangeKind::line_numbers_omitted;
        result_.changes.push_back(std::move(change));
        return;
    }
    include(b, std::move(change));
}

bool Differ::may_replace(const std::string& name) const {
    const auto& allowed = options_.replace_constants;
    return std::find(allowed.begin(), allowed.end(), name) != allowed.end() ||
           std::find(allowed.begin(), allowed.end(), stable_name(name)) != allowed.end();
}

void Differ::compare_data(uint32_t b, uint32_t base) {
    Difference now = base_new_comparer_->units(base, b);
    if (now.reason == Reason::none) return;
    const std::string& name = actual_.units[base].name;
    SectionKind kind = unit_kind(actual_, base);
    if (is_writable(kind)) {
        refusals_.push_back(fmt::format(
            "{} {}: {} ({}). Objects that are written to keep their place and content; change the "
            "code so that it needs a new object instead",
            section_kind_text(kind), name, reason_text(now.reason), now.detail));
        return;
    }
    if (!may_replace(name)) {
        refusals_.push_back(fmt::format(
            "constant {}: {} ({}). Long-lived pointers to it keep seeing the old content; if that "
            "is right, say --replace-constant {}",
            name, reason_text(now.reason), now.detail, stable_name(name)));
        return;
    }
    include(b, {ChangeKind::constant,
                kind,
                name,
                new_.units[b].name,
                now.reason,
                now.detail,
                unit_data_bytes(actual_, base),
                unit_data_bytes(new_, b),
                {}});
}

void Differ::compare() {
    base_new_comparer_.emplace(actual_, new_, base_new_);
    old_new_comparer_.emplace(old_, new_, old_new_);
    included_.assign(new_.units.size(), false);
    for (uint32_t base = 0; base < actual_.units.size(); base++) {
        uint32_t b = base_new_.a_to_b[base];
        SectionKind kind = unit_kind(actual_, base);
        if (kind == SectionKind::literal) continue;
        result_.units_compared++;
        if (b == no_index) {
            removed_.push_back(actual_.units[base].name);
            result_.changes.push_back(
                {ChangeKind::removed,
                 kind,
                 actual_.units[base].name,
                 "",
                 Reason::none,
                 "",
                 unit_text_bytes(actual_, base) + unit_data_bytes(actual_, base),
                 0,
                 {}});
        } else if (kind == SectionKind::text) {
            compare_text(b, base);
        } else {
            compare_data(b, base);
        }
    }
    auto symbols = front::defined_names(new_);
    for (uint32_t b = 0; b < new_.units.size(); b++) {
        SectionKind kind = unit_kind(new_, b);
        if (kind == SectionKind::literal || base_new_.b_to_a[b] != no_index) continue;
        const std::string& name = new_.units[b].name;
        bool global = new_.symbols[symbols.at(name)].binding != Binding::local;
        if (global && std::find(removed_.begin(), removed_.end(), name) != removed_.end()) {
            refusals_.push_back(fmt::format("{} becomes {}; under its name only one can be", name,
                                            section_kind_text(kind)));
        }
        include(b, {ChangeKind::added,
                    kind,
                    new_.units[b].name,
                    new_.units[b].name,
                    Reason::none,
                    "",
                    0,
                    unit_text_bytes(new_, b) + unit_data_bytes(new_, b),
                    {}});
    }
    if (!refusals_.empty()) cannot("{}", fmt::join(refusals_, "\n"));
}

DiffResult Differ::run() {
    read();
    check_compilers();
    match_old_build();
    match_new_build();
    compare();
    std::vector<std::string> layouts = layout_changes(old_debug_, new_debug_);
    result_.warnings.insert(result_.warnings.end(), layouts.begin(), layouts.end());
    bool any = std::any_of(included_.begin(), included_.end(), [](bool b) { return b; });
    if (!any && removed_.empty()) {
        size_t left_out = result_.changes.size();
        throw Error(left_out == 0
                        ? "no change"
                        : fmt::format("no change but line numbers of {} functions", left_out),
                    Failure::no_change);
    }
    choose_names();
    Image patch = make_patch();
    check_result(patch);
    seal(patch);
    return std::move(result_);
}

DiffResult diff(const DiffOptions& options) {
    return Differ(options).run();
}

}  // namespace sgxdl::diff
