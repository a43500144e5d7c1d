// sgxdl inspect: what is in a bundle.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include <nlohmann/json.hpp>

#include "tool/front/bundle.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"
#include "tool/front/reach.hpp"
#include "tool/verbs/verbs.hpp"

namespace sgxdl::tool {
namespace {

using nlohmann::json;

struct Options {
    std::string bundle, key;
    std::vector<std::string> reach, closure;
    bool units = false;
    bool json = false;
};

json describe(const front::Image& image, const front::Extent& extent, bool list) {
    json out{{"functions", extent.functions},
             {"units", extent.units.size()},
             {"text_bytes", extent.text_bytes},
             {"data_bytes", extent.data_bytes},
             {"relocations", extent.relocations}};
    if (!list) return out;
    json names = json::array();
    json function_names = json::array();
    for (uint32_t unit : extent.units) {
        names.push_back(image.units[unit].name);
        if (front::is_text_unit(image, unit)) function_names.push_back(image.units[unit].name);
    }
    out["unit_names"] = names;
    out["function_names"] = function_names;
    return out;
}

json relocation_counts(const front::Image& image) {
    std::map<std::string, uint64_t> counts;
    for (const front::Section& section : image.sections) {
        for (const front::Relocation& relocation : section.relocations) {
            counts[front::relocation_text(relocation.type)]++;
        }
    }
    return counts;
}

json list_units(const front::Image& image) {
    json units = json::array();
    std::vector<json> symbols(image.units.size(), json::array());
    for (const front::Symbol& symbol : image.symbols) {
        if (!symbol.defined() || symbol.type == front::SymbolType::section) continue;
        symbols[image.sections[symbol.section].unit].push_back(symbol.name);
    }
    for (uint32_t i = 0; i < image.units.size(); i++) {
        json sections = json::array();
        for (uint32_t id : image.units[i].sections) {
            const front::Section& section = image.sections[id];
            sections.push_back({{"name", section.name},
                                {"kind", front::section_kind_text(section.kind)},
                                {"bytes", section.size},
                                {"relocations", section.relocations.size()}});
        }
        units.push_back({{"name", image.units[i].name},
                         {"kind", front::section_kind_text(front::unit_kind(image, i))},
                         {"symbols", symbols[i]},
                         {"sections", sections}});
    }
    return units;
}

void print_extent(const char* title, const json& extent) {
    fmt::print("{}: {} functions, {} units, {} bytes of text, {} of data\n", title,
               extent["functions"].get<uint64_t>(), extent["units"].get<uint64_t>(),
               extent["text_bytes"].get<uint64_t>(), extent["data_bytes"].get<uint64_t>());
    if (!extent.contains("unit_names")) return;
    for (const json& name : extent["unit_names"])
        fmt::print("  {}\n", name.get<std::string>());
}

void print_text(const json& out) {
    fmt::print(
        "kind              {}\nproduct           {}\nmodule            {}\n"
        "version           {}\nsecurity version  {}\nrollback          {}\ndigest            {}\n",
        out["kind"].get<std::string>(), out["product"].get<std::string>(),
        out["module"].get<std::string>(), out["version"].get<std::string>(),
        out["security_version"].get<uint64_t>(),
        out["rollback_allowed"].get<bool>() ? "allowed" : "not allowed",
        out["digest"].get<std::string>());
    if (out.contains("predecessor")) {
        fmt::print("predecessor       {}\n", out["predecessor"].get<std::string>());
    }
    if (out.contains("signature_ok")) {
        fmt::print("signature         {}\n",
                   out["signature_ok"].get<bool>() ? "is the key's" : "BAD");
    } else {
        fmt::print("signature         not checked (give --key)\n");
    }
    print_extent("contents", out["contents"]);
    for (const auto& [type, count] : out["relocation_types"].items()) {
        fmt::print("  {:<24} {}\n", type, count.get<uint64_t>());
    }
    fmt::print("imports: {}\n", fmt::join(out["imports"].get<std::vector<std::string>>(), " "));
    for (const json& name : out["removed"])
        fmt::print("removed: {}\n", name.get<std::string>());
    if (out.contains("reach")) print_extent("reach", out["reach"]);
    if (out.contains("closure")) print_extent("closure", out["closure"]);
    if (!out.contains("unit_list")) return;
    for (const json& unit : out["unit_list"]) {
        fmt::print("{:<16} {}\n", unit["kind"].get<std::string>(), unit["name"].get<std::string>());
        for (const json& section : unit["sections"]) {
            fmt::print("    {:<40} {:>8} bytes {:>6} relocations\n",
                       section["name"].get<std::string>(), section["bytes"].get<uint64_t>(),
                       section["relocations"].get<uint64_t>());
        }
    }
}

void run(const Options& options) {
    front::Bundle bundle = front::open_bundle(front::read_file(options.bundle), options.bundle);
    const front::Image& image = bundle.image;
    std::vector<std::string> imports;
    for (const front::Symbol& symbol : image.symbols) {
        if (!symbol.defined()) imports.push_back(symbol.name);
    }
    bool patch = bundle.info.kind == SGXDL_BUNDLE_PATCH;
    json out{{"kind", patch ? "patch" : "module"},
             {"product", bundle.info.product},
             {"module", bundle.info.module},
             {"version", bundle.info.version},
             {"security_version", bundle.info.security_version},
             {"rollback_allowed", (bundle.info.flags & SGXDL_BUNDLE_ROLLBACK_ALLOWED) != 0},
             {"digest", front::hex(bundle.digest)},
             {"payload_bytes", bundle.payload.size()},
             {"relocation_types", relocation_counts(image)},
             {"imports", imports},
             {"notes", image.notes},
             {"removed", image.removed}};
    if (patch) out["predecessor"] = front::hex(bundle.info.predecessor);
    bool signature_ok = true;
    if (!options.key.empty()) {
        signature_ok = front::signed_by(bundle, front::read_public_key(options.key));
        out["signature_ok"] = signature_ok;
    }
    std::vector<bool> all(image.units.size(), true);
    out["contents"] = describe(image, front::measure(image, all), false);
    if (!options.reach.empty()) {
        out["reach"] = describe(image, front::reach(image, options.reach), true);
    }
    if (!options.closure.empty()) {
        auto defined = front::defined_names(image);
        std::vector<bool> changed(image.units.size());
        for (const std::string& name : options.closure) {
            auto found = defined.find(name);
            if (found == defined.end()) front::fail("{} is not defined in the bundle", name);
            changed[image.sections[image.symbols[found->second].section].unit] = true;
        }
        out["closure"] = describe(image, front::closure(image, changed), true);
    }
    if (options.units) out["unit_list"] = list_units(image);
    if (options.json) {
        fmt::print("{}\n", out.dump(2));
    } else {
        print_text(out);
    }
    if (!signature_ok) front::fail("{}: the signature is not by {}", options.bundle, options.key);
}

}  // namespace

void add_inspect(CLI::App& app) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("inspect", "Show what is in a bundle");
    verb->add_option("bundle", options->bundle, "Module or patch bundle")->required();
    verb->add_option("--key", options->key, "Vendor's public key: checks the signature");
    verb->add_option("--reach", options->reach,
                     "Prints the functions and bytes that loading these functions brings in")
        ->type_name("NAME");
    verb->add_option("--closure", options->closure,
                     "Prints what a patch of these functions would rebuild")
        ->type_name("NAME");
    verb->add_flag("--units", options->units, "Lists every unit with its sections");
    verb->add_flag("--json", options->json, "Prints JSON");
    verb->footer(
        "Exit code 1 when the signature is not the key's.\n"
        "Example: sgxdl inspect sqlite.sgxm --key vendor.pub --reach sqlite3_open");
    verb->callback([options] { run(*options); });
}

}  // namespace sgxdl::tool
