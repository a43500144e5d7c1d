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

}  // namespace sgxdl::test
