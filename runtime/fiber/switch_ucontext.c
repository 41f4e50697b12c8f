/*
 * switch_ucontext.c - the context switch by ucontext, for CPUs without one of their own.
 *
 * Owns:       nothing; a suspended context is a ucontext_t on the suspended stack.
 * Threads:    any.
 * Invariant:  as in switch_x86_64.S. Besides the registers it carries the signal mask, which is
 *             the same on all workers.
 * Not chosen: as the default: glibc makes a system call at each switch (docs/decisions/002).
 */
#include "fiber/fiber.h"

#include "base/assert.h"
#include "fiber/main.h"

#include <ucontext.h>

/* makecontext passes ints only: the pointer comes in two halves. */
static void start(unsigned high, unsigned low)
{
    const uintptr_t address = ((uintptr_t)high << 32) | (uintptr_t)low;
    whorl__fiber_main((struct whorl__fiber *)address);
}

void whorl__switch(struct whorl__fiber *from, struct whorl__fiber *to)
{
    ucontext_t here;
    const ucontext_t *there = to->sp;
    whorl__store_relaxed_ptr(&from->sp, &here); /* relaxed: for dumps */
    WHORL_CHECK(swapcontext(&here, there) == 0, "the kernel refused a signal mask");
}

void *whorl__switch_prepare(void *stack_top, struct whorl__fiber *fiber)
{
    const uintptr_t place = ((uintptr_t)stack_top - sizeof(ucontext_t)) & ~(uintptr_t)15;
    const uintptr_t address = (uintptr_t)fiber;
    ucontext_t *context = (ucontext_t *)place;
    WHORL_ASSERT(place > (uintptr_t)fiber->stack_low);
    WHORL_CHECK(getcontext(context) == 0, "the kernel refused a signal mask");
    context->uc_link = NULL;
    context->uc_stack.ss_sp = fiber->stack_low;
    context->uc_stack.ss_size = (size_t)(place - (uintptr_t)fiber->stack_low);
    makecontext(context, (void (*)(void))start, 2, (unsigned)(address >> 32), (unsigned)address);
    return context;
}
