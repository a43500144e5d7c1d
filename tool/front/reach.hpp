// What loading a function brings in, and what a patch has to rebuild: the call graph's two walks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tool/front/image.hpp"

namespace sgxdl::front {

struct Extent {
    std::vector<uint32_t> units;  // in image order
    uint64_t functions = 0;       // units with text
    uint64_t text_bytes = 0;
    uint64_t data_bytes = 0;  // unit-owned tables included
    uint64_t relocations = 0;
};

// Sums up the units marked.
Extent measure(const Image& image, const std::vector<bool>& units);

// The units that define `names` and every unit that they reach through any relocation. Throws
// Error for a name that is not defined or not text.
Extent reach(const Image& image, const std::vector<std::string>& names);

// The changed units (all of `changed`) and every unit that is bound to one of them at link time,
// directly or through others: by a direct branch or by an object's address. A reference to a
// function's canonical address is not bound. Writable data are never rebuilt.
Extent closure(const Image& image, const std::vector<bool>& changed);

}  // namespace sgxdl::front
