// Patches: generations, closure, canonical addresses, rollback, reclaim.
#include <atomic>
#include <thread>

#include "enclave/loader/arena.hpp"
#include "tests/loader/fixture.hpp"

namespace sgxdl::test {

using Patch = LoaderTest;

namespace {
// leaf ← middle ← top; other is apart. VALUE and SIZE differ between builds.
std::string chain(int value) {
    return R"(
        typedef int fn(int);
        __attribute__((noinline)) static int leaf(int x) { switch (x) { case 0: return 10; case 1: return 21; case 2: return 35; case 3: return 44; case 4: return 51; } return )" +
           std::to_string(value) + R"(; }
        __attribute__((noinline)) int middle(int x) { return leaf(x) * 2; }
        int top(int x) { return middle(x) + 1; }
        int other(int x) { return x; }
        fn* pointer = middle;
        fn* get(void) { return middle; }
    )";
}
}  // namespace

TEST_F(Patch, ClosureIsRelinkedAndAddressesStay) {
    auto base = module("m", chain(100));
    ASSERT_TRUE(apply(base).ok());
    Pin* pin = new Pin(loader());
    auto* top = symbol<int(int)>("m", "top");
    auto* middle = symbol<int(int)>("m", "middle");
    EXPECT_EQ(top(9), 201);

    auto patched = apply(patch("m", base, chain(300), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"leaf"}));
    ASSERT_TRUE(patched.ok()) << patched.text();
    EXPECT_EQ(patched.progress.changed_functions, 1u);
    EXPECT_EQ(patched.progress.closure_functions, 3u) << "leaf, middle, top";
    EXPECT_EQ(patched.progress.generation, 2u);

    EXPECT_EQ(top(9), 201) << "this thread is pinned to the generation before";
    EXPECT_EQ(symbol<int(int)>("m", "middle"), middle);
    EXPECT_EQ(*symbol<int (*)(int)>("m", "pointer"), middle);
    delete pin;
    {
        Pin next(loader());
        EXPECT_EQ(top(9), 601);
        EXPECT_EQ(top(2), 71);
        EXPECT_EQ((*symbol<int (*)(int)>("m", "pointer"))(9), 600);
        EXPECT_EQ(symbol<int (*())(int)>("m", "get")(), middle);
    }
    auto back = rollback("m");
    ASSERT_TRUE(back.ok()) << back.text();
    Pin after(loader());
    EXPECT_EQ(top(9), 201);
    EXPECT_EQ(rollback("m").error.code, Code::rollback_refused);
}

TEST_F(Patch, ReclaimIsBoundedPerCallHoweverManyStubsThereAre) {
    constexpr int functions = 9'000;  // a table of 18 pages
    std::string source = "typedef int fn(int);\n";
    for (int i = 0; i < functions; ++i)
        source += "int f" + std::to_string(i) + "(int x) { return x; }\n";
    source += "fn* const volatile all[] = {";
    for (int i = 0; i < functions; ++i)
        source += "f" + std::to_string(i) + ",";
    source += "};\n";
    auto base = module("m", source + "int changed(int x) { return all[x](x) + 1; }", "-O0");
    ASSERT_TRUE(apply(base).ok());
    reclaim_all();
    ASSERT_TRUE(apply(patch("m", base, source + "int changed(int x) { return all[x](x) + 2; }",
                            SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"changed"}, {}, 1, "-O0"))
                    .ok());
    const size_t before = platform.committed_pages();
    size_t most = 0, calls = 0;
    for (bool more = true; more && calls < 10'000; ++calls) {
        const size_t pages = platform.committed_pages();
        more = loader().reclaim();
        most = std::max(most, pages - platform.committed_pages());
    }
    EXPECT_LE(most, Arena::sweep_run) << "of " << before - platform.committed_pages();
    EXPECT_GE(before - platform.committed_pages(), functions * sizeof(void*) / page_size);
    EXPECT_EQ(loader().info().generations_live, 1u);
}

TEST_F(Patch, ThousandRoundsLeaveWhatTenDid) {
    auto base = module("m", chain(100));
    auto change = patch("m", base, chain(300), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"leaf"});
    ASSERT_TRUE(apply(base).ok());
    auto* top = symbol<int(int)>("m", "top");
    Footprint at_ten{};
    for (int round = 1; round <= 1000; round++) {
        ASSERT_TRUE(apply(change).ok());
        {
            Pin pin(loader());
            ASSERT_EQ(top(9), 601);
        }
        ASSERT_TRUE(rollback("m").ok());
        {
            Pin pin(loader());
            ASSERT_EQ(top(9), 201);
        }
        reclaim_all();
        if (round == 10) at_ten = footprint();
    }
    EXPECT_EQ(footprint(), at_ten);
    EXPECT_EQ(symbol<int(int)>("m", "top"), top);
}

// A host that never reclaims costs memory, but not the next patch: each generation's table takes
// address space, and the arena has room for fewer than 256 of them.
TEST_F(Patch, TablesOfOldGenerationsMakeRoomForNewOnes) {
    auto base = module("m", chain(100));
    auto change = patch("m", base, chain(300), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"leaf"});
    ASSERT_TRUE(apply(base).ok());
    for (int round = 0; round < 150; round++) {
        auto patched = apply(change);
        ASSERT_TRUE(patched.ok()) << round << ": " << patched.text();
        auto back = rollback("m");
        ASSERT_TRUE(back.ok()) << round << ": " << back.text();
    }
    reclaim_all();
    EXPECT_EQ(footprint().generations, 1u);
}

TEST_F(Patch, ParkedThreadHoldsOnlyWhatItReaches) {
    auto base = module("m", chain(100));
    auto change = patch("m", base, chain(300), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"leaf"});
    ASSERT_TRUE(apply(base).ok());
    auto* top = symbol<int(int)>("m", "top");
    // One round, so that the state compared with is one after patches.
    ASSERT_TRUE(apply(change).ok());
    ASSERT_TRUE(rollback("m").ok());
    reclaim_all();
    const Footprint before = footprint();

    std::atomic<int> stage{0};
    std::thread parked([&] {
        Pin pin(loader());
        stage = 1;
        while (stage != 2)
            std::this_thread::yield();
        EXPECT_EQ(top(9), 201);
        EXPECT_EQ(top(2), 71);
    });
    while (stage != 1)
        std::this_thread::yield();
    Footprint during{};
    for (int i = 0; i < 100; i++) {
        ASSERT_TRUE(apply(change).ok());
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
        if (i == 1) during = footprint();
    }
    EXPECT_EQ(footprint(), during) << "nothing is retained per patch";
    EXPECT_EQ(footprint().generations, 2u);
    EXPECT_EQ(footprint().units, before.units + 3)
        << "the three functions that the thread can reach";
    stage = 2;
    parked.join();
    reclaim_all();
    EXPECT_EQ(footprint(), before);
}

TEST_F(Patch, NewFunctionIsBackfilledAndFollowsLaterPatches) {
    auto base = module("m",
                       "typedef int fn(int); fn* hook; int use(int x) { return hook ? hook(x) : "
                       "-1; } int arm(int x) { return x; }");
    ASSERT_TRUE(apply(base).ok());
    Pin old(loader());  // this thread stays in generation 1
    auto* use = symbol<int(int)>("m", "use");
    const std::string second =
        "typedef int fn(int); fn* hook; int use(int x) { return hook ? hook(x) : -1; } static int "
        "fresh(int x) { return x + 7; } int arm(int x) { hook = fresh; return x; }";
    auto patched = apply(patch("m", base, second, SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"arm"}));
    ASSERT_TRUE(patched.ok()) << patched.text();
    std::thread([&] {
        Pin pin(loader());
        symbol<int(int)>("m", "arm")(1);
        EXPECT_EQ(use(1), 8);
    }).join();
    EXPECT_EQ(use(1), 8) << "the new function is back-filled into the older generation";
    ASSERT_TRUE(rollback("m").ok());
    std::thread([&] {
        Pin pin(loader());
        EXPECT_EQ(use(1), 8) << "its address was stored, so it keeps its last version";
    }).join();
}

TEST_F(Patch, LostFunctionsAndSecondPatch) {
    const std::string a =
        "__attribute__((noinline)) static int helper(int x) { return x + 1; } int f(int x) { "
        "return helper(x) * 2; }";
    const std::string b = "int f(int x) { return x * 3; }";
    auto base = module("m", a);
    ASSERT_TRUE(apply(base).ok());
    reclaim_all();
    const uint64_t units = footprint().units;
    auto first = patch("m", base, b, SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"f"}, {"helper"});
    auto patched = apply(first);
    ASSERT_TRUE(patched.ok()) << patched.text();
    reclaim_all();
    EXPECT_EQ(footprint().units, units - 1) << "helper is gone";
    auto second = patch("m", first, "int f(int x) { return x * 5; }", 0, {"f"}, {}, 2);
    auto twice = apply(second);
    ASSERT_TRUE(twice.ok()) << twice.text();
    {
        Pin pin(loader());
        EXPECT_EQ(symbol<int(int)>("m", "f")(2), 10);
    }
    EXPECT_EQ(rollback("m").error.code, Code::rollback_refused);
    EXPECT_EQ(apply(first).error.code, Code::below_floor);
}

TEST_F(Patch, RollbackBringsRemovedFunctionsBack) {
    auto base = module("m",
                       "__attribute__((noinline)) static int helper(int x) { return x + 1; } int "
                       "f(int x) { return helper(x) * 2; }");
    ASSERT_TRUE(apply(base).ok());
    ASSERT_TRUE(apply(patch("m", base, "int f(int x) { return x * 3; }",
                            SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"f"}, {"helper"}))
                    .ok());
    ASSERT_TRUE(rollback("m").ok());
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "f")(2), 6);
}

TEST_F(Patch, RemovedFunctionStaysBoundToWhatItWasBuiltWith) {
    // `helper` changes together with its callers; the removed callback must go on with the old one.
    auto with = [](int v, bool callback) {
        return "typedef int fn(int); fn* hook;"
               "__attribute__((noinline)) static int deep(int x) { return x + " +
               std::to_string(v) +
               "; }"
               "__attribute__((noinline)) static int helper(int x) { return deep(x) * " +
               std::to_string(v) + "; }" +
               (callback ? "static int callback(int x) { return helper(x) + 1; } void arm(void) { "
                           "hook = callback; }"
                         : "void arm(void) { hook = 0; }") +
               "int call(int x) { return hook(x); } int now(int x) { return helper(x); }";
    };
    auto base = module("m", with(2, true));
    ASSERT_TRUE(apply(base).ok());
    {
        Pin pin(loader());
        symbol<void()>("m", "arm")();
    }
    auto* call = symbol<int(int)>("m", "call");
    auto* now = symbol<int(int)>("m", "now");
    auto first = patch("m", base, with(3, false), SGXDL_BUNDLE_ROLLBACK_ALLOWED,
                       {"deep", "helper", "arm"}, {"callback"});
    auto second =
        patch("m", first, with(5, false), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"deep", "helper"}, {}, 1);
    ASSERT_TRUE(apply(first).ok());
    Footprint settled{};
    for (int round = 0; round < 50; round++) {
        ASSERT_TRUE(apply(second).ok());
        reclaim_all();
        {
            Pin pin(loader());
            EXPECT_EQ(call(1), 7);
            EXPECT_EQ(now(1), 30);
        }
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
        {
            Pin pin(loader());
            EXPECT_EQ(call(1), 7);
            EXPECT_EQ(now(1), 12);
        }
        if (round == 4) settled = footprint();
    }
    EXPECT_EQ(footprint(), settled);
    ASSERT_TRUE(rollback("m").ok());
    reclaim_all();
    Pin pin(loader());
    EXPECT_EQ(call(1), 7);
    EXPECT_EQ(now(1), 6);
}

TEST_F(Patch, WrongBaseAndWritableObjectsAreRefused) {
    auto base = module("m", chain(100));
    auto other = module("m", chain(101));
    ASSERT_TRUE(apply(base).ok());
    reclaim_all();
    const Footprint before = footprint();
    EXPECT_EQ(apply(patch("m", other, chain(300))).error.code, Code::wrong_predecessor);
    EXPECT_EQ(apply(patch("m", base, chain(300), 0, {"leaf", "pointer"})).error.code,
              Code::writable_replaced);
    EXPECT_EQ(apply(patch("n", base, chain(300))).error.code, Code::no_such_module);
    EXPECT_EQ(footprint(), before);
}

TEST_F(Patch, ReplacedConstantRelinksItsUsers) {
    auto source = [](int v) {
        return "const int limits[4] = {1, 2, 3, " + std::to_string(v) +
               "}; int f(volatile int* i) { return limits[*i]; } int g(int x) { return x; }";
    };
    auto base = module("m", source(4));
    ASSERT_TRUE(apply(base).ok());
    auto patched = apply(patch("m", base, source(40), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"limits"}));
    ASSERT_TRUE(patched.ok()) << patched.text();
    EXPECT_EQ(patched.progress.closure_functions, 1u);
    volatile int three = 3;
    {
        Pin pin(loader());
        EXPECT_EQ(symbol<int(volatile int*)>("m", "f")(&three), 40);
    }
    ASSERT_TRUE(rollback("m").ok());
    {
        Pin pin(loader());
        EXPECT_EQ(symbol<int(volatile int*)>("m", "f")(&three), 4);
    }
}

TEST_F(Patch, EveryFailurePointLeavesTheOldStateRunning) {
    auto base = module("m", chain(100));
    auto change = patch("m", base, chain(300), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"leaf"});
    ASSERT_TRUE(apply(base).ok());
    auto* top = symbol<int(int)>("m", "top");
    reclaim_all();
    const Footprint before = footprint();
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        Platform::fail_after(n);
        auto outcome = apply(change);
        Platform::fail_after(0);
        if (outcome.ok()) break;
        failures++;
        ASSERT_EQ(footprint(), before) << "failure number " << n << ": " << outcome.text();
        Pin pin(loader());
        ASSERT_EQ(top(9), 201);
    }
    EXPECT_GT(failures, 20);
    Pin pin(loader());
    EXPECT_EQ(top(9), 601);
}

TEST_F(Patch, CallersNeverSeeTwoVersions) {
    // Both functions are patched together; a call that sees one old and one new returns an odd
    // value.
    auto source = [](int v) {
        return "__attribute__((noinline)) int first(int x) { return x + " + std::to_string(v) +
               "; }"
               "__attribute__((noinline)) int second(int x) { return x + " +
               std::to_string(v) +
               "; }"
               "typedef int fn(int); fn* volatile indirect = second;"
               "int both(int x) { int a = first(x); for (volatile int i = 0; i < 50; i++); return "
               "a * 1000 + indirect(x); }";
    };
    auto base = module("m", source(1));
    auto change = patch("m", base, source(2), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"first", "second"});
    ASSERT_TRUE(apply(base).ok());
    auto* both = symbol<int(int)>("m", "both");
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> calls{0}, mixed{0};
    std::vector<std::thread> callers;
    for (int t = 0; t < 3; t++) {
        callers.emplace_back([&] {
            while (!stop) {
                Pin pin(loader());
                const int value = both(0);
                if (value != 1001 && value != 2002) mixed++;
                calls++;
            }
        });
    }
    for (int round = 0; round < 300; round++) {
        ASSERT_TRUE(apply(change).ok());
        reclaim_all();
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
    }
    stop = true;
    for (std::thread& caller : callers)
        caller.join();
    EXPECT_EQ(mixed, 0u);
    EXPECT_GT(calls, 1000u);
}

}  // namespace sgxdl::test
