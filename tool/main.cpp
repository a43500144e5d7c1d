// sgxdl: the vendor's and operator's command. One verb per file in tool/verbs/.
//
// Exit codes: 0 ok, 1 error, 2 usage (or, for `diff`, the two sides cannot be patched into one
// another), 3 no change.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "tool/control/control.hpp"
#include "tool/front/error.hpp"
#include "tool/signer/sign_enclave.hpp"
#include "tool/verbs/verbs.hpp"

namespace {

using AddVerb = void (*)(CLI::App&);

// One line per verb, in the order of --help.
constexpr AddVerb verbs[] = {
    sgxdl::tool::add_doctor,        sgxdl::tool::add_keygen,    sgxdl::tool::add_pack,
    sgxdl::tool::add_diff,          sgxdl::tool::add_inspect,   sgxdl::signer::add_sign_enclave,
    sgxdl::signer::add_audit_image, sgxdl::control::add_load,   sgxdl::control::add_patch,
    sgxdl::control::add_rollback,   sgxdl::control::add_unload, sgxdl::control::add_list,
    sgxdl::tool::add_emulate,
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Loads and patches code inside a running SGX enclave.", "sgxdl"};
    app.require_subcommand(1);
    app.footer(
        "Exit codes: 0 ok, 1 error, 2 usage or 'cannot diff', 3 no change.\n"
        "`sgxdl VERB --help` shows an example for each verb.");
    for (AddVerb add : verbs)
        add(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    } catch (const sgxdl::front::Error& error) {
        fprintf(stderr, "sgxdl: %s\n", error.what());
        return static_cast<int>(error.failure());
    } catch (const std::exception& error) {
        fprintf(stderr, "sgxdl: %s\n", error.what());
        return 1;
    }
    return 0;
}
