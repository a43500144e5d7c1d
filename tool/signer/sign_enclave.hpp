// `sgxdl sign-enclave` and `sgxdl audit-image`.
#pragma once

#include <CLI/App.hpp>

namespace sgxdl::signer {

void add_sign_enclave(CLI::App& app);
void add_audit_image(CLI::App& app);

}  // namespace sgxdl::signer
