/* The code of the test enclave: executes one operation per entry and leaves.
 *
 * Flat and position independent; it is copied into a code page. RDI points to a struct Op
 * (test_enclave.hpp) in the test's memory. It uses no stack: RSP and RBP stay the host's; where it
 * changes them it gets them back from the SSA frame, which also holds after an ERESUME from
 * elsewhere. RBX is the TCS, its SSA frames follow; the page at RBX + SAVE_OFFSET is the entry's
 * own, 256 bytes for each CSSA. R12 to R15 are the caller's to save. */

#define OP_CODE 0
#define OP_A 8
#define OP_B 16
#define OP_C 24
#define OP_D 32
#define OP_RAX 40
#define OP_FLAGS 48
#define OP_DONE 56
#define OP_REGISTERS 64

#define SAVE_OFFSET 0x6000
#define SAVE_RETURN 0
#define SAVE_GPRSGX 8

#define GPRSGX_OFFSET (0x2000 - 184) /* of frame 0, from the TCS */
#define GPRSGX_URSP 144
#define GPRSGX_URBP 152

    .macro ENCLU
    .byte 0x0f, 0x01, 0xd7
    .endm

    .section .rodata.enclave_code, "a"
    .balign 4096
    .globl enclave_code_begin, enclave_code_end, enclave_code_entry, enclave_code_give_up
enclave_code_begin:
    /* A constant that tests read as data of an executable page. */
    .quad 0x1122334455667788
enclave_code_entry:
    movq %rax, %r8
    shlq $12, %r8
    leaq GPRSGX_OFFSET(%rbx, %r8), %r10
    shrq $4, %r8
    leaq SAVE_OFFSET(%rbx, %r8), %r9
    movq %rcx, SAVE_RETURN(%r9)
    movq %r10, SAVE_GPRSGX(%r9)
    movq %r9, %r15
    movq %rdi, %r14
    movq OP_CODE(%r14), %rax
    cmpq $(.Ltable_end - .Ltable) / 4, %rax
    jae .Lleave
    leaq .Ltable(%rip), %rdx
    movslq (%rdx, %rax, 4), %rax
    addq %rdx, %rax
    jmpq *%rax
.Ltable:
    .long .Lnothing - .Ltable
    .long .Lenclu - .Ltable
    .long .Lread - .Ltable
    .long .Lwrite - .Ltable
    .long .Lcall - .Ltable
    .long .Lcopy - .Ltable
    .long .Lregisters - .Ltable
    .long .Lundefined - .Ltable
    .long .Lbreakpoint - .Ltable
    .long .Ldivide - .Ltable
    .long .Lbases - .Ltable
    .long .Lcount - .Ltable
    .long .Lhalt - .Ltable
    .long .Lenclu_loop - .Ltable
    .long .Lenclu_registers - .Ltable
.Ltable_end:

.Lnothing:
    jmp .Lleave

    /* ENCLU with RAX = a, RBX = b, RCX = c, RDX = d; arithmetic flags set before. */
.Lenclu:
    movq OP_B(%r14), %rbx
    movq OP_C(%r14), %rcx
    movq OP_D(%r14), %rdx
    movq $-1, %rax
    addq $1, %rax
    movq OP_A(%r14), %rax
    ENCLU
    movq %rax, OP_RAX(%r14)
    /* The flags without a stack. */
    setc %cl
    setz %ch
    sets %dl
    seto %dh
    movzbl %cl, %eax
    movzbl %ch, %ecx
    leal (%rax, %rcx, 2), %eax
    movzbl %dl, %ecx
    leal (%rax, %rcx, 4), %eax
    movzbl %dh, %ecx
    leal (%rax, %rcx, 8), %eax
    movq %rax, OP_FLAGS(%r14)
    jmp .Lleave

    /* RAX = *(uint64_t*)a */
.Lread:
    movq OP_A(%r14), %rcx
    movq (%rcx), %rax
    movq %rax, OP_RAX(%r14)
    jmp .Lleave

    /* *(uint64_t*)a = b */
.Lwrite:
    movq OP_A(%r14), %rcx
    movq OP_B(%r14), %rax
    movq %rax, (%rcx)
    jmp .Lleave

    /* Jumps to a, which comes back by jmp *%r13 with its answer in RAX. */
.Lcall:
    leaq 1f(%rip), %r13
    movq OP_A(%r14), %rax
    jmpq *%rax
1:  movq %rax, OP_RAX(%r14)
    jmp .Lleave

    /* Copies c bytes from b to a. */
.Lcopy:
    movq OP_A(%r14), %rdi
    movq OP_B(%r14), %rsi
    movq OP_C(%r14), %rcx
    cld
    rep movsb
    jmp .Lleave

    /* Fills the registers with patterns, says so in *a, waits until *b, writes them to c. */
.Lregisters:
    movq OP_A(%r14), %r8
    movq OP_B(%r14), %r9
    movq OP_C(%r14), %r13
    movq $0x0101010101010101, %rax
    movq %rax, %xmm0
    vpbroadcastq %xmm0, %ymm0
    vpaddq %ymm0, %ymm0, %ymm1
    vpaddq %ymm0, %ymm1, %ymm15
    movq $0x3333333333333333, %rdx
    movq $0x4444444444444444, %rbx
    movq $0x5555555555555555, %rbp
    movq $0x6666666666666666, %rsi
    movq $0x7777777777777777, %rdi
    movq $0x1010101010101010, %r10
    movq $0x1212121212121212, %r11
    movq $0x1313131313131313, %r12
    movq $0x2222222222222220, %rsp
    stc
    movq $1, (%r8)
    /* Leaves the carry flag alone. */
2:  movq (%r9), %rcx
    jrcxz 2b
    movq %rax, 0(%r13)
    movq %rdx, 8(%r13)
    movq %rbx, 16(%r13)
    movq %rsp, 24(%r13)
    movq %rbp, 32(%r13)
    movq %rsi, 40(%r13)
    movq %rdi, 48(%r13)
    movq %r10, 56(%r13)
    movq %r11, 64(%r13)
    movq %r12, 72(%r13)
    setc 80(%r13)
    vmovdqu %ymm0, 96(%r13)
    vmovdqu %ymm1, 128(%r13)
    vmovdqu %ymm15, 160(%r13)
    vzeroall
    jmp .Lleave

    /* UD2; whoever resumes after it finds the segment bases as they are then. */
.Lundefined:
    ud2
    movq $1, OP_RAX(%r14)
    jmp .Lbases

.Lbreakpoint:
    int3
    movq $1, OP_RAX(%r14)
    jmp .Lleave

.Ldivide:
    xorl %edx, %edx
    movl $1, %eax
    xorl %ecx, %ecx
    divl %ecx
    movq $1, OP_RAX(%r14)
    jmp .Lleave

    /* FS and GS bases, and what RCX was at the entry. */
.Lbases:
    rdfsbase %rax
    movq %rax, OP_REGISTERS(%r14)
    rdgsbase %rax
    movq %rax, OP_REGISTERS + 8(%r14)
    movq SAVE_RETURN(%r15), %rax
    movq %rax, OP_REGISTERS + 16(%r14)
    jmp .Lleave

    /* Adds 1 to *a, b times. */
.Lcount:
    movq OP_A(%r14), %rcx
    movq OP_B(%r14), %rdx
    testq %rdx, %rdx
    jz .Lleave
5:  lock incq (%rcx)
    decq %rdx
    jnz 5b
    jmp .Lleave

.Lhalt:
    hlt
    movq $1, OP_RAX(%r14)
    jmp .Lleave

    /* The same ENCLU d times on pages c, c + 4096, … with RDX = registers[0]: RAX is the last result. Stops at an error. */
.Lenclu_loop:
    movq OP_B(%r14), %rbx
    movq OP_C(%r14), %rcx
    movq OP_D(%r14), %r12
    movq OP_REGISTERS(%r14), %rdx
6:  movq OP_A(%r14), %rax
    ENCLU
    testq %rax, %rax
    jnz 7f
    addq $4096, %rcx
    decq %r12
    jnz 6b
7:  movq %rax, OP_RAX(%r14)
    movq %r12, OP_FLAGS(%r14)
    jmp .Lleave

    /* ENCLU with RAX = a, RBX = b, RCX = c and patterns in all other registers, written to d
     * afterwards. */
.Lenclu_registers:
    movq OP_D(%r14), %r13
    movq $0x0101010101010101, %rax
    movq %rax, %xmm0
    vpbroadcastq %xmm0, %ymm0
    vpaddq %ymm0, %ymm0, %ymm1
    vpaddq %ymm0, %ymm1, %ymm15
    movq $0x3333333333333333, %rdx
    movq OP_B(%r14), %rbx
    movq OP_C(%r14), %rcx
    movq $0x5555555555555555, %rbp
    movq $0x6666666666666666, %rsi
    movq $0x7777777777777777, %rdi
    movq $0x1010101010101010, %r10
    movq $0x1212121212121212, %r11
    movq $0x1313131313131313, %r12
    movq $0x2222222222222220, %rsp
    movq OP_A(%r14), %rax
    stc
    ENCLU
    setc 80(%r13)
    movq %rax, 0(%r13)
    movq %rdx, 8(%r13)
    movq %rbx, 16(%r13)
    movq %rsp, 24(%r13)
    movq %rbp, 32(%r13)
    movq %rsi, 40(%r13)
    movq %rdi, 48(%r13)
    movq %r10, 56(%r13)
    movq %r11, 64(%r13)
    movq %r12, 72(%r13)
    movq %rcx, 88(%r13)
    vmovdqu %ymm0, 96(%r13)
    vmovdqu %ymm1, 128(%r13)
    vmovdqu %ymm15, 160(%r13)
    vzeroall
    jmp .Lleave

.Lleave:
    movq $1, OP_DONE(%r14)
    /* Where a test sends an operation that faulted. */
enclave_code_give_up:
    movq SAVE_RETURN(%r15), %rbx
    movq SAVE_GPRSGX(%r15), %r14
    movq GPRSGX_URSP(%r14), %rsp
    movq GPRSGX_URBP(%r14), %rbp
    movl $4, %eax
    ENCLU
    ud2
enclave_code_end:

    .section .note.GNU-stack, "", @progbits
