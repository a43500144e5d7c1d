// The steps of diff(). Internal; use diff.hpp.
#pragma once

#include <optional>
#include <set>
#include <unordered_map>

#include "tool/diff/diff.hpp"
#include "tool/diff/state.hpp"
#include "tool/front/debug_info.hpp"

namespace sgxdl::diff {

class Differ {
 public:
    explicit Differ(const DiffOptions& options) : options_(options) {}
    DiffResult run();

 private:
    // diff.cpp
    void set_security_version();
    void read();
    void check_compilers();
    void match_old_build();
    void match_new_build();
    void compare();
    void compare_text(uint32_t b, uint32_t base);
    void compare_data(uint32_t b, uint32_t base);
    bool omit(uint32_t b, uint32_t base, const Change& change);
    void find_removed();
    bool may_replace(const std::string& name) const;
    // make_patch.cpp
    void choose_names();
    std::vector<bool> with_literals() const;
    front::Image make_patch();
    void check_result(const front::Image& patch);
    void seal(const front::Image& patch);

    void include(uint32_t b, Change change);

    const DiffOptions& options_;
    ModuleState state_;
    uint64_t security_version_ = 0;  // of the patch
    front::Image actual_;            // what the enclave has, = state_.image
    front::Image nominal_;           // what the old build has, under the module's names
    front::Image old_, new_;
    front::DebugInfo old_debug_, new_debug_;
    Pairing base_old_;                  // nominal_ (a) with old_ (b)
    Pairing old_new_;                   // old_ (a) with new_ (b)
    Pairing base_new_;                  // actual_ (a) with new_ (b), composed of the two
    std::set<std::string> lined_;       // module names of units with omitted lines in the state
    std::vector<bool> included_;        // [new_ unit]
    std::vector<std::string> removed_;  // module names
    std::vector<front::OmittedLine> omitted_;
    std::vector<std::string> name_of_;  // [new_ symbol] name in the patch
    std::optional<Comparer> base_new_comparer_, old_new_comparer_;
    std::vector<std::string> refusals_;  // what keeps the patch from being made
    DiffResult result_;
};

}  // namespace sgxdl::diff
