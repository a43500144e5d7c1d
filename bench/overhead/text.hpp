// Compares machine code as it was loaded with machine code as it was linked statically, outside the
// fields that relocations fill.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sgxdl::bench {

struct TextComparison {
    uint64_t functions = 0;   // compared, in both builds
    uint64_t bytes = 0;       // of them
    uint64_t masked = 0;      // bytes under relocations, not compared
    uint64_t different = 0;   // functions that differ; the first one is named
    uint64_t same_place = 0;  // functions that have the same offset within a page in both
    uint64_t missing = 0;     // functions that the static image does not have
    std::string first_difference;
    bool identical() const { return functions != 0 && different == 0 && missing == 0; }
};

// `bundle_file`: the module as packed. `read_loaded(offset, size)`: loaded code, relative to the
// first byte of the function `anchor`. `static_file`: the enclave image as the linker made it
// (ELF).
TextComparison compare_text(
    const std::string& bundle_file, const std::string& anchor,
    const std::function<std::vector<uint8_t>(int64_t offset, uint64_t size)>& read_loaded,
    const std::string& static_file);

}  // namespace sgxdl::bench
