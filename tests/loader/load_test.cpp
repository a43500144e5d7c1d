// Loading whole modules: every kind of reference that gcc makes at -O2 ends where it should.
#include "tests/loader/fixture.hpp"

namespace sgxdl::test {

using Load = LoaderTest;

TEST_F(Load, CallsDataAndLiterals) {
    auto bundle = module("m", R"(
        #include <string.h>
        static int counter = 40;
        static int zeroed[5000];
        const char* const names[] = {"alpha", "beta", "gamma"};
        __attribute__((noinline)) static int step(int by) { zeroed[4999] += by; return counter += by; }
        int run(int by) { return step(by) + zeroed[4999]; }
        const char* name(int i) { return names[i]; }
        int length(int i) { return (int)strlen(names[i]); }
    )");
    auto loaded = apply(bundle);
    ASSERT_TRUE(loaded.ok()) << loaded.text();
    EXPECT_EQ(loaded.progress.functions, 4u);
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "run")(2), 44);
    EXPECT_EQ(symbol<int(int)>("m", "run")(3), 50);
    EXPECT_STREQ(symbol<const char*(int)>("m", "name")(1), "beta");
    EXPECT_EQ(symbol<int(int)>("m", "length")(0), 5);
    EXPECT_EQ(loader().symbol("m", "step"), nullptr) << "local symbols are not handed out";
    EXPECT_EQ(loader().symbol("m", "absent"), nullptr);
}

TEST_F(Load, JumpTablesComputedGotosAndColdParts) {
    auto bundle = module("m", R"(
        extern void abort(void);
        extern int test_imported(int);
        int pick(int x, int a, int b) {
            switch (x) {
                case 0: return a + b; case 1: return a - b; case 2: return a * b; case 3: return a ^ b;
                case 4: return a | b; case 5: return a & b; case 6: return a << 3; case 7: return test_imported(b);
                case 8: return -a; default: if (x > 100) abort(); return b;
            }
        }
        int interpret(const unsigned char* code) {
            static const void* const labels[] = {&&add, &&sub, &&dup, &&end};
            int acc = 1;
            goto *labels[*code++];
          add: acc += 5; goto *labels[*code++];
          sub: acc -= 2; goto *labels[*code++];
          dup: acc *= 2; goto *labels[*code++];
          end: return acc;
        }
    )");
    auto loaded = apply(bundle);
    ASSERT_TRUE(loaded.ok()) << loaded.text();
    Pin pin(loader());
    auto* pick = symbol<int(int, int, int)>("m", "pick");
    const int expected[] = {9, 5, 14, 5, 7, 2, 56, 1002, -7, 2};
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(pick(i, 7, 2), expected[i]) << i;
    const unsigned char code[] = {0, 2, 1, 0, 3};
    EXPECT_EQ(symbol<int(const unsigned char*)>("m", "interpret")(code), 15);
}

TEST_F(Load, OneAddressPerFunctionWhereverItIsTaken) {
    auto bundle = module("m", R"(
        typedef int fn(int);
        int target(int x) { return x + 1; }
        fn* in_data = target;
        fn* const in_constant = target;
        fn* in_code(void) { return target; }
        fn* itself_(int x) { return x ? (fn*)itself_ : target; }
        static fn* volatile kept;
        int self(int x) { kept = self; return x; }
        fn* kept_value(void) { return kept; }
    )");
    auto loaded = apply(bundle);
    ASSERT_TRUE(loaded.ok()) << loaded.text();
    Pin pin(loader());
    using Fn = int(int);
    Fn* by_symbol = symbol<Fn>("m", "target");
    EXPECT_EQ(by_symbol(1), 2);
    EXPECT_EQ(*symbol<Fn*>("m", "in_data"), by_symbol);
    EXPECT_EQ(*symbol<Fn*>("m", "in_constant"), by_symbol);
    EXPECT_EQ(symbol<Fn*()>("m", "in_code")(), by_symbol);
    symbol<Fn>("m", "self")(1);
    EXPECT_EQ(symbol<Fn*()>("m", "kept_value")(), symbol<Fn>("m", "self"));
    EXPECT_FALSE(loader().is_loaded_code(reinterpret_cast<uintptr_t>(&code_text)));
    EXPECT_TRUE(loader().is_loaded_code(reinterpret_cast<uintptr_t>(by_symbol)));
}

TEST_F(Load, ImportsNearAndFar) {
    auto bundle = module("m", R"(
        extern int test_imported(int); extern int test_imported_calls;
        extern int absent_weak(int) __attribute__((weak));
        int direct(int x) { return test_imported(x); }
        void* address(void) { return test_imported; }
        int* object(void) { return &test_imported_calls; }
        int weak(int x) { return absent_weak ? absent_weak(x) : -1; }
    )",
                         "-O2 -fPIC -ffunction-sections -fdata-sections");
    auto loaded = apply(bundle);
    ASSERT_TRUE(loaded.ok()) << loaded.text();
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "direct")(5), 1005);
    void* address = symbol<void*()>("m", "address")();
    EXPECT_EQ(reinterpret_cast<int (*)(int)>(address)(1), 1001);
    EXPECT_EQ(symbol<int(int)>("m", "weak")(5), -1);
    EXPECT_GE(*symbol<int*()>("m", "object")(), 2);
}

TEST_F(Load, MissingImportIsNamed) {
    const Footprint before = footprint();
    auto outcome =
        apply(module("m", "extern int not_there(void); int f(void) { return not_there(); }"));
    EXPECT_EQ(outcome.error.code, Code::missing_import);
    EXPECT_STREQ(outcome.error.context, "'not_there'");
    EXPECT_EQ(footprint(), before);
}

TEST_F(Load, SeveralFunctionsInOneSectionAndAliases) {
    auto bundle = module("m", R"(
        int one(void) { return 1; }
        __attribute__((noinline)) int two(void) { return 2; }
        int both(void) { return one() + two(); }
        int also(void) __attribute__((alias("both")));
        int (*table[])(void) = {one, two, both, also};
    )",
                         "-O1 -fPIE");
    auto loaded = apply(bundle);
    ASSERT_TRUE(loaded.ok()) << loaded.text();
    Pin pin(loader());
    auto* table = symbol<int (*)()>("m", "table");
    EXPECT_EQ(table[0]() + table[1]() * 10 + table[2]() * 100 + table[3]() * 1000, 3321);
    EXPECT_EQ(reinterpret_cast<void*>(table[1]), loader().symbol("m", "two"));
}

TEST_F(Load, TheLogNamesEveryStage) {
    ASSERT_TRUE(apply(module("m", "int f(void) { return 1; }")).ok());
    std::vector<std::string> stages;
    for (const std::string& line : log) {
        const size_t at = line.find(": ") + 2;
        stages.push_back(line.substr(at, line.find(',') - at));
    }
    EXPECT_EQ(stages, (std::vector<std::string>{"receiving", "verified", "decoded", "planned",
                                                "building", "current"}));
}

TEST_F(Load, TheSameModuleTwiceIsRefused) {
    auto bundle = module("m", "int f(void) { return 1; }");
    ASSERT_TRUE(apply(bundle).ok());
    EXPECT_EQ(apply(bundle).error.code, Code::already_loaded);
}

TEST_F(Load, EveryFailurePointLeavesNothingBehind) {
    auto bundle = module("m", R"(
        extern int test_imported(int);
        static int state = 3; static int big[10000];
        int g(int x) { return test_imported(x) + state; }
        int (*const pointers[])(int) = {g, test_imported};
        int f(int x) { switch (x) { case 0: return 5; case 1: return g(x); case 2: return 9; case 3: return big[x];
                                    case 4: return pointers[x & 1](x); } return 0; }
    )",
                         "-O2 -fPIC -ffunction-sections -fdata-sections");
    const Footprint before = footprint();
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        Platform::fail_after(n);
        auto outcome = apply(bundle);
        Platform::fail_after(0);
        if (outcome.ok()) break;
        failures++;
        EXPECT_TRUE(outcome.error.code == Code::no_memory ||
                    outcome.error.code == Code::page_refused)
            << outcome.text();
        ASSERT_EQ(footprint(), before) << "failure number " << n << ": " << outcome.text();
    }
    EXPECT_GT(failures, 20);
    Pin pin(loader());
    EXPECT_EQ(symbol<int(int)>("m", "f")(1), 1004);
}

}  // namespace sgxdl::test
