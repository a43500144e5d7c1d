// sgxdl load, patch, rollback, unload, list.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "tool/control/client.hpp"
#include "tool/control/control.hpp"

namespace sgxdl::control {

namespace {

using nlohmann::json;

constexpr const char* exit_codes =
    "\nExit codes: 0 ok, 1 refused or failed (says why; the enclave is as before), 2 usage.";

struct Options {
    std::string socket, target;
    std::vector<std::string> functions;
    bool force = false, as_json = false;
};

std::shared_ptr<Options> common(CLI::App* verb) {
    auto options = std::make_shared<Options>();
    verb->add_option("--socket", options->socket, "Control socket of the running process")
        ->required()
        ->type_name("PATH");
    verb->add_flag("--json", options->as_json, "Prints JSON");
    return options;
}

// The server opens the file itself and may run in another folder.
std::string absolute(const std::string& path) {
    return std::filesystem::absolute(path).string();
}

void print_report(const char* what, const Options& options, const json& report) {
    if (options.as_json) {
        fmt::print("{}\n", report.dump(2));
        return;
    }
    fmt::print("{} {}: {} functions", what, options.target, report.at("functions").get<unsigned>());
    if (const unsigned changed = report.at("changed_functions"); changed != 0) {
        fmt::print(" ({} changed, {} with their closure)", changed,
                   report.at("closure_functions").get<unsigned>());
    }
    fmt::print(", {} relocations, {} KiB of text\n", report.at("relocations").get<unsigned>(),
               report.at("text_bytes").get<uint64_t>() / 1024);
    fmt::print("  generation {} after {:.2f} ms in {} slices, activated in {:.0f} us\n",
               report.at("generation").get<uint64_t>(), report.at("total_ms").get<double>(),
               report.at("slices").get<unsigned>(), report.at("activation_us").get<double>());
    if (!report.at("w_xor_x").get<bool>()) fmt::print("  no W^X: loaded code is writable\n");
}

void print_list(const Options& options, const json& answer) {
    if (options.as_json) {
        fmt::print("{}\n", answer.dump(2));
        return;
    }
    fmt::print(
        "platform   {}\nMRENCLAVE  {}\n{}generation {} of {} live{}\n"
        "memory     {} pages of code, {} read-only, {} data; {} stubs\n",
        answer.at("platform").get<std::string>(), answer.at("mrenclave").get<std::string>(),
        answer.at("w_xor_x").get<bool>() ? "" : "no W^X     loaded code is writable\n",
        answer.at("generation").get<uint64_t>(), answer.at("generations_live").get<unsigned>(),
        answer.at("oldest_pinned").get<uint64_t>() != 0
            ? fmt::format(", oldest pinned {}", answer.at("oldest_pinned").get<uint64_t>())
            : std::string(),
        answer.at("pages").at("code").get<uint64_t>(),
        answer.at("pages").at("read_only").get<uint64_t>(),
        answer.at("pages").at("data").get<uint64_t>(), answer.at("stubs").get<unsigned>());
    for (const json& m : answer.at("modules")) {
        fmt::print(
            "{:<10} version {}, security version {} (floor {}), {} patches, "
            "{} of {} functions, {} KiB kept{}\n",
            m.at("name").get<std::string>(), m.at("version").get<std::string>(),
            m.at("security_version").get<uint64_t>(), m.at("floor").get<uint64_t>(),
            m.at("patches").get<unsigned>(), m.at("functions_loaded").get<unsigned>(),
            m.at("functions_defined").get<unsigned>(),
            m.at("retained_bytes").get<uint64_t>() / 1024,
            m.at("unloading").get<bool>() ? "; unloaded, calls of before may be in it" : "");
    }
}

}  // namespace

void add_load(CLI::App& app) {
    CLI::App* verb = app.add_subcommand("load", "Load a module into a running enclave");
    auto options = common(verb);
    verb->add_option("bundle", options->target, "Module bundle (sgxdl pack)")->required();
    verb->add_option("--function", options->functions,
                     "Load only these functions and what they reach (may be repeated)");
    verb->footer(std::string("Example: sgxdl load --socket /run/shop.sock sqlite.sgxm") +
                 exit_codes);
    verb->callback([options] {
        print_report("loaded", *options,
                     ask(options->socket, {{"command", "load"},
                                           {"bundle", absolute(options->target)},
                                           {"functions", options->functions}}));
    });
}

void add_patch(CLI::App& app) {
    CLI::App* verb = app.add_subcommand("patch", "Patch a loaded module while it runs");
    auto options = common(verb);
    verb->add_option("bundle", options->target, "Patch bundle (sgxdl diff)")->required();
    verb->footer(std::string("Example: sgxdl patch --socket /run/shop.sock fix.sgxp") + exit_codes);
    verb->callback([options] {
        print_report(
            "applied", *options,
            ask(options->socket, {{"command", "patch"}, {"bundle", absolute(options->target)}}));
    });
}

void add_rollback(CLI::App& app) {
    CLI::App* verb = app.add_subcommand("rollback", "Undo the newest patch of a module");
    auto options = common(verb);
    verb->add_option("module", options->target, "Module's name")->required();
    verb->footer(std::string("Example: sgxdl rollback --socket /run/shop.sock sqlite") +
                 exit_codes);
    verb->callback([options] {
        print_report("rolled back", *options,
                     ask(options->socket, {{"command", "rollback"}, {"module", options->target}}));
    });
}

void add_unload(CLI::App& app) {
    CLI::App* verb = app.add_subcommand("unload", "Remove a module, or functions of it");
    auto options = common(verb);
    verb->add_option("module", options->target, "Module's name")->required();
    verb->add_option("--function", options->functions,
                     "Only these functions and what only they used (may be repeated)");
    verb->add_flag("--force", options->force, "Even if an address was handed out");
    verb->footer(std::string("Example: sgxdl unload --socket /run/shop.sock sqlite") + exit_codes);
    verb->callback([options] {
        print_report("unloaded", *options,
                     ask(options->socket, {{"command", "unload"},
                                           {"module", options->target},
                                           {"functions", options->functions},
                                           {"force", options->force}}));
    });
}

void add_list(CLI::App& app) {
    CLI::App* verb = app.add_subcommand("list", "Show what a running enclave has loaded");
    auto options = common(verb);
    verb->footer(std::string("Example: sgxdl list --socket /run/shop.sock") + exit_codes);
    verb->callback([options] {
        print_list(*options, ask(options->socket, {{"command", "list"}}));
    });
}

}  // namespace sgxdl::control
