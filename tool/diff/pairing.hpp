// Which unit of one build is which unit of another.
//
// Global names say so themselves. Compilers number clones (foo.isra.0, foo.part.1) and static
// locals (name.7), and pack qualifies locals that clash (init@a.c); those are paired by refinement:
// equal content with equal references, then by who refers to them, until nothing moves.
// A wrong pair of functions or constants only makes a patch larger; a wrong pair of writable
// objects would mix up state, so those need evidence and are refused without it.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tool/front/image.hpp"

namespace sgxdl::diff {

struct Pairing {
    std::vector<uint32_t> a_to_b, b_to_a;                // units; no_index: no partner
    std::vector<uint32_t> symbol_a_to_b, symbol_b_to_a;  // symbols; no_index: no partner
    std::vector<std::string> ambiguous;  // writable objects that nothing tells apart
};

// Names of b's symbols → names of a's, where they are known (from an earlier pairing).
using Hints = std::unordered_map<std::string, std::string>;

Pairing pair_images(const front::Image& a, const front::Image& b, const Hints& hints = {});

// Takes unit `unit` of a and its partner apart again, symbols included.
void unpair(const front::Image& a, const front::Image& b, Pairing& pairing, uint32_t unit);

// The name without what compilers and pack number: foo.isra.3 → foo.isra, name.7 → name,
// init@a.c → init, const.<hash> → const.
std::string stable_name(const std::string& name);

// True for name.7: a static local, whose owner is known only by who refers to it.
bool is_numbered(const std::string& name);

}  // namespace sgxdl::diff
