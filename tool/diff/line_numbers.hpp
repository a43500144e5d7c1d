// Functions that differ by nothing but line numbers, with proof.
//
// "2000 became 2009" may be a limit that someone raised or an __LINE__ that moved. It is a line
// number only if, in each build, the immediate equals the line that the debug information gives
// for the very instruction that holds it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tool/front/debug_info.hpp"
#include "tool/front/image.hpp"

namespace sgxdl::diff {

// One immediate of a function.
struct LineNumber {
    uint32_t section = 0;  // position of the section in the unit
    uint64_t offset = 0;   // of the immediate's first byte
    uint32_t width = 0;    // bytes
    uint64_t old_line = 0;
    uint64_t new_line = 0;
};

// Empty unless the units' bytes differ by proven line numbers only; then each of them.
// Relocations are the caller's to compare.
std::vector<LineNumber> line_numbers_only(const front::Image& a, uint32_t unit_a,
                                          const front::DebugInfo& debug_a, const front::Image& b,
                                          uint32_t unit_b, const front::DebugInfo& debug_b,
                                          uint64_t xfrm);

}  // namespace sgxdl::diff
