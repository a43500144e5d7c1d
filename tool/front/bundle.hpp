// Signing and opening bundles: the header of include/sgxdl/bundle.h around a payload.
//
// Ed25519 and BLAKE2b come from libsodium. Call sodium_init() through initialise() before use.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sgxdl/bundle.h"
#include "tool/front/image.hpp"

namespace sgxdl::front {

using PublicKey = std::array<uint8_t, 32>;
using Digest = std::array<uint8_t, 32>;

// A vendor's signing key: the Ed25519 seed and the public key it gives.
struct SecretKey {
    std::array<uint8_t, 32> seed{};
    PublicKey public_key{};
};

void initialise();  // libsodium; any number of times

SecretKey generate_key();
// PEM files as OpenSSL writes them: PKCS #8 (RFC 8410) and SubjectPublicKeyInfo.
void write_secret_key(const std::string& path, const SecretKey& key);  // mode 0600
void write_public_key(const std::string& path, const PublicKey& key);
SecretKey read_secret_key(const std::string& path);
// Takes a public key file or, for convenience, a secret one.
PublicKey read_public_key(const std::string& path);

// What the header says beside the payload.
struct BundleInfo {
    sgxdl_bundle_kind kind = SGXDL_BUNDLE_MODULE;
    uint32_t flags = 0;
    std::string product, module, version;
    uint64_t security_version = 1;
    Digest predecessor{};
};

// Header and payload, signed. Throws Error for names that do not fit.
std::vector<uint8_t> seal(const BundleInfo& info, std::span<const uint8_t> payload,
                          const SecretKey& key);

// A bundle taken apart. Checks everything that needs no key: magic, sizes, reserved bytes, flags
// and the payload's digest.
struct Bundle {
    sgxdl_bundle_header header{};
    BundleInfo info;
    Digest digest{};  // names the bundle
    Image image;
    std::vector<uint8_t> payload;
};
Bundle open_bundle(std::span<const uint8_t> bytes, const std::string& name);
bool signed_by(const Bundle& bundle, const PublicKey& key);

Digest bundle_digest(const sgxdl_bundle_header& header);
std::string hex(std::span<const uint8_t> bytes);

}  // namespace sgxdl::front
