// Functions that are newer than a thread's pin (C9 of docs/consistency-model.md): what they are
// bound to lives as long as a pin can reach them.
#include "tests/loader/fixture.hpp"

namespace sgxdl::test {

using BackFill = LoaderTest;

namespace {
// `value` is what leaf adds. With `fresh`, a function that is bound to leaf directly.
std::string source(int value, bool fresh) {
    return "__attribute__((noinline)) int leaf(int x) { __asm__ volatile(\"\"); return x + " +
           std::to_string(value) + "; }\n" + "int top(int x) { return leaf(x) * 2; }\n" +
           (fresh ? "int fresh(int x) { return leaf(x) * 3; }\n" : "");
}
}  // namespace

// model/: BACKFILLED_NOT_BOUND. The pin is older than both patches; `fresh` came with the first,
// and the copy of leaf that it is bound to is replaced by the second.
TEST_F(BackFill, WhatANewFunctionIsBoundToStaysForOlderPins) {
    const auto base = module("m", source(1, false));
    ASSERT_TRUE(apply(base).ok());
    auto pin = std::make_unique<Pin>(loader());
    const auto first = patch("m", base, source(10, true), 1, {"leaf", "fresh"});
    ASSERT_TRUE(apply(first).ok());
    auto* fresh = symbol<int(int)>("m", "fresh");
    ASSERT_NE(fresh, nullptr);
    EXPECT_EQ(fresh(5), 45) << "the version that introduced it";
    const Outcome second = apply(patch("m", first, source(100, true), 1, {"leaf"}));
    ASSERT_TRUE(second.ok()) << second.text();
    reclaim_all();
    EXPECT_EQ(loader().info().units_live, 7u) << "leaf, top; leaf, fresh; leaf, top, fresh";
    EXPECT_EQ(fresh(5), 45) << "still, and its leaf is there";
    pin.reset();
    reclaim_all();
    Pin now(loader());
    EXPECT_EQ(fresh(5), 315);
    EXPECT_EQ(loader().info().units_live, 3u) << "nothing of the older versions is left";
}

// The same when the new function comes by loading more of the module.
TEST_F(BackFill, WhatAnExtensionIsBoundToStaysForOlderPins) {
    const auto base = module("m", source(1, true));
    const Outcome loaded = apply(base, {"top"});
    ASSERT_TRUE(loaded.ok()) << loaded.text();
    auto pin = std::make_unique<Pin>(loader());
    const auto first = patch("m", base, source(10, true), 1, {"leaf"});
    ASSERT_TRUE(apply(first).ok());
    const Outcome more = extend("m", {"fresh"});
    ASSERT_TRUE(more.ok()) << more.text();
    auto* fresh = symbol<int(int)>("m", "fresh");
    ASSERT_NE(fresh, nullptr);
    EXPECT_EQ(fresh(5), 45);
    ASSERT_TRUE(apply(patch("m", first, source(100, true), 1, {"leaf"})).ok());
    reclaim_all();
    EXPECT_EQ(loader().info().units_live, 7u);
    EXPECT_EQ(fresh(5), 45);
    pin.reset();
    reclaim_all();
    EXPECT_EQ(loader().info().units_live, 3u);
}

}  // namespace sgxdl::test
