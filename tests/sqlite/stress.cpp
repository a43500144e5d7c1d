#include "tests/sqlite/stress.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "examples/sqlite/corpus/dataset.hpp"
#include "examples/sqlite/interface.hpp"

namespace sgxdl::sqlite::test {

namespace {

constexpr char database[] = "file:/stress?vfs=memdb";

// A query whose right answer depends on the state that its call is pinned to.
struct TellingQuery {
    Query query;
    std::string before, after;
};

struct Shared {
    std::vector<CheckedQuery> plain;
    std::vector<TellingQuery> telling;
    std::atomic<bool> stopping = false;
    std::atomic<uint64_t> queries = 0, wrong = 0, failed = 0, before = 0, after = 0;
    std::mutex mutex;
    std::string trouble;

    void bad(const std::string& text) {
        const std::lock_guard lock(mutex);
        if (trouble.empty()) trouble = text;
    }
};

void client(Target& target, unsigned number, Shared& shared) {
    const auto connection = target.connect(2 * number + 1, database, 0);
    const auto limited = target.connect(2 * number + 2, database, small_column_limit);
    std::vector<char> buffer(16 << 10);
    size_t next = number * shared.plain.size() / 2;
    while (!shared.stopping) {
        const CheckedQuery& plain = shared.plain[next % shared.plain.size()];
        std::string text = answer(*connection, plain.query.sql, buffer);
        ++shared.queries;
        if (text != plain.right.front()) {
            ++(text.starts_with("error: ") ? shared.failed : shared.wrong);
            shared.bad(plain.query.name + ": " + text.substr(0, 300));
        }
        const TellingQuery& telling = shared.telling[next % shared.telling.size()];
        text = answer(*limited, telling.query.sql, buffer);
        ++shared.queries;
        if (text == telling.before) {
            ++shared.before;
        } else if (text == telling.after) {
            ++shared.after;
        } else {
            ++(text.starts_with("error: ") ? shared.failed : shared.wrong);
            shared.bad(telling.query.name + ": " + text.substr(0, 300));
        }
        ++next;
    }
}

// The rearm module's addresses are what they were, and its callback answers as `version`.
bool check_ticks(Target& target, const Ticks& first, int32_t version, Shared& shared) {
    const Ticks now = target.tick();
    Ticks expected = first;
    expected.global_version = expected.local_version = version;
    if (now.canonical() && now == expected) return true;
    shared.bad("the self-arming callback: version " + std::to_string(now.global_version) + " and " +
               std::to_string(now.local_version) + " instead of " + std::to_string(version) +
               (now.canonical() ? "" : ", addresses differ"));
    return false;
}

// Runs `rounds` rounds with clients, then stops them and lets everything be reclaimed.
bool run_rounds(Target& target, const StressOptions& options, unsigned rounds, const Ticks& first,
                Shared& shared) {
    shared.stopping = false;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < options.threads; ++t) {
        threads.emplace_back([&, t] {
            try {
                client(target, t, shared);
            } catch (const std::exception& error) {
                ++shared.failed;
                shared.bad(error.what());
            }
        });
    }
    bool good = true;
    for (unsigned round = 0; round < rounds && good && shared.wrong + shared.failed == 0; ++round) {
        Change change = target.apply(options.patch);
        // Both states get queries: at least one more answer before the next change.
        const uint64_t seen = shared.queries;
        while (change.ok() && shared.queries == seen && shared.failed == 0)
            std::this_thread::yield();
        if (change.ok()) change = target.rollback(module_name);
        if (change.ok()) change = target.apply(options.rearm_patch);
        if (change.ok() && !check_ticks(target, first, 2, shared)) good = false;
        if (change.ok()) change = target.rollback("rearm");
        if (change.ok() && !check_ticks(target, first, 1, shared)) good = false;
        if (!change.ok()) shared.bad("round " + std::to_string(round) + ": " + change.error);
        good = good && change.ok();
        target.reclaim();
    }
    shared.stopping = true;
    for (std::thread& thread : threads)
        thread.join();
    target.reclaim();
    return good;
}

}  // namespace

StressResult run_stress(Target& target, const StressOptions& options) {
    StressResult result;
    Shared shared;
    const Expected before = Expected::read(options.expected_folder + "/expected.b.json");
    const Expected after = Expected::read(options.expected_folder + "/expected.c.json");
    const Expected both[] = {before, after};
    shared.plain = checked_client_queries(both);
    // Short ones only: many fresh prepares meet every patch.
    std::erase_if(shared.plain, [](const CheckedQuery& query) { return query.query.heavy; });
    for (const Query& query : limited_queries()) {
        shared.telling.push_back({query, before.of(query.name), after.of(query.name)});
    }

    const auto keeper = target.connect(0, database, 0);  // the database lives as long as this
    std::vector<char> buffer(16 << 10);
    const bool created = create_dataset({}, [&](const std::string& sql) {
        const std::string text = answer(*keeper, sql, buffer);
        if (!text.empty()) shared.bad("data set: " + text);
        return text.empty();
    });
    result.first = target.tick();
    if (!result.first.canonical()) shared.bad("addresses of one function differ from the start");
    if (created && run_rounds(target, options, options.early_round, result.first, shared)) {
        result.early = target.footprint();
        result.rounds = options.early_round;
        if (run_rounds(target, options, options.rounds - options.early_round, result.first,
                       shared)) {
            result.late = target.footprint();
            result.rounds = options.rounds;
        }
    }
    result.queries = shared.queries;
    result.wrong_answers = shared.wrong;
    result.failed_queries = shared.failed;
    result.answered_before = shared.before;
    result.refused_after = shared.after;
    result.trouble = shared.trouble;
    return result;
}

}  // namespace sgxdl::sqlite::test
