// sqlite-demo: the main job on this machine, with figures. `./run demo` builds everything and calls
// it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>

#include "examples/sqlite/server/demo.hpp"

namespace {

// Everything stands beside this program, as the build left it.
sgxdl::sqlite::DemoOptions defaults() {
    const std::filesystem::path here =
        std::filesystem::read_symlink("/proc/self/exe").parent_path();
    sgxdl::sqlite::DemoOptions options;
    options.sgxdl = (here / "../../tool/sgxdl").lexically_normal();
    options.image = here / "sqlite-enclave.signed";
    options.key = here / "vendor.key";
    options.objects = SGXDL_SQLITE_DIR;
    options.expected = here;
    options.work = here / "demo";
    return options;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace sgxdl::sqlite;
    DemoOptions options = defaults();
    std::string json;
    unsigned window_ms = 200;
    bool sgx1 = false;
    CLI::App app(
        "SQLite in a running enclave: loaded, queried by two clients, and patched while they run.");
    app.add_option("--sgxdl", options.sgxdl, "The sgxdl command")
        ->capture_default_str()
        ->type_name("FILE");
    CLI::Option* const image = app.add_option("--image", options.image, "Signed enclave image")
                                   ->capture_default_str()
                                   ->type_name("FILE");
    app.add_flag("--sgx1", sgx1,
                 "The image for machines without SGX2 (no W^X); the emulator, if it is used, is "
                 "such a machine")
        ->excludes(image);
    app.add_option("--key", options.key, "Vendor's secret key")
        ->capture_default_str()
        ->type_name("FILE");
    app.add_option("--objects", options.objects, "Folder of scripts/sqlite-objects")
        ->capture_default_str();
    app.add_option("--expected", options.expected, "Folder of the native builds' answers")
        ->capture_default_str();
    app.add_option("--work", options.work, "Folder for bundles and the control socket")
        ->capture_default_str();
    app.add_option("--windows", options.gap.windows, "Windows of each kind in the gap measurement")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_option("--window-ms", window_ms, "Length of a window")->capture_default_str();
    app.add_option("--seconds", options.seconds, "How long clients run between two steps")
        ->capture_default_str();
    app.add_option("--json", json, "Writes the figures to FILE")->type_name("FILE");
    app.footer(
        "Exit codes: 0 all steps did what they must, 1 one did not, 2 usage.\n"
        "Example: sqlite-demo --json figures.json");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    options.gap.window = std::chrono::milliseconds(window_ms);
    if (sgx1) {
        options.image = std::filesystem::path(options.image).replace_extension(".static.signed");
        setenv("SGXEMU_SGX", "1", 1);
    }

    int exit_code = 0;
    try {
        Demo demo(options);
        try {
            demo.run();
            std::printf("\nall steps done, every answer right\n");
        } catch (const std::exception& error) {
            std::fprintf(stderr, "sqlite-demo: %s\n", error.what());
            exit_code = 1;
        }
        std::printf("\n%s", demo.figures().table().c_str());
        if (!json.empty() && !(std::ofstream(json) << demo.figures().json())) {
            std::fprintf(stderr, "sqlite-demo: cannot write %s\n", json.c_str());
            exit_code = 1;
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sqlite-demo: %s\n", error.what());
        exit_code = 1;
    }
    return exit_code;
}
