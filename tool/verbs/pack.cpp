// sgxdl pack: compiler output to a signed module bundle.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include <nlohmann/json.hpp>

#include "tool/front/elf_file.hpp"
#include "tool/front/object.hpp"
#include "tool/front/pack.hpp"
#include "tool/front/reach.hpp"
#include "tool/verbs/verbs.hpp"

namespace sgxdl::tool {
namespace {

struct Options {
    front::PackOptions pack;
    std::vector<std::string> inputs;
    std::string key, output;
    bool json = false;
};

void run(Options& options) {
    auto begin = std::chrono::steady_clock::now();
    options.pack.key = front::read_secret_key(options.key);
    front::Image image = front::build_image(options.inputs, options.pack.xfrm);
    front::BundleInfo info;
    info.product = options.pack.product;
    info.module = options.pack.module;
    info.version = options.pack.version;
    info.security_version = options.pack.security_version;
    std::vector<uint8_t> bundle = front::seal(info, front::write_elf(image), options.pack.key);
    front::write_file(options.output, bundle);
    sgxdl_bundle_header header;
    memcpy(&header, bundle.data(), sizeof header);
    front::Extent all = front::measure(image, std::vector<bool>(image.units.size(), true));
    std::vector<std::string> imports;
    for (const front::Symbol& symbol : image.symbols) {
        if (!symbol.defined() && symbol.type != front::SymbolType::section) {
            imports.push_back(symbol.name);
        }
    }
    double ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    std::string digest = front::hex(front::bundle_digest(header));
    if (options.json) {
        nlohmann::json out{{"output", options.output},     {"digest", digest},
                           {"bytes", bundle.size()},       {"units", image.units.size()},
                           {"functions", all.functions},   {"text_bytes", all.text_bytes},
                           {"data_bytes", all.data_bytes}, {"relocations", all.relocations},
                           {"imports", imports},           {"pack_ms", ms}};
        fmt::print("{}\n", out.dump(2));
    } else {
        fmt::print(
            "{}: {} functions, {} units, {} relocations, {} bytes of text, {} of data, "
            "{} imports, in {:.0f} ms\ndigest {}\n",
            options.output, all.functions, image.units.size(), all.relocations, all.text_bytes,
            all.data_bytes, imports.size(), ms, digest);
    }
}

}  // namespace

void add_pack(CLI::App& app) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("pack", "Make a signed module bundle of compiled objects");
    verb->add_option("inputs", options->inputs, "Objects and archives (every member is taken)")
        ->required()
        ->type_name("FILE");
    verb->add_option("--product", options->pack.product, "Product that the enclave must be")
        ->required();
    verb->add_option("--module", options->pack.module, "Module's name")->required();
    verb->add_option("--version", options->pack.version, "Version, for people")->required();
    verb->add_option("--security-version", options->pack.security_version,
                     "Security version; the enclave refuses lower ones than it has seen")
        ->capture_default_str();
    verb->add_option("--key", options->key, "Vendor's secret key (sgxdl keygen)")->required();
    verb->add_option("--output", options->output, "Bundle to write")->required()->type_name("FILE");
    verb->add_option("--xfrm", options->pack.xfrm,
                     "Extended processor state that the enclave enables, as in XCR0")
        ->capture_default_str();
    verb->add_flag("--json", options->json, "Prints JSON");
    verb->footer(
        "Compile with -ffunction-sections -fdata-sections to load and patch by function.\n"
        "Example: sgxdl pack --product shop --module sqlite --version 3.40.1 \\\n"
        "             --key vendor.key --output sqlite.sgxm sqlite3.o");
    verb->callback([options] { run(*options); });
}

}  // namespace sgxdl::tool
