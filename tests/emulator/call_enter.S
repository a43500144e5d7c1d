/* int call_enter_enclave(run, op, function): saves what the ABI says is the callee's, which neither
 * the vDSO nor an asynchronous exit does. */
    .text
    .globl call_enter_enclave
    .type call_enter_enclave, @function
call_enter_enclave:
    .cfi_startproc
    pushq %r12
    .cfi_adjust_cfa_offset 8
    pushq %r13
    .cfi_adjust_cfa_offset 8
    pushq %r14
    .cfi_adjust_cfa_offset 8
    pushq %r15
    .cfi_adjust_cfa_offset 8
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    movl %edx, %ecx
    movq %rsi, %rdi
    xorl %esi, %esi
    xorl %edx, %edx
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    call sgxemu_enter_enclave
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    popq %r14
    .cfi_adjust_cfa_offset -8
    popq %r13
    .cfi_adjust_cfa_offset -8
    popq %r12
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size call_enter_enclave, . - call_enter_enclave
    .section .note.GNU-stack, "", @progbits
