/* What an ENCLU of enclave code jumps to: the template of a stub, and the leaves' way into C++.
 *
 * A stub runs on the enclave's registers, FS and GS, without a stack. It may use what the leaf in RAX
 * overwrites, and must be able to put everything back until that is known and the thread's record is
 * found: so leaves are told apart by LEA and JRCXZ, which leave the flags alone, and the record is
 * found by ES, which enclave code cannot load (SDM volume 3D, 35.6.1). The whole of RAX is looked at,
 * so that nothing is lost of it; with anything above EAX set, the ENCLU traps.
 *
 * Every instruction belongs to a range of sgxemu_stub_ranges, which tells a signal handler how to go
 * back to the ENCLU, or on to its end. */

#include "emulator/fast/offsets.h"

#define EACCEPT 5
#define EMODPE 6
#define EACCEPTCOPY 7
#define EEXIT 4
#define LEAVING 2

/* SF, ZF, AF, PF, CF in AH and OF in AL, and back. */
    .macro FLAGS_TO_AX
    lahf
    seto %al
    .endm
    .macro FLAGS_FROM_AX
    addb $0x7f, %al
    sahf
    .endm

/* From here on the state is as `kind` says. */
    .macro STATE kind, value=0
    .pushsection .rodata.sgxemu_stub_ranges, "a"
    .short 770f - sgxemu_stub
    .byte \kind, \value
    .popsection
770:
    .endm

/* RAX = orig RCX; to `found` with the record in RCX. The displacement is filled in. */
    .macro FIND_RECORD leaf
    STATE RCX_IN_RAX, \leaf
    movl %es, %ecx
    movq 0x11111111(%rcx), %rcx
    .pushsection .rodata.sgxemu_stub_records, "a"
    .short 771f - 4 - sgxemu_stub
    .popsection
771:
    jrcxz 772f
    movq $\leaf, FAST_RAX(%rcx)
    jmp .Lfound
772:
    movl $\leaf, %ecx
    STATE SWAPPED, 0
    jmp .Lunswap
    .endm

    .section .rodata.sgxemu_stub_ranges, "a"
    .balign 4
    .globl sgxemu_stub_ranges, sgxemu_stub_ranges_end
    .hidden sgxemu_stub_ranges, sgxemu_stub_ranges_end
sgxemu_stub_ranges:
    .section .rodata.sgxemu_stub_records, "a"
    .balign 2
    .globl sgxemu_stub_records, sgxemu_stub_records_end
    .hidden sgxemu_stub_records, sgxemu_stub_records_end
sgxemu_stub_records:

    .section .rodata.sgxemu_stub, "a"
    .balign 16
    .globl sgxemu_stub, sgxemu_stub_end
    .hidden sgxemu_stub, sgxemu_stub_end
sgxemu_stub:
    STATE AT_ENCLU
    xchgq %rax, %rcx
    STATE SWAPPED, 0
    leaq -EEXIT(%rcx), %rcx
    STATE SWAPPED, EEXIT
    jrcxz .Leexit
    leaq -1(%rcx), %rcx
    STATE SWAPPED, EACCEPT
    jrcxz .Leaccept
    leaq -1(%rcx), %rcx
    STATE SWAPPED, EMODPE
    jrcxz .Lemodpe
    leaq -1(%rcx), %rcx
    STATE SWAPPED, EACCEPTCOPY
    jrcxz .Leacceptcopy
    leaq EACCEPTCOPY(%rcx), %rcx
    STATE SWAPPED, 0
.Lunswap:
    xchgq %rax, %rcx
    STATE AT_ENCLU
    hlt

.Leexit:
    FIND_RECORD EEXIT
.Leaccept:
    FIND_RECORD EACCEPT
.Lemodpe:
    FIND_RECORD EMODPE
.Leacceptcopy:
    FIND_RECORD EACCEPTCOPY

.Lfound:
    STATE FOUND
    movq %rax, FAST_RCX(%rcx)
    STATE SAVED
    FLAGS_TO_AX
    movq %rax, FAST_FLAGS(%rcx)
    STATE FLAGS_SAVED
    /* Code of the enclave that is run outside it is not in enclave mode. */
    cmpq $1, THREAD_INSIDE(%rcx)
    jne .Lback
    cmpq $EEXIT, FAST_RAX(%rcx)
    jne .Lleaf
    cmpq $0, FAST_EXIT_ALLOWED(%rcx)
    je .Lback
    cmpq %rbx, FAST_AFTER(%rcx)
    jne .Lback
    movq $LEAVING, THREAD_INSIDE(%rcx)
    STATE LEFT
    movq THREAD_HOST_FS(%rcx), %rax
    wrfsbase %rax
    movq THREAD_HOST_GS(%rcx), %rax
    wrgsbase %rax
    movb $SYSCALLS_ALLOWED, THREAD_SYSCALLS(%rcx)
    movq FAST_FLAGS(%rcx), %rax
    FLAGS_FROM_AX
    movl $EEXIT, %eax
    movq FAST_AEP(%rcx), %rcx
    jmpq *%rbx

    STATE FLAGS_SAVED
.Lback:
    movq FAST_FLAGS(%rcx), %rax
    FLAGS_FROM_AX
    movq FAST_RAX(%rcx), %rax
    movq FAST_RCX(%rcx), %rcx
    hlt

.Lleaf:
    leaq sgxemu_stub(%rip), %rax
    movq %rax, FAST_STUB(%rcx)
    /* From here on signals wait. */
    movq $1, FAST_BUSY(%rcx)
    jmpq *.Lleaf_entry(%rip)

    /* RAX = the record; all other registers but RSP are the enclave's again. */
    .globl sgxemu_stub_done, sgxemu_stub_refused
    .hidden sgxemu_stub_done, sgxemu_stub_refused
    STATE LEAF_DONE
sgxemu_stub_done:
    movq FAST_RSP(%rax), %rsp
    movq FAST_RAX(%rax), %rax
    jmpq *.Lreturn(%rip)
sgxemu_stub_refused:
    movq FAST_RSP(%rax), %rsp
    movq FAST_RAX(%rax), %rax
    hlt

    .balign 8
    .globl sgxemu_stub_leaf_entry, sgxemu_stub_return
    .hidden sgxemu_stub_leaf_entry, sgxemu_stub_return
sgxemu_stub_leaf_entry:
.Lleaf_entry:
    .quad 0 /* sgxemu_fast_leaf_entry */
sgxemu_stub_return:
.Lreturn:
    .quad 0 /* behind the ENCLU */
sgxemu_stub_end:

    .section .rodata.sgxemu_stub_ranges
sgxemu_stub_ranges_end:
    .section .rodata.sgxemu_stub_records
sgxemu_stub_records_end:

/* RCX = the record; signals wait. On a stack of its own, which lies in the thread's slot. What is
 * pushed is struct FastFrame (fast.hpp), from its end. */
    .text
    .globl sgxemu_fast_leaf_entry
    .hidden sgxemu_fast_leaf_entry
    .type sgxemu_fast_leaf_entry, @function
    .balign 16
sgxemu_fast_leaf_entry:
    .cfi_startproc
    .cfi_undefined %rip
    movq %rsp, FAST_RSP(%rcx)
    movq FAST_STACK(%rcx), %rsp
    movq FAST_FLAGS(%rcx), %rax
    FLAGS_FROM_AX
    pushfq
    /* C++ wants DF clear, and AC. */
    pushq $2
    popfq
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %r11
    pushq %r10
    pushq %r9
    pushq %r8
    pushq %rbp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rbx
    pushq FAST_RCX(%rcx)
    pushq FAST_RAX(%rcx)
    rdfsbase %rax
    pushq %rax
    rdgsbase %rax
    pushq %rax
    movq %rcx, %rbx
    movb $SYSCALLS_ALLOWED, THREAD_SYSCALLS(%rbx)
    movq THREAD_HOST_FS(%rbx), %rax
    wrfsbase %rax
    movq THREAD_HOST_GS(%rbx), %rax
    wrgsbase %rax

    movq %rsp, %r12
    subq $FAST_XSAVE_SIZE, %rsp
    andq $-64, %rsp
    /* XSAVE writes of the header only what it saves; XRSTOR wants the rest to be zero. */
    xorl %eax, %eax
    movq %rax, 512(%rsp)
    movq %rax, 520(%rsp)
    movq %rax, 528(%rsp)
    movq %rax, 536(%rsp)
    movq %rax, 544(%rsp)
    movq %rax, 552(%rsp)
    movq %rax, 560(%rsp)
    movq %rax, 568(%rsp)
    movl FAST_XFRM(%rbx), %eax
    movl FAST_XFRM + 4(%rbx), %edx
    xsave64 (%rsp)

    movq %rbx, %rdi
    movq %r12, %rsi
    movq %rsp, %rdx
    call sgxemu_fast_leaf

    movl FAST_XFRM(%rbx), %eax
    movl FAST_XFRM + 4(%rbx), %edx
    xrstor64 (%rsp)
    movb $SYSCALLS_BLOCKED, THREAD_SYSCALLS(%rbx)
    movq %r12, %rsp
    movq %rbx, %rax
    popq %rcx
    wrgsbase %rcx
    popq %rcx
    wrfsbase %rcx
    popq FAST_RAX(%rax)
    popq %rcx
    popq %rbx
    popq %rdx
    popq %rsi
    popq %rdi
    popq %rbp
    popq %r8
    popq %r9
    popq %r10
    popq %r11
    popq %r12
    popq %r13
    popq %r14
    popq %r15
    popfq
    jmpq *FAST_NEXT(%rax)
    .cfi_endproc
    .size sgxemu_fast_leaf_entry, . - sgxemu_fast_leaf_entry

    .section .note.GNU-stack, "", @progbits
