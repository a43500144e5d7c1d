#include "tests/tool/support.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>

namespace sgxdl::test {

Folder::Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sgxdl-test-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    path_ = pattern;
}

Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string Folder::write(const std::string& name, const std::string& text) const {
    std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
    return file.string();
}

Output run(const std::string& command) {
    Output output;
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (!pipe) return {-1, "popen"};
    char buffer[4096];
    size_t count = 0;
    while ((count = fread(buffer, 1, sizeof buffer, pipe)) > 0)
        output.text.append(buffer, count);
    int status = pclose(pipe);
    output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return output;
}

std::string compile(const std::string& source, const std::string& flags,
                    const std::string& compiler) {
    std::filesystem::path path = source;
    std::filesystem::path object = path;
    object.replace_extension(".o");
    Output output =
        run(fmt::format("cd {} && {} {} {} -c {} -o {}", path.parent_path().string(), compiler,
                        module_flags, flags, path.filename().string(), object.filename().string()));
    if (output.status != 0) {
        ADD_FAILURE() << source << " does not compile:\n" << output.text;
        return {};
    }
    return object.string();
}

std::string compile_text(const Folder& folder, const std::string& name, const std::string& text,
                         const std::string& flags, const std::string& compiler) {
    return compile(folder.write(name, text), flags, compiler);
}

const front::SecretKey& vendor_key() {
    static const front::SecretKey key = front::generate_key();
    return key;
}

front::PackOptions pack_options() {
    front::PackOptions options;
    options.product = "test-product";
    options.module = "test-module";
    options.version = "1";
    options.key = vendor_key();
    return options;
}

Output run_natively(const Folder& folder, const std::string& name,
                    const std::vector<std::string>& objects) {
    std::string main = folder.write(name + "-main.c",
                                    "#include <stdio.h>\nint entry(void);\n"
                                    "int main(void) { printf(\"%d\\n\", entry()); }\n");
    std::string program = (folder.path() / name).string();
    Output linked =
        run(fmt::format("gcc -pie -fPIE {} {} -o {}", main, fmt::join(objects, " "), program));
    if (linked.status != 0 || !linked.text.empty()) return {-1, linked.text};
    return run(program);
}

}  // namespace sgxdl::test
