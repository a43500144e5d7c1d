// Key derivation: what EGETKEY gives to an enclave and EREPORT uses on a target's behalf.
//
// On hardware the derivation is not documented, only what it depends on (SDM volume 3D, 38.4,
// EGETKEY: TMP_KEYDEPENDENCIES). Here it is AES-CMAC under the machine's root key over just that.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sgxdl/arch/sgx.h"

namespace sgxemu {

using Key = std::array<uint8_t, 16>;

// Fields that a key does not depend on are zero.
struct KeyDependencies {
    uint16_t key_name = 0;
    uint16_t key_policy = 0;
    uint16_t isv_prod_id = 0;
    uint16_t isv_svn = 0;
    uint16_t config_svn = 0;
    uint16_t zero = 0;
    uint32_t miscselect = 0;
    uint32_t misc_mask = 0;
    uint32_t zero2 = 0;
    sgx_attributes attributes = {};
    sgx_attributes attribute_mask = {};
    uint8_t mrenclave[32] = {};
    uint8_t mrsigner[32] = {};
    uint8_t key_id[32] = {};
    uint8_t cpu_svn[16] = {};
    uint8_t isv_family_id[16] = {};
    uint8_t isv_ext_prod_id[16] = {};
    uint8_t config_id[64] = {};
};
static_assert(sizeof(KeyDependencies) == 24 + 32 + 96 + 48 + 64);

// The security version of the emulated processor.
inline constexpr std::array<uint8_t, 16> cpu_svn = {1};

Key derive_key(const KeyDependencies& dependencies);

// The report key of the enclave that `target` describes, for this KEYID.
KeyDependencies report_key_dependencies(const sgx_targetinfo& target, const uint8_t key_id[32]);

// AES-128-CMAC (NIST SP 800-38B, RFC 4493).
Key aes_cmac(const Key& key, const void* bytes, size_t size);

}  // namespace sgxemu
