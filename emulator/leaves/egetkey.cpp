// EGETKEY: a key that only enclaves of the identity, and not older than, what the request says get.
#include <algorithm>
#include <cstring>

#include "emulator/keys.hpp"
#include "emulator/leaves/leaf.hpp"
#include "emulator/machine.hpp"

namespace sgxemu {

namespace {

constexpr uint16_t policies_of_kss = SGX_KEYPOLICY_NOISVPRODID | SGX_KEYPOLICY_CONFIGID |
                                     SGX_KEYPOLICY_ISVFAMILYID | SGX_KEYPOLICY_ISVEXTPRODID;
constexpr uint16_t known_policies =
    SGX_KEYPOLICY_MRENCLAVE | SGX_KEYPOLICY_MRSIGNER | policies_of_kss;
// Attributes that every key depends on.
constexpr uint64_t required_attributes = SGX_ATTR_INIT | SGX_ATTR_DEBUG;

// What seal, provision and launch keys have in common.
KeyDependencies versioned_dependencies(const sgx_keyrequest& request, const sgx_secs& secs) {
    KeyDependencies d;
    d.key_name = request.key_name;
    d.isv_svn = request.isv_svn;
    d.attributes.flags =
        (request.attribute_mask.flags | required_attributes) & secs.attributes.flags;
    d.attributes.xfrm = request.attribute_mask.xfrm & secs.attributes.xfrm;
    d.attribute_mask = request.attribute_mask;
    d.miscselect = request.misc_mask & secs.miscselect;
    d.misc_mask = ~request.misc_mask;
    std::copy_n(request.cpu_svn, sizeof(d.cpu_svn), d.cpu_svn);
    return d;
}

// KEYPOLICY of seal and provision-seal keys. MRSIGNER is always in the latter.
void apply_policy(KeyDependencies& d, const sgx_keyrequest& request, const Enclave& enclave) {
    const sgx_secs& secs = enclave.secs;
    d.key_policy = request.key_policy;
    if (request.key_policy & SGX_KEYPOLICY_ISVFAMILYID) {
        std::copy_n(enclave.isv_family_id, sizeof(d.isv_family_id), d.isv_family_id);
    }
    if (request.key_policy & SGX_KEYPOLICY_ISVEXTPRODID) {
        std::copy_n(enclave.isv_ext_prod_id, sizeof(d.isv_ext_prod_id), d.isv_ext_prod_id);
    }
    if (!(request.key_policy & SGX_KEYPOLICY_NOISVPRODID)) d.isv_prod_id = secs.isv_prod_id;
    if (request.key_policy & SGX_KEYPOLICY_CONFIGID) {
        std::copy_n(secs.config_id, sizeof(d.config_id), d.config_id);
        d.config_svn = request.config_svn;
    }
}

KeyDependencies seal_dependencies(const sgx_keyrequest& request, const Enclave& enclave) {
    KeyDependencies d = versioned_dependencies(request, enclave.secs);
    apply_policy(d, request, enclave);
    if (request.key_policy & SGX_KEYPOLICY_MRENCLAVE) {
        std::copy_n(enclave.secs.mrenclave, sizeof(d.mrenclave), d.mrenclave);
    }
    if (request.key_policy & SGX_KEYPOLICY_MRSIGNER) {
        std::copy_n(enclave.secs.mrsigner, sizeof(d.mrsigner), d.mrsigner);
    }
    std::copy_n(request.key_id, sizeof(d.key_id), d.key_id);
    return d;
}

KeyDependencies own_report_dependencies(const sgx_keyrequest& request, const sgx_secs& secs) {
    sgx_targetinfo self{};
    std::copy_n(secs.mrenclave, sizeof(self.measurement), self.measurement);
    self.attributes = secs.attributes;
    self.miscselect = secs.miscselect;
    self.config_svn = secs.config_svn;
    std::copy_n(secs.config_id, sizeof(self.config_id), self.config_id);
    return report_key_dependencies(self, request.key_id);
}

KeyDependencies launch_dependencies(const sgx_keyrequest& request, const sgx_secs& secs) {
    KeyDependencies d = versioned_dependencies(request, secs);
    d.attribute_mask = {};
    d.misc_mask = 0;
    d.isv_prod_id = secs.isv_prod_id;
    std::copy_n(secs.mrsigner, sizeof(d.mrsigner), d.mrsigner);
    std::copy_n(request.key_id, sizeof(d.key_id), d.key_id);
    return d;
}

KeyDependencies provision_dependencies(const sgx_keyrequest& request, const Enclave& enclave) {
    KeyDependencies d = versioned_dependencies(request, enclave.secs);
    if (request.key_name == SGX_KEY_PROVISION_SEAL) {
        apply_policy(d, request, enclave);
    } else {
        d.isv_prod_id = enclave.secs.isv_prod_id;
    }
    std::copy_n(enclave.secs.mrsigner, sizeof(d.mrsigner), d.mrsigner);
    return d;
}

// The attribute an enclave must have for a key of this name; 0: none.
uint64_t needed_attribute(uint16_t key_name) {
    switch (key_name) {
        case SGX_KEY_EINITTOKEN:
            return SGX_ATTR_EINITTOKENKEY;
        case SGX_KEY_PROVISION:
        case SGX_KEY_PROVISION_SEAL:
            return SGX_ATTR_PROVISIONKEY;
        default:
            return 0;
    }
}

KeyDependencies dependencies_of(const sgx_keyrequest& request, const Enclave& enclave) {
    switch (request.key_name) {
        case SGX_KEY_SEAL:
            return seal_dependencies(request, enclave);
        case SGX_KEY_REPORT:
            return own_report_dependencies(request, enclave.secs);
        case SGX_KEY_EINITTOKEN:
            return launch_dependencies(request, enclave.secs);
        default:
            return provision_dependencies(request, enclave);
    }
}

}  // namespace

bool keyrequest_has_reserved_bits(LeafRun& run) {
    run.request = *run.enclave.at<sgx_keyrequest>(run.operands.rbx);
    const sgx_keyrequest& request = run.request;
    const bool reserved_is_zero =
        request.reserved1 == 0 && request.cet_attributes_mask == 0 &&
        std::all_of(std::begin(request.reserved2), std::end(request.reserved2),
                    [](uint8_t b) { return b == 0; });
    return !reserved_is_zero || (request.key_policy & ~known_policies) != 0;
}

bool keyrequest_needs_kss(LeafRun& run) {
    const bool uses_kss =
        (run.request.key_policy & policies_of_kss) != 0 || run.request.config_svn != 0;
    return uses_kss && !(run.enclave.secs.attributes.flags & SGX_ATTR_KSS);
}

bool key_name_is_unknown(LeafRun& run) {
    return run.request.key_name > SGX_KEY_SEAL;
}

bool key_needs_attribute(LeafRun& run) {
    const uint64_t needed = needed_attribute(run.request.key_name);
    return (run.enclave.secs.attributes.flags & needed) != needed;
}

// A later CPUSVN than the processor's. The report key depends on no version that the request names.
bool cpu_svn_is_beyond(LeafRun& run) {
    const sgx_keyrequest& request = run.request;
    return request.key_name != SGX_KEY_REPORT &&
           std::lexicographical_compare(cpu_svn.begin(), cpu_svn.end(), std::begin(request.cpu_svn),
                                        std::end(request.cpu_svn));
}

bool isv_svn_is_beyond(LeafRun& run) {
    return run.request.key_name != SGX_KEY_REPORT && run.request.isv_svn > run.enclave.secs.isv_svn;
}

bool config_svn_is_beyond(LeafRun& run) {
    return run.request.key_name == SGX_KEY_SEAL &&
           run.request.config_svn > run.enclave.secs.config_svn;
}

void egetkey(LeafRun& run) {
    const Key key = derive_key(dependencies_of(run.request, run.enclave));
    std::memcpy(run.enclave.bytes(run.operands.rcx), key.data(), key.size());
}

}  // namespace sgxemu
