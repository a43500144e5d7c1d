// The signer alone, for the build of enclave images: it must exist before they do, and needs
// nothing of the rest of `sgxdl`. The same verbs as in `sgxdl`.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "tool/signer/sign_enclave.hpp"

int main(int argc, char** argv) {
    CLI::App app("Signs enclave images");
    app.require_subcommand(1);
    sgxdl::signer::add_sign_enclave(app);
    sgxdl::signer::add_audit_image(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    } catch (const std::exception& error) {
        fprintf(stderr, "sgxdl: %s\n", error.what());
        return 1;
    }
    return 0;
}
