// Entry and exit of the enclave, and its ENCLU instructions.
//
// Invariants:
//  - Nothing of the host survives entry but the registers that dispatch checks: RFLAGS (DF, AC),
//    x87, MXCSR and vector registers get their initial values before the first line of C++.
//  - CSSA = 0 runs on the thread's own stack; below the frame of an ocall that is in flight.
//  - CSSA > 0 runs only the exception handler, on the thread's exception stack. It never uses the
//    interrupted RSP.
//  - Every way out clears all registers; RSP and RBP are the host's own, which EENTER and ERESUME
//    keep in the SSA frame (SDM 38.4, U_RSP and U_RBP).
//
// Registers at EENTER (enclave/interface/abi.hpp): RAX = CSSA, RCX = the host's return address,
// RDI = Entry, RSI = HostArea*, RDX = CallFrame*. SDM volume 3D, 38.4 (EENTER, EEXIT, EACCEPT,
// EACCEPTCOPY). Nothing here is relocated: it runs before the image's relocations are applied.

#include "enclave/interface/layout.h"
#include "enclave/runtime/thread_offsets.h"
#include "sgxdl/arch/sgx.h"

#define SSA_GPR(slot, field) \
    (slot + SGXDL_SSA_FRAME_PAGES * SGXDL_PAGE_SIZE - SGX_GPRSGX_SIZE + field)

        .section .text.sgxdl.enclu, "ax", @progbits
        .cfi_sections .debug_frame

// For debuggers: the caller of sgxdl_entry is the host, whose RSP, RBP and return address stand in the
// SSA frame and in the thread's data. RBX holds FS base at the call of sgxdl_dispatch, because
// debuggers do not unwind by FS itself. DW_OP_breg3, the offset as an SLEB128 of four bytes.
#define RBX_PLUS(offset) \
    0x73, ((offset) & 0x7f) | 0x80, ((offset) >> 7 & 0x7f) | 0x80, \
    ((offset) >> 14 & 0x7f) | 0x80, (offset) >> 21 & 0x3f
#define DW_CFA_def_cfa_expression 0x0f
#define DW_CFA_expression 0x10
#define DW_OP_deref 0x06
#define DWARF_RBP 6
#define DWARF_RIP 16
.macro FRAME_OF_HOST
        .cfi_escape DW_CFA_def_cfa_expression, 6, RBX_PLUS(SSA_GPR(SGXDL_SSA0, SGX_GPRSGX_URSP)), \
                    DW_OP_deref
        .cfi_escape DW_CFA_expression, DWARF_RBP, 5, \
                    RBX_PLUS(SSA_GPR(SGXDL_SSA0, SGX_GPRSGX_URBP))
        .cfi_escape DW_CFA_expression, DWARF_RIP, 5, RBX_PLUS(THREAD_EXIT_TARGET)
.endm

// Initial state for x87, SSE and AVX. XRSTOR is limited to XFRM inside an enclave, so 7 is safe.
// Clobbers eax, edx.
.macro CLEAN_EXTENDED_STATE
        movl    $7, %eax
        xorl    %edx, %edx
        xrstor64 clean_state(%rip)
.endm

// RFLAGS: no direction, no alignment checks, no nested task. Needs eight bytes of stack.
.macro CLEAN_FLAGS
        pushq   $2
        popfq
.endm

// Clears every register but RAX, RBX, RSP and RBP, and leaves to RBX.
.macro EEXIT_CLEAN
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %r8d, %r8d
        xorl    %r9d, %r9d
        xorl    %r10d, %r10d
        xorl    %r11d, %r11d
        xorl    %r12d, %r12d
        xorl    %r13d, %r13d
        xorl    %r14d, %r14d
        xorl    %r15d, %r15d
        movl    $SGX_ENCLU_EEXIT, %eax
        enclu
        // Never reached. Where the emulator makes a jump of the ENCLU, what follows it is half of the
        // displacement: that of UD1 leads 1.1 GiB below, that of UD2 into larger enclaves.
        ud1l    %eax, %eax
.endm

        .globl  sgxdl_entry
        .hidden sgxdl_entry
        .type   sgxdl_entry, @function
        .p2align 6
sgxdl_entry:
        .cfi_startproc
        FRAME_OF_HOST
        testq   %rax, %rax
        jnz     .Lexception
        movq    %rcx, %fs:THREAD_EXIT_TARGET
        movq    %fs:THREAD_OCALL_FRAME, %r8
        testq   %r8, %r8
        jnz     .Lin_ocall

        // A first ecall, or nonsense that dispatch refuses: the whole stack.
        rdfsbase %r8
        leaq    SGXDL_STACK_TOP(%r8), %rsp
        jmp     .Ldispatch

.Lin_ocall:
        cmpq    $2, %rdi                        // Entry::ocall_return
        je      .Locall_return
        // A nested ecall runs below the ocall's frame and keeps its thread's generation.
        movq    OCALL_FRAME_GS(%r8), %r9
        wrgsbase %r9
        movq    %r8, %rsp

.Ldispatch:
        andq    $-16, %rsp
        CLEAN_FLAGS
        movq    %rdx, %rcx
        CLEAN_EXTENDED_STATE
        movq    %rcx, %rdx
        xorl    %ebp, %ebp                      // ends the enclave's chain of frames
        rdfsbase %rbx                           // FRAME_OF_HOST
        xorl    %r12d, %r12d
        xorl    %r13d, %r13d
        xorl    %r14d, %r14d
        xorl    %r15d, %r15d
        call    sgxdl_dispatch
        .cfi_endproc

        // Leaves the enclave from anywhere on a thread's normal stack; never comes back.
        .globl  sgxdl_leave
        .hidden sgxdl_leave
        .type   sgxdl_leave, @function
sgxdl_leave:
        CLEAN_EXTENDED_STATE
        rdfsbase %rdx
        movq    SSA_GPR(SGXDL_SSA0, SGX_GPRSGX_URSP)(%rdx), %rsp
        movq    SSA_GPR(SGXDL_SSA0, SGX_GPRSGX_URBP)(%rdx), %rbp
        movq    %fs:THREAD_EXIT_TARGET, %rbx
        EEXIT_CLEAN
        .size   sgxdl_entry, . - sgxdl_entry

// void sgxdl_leave_for_ocall(void): leaves, and returns when the host enters with
// Entry::ocall_return. What the callee must preserve is on the stack; GS too, because EENTER
// resets it.
        .globl  sgxdl_leave_for_ocall
        .hidden sgxdl_leave_for_ocall
        .type   sgxdl_leave_for_ocall, @function
sgxdl_leave_for_ocall:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        rdgsbase %rax
        pushq   %rax                            // OCALL_FRAME_GS
        pushq   %fs:THREAD_OCALL_FRAME          // OCALL_FRAME_PREVIOUS
        subq    $8, %rsp
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %rsp, %fs:THREAD_OCALL_FRAME
        jmp     sgxdl_leave

.Locall_return:
        movq    %r8, %rsp
        CLEAN_FLAGS
        CLEAN_EXTENDED_STATE
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        addq    $8, %rsp
        popq    %fs:THREAD_OCALL_FRAME
        popq    %rax
        wrgsbase %rax
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %r8d, %r8d
        xorl    %r9d, %r9d
        xorl    %r10d, %r10d
        xorl    %r11d, %r11d
        ret
        .size   sgxdl_leave_for_ocall, . - sgxdl_leave_for_ocall

// CSSA > 0. There are two SSA frames, so CSSA is 1 and a fault in here cannot be entered for again.
.Lexception:
        cmpq    $1, %rax
        jne     .Limpossible
        rdfsbase %rsp                           // SGXDL_EXCEPTION_STACK_TOP is 0
        CLEAN_FLAGS
        pushq   %rcx
        pushq   %rcx                            // alignment
        CLEAN_EXTENDED_STATE
        movq    %rsi, %rdi
        xorl    %ebp, %ebp
        call    sgxdl_handle_exception
        CLEAN_EXTENDED_STATE
        popq    %rbx
        rdfsbase %rdx
        movq    SSA_GPR(SGXDL_SSA1, SGX_GPRSGX_URSP)(%rdx), %rsp
        movq    SSA_GPR(SGXDL_SSA1, SGX_GPRSGX_URBP)(%rdx), %rbp
        EEXIT_CLEAN
.Limpossible:
        ud2

// Records the ENCLU that follows: when it faults with #PF the handler puts enclu_faulted
// into RAX and goes on behind it. Each entry is relative to itself, so nothing is relocated.
.macro FIXUP
        .pushsection .sgxdl.fixup, "a", @progbits
        .long   777f - .
        .popsection
777:
.endm

// uint64_t sgxdl_eaccept(const sgx_secinfo*, void* page)
        .globl  sgxdl_eaccept
        .hidden sgxdl_eaccept
        .type   sgxdl_eaccept, @function
sgxdl_eaccept:
        pushq   %rbx
        movq    %rdi, %rbx
        movq    %rsi, %rcx
        movl    $SGX_ENCLU_EACCEPT, %eax
        FIXUP
        enclu
        popq    %rbx
        ret
        .size   sgxdl_eaccept, . - sgxdl_eaccept

// uint64_t sgxdl_eacceptcopy(const sgx_secinfo*, void* page, const void* source)
        .globl  sgxdl_eacceptcopy
        .hidden sgxdl_eacceptcopy
        .type   sgxdl_eacceptcopy, @function
sgxdl_eacceptcopy:
        pushq   %rbx
        movq    %rdi, %rbx
        movq    %rsi, %rcx
        movl    $SGX_ENCLU_EACCEPTCOPY, %eax
        FIXUP
        enclu
        popq    %rbx
        ret
        .size   sgxdl_eacceptcopy, . - sgxdl_eacceptcopy

// Every unset slot of a generation's table holds this address. Reached by a jump, so what is on the
// stack is the return address of whoever called through the stub.
        .globl  sgxdl_trap
        .hidden sgxdl_trap
        .type   sgxdl_trap, @function
sgxdl_trap:
        movq    (%rsp), %rdi
        andq    $-16, %rsp
        call    sgxdl_trapped
        ud2
        .size   sgxdl_trap, . - sgxdl_trap

        .section .rodata.sgxdl.clean, "a", @progbits
        .p2align 6
// An XSAVE area whose XSTATE_BV is zero: all components get their initial values; MXCSR is read
// from here whatever XSTATE_BV says (SDM volume 1, 13.8.1).
clean_state:
        .zero   24
        .long   0x1f80, 0xffff
        .zero   512 - 32
        .zero   64

        .section .note.GNU-stack, "", @progbits
