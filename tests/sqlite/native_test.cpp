// What the three source states do natively, before any loader has a part in it: the facts that
// the in-enclave tests rest on. Built once per state.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "examples/sqlite/corpus/answers.hpp"
#include "examples/sqlite/corpus/dataset.hpp"
#include "examples/sqlite/corpus/queries.hpp"
#include "examples/sqlite/enclave/session.hpp"
#include "examples/sqlite/native/native_api.hpp"

namespace sgxdl::sqlite {
namespace {

constexpr bool fixed = SGXDL_SQLITE_STATE[0] == 'c';

class NativeSqlite : public testing::Test {
 protected:
    static void SetUpTestSuite() { ASSERT_EQ(native_api().enclave_sqlite_start(), result_ok); }

    // Every test has its own shared database.
    void open(Session& session, int column_limit = 0) {
        const std::string name =
            "file:/" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) +
            "?vfs=memdb";
        const Reply reply = session.open(native_api(), name.c_str(), column_limit, buffer_);
        ASSERT_EQ(reply.result, result_ok) << std::string(buffer_.data(), reply.size);
    }
    std::string ask(Session& session, const std::string& sql) {
        return answer(session, sql, buffer_);
    }

    std::vector<char> buffer_ = std::vector<char>(4096);
};

TEST_F(NativeSqlite, ManyAggregateTermsAreRefusedOnlyOnceFixed) {
    Session session;
    open(session);
    EXPECT_EQ(ask(session, "CREATE TABLE tiny(x); INSERT INTO tiny VALUES(1),(20),(300),(4000)"),
              "");
    const std::string text = ask(session, many_terms_query(250).sql);
    if (fixed) {
        EXPECT_EQ(text, "error: more than 2000 aggregate terms");
    } else {
        // First column: the sum over four rows of x+1 .. x+10.
        EXPECT_TRUE(text.starts_with("43430|43830|")) << text.substr(0, 80);
    }
    // Just below the limit every state answers.
    EXPECT_TRUE(ask(session, many_terms_query(200).sql).starts_with("43430|43830|"));
}

TEST_F(NativeSqlite, SmallColumnLimitMovesTheRefusal) {
    Session plain;
    open(plain);
    ASSERT_TRUE(create_dataset({.customers = 10, .products = 10, .orders = 10, .items = 10},
                               [&](const std::string& sql) { return ask(plain, sql).empty(); }));
    Session limited;
    open(limited, small_column_limit);
    for (const Query& query : limited_queries()) {
        const std::string unlimited = ask(plain, query.sql);
        EXPECT_FALSE(unlimited.starts_with("error")) << query.name << ": " << unlimited;
        EXPECT_EQ(ask(limited, query.sql),
                  fixed ? "error: more than 30 aggregate terms" : unlimited);
    }
}

TEST_F(NativeSqlite, AnswersLargerThanTheBufferAreFetchedInParts) {
    Session session;
    open(session);
    const std::string sql =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) SELECT i, NULL "
        "FROM n";
    std::string expected;
    for (int i = 1; i <= 2000; ++i)
        expected += std::to_string(i) + "|NULL\n";
    ASSERT_GT(expected.size(), buffer_.size());
    EXPECT_EQ(ask(session, sql), expected);
    const Reply extra = session.fetch(buffer_);
    EXPECT_EQ(extra.result, result_misuse);
}

TEST_F(NativeSqlite, RowLargerThanTheBufferIsAnErrorAndTheSessionGoesOn) {
    Session session;
    open(session);
    EXPECT_EQ(ask(session, "SELECT printf('%.5000c', 'x')"),
              "error: a row is larger than the buffer");
    EXPECT_EQ(ask(session, "SELECT 1, 'a'; "), "1|a\n");
}

TEST_F(NativeSqlite, ConnectionsShareTheDatabaseOfOneName) {
    Session writer, reader;
    open(writer);
    open(reader);
    EXPECT_EQ(ask(writer, "CREATE TABLE t(x); INSERT INTO t VALUES(7)"), "");
    EXPECT_EQ(ask(reader, "SELECT x FROM t"), "7\n");
}

TEST_F(NativeSqlite, FilesAreRefused) {
    Session session;
    const Reply reply = session.open(native_api(), "/etc/passwd", 0, buffer_);
    EXPECT_EQ(reply.result, 14);  // SQLITE_CANTOPEN
    EXPECT_EQ(std::string(buffer_.data(), reply.size), "unable to open database file");
    EXPECT_FALSE(session.is_open());
}

TEST_F(NativeSqlite, ThreadsGetTheSameAnswersAsOneThread) {
    Session loader;
    open(loader);
    ASSERT_TRUE(create_dataset({.customers = 800, .products = 200, .orders = 1000, .items = 3000},
                               [&](const std::string& sql) { return ask(loader, sql).empty(); }));
    const std::vector<Query> queries = client_queries();
    std::vector<std::string> expected;
    for (const Query& query : queries)
        expected.push_back(ask(loader, query.sql));
    std::vector<std::thread> threads;
    std::vector<std::string> wrong(2);
    std::vector<Session> sessions(2);
    for (Session& session : sessions)
        open(session);
    for (size_t t = 0; t < sessions.size(); ++t) {
        threads.emplace_back([&, t] {
            std::vector<char> buffer(4096);
            for (size_t i = 0; i < 10 * queries.size(); ++i) {
                const size_t q = (i * (t + 1)) % queries.size();
                if (answer(sessions[t], queries[q].sql, buffer) != expected[q])
                    wrong[t] = queries[q].name;
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(wrong[0], "");
    EXPECT_EQ(wrong[1], "");
}

}  // namespace
}  // namespace sgxdl::sqlite
