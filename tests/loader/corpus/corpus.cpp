#include "tests/loader/corpus/corpus.hpp"

#include <algorithm>
#include <cstring>
#include <functional>

#include "tests/loader/corpus/draft.hpp"
#include "tests/loader/workspace.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/pack.hpp"

namespace sgxdl::test {
namespace {

constexpr const char* module_source = R"(
    extern int imported(int);
    extern int imported_object;
    extern int absent(int) __attribute__((weak));
    int counter = 5;
    int zeroed[100];
    typedef int fn(int);
    __attribute__((noinline)) int helper(int x) { return x + counter; }
    __attribute__((noinline)) const char* name(void) { return "a literal"; }
    __attribute__((noinline)) int pick(int x) {
        switch (x) { case 0: return 5; case 1: return imported(x); case 2: return 9;
                     case 3: return zeroed[x] + 1; case 4: return helper(x); case 5: return 77; default: return -1; }
    }
    fn* const table[] = {helper, pick};
    const int limits[4] = {1, 2, 3, 4};
    int run(int x) { return helper(pick(x)) + table[x & 1](x) + limits[x & 3] + name()[x] + imported_object + (absent ? 1 : 0); }
    int run_again(int x) __attribute__((alias("run")));
)";

constexpr const char* patch_source = R"(
    extern int pick(int); extern int zeroed[]; extern int counter; extern const int limits[4];
    typedef int fn(int);
    int helper(int x) { return x + counter + 100; }
    __attribute__((noinline)) int fresh(int x) { return pick(x) + zeroed[x & 7] + limits[x & 3]; }
    fn* const added[] = {fresh, helper};
    const char* name(void) { return "a literal" + (added[0] == 0); }
)";

// What a bundle is made from: the module's source, or a patch's.
struct From {
    const char* patch = nullptr;
    std::vector<std::string> removed = {};
};

struct Row {
    const char* name;
    Code code;
    const char* text;
    From from;
    std::function<void(Draft&)> change;
    Draft::Seal seal = Draft::Seal::all;
    std::string names = {};  // to ask for
};

const From module{};
const From patch{patch_source};
constexpr auto unsigned_ = Draft::Seal::none;
constexpr auto same_digest = Draft::Seal::signature;

void put(char (&field)[SGXDL_BUNDLE_NAME_SIZE], const char* text) {
    memset(field, 0, sizeof field);
    strcpy(field, text);
}

void nothing(Draft&) {}

// --- header --------------------------------------------------------------------------------------

const Row header_rows[] = {
    {"Magic", Code::bad_bundle, "magic", module, [](Draft& d) { d.header.magic[7] = '2'; }},
    {"Format", Code::bad_bundle, "format 2, this loader knows 1", module,
     [](Draft& d) { d.header.format = 2; }},
    {"HeaderSize", Code::bad_bundle, "header size 511", module,
     [](Draft& d) { d.header.header_size = 511; }},
    {"SignatureBit", Code::bad_signature, "", module, [](Draft& d) { d.header.signature[3] ^= 4; },
     unsigned_},
    {"SignatureZero", Code::bad_signature, "", module,
     [](Draft& d) { memset(d.header.signature, 0, sizeof d.header.signature); }, unsigned_},
    {"SignedByteChanged", Code::bad_signature, "", module,
     [](Draft& d) { d.header.security_version++; }, unsigned_},
    {"UnsignedKindChanged", Code::bad_signature, "", module,
     [](Draft& d) { d.header.kind = SGXDL_BUNDLE_PATCH; }, unsigned_},
    {"KindZero", Code::bad_bundle, "kind 0", module, [](Draft& d) { d.header.kind = 0; }},
    {"KindThree", Code::bad_bundle, "kind 3", module, [](Draft& d) { d.header.kind = 3; }},
    {"UnknownFlag", Code::bad_bundle, "flags 0x80000000 that this loader does not know", module,
     [](Draft& d) { d.header.flags |= 0x8000'0001; }},
    {"Reserved", Code::bad_bundle, "reserved bytes are not zero", module,
     [](Draft& d) { d.header.reserved[151] = 1; }},
    {"ProductOther", Code::wrong_product, "it is for 'other', this is '", module,
     [](Draft& d) { put(d.header.product, "other"); }},
    {"ProductLongerByOne", Code::wrong_product, "it is for '", module,
     [](Draft& d) { strcat(d.header.product, "x"); }},
    {"ProductEmpty", Code::bad_bundle, "product, module or version name", module,
     [](Draft& d) { put(d.header.product, ""); }},
    {"ModuleWithoutNul", Code::bad_bundle, "product, module or version name", module,
     [](Draft& d) { memset(d.header.module, 'a', sizeof d.header.module); }},
    {"VersionWithNewline", Code::bad_bundle, "product, module or version name", module,
     [](Draft& d) { put(d.header.version, "1\n"); }},
    {"BytesAfterName", Code::bad_bundle, "product, module or version name", module,
     [](Draft& d) { d.header.module[63] = 'x'; }},
    {"ModuleWithPredecessor", Code::bad_bundle, "a module with a predecessor", module,
     [](Draft& d) { d.header.predecessor[31] = 1; }},
    {"BelowFloor", Code::below_floor, "'m' 1.1 has 0, the floor is 1", patch,
     [](Draft& d) { d.header.security_version = 0; }},
    {"AlreadyLoaded", Code::already_loaded, "module 'm'", module,
     [](Draft& d) { put(d.header.module, "m"); }},
    {"PatchForAnotherBase", Code::wrong_predecessor,
     "'m' is at 1.0, the patch to 1.1 was made for another state", patch,
     [](Draft& d) { d.header.predecessor[0] ^= 1; }},
    {"PatchWithoutPredecessor", Code::wrong_predecessor, "made for another state", patch,
     [](Draft& d) { memset(d.header.predecessor, 0, sizeof d.header.predecessor); }},
    {"PatchOfAbsentModule", Code::no_such_module, "'absent' is not loaded", patch,
     [](Draft& d) { put(d.header.module, "absent"); }},
    {"PatchByFunction", Code::bad_state, "a patch is applied whole, not by function", patch,
     nothing, Draft::Seal::all, std::string("helper\0", 7)},
    {"NamesWithoutNul", Code::no_such_symbol, "list of names does not end in NUL", module, nothing,
     Draft::Seal::all, "run"},
    {"NameUnknown", Code::no_such_symbol, "'nowhere' in module 'victim'", module, nothing,
     Draft::Seal::all, std::string("run\0nowhere\0", 12)},
    {"NameEmpty", Code::no_such_symbol, "'' in module 'victim'", module, nothing, Draft::Seal::all,
     std::string(1, '\0')},
    {"PayloadEmpty", Code::truncated, "empty payload", module, [](Draft& d) { d.payload.clear(); }},
    {"PayloadOverLimit", Code::too_large, "payload of 67108865 bytes, the limit is 67108864",
     module, [](Draft& d) { d.header.payload_size = (64u << 20) + 1; }, same_digest},
    {"PayloadSizeHuge", Code::too_large, "payload of 18446744073709551615 bytes", module,
     [](Draft& d) { d.header.payload_size = UINT64_MAX; }, same_digest},
    {"PayloadShorterThanAnnounced", Code::truncated, " bytes of payload", module,
     [](Draft& d) { d.header.payload_size++; }, same_digest},
    {"PayloadLongerThanAnnounced", Code::too_large, "more payload than the ", module,
     [](Draft& d) { d.header.payload_size--; }, same_digest},
    {"PayloadByteChanged", Code::bad_digest, "'victim' 1.0", module,
     [](Draft& d) { d.payload.back() ^= 1; }, same_digest},
};

// --- ELF header and sections ---------------------------------------------------------------------

const Row section_rows[] = {
    {"PayloadIsHalfAnElfHeader", Code::truncated, "ELF header needs 64 bytes, payload has 63",
     module, [](Draft& d) { d.payload.resize(63); }},
    {"ElfMagic", Code::bad_elf, "not a 64-bit little-endian ELF file", module,
     [](Draft& d) { d.payload[0] = 0; }},
    {"ElfClass32", Code::bad_elf, "not a 64-bit little-endian ELF file", module,
     [](Draft& d) { d.payload[EI_CLASS] = ELFCLASS32; }},
    {"ElfBigEndian", Code::bad_elf, "not a 64-bit little-endian ELF file", module,
     [](Draft& d) { d.payload[EI_DATA] = ELFDATA2MSB; }},
    {"ElfExecutable", Code::bad_elf, "e_type 2 is not ET_REL", module,
     [](Draft& d) { d.elf().e_type = ET_EXEC; }},
    {"ElfMachine", Code::bad_elf, "e_machine 183 is not x86-64", module,
     [](Draft& d) { d.elf().e_machine = EM_AARCH64; }},
    {"SectionHeaderSize", Code::bad_elf, "e_shentsize 40", module,
     [](Draft& d) { d.elf().e_shentsize = 40; }},
    {"SectionHeadersPastTheEnd", Code::truncated, "section header table at 0x", module,
     [](Draft& d) { d.elf().e_shoff = d.payload.size() - 63; }},
    {"SectionHeadersWrap", Code::truncated, "section header table at 0xffffffffffffffff", module,
     [](Draft& d) { d.elf().e_shoff = UINT64_MAX; }},
    {"OneSectionHeaderTooMany", Code::truncated, "section headers at 0x", module,
     [](Draft& d) { d.elf().e_shnum++; }},
    {"SectionCountHuge", Code::truncated, "18446744073709551615 section headers", module,
     [](Draft& d) {
         d.elf().e_shnum = 0;
         d.section(0u).sh_size = UINT64_MAX;
     }},
    {"SectionCountWraps", Code::truncated, "288230376151711745 section headers", module,
     [](Draft& d) {  // times 64 it is 64
         d.elf().e_shnum = 0;
         d.section(0u).sh_size = (UINT64_MAX >> 6) + 2;
     }},
    {"NoSections", Code::truncated, "0 section headers", module,
     [](Draft& d) { d.elf().e_shnum = 0; }},
    {"SectionNamesZero", Code::bad_elf, "e_shstrndx 0", module,
     [](Draft& d) { d.elf().e_shstrndx = 0; }},
    {"SectionNamesPastTheEnd", Code::bad_elf, "e_shstrndx ", module,
     [](Draft& d) { d.elf().e_shstrndx = d.elf().e_shnum; }},
    {"SectionNamesExtended", Code::bad_elf, "e_shstrndx 4294967295", module,
     [](Draft& d) {
         d.elf().e_shstrndx = SHN_XINDEX;
         d.section(0u).sh_link = UINT32_MAX;
     }},
    {"SectionNamesAreNoStrings", Code::bad_elf, "is not a string table", module,
     [](Draft& d) { d.elf().e_shstrndx = static_cast<uint16_t>(d.find(".symtab")); }},
    {"SectionNamesWithoutNul", Code::bad_elf, "does not end in NUL", module,
     [](Draft& d) { d.section(".shstrtab").sh_size--; }},
    {"SectionNameOutside", Code::bad_elf, "is outside the string table", module,
     [](Draft& d) { d.section(".sgxdl.note").sh_name = 0x7fff'ffff; }},
    {"SectionOffsetPastTheEnd", Code::truncated, "ends past the payload", module,
     [](Draft& d) { d.section(".text.run").sh_offset = d.payload.size(); }},
    {"SectionOffsetWraps", Code::truncated, "[0xfffffffffffffff0, +0x40)", module,
     [](Draft& d) {
         d.section(".text.run").sh_offset = UINT64_MAX - 15;
         d.section(".text.run").sh_size = 64;
     }},
    {"SectionSizeHuge", Code::truncated, "+0xffffffffffffffff) ends past the payload", module,
     [](Draft& d) { d.section(".rodata.limits").sh_size = UINT64_MAX; }},
    {"ZeroedSizeHuge", Code::too_large, ": 9223372036854775807 bytes", module,
     [](Draft& d) { d.section(".bss.zeroed").sh_size = INT64_MAX; }},
    {"ZeroedLargerThanTheArena", Code::no_arena, "262145 pages", module,
     [](Draft& d) { d.section(".bss.zeroed").sh_size = 1u << 30; }},
    {"AlignmentThree", Code::not_normal_form, "alignment 3", module,
     [](Draft& d) { d.section(".text.run").sh_addralign = 3; }},
    {"AlignmentAbovePage", Code::not_normal_form, "alignment 8192", module,
     [](Draft& d) { d.section(".text.run").sh_addralign = 8192; }},
    {"AlignmentHuge", Code::not_normal_form, "alignment 9223372036854775808", module,
     [](Draft& d) { d.section(".text.run").sh_addralign = 1ull << 63; }},
    {"WritableAndExecutable", Code::not_normal_form, "writable and executable", module,
     [](Draft& d) { d.section(".text.run").sh_flags |= SHF_WRITE; }},
    {"ThreadLocal", Code::not_normal_form, "thread-local storage", module,
     [](Draft& d) { d.section(".data.counter").sh_flags |= SHF_TLS; }},
    {"InitArray", Code::not_normal_form, "allocated, of type 0xe", module,
     [](Draft& d) { d.section(".data.counter").sh_type = SHT_INIT_ARRAY; }},
    {"Note", Code::not_normal_form, "allocated, of type 0x7", module,
     [](Draft& d) { d.section(".rodata.limits").sh_type = SHT_NOTE; }},
    {"ZeroedConstant", Code::not_normal_form, "zeroed but not writable data", module,
     [](Draft& d) { d.section(".rodata.limits").sh_type = SHT_NOBITS; }},
    {"ZeroedCode", Code::not_normal_form, "zeroed but not writable data", module,
     [](Draft& d) { d.section(".text.run").sh_type = SHT_NOBITS; }},
    {"WritableLiteral", Code::not_normal_form, "a literal that is not read-only", module,
     [](Draft& d) { d.section(".data.counter").sh_flags |= SHF_MERGE; }},
    {"ExecutableLiteral", Code::not_normal_form, "a literal that is not read-only", module,
     [](Draft& d) { d.section(".text.run").sh_flags |= SHF_MERGE; }},
    {"TwoSymbolTables", Code::bad_elf, "two symbol tables", module,
     [](Draft& d) { d.add_section(d.section(".symtab")); }},
    {"NoSymbolTable", Code::bad_elf, "no symbol table", module,
     [](Draft& d) { d.section(".symtab").sh_type = SHT_PROGBITS; }},
    {"SymbolTableAllocated", Code::not_normal_form, "allocated, of type 0x2", module,
     [](Draft& d) { d.section(".symtab").sh_flags |= SHF_ALLOC; }},
    {"HalfASymbol", Code::bad_elf, "symbol table of ", module,
     [](Draft& d) { d.section(".symtab").sh_size -= 12; }},
    {"SymbolTableWithoutStrings", Code::bad_elf, "symbol table's sh_link 0", module,
     [](Draft& d) { d.section(".symtab").sh_link = 0; }},
    {"SymbolTableLinkPastTheEnd", Code::bad_elf, "symbol table's sh_link ", module,
     [](Draft& d) { d.section(".symtab").sh_link = d.sections(); }},
    {"SymbolNamesAreNoStrings", Code::bad_elf, "is not a string table", module,
     [](Draft& d) { d.section(".symtab").sh_link = d.find(".text.run"); }},
    {"SymbolNamesWithoutNul", Code::bad_elf, "does not end in NUL", module,
     [](Draft& d) { d.section(".strtab").sh_size--; }},
    {"SymbolNamesEmpty", Code::bad_elf, "does not end in NUL", module,
     [](Draft& d) { d.section(".strtab").sh_size = 0; }},
    {"ExtendedIndicesTooShort", Code::truncated, "SHT_SYMTAB_SHNDX section", module,
     [](Draft& d) {
         d.section(".sgxdl.note").sh_type = SHT_SYMTAB_SHNDX;
         d.section(".sgxdl.note").sh_size = d.symbols() * 4 - 4;
         d.section(".sgxdl.note").sh_offset = 0;
     }},
    {"RelWithoutAddends", Code::not_normal_form, "SHT_REL relocations", module,
     [](Draft& d) { d.section(".rela.text.run").sh_type = SHT_REL; }},
    {"RemovedWithoutNul",
     Code::bad_elf,
     ".sgxdl.removed does not end in NUL",
     {patch_source, {"run"}},
     [](Draft& d) { d.section(".sgxdl.removed").sh_size--; }},
};

// --- groups --------------------------------------------------------------------------------------

const Row group_rows[] = {
    {"GroupOfOddSize", Code::bad_elf, ": 10 bytes", module,
     [](Draft& d) { d.section(".group").sh_size = 10; }},
    {"GroupWithoutMembers", Code::bad_elf, ": 4 bytes", module,
     [](Draft& d) { d.section(".group").sh_size = 4; }},
    {"GroupComdat", Code::not_normal_form, "flags", module,
     [](Draft& d) { d.group_word(0) = GRP_COMDAT; }},
    {"GroupMemberPastTheEnd", Code::bad_elf, "member 4294967295", module,
     [](Draft& d) { d.group_word(2) = UINT32_MAX; }},
    {"GroupMemberWritable", Code::not_normal_form, "is neither code nor a table", module,
     [](Draft& d) { d.group_word(2) = d.find(".data.counter"); }},
    {"GroupMemberLiteral", Code::not_normal_form, "is neither code nor a table", module,
     [](Draft& d) { d.group_word(2) = d.find(".rodata.str"); }},
    {"GroupStartsWithTable", Code::not_normal_form, "first member is not code", module,
     [](Draft& d) { std::swap(d.group_word(1), d.group_word(2)); }},
    {"GroupOfNothingLoaded", Code::not_normal_form, "first member is not code", module,
     [](Draft& d) { d.group_word(1) = d.group_word(2) = d.find(".symtab"); }},
    {"SectionTwiceInAGroup", Code::not_normal_form, "is in two groups", module,
     [](Draft& d) { d.group_word(2) = d.group_word(1); }},
    {"SectionInTwoGroups", Code::not_normal_form, "is in two groups", module,
     [](Draft& d) { d.add_section(d.section(".group")); }},
};

// --- symbols -------------------------------------------------------------------------------------

const Row symbol_rows[] = {
    {"SymbolSectionPastTheEnd", Code::bad_elf, ": section ", module,
     [](Draft& d) { d.symbol("helper").st_shndx = static_cast<uint16_t>(d.sections()); }},
    {"SymbolAbsolute", Code::not_normal_form, "section index 0xfff1", module,
     [](Draft& d) { d.symbol("helper").st_shndx = SHN_ABS; }},
    {"SymbolCommon", Code::not_normal_form, "section index 0xfff2", module,
     [](Draft& d) { d.symbol("counter").st_shndx = SHN_COMMON; }},
    {"SymbolExtendedWithoutTable", Code::not_normal_form, "section index 0xffff", module,
     [](Draft& d) { d.symbol("helper").st_shndx = SHN_XINDEX; }},
    {"SymbolThreadLocal", Code::not_normal_form, "type 6", module,
     [](Draft& d) { d.symbol("counter").st_info = ELF64_ST_INFO(STB_GLOBAL, STT_TLS); }},
    {"SymbolIndirectFunction", Code::not_normal_form, "type 10", module,
     [](Draft& d) { d.symbol("helper").st_info = ELF64_ST_INFO(STB_GLOBAL, STT_GNU_IFUNC); }},
    {"SymbolOutsideItsSection", Code::bad_elf, "symbol 'helper' at 0x7fffffffffffffff is outside",
     module, [](Draft& d) { d.symbol("helper").st_value = INT64_MAX; }},
    {"SymbolOnePastItsSection", Code::bad_elf, "symbol 'limits' at 0x11 is outside its section",
     module, [](Draft& d) { d.symbol("limits").st_value = 17; }},
    {"ObjectEndsPastItsSection", Code::bad_elf, "symbol 'limits' at 0x0 is outside its section",
     module, [](Draft& d) { d.symbol("limits").st_size = 17; }},
    {"ObjectSizeWraps", Code::bad_elf, "symbol 'limits' at 0x8 is outside its section", module,
     [](Draft& d) {
         d.symbol("limits").st_value = 8;
         d.symbol("limits").st_size = UINT64_MAX - 7;
     }},
    {"SymbolNameOutside", Code::bad_elf, "name of symbol ", module,
     [](Draft& d) { d.symbol("helper").st_name = UINT32_MAX; }},
    {"SymbolWithoutName", Code::bad_elf, "defined, without a name", module,
     [](Draft& d) { d.symbol("helper").st_name = 0; }},
    {"ImportWithoutName", Code::bad_elf, "undefined, without a name", module,
     [](Draft& d) { d.symbol("imported").st_name = 0; }},
    {"SymbolDefinedTwice", Code::duplicate_symbol, "'pick'", module,
     [](Draft& d) { d.symbol("helper").st_name = d.symbol("pick").st_name; }},
    {"FunctionInData", Code::not_normal_form, "symbol 'counter': a function outside code", module,
     [](Draft& d) { d.symbol("counter").st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC); }},
    {"ObjectInCode", Code::not_normal_form, "symbol 'helper': a function outside code", module,
     [](Draft& d) { d.symbol("helper").st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT); }},
    {"SectionWithoutName", Code::not_normal_form, "has no named symbol", module,
     [](Draft& d) { d.symbol("limits").st_info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE); }},
    {"MissingImport", Code::missing_import, "'forbidden'", module,
     [](Draft& d) { d.rename("imported", "forbidden"); }},
    {"MissingImportIsLongerByOne", Code::missing_import, "'importe'", module,
     [](Draft& d) { d.rename("imported", "importe"); }},
    {"ModuleSymbolIsNoImport", Code::missing_import, "'gone'", patch,
     [](Draft& d) { d.rename("zeroed", "gone"); }},
};

// --- relocations ---------------------------------------------------------------------------------

const Row relocation_rows[] = {
    {"RelocationTypeZero", Code::unknown_relocation, "type 0 in 'run' at 0x", module,
     [](Draft& d) { d.set_rela(d.rela(".text.run"), d.find_symbol("pick"), R_X86_64_NONE); }},
    {"RelocationTypeUnknown", Code::unknown_relocation, "type 26 in 'run' at 0x", module,
     [](Draft& d) { d.set_rela(d.rela(".text.run"), d.find_symbol("pick"), R_X86_64_GOTPC32); }},
    {"RelocationTypeHuge", Code::unknown_relocation, "type 4294967295 in 'run'", module,
     [](Draft& d) { d.set_rela(d.rela(".text.run"), d.find_symbol("pick"), UINT32_MAX); }},
    {"RelocationAcrossTheEnd", Code::bad_relocation, "R_X86_64_PLT32 in 'run' at 0x", module,
     [](Draft& d) { d.rela(".text.run").r_offset = d.section(".text.run").sh_size - 3; }},
    {"RelocationOffsetWraps", Code::bad_relocation,
     "R_X86_64_PLT32 in 'run' at 0xfffffffffffffffe is outside the section", module,
     [](Draft& d) { d.rela(".text.run").r_offset = UINT64_MAX - 1; }},
    {"WideRelocationAcrossTheEnd", Code::bad_relocation,
     "R_X86_64_64 in 'table' at 0xc is outside the section", module,
     [](Draft& d) { d.rela(".data.rel.ro.table", 1).r_offset = 12; }},
    {"RelocationSymbolPastTheEnd", Code::bad_relocation, ": symbol ", module,
     [](Draft& d) { d.set_rela(d.rela(".text.run"), d.symbols(), R_X86_64_PLT32); }},
    {"RelocationSymbolHuge", Code::bad_relocation, ": symbol 4294967295", module,
     [](Draft& d) { d.set_rela(d.rela(".text.run"), UINT32_MAX, R_X86_64_PLT32); }},
    {"RelocationAgainstNothing", Code::bad_relocation, "names a symbol that cannot be reached",
     module, [](Draft& d) { d.set_rela(d.rela(".text.run"), 0, R_X86_64_PC32); }},
    {"RelocationAgainstUnloadedSection", Code::bad_relocation,
     "names a symbol that cannot be reached", module,
     [](Draft& d) {
         const uint32_t added =
             d.add_symbol(Elf64_Sym{0, ELF64_ST_INFO(STB_LOCAL, STT_SECTION), 0,
                                    static_cast<uint16_t>(d.find(".sgxdl.note")), 0, 0});
         d.set_rela(d.rela(".text.run"), added, R_X86_64_PC32);
     }},
    {"BranchPastTheStart", Code::bad_relocation, "branches past a function's start", module,
     [](Draft& d) { d.rela_to(".text.run", "pick").r_addend = 0; }},
    {"BranchAddendHuge", Code::bad_relocation, "branches past a function's start", module,
     [](Draft& d) { d.rela_to(".text.run", "pick").r_addend = INT64_MIN; }},
    {"PointerPastTheStart", Code::bad_relocation, "points past a function's start", module,
     [](Draft& d) { d.rela(".data.rel.ro.table").r_addend = 1; }},
    {"BranchToObject", Code::bad_relocation, "branches to an object", module,
     [](Draft& d) {
         d.set_rela(d.rela_to(".text.run", "pick"), d.find_symbol("counter"), R_X86_64_PLT32);
     }},
    {"BranchToImportedObject", Code::missing_import, "as a function, which", module,
     [](Draft& d) {
         d.set_rela(d.rela_to(".text.run", "pick"), d.find_symbol("imported_object"),
                    R_X86_64_PLT32);
     }},
    {"BranchToSection", Code::bad_relocation, "wants a named symbol", module,
     [](Draft& d) {
         d.set_rela(d.rela_to(".text.run", "pick"), d.find_symbol(""), R_X86_64_PLT32);
     }},
    {"GotOfSection", Code::bad_relocation, "R_X86_64_GOTPCREL in 'run' at 0x", module,
     [](Draft& d) {
         d.set_rela(d.rela_to(".text.run", "absent"), d.find_symbol(""), R_X86_64_GOTPCREL);
     }},
    {"MiddleOfAnotherUnit", Code::bad_relocation, "reaches into the middle of another unit", module,
     [](Draft& d) {
         d.set_rela(d.rela_to(".text.run", "limits"), d.find_symbol(""), R_X86_64_PC32);
     }},
    {"TableOfAnotherUnit", Code::bad_relocation, "uses a table of another unit", module,
     [](Draft& d) {
         d.set_rela(d.rela_to(".text.run", "limits"), d.find_symbol("pick@table"), R_X86_64_PC32);
     }},
    {"AddendOverflows", Code::relocation_overflow, "'run': R_X86_64_PC32: target 0x", module,
     [](Draft& d) { d.rela_to(".text.run", "limits").r_addend = 1ll << 31; }},
    {"AddendOverflowsDownwards", Code::relocation_overflow, "'run': R_X86_64_PC32: target 0x",
     module, [](Draft& d) { d.rela_to(".text.run", "limits").r_addend = INT64_MIN; }},
    {"AddendOverflowsInAPatch", Code::relocation_overflow, "'fresh': R_X86_64_", patch,
     [](Draft& d) { d.rela_to(".text.fresh", "zeroed").r_addend = INT64_MAX; }},
    {"RelocationsOfAnotherSymbolTable", Code::bad_elf, "is not the symbol table", module,
     [](Draft& d) { d.section(".rela.text.run").sh_link = d.find(".strtab"); }},
    {"RelocationsOfNoSection", Code::bad_elf, "sh_info ", module,
     [](Draft& d) { d.section(".rela.text.run").sh_info = UINT32_MAX; }},
    {"HalfARelocation", Code::bad_elf, " bytes", module,
     [](Draft& d) { d.section(".rela.text.run").sh_size -= 8; }},
    {"TwoRelocationSections", Code::not_normal_form, "has two relocation sections", module,
     [](Draft& d) { d.section(".rela.text.run").sh_info = d.find(".text.pick"); }},
    {"RelocationsInZeroedData", Code::bad_elf, "relocations in zeroed data", module,
     [](Draft& d) { d.section(".rela.text.run").sh_info = d.find(".bss.zeroed"); }},
    {"RelocationsInALiteral", Code::not_normal_form, "relocations in a literal", module,
     [](Draft& d) { d.section(".rela.text.run").sh_info = d.find(".rodata.str"); }},
};

// --- patches -------------------------------------------------------------------------------------

const Row patch_rows[] = {
    {"WritableReplaced", Code::writable_replaced, "'counter'", {"int counter = 5;"}, nothing},
    {"ZeroedReplaced", Code::writable_replaced, "'zeroed'", {"int zeroed[100];"}, nothing},
    {"LiteralWithTwoContents", Code::not_normal_form, "has two contents", patch,
     [](Draft& d) { d.payload[d.section(".rodata.str").sh_offset] ^= 1; }},
    {"LiteralShorter", Code::not_normal_form, "has two contents", patch,
     [](Draft& d) {
         d.section(".rodata.str").sh_size -= 1;
         for (uint32_t i = 1; i < d.symbols(); i++) {
             if (d.symbol(i).st_shndx == d.find(".rodata.str")) d.symbol(i).st_size = 1;
         }
     }},
    {"FunctionBecomesObject",
     Code::not_normal_form,
     "'helper' is a function in one build and an object in the other",
     {"int helper = 3;"},
     nothing},
    {"ObjectBecomesFunction",
     Code::not_normal_form,
     "'counter' is a function in one build and an object in the other",
     {"int counter(void) { return 3; }"},
     nothing},
    {"ConstantBecomesWritable",
     Code::not_normal_form,
     "'limits' is another kind of unit",
     {"int limits[4] = {1};"},
     nothing},
    {"WritableBecomesConstant",
     Code::not_normal_form,
     "'counter' is another kind of unit",
     {"const int counter = 5;"},
     nothing},
    {"SymbolMovedBetweenUnits",
     Code::not_normal_form,
     "belongs to another unit of the module",
     {"int helper(int x) { return x + 9; } int pick(int x) __attribute__((alias(\"helper\")));"},
     nothing},
    {"UnitTakesItsNameFromAnother",
     Code::not_normal_form,
     "belongs to another unit of the module",
     {"int brand_new(int x) { return x + 9; } int pick(int x) "
      "__attribute__((alias(\"brand_new\")));"},
     nothing},
    {"TableBecomesConstant",
     Code::not_normal_form,
     "is another kind of unit in the module",
     {"const int placeholder[] = {1, 2};"},
     [](Draft& d) { d.rename("placeholder", "pick@table"); }},
    {"RemovedIsNotThere",
     Code::no_such_symbol,
     "'nowhere', which the patch removes",
     {patch_source, {"nowhere"}},
     nothing},
    {"RemovedIsEmpty",
     Code::no_such_symbol,
     "'', which the patch removes",
     {patch_source, {""}},
     nothing},
    {"RemovedIsAnAlias",
     Code::no_such_symbol,
     "'run_again', which the patch removes",
     {patch_source, {"run_again"}},
     nothing},
    {"RemovedIsATable",
     Code::no_such_symbol,
     "'pick@table', which the patch removes",
     {patch_source, {"pick@table"}},
     nothing},
    {"RemovedAndDefined",
     Code::not_normal_form,
     "'helper' is both defined and removed",
     {patch_source, {"helper"}},
     nothing},
    {"RemovedInAModule",
     Code::no_such_symbol,
     "'run', which the patch removes",
     {patch_source, {"run"}},
     [](Draft& d) {
         put(d.header.module, "victim");
         d.header.kind = SGXDL_BUNDLE_MODULE;
         memset(d.header.predecessor, 0, sizeof d.header.predecessor);
         // What a patch may take from its module, a module must have.
         d.rename("pick", "imported");
         for (const char* name : {"zeroed", "counter", "limits"})
             d.rename(name, "imported_object");
     }},
};

}  // namespace

Corpus make_corpus(const front::SecretKey& key, const std::string& product) {
    Workspace work;
    Corpus corpus;
    const std::string flags = std::string(default_flags) + " -fPIC";
    int number = 0;
    auto compiled = [&](const std::string& source) {
        return work.compile("corpus" + std::to_string(number++) + ".c", source, flags);
    };
    auto module_named = [&](const std::string& name, const std::string& object) {
        return front::pack_objects({object}, front::PackOptions{product, name, "1.0", 1, key});
    };
    const std::string object = compiled(module_source);
    corpus.base = module_named("m", object);
    const std::vector<uint8_t> victim = module_named("victim", object);
    const front::Digest base = front::open_bundle(corpus.base, "m").digest;
    auto patch_of = [&](const From& from) {
        front::Image image = front::build_image({compiled(from.patch)});
        image.removed = from.removed;
        const front::BundleInfo info{
            SGXDL_BUNDLE_PATCH, SGXDL_BUNDLE_ROLLBACK_ALLOWED, product, "m", "1.1", 1, base};
        return front::seal(info, front::write_elf(image), key);
    };
    corpus.patch = patch_of(patch);
    // helper(pick(x)) + table[x & 1](x) + limits[x & 3] + name()[x] + imported_object
    corpus.answers = {5 + 5 + (0 + 5) + 1 + 'a' + 77, 1001 + 5 + 1001 + 2 + ' ' + 77,
                      9 + 5 + (2 + 5) + 3 + 'l' + 77, 1 + 5 + 1 + 4 + 'i' + 77,
                      9 + 5 + (4 + 5) + 1 + 't' + 77, 77 + 5 + 77 + 2 + 'e' + 77};

    auto add_rows = [&](const auto& rows) {
        for (const Row& row : rows) {
            const bool is_patch = row.from.patch != nullptr;
            Draft draft(!is_patch ? victim
                        : row.from.removed.empty() && row.from.patch == patch_source
                            ? corpus.patch
                            : patch_of(row.from));
            // What is edited after sealing is edited in what was sealed.
            draft.sealed(key);
            row.change(draft);
            corpus.broken.push_back({row.name,
                                     draft.sealed(key, row.seal),
                                     {row.names.begin(), row.names.end()},
                                     row.code,
                                     row.text});
        }
    };
    add_rows(header_rows);
    add_rows(section_rows);
    add_rows(group_rows);
    add_rows(symbol_rows);
    add_rows(relocation_rows);
    add_rows(patch_rows);

    // Cut off at, and one byte around, every structural border; the section headers stand at the
    // end, so they are what is missed first.
    Draft whole(victim);
    std::vector<uint64_t> borders = {1, 63, 64, 65};
    for (uint32_t i = 1; i < whole.sections(); i++) {
        const Elf64_Shdr& section = whole.section(i);
        borders.push_back(section.sh_offset);
        if (section.sh_type != SHT_NOBITS) borders.push_back(section.sh_offset + section.sh_size);
        borders.push_back(whole.elf().e_shoff + i * sizeof(Elf64_Shdr));
        borders.push_back(whole.elf().e_shoff + i * sizeof(Elf64_Shdr) + 63);
    }
    std::sort(borders.begin(), borders.end());
    borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
    for (uint64_t border : borders) {
        Draft draft(victim);
        draft.payload.resize(border);
        corpus.broken.push_back({"CutAt" + std::to_string(border),
                                 draft.sealed(key),
                                 {},
                                 Code::truncated,
                                 border < 64 ? "ELF header" : "section header"});
    }
    // Every section announces one byte more than there is.
    for (uint32_t i = 1; i < whole.sections(); i++) {
        if (whole.section(i).sh_type == SHT_NOBITS) continue;
        Draft draft(victim);
        draft.section(i).sh_size = draft.payload.size() - draft.section(i).sh_offset + 1;
        const bool names = i == whole.elf().e_shstrndx;
        corpus.broken.push_back({"Section" + std::to_string(i) + "PastTheEnd",
                                 draft.sealed(key),
                                 {},
                                 Code::truncated,
                                 (names ? "string table " : "section ") + std::to_string(i) +
                                     (names ? " ends past the payload" : " [0x")});
    }
    return corpus;
}

}  // namespace sgxdl::test
