#include "tool/front/bundle.hpp"

#include <sodium.h>

#include <cstring>

#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"

namespace sgxdl::front {
namespace {

// DER of RFC 8410: everything before the 32 bytes of the key.
constexpr uint8_t secret_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                     0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
constexpr uint8_t public_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                     0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

std::vector<uint8_t> to_pem(const char* label, std::span<const uint8_t> prefix,
                            std::span<const uint8_t> key) {
    std::vector<uint8_t> der(prefix.begin(), prefix.end());
    der.insert(der.end(), key.begin(), key.end());
    std::vector<char> text(sodium_base64_ENCODED_LEN(der.size(), sodium_base64_VARIANT_ORIGINAL));
    sodium_bin2base64(text.data(), text.size(), der.data(), der.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    std::string pem =
        fmt::format("-----BEGIN {0}-----\n{1}\n-----END {0}-----\n", label, text.data());
    sodium_memzero(der.data(), der.size());
    return {pem.begin(), pem.end()};
}

// The 32 key bytes of a PEM block with this label; false when the file has none.
bool from_pem(const std::vector<uint8_t>& file, const char* label, std::span<const uint8_t> prefix,
              std::span<uint8_t> key) {
    std::string text(file.begin(), file.end());
    std::string begin = fmt::format("-----BEGIN {}-----", label);
    std::string end = fmt::format("-----END {}-----", label);
    size_t from = text.find(begin);
    if (from == std::string::npos) return false;
    from += begin.size();
    size_t to = text.find(end, from);
    if (to == std::string::npos) return false;
    std::vector<uint8_t> der(256);
    size_t size = 0;
    if (sodium_base642bin(der.data(), der.size(), text.data() + from, to - from, "\r\n ", &size,
                          nullptr, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        size != prefix.size() + key.size() ||
        memcmp(der.data(), prefix.data(), prefix.size()) != 0) {
        return false;
    }
    memcpy(key.data(), der.data() + prefix.size(), key.size());
    return true;
}

SecretKey key_from_seed(const std::array<uint8_t, 32>& seed) {
    SecretKey key;
    key.seed = seed;
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    crypto_sign_seed_keypair(key.public_key.data(), secret, seed.data());
    sodium_memzero(secret, sizeof secret);
    return key;
}

void put_name(char (&field)[SGXDL_BUNDLE_NAME_SIZE], const std::string& text, const char* what) {
    if (text.empty() || text.size() >= sizeof field) {
        fail("{} \"{}\" must have 1 to {} bytes", what, text, sizeof field - 1);
    }
    if (text.find('\0') != std::string::npos) fail("{} contains a NUL", what);
    memcpy(field, text.data(), text.size());
}

std::string get_name(const char (&field)[SGXDL_BUNDLE_NAME_SIZE], const std::string& file,
                     const char* what) {
    size_t length = strnlen(field, sizeof field);
    if (length == 0 || length == sizeof field) fail("{}: {} is not a string", file, what);
    for (size_t i = length; i < sizeof field; i++) {
        if (field[i] != 0) fail("{}: {} is not padded with zeros", file, what);
    }
    return std::string(field, length);
}

}  // namespace

void initialise() {
    if (sodium_init() < 0) fail("libsodium does not initialise");
}

SecretKey generate_key() {
    initialise();
    std::array<uint8_t, 32> seed;
    randombytes_buf(seed.data(), seed.size());
    return key_from_seed(seed);
}

void write_secret_key(const std::string& path, const SecretKey& key) {
    write_file(path, to_pem("PRIVATE KEY", secret_prefix, key.seed), true);
}

void write_public_key(const std::string& path, const PublicKey& key) {
    write_file(path, to_pem("PUBLIC KEY", public_prefix, key));
}

SecretKey read_secret_key(const std::string& path) {
    initialise();
    std::array<uint8_t, 32> seed;
    if (!from_pem(read_file(path), "PRIVATE KEY", secret_prefix, seed)) {
        fail("{}: not an Ed25519 private key in PEM form (make one with `sgxdl keygen`)", path);
    }
    return key_from_seed(seed);
}

PublicKey read_public_key(const std::string& path) {
    std::vector<uint8_t> file = read_file(path);
    PublicKey key;
    if (from_pem(file, "PUBLIC KEY", public_prefix, key)) return key;
    std::array<uint8_t, 32> seed;
    initialise();
    if (from_pem(file, "PRIVATE KEY", secret_prefix, seed)) return key_from_seed(seed).public_key;
    fail("{}: not an Ed25519 key in PEM form", path);
}

std::string hex(std::span<const uint8_t> bytes) {
    std::string text;
    for (uint8_t byte : bytes)
        text += fmt::format("{:02x}", byte);
    return text;
}

Digest bundle_digest(const sgxdl_bundle_header& header) {
    Digest digest;
    crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const uint8_t*>(&header),
                       SGXDL_BUNDLE_SIGNED_SIZE, nullptr, 0);
    return digest;
}

std::vector<uint8_t> seal(const BundleInfo& info, std::span<const uint8_t> payload,
                          const SecretKey& key) {
    initialise();
    sgxdl_bundle_header header{};
    memcpy(header.magic, SGXDL_BUNDLE_MAGIC, sizeof header.magic);
    header.format = SGXDL_BUNDLE_FORMAT;
    header.kind = info.kind;
    header.flags = info.flags;
    header.header_size = sizeof header;
    put_name(header.product, info.product, "product name");
    put_name(header.module, info.module, "module name");
    put_name(header.version, info.version, "version");
    header.security_version = info.security_version;
    header.payload_size = payload.size();
    crypto_generichash(header.payload_digest, sizeof header.payload_digest, payload.data(),
                       payload.size(), nullptr, 0);
    memcpy(header.predecessor, info.predecessor.data(), sizeof header.predecessor);
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    PublicKey public_key;
    crypto_sign_seed_keypair(public_key.data(), secret, key.seed.data());
    crypto_sign_detached(header.signature, nullptr, reinterpret_cast<const uint8_t*>(&header),
                         SGXDL_BUNDLE_SIGNED_SIZE, secret);
    sodium_memzero(secret, sizeof secret);
    std::vector<uint8_t> bundle(sizeof header + payload.size());
    memcpy(bundle.data(), &header, sizeof header);
    memcpy(bundle.data() + sizeof header, payload.data(), payload.size());
    return bundle;
}

Bundle open_bundle(std::span<const uint8_t> bytes, const std::string& name) {
    initialise();
    Bundle bundle;
    sgxdl_bundle_header& header = bundle.header;
    if (bytes.size() < sizeof header)
        fail("{}: {} bytes are too few for a bundle", name, bytes.size());
    memcpy(&header, bytes.data(), sizeof header);
    if (memcmp(header.magic, SGXDL_BUNDLE_MAGIC, sizeof header.magic) != 0) {
        fail("{}: not an sgx-dl bundle", name);
    }
    if (header.format != SGXDL_BUNDLE_FORMAT || header.header_size != sizeof header) {
        fail("{}: bundle format {} is not known", name, header.format);
    }
    if (header.kind != SGXDL_BUNDLE_MODULE && header.kind != SGXDL_BUNDLE_PATCH) {
        fail("{}: bundle kind {} is not known", name, header.kind);
    }
    if (header.flags & ~uint32_t{SGXDL_BUNDLE_KNOWN_FLAGS}) {
        fail("{}: bundle flags {:#x} are not known", name, header.flags);
    }
    for (uint8_t byte : header.reserved) {
        if (byte != 0) fail("{}: reserved bytes are not zero", name);
    }
    std::span<const uint8_t> payload = bytes.subspan(sizeof header);
    if (payload.size() != header.payload_size) {
        fail("{}: payload has {} bytes, the header says {}", name, payload.size(),
             header.payload_size);
    }
    Digest digest;
    crypto_generichash(digest.data(), digest.size(), payload.data(), payload.size(), nullptr, 0);
    if (memcmp(digest.data(), header.payload_digest, digest.size()) != 0) {
        fail("{}: payload does not match its digest", name);
    }
    bundle.info.kind = static_cast<sgxdl_bundle_kind>(header.kind);
    bundle.info.flags = header.flags;
    bundle.info.product = get_name(header.product, name, "product name");
    bundle.info.module = get_name(header.module, name, "module name");
    bundle.info.version = get_name(header.version, name, "version");
    bundle.info.security_version = header.security_version;
    memcpy(bundle.info.predecessor.data(), header.predecessor, sizeof header.predecessor);
    bundle.digest = bundle_digest(header);
    bundle.image = read_elf(payload, name);
    bundle.payload.assign(payload.begin(), payload.end());
    return bundle;
}

bool signed_by(const Bundle& bundle, const PublicKey& key) {
    return crypto_sign_verify_detached(bundle.header.signature,
                                       reinterpret_cast<const uint8_t*>(&bundle.header),
                                       SGXDL_BUNDLE_SIGNED_SIZE, key.data()) == 0;
}

}  // namespace sgxdl::front
