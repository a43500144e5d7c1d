// What a hostile host may do between the slices of an operation: ask for symbols, refuse pages,
// abandon at any point. Each test is a bug that was there once.
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "tests/loader/fixture.hpp"

namespace sgxdl::test {
namespace {

struct Interleaving : LoaderTest {
    // Begins, and runs slices until `stage`; false when the operation ended before.
    bool run_until(Stage stage) {
        for (;;) {
            auto progress = loader().step();
            if (!progress || progress->done) return false;
            if (progress->stage == stage) return true;
        }
    }
    bool run(uint32_t slices) {
        for (uint32_t i = 0; i < slices; i++) {
            auto progress = loader().step();
            if (!progress || progress->done) return false;
        }
        return true;
    }
    Outcome rest() {
        for (;;) {
            auto progress = loader().step();
            if (!progress) return {progress.error(), {}};
            if (progress->done) return {{}, *progress};
        }
    }
    void begin(const std::vector<uint8_t>& bundle) {
        sgxdl_bundle_header header;
        memcpy(&header, bundle.data(), sizeof header);
        ASSERT_TRUE(loader().begin_bundle(header, {}));
        ASSERT_TRUE(loader().feed({bundle.data() + sizeof header, bundle.size() - sizeof header}));
    }
    void begin_extend(const std::string& names) { ASSERT_TRUE(loader().begin_extend("m", names)); }
    // How a call ends in a process of its own: its exit code, or minus the signal.
    int call_apart(int (*function)(int), int x) {
        const pid_t child = fork();
        if (child == 0) {
            if (!loader().pin()) _exit(99);
            const int value = function(x);
            loader().unpin();
            _exit(value);
        }
        int status = 0;
        waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
};

// Enough writable memory that committing it takes several slices.
constexpr const char* ballast = "volatile char ballast[400000]; ";
std::string name_list(std::initializer_list<const char*> names) {
    std::string list;
    for (const char* name : names)
        list += std::string(name) + '\0';
    return list;
}

}  // namespace

TEST_F(Interleaving, AStubHandedOutDuringAnOperationIsNotReused) {
    const auto bundle = module("m", std::string(ballast) + R"(
        typedef int fn(int);
        int a(int x) { return x + 1; } int b(int x) { return x + 2; } int c(int x) { return x + 3; }
        int d(int x) { return x + 4; } int e(int x) { return x + 5; }
        fn* take(int x) { ballast[x] = 1; return e; }
    )");
    ASSERT_TRUE(apply(bundle, {"a", "b", "c", "d"}).ok());
    std::set<void*> addresses;
    // The first abandoned operation leaves an unused number behind, the second one takes it.
    for (const char* name : {"a", "b"}) {
        begin_extend(name_list({"take"}));
        ASSERT_TRUE(run_until(Stage::building));
        addresses.insert(loader().symbol("m", name));
        loader().abandon();
    }
    for (const char* name : {"c", "d"})
        addresses.insert(loader().symbol("m", name));
    EXPECT_EQ(addresses.size(), 4u);
    Pin pin(loader());
    int next = 1;
    for (const char* name : {"a", "b", "c", "d"})
        EXPECT_EQ(symbol<int(int)>("m", name)(10), 10 + next++) << name;
}

TEST_F(Interleaving, AStubThatAnOperationMadeAndSomebodyGotStays) {
    const auto bundle = module("m", std::string(ballast) + R"(
        typedef int fn(int);
        int a(int x) { return x + 1; } int b(int x) { return x + 2; }
        fn* take(int x) { ballast[x] = 1; return a; }
    )");
    ASSERT_TRUE(apply(bundle, {"a", "b"}).ok());
    begin_extend(name_list({"take"}));
    ASSERT_TRUE(run_until(Stage::building));
    auto* a = symbol<int(int)>("m", "a");
    ASSERT_NE(a, nullptr);
    EXPECT_EQ(call_apart(a, 10), 11) << "usable at once";
    loader().abandon();
    auto* b = symbol<int(int)>("m", "b");
    EXPECT_NE(a, b);
    EXPECT_EQ(symbol<int(int)>("m", "a"), a);
    EXPECT_EQ(call_apart(a, 10), 11);
    EXPECT_EQ(call_apart(b, 10), 12);
    ASSERT_TRUE(extend("m", {"take"}).ok());
    Pin pin(loader());
    EXPECT_EQ(symbol<int (*(int))(int)>("m", "take")(0), a);
}

TEST_F(Interleaving, UnloadedModulesGoWhileAnOperationIsInFlight) {
    const std::string source = std::string(ballast) + "int f(int x) { return ballast[x]; }";
    ASSERT_TRUE(apply(module("gone", source)).ok());
    ASSERT_TRUE(unload("gone", {}, true).ok());
    begin(module("m", source));
    reclaim_all();
    EXPECT_EQ(footprint().modules, 0u);
    EXPECT_TRUE(rest().ok());
}

TEST_F(Interleaving, WhatIsAboutToGoIsNotHandedOut) {
    const std::string old =
        std::string(ballast) + "int gone(int x) { return x + 1; } int f(int x) { return x; }";
    const auto bundle = module("m", old);
    const auto change =
        patch("m", bundle,
              "int f(int x) { return x + 7; } volatile char more[400000]; int g(int x) "
              "{ return more[x]; }",
              SGXDL_BUNDLE_ROLLBACK_ALLOWED, {}, {"gone"});
    ASSERT_TRUE(apply(bundle).ok());
    begin(change);
    ASSERT_TRUE(run_until(Stage::building));
    EXPECT_EQ(loader().symbol("m", "gone"), nullptr);
    EXPECT_NE(loader().symbol("m", "f"), nullptr);
    loader().abandon();
    // Abandoned, it is there; handed out, it keeps its last version.
    auto* gone = symbol<int(int)>("m", "gone");
    ASSERT_NE(gone, nullptr);
    ASSERT_TRUE(apply(change).ok());
    reclaim_all();
    EXPECT_EQ(call_apart(gone, 10), 11);
    EXPECT_EQ(call_apart(symbol<int(int)>("m", "f"), 1), 8);
}

// Many functions, so that every pass takes several slices: fN(x) is x + limit + N % 7.
struct ManyFunctions : Interleaving {
    static constexpr int count = 6400;
    std::vector<uint8_t> bundle() {
        std::string text =
            ".section .rodata.limit,\"a\"\n.globl limit\n.type limit,@object\n"
            "limit: .long 20\n.size limit,4\n";
        for (int i = 0; i < count; i++) {
            const std::string f = "f" + std::to_string(i);
            text += ".section .text." + f + ",\"ax\"\n.globl " + f + "\n.type " + f +
                    ",@function\n" + f + ": mov limit(%rip), %eax\nlea " + std::to_string(i % 7) +
                    "(%rax,%rdi), %eax\nret\n.size " + f + ",.-" + f + "\n";
        }
        return module_of("m", {work.compile("many.s", text, "")});
    }
    static int answer(int i, int limit) { return 1 + limit + i % 7; }
    int (*function(int i))(int) { return symbol<int(int)>("m", ("f" + std::to_string(i)).c_str()); }
    // Slices that the operation takes which has begun, until it is done.
    uint32_t count_slices() {
        uint32_t slices = 1;
        while (run(1))
            slices++;
        return slices;
    }
};

TEST_F(ManyFunctions, AnAbandonedReloadLeavesNoWayIntoItsCode) {
    const auto module = bundle();
    begin(module);
    count_slices();
    ASSERT_TRUE(unload("m").ok());
    reclaim_all();
    ASSERT_TRUE(apply(module, {"f0", "f1"}).ok());
    begin_extend("");
    const uint32_t slices = count_slices();
    EXPECT_GT(slices, 10u);
    ASSERT_TRUE(unload("m", {}, true).ok());
    reclaim_all();

    ASSERT_TRUE(apply(module, {"f0", "f1"}).ok());
    auto* f0 = function(0);
    ASSERT_TRUE(unload("m", {"f0"}, true).ok());
    reclaim_all();
    const uint64_t pages = footprint().pages;
    for (uint32_t before_end : {slices / 2, 4u, 3u, 2u, 1u}) {
        SCOPED_TRACE(before_end);
        begin_extend("");
        ASSERT_TRUE(run(slices - before_end));
        // The host lets a thread in before it drops the operation, and after.
        EXPECT_EQ(call_apart(f0, 1), -SIGABRT) << "stopped by the trap";
        loader().abandon();
        EXPECT_EQ(call_apart(f0, 1), -SIGABRT);
        ASSERT_EQ(footprint().pages, pages);
    }
    ASSERT_TRUE(extend("m", {}).ok());
    EXPECT_EQ(call_apart(f0, 1), answer(0, 20));
    EXPECT_EQ(call_apart(function(count - 1), 1), answer(count - 1, 20));
}

TEST_F(ManyFunctions, APageRefusedDuringAPatchIsMissedByNobody) {
    const auto module = bundle();
    const auto change =
        patch("m", module, "const int limit = 40;", SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"limit"});
    ASSERT_TRUE(apply(module).ok());
    begin(change);
    const uint32_t slices = count_slices();
    ASSERT_GT(slices, 10u);
    ASSERT_TRUE(rollback("m").ok());
    reclaim_all();
    int handed = 0;
    for (uint32_t before_end : {slices / 2, 2u, 1u}) {
        // Commits: the trap table, the tables of the current and the pending generation, stubs.
        for (uint64_t refused = 1; refused <= 4; refused++) {
            SCOPED_TRACE(std::to_string(before_end) + ", refused " + std::to_string(refused));
            // Table and stub pages are full, so that the next stub needs new ones.
            while (handed % 512 != 0)
                ASSERT_NE(function(handed++), nullptr);
            begin(change);
            ASSERT_TRUE(run(slices - before_end));
            Platform::fail_after(refused);
            auto* f = function(handed);
            Platform::fail_after(0);
            if (!f) f = function(handed);
            ASSERT_NE(f, nullptr);
            EXPECT_EQ(call_apart(f, 1), answer(handed, 20));
            ASSERT_TRUE(rest().ok());
            EXPECT_EQ(call_apart(f, 1), answer(handed, 40));
            ASSERT_TRUE(rollback("m").ok());
            reclaim_all();
            EXPECT_EQ(call_apart(f, 1), answer(handed, 20));
            handed++;
        }
    }
}

TEST_F(Interleaving, PagesThatTheSystemKeepsAreErrorsNotAborts) {
    const auto bundle = module("m", std::string(ballast) + R"(
        typedef int fn(int);
        int a(int x) { return x + 1; } int b(int x) { return x + 2; }
        fn* take(int x) { ballast[x] = 1; return a; }
    )");
    ASSERT_TRUE(apply(bundle, {"b"}).ok());
    // The operation has made stub and table pages; the system keeps them when it is abandoned.
    begin_extend(name_list({"take"}));
    ASSERT_TRUE(run_until(Stage::building));
    ASSERT_TRUE(run(1));
    Platform::refuse_releases(UINT64_MAX);
    loader().abandon();
    Platform::refuse_releases(0);
    EXPECT_EQ(loader().symbol("m", "b"), nullptr) << "there is no page for its stub";
    EXPECT_EQ(extend("m", {"take"}).error.code, Code::page_refused);
    // What needs no stub goes on elsewhere.
    EXPECT_TRUE(extend("m", {"a"}).ok());
}

}  // namespace sgxdl::test
