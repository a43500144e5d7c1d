// The verbs that talk to a running process over its control socket (include/sgxdl/control.hpp).
#pragma once

#include <CLI/App.hpp>

namespace sgxdl::control {

void add_load(CLI::App& app);
void add_patch(CLI::App& app);
void add_rollback(CLI::App& app);
void add_unload(CLI::App& app);
void add_list(CLI::App& app);

}  // namespace sgxdl::control
