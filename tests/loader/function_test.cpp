// Loading and unloading by function.
#include <set>
#include <thread>

#include "tests/loader/fixture.hpp"
#include "tool/front/image.hpp"
#include "tool/front/reach.hpp"

namespace sgxdl::test {

using Function = LoaderTest;

namespace {

// a → shared, b → shared and c's table, d by pointer only, e alone; shared counts its calls.
// ADD is what shared adds.
std::string program(int add) {
    return R"(
        extern int imported(int);
        typedef int fn(int);
        static int calls; int total = 100;
        const char* const texts[] = {"zero", "one", "two"};
        __attribute__((noinline)) static int shared(int x) { calls++; return x + )" +
           std::to_string(add) + R"(; }
        __attribute__((noinline)) int d(int x) { return imported(x); }
        fn* pointers[] = {d};
        __attribute__((noinline)) int c(int x) {
            switch (x) { case 0: return 4; case 1: return 8; case 2: return 3; case 3: return 99; case 4: return 12; }
            return pointers[0](x);
        }
        int a(int x) { return shared(x) + 1; }
        int b(int x) { return shared(x) + c(x) + texts[x % 3][0]; }
        int e(int x) { total += x; return total; }
        int count(void) { return calls; }
    )";
}

}  // namespace

TEST_F(Function, NamesBringInWhatReachComputes) {
    const auto bundle = module("m", program(10));
    const front::Image image = front::open_bundle(bundle, "m").image;
    for (const std::vector<std::string>& names :
         std::vector<std::vector<std::string>>{{"a"},
                                               {"b"},
                                               {"c"},
                                               {"d"},
                                               {"e"},
                                               {"count"},
                                               {"shared"},
                                               {"a", "e"},
                                               {"a", "b"},
                                               {"a", "b", "c", "d", "e", "count"},
                                               {"a", "a"}}) {
        const front::Extent extent = front::reach(image, names);
        auto loaded = apply(bundle, names);
        ASSERT_TRUE(loaded.ok()) << names[0] << ": " << loaded.text();
        EXPECT_EQ(footprint().units, extent.units.size()) << names[0];
        EXPECT_EQ(loaded.progress.functions, extent.functions) << names[0];
        EXPECT_EQ(loaded.progress.relocations, extent.relocations) << names[0];
        EXPECT_GE(loaded.progress.text_bytes, extent.text_bytes) << names[0];
        // A function can be asked for exactly when its unit was brought in.
        const std::set<uint32_t> units(extent.units.begin(), extent.units.end());
        for (const front::Symbol& symbol : image.symbols) {
            if (!symbol.defined() || symbol.binding != front::Binding::global) continue;
            const bool in = units.contains(image.sections[symbol.section].unit);
            EXPECT_EQ(loader().symbol("m", symbol.name.c_str()) != nullptr, in)
                << names[0] << " and " << symbol.name;
        }
        ASSERT_TRUE(unload("m", {}, true).ok());
        reclaim_all();
        EXPECT_EQ(footprint().modules, 0u);
        EXPECT_EQ(footprint().units, 0u);
    }
}

TEST_F(Function, ExtendAddsWhatIsMissingAndReusesTheRest) {
    const auto bundle = module("m", program(10));
    const front::Image image = front::open_bundle(bundle, "m").image;
    ASSERT_TRUE(apply(bundle, {"a", "e", "count"}).ok());
    Pin pin(loader());
    auto* a = symbol<int(int)>("m", "a");
    EXPECT_EQ(a(1), 12);
    EXPECT_EQ(symbol<int(int)>("m", "e")(5), 105);
    EXPECT_EQ(loader().symbol("m", "b"), nullptr);
    const uint64_t before = footprint().units;

    auto extended = extend("m", {"b"});
    ASSERT_TRUE(extended.ok()) << extended.text();
    EXPECT_EQ(footprint().units, front::reach(image, {"a", "e", "count", "b"}).units.size());
    EXPECT_EQ(extended.progress.functions, 3u) << "b, c, d; shared is there";
    EXPECT_GT(footprint().units, before);
    EXPECT_EQ(extended.progress.generation, 1u) << "a load extends the generation";
    EXPECT_EQ(symbol<int(int)>("m", "b")(0), 10 + 4 + 'z');
    EXPECT_EQ(symbol<int(int)>("m", "b")(7), 17 + 1007 + 'o') << "through the pointer in data";
    EXPECT_EQ(symbol<int()>("m", "count")(), 3) << "b and a call the same shared";
    EXPECT_EQ(symbol<int(int)>("m", "a"), a);
    EXPECT_EQ(symbol<int(int)>("m", "e")(5), 110) << "data that was there keeps its content";

    const Footprint full = footprint();
    auto again = extend("m", {"b", "a"});
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.progress.functions, 0u);
    EXPECT_EQ(footprint(), full);
    EXPECT_EQ(extend("m", {"nowhere"}).error.code, Code::no_such_symbol);
    EXPECT_EQ(extend("n", {"a"}).error.code, Code::no_such_module);
    EXPECT_EQ(footprint(), full);
}

TEST_F(Function, ALaterExtendTakesThePatchedVersion) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle, {"a"}).ok());
    auto patched =
        apply(patch("m", bundle, program(20), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"shared", "c"}));
    ASSERT_TRUE(patched.ok()) << patched.text();
    EXPECT_EQ(patched.progress.closure_functions, 2u) << "shared and a; c is not loaded";
    ASSERT_TRUE(extend("m", {"b"}).ok());
    {
        Pin pin(loader());
        EXPECT_EQ(symbol<int(int)>("m", "a")(1), 22);
        EXPECT_EQ(symbol<int(int)>("m", "b")(1), 21 + 8 + 'o');
    }
    // What the extension brought goes back too.
    ASSERT_TRUE(rollback("m").ok());
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "a")(1), 12);
    EXPECT_EQ(symbol<int(int)>("m", "b")(1), 11 + 8 + 'o');
}

TEST_F(Function, APatchLoadsWhatItsFunctionsNeedAndNoMore) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle, {"a"}).ok());
    const uint64_t before = footprint().units;
    // The new `a` calls e, which nobody loaded; the new `late` is called by nobody.
    auto patched =
        apply(patch("m", bundle,
                    "extern int e(int); int a(int x) { return e(x) * 2; } int late(int x) "
                    "{ return x; }",
                    SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"a"}));
    ASSERT_TRUE(patched.ok()) << patched.text();
    reclaim_all();
    EXPECT_EQ(footprint().units, before + 2) << "e and total";
    EXPECT_EQ(loader().symbol("m", "late"), nullptr);
    ASSERT_TRUE(extend("m", {"late"}).ok());
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "a")(1), 202);
    EXPECT_EQ(symbol<int(int)>("m", "late")(6), 6);
}

TEST_F(Function, UnloadIsRefusedWhileUsed) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle, {"a", "b", "count"}).ok());
    const Footprint before = footprint();
    auto used = unload("m", {"shared"});
    EXPECT_EQ(used.error.code, Code::in_use);
    EXPECT_TRUE(used.text() == "still in use: 'shared' is used by 'a'" ||
                used.text() == "still in use: 'shared' is used by 'b'")
        << used.text();
    EXPECT_EQ(unload("m", {"shared"}, true).error.code, Code::in_use) << "force does not help here";
    EXPECT_EQ(unload("m", {"e"}).error.code, Code::no_such_symbol) << "it is not loaded";
    EXPECT_EQ(unload("m", {"total"}).error.code, Code::no_such_symbol) << "it is no function";
    EXPECT_EQ(footprint(), before);
    // The refusals changed nothing about who needs whom either.
    EXPECT_EQ(unload("m", {"c"}).text(), "still in use: 'c' is used by 'b'");
}

TEST_F(Function, UnloadGivesBackTheFunctionAndWhatOnlyItUsed) {
    const auto bundle =
        module("m", program(10) +
                        "static volatile char big[9000]; __attribute__((noinline)) static int "
                        "only(int x) { return big[x] + 1; } int f(int x) { return only(x) * 2; }");
    ASSERT_TRUE(apply(bundle, {"a"}).ok());
    const Footprint without = footprint();
    ASSERT_TRUE(extend("m", {"f"}).ok());
    EXPECT_EQ(footprint().units, without.units + 3);
    auto gone = unload("m", {"f"});
    ASSERT_TRUE(gone.ok()) << gone.text();
    EXPECT_EQ(gone.progress.functions, 2u);
    reclaim_all();
    EXPECT_EQ(footprint().units, without.units + 1) << "its data stays";
    EXPECT_EQ(footprint().pages, without.pages + 3) << "nine thousand bytes of it";
    EXPECT_EQ(loader().symbol("m", "f"), nullptr);
    ASSERT_TRUE(extend("m", {"f"}).ok());
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "f")(3), 2);
    EXPECT_EQ(symbol<int(int)>("m", "a")(3), 14);
}

TEST_F(Function, WhatDataPointsToStaysWithTheData) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle, {"b"}).ok());
    EXPECT_EQ(unload("m", {"d"}, true).text(), "still in use: 'd' is used by 'pointers'");
    ASSERT_TRUE(unload("m", {"b"}, true).ok());
    reclaim_all();
    EXPECT_EQ(loader().symbol("m", "c"), nullptr) << "only b used it";
    EXPECT_NE(loader().symbol("m", "d"), nullptr);
    ASSERT_TRUE(extend("m", {"c"}).ok());
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "c")(7), 1007) << "through the pointer in data that stayed";
}

TEST_F(Function, UnloadOfAHandedOutAddressWantsForce) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle, {"a", "e"}).ok());
    auto* e = symbol<int(int)>("m", "e");
    auto refused = unload("m", {"e"});
    EXPECT_EQ(refused.text(), "still in use: the address of 'e' was handed out");
    EXPECT_EQ(unload("m").text(), "still in use: the address of 'e' was handed out");
    {
        Pin old(loader());
        ASSERT_TRUE(unload("m", {"e"}, true).ok());
        reclaim_all();
        EXPECT_EQ(e(1), 101) << "this thread's generation still has it";
    }
    reclaim_all();
    EXPECT_EQ(loader().symbol("m", "e"), nullptr);
    EXPECT_DEATH(
        {
            Pin now(loader());
            e(1);
        },
        "does not have");

    ASSERT_TRUE(extend("m", {"e"}).ok());
    EXPECT_EQ(symbol<int(int)>("m", "e"), e) << "one address for the life of the module";
    Pin now(loader());
    EXPECT_EQ(e(1), 102);
}

TEST_F(Function, ReloadBackFillsGenerationsThatLackTheFunction) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle, {"a", "e"}).ok());
    auto* e = symbol<int(int)>("m", "e");
    ASSERT_TRUE(unload("m", {"e"}, true).ok());
    reclaim_all();
    Pin pin(loader());  // a generation without e
    ASSERT_TRUE(extend("m", {"e"}).ok());
    EXPECT_EQ(e(1), 101);
}

TEST_F(Function, AFailedExtensionForgetsWhatWasAskedFor) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle, {"b", "a"}).ok());
    const Footprint before = footprint();
    for (std::vector<std::string> names :
         {std::vector<std::string>{"shared", "e"}, std::vector<std::string>{}}) {
        Platform::fail_after(3);
        EXPECT_FALSE(extend("m", names).ok());
        Platform::fail_after(0);
        ASSERT_EQ(footprint(), before);
    }
    // `shared` was not asked for, so it goes with its users; nor was the whole module.
    ASSERT_TRUE(unload("m", {"a", "b"}, true).ok());
    reclaim_all();
    auto patched = apply(patch("m", bundle, program(20) + "int late(int x) { return x; }",
                               SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"e"}));
    ASSERT_TRUE(patched.ok()) << patched.text();
    EXPECT_EQ(loader().symbol("m", "late"), nullptr);
    Result<ModuleInfo> info = loader().module_info(0);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->functions_loaded, 1u) << "d, which data points to";
}

TEST_F(Function, UnloadedFunctionsStayAwayWhenAPatchChangesThem) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle).ok());
    ASSERT_TRUE(unload("m", {"e"}).ok());
    auto change = patch("m", bundle, program(20) + "int late(int x) { return x; }",
                        SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"e", "a"});
    ASSERT_TRUE(apply(change).ok());
    EXPECT_EQ(loader().symbol("m", "e"), nullptr);
    EXPECT_NE(loader().symbol("m", "late"), nullptr) << "the whole module was loaded";
    // What came with a patch of a whole module was asked for like the rest.
    ASSERT_TRUE(unload("m", {"a"}).ok());
    EXPECT_NE(loader().symbol("m", "late"), nullptr);
}

TEST_F(Function, RollbackBringsBackARemovedFunctionThatWasAskedFor) {
    const auto bundle = module("m", program(10));
    ASSERT_TRUE(apply(bundle, {"a", "e"}).ok());
    ASSERT_TRUE(apply(patch("m", bundle, "int fresh(int x) { return x; }",
                            SGXDL_BUNDLE_ROLLBACK_ALLOWED, {}, {"e"}))
                    .ok());
    reclaim_all();
    EXPECT_EQ(loader().symbol("m", "e"), nullptr);
    EXPECT_EQ(extend("m", {"e"}).error.code, Code::no_such_symbol);
    ASSERT_TRUE(rollback("m").ok());
    Pin pin(loader());
    auto* e = symbol<int(int)>("m", "e");
    ASSERT_NE(e, nullptr);
    EXPECT_EQ(e(1), 101);
}

TEST_F(Function, ReclaimSaysThatThereIsMoreUntilAllModulesAreGone) {
    const auto bundle = module("m", program(10));
    const size_t heap_blocks = footprint().heap_blocks;
    {
        Pin pin(loader());
        for (int i = 0; i < 100; i++) {
            ASSERT_TRUE(apply(bundle).ok());
            ASSERT_TRUE(unload("m", {}, true).ok());
        }
        reclaim_all();
        EXPECT_EQ(footprint().modules, 100u);
    }
    reclaim_all();
    EXPECT_EQ(footprint().modules, 0u);
    EXPECT_EQ(footprint().heap_blocks, heap_blocks);
}

TEST_F(Function, WholeModuleGivesEverythingBackAndReloads) {
    const auto bundle = module("m", program(10));
    const Footprint empty = footprint();
    ASSERT_TRUE(apply(bundle).ok());
    {
        Pin pin(loader());
        auto* e = symbol<int(int)>("m", "e");
        EXPECT_EQ(e(7), 107);
        ASSERT_TRUE(unload("m", {}, true).ok());
        reclaim_all();
        EXPECT_EQ(footprint().modules, 1u) << "this call can still run it";
        EXPECT_TRUE(loader().module_info(0)->unloading);
        EXPECT_EQ(e(1), 108);
        EXPECT_EQ(loader().symbol("m", "e"), nullptr);
        EXPECT_EQ(extend("m", {"e"}).error.code, Code::no_such_module);

        // A module of the same name begins another life beside it.
        ASSERT_TRUE(apply(bundle).ok());
        auto* other = symbol<int(int)>("m", "e");
        ASSERT_NE(other, nullptr);
        EXPECT_NE(other, e);
        EXPECT_FALSE(loader().module_info(1)->unloading);
        EXPECT_EQ(other(1), 101) << "new data";
        EXPECT_EQ(e(1), 109) << "old data";
        ASSERT_TRUE(unload("m", {}, true).ok());
    }
    reclaim_all();
    EXPECT_EQ(footprint().modules, 0u);
    EXPECT_EQ(footprint().units, 0u);
    EXPECT_EQ(footprint().heap_blocks, empty.heap_blocks);
    // Stub numbers are not used again, so their page stays, once per table, and no more.
    const Footprint after = footprint();
    for (int i = 0; i < 20; i++) {
        ASSERT_TRUE(apply(bundle).ok());
        ASSERT_TRUE(unload("m", {}, true).ok());
        reclaim_all();
    }
    EXPECT_EQ(footprint().pages, after.pages);
    EXPECT_EQ(footprint().heap_blocks, after.heap_blocks);
}

TEST_F(Function, TwoModulesSideBySide) {
    const auto one = module("one", program(10));
    const auto two = module("two", program(3000));
    ASSERT_TRUE(apply(one, {"a", "count"}).ok());
    ASSERT_TRUE(apply(two).ok());
    auto* a1 = symbol<int(int)>("one", "a");
    auto* a2 = symbol<int(int)>("two", "a");
    ASSERT_TRUE(a1 && a2);
    EXPECT_NE(a1, a2);
    {
        Pin pin(loader());
        EXPECT_EQ(a1(1), 12);
        EXPECT_EQ(a2(1), 3002);
        EXPECT_EQ(a2(1), 3002);
        EXPECT_EQ(symbol<int()>("one", "count")(), 1) << "static data of its own";
        EXPECT_EQ(symbol<int()>("two", "count")(), 2);
    }
    // Patches, rollbacks and unloads of one do not touch the other.
    EXPECT_EQ(apply(patch("two", one, program(20))).error.code, Code::wrong_predecessor);
    ASSERT_TRUE(
        apply(patch("one", one, program(20), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"shared"})).ok());
    ASSERT_TRUE(
        apply(patch("two", two, program(4000), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"shared"})).ok());
    {
        Pin pin(loader());
        EXPECT_EQ(a1(1), 22);
        EXPECT_EQ(a2(1), 4002);
    }
    ASSERT_TRUE(rollback("one").ok());
    {
        Pin pin(loader());
        EXPECT_EQ(a1(1), 12);
        EXPECT_EQ(a2(1), 4002);
    }
    ASSERT_TRUE(unload("one", {}, true).ok());
    reclaim_all();
    EXPECT_EQ(footprint().modules, 1u);
    Pin pin(loader());
    EXPECT_EQ(a2(1), 4002);
    EXPECT_EQ(symbol<int()>("two", "count")(), 5);
}

// gcc makes an empty section of a function that cannot return, and of an empty structure.
TEST_F(Function, SectionsOfNoSize) {
    const auto bundle = module("m", R"(
        struct empty {}; struct empty nothing; const struct empty fixed;
        void never(void) { __builtin_unreachable(); }
        void* const addresses[] = {&nothing, (void*)&fixed, never};
        void* address(int i) { return addresses[i]; }
    )");
    auto loaded = apply(bundle);
    ASSERT_TRUE(loaded.ok()) << loaded.text();
    Pin pin(loader());
    auto* address = symbol<void*(int)>("m", "address");
    EXPECT_NE(address(0), nullptr);
    EXPECT_NE(address(1), nullptr);
    EXPECT_EQ(address(0), loader().symbol("m", "nothing"));
    EXPECT_EQ(address(2), loader().symbol("m", "never"));
    ASSERT_TRUE(unload("m", {}, true).ok());
}

}  // namespace sgxdl::test
