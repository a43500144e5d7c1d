// A loader in this process for benchmarks: loads signed bundles and says how long each part took.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "enclave/hosted/hosted_platform.hpp"
#include "enclave/loader/loader.hpp"

namespace sgxdl::bench {

// Milliseconds of one load.
struct LoadTimes {
    double total = 0;
    double verify = 0;  // signature and digest, with the copy of the payload
    double decode = 0;
    double link = 0;    // choosing, placing, relocating: what is not the other three
    double commit = 0;  // pages made present, code copied to them
    Progress progress{};
};

class Hosted {
 public:
    // Takes bundles signed with `bundle`'s key for its product; imports are resolved to dummies
    // (nothing that imports is run).
    Hosted(std::span<const uint8_t> bundle, std::span<const uint8_t, 32> vendor_key);
    Loader& loader() { return loader_; }
    // Throws std::runtime_error.
    LoadTimes load(std::span<const uint8_t> bundle);

 private:
    std::string product_;
    std::vector<std::string> names_;
    std::vector<Import> imports_;
    Platform platform_;
    Loader loader_{platform_};
};

std::vector<uint8_t> read_file(const std::string& path);

}  // namespace sgxdl::bench
