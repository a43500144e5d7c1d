// SDM volume 3D, 38.3: EWB (MAC header), ELDU.
#include "emulator/seal.hpp"

#include <openssl/evp.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "emulator/machine.hpp"

namespace sgxemu {

namespace {

constexpr int tag_size = 16;
constexpr int page_bytes = static_cast<int>(page_size);

// MAC_HDR: what is authenticated and not encrypted.
struct MacHeader {
    uint64_t enclave_id;
    uint64_t linear_address;
    uint64_t secinfo_flags;
};

struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

std::array<uint8_t, 12> iv_of(uint64_t version) {
    std::array<uint8_t, 12> iv{};
    std::memcpy(iv.data(), &version, sizeof(version));
    return iv;
}

uint64_t next_version() {
    static std::atomic<uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

uint64_t flags_of(const EpcmEntry& entry) {
    return uint64_t{entry.rwx} | (entry.pending ? SGX_SECINFO_PENDING : 0) |
           (entry.modified ? SGX_SECINFO_MODIFIED : 0) | (entry.pr ? SGX_SECINFO_PR : 0) |
           uint64_t{entry.type} << SGX_SECINFO_PT_SHIFT;
}

MacHeader header_of(const Enclave& enclave, uintptr_t page, uint64_t flags) {
    return {enclave.id, page, flags};
}

bool authenticate(EVP_CIPHER_CTX* cipher, const MacHeader& header) {
    int length = 0;
    return EVP_CipherUpdate(cipher, nullptr, &length, reinterpret_cast<const uint8_t*>(&header),
                            static_cast<int>(sizeof(header))) == 1;
}

Cipher start(bool encrypt, uint64_t version, const MacHeader& header) {
    Cipher cipher(EVP_CIPHER_CTX_new());
    const auto iv = iv_of(version);
    const bool started =
        cipher &&
        EVP_CipherInit_ex(cipher.get(), EVP_aes_128_gcm(), nullptr, machine().paging_key.data(),
                          iv.data(), encrypt ? 1 : 0) == 1 &&
        authenticate(cipher.get(), header);
    // A processor cannot run out of memory, and a page must not leave unsealed.
    if (!started) std::abort();
    return cipher;
}

}  // namespace

void encls_ewb(Enclave& enclave, uintptr_t page) {
    const size_t index = enclave.index_of(page);
    const uint64_t flags = flags_of(enclave.entry(page));
    const uint64_t version = next_version();
    const Cipher cipher = start(true, version, header_of(enclave, page, flags));
    sgx_pcmd& pcmd = enclave.paged_out.pcmd(index);
    pcmd = {};
    pcmd.secinfo.flags = flags;
    pcmd.enclave_id = enclave.id;
    int length = 0, tail = 0;
    const bool sealed =
        EVP_CipherUpdate(cipher.get(), enclave.paged_out.content(index), &length,
                         enclave.bytes(page), page_bytes) == 1 &&
        EVP_CipherFinal_ex(cipher.get(), enclave.paged_out.content(index) + length, &tail) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, tag_size, pcmd.mac) == 1;
    if (!sealed) std::abort();
    enclave.paged_out.version(index) = version;
}

bool encls_eldu(Enclave& enclave, uintptr_t page) {
    const size_t index = enclave.index_of(page);
    // Untrusted, so copied before it is looked at.
    sgx_pcmd pcmd = enclave.paged_out.pcmd(index);
    uint64_t& version = enclave.paged_out.version(index);
    if (version == 0 || pcmd.enclave_id != enclave.id) return false;
    const uint64_t flags = pcmd.secinfo.flags;
    const Cipher cipher = start(false, version, header_of(enclave, page, flags));
    int length = 0, tail = 0;
    const bool unsealed =
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, tag_size, pcmd.mac) == 1 &&
        EVP_CipherUpdate(cipher.get(), enclave.bytes(page), &length,
                         enclave.paged_out.content(index), page_bytes) == 1 &&
        EVP_CipherFinal_ex(cipher.get(), enclave.bytes(page) + length, &tail) == 1;
    if (!unsealed) return false;
    version = 0;
    EpcmEntry& entry = enclave.entry(page);
    entry.type = static_cast<uint8_t>((flags & SGX_SECINFO_PT_MASK) >> SGX_SECINFO_PT_SHIFT);
    entry.rwx = static_cast<uint8_t>(flags & (SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_X));
    entry.pending = (flags & SGX_SECINFO_PENDING) != 0;
    entry.modified = (flags & SGX_SECINFO_MODIFIED) != 0;
    entry.pr = (flags & SGX_SECINFO_PR) != 0;
    entry.valid = 1;
    return true;
}

}  // namespace sgxemu
