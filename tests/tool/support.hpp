// What the tool tests share: a folder that goes away, and the compiler.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tool/front/pack.hpp"

namespace sgxdl::test {

// A temporary folder, removed with everything in it.
class Folder {
 public:
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    std::filesystem::path path() const { return path_; }
    // Writes a file below the folder and returns its path.
    std::string write(const std::string& name, const std::string& text) const;

 private:
    std::filesystem::path path_;
};

struct Output {
    int status = 0;    // exit code, or -1
    std::string text;  // stdout and stderr
};
Output run(const std::string& command);

// What the project's modules are compiled with.
inline constexpr const char* module_flags =
    "-O2 -g -ffunction-sections -fdata-sections -fPIE -fno-asynchronous-unwind-tables";

// Compiles into `folder`/NAME.o next to the source and returns the object's path. Fails the test
// and returns an empty string when the compiler does.
std::string compile(const std::string& source, const std::string& flags = "",
                    const std::string& compiler = "gcc");

// The same for source text.
std::string compile_text(const Folder& folder, const std::string& name, const std::string& text,
                         const std::string& flags = "", const std::string& compiler = "gcc");

front::PackOptions pack_options();
// A key that stays the same for the whole test program.
const front::SecretKey& vendor_key();

// Links objects with a main() that prints entry()'s result, runs it and returns what it prints.
Output run_natively(const Folder& folder, const std::string& name,
                    const std::vector<std::string>& objects);

}  // namespace sgxdl::test
