// From compiler output to a signed module bundle: the front end in one call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tool/front/bundle.hpp"
#include "tool/front/disassembly.hpp"
#include "tool/front/image.hpp"

namespace sgxdl::front {

struct PackOptions {
    std::string product, module, version;
    uint64_t security_version = 1;
    SecretKey key;                 // generate_key() or read_secret_key()
    uint64_t xfrm = default_xfrm;  // processor state that the enclave has
};

// Objects and archives (all members) to normal form. Throws Error.
Image build_image(const std::vector<std::string>& paths, uint64_t xfrm = default_xfrm);

// The bytes of a signed module bundle. Throws Error.
std::vector<uint8_t> pack_objects(const std::vector<std::string>& paths,
                                  const PackOptions& options);

}  // namespace sgxdl::front
