#include "tool/diff/line_numbers.hpp"

#include <algorithm>

#include "tool/front/disassembly.hpp"

namespace sgxdl::diff {
namespace {

using front::Field;
using front::FieldKind;
using front::Image;
using front::Section;
using front::SectionKind;

uint64_t read_value(const Section& section, uint64_t offset, uint32_t width) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < width; i++)
        value |= uint64_t{section.bytes[offset + i]} << (8 * i);
    return value;
}

bool is_line(const Image& image, const Section& section, const front::DebugInfo& debug,
             const Field& field, uint64_t value) {
    if (section.object == front::no_index || value > INT32_MAX) return false;
    return debug
        .lines(image.objects[section.object], section.object_section, field.begin, field.end)
        .contains(static_cast<int>(value));
}

}  // namespace

std::vector<LineNumber> line_numbers_only(const Image& a, uint32_t unit_a,
                                          const front::DebugInfo& debug_a, const Image& b,
                                          uint32_t unit_b, const front::DebugInfo& debug_b,
                                          uint64_t xfrm) {
    const auto& in_a = a.units[unit_a].sections;
    const auto& in_b = b.units[unit_b].sections;
    if (in_a.size() != in_b.size()) return {};
    std::vector<LineNumber> lines;
    for (uint32_t position = 0; position < in_a.size(); position++) {
        const Section& old_one = a.sections[in_a[position]];
        const Section& new_one = b.sections[in_b[position]];
        if (old_one.kind != new_one.kind || old_one.bytes.size() != new_one.bytes.size()) return {};
        if (old_one.bytes == new_one.bytes) continue;
        if (old_one.kind != SectionKind::text) return {};
        std::vector<Field> fields_a = front::decode_text(old_one.bytes, old_one.name, xfrm);
        std::vector<Field> fields_b = front::decode_text(new_one.bytes, new_one.name, xfrm);
        if (fields_a.size() != fields_b.size()) return {};
        std::vector<bool> explained(old_one.bytes.size());
        for (size_t i = 0; i < fields_a.size(); i++) {
            const Field& x = fields_a[i];
            const Field& y = fields_b[i];
            if (x.kind != y.kind || x.offset != y.offset || x.width != y.width ||
                x.begin != y.begin || x.end != y.end) {
                return {};
            }
            uint64_t was = read_value(old_one, x.offset, x.width);
            uint64_t is = read_value(new_one, y.offset, y.width);
            if (was == is) continue;
            if (x.kind != FieldKind::immediate || !is_line(a, old_one, debug_a, x, was) ||
                !is_line(b, new_one, debug_b, y, is)) {
                return {};
            }
            std::fill_n(explained.begin() + static_cast<ptrdiff_t>(x.offset), x.width, true);
            lines.push_back({position, x.offset, x.width, was, is});
        }
        for (size_t i = 0; i < explained.size(); i++) {
            if (!explained[i] && old_one.bytes[i] != new_one.bytes[i]) return {};
        }
    }
    return lines;
}

}  // namespace sgxdl::diff
