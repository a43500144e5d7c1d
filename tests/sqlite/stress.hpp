// The fix of CVE-2025-6965 applied and rolled back again and again under aggregate queries.
#pragma once

#include <string>

#include "tests/sqlite/target.hpp"

namespace sgxdl::sqlite::test {

struct StressOptions {
    unsigned rounds = 1000;     // patch and rollback each
    unsigned early_round = 10;  // footprint here must equal the one at the end
    unsigned threads = 2;
    std::string patch;            // b to c, rollback allowed
    std::string rearm_patch;      // version 1 to 2 of the rearm module
    std::string expected_folder;  // of expected.{b,c}.json
};

struct StressResult {
    uint64_t queries = 0, wrong_answers = 0, failed_queries = 0;
    uint64_t answered_before = 0, refused_after = 0;  // of the queries that tell b from c
    unsigned rounds = 0;
    Footprint early, late;
    Ticks first;          // addresses of the rearm module at the beginning
    std::string trouble;  // the first wrong answer or failed patch; empty: none
};

// `target` has state b loaded (and a's patch, if it began there) and SQLite started. Creates the
// data set and runs the rounds.
StressResult run_stress(Target& target, const StressOptions& options);

}  // namespace sgxdl::sqlite::test
