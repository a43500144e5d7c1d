// EGETKEY: a key that only enclaves of the identity, and not older than, what the request says get.
#include <algorithm>
#include <cstring>

#include "emulator/keys.hpp"
#include "emulator/leaves/leaf.hpp"
#include "emulator/machine.hpp"

namespace sgxemu {

namespace {

constexpr uint64_t keyrequest_alignment = 512, key_alignment = 16;
constexpr uint16_t policies_of_kss = SGX_KEYPOLICY_NOISVPRODID | SGX_KEYPOLICY_CONFIGID |
                                     SGX_KEYPOLICY_ISVFAMILYID | SGX_KEYPOLICY_ISVEXTPRODID;
constexpr uint16_t known_policies =
    SGX_KEYPOLICY_MRENCLAVE | SGX_KEYPOLICY_MRSIGNER | policies_of_kss;
// Attributes that every key depends on.
constexpr uint64_t required_attributes = SGX_ATTR_INIT | SGX_ATTR_DEBUG;

bool is_well_formed(const sgx_keyrequest& request, const sgx_secs& secs) {
    const bool reserved_is_zero =
        request.reserved1 == 0 && request.cet_attributes_mask == 0 &&
        std::all_of(std::begin(request.reserved2), std::end(request.reserved2),
                    [](uint8_t b) { return b == 0; });
    if (!reserved_is_zero || (request.key_policy & ~known_policies)) return false;
    const bool uses_kss = (request.key_policy & policies_of_kss) || request.config_svn != 0;
    return (secs.attributes.flags & SGX_ATTR_KSS) || !uses_kss;
}

// A later CPUSVN than the processor's.
bool is_beyond_cpu(const sgx_keyrequest& request) {
    return std::lexicographical_compare(cpu_svn.begin(), cpu_svn.end(), std::begin(request.cpu_svn),
                                        std::end(request.cpu_svn));
}

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

// SGX_SUCCESS or why the enclave does not get the key.
uint64_t check_entitled(const sgx_keyrequest& request, const sgx_secs& secs) {
    if (request.key_name > SGX_KEY_SEAL) return SGX_INVALID_KEYNAME;
    const uint64_t needed = needed_attribute(request.key_name);
    if ((secs.attributes.flags & needed) != needed) return SGX_INVALID_ATTRIBUTE;
    if (request.key_name == SGX_KEY_REPORT) return SGX_SUCCESS;
    if (is_beyond_cpu(request)) return SGX_INVALID_CPUSVN;
    if (request.isv_svn > secs.isv_svn) return SGX_INVALID_ISVSVN;
    const bool has_config = request.key_name == SGX_KEY_SEAL;
    if (has_config && request.config_svn > secs.config_svn) return SGX_INVALID_ISVSVN;
    return SGX_SUCCESS;
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

LeafResult egetkey(Enclave& enclave, const LeafOperands& operands) {
    const uint64_t request_address = operands.rbx;
    const uint64_t key_address = operands.rcx;
    Exception exception;
    if (!is_aligned(request_address, keyrequest_alignment) || !enclave.contains(request_address)) {
        return LeafResult::gp();
    }
    if (!check_operand(enclave, request_address, PROT_READ, exception)) {
        return LeafResult::fault(exception);
    }
    if (!is_aligned(key_address, key_alignment) || !enclave.contains(key_address)) {
        return LeafResult::gp();
    }
    if (!check_operand(enclave, key_address, PROT_WRITE, exception)) {
        return LeafResult::fault(exception);
    }
    const sgx_keyrequest request = *enclave.at<sgx_keyrequest>(request_address);
    if (!is_well_formed(request, enclave.secs)) return LeafResult::gp();
    const uint64_t refused = check_entitled(request, enclave.secs);
    if (refused != SGX_SUCCESS) return LeafResult::code(refused);
    const Key key = derive_key(dependencies_of(request, enclave));
    std::memcpy(enclave.bytes(key_address), key.data(), key.size());
    return LeafResult::code(SGX_SUCCESS);
}

}  // namespace sgxemu
