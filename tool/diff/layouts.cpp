#include "tool/diff/layouts.hpp"

#include <algorithm>

#include "tool/front/error.hpp"

namespace sgxdl::diff {
namespace {

using front::TypeLayout;

std::string describe(const TypeLayout& a, const TypeLayout& b) {
    std::vector<std::string> parts;
    if (a.size != b.size) parts.push_back(fmt::format("size {} became {}", a.size, b.size));
    auto find = [](const TypeLayout& layout, const std::string& name) {
        return std::find_if(layout.members.begin(), layout.members.end(),
                            [&](const TypeLayout::Member& member) { return member.name == name; });
    };
    auto at = [](const TypeLayout::Member& member) {
        return member.bit_offset ? fmt::format("bit {}", member.bit_offset)
                                 : fmt::format("{}", member.offset);
    };
    for (const TypeLayout::Member& member : a.members) {
        if (member.name.empty()) continue;
        auto now = find(b, member.name);
        if (now == b.members.end()) {
            parts.push_back(fmt::format("{} is gone", member.name));
        } else if (now->offset != member.offset || now->bit_offset != member.bit_offset) {
            parts.push_back(
                fmt::format("{} moved from {} to {}", member.name, at(member), at(*now)));
        } else if (now->size != member.size) {
            parts.push_back(
                fmt::format("{} grew from {} to {}", member.name, member.size, now->size));
        }
    }
    for (const TypeLayout::Member& member : b.members) {
        if (!member.name.empty() && find(a, member.name) == a.members.end()) {
            parts.push_back(fmt::format("{} is new at {}", member.name, at(member)));
        }
    }
    return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::vector<std::string> layout_changes(const front::DebugInfo& a, const front::DebugInfo& b) {
    std::vector<std::string> lines;
    for (const auto& [name, layouts] : a.types()) {
        auto found = b.types().find(name);
        if (found == b.types().end()) continue;
        // Only what changed: a name may have one layout per file.
        std::vector<TypeLayout> gone;
        std::vector<TypeLayout> come;
        for (const TypeLayout& layout : layouts) {
            const auto& now = found->second;
            if (std::find(now.begin(), now.end(), layout) == now.end()) gone.push_back(layout);
        }
        for (const TypeLayout& layout : found->second) {
            if (std::find(layouts.begin(), layouts.end(), layout) == layouts.end()) {
                come.push_back(layout);
            }
        }
        if (gone.empty() || come.empty()) continue;
        std::string line =
            fmt::format("layout of {} changed: {}", name, describe(gone[0], come[0]));
        auto users = b.type_users().find(name);
        if (users != b.type_users().end()) {
            std::vector<std::string> names(users->second.begin(), users->second.end());
            if (names.size() > 12) {
                line += fmt::format("; used by {} functions", names.size());
            } else {
                line += fmt::format("; used by {}", fmt::join(names, ", "));
            }
        }
        lines.push_back(line);
    }
    return lines;
}

}  // namespace sgxdl::diff
