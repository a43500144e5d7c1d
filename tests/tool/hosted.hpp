// The real loader core in this process, to see that it agrees with the tool.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "enclave/loader/loader.hpp"

namespace sgxdl::test {

// Loads and patches bundles of test-product signed with vendor_key(). Imports are what this
// program's libc has.
class HostedLoader {
 public:
    // `bundles`: all that will be loaded; their imports become the allow-list.
    explicit HostedLoader(const std::vector<std::vector<uint8_t>>& bundles);
    ~HostedLoader();
    // Fails the test with the loader's message when it refuses.
    Progress take(const std::vector<uint8_t>& bundle);
    // Calls int entry(void) of test-module in the current generation.
    int entry();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sgxdl::test
