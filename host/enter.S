// int sgxdl_host_enter(rdi, rsi, rdx, unsigned function, run, vdso)
//
// Calls __vdso_sgx_enter_enclave so that C++ may: the vDSO preserves RBX, RBP and RSP only, and an
// enclave's exit clears everything else. Source: the comment on vdso_sgx_enter_enclave_t in
// <asm/sgx.h>; callee-saved state: x86-64 psABI 3.2.1.
//
// In: RDI, RSI, RDX passed through; ECX = EENTER or ERESUME; R8 = sgx_enclave_run; R9 = function.

        .text
        .globl  sgxdl_host_enter
        .type   sgxdl_host_enter, @function
sgxdl_host_enter:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        .cfi_rel_offset %rbx, -8
        .cfi_rel_offset %r12, -16
        .cfi_rel_offset %r13, -24
        .cfi_rel_offset %r14, -32
        .cfi_rel_offset %r15, -40
        subq    $24, %rsp
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %r9, %rax
        pushq   $0                      // alignment
        pushq   %r8                     // 7th argument: run
        xorl    %r8d, %r8d
        xorl    %r9d, %r9d
        call    *%rax
        addq    $16, %rsp
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        cld
        addq    $24, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   sgxdl_host_enter, . - sgxdl_host_enter

        .section .note.GNU-stack, "", @progbits
