/*
 * switch_x86_64.S - the context switch for x86-64, System V.
 *
 * Owns:       the layout of a suspended context. From the saved stack pointer upwards:
 *
 *                  0  mxcsr (4 bytes), x87 control word (2 bytes), 2 unused
 *                  8  r15  r14  r13  r12  rbx  rbp
 *                 56  the address to go on at
 *
 *             All other registers are the caller's to save, the vector registers among them.
 * Threads:    any; nothing here depends on the thread.
 * Invariant:  the call frame information is right at every instruction, so a debugger unwinds
 *             through the switch, and stops at whorl__fiber_start, where no return address exists.
 *             The stack is 16-byte aligned at each call.
 *
 * Two choices, measured in docs/decisions/002-fiber-switch.md. The way back is a jump and not a
 * `ret`, which the CPU's return predictor would send to the wrong fiber every time. The x87 control
 * word is compared and reloaded only when it differs; for mxcsr the comparison costs more than the
 * reload it would save.
 * Indirect branch tracking: the jump carries `notrack`, since its target is the middle of a
 * function. Shadow stacks are not supported, and not claimed in the note at the end: the linker
 * then turns them off for the program.
 */
.macro save register
    pushq   \register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \register, 0
.endm

.macro restore register
    popq    \register
    .cfi_adjust_cfa_offset -8
    .cfi_restore \register
.endm

    .text

/* void whorl__switch(struct whorl__fiber *from, struct whorl__fiber *to): sp is the first field */
    .globl  whorl__switch
    .hidden whorl__switch
    .type   whorl__switch, @function
    .p2align 4
whorl__switch:
    .cfi_startproc
    endbr64
    save    %rbp
    save    %rbx
    save    %r12
    save    %r13
    save    %r14
    save    %r15
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw  4(%rsp)
    movzwl  4(%rsp), %ecx

    movq    %rsp, (%rdi)
    movq    (%rsi), %rsp                /* from here on we are `to`; its frame has the same shape */

    ldmxcsr (%rsp)
    cmpw    4(%rsp), %cx
    jne     .Lreload_x87
    .cfi_remember_state
.Lregisters:
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    restore %r15
    restore %r14
    restore %r13
    restore %r12
    restore %rbx
    restore %rbp
    popq    %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    notrack jmp *%rcx

    .cfi_restore_state
.Lreload_x87:
    fldcw   4(%rsp)
    jmp     .Lregisters
    .cfi_endproc
    .size   whorl__switch, . - whorl__switch

/*
 * The first code on a new stack: calls whorl__fiber_main(fiber), which never returns. An unwinder
 * looks up the address before a return address; the nop makes that an address of this function.
 */
    .hidden whorl__fiber_start
    .type   whorl__fiber_start, @function
    .p2align 4
whorl__fiber_start:
    .cfi_startproc
    .cfi_undefined %rip
    nop
.Lfirst:
    endbr64
    movq    %r12, %rdi
    call    whorl__fiber_main
    ud2
    .cfi_endproc
    .size   whorl__fiber_start, . - whorl__fiber_start

/*
 * void *whorl__switch_prepare(void *stack_top, struct whorl__fiber *fiber): lays down the context a
 * first switch resumes, and returns its stack pointer. The control words are the caller's. Above it
 * stay 16 zero bytes, the end of the frame chain for whoever walks it by rbp.
 */
    .globl  whorl__switch_prepare
    .hidden whorl__switch_prepare
    .type   whorl__switch_prepare, @function
    .p2align 4
whorl__switch_prepare:
    .cfi_startproc
    endbr64
    andq    $-16, %rdi
    leaq    -80(%rdi), %rax
    leaq    .Lfirst(%rip), %rdx
    xorl    %ecx, %ecx
    movq    %rcx, (%rax)
    stmxcsr (%rax)
    fnstcw  4(%rax)
    movq    %rcx, 8(%rax)               /* r15 */
    movq    %rcx, 16(%rax)              /* r14 */
    movq    %rcx, 24(%rax)              /* r13 */
    movq    %rsi, 32(%rax)              /* r12: the fiber */
    movq    %rcx, 40(%rax)              /* rbx */
    movq    %rcx, 48(%rax)              /* rbp: no frame above */
    movq    %rdx, 56(%rax)
    movq    %rcx, 64(%rax)
    movq    %rcx, 72(%rax)
    ret
    .cfi_endproc
    .size   whorl__switch_prepare, . - whorl__switch_prepare

/* GNU property: indirect branch tracking yes (bit 0), shadow stack no (bit 1). */
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long   4, 16, 5                    /* name and payload sizes, NT_GNU_PROPERTY_TYPE_0 */
    .asciz  "GNU"
    .long   0xc0000002, 4, 1, 0         /* GNU_PROPERTY_X86_FEATURE_1_AND, size, IBT, padding */

    .section .note.GNU-stack, "", @progbits
