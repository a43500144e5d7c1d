#include "tests/loader/workspace.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace sgxdl::test {

Workspace::Workspace() {
    std::string pattern = std::filesystem::temp_directory_path() / "sgxdl-test-XXXXXX";
    if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot make " + pattern);
    directory_ = pattern;
}

Workspace::~Workspace() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

std::string Workspace::compile(const std::string& name, const std::string& source,
                               const std::string& flags) {
    const std::string input = path(name), object = path(name + ".o");
    std::ofstream(input) << source;
    const std::string command = "gcc -w " + flags + " -c " + input + " -o " + object;
    if (system(command.c_str()) != 0)
        throw std::runtime_error("does not compile: " + command + "\n" + source);
    return object;
}

}  // namespace sgxdl::test
