/*
 * switch_aarch64.S - the context switch for AArch64, AAPCS64.
 *
 * Owns:       the layout of a suspended context. From the saved stack pointer upwards:
 *
 *                  0  x19 .. x28
 *                 80  x29, and x30: the address to go on at
 *                 96  d8 .. d15
 *                160  fpcr, 8 unused
 *
 *             All other registers are the caller's to save, the upper halves of the vectors too.
 * Threads:    any; nothing here depends on the thread.
 * Invariant:  as in switch_x86_64.S: call frame information right at every instruction, the stack
 *             16-byte aligned, no return address at whorl__fiber_start.
 *
 * The way back is a `ret`: branch target identification would fault on a jump into the middle of a
 * function, and has no form of it that is let through. fpcr is written only when it differs; its
 * counterpart with the status bits, fpsr, is nobody's to keep across a call.
 */
#define FRAME_BYTES 176

.macro save_pair first, second, offset, first_number
    stp     \first, \second, [sp, \offset]
    .cfi_rel_offset \first_number, \offset
    .cfi_rel_offset \first_number + 1, \offset + 8
.endm

.macro restore_pair first, second, offset, first_number
    ldp     \first, \second, [sp, \offset]
    .cfi_restore \first_number
    .cfi_restore \first_number + 1
.endm

/* The numbers are DWARF's: 64 + n for register dn. */
.macro for_each_pair action
    \action x19, x20, 0, 19
    \action x21, x22, 16, 21
    \action x23, x24, 32, 23
    \action x25, x26, 48, 25
    \action x27, x28, 64, 27
    \action x29, x30, 80, 29
    \action d8, d9, 96, 72
    \action d10, d11, 112, 74
    \action d12, d13, 128, 76
    \action d14, d15, 144, 78
.endm

    .text

/* void whorl__switch(struct whorl__fiber *from, struct whorl__fiber *to): sp is the first field */
    .globl  whorl__switch
    .hidden whorl__switch
    .type   whorl__switch, %function
    .p2align 4
whorl__switch:
    .cfi_startproc
    hint    34                          /* bti c */
    sub     sp, sp, FRAME_BYTES
    .cfi_adjust_cfa_offset FRAME_BYTES
    for_each_pair save_pair
    mrs     x9, fpcr
    str     x9, [sp, 160]

    mov     x10, sp
    str     x10, [x0]
    ldr     x10, [x1]
    mov     sp, x10                     /* from here on we are `to`; its frame has the same shape */

    ldr     x10, [sp, 160]
    cmp     x9, x10
    b.eq    .Lregisters
    msr     fpcr, x10
.Lregisters:
    for_each_pair restore_pair
    add     sp, sp, FRAME_BYTES
    .cfi_adjust_cfa_offset -FRAME_BYTES
    ret
    .cfi_endproc
    .size   whorl__switch, . - whorl__switch

/*
 * The first code on a new stack: calls whorl__fiber_main(fiber), which never returns. An unwinder
 * looks up the address before a return address; the nop makes that an address of this function.
 */
    .hidden whorl__fiber_start
    .type   whorl__fiber_start, %function
    .p2align 4
whorl__fiber_start:
    .cfi_startproc
    .cfi_undefined x30
    nop
.Lfirst:
    mov     x0, x19
    bl      whorl__fiber_main
    brk     0
    .cfi_endproc
    .size   whorl__fiber_start, . - whorl__fiber_start

/*
 * void *whorl__switch_prepare(void *stack_top, struct whorl__fiber *fiber): lays down the context a
 * first switch resumes, and returns its stack pointer. fpcr is the caller's. Above it stay 16 zero
 * bytes, the end of the frame chain for whoever walks it by x29.
 */
    .globl  whorl__switch_prepare
    .hidden whorl__switch_prepare
    .type   whorl__switch_prepare, %function
    .p2align 4
whorl__switch_prepare:
    .cfi_startproc
    hint    34
    and     x9, x0, -16
    sub     x0, x9, FRAME_BYTES + 16
    mov     x10, x0
.Lclear:
    stp     xzr, xzr, [x10], 16
    cmp     x10, x9
    b.ne    .Lclear
    str     x1, [x0]                    /* x19: the fiber */
    adr     x10, .Lfirst
    str     x10, [x0, 88]               /* x30 */
    mrs     x10, fpcr
    str     x10, [x0, 160]
    ret
    .cfi_endproc
    .size   whorl__switch_prepare, . - whorl__switch_prepare

/* GNU property: branch target identification yes (bit 0), pointer authentication no (bit 1). */
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long   4, 16, 5                    /* name and payload sizes, NT_GNU_PROPERTY_TYPE_0 */
    .asciz  "GNU"
    .long   0xc0000000, 4, 1, 0         /* GNU_PROPERTY_AARCH64_FEATURE_1_AND, size, BTI, padding */

    .section .note.GNU-stack, "", %progbits
