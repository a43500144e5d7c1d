// Are two paired units the same, and if not, why?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tool/diff/pairing.hpp"
#include "tool/front/image.hpp"

namespace sgxdl::diff {

// The first respect in which two units differ, worst last.
enum class Reason : uint8_t {
    none,
    literal,  // refers to another literal
    target,   // refers to another symbol
    symbols,  // has other symbols
    bytes,    // code or data bytes outside relocated fields
    size,     // size, alignment or sections
};
const char* reason_text(Reason reason);

struct Difference {
    Reason reason = Reason::none;
    std::string detail;  // for people: where and what
};

// Compares units of two images under a pairing, all of which outlive it.
class Comparer {
 public:
    Comparer(const front::Image& a, const front::Image& b, const Pairing& pairing);
    // Compares unit `a` of the first image with unit `b` of the second: kinds, sizes, alignment,
    // bytes outside relocated fields, relocations with targets under the pairing, symbols.
    // With `ignore_bytes` bytes of text count as equal: line_numbers.hpp has explained them.
    Difference units(uint32_t a, uint32_t b, bool ignore_bytes = false) const;

 private:
    const front::Image& a_;
    const front::Image& b_;
    const Pairing& pairing_;
    std::vector<std::vector<uint32_t>> symbols_a_, symbols_b_;  // [section]
};

// Every unit has a partner and equals it. Returns one line per difference; none: the images are
// the same up to a bijection of local names.
std::vector<std::string> equal_units(const front::Image& a, const front::Image& b,
                                     const Hints& hints = {});

// Printable start of a literal's or constant's content.
std::string preview(const front::Section& section);

}  // namespace sgxdl::diff
