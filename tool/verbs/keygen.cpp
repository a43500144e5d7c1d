// sgxdl keygen: makes the vendor's Ed25519 key pair.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <memory>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "tool/front/bundle.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"
#include "tool/verbs/verbs.hpp"

namespace sgxdl::tool {
namespace {

struct Options {
    std::string output;
    std::string c_header;
    bool json = false;
    bool force = false;
};

// A C header with the public key, for the measured image.
std::vector<uint8_t> c_header(const front::PublicKey& key) {
    std::string text =
        "/* The vendor's Ed25519 public key. Made by `sgxdl keygen`. */\n"
        "#pragma once\n\n"
        "#define SGXDL_VENDOR_KEY \\\n    {";
    for (size_t i = 0; i < key.size(); i++) {
        text += fmt::format("{}0x{:02x}", i == 0 ? "" : i % 12 == 0 ? ", \\\n     " : ", ", key[i]);
    }
    text += "}\n";
    return {text.begin(), text.end()};
}

void run(const Options& options) {
    std::string secret = options.output + ".key";
    std::string open = options.output + ".pub";
    if (!options.force && access(secret.c_str(), F_OK) == 0) {
        front::fail("{} exists already; --force replaces it", secret);
    }
    front::SecretKey key = front::generate_key();
    front::write_secret_key(secret, key);
    front::write_public_key(open, key.public_key);
    if (!options.c_header.empty()) {
        front::write_file(options.c_header, c_header(key.public_key));
    }
    if (options.json) {
        nlohmann::json out{{"secret_key", secret},
                           {"public_key", open},
                           {"public_key_hex", front::hex(key.public_key)}};
        fmt::print("{}\n", out.dump(2));
    } else {
        fmt::print("secret key  {} (keep it offline)\npublic key  {} {}\n", secret, open,
                   front::hex(key.public_key));
    }
}

}  // namespace

void add_keygen(CLI::App& app) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("keygen", "Make the vendor's Ed25519 key pair");
    verb->add_option("--output", options->output, "Writes NAME.key (secret) and NAME.pub, PEM")
        ->required()
        ->type_name("NAME");
    verb->add_option("--c-header", options->c_header, "Also writes the public key as a C header")
        ->type_name("FILE");
    verb->add_flag("--force", options->force, "Replaces an existing key");
    verb->add_flag("--json", options->json, "Prints JSON");
    verb->footer("Example: sgxdl keygen --output vendor");
    verb->callback([options] { run(*options); });
}

}  // namespace sgxdl::tool
