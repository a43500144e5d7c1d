// Broken input: each bundle of the corpus ends with its own error, leaves nothing behind, and what
// was loaded before goes on.
#include <set>

#include "tests/loader/corpus/corpus.hpp"
#include "tests/loader/fixture.hpp"

namespace sgxdl::test {
namespace {

struct BadInput : LoaderTest {
    BadInput() : corpus(make_corpus(key, "test")) {}
    void load_base() {
        auto loaded = apply(corpus.base);
        ASSERT_TRUE(loaded.ok()) << loaded.text();
        auto patched = apply(corpus.patch);
        ASSERT_TRUE(patched.ok()) << patched.text();
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
    }
    void expect_answers() {
        Pin pin(loader());
        auto* run = symbol<int(int)>("m", "run");
        ASSERT_NE(run, nullptr);
        for (size_t x = 0; x < corpus.answers.size(); x++)
            EXPECT_EQ(run(static_cast<int>(x)), corpus.answers[x]) << x;
    }
    Corpus corpus;
};

}  // namespace

TEST_F(BadInput, EachHasItsOwnErrorAndLeavesNothing) {
    ASSERT_NO_FATAL_FAILURE(load_base());
    ASSERT_NO_FATAL_FAILURE(expect_answers());
    const Footprint before = footprint();
    EXPECT_GE(corpus.broken.size(), 40u);
    std::set<std::string> names;
    for (const Broken& broken : corpus.broken) {
        SCOPED_TRACE(broken.name);
        EXPECT_TRUE(names.insert(broken.name).second) << "the name stands twice";
        auto outcome = apply_raw(broken.bundle, broken.names);
        EXPECT_EQ(outcome.error.code, broken.code) << outcome.text();
        EXPECT_NE(std::string(outcome.error.context).find(broken.text), std::string::npos)
            << outcome.error.context;
        reclaim_all();
        ASSERT_EQ(footprint(), before);
        ASSERT_NO_FATAL_FAILURE(expect_answers());
    }
    // The state is not only unharmed, it can still be changed.
    ASSERT_TRUE(apply(corpus.patch).ok());
}

TEST_F(BadInput, EachIsRefusedByAnEmptyLoader) {
    const Footprint before = footprint();
    for (const Broken& broken : corpus.broken) {
        if (broken.code == Code::already_loaded) continue;  // sound but for that
        SCOPED_TRACE(broken.name);
        auto outcome = apply_raw(broken.bundle, broken.names);
        EXPECT_FALSE(outcome.ok());
        ASSERT_EQ(footprint(), before) << outcome.text();
    }
}

// An image without a vendor's key holds 32 zero bytes: a point of order 4, for which signatures of
// anything are easily made where a verifier does not refuse such keys.
TEST_F(BadInput, WithoutAVendorKeyNothingIsTaken) {
    LoaderConfig config{};
    config.trust.product = "test";
    Loader keyless(platform);
    ASSERT_TRUE(keyless.init(config));
    // One of these R (S is 0) satisfies the equation for every message, else the next message does.
    const char* const points[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
    };
    const auto bundle = module("m", "int f(void) { return 1; }");
    sgxdl_bundle_header header;
    memcpy(&header, bundle.data(), sizeof header);
    for (int message = 0; message < 16; message++) {
        header.version[sizeof header.version - 2] = static_cast<char>(message);
        for (const char* point : points) {
            memset(header.signature, 0, sizeof header.signature);
            for (size_t i = 0; i < 32; i++) {
                header.signature[i] =
                    static_cast<uint8_t>(std::stoul(std::string(point + 2 * i, 2), nullptr, 16));
            }
            const auto begun = keyless.begin_bundle(header, {});
            ASSERT_FALSE(begun);
            EXPECT_EQ(begun.error().code, Code::bad_signature);
        }
    }
}

}  // namespace sgxdl::test
