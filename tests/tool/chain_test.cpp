// Patches on top of patches, and what diff refuses about its inputs.
#include <gtest/gtest.h>

#include <set>

#include "tests/tool/hosted.hpp"
#include "tests/tool/support.hpp"
#include "tool/diff/compare.hpp"
#include "tool/diff/diff.hpp"
#include "tool/diff/state.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"

namespace sgxdl::test {
namespace {

// A file in several versions: `shift` lines above, `factor` in scale(), clones numbered from
// `first`.
std::string source(int shift, int factor, int first, const std::string& more = "") {
    std::string text;
    for (int i = 0; i < 150 + shift; i++)
        text += "// a line\n";
    text += fmt::format(R"(
        volatile int reported;
        int state = 10;
        __attribute__((noipa)) static int report(int line) {{ reported = line; return line; }}
        __attribute__((noinline)) int check(int x) {{ return x == 77 ? report(__LINE__) : 1; }}
        __attribute__((noinline)) int check2(int x) {{ return x == 78 ? report(__LINE__) : 2; }}
        __attribute__((noipa)) static int a(int x) __asm__("part.isra.{1}");
        static int a(int x) {{ return x + 5; }}
        __attribute__((noipa)) static int b(int x) __asm__("part.isra.{2}");
        static int b(int x) {{ return x * 5; }}
        __attribute__((noinline)) int scale(int x) {{ return x * {0}; }}
        {3}
        int entry(void) {{ return check(1) + check2(2) * 10 + scale(3) + a(1) + b(2) + state++; }}
    )",
                        factor, first, first + 1, more);
    return text;
}

class Chain : public testing::Test {
 protected:
    std::string build(const std::string& name, const std::string& text,
                      const std::string& flags = "") {
        // One file name for all builds, as in a real source tree.
        return compile_text(folder_, name + "/a.c", text, flags);
    }
    std::string save(const std::string& name, const std::vector<uint8_t>& bytes) {
        std::string file = (folder_.path() / name).string();
        front::write_file(file, bytes);
        return file;
    }
    diff::DiffOptions options(std::vector<std::string> base, const std::string& a,
                              const std::string& b) {
        diff::DiffOptions options;
        options.base = std::move(base);
        options.old_objects = {a};
        options.new_objects = {b};
        options.key = vendor_key();
        options.version = "next";
        return options;
    }
    void refuses(const diff::DiffOptions& options, front::Failure failure,
                 const std::string& message) {
        try {
            diff::diff(options);
            ADD_FAILURE() << "gave a patch; expected: " << message;
        } catch (const front::Error& error) {
            EXPECT_EQ(error.failure(), failure) << error.what();
            EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
        }
    }
    Folder folder_;
};

TEST_F(Chain, AFunctionMayBecomeAnImportAndBack) {
    const std::string user =
        "__attribute__((noinline)) int toupper(int); int entry(void) { return toupper(97); }";
    std::string a = build(
        "a", user + "int toupper(int c) { __asm__ volatile(\"\"); return c + 1; }", "-fno-builtin");
    std::string b = build("b", user, "-fno-builtin");
    const auto base = front::pack_objects({a}, pack_options());
    std::string module = save("m.sgxm", base);
    const auto away = diff::diff(options({module}, a, b)).bundle;
    std::string patch = save("p1.sgxp", away);
    const auto back = diff::diff(options({module, patch}, b, a)).bundle;
    HostedLoader loader({base, away, back});
    loader.take(base);
    EXPECT_EQ(loader.entry(), 98);
    loader.take(away);
    EXPECT_EQ(loader.entry(), 65);
    loader.take(back);
    EXPECT_EQ(loader.entry(), 98);
}

TEST_F(Chain, EachPatchStartsFromTheStateBefore) {
    std::string a = build("a", source(0, 2, 0));
    std::string b = build("b", source(3, 3, 4));
    std::string c = build("c", source(7, 4, 2, "int extra(void) { return state; }"));
    std::string module = save("m.sgxm", front::pack_objects({a}, pack_options()));
    for (bool omit : {false, true}) {
        auto first = options({module}, a, b);
        first.omit_line_only = omit;
        std::string patch1 = save("p1.sgxp", diff::diff(first).bundle);
        auto second = options({module, patch1}, b, c);
        second.omit_line_only = omit;
        diff::DiffResult result = diff::diff(second);
        std::string patch2 = save("p2.sgxp", result.bundle);

        diff::ModuleState state =
            diff::open_state({module, patch1, patch2}, vendor_key().public_key);
        front::Image fresh = front::build_image({c});
        EXPECT_EQ(diff::equal_units(diff::nominal(state.image, state.omitted), fresh),
                  std::vector<std::string>());
        EXPECT_EQ(state.omitted.size(), omit ? 2u : 0u);
        // The clones have kept the module's names through two renumberings.
        auto names = front::defined_names(state.image);
        EXPECT_TRUE(names.contains("part.isra.0") && names.contains("part.isra.1"));
        EXPECT_FALSE(names.contains("part.isra.4"));

        std::string linked = save("state.o", front::write_elf(state.image));
        EXPECT_EQ(run_natively(folder_, "patched", {linked}).text,
                  run_natively(folder_, "fresh", {c}).text);

        // A patch that puts everything back: the lines are those of the first build again.
        auto back = options({module, patch1, patch2}, c, a);
        back.omit_line_only = omit;
        std::string patch3 = save("p3.sgxp", diff::diff(back).bundle);
        diff::ModuleState again =
            diff::open_state({module, patch1, patch2, patch3}, vendor_key().public_key);
        EXPECT_EQ(
            diff::equal_units(diff::nominal(again.image, again.omitted), front::build_image({a})),
            std::vector<std::string>());
        EXPECT_EQ(diff::equal_units(again.image, front::build_image({a})),
                  std::vector<std::string>());
    }
}

// Lines that were left out come in with the next patch that does not leave them out.
TEST_F(Chain, OmittedLinesAreCaughtUp) {
    std::string a = build("a", source(0, 2, 0));
    std::string b = build("b", source(3, 3, 0));
    std::string c = build("c", source(3, 4, 0));
    std::string module = save("m.sgxm", front::pack_objects({a}, pack_options()));
    auto first = options({module}, a, b);
    first.omit_line_only = true;
    std::string patch1 = save("p1.sgxp", diff::diff(first).bundle);
    std::string patch2 = save("p2.sgxp", diff::diff(options({module, patch1}, b, c)).bundle);
    diff::ModuleState state = diff::open_state({module, patch1, patch2}, vendor_key().public_key);
    EXPECT_TRUE(state.omitted.empty());
    EXPECT_EQ(diff::equal_units(state.image, front::build_image({c})), std::vector<std::string>());
}

// Archives may hold members of one name; each has its own debug information.
TEST_F(Chain, LinesAreProvenInArchives) {
    auto archive = [&](const std::string& name, int shift, int factor) {
        std::string one = build(name, source(shift, factor, 0));
        std::string text;
        for (int i = 0; i < 200 + shift; i++)
            text += "// a line\n";
        text +=
            "extern volatile int reported;\n"
            "int other(int x) { if (x == 5) reported = __LINE__; return x; }\n";
        std::string two = build(name + "/two", text);
        std::string file = (folder_.path() / name / "lib.a").string();
        EXPECT_EQ(run(fmt::format("ar qcs {} {} {}", file, one, two)).status, 0);
        return file;
    };
    std::string a = archive("a", 0, 2);
    std::string b = archive("b", 5, 3);
    std::string module = save("m.sgxm", front::pack_objects({a}, pack_options()));
    auto wanted = options({module}, a, b);
    wanted.omit_line_only = true;
    diff::DiffResult result = diff::diff(wanted);
    std::set<std::string> omitted;
    for (const diff::Change& change : result.changes) {
        if (change.kind == diff::ChangeKind::line_numbers_omitted) omitted.insert(change.name);
    }
    EXPECT_EQ(omitted, (std::set<std::string>{"check", "check2", "other"}));
    EXPECT_EQ(result.changed.functions, 1u);
}

TEST_F(Chain, OldObjectsMustBeTheBasesBuild) {
    std::string a = build("a", source(0, 2, 0));
    std::string b = build("b", source(0, 3, 0));
    std::string c = build("c", source(0, 4, 0));
    std::string module = save("m.sgxm", front::pack_objects({a}, pack_options()));
    refuses(options({module}, b, c), front::Failure::cannot_diff, "scale: bytes");
    std::string patch = save("p.sgxp", diff::diff(options({module}, a, b)).bundle);
    refuses(options({module, patch}, a, c), front::Failure::cannot_diff, "scale: bytes");
    refuses(
        options({module, patch}, build("d", source(0, 3, 0, "int more(void) { return 1; }")), c),
        front::Failure::cannot_diff, "more: not in the base");
}

TEST_F(Chain, BundlesMustFollowOneAnother) {
    std::string a = build("a", source(0, 2, 0));
    std::string b = build("b", source(0, 3, 0));
    std::string c = build("c", source(0, 4, 0));
    std::string module = save("m.sgxm", front::pack_objects({a}, pack_options()));
    std::string patch1 = save("p1.sgxp", diff::diff(options({module}, a, b)).bundle);
    std::string patch2 = save("p2.sgxp", diff::diff(options({module, patch1}, b, c)).bundle);
    auto key = vendor_key().public_key;
    EXPECT_NO_THROW(diff::open_state({module, patch1, patch2}, key));
    EXPECT_THROW(diff::open_state({module, patch2}, key), front::Error);
    EXPECT_THROW(diff::open_state({patch1}, key), front::Error);
    EXPECT_THROW(diff::open_state({module, module}, key), front::Error);
    EXPECT_THROW(diff::open_state({module}, front::generate_key().public_key), front::Error);
    auto low = options({module}, a, b);
    low.security_version = 0;
    refuses(low, front::Failure::error, "below the base's");
}

TEST_F(Chain, HeaderSaysWhatWasAskedFor) {
    std::string a = build("a", source(0, 2, 0));
    std::string b = build("b", source(0, 3, 0));
    std::vector<uint8_t> module_bytes = front::pack_objects({a}, pack_options());
    std::string module = save("m.sgxm", module_bytes);
    auto wanted = options({module}, a, b);
    wanted.security_version = 7;
    wanted.allow_rollback = true;
    front::Bundle patch = front::open_bundle(diff::diff(wanted).bundle, "p");
    EXPECT_EQ(patch.info.kind, SGXDL_BUNDLE_PATCH);
    EXPECT_EQ(patch.info.flags, uint32_t{SGXDL_BUNDLE_ROLLBACK_ALLOWED});
    EXPECT_EQ(patch.info.security_version, 7u);
    EXPECT_EQ(patch.info.predecessor, front::open_bundle(module_bytes, "m").digest);
    EXPECT_TRUE(front::signed_by(patch, vendor_key().public_key));
    EXPECT_EQ(front::open_bundle(diff::diff(options({module}, a, b)).bundle, "p").info.flags, 0u);
}

// What may not be rolled back must not come back by unloading either.
TEST_F(Chain, SecurityVersionRisesUnlessToldOtherwise) {
    std::string a = build("a", source(0, 2, 0));
    std::string b = build("b", source(0, 3, 0));
    std::string module = save("m.sgxm", front::pack_objects({a}, pack_options()));
    auto wanted = options({module}, a, b);
    const auto version_of = [](const diff::DiffResult& result) {
        return front::open_bundle(result.bundle, "p").info.security_version;
    };
    diff::DiffResult lasting = diff::diff(wanted);
    EXPECT_EQ(version_of(lasting), 2u);
    EXPECT_TRUE(lasting.warnings.empty());
    wanted.security_version = 1;
    diff::DiffResult evadable = diff::diff(wanted);
    EXPECT_EQ(version_of(evadable), 1u);
    ASSERT_EQ(evadable.warnings.size(), 1u);
    EXPECT_NE(evadable.warnings[0].find("loaded again after an unload"), std::string::npos);
    wanted.security_version.reset();
    wanted.allow_rollback = true;
    diff::DiffResult undoable = diff::diff(wanted);
    EXPECT_EQ(version_of(undoable), 1u);
    EXPECT_TRUE(undoable.warnings.empty());
}

// equal_units is what all of this rests on, so it must see every kind of difference.
TEST_F(Chain, EqualUnitsSeesDifferences) {
    front::Image good = front::build_image({build("a", source(0, 2, 0))});
    EXPECT_TRUE(diff::equal_units(good, good).empty());
    auto names = front::defined_names(good);
    auto unit = [&](const char* name) { return good.symbols[names.at(name)].section; };
    auto broken = [&](auto&& change) {
        front::Image image = good;
        change(image);
        return !diff::equal_units(good, image).empty();
    };
    uint32_t entry = unit("entry");
    EXPECT_TRUE(broken([&](front::Image& i) { i.sections[entry].bytes[0] ^= 1; }));
    EXPECT_TRUE(broken([&](front::Image& i) { i.sections[entry].align *= 2; }));
    EXPECT_TRUE(broken([&](front::Image& i) { i.sections[entry].relocations[0].addend++; }));
    EXPECT_TRUE(broken([&](front::Image& i) { i.sections[entry].relocations[0].offset++; }));
    EXPECT_TRUE(broken([&](front::Image& i) { i.sections[entry].relocations.pop_back(); }));
    EXPECT_TRUE(broken([&](front::Image& i) {
        auto& relocations = i.sections[entry].relocations;
        std::swap(relocations[0].symbol, relocations[1].symbol);
    }));
    EXPECT_TRUE(broken([&](front::Image& i) { i.symbols[names.at("scale")].name = "scales"; }));
    EXPECT_TRUE(broken([&](front::Image& i) { i.symbols[names.at("scale")].value = 1; }));
    EXPECT_TRUE(broken([&](front::Image& i) { i.sections[unit("state")].bytes[0] ^= 1; }));
}

}  // namespace
}  // namespace sgxdl::test
