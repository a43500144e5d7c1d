// Libraries that come by dlopen: before the program gets at the first function of one, its CPUID
// instructions must trap as well. dlopen itself cannot be taken (the C library looks at who calls
// it), nor are a library's constructors preceded by a call here.
#include <dlfcn.h>

#include "emulator/preload/cpuid.hpp"

namespace {

using Dlsym = void*(void*, const char*);

// By its versions (glibc 2.34; before that in libdl): dlsym is the name that this library takes.
Dlsym* find_dlsym() {
    void* found = ::dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (found == nullptr) found = ::dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    return reinterpret_cast<Dlsym*>(found);
}

}  // namespace

// Called by dlsym below; what it is to jump to.
extern "C" __attribute__((visibility("hidden"), used)) Dlsym* sgxemu_before_dlsym() {
    static Dlsym* const next = find_dlsym();
    sgxemu::preload::rewrite_cpuid_sites();
    return next;
}

// A jump, not a call: RTLD_NEXT and RTLD_DEFAULT depend on the return address.
asm(R"(
    .text
    .globl dlsym
    .type dlsym, @function
dlsym:
    .cfi_startproc
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    pushq %rsi
    .cfi_adjust_cfa_offset 8
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    call sgxemu_before_dlsym
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %rsi
    .cfi_adjust_cfa_offset -8
    popq %rdi
    .cfi_adjust_cfa_offset -8
    jmpq *%rax
    .cfi_endproc
    .size dlsym, . - dlsym
)");
