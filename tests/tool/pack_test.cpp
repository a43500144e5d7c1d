// pack: what the front end makes of compiler output, and what it refuses.
#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/tool/support.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"
#include "tool/front/reach.hpp"

namespace sgxdl::test {
namespace {

using front::Image;
using front::Relocation;
using front::Section;
using front::SectionKind;
using front::Symbol;
using front::SymbolType;

const Symbol* find(const Image& image, const std::string& name) {
    auto names = front::defined_names(image);
    auto found = names.find(name);
    return found == names.end() ? nullptr : &image.symbols[found->second];
}

const Section& section_of(const Image& image, const std::string& name) {
    const Symbol* symbol = find(image, name);
    if (!symbol) throw front::Error("no symbol " + name);
    return image.sections[symbol->section];
}

std::vector<std::string> members(const Image& image, const std::string& name) {
    std::vector<std::string> names;
    for (uint32_t id : image.units[section_of(image, name).unit].sections) {
        names.push_back(image.sections[id].name);
    }
    return names;
}

// Targets of a section's relocations as "TYPE name+addend".
std::multiset<std::string> references(const Image& image, const Section& section) {
    std::multiset<std::string> all;
    for (const Relocation& relocation : section.relocations) {
        const Symbol& symbol = image.symbols[relocation.symbol];
        std::string name = symbol.type == SymbolType::section
                               ? "section " + image.sections[symbol.section].name
                               : symbol.name;
        all.insert(fmt::format("{} {}{:+}", front::relocation_text(relocation.type), name,
                               relocation.addend));
    }
    return all;
}

class Pack : public testing::Test {
 protected:
    Image pack_text(const std::string& text, const std::string& flags = "",
                    const std::string& compiler = "gcc") {
        return front::build_image({compile_text(folder_, "a.c", text, flags, compiler)});
    }
    Image pack_assembly(const std::string& text) {
        return front::build_image({compile_text(folder_, "a.s", text)});
    }
    void refuses(const std::string& object, const std::string& message) {
        ASSERT_FALSE(object.empty());
        try {
            front::build_image({object});
            ADD_FAILURE() << "accepted; expected: " << message;
        } catch (const front::Error& error) {
            EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
            EXPECT_NE(std::string(error.what()).find("a.o"), std::string::npos) << error.what();
        }
    }
    void refuses_text(const std::string& text, const std::string& message,
                      const std::string& flags = "") {
        refuses(compile_text(folder_, "a.c", text, flags), message);
    }
    void refuses_assembly(const std::string& text, const std::string& message) {
        refuses(compile_text(folder_, "a.s", text), message);
    }
    Folder folder_;
};

TEST_F(Pack, BranchesAndAddressesAreToldApart) {
    Image image = pack_text(R"(
        int callee(int x);
        __attribute__((noinline)) static int local(int x) { return callee(x) + 1; }
        int (*address(void))(int) { return local; }
        int call(int x) { return local(x) + 2; }
    )");
    EXPECT_EQ(references(image, section_of(image, "call")),
              (std::multiset<std::string>{"R_X86_64_PLT32 local-4"}));
    EXPECT_EQ(references(image, section_of(image, "address")),
              (std::multiset<std::string>{"R_X86_64_PC32 local-4"}));
    EXPECT_EQ(references(image, section_of(image, "local")),
              (std::multiset<std::string>{"R_X86_64_PLT32 callee-4"}));
    EXPECT_EQ(find(image, "local")->binding, front::Binding::local);
    EXPECT_EQ(find(image, "call")->binding, front::Binding::global);
}

TEST_F(Pack, JumpTableAndColdPartJoinTheirFunction) {
    Image image = pack_text(R"(
        volatile int v;
        __attribute__((cold, noinline)) void complain(void) { v = 9; }
        int f(int x) {
            if (__builtin_expect(v == 77, 0)) { complain(); v++; complain(); return v; }
            switch (x) {
                case 0: v = 1; return 8; case 1: v += 2; return v; case 2: v *= 3; return 1;
                case 3: v ^= 4; return 7; case 4: v -= 5; return v + 2; case 5: v |= 6; return 0;
            }
            return 5;
        }
    )");
    EXPECT_EQ(members(image, "f"),
              (std::vector<std::string>{".text.f", ".text.unlikely.f", ".rodata.f"}));
    EXPECT_EQ(find(image, "f")->type, SymbolType::function);
    EXPECT_EQ(image.units[section_of(image, "f").unit].name, "f");
    // The table's entries stay what they were: relative to the section, in this copy of the unit.
    const Section& table = section_of(image, "f@table");
    ASSERT_EQ(table.relocations.size(), 6u);
    for (const Relocation& relocation : table.relocations) {
        EXPECT_EQ(relocation.type, uint32_t{R_X86_64_PC32});
        EXPECT_EQ(image.symbols[relocation.symbol].type, SymbolType::section);
    }
}

TEST_F(Pack, SelfAddressBecomesARelocation) {
    std::string object = compile_text(folder_, "a.c", R"(
        void keep(void *);
        static void self(int x) { if (x) keep(self); }
        void (*other(void))(int) { return self; }
    )");
    // The assembler has resolved it: one relocation, for keep().
    std::vector<front::InputObject> raw = front::read_objects({object});
    auto section = std::find_if(raw[0].sections.begin(), raw[0].sections.end(),
                                [](const auto& s) { return s.name == ".text.self"; });
    ASSERT_NE(section, raw[0].sections.end());
    EXPECT_EQ(section->relocations.size(), 1u);
    Image image = front::build_image({object});
    auto all = references(image, section_of(image, "self"));
    EXPECT_EQ(all.count("R_X86_64_PC32 self-4"), 1u);
    EXPECT_EQ(all.count("R_X86_64_PLT32 keep-4"), 1u);
}

TEST_F(Pack, AddressesWithinOneTextSectionBecomeCanonical) {
    Image image = pack_text(R"(
        void keep(void *);
        __attribute__((noinline)) static int inner(int x) { return x * 3; }
        int call(int x) { return inner(x) + 1; }
        void store(void) { keep(inner); }
    )",
                            "-fno-function-sections");
    const Section& text = section_of(image, "call");
    EXPECT_EQ(&text, &section_of(image, "inner"));
    auto all = references(image, text);
    EXPECT_EQ(all.count("R_X86_64_PC32 inner-4"), 1u);
    // The call stays resolved: caller and callee are one unit.
    EXPECT_EQ(all.count("R_X86_64_PLT32 inner-4"), 0u);
}

TEST_F(Pack, InstructionLengthBiasesReferences) {
    // The operand ends 1 and 4 bytes before the instruction does.
    Image image = pack_assembly(R"(
        .section .rodata.str1.1,"aMS",@progbits,1
        .string "first"
        .string "second"
        .section .text.f,"ax",@progbits
        .globl f
        .type f,@function
        f: cmpb $7, .rodata.str1.1+6(%rip)
           cmpl $70000, .rodata.str1.1+8(%rip)
           ret
        .size f,.-f
    )");
    auto all = references(image, section_of(image, "f"));
    std::string second;
    for (const Symbol& symbol : image.symbols) {
        if (!symbol.defined() || !symbol.name.starts_with("lit.")) continue;
        const auto& bytes = image.sections[symbol.section].bytes;
        if (std::string(bytes.begin(), bytes.end()) == std::string("second", 7))
            second = symbol.name;
    }
    EXPECT_EQ(all, (std::multiset<std::string>{"R_X86_64_PC32 " + second + "-5",
                                               "R_X86_64_PC32 " + second + "-6"}));
    // Nothing refers to "first".
    EXPECT_EQ(std::count_if(image.sections.begin(), image.sections.end(),
                            [](const Section& s) { return s.kind == SectionKind::literal; }),
              1);
}

TEST_F(Pack, EqualLiteralsAreOne) {
    Image image = front::build_image(
        {compile_text(folder_, "one.c", "const char *one(void) { return \"the same\"; }\n"),
         compile_text(folder_, "two.c",
                      "const char *two(void) { return \"the same\"; }\n"
                      "double half(double x) { return x * 0.5; }\n")});
    EXPECT_EQ(references(image, section_of(image, "one")),
              references(image, section_of(image, "two")));
    EXPECT_EQ(std::count_if(image.sections.begin(), image.sections.end(),
                            [](const Section& s) { return s.kind == SectionKind::literal; }),
              2);
}

TEST_F(Pack, RelRoLosesItsWriteFlag) {
    Image image = pack_text(
        "int f(void); int (*const table[])(void) = {f};\n"
        "int (**pointer(int i))(void) { return (int (**)(void))&table[i]; }\n");
    const Section& table = section_of(image, "table");
    EXPECT_TRUE(table.name.starts_with(".data.rel.ro"));
    EXPECT_EQ(table.kind, SectionKind::read_only);
}

TEST_F(Pack, GotReferencesInsideTheModuleAreRelaxed) {
    Image image = pack_text(
        "extern int outside; int inside = 4; int helper(void) { return inside; }\n"
        "int f(void) { return outside + inside + helper(); }\n"
        "int (*g(void))(void) { return helper; }\n",
        "-fPIC -O1");
    auto all = references(image, section_of(image, "f"));
    EXPECT_EQ(all.count("R_X86_64_REX_GOTPCRELX outside-4"), 1u);
    EXPECT_EQ(all.count("R_X86_64_PC32 inside-4"), 1u);
    EXPECT_EQ(all.count("R_X86_64_PLT32 helper-4"), 1u);
    EXPECT_EQ(references(image, section_of(image, "g")),
              (std::multiset<std::string>{"R_X86_64_PC32 helper-4"}));
}

TEST_F(Pack, IndirectCallsThroughTheGotBecomeDirect) {
    Image image = pack_text(
        "__attribute__((noipa)) int helper(int x) { return x; }\n"
        "int f(int x) { return helper(x) + 1; }\n"
        "int g(int x) { return helper(x); }\n",
        "-fPIC -fno-plt");
    const Section& call = section_of(image, "f");
    EXPECT_EQ(references(image, call), (std::multiset<std::string>{"R_X86_64_PLT32 helper-4"}));
    uint64_t at = call.relocations[0].offset;
    EXPECT_EQ(call.bytes[at - 2], 0x67);
    EXPECT_EQ(call.bytes[at - 1], 0xE8);
    const Section& jump = section_of(image, "g");
    EXPECT_EQ(references(image, jump), (std::multiset<std::string>{"R_X86_64_PLT32 helper-4"}));
    at = jump.relocations[0].offset;
    EXPECT_EQ(jump.bytes[at - 1], 0xE9);
    EXPECT_EQ(jump.bytes[at + 4], 0x90);
}

TEST_F(Pack, SymbolsResolveAcrossObjectsAndArchives) {
    std::string a =
        compile_text(folder_, "a.c",
                     "int b(void); int c(void); extern int shared; int hidden(void);\n"
                     "__attribute__((weak)) int pick(void) { return 1; }\n"
                     "int a(void) { return b() + c() + shared + pick() + hidden(); }\n");
    std::string b =
        compile_text(folder_, "b.c",
                     "int pick(void) { return 2; }\n"
                     "int b(void) { return 3; }\n"
                     "__attribute__((visibility(\"hidden\"))) int hidden(void) { return 1; }\n");
    std::string c =
        compile_text(folder_, "c.c", "int shared; int c(void) { return 4; }\n", "-fcommon");
    std::string archive = (folder_.path() / "lib.a").string();
    ASSERT_EQ(run(fmt::format("ar rcs {} {} {}", archive, b, c)).status, 0);
    Image image = front::build_image({a, archive});
    EXPECT_TRUE(std::none_of(image.symbols.begin(), image.symbols.end(),
                             [](const Symbol& s) { return !s.defined(); }));
    EXPECT_EQ(section_of(image, "shared").kind, SectionKind::zeroed);
    EXPECT_EQ(find(image, "hidden")->binding, front::Binding::local);
    // a() calls the strong pick(); the weak one that lost has its file's name.
    EXPECT_EQ(image.sections[find(image, "pick")->section].object, 1u);
    EXPECT_NE(find(image, "pick@a.c"), nullptr);
}

TEST_F(Pack, LocalNamesThatClashAreQualified) {
    std::string text =
        "__attribute__((noinline)) static int twin(int x) { return x + %; }\n"
        "int use%(int x) { return twin(x); }\n";
    auto file = [&](char n) {
        std::string out = text;
        std::replace(out.begin(), out.end(), '%', n);
        return compile_text(folder_, std::string("f") + n + ".c", out);
    };
    Image image = front::build_image({file('1'), file('2')});
    EXPECT_NE(find(image, "twin@f1.c"), nullptr);
    EXPECT_NE(find(image, "twin@f2.c"), nullptr);
    EXPECT_EQ(find(image, "twin"), nullptr);
}

TEST_F(Pack, PayloadIsReadByOrdinaryTools) {
    std::string object = compile_text(folder_, "a.c", R"(
        #include <stdio.h>
        static const char *const names[] = {"one", "two", "three"};
        static int counter = 3, zero;
        int show(int n) { counter++; zero += n; return printf("%s %d\n", names[n % 3], counter + zero); }
        int pick(int x) { switch (x) { case 0: return show(1); case 1: return show(8); case 2: return counter;
            case 3: return zero; case 4: return show(x); case 5: return -x; case 6: return show(9); } return 0; }
    )");
    std::vector<uint8_t> payload = front::write_elf(front::build_image({object}));
    std::string file = folder_.write("payload.o", "");
    front::write_file(file, payload);
    for (const char* tool :
         {"readelf -aW", "objdump -dr", "eu-elflint --gnu-ld -r", "nm", "ld -r -o /dev/null"}) {
        if (run(fmt::format("command -v {}",
                            std::string(tool).substr(0, std::string(tool).find(' '))))
                .status != 0) {
            continue;
        }
        Output output = run(fmt::format("{} {}", tool, file));
        EXPECT_EQ(output.status, 0) << tool << "\n" << output.text;
        EXPECT_EQ(output.text.find("arning"), std::string::npos) << tool << "\n" << output.text;
        EXPECT_EQ(output.text.find("rror"), std::string::npos) << tool << "\n" << output.text;
    }
    // What is written is what is read.
    Image again = front::read_elf(payload, "payload");
    EXPECT_EQ(front::write_elf(again), payload);
}

TEST_F(Pack, ManySectionsUseExtendedNumbers) {
    std::string text;
    for (int i = 0; i < 66000; i++) {
        text += fmt::format(
            ".section .text.f{0},\"ax\",@progbits\n.globl f{0}\n.type f{0},@function\n"
            "f{0}: ret\n.size f{0},.-f{0}\n",
            i);
    }
    std::string object = compile_text(folder_, "a.s", text);
    Image image = front::build_image({object});
    EXPECT_EQ(image.units.size(), 66000u);
    Image again = front::read_elf(front::write_elf(image), "payload");
    EXPECT_EQ(again.units.size(), 66000u);
    EXPECT_EQ(section_of(again, "f65999").name, ".text.f65999");
}

TEST_F(Pack, ReachFollowsEveryReference) {
    Image image = pack_text(R"(
        __attribute__((noipa)) int leaf(void) { return 1; }
        __attribute__((noipa)) int called(void) { return leaf(); }
        __attribute__((noipa)) int pointed(void) { return 2; }
        int (*const table[2])(void) = {pointed, 0};
        int top(int i) { return called() + table[i](); }
        int elsewhere(void) { return leaf() + 5; }
    )");
    front::Extent extent = front::reach(image, {"top"});
    std::set<std::string> names;
    for (uint32_t unit : extent.units)
        names.insert(image.units[unit].name);
    EXPECT_EQ(names, (std::set<std::string>{"leaf", "called", "pointed", "table", "top"}));
    EXPECT_EQ(extent.functions, 4u);
    EXPECT_EQ(extent.data_bytes, 16u);
    EXPECT_THROW(front::reach(image, {"nothing"}), front::Error);
    EXPECT_THROW(front::reach(image, {"table"}), front::Error);
    // leaf is called by two; the table takes an address only.
    std::vector<bool> changed(image.units.size());
    changed[section_of(image, "leaf").unit] = true;
    changed[section_of(image, "pointed").unit] = true;
    names.clear();
    for (uint32_t unit : front::closure(image, changed).units)
        names.insert(image.units[unit].name);
    EXPECT_EQ(names, (std::set<std::string>{"leaf", "called", "pointed", "top", "elsewhere"}));
}

TEST_F(Pack, ClangObjectsWork) {
    if (run("command -v clang-14").status != 0) GTEST_SKIP() << "no clang-14";
    Image image = pack_text(R"(
        volatile int v;
        const char *name(int x) { switch (x) { case 0: return "zero"; case 1: return "one"; case 2: return "two"; case 3: return "three"; } return "many"; }
        int f(int x) { switch (x) { case 0: v = 1; return 8; case 1: v += 2; return v; case 2: v *= 3; return 1;
            case 3: v ^= 4; return 7; case 4: v -= 5; return v + 2; case 5: v |= 6; return 0; } return 5; }
    )",
                            "", "clang-14");
    EXPECT_EQ(members(image, "f").size(), 2u);
    EXPECT_EQ(members(image, "name").size(), 1u);
}

TEST_F(Pack, RefusesWhatEnclavesCannotHave) {
    refuses_text("__thread int x; int f(void) { return x; }", "thread-local");
    refuses_text(
        "int f(void) { return 1; } static void *r(void) { return f; }\n"
        "int g(void) __attribute__((ifunc(\"r\")));",
        "IFUNC");
    refuses_text("int x; __attribute__((constructor)) void f(void) { x = 3; }", "constructors");
    refuses_text(
        "int g; void f(void) { static void *t[] = {&&a, &&b}; goto *t[g]; a: g = 1; return; b: g = "
        "2; t[0] = 0; }",
        "writable data that points into the middle");
    refuses_text("int f(void) { return 1; }", "intermediate code", "-flto");
    refuses_text("int f(void) { return 1; }", "not a 64-bit x86-64 object", "-m32");
    refuses_text(
        "#include <immintrin.h>\n__m512i f(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); "
        "}",
        "outside the enclave's XFRM", "-mavx512f");
}

TEST_F(Pack, XfrmAllowsWiderVectors) {
    std::string object =
        compile_text(folder_, "a.c",
                     "#include <immintrin.h>\n__m512i f(__m512i a, __m512i b) { return "
                     "_mm512_add_epi32(a, b); }",
                     "-mavx512f");
    EXPECT_NO_THROW(front::build_image({object}, 0xE7));
}

TEST_F(Pack, RefusesForbiddenInstructionsByPlace) {
    for (const char* instruction :
         {"syscall", "sysenter", "cpuid", "int $0x80", "in %dx,%al", "outb %al,%dx", "hlt", "enclu",
          "mov %ax,%ds", "pop %fs", "lret", "iretq", "wrgsbase %rax", "rdpmc", "xsetbv",
          "sgdt (%rax)"}) {
        std::string text = fmt::format(
            ".section .text.f,\"ax\",@progbits\n.globl f\n.type f,@function\n"
            "f: nop\n{}\nret\n.size f,.-f\n",
            instruction);
        refuses_assembly(text, ".text.f+0x1: ");
    }
    EXPECT_NO_THROW(
        pack_assembly(".section .text.f,\"ax\",@progbits\n.globl f\n.type f,@function\n"
                      "f: rdtsc\nud2\nint3\nrdrand %eax\nret\n.size f,.-f\n"));
}

TEST_F(Pack, RefusesWhatItCannotDecode) {
    refuses_assembly(
        ".section .text.f,\"ax\",@progbits\n.globl f\n.type f,@function\nf: ret\n.byte 0x06,0x07\n",
        ".text.f+0x1: bytes that are no instruction");
}

TEST_F(Pack, RefusesReferencesIntoOtherFunctions) {
    refuses_assembly(R"(
        .section .text.f,"ax",@progbits
        .globl f
        .type f,@function
        f: nop
        middle: ret
        .section .text.g,"ax",@progbits
        .globl g
        .type g,@function
        g: jmp middle
    )",
                     "refers into the middle of .text.f");
    refuses_assembly(R"(
        .section .text.f,"ax",@progbits
        .globl f
        .type f,@function
        f: nop
        .Lf: ret
        .section .text.g,"ax",@progbits
        .globl g
        .type g,@function
        g: nop
        .Lg: ret
        .section .data.rel.ro.table,"aw",@progbits
        .globl table
        .type table,@object
        table: .quad .Lf, .Lg
        .size table,16
    )",
                     "one table that points into two functions");
}

TEST_F(Pack, RefusesSizesThatNoBundleCanHave) {
    refuses_assembly(
        ".section .bss.huge,\"aw\",@nobits\n.globl huge\n.type huge,@object\n"
        "huge: .zero 0x40000001\n.size huge,0x40000001\n",
        ".bss.huge: 1073741825 bytes; a section may have at most 1073741824");
    refuses_assembly(
        ".section .data.rel.ro.z,\"aw\",@nobits\n.globl z\n.type z,@object\n"
        "z: .zero 0x1000001\n.size z,0x1000001\n",
        "16777217 bytes of read-only zeroes");
    refuses_assembly(".comm huge,0x40000001,16\n.text\n.globl f\nf: lea huge(%rip),%rax\nret\n",
                     "common symbol huge has 1073741825 bytes");
}

TEST_F(Pack, RefusesUnknownRelocations) {
    refuses_assembly(
        ".section .text.f,\"ax\",@progbits\n.globl f\n.type f,@function\nf: mov $x@SIZE, "
        "%eax\nret\n",
        ".text.f+0x1: ");
    refuses_assembly(".data\n.globl d\n.type d,@object\nd: .byte x\n.size d,1\n",
                     ".data+0x0: R_X86_64_8");
    refuses_assembly(".data\n.globl d\n.type d,@object\nd: .quad x+0x7ffffffffffffffe\n.size d,8\n",
                     ".data+0x0: addend 9223372036854775806 is out of range");
    refuses_assembly(
        ".data\n.globl d\n.type d,@object\nd: .quad x\n.size d,8\n"
        ".globl x\n.set x,0x2000000000000000\n",
        "symbol x has the value 0x2000000000000000, out of range");
    // Each part is in range, the sum is not.
    refuses_assembly(
        ".data\n.globl d\n.type d,@object\nd: .quad .Lx+0x1ffffffffffffff0\n"
        ".quad 0\n.quad 0\n.quad 0\n.Lx: .quad 0\n.size d,40\n",
        "is out of range");
}

TEST_F(Pack, RefusesTwoDefinitions) {
    std::string a = compile_text(folder_, "a.c", "int f(void) { return 1; }");
    std::string b = compile_text(folder_, "b.c", "int f(void) { return 2; }");
    try {
        front::build_image({a, b});
        FAIL();
    } catch (const front::Error& error) {
        EXPECT_NE(std::string(error.what()).find("f is defined twice"), std::string::npos);
    }
}

TEST_F(Pack, RefusesBrokenFiles) {
    std::string object = compile_text(
        folder_, "good.c", "const char *s(void) { return \"text\"; } int f(void) { return 1; }");
    std::vector<uint8_t> good = front::read_file(object);
    EXPECT_THROW(front::build_image({folder_.write("empty.o", "")}), front::Error);
    EXPECT_THROW(front::build_image({folder_.write("text.o", "int f;\n")}), front::Error);
    EXPECT_THROW(front::build_image({(folder_.path() / "absent.o").string()}), front::Error);
    // Cut anywhere it is refused or, if only debug information or padding went, still the same.
    for (size_t size = 0; size < good.size(); size += 37) {
        std::vector<uint8_t> cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
        std::string file = folder_.write("cut.o", "");
        front::write_file(file, cut);
        EXPECT_THROW(front::build_image({file}), front::Error) << size;
    }
}

}  // namespace
}  // namespace sgxdl::test
