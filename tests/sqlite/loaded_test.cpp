// SQLite loaded as a module gives the answers of the native builds.
#include <gtest/gtest.h>

#include "examples/sqlite/corpus/dataset.hpp"
#include "tests/sqlite/paths.hpp"
#include "tests/sqlite/target.hpp"

namespace sgxdl::sqlite::test {
namespace {

TEST(Loaded, AnswersAreThoseOfTheNativeBuilds) {
    for (const std::string state : {"a", "b", "c"}) {
        SCOPED_TRACE(state);
        const auto target = make_target();
        const Change loaded = target->apply(path_of("sqlite-" + state + ".sgxm"));
        ASSERT_TRUE(loaded.ok()) << loaded.error;
        EXPECT_GT(loaded.functions, 1700u);
        ASSERT_EQ(target->start(), "");
        const std::string database = "file:/data?vfs=memdb";
        const auto connection = target->connect(0, database, 0);
        std::vector<char> buffer(8192);
        ASSERT_TRUE(create_dataset({}, [&](const std::string& sql) {
            const std::string text = answer(*connection, sql, buffer);
            EXPECT_EQ(text, "");
            return text.empty();
        }));
        const Expected expected =
            Expected::read(std::string(SGXDL_SQLITE_EXPECTED) + "/expected." + state + ".json");
        std::vector<Query> queries = client_queries();
        queries.push_back(probe_query());
        queries.push_back(many_terms_query(250));
        for (const Query& query : queries) {
            EXPECT_EQ(answer(*connection, query.sql, buffer), expected.of(query.name))
                << query.name;
        }
        const auto limited = target->connect(1, database, small_column_limit);
        for (const Query& query : limited_queries()) {
            EXPECT_EQ(answer(*limited, query.sql, buffer), expected.of(query.name)) << query.name;
        }
    }
}

}  // namespace
}  // namespace sgxdl::sqlite::test
