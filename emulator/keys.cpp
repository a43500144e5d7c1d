// AES-CMAC by OpenSSL. Called from the trap handler; the thread was in enclave code, so it holds no
// lock of the C library or of OpenSSL.
#include "emulator/keys.hpp"

#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstdlib>

#include "emulator/machine.hpp"

namespace sgxemu {

Key aes_cmac(const Key& key, const void* bytes, size_t size) {
    Key mac{};
    size_t length = 0;
    char cipher[] = "AES-128-CBC";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("cipher", cipher, 0),
                                     OSSL_PARAM_construct_end()};
    EVP_MAC* algorithm = EVP_MAC_fetch(nullptr, "CMAC", nullptr);
    EVP_MAC_CTX* context = EVP_MAC_CTX_new(algorithm);
    const bool made = context != nullptr &&
                      EVP_MAC_init(context, key.data(), key.size(), parameters) == 1 &&
                      EVP_MAC_update(context, static_cast<const uint8_t*>(bytes), size) == 1 &&
                      EVP_MAC_final(context, mac.data(), &length, mac.size()) == 1;
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(algorithm);
    // A processor cannot run out of memory, and a wrong MAC must not look like one.
    if (!made) std::abort();
    return mac;
}

Key derive_key(const KeyDependencies& dependencies) {
    return aes_cmac(machine().root_key, &dependencies, sizeof(dependencies));
}

KeyDependencies report_key_dependencies(const sgx_targetinfo& target, const uint8_t key_id[32]) {
    KeyDependencies d;
    d.key_name = SGX_KEY_REPORT;
    d.attributes = target.attributes;
    d.miscselect = target.miscselect;
    d.config_svn = target.config_svn;
    std::copy_n(target.config_id, sizeof(d.config_id), d.config_id);
    std::copy_n(target.measurement, sizeof(d.mrenclave), d.mrenclave);
    std::copy_n(key_id, sizeof(d.key_id), d.key_id);
    std::copy(cpu_svn.begin(), cpu_svn.end(), d.cpu_svn);
    return d;
}

}  // namespace sgxemu
