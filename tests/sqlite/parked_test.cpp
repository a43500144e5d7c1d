// A thread held inside sqlite3_prepare, below a function that the patch changes, while the patch
// comes and goes 100 times: it finishes in the version that it began in, and keeps nothing but
// that.
#include <gtest/gtest.h>

#include <thread>

#include "examples/sqlite/corpus/dataset.hpp"
#include "examples/sqlite/interface.hpp"
#include "tests/sqlite/paths.hpp"
#include "tests/sqlite/target.hpp"

namespace sgxdl::sqlite::test {
namespace {

TEST(Parked, ThreadFinishesInItsVersionAndHoldsNothingElse) {
    const auto target = make_target();
    for (const char* file : {"sqlite-a.sgxm", "patch-ab.sgxp"}) {
        const Change change = target->apply(path_of(file));
        ASSERT_TRUE(change.ok()) << file << ": " << change.error;
    }
    ASSERT_EQ(target->start(), "");
    constexpr char database[] = "file:/parked?vfs=memdb";
    const auto keeper = target->connect(0, database, 0);
    std::vector<char> buffer(8192);
    ASSERT_TRUE(create_dataset(
        {.customers = 10, .products = 10, .orders = 10, .items = 10},
        [&](const std::string& sql) { return answer(*keeper, sql, buffer).empty(); }));
    const auto limited = target->connect(1, database, small_column_limit);
    const Query query = limited_queries().front();
    const std::string before_patch = answer(*limited, query.sql, buffer);
    ASSERT_FALSE(before_patch.starts_with("error")) << before_patch;

    const auto apply = [&] { return target->apply(path_of("patch-bc-short.sgxp")); };
    const auto rollback = [&] { return target->rollback(module_name); };
    // Some rounds first: the loader's own lists have their size then.
    for (int round = 0; round < 10; ++round) {
        ASSERT_TRUE(apply().ok());
        ASSERT_TRUE(rollback().ok());
    }
    target->reclaim();
    const Footprint idle = target->footprint();

    target->park_next_select(1);
    std::string parked_answer;
    std::thread parked([&] {
        std::vector<char> own(8192);
        parked_answer = answer(*limited, query.sql, own);
    });
    target->wait_until_parked();
    // Whatever fails below, the thread is let go.
    struct Release {
        Target& target;
        std::thread& thread;
        ~Release() {
            target.unpark();
            if (thread.joinable()) thread.join();
        }
    } const release{*target, parked};

    // After one patch: the new version, and the one that the parked thread can reach.
    const Change first = apply();
    EXPECT_TRUE(first.ok()) << first.error;
    target->reclaim();
    const Footprint held = target->footprint();
    EXPECT_EQ(held.generations, 2u);
    EXPECT_GE(held.units, idle.units + first.changed);
    EXPECT_GE(held.code_pages, idle.code_pages + first.text_bytes / 4096);
    EXPECT_LE(held.code_pages, idle.code_pages + first.text_bytes / 4096 + 2);
    // After 100: the same, nothing more.
    for (int round = 1; round < 100; ++round) {
        const Change back = rollback();
        ASSERT_TRUE(back.ok()) << "round " << round << ": " << back.error;
        const Change again = apply();
        ASSERT_TRUE(again.ok()) << "round " << round << ": " << again.error;
    }
    target->reclaim();
    EXPECT_EQ(target->footprint(), held);

    // Other threads are in the new version.
    {
        const auto other = target->connect(2, database, small_column_limit);
        EXPECT_EQ(answer(*other, query.sql, buffer), "error: more than 30 aggregate terms");
    }
    target->unpark();
    parked.join();
    EXPECT_EQ(parked_answer, before_patch);

    ASSERT_TRUE(rollback().ok());
    target->reclaim();
    const Footprint after = target->footprint();
    EXPECT_EQ(after, idle);
    EXPECT_EQ(answer(*limited, query.sql, buffer), before_patch);
}

}  // namespace
}  // namespace sgxdl::sqlite::test
