#include "examples/sqlite/server/demo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <thread>

#include "examples/sqlite/interface.hpp"
#include "examples/sqlite/server/command.hpp"

namespace sgxdl::sqlite {

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

[[noreturn]] void fail(const std::string& text) {
    throw std::runtime_error(text);
}

nlohmann::json parse(const std::vector<std::string>& command, const std::string& output) {
    try {
        return nlohmann::json::parse(output);
    } catch (const nlohmann::json::exception& error) {
        fail(command_text(command) + ": its output is not JSON: " + error.what());
    }
}

// Runs the command, which must succeed; its JSON.
nlohmann::json run_json(const std::vector<std::string>& command) {
    const CommandResult result = run_command(command);
    if (result.exit_code == 0) return parse(command, result.output);
    fail(fmt::format("{}: exit code {}: {}{}", command_text(command), result.exit_code,
                     result.errors, result.output));
}

}  // namespace

Demo::Demo(const DemoOptions& options) : options_(options) {
    for (const char* state : {"a", "b", "c"}) {
        expected_.push_back(Expected::read(options_.expected + "/expected." + state + ".json"));
    }
    queries_ = checked_client_queries(expected_);
    std::filesystem::create_directories(options_.work);
}

Demo::~Demo() {
    clients_.reset();
}

void Demo::say(const char* topic, const std::string& text) const {
    std::printf("%-10s %s\n", topic, text.c_str());
    std::fflush(stdout);
}

void Demo::run() {
    make_bundles();
    start_service();
    start_clients();
    let_clients_run();

    expect_terms("a");
    patch("a -> b", path("patch-ab.sgxp"), false);
    let_clients_run();
    expect_terms("b");
    patch("b -> c", path("patch-bc.sgxp"), true);
    let_clients_run();
    expect_terms("c");
    rollback("c -> b");
    let_clients_run();
    expect_terms("b");
    patch("b -> c", path("patch-bc.sgxp"), false);
    let_clients_run();
    expect_terms("c");
    stop_clients();

    measure();

    start_clients();
    rollback("c -> b");
    patch("b -> c", path("patch-bc-final.sgxp"), false);
    rollback_refused();
    let_clients_run();
    expect_terms("c");
    restart();
    let_clients_run();
    expect_terms("c");
    stop_clients();

    figures_.queries = total_.queries;
    figures_.wrong_answers = total_.wrong_answers;
    figures_.failed_queries = total_.failed_queries;
    if (total_.wrong_answers + total_.failed_queries != 0) fail(total_.first_trouble);
}

// --- the vendor's side --------------------------------------------------------------------------

std::vector<std::string> Demo::objects_of(const char* state) const {
    std::vector<std::string> out;
    for (const char* name : {"sqlite3", "enclave_vfs", "enclave_mutex"}) {
        out.push_back(options_.objects + "/" + state + "/" + name + ".o");
    }
    return out;
}

nlohmann::json Demo::make(const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), options_.sgxdl);
    for (const std::string& more : {std::string("--key"), options_.key, std::string("--output"),
                                    path(name), std::string("--json")}) {
        arguments.push_back(more);
    }
    const auto start = Clock::now();
    nlohmann::json out = run_json(arguments);
    out["seconds"] = ms_since(start) / 1000;
    return out;
}

void Demo::pack(const char* state) {
    const std::string name = std::string("sqlite-") + state + ".sgxm";
    std::vector<std::string> arguments = {"pack",
                                          "--product",
                                          "sqlite",
                                          "--module",
                                          "sqlite",
                                          "--version",
                                          std::string("3.40.1-") + state};
    for (const std::string& object : objects_of(state))
        arguments.push_back(object);
    const nlohmann::json out = make(name, arguments);
    say("pack",
        fmt::format("{}: {} functions, {} KB, in {:.1f} s", name,
                    out.at("functions").get<uint64_t>(), out.at("bytes").get<uint64_t>() / 1024,
                    out.at("seconds").get<double>()));
}

void Demo::diff(const std::string& name, const char* from, const char* to,
                const std::vector<std::string>& base, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"diff", "--version", std::string("3.40.1-") + to,
                                          "--base"};
    for (const std::string& bundle : base)
        arguments.push_back(path(bundle));
    arguments.push_back("--old");
    for (const std::string& object : objects_of(from))
        arguments.push_back(object);
    arguments.push_back("--new");
    for (const std::string& object : objects_of(to))
        arguments.push_back(object);
    arguments.insert(arguments.end(), more.begin(), more.end());
    const nlohmann::json out = make(name, arguments);
    std::map<std::string, unsigned> kinds;
    for (const nlohmann::json& change : out.at("changes"))
        ++kinds[change.at("change")];
    std::string text;
    for (const auto& [kind, count] : kinds) {
        text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", kind, count);
    }
    say("diff",
        fmt::format("{}: {}; closure {} functions; {} KB, in {:.1f} s", name, text,
                    out.at("closure").at("functions").get<uint64_t>(),
                    out.at("bytes").get<uint64_t>() / 1024, out.at("seconds").get<double>()));
}

void Demo::make_bundles() {
    pack("a");
    pack("c");
    diff("patch-ab.sgxp", "a", "b", {"sqlite-a.sgxm"}, {"--allow-rollback"});
    const std::vector<std::string> base = {"sqlite-a.sgxm", "patch-ab.sgxp"};
    diff("patch-bc.sgxp", "b", "c", base, {"--allow-rollback", "--omit-line-only"});
    diff("patch-bc-final.sgxp", "b", "c", base, {"--security-version", "2", "--omit-line-only"});
}

// --- the service --------------------------------------------------------------------------------

void Demo::start_service() {
    service_ = std::make_unique<Service>(ServiceOptions{.image = options_.image,
                                                        .module = path("sqlite-a.sgxm"),
                                                        .socket = path("control"),
                                                        .on_log = {}});
    host::Enclave& enclave = service_->enclave();
    say("platform", enclave.platform());
    figures_.w_xor_x = enclave.w_xor_x();
    if (!enclave.w_xor_x()) say("", "no W^X: loaded code lies in pages that are writable");
    figures_.mrenclave = enclave.mrenclave();
    say("enclave", fmt::format("built in {:.1f} ms, MRENCLAVE {}", enclave.creation_ms(),
                               enclave.mrenclave()));
    const host::OperationReport& load = service_->load_report();
    say("module",
        fmt::format("SQLite loaded: {} functions, {} relocations, {} KB of text, {} KB of data"
                    ", in {:.1f} ms",
                    load.progress.functions, load.progress.relocations,
                    load.progress.text_bytes / 1024, load.progress.data_bytes / 1024,
                    load.total_ms));
    service_->create_data();
    say("data", fmt::format("{} rows in {:.0f} ms", service_->rows(), service_->data_ms()));
}

void Demo::start_clients() {
    clients_ = std::make_unique<Clients>(
        options_.gap.clients,
        [this](unsigned client) { return service_->connect(client_session + client); }, queries_);
}

void Demo::stop_clients() {
    clients_->stop();
    const ClientCounts counts = clients_->counts();
    clients_.reset();
    total_.queries += counts.queries;
    total_.wrong_answers += counts.wrong_answers;
    total_.failed_queries += counts.failed_queries;
    if (total_.first_trouble.empty()) total_.first_trouble = counts.first_trouble;
}

void Demo::let_clients_run() {
    const uint64_t before = clients_->counts().queries;
    std::this_thread::sleep_for(std::chrono::seconds(options_.seconds));
    const ClientCounts counts = clients_->counts();
    if (counts.wrong_answers + counts.failed_queries != 0) fail(counts.first_trouble);
    say("clients", fmt::format("{} threads, {} more queries, every answer right",
                               options_.gap.clients, counts.queries - before));
}

// The query that tells a patched SQLite from an unpatched must be answered as in `state`.
void Demo::expect_terms(const char* state) {
    const Query query = many_terms_query(250);
    const auto connection = service_->connect(check_session);
    std::vector<char> buffer(16 << 10);
    const std::string text = answer(*connection, query.sql, buffer);
    ++total_.queries;
    for (const Expected& expected : expected_) {
        if (expected.state != state) continue;
        if (text == expected.of(query.name)) {
            say("check",
                text.starts_with("error: ")
                    ? fmt::format("2500 aggregate terms refused: \"{}\"", text.substr(7))
                    : fmt::format("2500 aggregate terms accepted, answer as native build {}",
                                  state));
            return;
        }
        fail(fmt::format("2500 aggregate terms in state {}: '{}'", state, text.substr(0, 200)));
    }
}

// --- the operator's side ------------------------------------------------------------------------

void Demo::patch(const char* title, const std::string& file, bool record) {
    const std::vector<std::string> command = {options_.sgxdl,  "patch",  "--socket",
                                              path("control"), "--json", file};
    const nlohmann::json out = run_json(command);
    longest_change_ms_ = std::max(longest_change_ms_, out.at("total_ms").get<double>());
    const uint64_t changed = out.at("changed_functions"), closure = out.at("closure_functions");
    const double build = out.at("total_ms"), activate = out.at("activation_us");
    say("patch",
        fmt::format("{} while clients run: {} functions changed, {} linked, built in {:.1f} ms, "
                    "active in {:.0f} us{}",
                    title, changed, closure, build, activate,
                    out.at("w_xor_x").get<bool>() ? "" : "; no W^X"));
    if (!record) return;
    figures_.changed_functions = changed;
    figures_.closure_functions = closure;
    figures_.build_ms = build;
    figures_.activate_us = activate;
}

void Demo::rollback(const char* title) {
    const std::vector<std::string> command = {options_.sgxdl,  "rollback", "--socket",
                                              path("control"), "--json",   module_name};
    const nlohmann::json out = run_json(command);
    longest_change_ms_ = std::max(longest_change_ms_, out.at("total_ms").get<double>());
    say("rollback",
        fmt::format("{}: {} functions linked, in {:.1f} ms", title,
                    out.at("closure_functions").get<uint64_t>(), out.at("total_ms").get<double>()));
}

void Demo::rollback_refused() {
    const std::vector<std::string> command = {options_.sgxdl, "rollback", "--socket",
                                              path("control"), module_name};
    const CommandResult result = run_command(command);
    if (result.exit_code == 0) fail("a rollback that the patch does not allow was done");
    if (result.errors.find("does not allow") == std::string::npos) {
        fail("rollback failed for another reason: " + result.errors);
    }
    std::string text = result.errors;
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    say("rollback", "refused: " + text);
}

void Demo::measure() {
    const Query query = probe_query();
    // A window holds a patch wholly, with room to spare.
    options_.gap.window = std::max(
        options_.gap.window, std::chrono::milliseconds(static_cast<int>(3 * longest_change_ms_)));
    say("gap", fmt::format("{} windows of {} ms, every other one with a patch or a rollback",
                           2 * options_.gap.windows, options_.gap.window.count()));
    bool patched = true;  // the last patch is in force
    const GapResult gap = measure_gap(
        options_.gap, [this](unsigned client) { return service_->connect(probe_session + client); },
        {query, {expected_.front().of(query.name)}},
        [&] {
            host::Enclave& enclave = service_->enclave();
            const host::OperationReport report = patched
                                                     ? enclave.rollback(module_name)
                                                     : enclave.apply_patch(path("patch-bc.sgxp"));
            if (!report) fail("gap: " + report.message());
            patched = !patched;
            return true;
        });
    if (!patched) patch("b -> c", path("patch-bc.sgxp"), false);
    figures_.gap_ms_without_patch = gap.without_ms;
    figures_.gap_ms_with_patch = gap.with_ms;
    figures_.probe_interval_ms = gap.probe_interval_ms;
    total_.queries += gap.probes;
    total_.wrong_answers += gap.bad_probes;
    say("gap",
        fmt::format("{} probes, one per client every {:.3f} ms, {} windows of each kind: longest "
                    "wait {:.3f} ms without and {:.3f} ms with a patch (medians)",
                    gap.probes, gap.probe_interval_ms, gap.windows, gap.without_ms, gap.with_ms));
}

// What patching replaces: stop, build the enclave again, load the fixed module and the data.
void Demo::restart() {
    stop_clients();
    const auto last_answer = Clock::now();
    service_.reset();
    service_ = std::make_unique<Service>(ServiceOptions{.image = options_.image,
                                                        .module = path("sqlite-c.sgxm"),
                                                        .socket = path("control"),
                                                        .on_log = {}});
    service_->create_data();
    const Query query = probe_query();
    {
        const auto connection = service_->connect(check_session);
        std::vector<char> buffer(512);
        if (answer(*connection, query.sql, buffer) != expected_.back().of(query.name)) {
            fail("wrong answer after the restart");
        }
        ++total_.queries;
    }
    figures_.restart_ms = ms_since(last_answer);
    say("restart",
        fmt::format(
            "{:.0f} ms without service: enclave {:.0f} ms, module {:.0f} ms, data {:.0f} ms",
            *figures_.restart_ms, service_->enclave().creation_ms(),
            service_->load_report().total_ms, service_->data_ms()));
    if (service_->enclave().mrenclave() != figures_.mrenclave)
        fail("another MRENCLAVE after the restart");
    start_clients();
}

}  // namespace sgxdl::sqlite
