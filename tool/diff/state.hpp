// The state of a module after its bundles: what the enclave has, name by name.
//
// apply() does in the vendor's tool what the loader does in the enclave (docs/bundle-format.md,
// rule 7), on Images instead of memory. diff uses it to start from the right state and to check
// its own result.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tool/front/bundle.hpp"
#include "tool/front/image.hpp"

namespace sgxdl::diff {

struct ModuleState {
    front::Image image;
    // Line numbers that differ from what the last build has; see nominal().
    std::vector<front::OmittedLine> omitted;
    // Every name that any bundle of the chain ever defined.
    std::set<std::string> names;
    front::BundleInfo info;  // of the newest bundle
    front::Digest digest{};  // of the newest bundle
};

// The state after a module bundle and patches on top of it, in order. Throws Error when one does
// not fit on the one before or is not signed by `key`.
ModuleState open_state(const std::vector<std::string>& paths, const front::PublicKey& key);

// What is left out after a patch: its own lines replace what was known about the same units.
std::vector<front::OmittedLine> omitted_after(const std::vector<front::OmittedLine>& before,
                                              const front::Image& patch);

// The image after a patch. Throws Error where the loader would refuse.
front::Image apply(const front::Image& base, const front::Image& patch);

// The image as the build has it: with the line numbers that were left out put in.
front::Image nominal(const front::Image& image, const std::vector<front::OmittedLine>& omitted);

}  // namespace sgxdl::diff
