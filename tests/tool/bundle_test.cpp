// Bundles: what is signed, what opens, and key files that OpenSSL reads.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/tool/support.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"

namespace sgxdl::test {
namespace {

class BundleFile : public testing::Test {
 protected:
    void SetUp() override {
        std::string object = compile_text(folder_, "a.c", "int f(int x) { return x + 1; }\n");
        bytes_ = front::pack_objects({object}, pack_options());
    }
    Folder folder_;
    std::vector<uint8_t> bytes_;
};

TEST_F(BundleFile, OpensWithEveryField) {
    front::Bundle bundle = front::open_bundle(bytes_, "b");
    EXPECT_EQ(bundle.info.kind, SGXDL_BUNDLE_MODULE);
    EXPECT_EQ(bundle.info.product, "test-product");
    EXPECT_EQ(bundle.info.module, "test-module");
    EXPECT_EQ(bundle.info.version, "1");
    EXPECT_EQ(bundle.info.security_version, 1u);
    EXPECT_EQ(bundle.info.predecessor, front::Digest{});
    EXPECT_TRUE(front::signed_by(bundle, vendor_key().public_key));
    EXPECT_FALSE(front::signed_by(bundle, front::generate_key().public_key));
}

TEST_F(BundleFile, PackIsReproducible) {
    std::string object = (folder_.path() / "a.o").string();
    EXPECT_EQ(front::pack_objects({object}, pack_options()), bytes_);
}

// Every byte counts: a flipped bit is noticed by a check, by the digest or by the signature.
TEST_F(BundleFile, EveryChangedByteIsNoticed) {
    for (size_t i = 0; i < bytes_.size(); i++) {
        std::vector<uint8_t> broken = bytes_;
        broken[i] ^= 0x10;
        bool noticed = false;
        try {
            noticed = !front::signed_by(front::open_bundle(broken, "b"), vendor_key().public_key);
        } catch (const front::Error&) {
            noticed = true;
        }
        EXPECT_TRUE(noticed) << "byte " << i;
    }
}

TEST_F(BundleFile, TruncatedOrLongerIsRefused) {
    for (size_t size : {size_t{0}, size_t{511}, size_t{512}, bytes_.size() - 1}) {
        EXPECT_THROW(front::open_bundle(std::span(bytes_).first(size), "b"), front::Error);
    }
    bytes_.push_back(0);
    EXPECT_THROW(front::open_bundle(bytes_, "b"), front::Error);
}

TEST_F(BundleFile, NamesMustFit) {
    front::PackOptions options = pack_options();
    std::string object = (folder_.path() / "a.o").string();
    options.module = std::string(64, 'm');
    EXPECT_THROW(front::pack_objects({object}, options), front::Error);
    options.module = std::string(63, 'm');
    EXPECT_EQ(front::open_bundle(front::pack_objects({object}, options), "b").info.module,
              options.module);
    options.module = "";
    EXPECT_THROW(front::pack_objects({object}, options), front::Error);
}

TEST(Keys, FilesRoundTripAndOpensslReadsThem) {
    Folder folder;
    front::SecretKey key = front::generate_key();
    std::string secret = (folder.path() / "k.key").string();
    std::string open = (folder.path() / "k.pub").string();
    front::write_secret_key(secret, key);
    front::write_public_key(open, key.public_key);
    EXPECT_EQ(front::read_secret_key(secret).seed, key.seed);
    EXPECT_EQ(front::read_secret_key(secret).public_key, key.public_key);
    EXPECT_EQ(front::read_public_key(open), key.public_key);
    EXPECT_EQ(front::read_public_key(secret), key.public_key);
    EXPECT_THROW(front::read_secret_key(open), front::Error);
    EXPECT_EQ(std::filesystem::status(secret).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    if (run("command -v openssl").status != 0) GTEST_SKIP() << "no openssl";
    Output text = run("openssl pkey -in " + secret + " -pubout");
    EXPECT_EQ(text.status, 0);
    std::vector<uint8_t> file = front::read_file(open);
    EXPECT_EQ(text.text, std::string(file.begin(), file.end()));
}

}  // namespace
}  // namespace sgxdl::test
