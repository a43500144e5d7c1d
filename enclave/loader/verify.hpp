// What is checked before any byte of a payload is looked at: the header, its signature, its place
// in the module's history; then the payload's digest.
#pragma once

#include "enclave/loader/core.hpp"

namespace sgxdl {

// Magic, format, sizes, names, signature, product, security version, in this order.
Result<void> check_header(const Core& core, const sgxdl_bundle_header& header);

// The digest that names a bundle (sgxdl/bundle.h).
void bundle_digest(const sgxdl_bundle_header& header, uint8_t digest[32]);

}  // namespace sgxdl
