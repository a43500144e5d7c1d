// Where the build put what the tests read.
#pragma once

#include <string>

namespace sgxdl::sqlite::test {

inline std::string bundle(const std::string& name) {
    return std::string(SGXDL_SQLITE_BUNDLES) + "/" + name;
}

}  // namespace sgxdl::sqlite::test
