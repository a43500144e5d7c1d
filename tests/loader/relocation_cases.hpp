// One small assembler or C program for each relocation type, loaded for real: `run()` returns
// `expected` only when the relocation leads where it should. The same table serves the hosted
// platform and the enclave. `imported` is a function, `imported_object` an int; both come from the
// allow-list of whoever loads the program.
#pragma once

#include <cstdint>

namespace sgxdl::test {

struct RelocationCase {
    const char* name;   // for messages; letters and digits
    uint32_t type;      // R_X86_64_* that must be in the payload
    bool low;           // only where the arena lies below 2 GiB
    const char* file;   // its ending says what it is
    const char* flags;  // for gcc
    const char* source;
    long expected;  // of `long run(void)`
};

// What the imports do.
inline constexpr int imported_adds = 1000;  // int imported(int x): x + 1000
inline constexpr int imported_value = 77;   // int imported_object

#define SGXDL_TEXT(name) ".section .text." name ",\"ax\",@progbits\n"
#define SGXDL_FUNCTION(name) \
    SGXDL_TEXT(name) ".globl " name "\n.type " name ",@function\n" name ":\n"
#define SGXDL_END(name) ".size " name ",.-" name "\n"
#define SGXDL_OBJECT(section, flags, name)                                                  \
    ".section " section ",\"" flags "\",@progbits\n.balign 8\n.globl " name "\n.type " name \
    ",@object\n" name ":\n"
#define SGXDL_ANSWER \
    SGXDL_OBJECT(".data.answer", "aw", "answer") ".quad 42, 43\n" SGXDL_END("answer")
#define SGXDL_SEVEN SGXDL_FUNCTION("seven") "mov $7, %eax\nret\n" SGXDL_END("seven")

inline constexpr RelocationCase relocation_cases[] = {
    {"Abs64InData", 1, false, "abs64_data.s", "",
     SGXDL_ANSWER SGXDL_SEVEN SGXDL_OBJECT(
         ".data.rel.pointers", "aw", "pointers") ".quad answer+8, seven\n" SGXDL_END("pointers")
         SGXDL_FUNCTION("run") "sub $8, %rsp\ncall *pointers+8(%rip)\nmov pointers(%rip), "
                               "%rdx\nadd (%rdx), %rax\n"
                               "add $8, %rsp\nret\n" SGXDL_END("run"),
     50},
    {"Abs64InCode", 1, false, "abs64_code.s", "",
     SGXDL_ANSWER SGXDL_FUNCTION("run") "movabs $answer+8, %rdx\nmov (%rdx), %rax\nret\n" SGXDL_END(
         "run"),
     43},
    {"Pc32InCode", 2, false, "pc32_code.s", "",
     SGXDL_ANSWER SGXDL_FUNCTION("run") "lea answer+8(%rip), %rdx\nmov (%rdx), %rax\ncmpl $42, "
                                        "answer(%rip)\nje 1f\nxor %eax, %eax\n"
                                        "1: ret\n" SGXDL_END("run"),
     43},
    {"Pc32InData", 2, false, "pc32_data.s", "",
     SGXDL_OBJECT(".rodata.answer", "a", "answer") ".quad 42, 43\n" SGXDL_END("answer")
         SGXDL_OBJECT(".rodata.offsets", "a",
                      "offsets") ".long answer - ., answer + 8 - .\n" SGXDL_END("offsets")
             SGXDL_FUNCTION("run") "lea offsets+4(%rip), %rdx\nmovslq (%rdx), %rax\nmov "
                                   "(%rax,%rdx), %rax\nret\n" SGXDL_END("run"),
     43},
    {"Pc32ToFunctionInData", 2, false, "pc32_function.s", "",
     SGXDL_SEVEN SGXDL_OBJECT(".rodata.table", "a", "table") ".long seven - .\n" SGXDL_END("table")
         SGXDL_FUNCTION("run") "sub $8, %rsp\nlea table(%rip), %rdx\nmovslq (%rdx), %rax\nadd "
                               "%rdx, %rax\ncall *%rax\n"
                               "add $8, %rsp\nret\n" SGXDL_END("run"),
     7},
    {"Pc64InData", 24, false, "pc64_data.s", "",
     SGXDL_ANSWER SGXDL_OBJECT(".rodata.far", "a", "far") ".quad answer + 8 - .\n" SGXDL_END("far")
         SGXDL_FUNCTION("run") "lea far(%rip), %rdx\nadd (%rdx), %rdx\nmov (%rdx), "
                               "%rax\nret\n" SGXDL_END("run"),
     43},
    {"Plt32ToModule", 4, false, "plt32_module.s", "",
     SGXDL_SEVEN SGXDL_FUNCTION(
         "run") "sub $8, %rsp\ncall seven@PLT\nadd $8, %rsp\nret\n" SGXDL_END("run"),
     7},
    {"Plt32TailCall", 4, false, "plt32_tail.s", "",
     SGXDL_SEVEN SGXDL_FUNCTION(
         "run") "test %rsp, %rsp\njne seven\nxor %eax, %eax\nret\n" SGXDL_END("run"),
     7},
    {"Plt32ToImport", 4, false, "plt32_import.s", "",
     SGXDL_FUNCTION("run") "sub $8, %rsp\nmov $5, %edi\ncall imported@PLT\ncltq\nadd $8, "
                           "%rsp\nret\n" SGXDL_END("run"),
     5 + imported_adds},
    {"GotpcrelToObject", 9, false, "gotpcrel.s", "",
     SGXDL_ANSWER SGXDL_FUNCTION(
         "run") "push answer@GOTPCREL(%rip)\npop %rdx\nmov 8(%rdx), %rax\nret\n" SGXDL_END("run"),
     43},
    {"GotpcrelToFunction", 9, false, "gotpcrel_function.s", "",
     SGXDL_SEVEN SGXDL_FUNCTION("run") "push seven@GOTPCREL(%rip)\npop %rdx\nsub $8, %rsp\ncall "
                                       "*%rdx\nadd $8, %rsp\nret\n" SGXDL_END("run"),
     7},
    {"GotpcrelxToImport", 41, false, "gotpcrelx.s", "",
     SGXDL_FUNCTION("run") "sub $8, %rsp\nmov $6, %edi\ncall *imported@GOTPCREL(%rip)\ncltq\nadd "
                           "$8, %rsp\nret\n" SGXDL_END("run"),
     6 + imported_adds},
    {"RexGotpcrelxToImportedObject", 42, false, "rex_gotpcrelx.s", "",
     SGXDL_FUNCTION("run") "mov imported_object@GOTPCREL(%rip), %rdx\nmovslq (%rdx), "
                           "%rax\nret\n" SGXDL_END("run"),
     imported_value},
    {"RexGotpcrelxComparesAddresses", 42, false, "rex_gotpcrelx_compare.s", "",
     SGXDL_ANSWER SGXDL_FUNCTION("run") "lea answer(%rip), %rdx\nxor %eax, %eax\ncmp "
                                        "answer@GOTPCREL(%rip), %rdx\nsete %al\nret\n" SGXDL_END(
                                            "run"),
     1},
    {"Abs32InCode", 10, true, "abs32.s", "",
     SGXDL_ANSWER SGXDL_SEVEN SGXDL_FUNCTION("run") "sub $8, %rsp\nmov $seven, %eax\ncall "
                                                    "*%rax\nmov $answer+8, %edx\nadd (%rdx), %rax\n"
                                                    "add $8, %rsp\nret\n" SGXDL_END("run"),
     50},
    {"Abs32InData", 10, true, "abs32_data.s", "",
     SGXDL_ANSWER SGXDL_OBJECT(".rodata.short", "a",
                               "short") ".long answer + 8\n" SGXDL_END("short")
         SGXDL_FUNCTION("run") "mov short(%rip), %edx\nmov (%rdx), %rax\nret\n" SGXDL_END("run"),
     43},
    {"Abs32sInCode", 11, true, "abs32s.s", "",
     SGXDL_ANSWER SGXDL_FUNCTION("run") "mov $1, %edi\nmov answer(,%rdi,8), %rax\nmov $answer, "
                                        "%rdx\nadd (%rdx), %rax\nret\n" SGXDL_END("run"),
     85},
    {"SmallModelWithoutPie", 11, true, "small.c",
     "-O2 -fno-pie -mcmodel=small -ffunction-sections -fdata-sections",
     R"(static int squares[] = {0, 1, 4, 9, 16, 25};
        typedef int fn(int);
        __attribute__((noinline)) static int twice(int x) { return 2 * x; }
        __attribute__((noinline)) static int thrice(int x) { return 3 * x; }
        fn* volatile pick[] = {twice, thrice};
        const char* volatile text = "sgx";
        __attribute__((noinline)) static int branch(int x) {
            switch (x) { case 0: return 11; case 1: return squares[3]; case 2: return 7; case 3: return squares[2];
                         case 4: return text[1]; case 5: return 1; default: return 0; }
        }
        long run(void) {
            long sum = 0;
            for (volatile int i = 0; i < 6; i++) sum += squares[i] + branch(i) + pick[i & 1](i);
            return sum;
        })",
     55 + (11 + 9 + 7 + 4 + 'g' + 1) + 2 * (0 + 2 + 4) + 3 * (1 + 3 + 5)},
};

#undef SGXDL_TEXT
#undef SGXDL_FUNCTION
#undef SGXDL_END
#undef SGXDL_OBJECT
#undef SGXDL_ANSWER
#undef SGXDL_SEVEN

}  // namespace sgxdl::test
