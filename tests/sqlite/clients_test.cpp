// The measuring code itself: clients notice wrong and failed answers, the gap measurement sees a
// stall that is there and none that is not.
#include "examples/sqlite/server/clients.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "examples/sqlite/server/gap.hpp"

namespace sgxdl::sqlite {
namespace {

// Answers every statement with one text, possibly late.
struct Fake : Connection {
    explicit Fake(std::string text, int result, const std::atomic<int64_t>* stall_until = nullptr)
        : text_(std::move(text)), result_(result), stall_until_(stall_until) {}
    Reply execute(std::span<const char>, std::span<char> out) override {
        while (stall_until_ != nullptr && now() < stall_until_->load())
            std::this_thread::yield();
        std::memcpy(out.data(), text_.data(), text_.size());
        return {.result = result_, .rows = 1, .size = text_.size()};
    }
    Reply fetch(std::span<char>) override { return {.result = result_misuse}; }
    static int64_t now() {
        return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::microseconds(1);
    }

    std::string text_;
    int result_;
    const std::atomic<int64_t>* stall_until_;
};

ClientCounts run_clients(const std::string& text, int result) {
    const std::vector<CheckedQuery> queries = {{{"one", "SELECT 1"}, {"1\n"}}};
    Clients clients(
        2, [&](unsigned) { return std::make_unique<Fake>(text, result); }, queries);
    while (clients.counts().queries < 100)
        std::this_thread::yield();
    clients.stop();
    return clients.counts();
}

TEST(Clients, CountRightWrongAndFailed) {
    const ClientCounts right = run_clients("1\n", result_done);
    EXPECT_EQ(right.wrong_answers + right.failed_queries, 0u) << right.first_trouble;
    const ClientCounts wrong = run_clients("2\n", result_done);
    EXPECT_EQ(wrong.wrong_answers, wrong.queries);
    EXPECT_NE(wrong.first_trouble.find("one answered '2"), std::string::npos)
        << wrong.first_trouble;
    const ClientCounts failed = run_clients("disk I/O error", result_error);
    EXPECT_EQ(failed.failed_queries, failed.queries);
}

TEST(Clients, ConnectionThatFailsIsCounted) {
    const std::vector<CheckedQuery> queries = {{{"one", "SELECT 1"}, {"1\n"}}};
    Clients clients(
        1, [](unsigned) -> std::unique_ptr<Connection> { throw std::runtime_error("no session"); },
        queries);
    clients.stop();
    EXPECT_EQ(clients.counts().failed_queries, 1u);
}

TEST(Gap, SeesAStallThatIsThere) {
    std::atomic<int64_t> stall_until = 0;
    const GapOptions options{.clients = 2, .windows = 5, .window = std::chrono::milliseconds(80)};
    const GapResult result = measure_gap(
        options, [&](unsigned) { return std::make_unique<Fake>("1\n", result_done, &stall_until); },
        {{"probe", "SELECT 1"}, {"1\n"}},
        [&] {
            stall_until = Fake::now() + 20'000;
            return true;
        });
    EXPECT_GE(result.with_ms, 19.0);
    EXPECT_LT(result.without_ms, 19.0);
    EXPECT_EQ(result.bad_probes, 0u);
    EXPECT_GT(result.probes, 1000u);
    EXPECT_GT(result.probe_interval_ms, 0.0);
}

TEST(Gap, ChangeThatFailsEndsIt) {
    const GapOptions options{.clients = 1, .windows = 1, .window = std::chrono::milliseconds(20)};
    const auto measure = [&] {
        measure_gap(
            options, [](unsigned) { return std::make_unique<Fake>("1\n", result_done); },
            {{"probe", "SELECT 1"}, {"1\n"}}, [] { return false; });
    };
    EXPECT_THROW(measure(), std::runtime_error);
}

}  // namespace
}  // namespace sgxdl::sqlite
