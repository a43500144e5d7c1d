// sgxdl diff: two builds to a signed patch bundle.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include <nlohmann/json.hpp>

#include "tool/diff/diff.hpp"
#include "tool/front/object.hpp"
#include "tool/verbs/verbs.hpp"

namespace sgxdl::tool {
namespace {

using nlohmann::json;

struct Options {
    diff::DiffOptions diff;
    std::string key, output;
    bool json = false;
    bool all = false;
};

json extent_json(const front::Extent& extent) {
    return {{"functions", extent.functions},
            {"units", extent.units.size()},
            {"text_bytes", extent.text_bytes},
            {"data_bytes", extent.data_bytes}};
}

json change_json(const diff::Change& change) {
    json out{{"name", change.name},
             {"change", diff::change_text(change.kind)},
             {"kind", front::section_kind_text(change.what)},
             {"old_bytes", change.old_size},
             {"new_bytes", change.new_size}};
    if (!change.built_name.empty() && change.built_name != change.name) {
        out["built_name"] = change.built_name;
    }
    if (change.reason != diff::Reason::none) {
        out["reason"] = diff::reason_text(change.reason);
        out["detail"] = change.detail;
    }
    for (const diff::LineNumber& line : change.lines) {
        out["lines"].push_back(
            {{"offset", line.offset}, {"old", line.old_line}, {"new", line.new_line}});
    }
    return out;
}

std::string why(const diff::Change& change) {
    if (!change.lines.empty()) {
        std::string text;
        for (size_t i = 0; i < change.lines.size() && i < 3; i++) {
            text += fmt::format("{}{} -> {}", i == 0 ? "line " : ", ", change.lines[i].old_line,
                                change.lines[i].new_line);
        }
        if (change.lines.size() > 3) text += fmt::format(", and {} more", change.lines.size() - 3);
        return text;
    }
    if (change.reason == diff::Reason::none) return "";
    return fmt::format("{}: {}", diff::reason_text(change.reason), change.detail);
}

void print_table(const diff::DiffResult& result, const Options& options, double ms) {
    fmt::print("{:<23} {:<40} {:>15}  {}\n", "change", "name", "bytes", "why");
    for (const diff::Change& change : result.changes) {
        std::string bytes = change.old_size == change.new_size
                                ? fmt::format("{}", change.new_size)
                                : fmt::format("{} -> {}", change.old_size, change.new_size);
        std::string kind = diff::change_text(change.kind);
        if (change.what != front::SectionKind::text) {
            kind += fmt::format(" ({})", front::section_kind_text(change.what));
        }
        fmt::print("{:<23} {:<40} {:>15}  {}\n", kind, change.name, bytes, why(change));
    }
    for (const std::string& warning : result.warnings)
        fmt::print("warning: {}\n", warning);
    fmt::print(
        "{}: {} functions in the patch ({} bytes); it rebuilds {} functions, {} bytes of text "
        "and {} of read-only data\n{} units compared, result checked against the new build, "
        "in {:.0f} ms\ndigest {}\n",
        options.output, result.changed.functions, result.changed.text_bytes,
        result.closure.functions, result.closure.text_bytes, result.closure.data_bytes,
        result.units_compared, ms, front::hex(result.digest));
}

void run(Options& options) {
    auto begin = std::chrono::steady_clock::now();
    options.diff.key = front::read_secret_key(options.key);
    diff::DiffResult result = diff::diff(options.diff);
    front::write_file(options.output, result.bundle);
    double ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    if (!options.json) {
        print_table(result, options, ms);
        return;
    }
    json out{{"output", options.output},
             {"digest", front::hex(result.digest)},
             {"bytes", result.bundle.size()},
             {"units_compared", result.units_compared},
             {"changed", extent_json(result.changed)},
             {"closure", extent_json(result.closure)},
             {"warnings", result.warnings},
             {"changes", json::array()},
             {"diff_ms", ms}};
    for (const diff::Change& change : result.changes)
        out["changes"].push_back(change_json(change));
    fmt::print("{}\n", out.dump(2));
}

}  // namespace

void add_diff(CLI::App& app) {
    auto options = std::make_shared<Options>();
    diff::DiffOptions& diff = options->diff;
    CLI::App* verb = app.add_subcommand("diff", "Make a signed patch bundle of two builds");
    verb->add_option("--base", diff.base,
                     "What the enclave has: the module bundle, then its patches in order")
        ->required()
        ->type_name("BUNDLE");
    verb->add_option("--old", diff.old_objects,
                     "All objects of the build that the base was made of")
        ->required()
        ->type_name("FILE");
    verb->add_option("--new", diff.new_objects, "All objects of the build to lead to")
        ->required()
        ->type_name("FILE");
    verb->add_option("--key", options->key, "Vendor's secret key")->required();
    verb->add_option("--version", diff.version, "Version after the patch, for people")->required();
    verb->add_option("--security-version", diff.security_version,
                     "Security version after the patch (default: the base's, or one more without "
                     "--allow-rollback)");
    verb->add_flag("--allow-rollback", diff.allow_rollback, "Lets the operator undo this patch");
    verb->add_flag("--omit-line-only", diff.omit_line_only,
                   "Leaves out functions that differ by line numbers only (proven by debug "
                   "information, each is listed)");
    verb->add_option("--replace-constant", diff.replace_constants,
                     "Named constant whose content may change")
        ->type_name("NAME");
    verb->add_option("--xfrm", diff.xfrm, "Extended processor state that the enclave enables")
        ->capture_default_str();
    verb->add_option("--output", options->output, "Patch to write")->required()->type_name("FILE");
    verb->add_flag("--json", options->json, "Prints JSON");
    verb->footer(
        "Exit codes: 2 the builds cannot be patched into one another (says why), 3 no change.\n"
        "Example: sgxdl diff --base app.sgxm --old old/*.o --new new/*.o --key vendor.key \\\n"
        "             --version 1.1 --security-version 2 --output fix.sgxp");
    verb->callback([options] { run(*options); });
}

}  // namespace sgxdl::tool
