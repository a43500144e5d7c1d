// Constants and literals stay until their module goes (C15 of docs/consistency-model.md), have one
// address per content, and nothing piles up.
#include <string>

#include "tests/loader/fixture.hpp"

namespace sgxdl::test {

using Constant = LoaderTest;

namespace {
// inner is pointed to by outer, which is pointed to by top; `f` uses top and keeps pointers.
std::string source(int value, const std::string& text) {
    return R"(
        extern const int inner[4096]; extern const int* const outer[2]; extern const int* const* const top;
        const int inner[4096] = {1, 2, 3, )" +
           std::to_string(value) + R"(};
        const int* const outer[2] = {inner, inner + 3};
        const int* const* const top = outer;
        const int* volatile kept; const char* volatile kept_text;
        int f(int x) { const int* const* const volatile* p = &top; if (x) { kept = (*p)[1]; kept_text = ")" +
           text + R"("; } return *(*p)[1]; }
        int read(void) { return *kept; }
        const char* read_text(void) { return kept_text; }
        int other(int x) { return x; }
    )";
}
}  // namespace

TEST_F(Constant, KeptPointersReadTheOldContentForEver) {
    const auto base = module("m", source(4, "before"));
    ASSERT_TRUE(apply(base).ok());
    const void* old = loader().symbol("m", "inner");
    {
        Pin pin(loader());
        EXPECT_EQ(symbol<int(int)>("m", "f")(1), 4);
    }
    auto patched =
        apply(patch("m", base, source(40, "after"), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"inner", "f"}));
    ASSERT_TRUE(patched.ok()) << patched.text();
    reclaim_all();
    {
        Pin pin(loader());
        EXPECT_EQ(symbol<int()>("m", "read")(), 4) << "a pointer from before";
        EXPECT_STREQ(symbol<const char*()>("m", "read_text")(), "before");
        EXPECT_EQ(symbol<int(int)>("m", "f")(0), 40) << "new code sees the new content";
        EXPECT_NE(loader().symbol("m", "inner"), old);
    }
    ASSERT_TRUE(unload("m", {}, true).ok());
    reclaim_all();
    EXPECT_EQ(footprint().units, 0u) << "with the module they go";
}

TEST_F(Constant, GoingBackAndForthFindsTheSameCopies) {
    const auto base = module("m", source(4, "before"));
    const auto change =
        patch("m", base, source(40, "after"), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"inner", "f"});
    ASSERT_TRUE(apply(base).ok());
    const void* first[] = {loader().symbol("m", "inner"), loader().symbol("m", "outer"),
                           loader().symbol("m", "top")};
    void* second[3] = {};
    Footprint settled{};
    for (int round = 0; round < 20; round++) {
        ASSERT_TRUE(apply(change).ok());
        reclaim_all();
        int i = 0;
        for (const char* name : {"inner", "outer", "top"}) {
            void* address = loader().symbol("m", name);
            if (round == 0) second[i] = address;
            EXPECT_EQ(address, second[i]) << name << " in round " << round;
            EXPECT_NE(address, first[i]) << name;
            i++;
        }
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int(int)>("m", "f")(1), 40);
            EXPECT_STREQ(symbol<const char*()>("m", "read_text")(), "after");
        }
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
        i = 0;
        for (const char* name : {"inner", "outer", "top"})
            EXPECT_EQ(loader().symbol("m", name), first[i++]) << name << " in round " << round;
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int(int)>("m", "f")(1), 4);
        }
        if (round == 2) settled = footprint();
    }
    EXPECT_EQ(footprint(), settled) << "nothing piles up";
}

TEST_F(Constant, EveryFailurePointOfARollbackKeepsTheCopies) {
    const auto base = module("m", source(4, "before"));
    const auto change =
        patch("m", base, source(40, "after"), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"inner", "f"});
    ASSERT_TRUE(apply(base).ok());
    void* inner = loader().symbol("m", "inner");
    ASSERT_TRUE(apply(change).ok());
    ASSERT_TRUE(rollback("m").ok());
    ASSERT_TRUE(apply(change).ok());
    ASSERT_NE(loader().symbol("m", "f"), nullptr);
    reclaim_all();
    const Footprint before = footprint();
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        Platform::fail_after(n);
        auto outcome = rollback("m");
        Platform::fail_after(0);
        if (outcome.ok()) break;
        failures++;
        ASSERT_EQ(footprint(), before) << "failure number " << n << ": " << outcome.text();
        Pin pin(loader());
        ASSERT_EQ(symbol<int(int)>("m", "f")(1), 40);
    }
    EXPECT_GT(failures, 10);
    EXPECT_EQ(loader().symbol("m", "inner"), inner);
}

TEST_F(Constant, StackedPatchesThatReturnToAContentShareItsCopy) {
    const auto base = module("m", source(4, "x"));
    const auto up = patch("m", base, source(40, "x"), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"inner"});
    // Back to the first content, but outer is another one: it points elsewhere now.
    std::string third = source(4, "x");
    third.replace(third.find("inner + 3"), 9, "inner + 2");
    const auto back = patch("m", up, third, SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"inner", "outer"});
    ASSERT_TRUE(apply(base).ok());
    void* inner = loader().symbol("m", "inner");
    void* outer = loader().symbol("m", "outer");
    Footprint settled{};
    for (int round = 0; round < 10; round++) {
        ASSERT_TRUE(apply(up).ok());
        auto second = apply(back);
        ASSERT_TRUE(second.ok()) << second.text();
        reclaim_all();
        EXPECT_EQ(loader().symbol("m", "inner"), inner);
        EXPECT_NE(loader().symbol("m", "outer"), outer);
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int(int)>("m", "f")(0), 3);
        }
        ASSERT_TRUE(rollback("m").ok());
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int(int)>("m", "f")(0), 40);
        }
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
        EXPECT_EQ(loader().symbol("m", "outer"), outer);
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int(int)>("m", "f")(0), 4);
        }
        if (round == 2) settled = footprint();
    }
    EXPECT_EQ(footprint(), settled);
}

TEST_F(Constant, CircularConstantsGoBackTogether) {
    auto circle = [](int v) {
        return "struct node { const struct node* next; int value; }; extern const struct node a, "
               "b, c;"
               "const struct node a = {&b, 1}; const struct node b = {&c, " +
               std::to_string(v) +
               "}; const struct node c = {&a, 3};"
               "int sum(void) { const struct node* volatile n = &a; int s = n->value; for (n = "
               "n->next; "
               "n != &a; n = n->next) s = s * 10 + n->value; return s; }";
    };
    const auto base = module("m", circle(2));
    const auto change = patch("m", base, circle(5), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"b"});
    ASSERT_TRUE(apply(base).ok());
    void* a = loader().symbol("m", "a");
    uint64_t settled = 0;
    for (int round = 0; round < 6; round++) {
        ASSERT_TRUE(apply(change).ok());
        reclaim_all();
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int()>("m", "sum")(), 153);
        }
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
        EXPECT_EQ(loader().symbol("m", "a"), a);
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int()>("m", "sum")(), 123);
        }
        if (round == 0) settled = footprint().units;
    }
    EXPECT_EQ(footprint().units, settled);
}

// The object's address is compared through its GOT slot: `cmp` cannot be relaxed to anything else.
TEST_F(Constant, GotSlotsFollowReplacedConstants) {
    const std::string text =
        ".section .text.same,\"ax\"\n.globl same\n.type same,@function\n"
        "same: xor %eax, %eax\ncmp limit@GOTPCREL(%rip), %rdi\nsete %al\nret\n.size same,.-same\n"
        ".section .text.at,\"ax\"\n.globl at\n.type at,@function\n"
        "at: lea limit(%rip), %rax\nret\n.size at,.-at\n"
        ".section .rodata.limit,\"a\"\n.globl limit\n.type limit,@object\n"
        "limit: .long 20\n.size limit,4\n";
    const auto base = module_of("m", {work.compile("got.s", text, "")});
    const auto change =
        patch("m", base, "const int limit = 40;", SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"limit"});
    ASSERT_TRUE(apply(base).ok());
    Footprint settled{};
    for (int round = 0; round < 10; round++) {
        for (int value : {20, 40}) {
            auto changed = value == 40 ? apply(change) : Outcome{};
            ASSERT_TRUE(changed.ok()) << changed.text();
            Pin pin(loader());
            int* limit = symbol<int*()>("m", "at")();
            EXPECT_EQ(*limit, value);
            EXPECT_EQ(loader().symbol("m", "limit"), limit);
            EXPECT_EQ(symbol<int(int*)>("m", "same")(limit), 1) << value << " in round " << round;
        }
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
        if (round == 2) settled = footprint();
    }
    EXPECT_EQ(footprint(), settled);
}

TEST_F(Constant, AliasesThatAPatchDropsAreGone) {
    auto source = [](bool alias) {
        return std::string("const int a[2] = {1, ") + (alias ? "2" : "3") + "}; " +
               (alias ? "extern const int b[2] __attribute__((alias(\"a\"))); " : "") +
               "int f(volatile int* i) { return a[*i]; }";
    };
    const auto base = module("m", source(true));
    const auto change = patch("m", base, source(false), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"a"});
    ASSERT_TRUE(apply(base).ok());
    void* b = loader().symbol("m", "b");
    EXPECT_EQ(b, loader().symbol("m", "a"));
    auto patched = apply(change);
    ASSERT_TRUE(patched.ok()) << patched.text();
    EXPECT_EQ(loader().symbol("m", "b"), nullptr);
    EXPECT_NE(loader().symbol("m", "a"), b);
    ASSERT_TRUE(rollback("m").ok());
    EXPECT_EQ(loader().symbol("m", "b"), b);
}

TEST_F(Constant, WhatAPatchBroughtComesBackWithIt) {
    const std::string old = "int f(volatile int* i) { return *i; }";
    const std::string fresh = R"(
        const int table[3] = {7, 8, 9}; int counter = 100; const char* volatile text;
        int f(volatile int* i) { text = "brought"; return table[*i] + counter++; }
        const char* where(void) { return text; }
    )";
    const auto base = module("m", old);
    const auto change = patch("m", base, fresh, SGXDL_BUNDLE_ROLLBACK_ALLOWED);
    ASSERT_TRUE(apply(base).ok());
    volatile int one = 1;
    void* table = nullptr;
    const char* text = nullptr;
    Footprint settled{};
    for (int round = 0; round < 10; round++) {
        ASSERT_TRUE(apply(change).ok());
        {
            Pin pin(loader());
            EXPECT_EQ(symbol<int(volatile int*)>("m", "f")(&one), 108 + round)
                << "the same object with the content that it had";
            const char* now = symbol<const char*()>("m", "where")();
            if (round == 0) {
                text = now;
                table = loader().symbol("m", "table");
            }
            EXPECT_EQ(now, text);
            EXPECT_STREQ(now, "brought");
            EXPECT_EQ(loader().symbol("m", "table"), table);
        }
        ASSERT_TRUE(rollback("m").ok());
        reclaim_all();
        EXPECT_EQ(loader().symbol("m", "table"), nullptr);
        EXPECT_EQ(loader().symbol("m", "counter"), nullptr);
        EXPECT_STREQ(text, "brought");
        if (round == 2) settled = footprint();
    }
    EXPECT_EQ(footprint(), settled);
}

// Also when the constant is there already, and its users come later.
TEST_F(Constant, HasOneGotSlotHoweverOftenItIsUsed) {
    std::string text =
        ".section .rodata.limit,\"a\"\n.globl limit\n.type limit,@object\n"
        "limit: .long 20\n.size limit,4\n";
    for (const char* name : {"near", "far"}) {
        const std::string f = name;
        text += ".section .text." + f + ",\"ax\"\n.globl " + f + "\n.type " + f + ",@function\n" +
                f + ": ";
        for (int i = 0; i < 2000; i++)
            text += f == "far" ? "cmp limit@GOTPCREL(%rip), %rdi\nsete %al\n"
                               : "lea limit(%rip), %rax\n";
        text += "ret\n.size " + f + ",.-" + f + "\n";
    }
    const auto base = module_of("m", {work.compile("got.s", text, "")});
    for (int round = 0; round < 2; round++) {
        ASSERT_TRUE(apply(base, {"near"}).ok());
        const uint64_t before = loader().info().arena_pages_read_only;
        ASSERT_TRUE(extend("m", {"far"}).ok());
        EXPECT_EQ(loader().info().arena_pages_read_only, before + 1);
        {
            Pin pin(loader());
            void* limit = symbol<void*()>("m", "near")();
            EXPECT_TRUE(symbol<bool(void*)>("m", "far")(limit));
        }
        ASSERT_TRUE(unload("m", {}, true).ok());
        reclaim_all();
    }
}

}  // namespace sgxdl::test
