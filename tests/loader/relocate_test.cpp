// Every relocation type: the last value in range and the first out of range at both ends, and real
// assembled objects that only answer right when the relocation is right.
#include "enclave/loader/relocate.hpp"

#include <cstring>

#include "tests/loader/fixture.hpp"
#include "tests/loader/relocation_cases.hpp"

namespace sgxdl::test {
namespace {

constexpr uint64_t place = 0x7f12'3456'7ff0;
constexpr int64_t addend = -4;

// Applies to eight bytes of 0xAA. `target` is S or G.
struct Applied {
    Error error;
    uint8_t bytes[8];
    bool untouched() const {
        for (uint8_t byte : bytes) {
            if (byte != 0xAA) return false;
        }
        return true;
    }
    uint64_t word() const {
        uint64_t value;
        memcpy(&value, bytes, sizeof value);
        return value;
    }
};
Applied applied(RelocationType type, uint64_t target, int64_t a = addend, uint64_t p = place) {
    Applied result;
    memset(result.bytes, 0xAA, sizeof result.bytes);
    result.error = apply_relocation(type, result.bytes, p, target, a).error();
    return result;
}

// `value` is what the expression gives; it fits.
void expect_word32(RelocationType type, uint64_t target, int64_t value) {
    const Applied a = applied(type, target);
    EXPECT_EQ(a.error.code, Code::ok) << a.error.context;
    EXPECT_EQ(a.word(), 0xAAAA'AAAA'0000'0000 | static_cast<uint32_t>(value))
        << "four bytes and no more";
}
void expect_overflow(RelocationType type, uint64_t target, const std::string& text) {
    const Applied a = applied(type, target);
    EXPECT_EQ(a.error.code, Code::relocation_overflow);
    EXPECT_EQ(a.error.context, text);
    EXPECT_TRUE(a.untouched());
}
std::string text(const char* name, const char* target, const char* hint = "") {
    return std::string(name) + ": target " + target +
           " addend -4 at 0x7f1234567ff0 needs more than 32 bits" + hint;
}

// The relative types differ in the meaning of their target only.
void expect_signed_relative(RelocationType type, const char* name) {
    expect_word32(type, place + 4 + 0x7fff'ffff, 0x7fff'ffff);
    expect_overflow(type, place + 4 + 0x8000'0000, text(name, "0x7f12b4567ff4"));
    expect_word32(type, place + 4 - 0x8000'0000, -0x8000'0000ll);
    expect_overflow(type, place + 4 - 0x8000'0001, text(name, "0x7f11b4567ff3"));
    expect_word32(type, place + 4, 0);
    expect_overflow(type, place + 4 + (1ull << 63), text(name, "0x80007f1234567ff4"));
}

}  // namespace

TEST(Relocate, Abs64) {
    for (uint64_t target : {uint64_t{0}, uint64_t{4}, place, ~uint64_t{0}}) {
        const Applied a = applied(RelocationType::abs64, target);
        EXPECT_EQ(a.error.code, Code::ok);
        EXPECT_EQ(a.word(), target - 4);
    }
}

TEST(Relocate, Pc64) {
    for (uint64_t target : {uint64_t{0}, place, place + 4, ~uint64_t{0}}) {
        const Applied a = applied(RelocationType::pc64, target);
        EXPECT_EQ(a.error.code, Code::ok);
        EXPECT_EQ(a.word(), target - 4 - place);
    }
}

TEST(Relocate, Abs32) {
    const char* hint = "; compile with -fPIE";
    expect_word32(RelocationType::abs32, 0xffff'ffffull + 4, -1);
    expect_overflow(RelocationType::abs32, 0x1'0000'0000ull + 4,
                    text("R_X86_64_32", "0x100000004", hint));
    expect_word32(RelocationType::abs32, 4, 0);
    expect_overflow(RelocationType::abs32, 3, text("R_X86_64_32", "0x3", hint));
    expect_overflow(RelocationType::abs32, place, text("R_X86_64_32", "0x7f1234567ff0", hint));
}

TEST(Relocate, Abs32S) {
    const char* hint = "; compile with -fPIE";
    expect_word32(RelocationType::abs32s, 0x7fff'ffffull + 4, 0x7fff'ffff);
    expect_overflow(RelocationType::abs32s, 0x8000'0000ull + 4,
                    text("R_X86_64_32S", "0x80000004", hint));
    expect_word32(RelocationType::abs32s, uint64_t{0} - 0x8000'0000 + 4, -0x8000'0000ll);
    expect_overflow(RelocationType::abs32s, uint64_t{0} - 0x8000'0000 + 3,
                    text("R_X86_64_32S", "0xffffffff80000003", hint));
}

TEST(Relocate, Pc32) {
    expect_signed_relative(RelocationType::pc32, "R_X86_64_PC32");
}
TEST(Relocate, Plt32) {
    expect_signed_relative(RelocationType::plt32, "R_X86_64_PLT32");
}
TEST(Relocate, Gotpcrel) {
    expect_signed_relative(RelocationType::gotpcrel, "R_X86_64_GOTPCREL");
}
TEST(Relocate, Gotpcrelx) {
    expect_signed_relative(RelocationType::gotpcrelx, "R_X86_64_GOTPCRELX");
}
TEST(Relocate, RexGotpcrelx) {
    expect_signed_relative(RelocationType::rex_gotpcrelx, "R_X86_64_REX_GOTPCRELX");
}

TEST(Relocate, ExtremeAddendsDoNotWrapIntoRange) {
    for (int64_t extreme : {INT64_MIN, INT64_MAX}) {
        for (RelocationType type :
             {RelocationType::pc32, RelocationType::plt32, RelocationType::gotpcrel,
              RelocationType::abs32, RelocationType::abs32s}) {
            const Applied a = applied(type, place, extreme);
            EXPECT_EQ(a.error.code, Code::relocation_overflow) << a.error.context;
            EXPECT_TRUE(a.untouched());
        }
    }
}

TEST(Relocate, NamesAndWidthsOfKnownTypesOnly) {
    int known = 0;
    for (uint32_t type = 0; type < 300; type++) {
        if (!relocation_name(type)) continue;
        known++;
        const uint32_t width = relocation_width(static_cast<RelocationType>(type));
        EXPECT_EQ(width, type == 1 || type == 24 ? 8u : 4u) << relocation_name(type);
        EXPECT_EQ(relocation_uses_got(static_cast<RelocationType>(type)),
                  strstr(relocation_name(type), "GOT") != nullptr);
    }
    EXPECT_EQ(known, 9);
    EXPECT_EQ(relocation_name(UINT32_MAX), nullptr);
}

// --- loaded objects -----------------------------------------------------------------------------

namespace {

bool contains_type(const std::vector<uint8_t>& bundle, uint32_t type) {
    for (const front::Section& section : front::open_bundle(bundle, "bundle").image.sections) {
        for (const front::Relocation& relocation : section.relocations) {
            if (relocation.type == type) return true;
        }
    }
    return false;
}

struct LowArena : LoaderTest {
    LowArena() : LoaderTest(64u << 20, true) {}
};
using HighArena = LoaderTest;

}  // namespace

TEST_F(LowArena, EveryTypeLeadsWhereItShould) {
    ASSERT_LT(platform.arena().begin + platform.arena().size, 1ull << 31);
    for (const RelocationCase& c : relocation_cases) {
        SCOPED_TRACE(c.name);
        auto bundle = module_of(c.name, {work.compile(c.file, c.source, c.flags)});
        EXPECT_TRUE(contains_type(bundle, c.type)) << "the front end has removed what is tested";
        auto loaded = apply(bundle);
        ASSERT_TRUE(loaded.ok()) << loaded.text();
        Pin pin(loader());
        EXPECT_EQ(symbol<long()>(c.name, "run")(), c.expected);
    }
}

TEST_F(HighArena, EveryTypeLeadsWhereItShouldOrSaysWhy) {
    ASSERT_GT(platform.arena().begin, 1ull << 32);
    for (const RelocationCase& c : relocation_cases) {
        SCOPED_TRACE(c.name);
        auto bundle = module_of(c.name, {work.compile(c.file, c.source, c.flags)});
        const Footprint before = footprint();
        auto loaded = apply(bundle);
        if (!c.low) {
            ASSERT_TRUE(loaded.ok()) << loaded.text();
            Pin pin(loader());
            EXPECT_EQ(symbol<long()>(c.name, "run")(), c.expected);
            continue;
        }
        EXPECT_EQ(loaded.error.code, Code::relocation_overflow) << loaded.text();
        EXPECT_NE(loaded.text().find("needs more than 32 bits; compile with -fPIE"),
                  std::string::npos)
            << loaded.text();
        EXPECT_EQ(footprint(), before);
    }
}

TEST_F(HighArena, AnOverflowNamesUnitTypeAndPlace) {
    auto bundle = module_of(
        "m", {work.compile("m.c", "static int v = 3; int* volatile p; void f(void) { p = &v; }",
                           "-O2 -fno-pie -mcmodel=small -ffunction-sections")});
    auto loaded = apply(bundle);
    EXPECT_EQ(loaded.error.code, Code::relocation_overflow);
    EXPECT_EQ(loaded.text().find("relocation does not reach: 'f': R_X86_64_32"), 0u)
        << loaded.text();
}

}  // namespace sgxdl::test
