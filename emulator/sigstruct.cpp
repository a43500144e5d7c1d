// SDM volume 3D: 37.14 (SIGSTRUCT), 38.3 EINIT. RSA-3072 with exponent 3, EMSA-PKCS1-v1_5 with
// SHA-256 (RFC 8017, 9.2), and the helper quotients q1 and q2, which EINIT uses and thereby checks.
#include "emulator/sigstruct.hpp"

#include <openssl/bn.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace sgxemu {

namespace {

constexpr size_t key_size = 384;  // bytes
constexpr std::array<uint8_t, 16> header1 = {6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
constexpr std::array<uint8_t, 16> header2 = {1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0};
// DER of DigestInfo { sha256, OCTET STRING of 32 bytes }, without the digest.
constexpr std::array<uint8_t, 19> sha256_digest_info = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
                                                        0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                                                        0x01, 0x05, 0x00, 0x04, 0x20};

struct BnFree {
    void operator()(BIGNUM* n) const { BN_free(n); }
    void operator()(BN_CTX* c) const { BN_CTX_free(c); }
};
using Bn = std::unique_ptr<BIGNUM, BnFree>;

Bn from_little_endian(const uint8_t* bytes) {
    return Bn(BN_lebin2bn(bytes, key_size, nullptr));
}

template <size_t n>
bool all_zero(const uint8_t (&bytes)[n]) {
    return std::all_of(std::begin(bytes), std::end(bytes), [](uint8_t b) { return b == 0; });
}

bool is_well_formed(const sgx_sigstruct& s) {
    return std::equal(header1.begin(), header1.end(), s.header) &&
           std::equal(header2.begin(), header2.end(), s.header2) &&
           (s.vendor == 0 || s.vendor == 0x8086) && s.exponent == 3 && all_zero(s.reserved1) &&
           all_zero(s.reserved2) && all_zero(s.reserved3) && all_zero(s.reserved4);
}

Digest signed_digest(const sgx_sigstruct& s) {
    constexpr size_t head_size = offsetof(sgx_sigstruct, modulus);
    constexpr size_t body_begin = offsetof(sgx_sigstruct, miscselect);
    constexpr size_t body_size = offsetof(sgx_sigstruct, reserved4) - body_begin;
    static_assert(head_size == 128 && body_begin == 900 && body_size == 128);
    std::array<uint8_t, head_size + body_size> bytes{};
    const auto* raw = reinterpret_cast<const uint8_t*>(&s);
    std::copy_n(raw, head_size, bytes.data());
    std::copy_n(raw + body_begin, body_size, bytes.data() + head_size);
    return sha256(bytes.data(), bytes.size());
}

// The padded digest, most significant byte first.
std::array<uint8_t, key_size> encoded_message(const Digest& digest) {
    std::array<uint8_t, key_size> em{};
    const size_t tail = sha256_digest_info.size() + digest.size();
    em[0] = 0;
    em[1] = 1;
    std::fill(em.begin() + 2, em.end() - static_cast<ptrdiff_t>(tail) - 1, uint8_t{0xff});
    auto out = em.end() - static_cast<ptrdiff_t>(tail);
    out = std::copy(sha256_digest_info.begin(), sha256_digest_info.end(), out);
    std::copy(digest.begin(), digest.end(), out);
    return em;
}

bool signature_holds(const sgx_sigstruct& s) {
    const Bn n = from_little_endian(s.modulus);
    const Bn signature = from_little_endian(s.signature);
    const Bn q1 = from_little_endian(s.q1);
    const Bn q2 = from_little_endian(s.q2);
    const auto em = encoded_message(signed_digest(s));
    const Bn expected(BN_bin2bn(em.data(), static_cast<int>(em.size()), nullptr));
    const std::unique_ptr<BN_CTX, BnFree> ctx(BN_CTX_new());
    const Bn quotient(BN_new()), remainder(BN_new()), product(BN_new());
    if (!n || !signature || !q1 || !q2 || !expected || !ctx || !quotient || !remainder ||
        !product) {
        return false;
    }
    if (BN_is_zero(n.get()) || BN_cmp(signature.get(), n.get()) >= 0) return false;
    // signature^2 = q1 * n + r1, signature * r1 = q2 * n + message.
    return BN_sqr(product.get(), signature.get(), ctx.get()) == 1 &&
           BN_div(quotient.get(), remainder.get(), product.get(), n.get(), ctx.get()) == 1 &&
           BN_cmp(quotient.get(), q1.get()) == 0 &&
           BN_mul(product.get(), signature.get(), remainder.get(), ctx.get()) == 1 &&
           BN_div(quotient.get(), remainder.get(), product.get(), n.get(), ctx.get()) == 1 &&
           BN_cmp(quotient.get(), q2.get()) == 0 && BN_cmp(remainder.get(), expected.get()) == 0;
}

bool attributes_match(const sgx_sigstruct& s, const sgx_secs& secs) {
    const sgx_attributes& have = secs.attributes;
    const sgx_attributes& mask = s.attributes_mask;
    return (have.flags & mask.flags) == (s.attributes.flags & mask.flags) &&
           (have.xfrm & mask.xfrm) == (s.attributes.xfrm & mask.xfrm) &&
           (secs.miscselect & s.miscmask) == (s.miscselect & s.miscmask);
}

}  // namespace

int verify_sigstruct(const sgx_sigstruct& sigstruct, const sgx_secs& secs,
                     const Digest& mrenclave) {
    if (!is_well_formed(sigstruct)) return SGX_INVALID_SIG_STRUCT;
    if (!signature_holds(sigstruct)) return SGX_INVALID_SIGNATURE;
    if (!std::equal(mrenclave.begin(), mrenclave.end(), sigstruct.enclave_hash)) {
        return SGX_INVALID_MEASUREMENT;
    }
    if (!attributes_match(sigstruct, secs)) return SGX_INVALID_ATTRIBUTE;
    return SGX_SUCCESS;
}

}  // namespace sgxemu
