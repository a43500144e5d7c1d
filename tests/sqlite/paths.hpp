// Where the build put what the tests read.
#pragma once

#include <string>

namespace sgxdl::sqlite::test {

// The example's own bundles and answers, or what the tests made besides.
inline std::string path_of(const std::string& name) {
    const bool ours = name.starts_with("rearm") || name.starts_with("speedtest") ||
                      name.starts_with("sqlite-test-enclave");
    return std::string(ours ? SGXDL_SQLITE_TEST_FILES : SGXDL_SQLITE_BUNDLES) + "/" + name;
}

}  // namespace sgxdl::sqlite::test
