// Promises of docs/consistency-model.md that no other test is about; each names its promise.
#include "tests/loader/fixture.hpp"

namespace sgxdl::test {

using Consistency = LoaderTest;

namespace {

// The first build counts in `kept`; the second brings an object and a function of its own.
std::string counter(bool patched) {
    return std::string("int kept = 5;\nint read_kept(void) { return kept; }\n") +
           (patched ? "int added = 7;\nint bump(void) { return ++added; }\n" : "") +
           "int top(int x) { " + (patched ? "kept++; return bump() + x" : "return ++kept + x") +
           "; }\n";
}

}  // namespace

// C14, C16: an object that a patch adds is initialised once; rollback and applying again find the
// same one, and no content is undone.
TEST_F(Consistency, RollbackUndoesNoData) {
    const auto base = module("m", counter(false));
    ASSERT_TRUE(apply(base).ok());
    const auto change =
        patch("m", base, counter(true), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"top", "bump", "added"});
    auto* top = symbol<int(int)>("m", "top");
    auto* read_kept = symbol<int()>("m", "read_kept");
    const auto* kept = static_cast<int*>(loader().symbol("m", "kept"));
    const Outcome applied = apply(change);
    ASSERT_TRUE(applied.ok()) << applied.text();
    const auto* added = static_cast<int*>(loader().symbol("m", "added"));
    ASSERT_NE(added, nullptr);
    {
        Pin pin(loader());
        EXPECT_EQ(top(0), 8);
        EXPECT_EQ(top(0), 9);
    }
    ASSERT_TRUE(rollback("m").ok());
    reclaim_all();
    EXPECT_EQ(loader().symbol("m", "kept"), kept);
    EXPECT_EQ(*added, 9) << "pointers to it stay good";
    {
        Pin pin(loader());
        EXPECT_EQ(read_kept(), 7) << "what the patched code did to the data stays done";
        EXPECT_EQ(top(0), 8);
    }
    ASSERT_TRUE(apply(change).ok());
    EXPECT_EQ(loader().symbol("m", "added"), added);
    Pin pin(loader());
    EXPECT_EQ(top(0), 10) << "it goes on where it was";
}

// C7: the oldest pin tells when nobody can run the old code any more.
TEST_F(Consistency, TheOldestPinTellsWhetherOldCodeCanRun) {
    const auto base = module("m", counter(false));
    ASSERT_TRUE(apply(base).ok());
    EXPECT_EQ(loader().info().oldest_pinned, 0u);
    auto early = std::make_unique<Pin>(loader());
    const uint64_t before = loader().info().generation;
    ASSERT_TRUE(apply(patch("m", base, counter(true), 0, {"top", "bump", "added"})).ok());
    LoaderInfo info = loader().info();
    EXPECT_EQ(info.generation, before + 1);
    EXPECT_EQ(info.oldest_pinned, before);
    {
        Pin nested(loader());
        EXPECT_EQ(symbol<int(int)>("m", "top")(0), 6) << "a nested call keeps the outer one's pin";
    }
    EXPECT_EQ(loader().info().oldest_pinned, before);
    early.reset();
    Pin late(loader());
    EXPECT_EQ(loader().info().oldest_pinned, before + 1);
    EXPECT_EQ(symbol<int(int)>("m", "top")(0), 8);
}

// C19: who loads from inside a call can use what it loaded at once, and stays in its generation.
TEST_F(Consistency, ACallUsesWhatItLoadedAndStaysWhereItIs) {
    const auto base = module("m", counter(false));
    ASSERT_TRUE(apply(base).ok());
    {
        Pin pin(loader());
        ASSERT_TRUE(apply(module("plugin", "int plugin(int x) { return x * 7; }")).ok());
        EXPECT_EQ(symbol<int(int)>("plugin", "plugin")(6), 42);
        ASSERT_TRUE(apply(patch("m", base, counter(true), 0, {"top", "bump", "added"})).ok());
        EXPECT_EQ(symbol<int(int)>("m", "top")(0), 6) << "its own generation's";
        EXPECT_EQ(symbol<int()>("m", "bump")(), 8) << "new with the patch";
    }
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "top")(0), 9);
}

}  // namespace sgxdl::test
