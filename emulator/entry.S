/* Where the emulator needs more control than C++ gives: the entry function that stands for
 * __vdso_sgx_enter_enclave, and the first and last instructions of its signal handlers.
 *
 * Reference for the former: arch/x86/include/uapi/asm/sgx.h (contract), arch/x86/entry/vdso/vsgx.S. */

#define RUN_TCS 0
#define RUN_FUNCTION 8
#define RUN_EXCEPTION_VECTOR 12
#define RUN_EXCEPTION_ERROR_CODE 14
#define RUN_EXCEPTION_ADDR 16
#define RUN_USER_HANDLER 24
#define RUN_RESERVED 40
#define RUN_END 256

#define EENTER 2
#define ERESUME 3
#define EEXIT 4
#define EINVAL 22

/* struct EntryOrder (entry.hpp) */
#define ORDER_WHAT 0
#define ORDER_RIP 8
#define ORDER_FS 16
#define ORDER_GS 24
#define ORDER_CSSA 32
#define ORDER_VECTOR 40
#define ORDER_ERROR_CODE 48
#define ORDER_ADDRESS 56
#define ORDER_SYSCALLS 64
#define ORDER_SIZE 80

/* struct SavedRegisters (entry.hpp) */
#define SAVED_SIZE 96

/* struct Thread (thread.hpp) */
#define THREAD_INSIDE 0
#define THREAD_HOST_FS 8
#define THREAD_HOST_GS 16
#define THREAD_SYSCALLS 24
#define ALLOW 0
#define BLOCK 1

    .text

/* int sgxemu_enter_enclave(rdi, rsi, rdx, function = ecx, r8, r9, run = 16(%rbp)) */
    .globl sgxemu_enter_enclave
    .type sgxemu_enter_enclave, @function
    .balign 16
sgxemu_enter_enclave:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    pushq %rbx
    .cfi_rel_offset %rbx, -8
    movl %ecx, %eax

.Lenter:
    cmpl $EENTER, %eax
    jb .Linvalid
    cmpl $ERESUME, %eax
    ja .Linvalid
    movq 16(%rbp), %rcx
    movl $RUN_RESERVED, %ebx
1:  cmpq $0, (%rcx, %rbx)
    jne .Linvalid
    addl $8, %ebx
    cmpl $RUN_END, %ebx
    jne 1b

    /* C++ may use every caller-saved register, but the enclave gets them as they are. */
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    /* These C++ keeps, but an interrupt before the jump needs to know where. */
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rax
    movq %rsp, %rbx
    subq $ORDER_SIZE, %rsp
    andq $-16, %rsp
    movq %rsp, %rdi
    movl %eax, %esi
    movq RUN_TCS(%rcx), %rdx
    movq %rdx, %r10
    leaq SAVED_SIZE(%rbx), %rcx
    movq %rbp, %r8
    pushq %r10
    pushq %r10
    call sgxemu_prepare_entry
    popq %r10
    popq %r10
    /* %rsp: the order, %rbx: the saved registers, %r10: the TCS. */
    movq %rsp, %r11
    cmpq $1, ORDER_WHAT(%r11)
    je .Lfault_at_enclu
    ja .Lresume

    movq ORDER_RIP(%r11), %rax
    movq %rax, (%rbx)
    movq ORDER_FS(%r11), %rax
    movq ORDER_GS(%r11), %rcx
    movq ORDER_SYSCALLS(%r11), %rdx
    movb $BLOCK, (%rdx)
    movq ORDER_CSSA(%r11), %rdx
    movq %rbx, %rsp
    movq %r10, %rbx
    wrfsbase %rax
    wrgsbase %rcx
    movq %rdx, %rax
    leaq sgxemu_after_enclu(%rip), %rcx
    addq $40, %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdx
    popq %rsi
    popq %rdi
    /* The target is in the slot of the saved leaf. Signals do not touch what is below %rsp: they
     * run on their own stack. */
    jmpq *-SAVED_SIZE(%rsp)

.Lresume:
    movq %rbx, %rsp
    movq %r10, %rbx
    popq %rax
    addq $32, %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdx
    popq %rsi
    popq %rdi
    leaq sgxemu_aep(%rip), %rcx

    /* The AEP. HLT is #GP in user mode: the handler knows this address and executes ENCLU with the
     * leaf in %eax, which after an AEX is ERESUME. */
    .globl sgxemu_aep
    .hidden sgxemu_aep
    .type sgxemu_aep, @function
sgxemu_aep:
    hlt
    ud2

    .globl sgxemu_after_enclu
    .hidden sgxemu_after_enclu
sgxemu_after_enclu:
    endbr64
    /* What a handler of the program's gets from the enclave is kept; then an EEXIT that did not trap
     * is completed. */
    movq %rsp, %rbx
    andq $-16, %rsp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %r8
    pushq %r9
    pushq %rbx
    cld
    call sgxemu_finish_exit
    popq %rbx
    popq %r9
    popq %r8
    popq %rdx
    popq %rsi
    popq %rdi
    movq %rbx, %rsp
    movq 16(%rbp), %rbx
    movl $EEXIT, RUN_FUNCTION(%rbx)

.Lexit:
    cmpq $0, RUN_USER_HANDLER(%rbx)
    jne .Lcall_user_handler
    xorl %eax, %eax
.Lout:
    movq -8(%rbp), %rbx
    leave
    .cfi_def_cfa %rsp, 8
    ret

    .cfi_def_cfa %rbp, 16
.Linvalid:
    movl $-EINVAL, %eax
    jmp .Lout

    /* The ENCLU itself faulted, before anything of the enclave ran. */
.Lfault_at_enclu:
    movq ORDER_VECTOR(%r11), %rdi
    movq ORDER_ERROR_CODE(%r11), %rsi
    movq ORDER_ADDRESS(%r11), %rdx
    leaq SAVED_SIZE(%rbx), %rsp
    movl $EENTER, %eax

    /* What the kernel's exception fix-up jumps to: leaf, vector, error code, address. */
    .globl sgxemu_handle_exception
    .hidden sgxemu_handle_exception
    .type sgxemu_handle_exception, @function
sgxemu_handle_exception:
    movq 16(%rbp), %rbx
    movl %eax, RUN_FUNCTION(%rbx)
    movw %di, RUN_EXCEPTION_VECTOR(%rbx)
    movw %si, RUN_EXCEPTION_ERROR_CODE(%rbx)
    movq %rdx, RUN_EXCEPTION_ADDR(%rbx)
    jmp .Lexit

    /* handler(rdi, rsi, rdx, rsp at exit, r8, r9, run) */
.Lcall_user_handler:
    movq %rsp, %rcx
    movq %rbx, %rax
    movq %rsp, %rbx
    andl $15, %ebx
    andq $-16, %rsp
    pushq %rax
    pushq %rax
    cld
    movq RUN_USER_HANDLER(%rax), %rax
    call *%rax
    leaq 16(%rsp, %rbx), %rsp
    testl %eax, %eax
    jle .Lout
    jmp .Lenter
    .cfi_endproc
    .size sgxemu_enter_enclave, . - sgxemu_enter_enclave

/* void handler(int signal, siginfo_t*, ucontext_t*), with FS and GS of whatever was interrupted. */
    .globl sgxemu_signal_entry
    .hidden sgxemu_signal_entry
    .type sgxemu_signal_entry, @function
    .balign 16
sgxemu_signal_entry:
    .cfi_startproc
    .cfi_signal_frame
    endbr64
    /* C++ wants DF clear, and AC, which the kernel leaves as it was. */
    pushq $2
    popfq
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    subq $24, %rsp
    movl %edi, %ebx
    movq %rsi, %r12
    movq %rdx, %r13
    rdfsbase %rax
    rdgsbase %rcx
    movq %rax, (%rsp)
    movq %rcx, 8(%rsp)
    movq %rdx, %rdi
    call sgxemu_find_thread
    movq %rax, %r14
    testq %rax, %rax
    jz 1f
    cmpq $0, THREAD_INSIDE(%rax)
    je 1f
    movb $ALLOW, THREAD_SYSCALLS(%rax)
    movq THREAD_HOST_FS(%rax), %rcx
    wrfsbase %rcx
    movq THREAD_HOST_GS(%rax), %rcx
    wrgsbase %rcx
1:  movl %ebx, %edi
    movq %r12, %rsi
    movq %r13, %rdx
    movq %r14, %rcx
    movq %rsp, %r8
    call sgxemu_on_signal
    /* Every signal is blocked until sigreturn, so nothing runs on these bases by mistake. */
    movq (%rsp), %rax
    movq 8(%rsp), %rcx
    wrfsbase %rax
    wrgsbase %rcx
    addq $24, %rsp
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    ret
    .cfi_endproc
    .size sgxemu_signal_entry, . - sgxemu_signal_entry

    .globl sgxemu_signal_return
    .hidden sgxemu_signal_return
    .type sgxemu_signal_return, @function
    .balign 16
    nop
sgxemu_signal_return:
    movq $15, %rax /* rt_sigreturn */
    syscall
    ud2
    .size sgxemu_signal_return, . - sgxemu_signal_return
    .globl sgxemu_signal_return_end
    .hidden sgxemu_signal_return_end
sgxemu_signal_return_end:

    .section .note.GNU-stack, "", @progbits
