// sqlite-server: the database service by itself, for an operator to try `sgxdl list`, `patch` and
// `rollback` on: the enclave, SQLite loaded into it, the data set, and client threads that check
// every answer until the program is interrupted.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>

#include "examples/sqlite/server/service.hpp"

namespace {

volatile std::sig_atomic_t interrupted = 0;
void interrupt(int) {
    interrupted = 1;
}

int serve(const sgxdl::sqlite::ServiceOptions& options, const std::string& expected,
          unsigned clients) {
    using namespace sgxdl::sqlite;
    std::vector<Expected> states;
    for (const char* state : {"a", "b", "c"}) {
        states.push_back(Expected::read(expected + "/expected." + state + ".json"));
    }
    const std::vector<CheckedQuery> queries = checked_client_queries(states);
    Service service(options);
    service.create_data();
    std::printf("MRENCLAVE %s, %s\n%llu rows; control socket %s\n",
                service.enclave().mrenclave().c_str(), service.enclave().platform().c_str(),
                static_cast<unsigned long long>(service.rows()), options.socket.c_str());
    std::fflush(stdout);
    std::signal(SIGINT, interrupt);
    std::signal(SIGTERM, interrupt);
    Clients running(
        clients, [&](unsigned client) { return service.connect(client_session + client); },
        queries);
    ClientCounts counts;
    while (interrupted == 0 && counts.wrong_answers + counts.failed_queries == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        counts = running.counts();
    }
    running.stop();
    counts = running.counts();
    std::printf("%llu queries, %llu wrong answers, %llu failed\n",
                static_cast<unsigned long long>(counts.queries),
                static_cast<unsigned long long>(counts.wrong_answers),
                static_cast<unsigned long long>(counts.failed_queries));
    if (counts.wrong_answers + counts.failed_queries == 0) return 0;
    std::fprintf(stderr, "sqlite-server: %s\n", counts.first_trouble.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    const std::filesystem::path here =
        std::filesystem::read_symlink("/proc/self/exe").parent_path();
    sgxdl::sqlite::ServiceOptions options{.image = here / "sqlite-enclave.signed",
                                          .module = here / "sqlite-a.sgxm",
                                          .socket = {},
                                          .on_log = {}};
    std::string expected = here;
    unsigned clients = 2;
    bool log = false;
    CLI::App app("SQLite in an enclave, with clients that check every answer.");
    app.add_option("--socket", options.socket, "Control socket to open")
        ->required()
        ->type_name("PATH");
    app.add_option("--image", options.image, "Signed enclave image")->capture_default_str();
    app.add_option("--module", options.module, "SQLite's module bundle")->capture_default_str();
    app.add_option("--expected", expected, "Folder of the native builds' answers")
        ->capture_default_str();
    app.add_option("--clients", clients, "Client threads")
        ->check(CLI::Range(1, 4))
        ->capture_default_str();
    app.add_flag("--log", log, "Prints the loader's transition log");
    app.footer(
        "Runs until it is interrupted. Exit codes: 0 every answer was right, 1 not so, 2 usage.\n"
        "Example: sqlite-server --socket /tmp/sqlite.sock --log\n"
        "         sgxdl patch --socket /tmp/sqlite.sock patch-ab.sgxp");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (log) {
        options.on_log = [](std::string_view line) {
            std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
        };
    }
    try {
        return serve(options, expected, clients);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sqlite-server: %s\n", error.what());
        return 1;
    }
}
