// The 64-byte update records are laid out in the SDM at ECREATE, EADD and EEXTEND (38.3).
#include "emulator/measurement.hpp"

#include <openssl/evp.h>

#include <cstring>
#include <new>

namespace sgxemu {

namespace {

constexpr uint64_t tag_ecreate = 0x0045544145524345;  // "ECREATE"
constexpr uint64_t tag_eadd = 0x0000000044444145;     // "EADD"
constexpr uint64_t tag_eextend = 0x00444e4554584545;  // "EEXTEND"

struct __attribute__((packed)) CreateRecord {
    uint64_t tag = tag_ecreate;
    uint32_t ssa_frame_size = 0;
    uint64_t size = 0;
    uint8_t zero[44] = {};
};

struct AddRecord {
    uint64_t tag = tag_eadd;
    uint64_t offset = 0;
    uint8_t secinfo[48] = {};
};

struct ExtendRecord {
    uint64_t tag = tag_eextend;
    uint64_t offset = 0;
    uint8_t zero[48] = {};
};

static_assert(sizeof(CreateRecord) == 64 && sizeof(AddRecord) == 64 && sizeof(ExtendRecord) == 64);

constexpr size_t chunk_size = 256;

}  // namespace

Measurement::Measurement() : context_(EVP_MD_CTX_new()) {
    if (context_ == nullptr || EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) != 1) {
        throw std::bad_alloc();
    }
}

Measurement::~Measurement() {
    EVP_MD_CTX_free(context_);
}

void Measurement::update(const void* bytes, size_t size) {
    EVP_DigestUpdate(context_, bytes, size);
}

void Measurement::create(uint32_t ssa_frame_size, uint64_t size) {
    CreateRecord record;
    record.ssa_frame_size = ssa_frame_size;
    record.size = size;
    update(&record, sizeof(record));
}

void Measurement::add(uint64_t offset, const sgx_secinfo& secinfo) {
    AddRecord record;
    record.offset = offset;
    std::memcpy(record.secinfo, &secinfo, sizeof(record.secinfo));
    update(&record, sizeof(record));
}

void Measurement::extend(uint64_t offset, const uint8_t* chunk) {
    ExtendRecord record;
    record.offset = offset;
    update(&record, sizeof(record));
    update(chunk, chunk_size);
}

Digest Measurement::value() const {
    Digest digest{};
    EVP_MD_CTX* copy = EVP_MD_CTX_new();
    if (copy == nullptr || EVP_MD_CTX_copy_ex(copy, context_) != 1 ||
        EVP_DigestFinal_ex(copy, digest.data(), nullptr) != 1) {
        EVP_MD_CTX_free(copy);
        throw std::bad_alloc();
    }
    EVP_MD_CTX_free(copy);
    return digest;
}

Digest sha256(const void* bytes, size_t size) {
    Digest digest{};
    EVP_Digest(bytes, size, digest.data(), nullptr, EVP_sha256(), nullptr);
    return digest;
}

}  // namespace sgxemu
