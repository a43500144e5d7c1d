// The verbs of `sgxdl`. Each adds itself as a CLI11 subcommand; the table in main.cpp lists them.
//
// A verb's work happens in its callback. It throws front::Error for bad input (main prints it and
// turns its Failure into the exit code) and writes data to stdout only.
#pragma once

#include <CLI/App.hpp>

namespace sgxdl::tool {

void add_doctor(CLI::App& app);
void add_keygen(CLI::App& app);
void add_pack(CLI::App& app);
void add_diff(CLI::App& app);
void add_inspect(CLI::App& app);
void add_emulate(CLI::App& app);

}  // namespace sgxdl::tool
