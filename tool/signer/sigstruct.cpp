#include "tool/signer/sigstruct.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace sgxdl::signer {

namespace {

constexpr int key_bits = 3072;
constexpr int key_bytes = key_bits / 8;

struct Deleter {
    void operator()(BIGNUM* n) const { BN_free(n); }
    void operator()(BN_CTX* c) const { BN_CTX_free(c); }
    void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
    void operator()(EVP_PKEY_CTX* c) const { EVP_PKEY_CTX_free(c); }
    void operator()(FILE* f) const { fclose(f); }
};
template <class T>
using Owned = std::unique_ptr<T, Deleter>;

void need(bool good, const char* what) {
    if (good) return;
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    throw Error(fmt::format("{}: {}", what, text));
}

Owned<FILE> open_file(const std::string& path) {
    Owned<FILE> file(fopen(path.c_str(), "rb"));
    if (file == nullptr) throw Error(fmt::format("{}: {}", path, strerror(errno)));
    return file;
}

Owned<BIGNUM> number(EVP_PKEY* key, const char* name) {
    BIGNUM* value = nullptr;
    need(EVP_PKEY_get_bn_param(key, name, &value) == 1, name);
    return Owned<BIGNUM>(value);
}

void write_little_endian(const BIGNUM* value, uint8_t* to) {
    need(BN_bn2lebinpad(value, to, key_bytes) == key_bytes, "number does not fit");
}

// Q1 = floor(S^2 / M), Q2 = floor((S^3 - Q1 * S * M) / M): they spare EINIT the divisions.
void fill_quotients(sgx_sigstruct& s, const BIGNUM* modulus) {
    Owned<BN_CTX> context(BN_CTX_new());
    Owned<BIGNUM> signature(BN_lebin2bn(s.signature, key_bytes, nullptr));
    Owned<BIGNUM> product(BN_new()), q1(BN_new()), q2(BN_new()), rest(BN_new());
    need(context && signature && product && q1 && q2 && rest, "out of memory");
    need(BN_sqr(product.get(), signature.get(), context.get()) == 1, "S^2");
    need(BN_div(q1.get(), rest.get(), product.get(), modulus, context.get()) == 1, "Q1");
    // S^3 - Q1*S*M = S * (S^2 - Q1*M) = S * rest
    need(BN_mul(product.get(), signature.get(), rest.get(), context.get()) == 1, "S^3");
    need(BN_div(q2.get(), nullptr, product.get(), modulus, context.get()) == 1, "Q2");
    write_little_endian(q1.get(), s.q1);
    write_little_endian(q2.get(), s.q2);
}

}  // namespace

void KeyDeleter::operator()(EVP_PKEY* key) const {
    EVP_PKEY_free(key);
}

Key read_sign_key(const std::string& path) {
    const Owned<FILE> file = open_file(path);
    Key key(PEM_read_PrivateKey(file.get(), nullptr, nullptr, nullptr));
    need(key != nullptr, path.c_str());
    if (EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA || EVP_PKEY_bits(key.get()) != key_bits ||
        BN_is_word(number(key.get(), OSSL_PKEY_PARAM_RSA_E).get(), 3) != 1) {
        throw Error(fmt::format("{}: not an RSA-3072 key with exponent 3", path));
    }
    return key;
}

void make_sign_key(const std::string& path) {
    // Several builds may start at once: one makes the key, the others wait and find it.
    const int lock = open((path + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) != 0) {
        throw Error(fmt::format("{}.lock: {}", path, strerror(errno)));
    }
    if (access(path.c_str(), F_OK) != 0) {
        Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nullptr));
        Owned<BIGNUM> exponent(BN_new());
        need(context && exponent && BN_set_word(exponent.get(), 3) == 1, "out of memory");
        need(EVP_PKEY_keygen_init(context.get()) == 1 &&
                 EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), key_bits) == 1 &&
                 EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), exponent.get()) == 1,
             "RSA-3072");
        EVP_PKEY* made = nullptr;
        need(EVP_PKEY_keygen(context.get(), &made) == 1, "RSA-3072");
        const Key key(made);
        const std::string draft = path + ".new";
        const int descriptor = open(draft.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
        if (descriptor < 0) throw Error(fmt::format("{}: {}", draft, strerror(errno)));
        Owned<FILE> file(fdopen(descriptor, "wb"));
        need(
            PEM_write_PrivateKey(file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
            path.c_str());
        file.reset();
        if (rename(draft.c_str(), path.c_str()) != 0) {
            throw Error(fmt::format("{}: {}", path, strerror(errno)));
        }
    }
    close(lock);
}

std::array<uint8_t, 32> read_vendor_key(const std::string& path) {
    const Owned<FILE> file = open_file(path);
    const Key key(PEM_read_PUBKEY(file.get(), nullptr, nullptr, nullptr));
    std::array<uint8_t, 32> raw;
    size_t size = raw.size();
    if (key == nullptr || EVP_PKEY_base_id(key.get()) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key.get(), raw.data(), &size) != 1 || size != raw.size()) {
        throw Error(fmt::format("{}: not an Ed25519 public key in PEM (`sgxdl keygen`)", path));
    }
    return raw;
}

sgx_sigstruct sign(const Digest& mrenclave, const SignOptions& options, EVP_PKEY* key) {
    sgx_sigstruct s = {};
    const uint64_t header[2] = {0x000000E100000006ull, 0x0000000000010000ull};
    const uint64_t header2[2] = {0x0000006000000101ull, 0x0000000100000060ull};
    memcpy(s.header, header, sizeof(header));
    memcpy(s.header2, header2, sizeof(header2));
    s.date = options.date;
    s.exponent = 3;
    s.miscselect = options.miscselect;
    s.miscmask = 0xffffffff;
    s.attributes.flags = options.attributes;
    s.attributes.xfrm = options.xfrm;
    // INIT is set by the processor; everything else must be as signed.
    s.attributes_mask.flags = ~uint64_t{SGX_ATTR_INIT};
    s.attributes_mask.xfrm = ~uint64_t{0};
    memcpy(s.enclave_hash, mrenclave.data(), mrenclave.size());
    s.isv_prod_id = options.product_id;
    s.isv_svn = options.security_version;

    // Signed: bytes 0 to 127 and 900 to 1027.
    uint8_t message[256];
    memcpy(message, &s, 128);
    memcpy(message + 128, reinterpret_cast<const uint8_t*>(&s) + 900, 128);
    Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
    uint8_t signature[key_bytes];
    size_t size = sizeof(signature);
    need(context && EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
             EVP_DigestSign(context.get(), signature, &size, message, sizeof(message)) == 1 &&
             size == sizeof(signature),
         "RSA signature");
    std::reverse_copy(signature, signature + key_bytes, s.signature);
    const Owned<BIGNUM> modulus = number(key, OSSL_PKEY_PARAM_RSA_N);
    write_little_endian(modulus.get(), s.modulus);
    fill_quotients(s, modulus.get());
    return s;
}

}  // namespace sgxdl::signer
