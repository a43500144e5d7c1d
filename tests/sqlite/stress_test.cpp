// The stress test, with figures.
#include "tests/sqlite/stress.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sqlite/paths.hpp"

namespace sgxdl::sqlite::test {
namespace {

TEST(Stress, FixAppliedAndRolledBackUnderQueries) {
    const auto target = make_target();
    for (const char* file : {"sqlite-a.sgxm", "patch-ab.sgxp", "rearm-1.sgxm"}) {
        const Change change = target->apply(path_of(file));
        ASSERT_TRUE(change.ok()) << file << ": " << change.error;
    }
    ASSERT_EQ(target->start(), "");
    StressOptions options{.patch = path_of("patch-bc-short.sgxp"),
                          .rearm_patch = path_of("rearm-12.sgxp"),
                          .expected_folder = SGXDL_SQLITE_EXPECTED};
    if (const char* rounds = std::getenv("SGXDL_STRESS_ROUNDS")) {
        options.rounds = static_cast<unsigned>(std::atoi(rounds));
    } else if (std::getenv("SGXDL_TEST_FORM") != nullptr) {
        options.rounds = 100;
    }
    const StressResult result = run_stress(*target, options);
    std::cout << result.rounds << " rounds, " << result.queries << " queries ("
              << result.answered_before << " by the old, " << result.refused_after
              << " by the new version)\n";
    EXPECT_EQ(result.trouble, "");
    EXPECT_EQ(result.wrong_answers, 0u);
    EXPECT_EQ(result.failed_queries, 0u);
    EXPECT_EQ(result.rounds, options.rounds);
    EXPECT_EQ(result.late, result.early);
    // Both versions served, or nothing was tested.
    EXPECT_GT(result.answered_before, options.rounds / 4);
    EXPECT_GT(result.refused_after, options.rounds / 4);
}

}  // namespace
}  // namespace sgxdl::sqlite::test
