// Two builds and the module's present state → a signed patch bundle.
//
// The invariant: after the patch the module's units equal the new build's, unit for unit, up to a
// bijection of local names (and line numbers that were left out, each proven and listed). diff
// checks that on its own result before it hands it out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tool/diff/compare.hpp"
#include "tool/diff/line_numbers.hpp"
#include "tool/front/bundle.hpp"
#include "tool/front/disassembly.hpp"
#include "tool/front/reach.hpp"

namespace sgxdl::diff {

struct DiffOptions {
    std::vector<std::string> base;         // module bundle, then patches in order
    std::vector<std::string> old_objects;  // the build that the state came from
    std::vector<std::string> new_objects;  // the build to lead to
    front::SecretKey key;
    std::string version;
    // Default: the base's, and one more when the patch may not be rolled back.
    std::optional<uint64_t> security_version;
    bool allow_rollback = false;
    bool omit_line_only = false;
    std::vector<std::string> replace_constants;  // names whose content may change
    uint64_t xfrm = front::default_xfrm;
};

enum class ChangeKind : uint8_t {
    changed,               // function with other code
    line_numbers,          // function that differs by line numbers only; in the patch
    line_numbers_omitted,  // the same, left out
    added,
    removed,
    constant,  // named constant with other content
};
const char* change_text(ChangeKind kind);

struct Change {
    ChangeKind kind = ChangeKind::changed;
    front::SectionKind what = front::SectionKind::text;
    std::string name;        // the module's
    std::string built_name;  // the new build's
    Reason reason = Reason::none;
    std::string detail;
    uint64_t old_size = 0, new_size = 0;  // bytes
    std::vector<LineNumber> lines;
};

struct DiffResult {
    std::vector<uint8_t> bundle;
    front::Digest digest{};
    std::vector<Change> changes;        // in the module's order; additions last
    std::vector<std::string> warnings;  // layout changes and the like
    front::Extent changed;              // text units defined by the patch
    front::Extent closure;              // what applying the patch rebuilds, changed units included
    uint64_t units_compared = 0;
};

// Throws Error: Failure::cannot_diff where no patch can lead from the state to the new build,
// Failure::no_change where both are the same.
DiffResult diff(const DiffOptions& options);

}  // namespace sgxdl::diff
