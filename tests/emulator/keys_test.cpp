// EREPORT and EGETKEY: the MAC holds for the target and no one else; keys depend on what the policy
// says and on nothing else.
#include <gtest/gtest.h>
#include <openssl/cmac.h>

#include <array>
#include <cstring>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

using Key = std::array<uint8_t, 16>;

// Where the operands lie in the enclave.
uint64_t request_at(const TestEnclave& e) {
    return e.data(1);
}
uint64_t output_at(const TestEnclave& e) {
    return e.data(2);
}

struct KeyResult {
    uint64_t code = ~uint64_t{0};
    Key key{};
    Fault fault;
};

KeyResult get_key(TestEnclave& enclave, const sgx_keyrequest& request) {
    enclave.copy_in(request_at(enclave), &request, sizeof(request));
    Op op;
    const Entry entry =
        enclave.enclu(op, SGX_ENCLU_EGETKEY, request_at(enclave), output_at(enclave));
    KeyResult result;
    result.fault = fault_of(entry);
    if (!entry.exited()) {
        enclave.give_up();
        return result;
    }
    result.code = op.rax;
    EXPECT_EQ(op.flags, op.rax == SGX_SUCCESS ? 0 : flag_zf);
    enclave.copy_out(result.key.data(), output_at(enclave), result.key.size());
    return result;
}

Key key_of(TestEnclave& enclave, const sgx_keyrequest& request) {
    const KeyResult result = get_key(enclave, request);
    EXPECT_EQ(result.code, uint64_t{SGX_SUCCESS}) << result.fault;
    return result.key;
}

sgx_keyrequest seal_request(uint16_t policy) {
    sgx_keyrequest r{};
    r.key_name = SGX_KEY_SEAL;
    r.key_policy = policy;
    r.isv_svn = 3;
    r.attribute_mask.flags = SGX_ATTR_INIT | SGX_ATTR_DEBUG;
    return r;
}

sgx_targetinfo target_info(const TestEnclave& enclave) {
    sgx_targetinfo t{};
    std::memcpy(t.measurement, enclave.mrenclave.data(), 32);
    t.attributes = {SGX_ATTR_INIT | SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG, 7};
    return t;
}

sgx_report make_report(TestEnclave& enclave, const sgx_targetinfo& target,
                       const std::array<uint8_t, 64>& data) {
    enclave.copy_in(enclave.data(1), &target, sizeof(target));
    enclave.copy_in(enclave.data(2), data.data(), data.size());
    Op op;
    const Entry entry =
        enclave.enclu(op, SGX_ENCLU_EREPORT, enclave.data(1), enclave.data(2), enclave.data(3));
    EXPECT_TRUE(entry.exited()) << fault_of(entry);
    sgx_report report{};
    enclave.copy_out(&report, enclave.data(3), sizeof(report));
    return report;
}

Key cmac(const Key& key, const void* bytes, size_t size) {
    Key mac{};
    size_t length = mac.size();
    CMAC_CTX* context = CMAC_CTX_new();
    CMAC_Init(context, key.data(), key.size(), EVP_aes_128_cbc(), nullptr);
    CMAC_Update(context, bytes, size);
    CMAC_Final(context, mac.data(), &length);
    CMAC_CTX_free(context);
    return mac;
}

Key report_key(TestEnclave& enclave, const sgx_report& report) {
    sgx_keyrequest r{};
    r.key_name = SGX_KEY_REPORT;
    std::memcpy(r.key_id, report.key_id, sizeof(r.key_id));
    return key_of(enclave, r);
}

bool mac_holds(const Key& key, const sgx_report& report) {
    const Key mac = cmac(key, &report, offsetof(sgx_report, key_id));
    return std::memcmp(mac.data(), report.mac, mac.size()) == 0;
}

Options other_image() {
    Options options;
    options.edit_image = [](std::vector<uint8_t>& image) { image[2 * page] = 1; };
    return options;
}

// --- EREPORT -------------------------------------------------------------------------------------

TEST(Report, StatesTheIdentity) {
    TestEnclave enclave;
    std::array<uint8_t, 64> data{};
    for (size_t i = 0; i < data.size(); ++i)
        data[i] = static_cast<uint8_t>(i);
    const sgx_report report = make_report(enclave, target_info(enclave), data);
    EXPECT_EQ(std::memcmp(report.mrenclave, enclave.mrenclave.data(), 32), 0);
    EXPECT_EQ(std::memcmp(report.report_data, data.data(), 64), 0);
    EXPECT_EQ(report.attributes.flags,
              uint64_t{SGX_ATTR_INIT | SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG});
    EXPECT_EQ(report.attributes.xfrm, 7u);
    EXPECT_EQ(report.isv_prod_id, 7);
    EXPECT_EQ(report.isv_svn, 3);
    // MRSIGNER is the SHA-256 of the modulus.
    sgx_sigstruct s = make_sigstruct({}, enclave.mrenclave);
    sign(s);
    std::array<uint8_t, 32> mrsigner{};
    EVP_Digest(s.modulus, sizeof(s.modulus), mrsigner.data(), nullptr, EVP_sha256(), nullptr);
    EXPECT_EQ(std::memcmp(report.mrsigner, mrsigner.data(), 32), 0);
}

TEST(Report, MacHoldsForTheTargetOnly) {
    TestEnclave reporter, target(other_image()), stranger;
    const sgx_report report = make_report(reporter, target_info(target), {});
    EXPECT_TRUE(mac_holds(report_key(target, report), report));
    EXPECT_FALSE(mac_holds(report_key(reporter, report), report));
    EXPECT_FALSE(mac_holds(report_key(stranger, report), report));
}

TEST(Report, MacCoversEveryByte) {
    TestEnclave enclave;
    const sgx_report report = make_report(enclave, target_info(enclave), {});
    const Key key = report_key(enclave, report);
    ASSERT_TRUE(mac_holds(key, report));
    for (size_t i = 0; i < offsetof(sgx_report, key_id); i += 16) {
        sgx_report changed = report;
        reinterpret_cast<uint8_t*>(&changed)[i] ^= 1;
        EXPECT_FALSE(mac_holds(key, changed)) << i;
    }
}

TEST(Report, TargetsAttributesCount) {
    TestEnclave enclave;
    sgx_targetinfo other = target_info(enclave);
    other.attributes.flags &= ~uint64_t{SGX_ATTR_DEBUG};
    const sgx_report report = make_report(enclave, other, {});
    EXPECT_FALSE(mac_holds(report_key(enclave, report), report));
}

TEST(Report, OperandsAreChecked) {
    TestEnclave enclave;
    const auto expect = [&](uint64_t target, uint64_t data, uint64_t output, const Fault& fault) {
        Op op;
        EXPECT_EQ(fault_of(enclave.enclu(op, SGX_ENCLU_EREPORT, target, data, output)), fault);
        enclave.give_up();
    };
    const uint64_t t = enclave.data(1), d = enclave.data(2), o = enclave.data(3);
    expect(t + 256, d, o, gp());
    expect(t, d + 64, o, gp());
    expect(t, d, o + 128, gp());
    expect(enclave.at(256), d, o, gp());
    expect(t, enclave.at(256), o, gp());
    expect(t, d, enclave.at(256), gp());
    expect(enclave.tcs(), d, o, epcm_fault(enclave.tcs(), on_read));
    expect(t, enclave.dynamic(), o, epcm_fault(enclave.dynamic(), on_read));
    expect(t, d, enclave.constant(), os_fault(enclave.constant(), on_write | SGX_PFEC_P));
    sgx_targetinfo reserved = target_info(enclave);
    reserved.reserved3[9] = 1;
    enclave.copy_in(t, &reserved, sizeof(reserved));
    expect(t, d, o, gp());
}

// --- EGETKEY -------------------------------------------------------------------------------------

TEST(SealKey, IsStableAndDependsOnKeyId) {
    TestEnclave first, second;
    sgx_keyrequest request = seal_request(SGX_KEYPOLICY_MRENCLAVE);
    const Key key = key_of(first, request);
    EXPECT_NE(key, Key{});
    EXPECT_EQ(key_of(first, request), key);
    EXPECT_EQ(key_of(second, request), key);
    request.key_id[31] = 1;
    EXPECT_NE(key_of(first, request), key);
}

TEST(SealKey, PolicyDecidesWhoGetsTheSame) {
    TestEnclave one, other(other_image());
    const sgx_keyrequest by_enclave = seal_request(SGX_KEYPOLICY_MRENCLAVE);
    const sgx_keyrequest by_signer = seal_request(SGX_KEYPOLICY_MRSIGNER);
    EXPECT_NE(key_of(one, by_enclave), key_of(other, by_enclave));
    EXPECT_EQ(key_of(one, by_signer), key_of(other, by_signer));
    EXPECT_NE(key_of(one, by_enclave), key_of(one, by_signer));
}

TEST(SealKey, SignerCountsOnlyIfThePolicySaysSo) {
    Options options;
    options.key_file = SGXEMU_OTHER_KEY;
    TestEnclave one, other(options);
    ASSERT_EQ(one.mrenclave, other.mrenclave);
    const sgx_keyrequest by_signer = seal_request(SGX_KEYPOLICY_MRSIGNER);
    EXPECT_NE(key_of(one, by_signer), key_of(other, by_signer));
    EXPECT_EQ(key_of(one, seal_request(SGX_KEYPOLICY_MRENCLAVE)),
              key_of(other, seal_request(SGX_KEYPOLICY_MRENCLAVE)));
    EXPECT_EQ(key_of(one, seal_request(0)), key_of(other, seal_request(0)));
}

TEST(SealKey, OlderVersionsCannotGetNewerKeys) {
    TestEnclave enclave;
    sgx_keyrequest request = seal_request(SGX_KEYPOLICY_MRSIGNER);
    const Key now = key_of(enclave, request);
    request.isv_svn = 2;
    EXPECT_NE(key_of(enclave, request), now);
    request.isv_svn = 4;
    EXPECT_EQ(get_key(enclave, request).code, uint64_t{SGX_INVALID_ISVSVN});
    request = seal_request(SGX_KEYPOLICY_MRSIGNER);
    request.cpu_svn[0] = 2;
    EXPECT_EQ(get_key(enclave, request).code, uint64_t{SGX_INVALID_CPUSVN});
}

TEST(SealKey, ProductAndAttributesCount) {
    Options product;
    product.before_signing = [](sgx_sigstruct& s) { s.isv_prod_id = 8; };
    Options production;
    production.attributes = SGX_ATTR_MODE64BIT;
    TestEnclave plain, other_product(product), not_debug(production);
    const sgx_keyrequest request = seal_request(SGX_KEYPOLICY_MRSIGNER);
    const Key key = key_of(plain, request);
    EXPECT_NE(key_of(other_product, request), key);
    EXPECT_NE(key_of(not_debug, request), key);
    // INIT and DEBUG count even when the mask leaves them out.
    sgx_keyrequest no_mask = request;
    no_mask.attribute_mask = {};
    EXPECT_NE(key_of(not_debug, no_mask), key_of(plain, no_mask));
}

TEST(SealKey, ProductIdCanBeLeftOutWithKss) {
    Options a, b;
    a.attributes = b.attributes = SGX_ATTR_MODE64BIT | SGX_ATTR_KSS;
    b.before_signing = [](sgx_sigstruct& s) { s.isv_prod_id = 8; };
    TestEnclave one(a), other(b);
    const sgx_keyrequest request =
        seal_request(uint16_t{SGX_KEYPOLICY_MRSIGNER | SGX_KEYPOLICY_NOISVPRODID});
    EXPECT_EQ(key_of(one, request), key_of(other, request));
}

TEST(KeyRequest, NamesAndRights) {
    TestEnclave enclave;
    sgx_keyrequest request = seal_request(0);
    request.key_name = 5;
    EXPECT_EQ(get_key(enclave, request).code, uint64_t{SGX_INVALID_KEYNAME});
    constexpr uint16_t names[] = {SGX_KEY_PROVISION, SGX_KEY_PROVISION_SEAL, SGX_KEY_EINITTOKEN};
    for (const uint16_t name : names) {
        request.key_name = name;
        EXPECT_EQ(get_key(enclave, request).code, uint64_t{SGX_INVALID_ATTRIBUTE}) << name;
    }
}

TEST(KeyRequest, IsChecked) {
    TestEnclave enclave;
    const auto expect_gp = [&](const sgx_keyrequest& request) {
        EXPECT_EQ(get_key(enclave, request).fault, gp());
    };
    sgx_keyrequest request = seal_request(0);
    request.reserved2[100] = 1;
    expect_gp(request);
    expect_gp(seal_request(0x40));
    // Policies of KSS, in an enclave without it.
    expect_gp(seal_request(SGX_KEYPOLICY_NOISVPRODID));
    request = seal_request(0);
    request.config_svn = 1;
    expect_gp(request);
}

TEST(KeyRequest, OperandsAreChecked) {
    TestEnclave enclave;
    const sgx_keyrequest request = seal_request(0);
    enclave.copy_in(enclave.data(1), &request, sizeof(request));
    const auto expect = [&](uint64_t from, uint64_t to, const Fault& fault) {
        Op op;
        EXPECT_EQ(fault_of(enclave.enclu(op, SGX_ENCLU_EGETKEY, from, to)), fault);
        enclave.give_up();
    };
    expect(enclave.data(1) + 256, enclave.data(2), gp());
    expect(enclave.data(1), enclave.data(2) + 8, gp());
    expect(enclave.at(256), enclave.data(2), gp());
    expect(enclave.data(1), enclave.at(256), gp());
    expect(enclave.tcs(), enclave.data(2), epcm_fault(enclave.tcs(), on_read));
    expect(enclave.data(1), enclave.dynamic(), epcm_fault(enclave.dynamic(), on_write));
}

}  // namespace
}  // namespace sgxemu_test
