// Types whose layout changed between two builds.
#pragma once

#include <string>
#include <vector>

#include "tool/front/debug_info.hpp"

namespace sgxdl::diff {

// One line per structure or union with another size or other member offsets: old → new and who
// uses it. A type that outlives a call and changes its layout is wrong in a concurrent patch.
std::vector<std::string> layout_changes(const front::DebugInfo& a, const front::DebugInfo& b);

}  // namespace sgxdl::diff
