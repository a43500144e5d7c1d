// Signed bundles that are well formed but odd, and legal sequences of operations that are rare.
#include <ctime>

#include "tests/loader/fixture.hpp"
#include "tests/loader/relocation_cases.hpp"

namespace sgxdl::test {

using OddBundle = LoaderTest;

// The list of removed names is the vendor's word; saying it twice changes nothing.
TEST_F(OddBundle, ANameRemovedTwiceIsRemovedOnce) {
    const auto base = module("m", "int gone(int x) { return x + 1; } int f(int x) { return x; }");
    const auto change = patch("m", base, "int f(int x) { return x + 7; }",
                              SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"f"}, {"gone", "gone"});
    ASSERT_TRUE(apply(base).ok());
    for (int round = 0; round < 3; round++) {
        const Outcome patched = apply(change);
        ASSERT_TRUE(patched.ok()) << patched.text();
        reclaim_all();
        EXPECT_EQ(loader().symbol("m", "gone"), nullptr);
        EXPECT_EQ(footprint().units, 1u);
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
        EXPECT_EQ(footprint().units, 2u);
    }
}

// `imported` was the module's own function and is the enclave's in the new build.
TEST_F(OddBundle, AFunctionThatBecomesAnImportIsTheImport) {
    const std::string user =
        "__attribute__((noinline)) int imported(int); int f(int x) { return imported(x) * 2; }"
        "int (*pointer(void))(int) { return imported; }";
    const auto base =
        module("m", user + "int imported(int x) { __asm__ volatile(\"\"); return x + 1; }");
    for (const bool handed_out : {false, true}) {
        SCOPED_TRACE(handed_out ? "its address was handed out" : "nobody has its address");
        ASSERT_TRUE(
            apply(base, handed_out ? std::vector<std::string>{} : std::vector<std::string>{"f"})
                .ok());
        if (handed_out) {
            ASSERT_NE(loader().symbol("m", "imported"), nullptr);
        }
        const Outcome patched = apply(
            patch("m", base, user, SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"f", "pointer"}, {"imported"}));
        ASSERT_TRUE(patched.ok()) << patched.text();
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int(int)>("m", "f")(5), (5 + imported_adds) * 2);
        }
        ASSERT_TRUE(rollback("m").ok());
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int(int)>("m", "f")(5), 12);
        }
        ASSERT_TRUE(unload("m", {}, true).ok());
        reclaim_all();
    }
}

// The other way round.
TEST_F(OddBundle, AnImportThatBecomesAFunctionIsTheFunction) {
    const std::string user =
        "__attribute__((noinline)) int imported(int); int f(int x) { return imported(x) * 2; }";
    const auto base = module("m", user);
    const auto change =
        patch("m", base, user + "int imported(int x) { __asm__ volatile(\"\"); return x + 1; }",
              SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"f", "imported"});
    ASSERT_TRUE(apply(base).ok());
    auto* f = symbol<int(int)>("m", "f");
    for (int round = 0; round < 3; round++) {
        {
            Pin pin(loader());
            EXPECT_EQ(f(5), (5 + imported_adds) * 2);
        }
        ASSERT_TRUE(apply(change).ok());
        {
            Pin pin(loader());
            EXPECT_EQ(f(5), 12);
        }
        ASSERT_TRUE(rollback("m").ok());
    }
}

// What sgxdl_sym() finds is what it would find in a fresh load of the build (C12).
TEST_F(OddBundle, AStaticFunctionThatBecomesGlobalIsFound) {
    const std::string rest =
        "int helper(int x) { return x + 1; } int f(int x) "
        "{ return helper(x) * 2; }";
    const auto base = module("m", "__attribute__((noinline)) static " + rest);
    const auto change = patch("m", base, "__attribute__((noinline)) " + rest,
                              SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"helper", "f"});
    ASSERT_TRUE(apply(base).ok());
    EXPECT_EQ(loader().symbol("m", "helper"), nullptr);
    ASSERT_TRUE(apply(change).ok());
    EXPECT_NE(loader().symbol("m", "helper"), nullptr);
    ASSERT_TRUE(rollback("m").ok());
    EXPECT_EQ(loader().symbol("m", "helper"), nullptr);
}

// A module loaded whole has all functions of its build, also those that a patch brings again.
TEST_F(OddBundle, AWholeModuleGetsAFunctionThatComesAgain) {
    const auto base = module("m", "int f(int x) { return x; } int other(int x) { return x + 1; }");
    const auto change =
        patch("m", base, "int f(int x) { return x + 7; } int g(int x) { return x; }",
              SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"f", "g"}, {"other"});
    ASSERT_TRUE(apply(base, {"f"}).ok());
    ASSERT_TRUE(apply(change).ok());
    EXPECT_EQ(loader().symbol("m", "g"), nullptr) << "only f was asked for";
    ASSERT_TRUE(rollback("m").ok());
    ASSERT_TRUE(extend("m", {}).ok());
    ASSERT_TRUE(apply(change).ok());
    EXPECT_NE(loader().symbol("m", "g"), nullptr);
    EXPECT_EQ(loader().symbol("m", "other"), nullptr);
}

// The same when the module becomes whole while the function is away.
TEST_F(OddBundle, AWholeModuleGetsAFunctionThatComesBack) {
    const auto base = module("m", "int f(int x) { return x; } int other(int x) { return x + 1; }");
    const auto without = patch("m", base, "int f(int x) { return x + 7; }",
                               SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"f"}, {"other"});
    const auto with =
        patch("m", without, "int f(int x) { return x; } int other(int x) { return x + 2; }",
              SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"f", "other"});
    ASSERT_TRUE(apply(base, {"f"}).ok());
    ASSERT_TRUE(apply(without).ok());
    ASSERT_TRUE(extend("m", {}).ok());
    ASSERT_TRUE(apply(with).ok());
    EXPECT_NE(loader().symbol("m", "other"), nullptr);
}

// C10: it keeps its last version, whatever else is unloaded.
TEST_F(OddBundle, UnloadingAnotherFunctionLeavesARemovedOneAlone) {
    auto source = [](bool with) {
        return std::string("typedef int fn(int); int f(int x) { return x; }") +
               "int other(int x) { return x + 1; }" +
               (with ? "__attribute__((noinline)) static int deep(int x) {"
                       "    __asm__ volatile(\"\"); return x + 5; }"
                       "static int callback(int x) { return deep(x) + 100; }"
                       "fn* take(void) { return callback; }"
                     : "fn* take(void) { return 0; }");
    };
    const auto base = module("m", source(true));
    ASSERT_TRUE(apply(base, {"f", "other", "take"}).ok());
    int (*callback)(int);
    {
        Pin pin(loader());
        callback = symbol<int (*())(int)>("m", "take")();
    }
    ASSERT_TRUE(apply(patch("m", base, source(false), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"take"},
                            {"callback", "deep"}))
                    .ok());
    const Outcome outcome = unload("m", {"other"});
    EXPECT_TRUE(outcome.ok()) << outcome.text();
    ASSERT_TRUE(unload("m", {"f"}, true).ok());
    reclaim_all();
    Pin pin(loader());
    EXPECT_EQ(callback(1), 106);
}

// A removed function keeps alive what it is bound to, here 3,000 functions. The slice that
// publishes finds those in one go: it took 0.2 s of processor time.
TEST_F(OddBundle, ARemovedFunctionThatIsBoundToManyCostsNoLongSlice) {
    constexpr int count = 3000;
    std::string text =
        ".section .rodata.limit,\"a\"\n.globl limit\n.type limit,@object\n"
        "limit: .long 20\n.size limit,4\n";
    for (int i = 0; i <= count; i++) {
        const std::string f = "f" + std::to_string(i);
        text += ".section .text." + f + ",\"ax\"\n.globl " + f + "\n.type " + f + ",@function\n" +
                f + ": mov limit(%rip), %eax\n";
        for (int k = 1; k < 6; k++)
            text += "call f" + std::to_string((i * 7 + k * 31) % count) + "\n";
        text += "ret\n.size " + f + ",.-" + f + "\n";
    }
    const std::string removed = "f" + std::to_string(count);
    const auto change = [&](const std::vector<uint8_t>& base, int limit, bool first) {
        return patch("m", base, "const int limit = " + std::to_string(limit) + ";",
                     SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"limit"},
                     first ? std::vector{removed} : std::vector<std::string>{});
    };
    auto state = module_of("m", {work.compile("many.s", text, "")});
    ASSERT_TRUE(apply(state).ok());
    ASSERT_NE(loader().symbol("m", removed.c_str()), nullptr);
    Pin pin(loader());
    for (int limit = 1; limit < 4; limit++) {
        state = change(state, limit, limit == 1);
        sgxdl_bundle_header header;
        memcpy(&header, state.data(), sizeof header);
        ASSERT_TRUE(loader().begin_bundle(header, {}));
        ASSERT_TRUE(loader().feed({state.data() + sizeof header, state.size() - sizeof header}));
        for (bool done = false; !done;) {
            timespec before, after;
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
            auto progress = loader().step();
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
            ASSERT_TRUE(progress) << progress.error().context;
            done = progress->done;
            const int64_t spent =
                (after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec;
            EXPECT_LT(spent, 30'000'000) << "slice " << progress->slices;
        }
    }
}

// Patches without a way back, one after the other for months: what nothing is linked from goes.
TEST_F(OddBundle, PatchesThatNothingGoesBackToDoNotPileUp) {
    const auto source = [](int i) {
        return "int f(int x) { return x + " + std::to_string(i) + "; }";
    };
    auto state = module("m", source(0));
    ASSERT_TRUE(apply(state).ok());
    size_t blocks = 0;
    uint64_t retained = 0;
    for (int i = 1; i <= 32; i++) {
        state = patch("m", state, source(i), 0, {"f"});
        ASSERT_TRUE(apply(state).ok());
        reclaim_all();
        Pin pin(loader());
        EXPECT_EQ(symbol<int(int)>("m", "f")(1), 1 + i);
        EXPECT_EQ(loader().module_info(0)->patches, static_cast<uint32_t>(i));
        if (i == 8) {
            blocks = footprint().heap_blocks;
            retained = loader().module_info(0)->retained_bytes;
        }
    }
    EXPECT_EQ(footprint().heap_blocks, blocks);
    EXPECT_EQ(loader().module_info(0)->retained_bytes, retained);
}

// reclaim() says that there is more to do as long as a module that was unloaded is there.
TEST_F(OddBundle, AllUnloadedModulesGo) {
    const auto bundle = module("m", "int f(int x) { return x; }");
    sgxdl_bundle_header header;
    memcpy(&header, bundle.data(), sizeof header);
    for (int round = 0; round < 5; round++) {
        ASSERT_TRUE(apply(bundle).ok());
        ASSERT_TRUE(unload("m").ok());
    }
    EXPECT_EQ(footprint().modules, 5u);
    // An operation in flight does not keep them.
    ASSERT_TRUE(loader().begin_bundle(header, {}));
    reclaim_all();
    EXPECT_EQ(footprint().modules, 0u);
    loader().abandon();
}

}  // namespace sgxdl::test
