// musl, libsodium and standard output inside the enclave.

#include <sodium.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "tests/enclave/fixture.hpp"

namespace sgxdl::test {

using Library_ = EnclaveTest;

TEST_F(Library_, CFunctionsAgreeWithTheHosts) {
    std::array<char, 8192> storage;
    host::OutTo<char> text{storage};
    const auto outcome = enclave.call<Library>(text);
    ASSERT_TRUE(outcome) << outcome.message();
    char expected[1024];
    snprintf(expected, sizeof(expected),
             "%d %08x %s %c %5.2f %e %g\n%.17g %.17g %lld\n9 6 5 4 3 2 1 1 [a][b][c]\n"
             "17 2.5 stack 3\n",
             -42, 0xbeefu, "text", 'c', 3.14159, 1e100, 1.0 / 3, 0.1, 1e-310, -9000000000ll);
    EXPECT_EQ(std::string(storage.data(), text.count), expected);
}

TEST_F(Library_, Ed25519SignaturesAreTheHosts) {
    ASSERT_GE(sodium_init(), 0);
    std::array<uint8_t, 32> seed;
    for (size_t i = 0; i < seed.size(); ++i)
        seed[i] = static_cast<uint8_t>(i);
    const std::vector<uint8_t> message = {'s', 'i', 'g', 'n', ' ', 'm', 'e'};
    std::array<uint8_t, 64> signature;
    std::array<uint8_t, 32> key;
    host::OutTo<uint8_t> to_signature{signature};
    host::OutTo<uint8_t> to_key{key};
    const auto outcome = enclave.call<Sign>(seed, message, to_signature, to_key);
    ASSERT_TRUE(outcome) << outcome.message();
    ASSERT_EQ(to_signature.count, 64u);
    EXPECT_EQ(
        crypto_sign_verify_detached(signature.data(), message.data(), message.size(), key.data()),
        0);
    unsigned char own_key[32], own_secret[64], own_signature[64];
    crypto_sign_seed_keypair(own_key, own_secret, seed.data());
    crypto_sign_detached(own_signature, nullptr, message.data(), message.size(), own_secret);
    EXPECT_EQ(memcmp(own_key, key.data(), 32), 0);
    EXPECT_EQ(memcmp(own_signature, signature.data(), 64), 0);
}

TEST_F(Library_, RandomBytesDiffer) {
    std::set<std::vector<uint8_t>> seen;
    for (int i = 0; i < 50; ++i) {
        std::vector<uint8_t> bytes(64);
        host::OutTo<uint8_t> out{bytes};
        ASSERT_TRUE(enclave.call<Random>(out));
        EXPECT_EQ(out.count, 64u);
        EXPECT_TRUE(seen.insert(bytes).second);
    }
}

TEST(Output, PrintedTextReachesTheHost) {
    std::string printed;
    host::EnclaveOptions options;
    options.on_output = [&](int descriptor, std::string_view text) {
        EXPECT_EQ(descriptor, 1);
        printed += text;
    };
    host::Enclave enclave(test_image(), options);
    const auto outcome = enclave.call<Print>(std::string_view("out"));
    ASSERT_TRUE(outcome) << outcome.message();
    EXPECT_EQ(outcome.value, 6);
    EXPECT_EQ(printed, "<out>\n");
}

}  // namespace sgxdl::test
