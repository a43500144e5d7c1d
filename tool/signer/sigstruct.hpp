// SIGSTRUCT: the signer's word about an enclave, which EINIT checks.
#pragma once

#include <memory>
#include <string>

#include "sgxdl/arch/sgx.h"
#include "tool/signer/measure.hpp"

typedef struct evp_pkey_st EVP_PKEY;

namespace sgxdl::signer {

struct KeyDeleter {
    void operator()(EVP_PKEY* key) const;
};
using Key = std::unique_ptr<EVP_PKEY, KeyDeleter>;

// Reads a PEM file; throws Error unless it is an RSA-3072 private key with exponent 3.
Key read_sign_key(const std::string& path);
// Makes such a key and writes it (readable by the owner only) unless the file exists.
void make_sign_key(const std::string& path);
// Reads an Ed25519 public key from a PEM file.
std::array<uint8_t, 32> read_vendor_key(const std::string& path);

struct SignOptions {
    uint16_t product_id = 0;
    uint16_t security_version = 0;
    uint32_t date = 0;  // BCD yyyymmdd
    uint64_t attributes = 0, xfrm = 0;
    uint32_t miscselect = 0;
};

// Fills and signs the structure (SDM volume 3D, 37.14; RSASSA-PKCS1-v1_5 with SHA-256).
sgx_sigstruct sign(const Digest& mrenclave, const SignOptions& options, EVP_PKEY* key);

}  // namespace sgxdl::signer
