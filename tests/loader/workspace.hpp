// Where a test's sources and objects go; removed with the object.
#pragma once

#include <string>

namespace sgxdl::test {

inline constexpr const char* default_flags = "-O2 -g -fPIE -ffunction-sections -fdata-sections";

class Workspace {
 public:
    Workspace();
    ~Workspace();
    Workspace(const Workspace&) = delete;
    std::string path(const std::string& name) const { return directory_ + "/" + name; }
    // Compiles C (or assembler, by the name's ending) with gcc; throws std::runtime_error when it
    // does not compile.
    std::string compile(const std::string& name, const std::string& source,
                        const std::string& flags = default_flags);

 private:
    std::string directory_;
};

}  // namespace sgxdl::test
