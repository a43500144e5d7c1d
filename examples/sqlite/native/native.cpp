// Native reference: the same objects of one source state and the same session code as in the
// enclave, linked into an ordinary program. Creates the data set, runs every query, and writes
// the answers that the enclave's are compared with.
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "examples/sqlite/corpus/answers.hpp"
#include "examples/sqlite/corpus/dataset.hpp"
#include "examples/sqlite/corpus/queries.hpp"
#include "examples/sqlite/enclave/session.hpp"
#include "examples/sqlite/native/native_api.hpp"

namespace {

using namespace sgxdl::sqlite;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

bool open(Session& session, int column_limit, std::span<char> buffer) {
    const Reply reply = session.open(native_api(), "file:/data?vfs=memdb", column_limit, buffer);
    if (reply.result == result_ok) return true;
    std::fprintf(stderr, "open: %.*s\n", static_cast<int>(reply.size), buffer.data());
    return false;
}

void run(Session& session, const Query& query, std::span<char> buffer, Expected& out, bool times) {
    const auto start = Clock::now();
    std::string text = answer(session, query.sql, buffer);
    if (times)
        std::printf("%9.3f ms  %6zu bytes  %s\n", ms_since(start), text.size(), query.name.c_str());
    out.answers[query.name] = std::move(text);
}

int reference(const std::string& state, const std::string& file, bool times) {
    std::vector<char> buffer(1 << 16);
    if (native_api().enclave_sqlite_start() != result_ok) {
        std::fprintf(stderr, "SQLite does not start\n");
        return 1;
    }
    Session session;
    if (!open(session, 0, buffer)) return 1;
    const auto start = Clock::now();
    const DatasetSize size;
    const bool created = create_dataset(size, [&](const std::string& sql) {
        const std::string text = answer(session, sql, buffer);
        if (!text.starts_with("error: ")) return true;
        std::fprintf(stderr, "data set: %s\n", text.c_str());
        return false;
    });
    if (!created) return 1;
    if (times) std::printf("%9.3f ms  data set\n", ms_since(start));
    Session limited;
    if (!open(limited, small_column_limit, buffer)) return 1;

    Expected out{state, {}};
    for (const Query& query : client_queries())
        run(session, query, buffer, out, times);
    run(session, probe_query(), buffer, out, times);
    run(session, many_terms_query(250), buffer, out, times);
    for (const Query& query : limited_queries())
        run(limited, query, buffer, out, times);
    out.write(file);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const bool times = argc == 4 && std::string(argv[3]) == "--times";
    if (argc != 3 && !times) {
        std::fprintf(stderr,
                     "usage: sqlite-native-STATE STATE FILE [--times]\n"
                     "Writes the answers of this build of SQLite to FILE (JSON).\n"
                     "example: sqlite-native-c c expected.c.json --times\n");
        return 2;
    }
    try {
        return reference(argv[1], argv[2], times);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
        return 1;
    }
}
