// Runs programs: the sgxdl tool, as an operator would.
#pragma once

#include <string>
#include <vector>

namespace sgxdl::sqlite {

struct CommandResult {
    int exit_code = -1;  // 128 + signal when it was killed
    std::string output;  // standard output
    std::string errors;  // standard error
};

// Runs `arguments[0]` (a path) and waits for it. Throws std::runtime_error when it cannot be
// started.
CommandResult run_command(const std::vector<std::string>& arguments);

// "sgxdl patch --socket ..." for people: the program's name without its folder.
std::string command_text(const std::vector<std::string>& arguments);

}  // namespace sgxdl::sqlite
