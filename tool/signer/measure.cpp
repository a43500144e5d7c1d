#include "tool/signer/measure.hpp"

#include <openssl/evp.h>

#include <cstring>
#include <memory>

namespace sgxdl::signer {

namespace {

constexpr size_t block = 256;  // bytes that one EEXTEND measures

class Sha256 {
 public:
    Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
        if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) {
            throw Error("OpenSSL offers no SHA-256");
        }
    }
    void add(const void* bytes, size_t size) {
        if (EVP_DigestUpdate(context_.get(), bytes, size) != 1) throw Error("SHA-256 failed");
    }
    Digest finish() {
        Digest digest;
        if (EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) != 1) {
            throw Error("SHA-256 failed");
        }
        return digest;
    }

 private:
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// A 64-byte record: an eight-character tag, then fields at fixed places, then zeros.
struct Record {
    uint8_t bytes[64] = {};
    explicit Record(const char* tag) { memcpy(bytes, tag, strnlen(tag, 8)); }
    template <class T>
    Record& put(size_t at, T value) {
        memcpy(bytes + at, &value, sizeof(value));
        return *this;
    }
};

}  // namespace

Digest measure(const EnclaveLayout& layout) {
    Sha256 hash;
    const auto add = [&](const Record& record) { hash.add(record.bytes, sizeof(record.bytes)); };
    add(Record("ECREATE")
            .put(8, uint32_t{SGXDL_SSA_FRAME_PAGES})
            .put(12, layout.info.elrange_size));
    static const uint8_t zeros[block] = {};
    for (const PageRun& run : layout.runs) {
        for (uint64_t at = 0; at < run.size; at += SGXDL_PAGE_SIZE) {
            // The first 48 bytes of SECINFO: its flags and zeros.
            add(Record("EADD").put(8, run.offset + at).put(16, run.secinfo));
            if (!run.measured) continue;
            for (uint64_t part = 0; part < SGXDL_PAGE_SIZE; part += block) {
                add(Record("EEXTEND").put(8, run.offset + at + part));
                hash.add(run.bytes.empty() ? zeros : run.bytes.data() + at + part, block);
            }
        }
    }
    return hash.finish();
}

}  // namespace sgxdl::signer
