/*
 * fiber.h - fibers: a stack, the registers saved on it, and the switch from one to another.
 *
 * Owns:       struct whorl__fiber; struct whorl__fibers, a loop's cache of warm ones.
 * Threads:    a fiber belongs to who runs it, or to who holds it suspended, and may be resumed on
 *             another thread than the one it left. A cache belongs to its loop's thread.
 * Invariant:  a suspended fiber is published to others only after the switch away from it: until
 *             then its stack is in use.
 *
 *   FRESH --first switch--> RUNNING --switch away--> SUSPENDED --switch to--> RUNNING ...
 *     ^                                                  |
 *     +---------- given back and not kept warm ----------+
 *
 * FRESH has a stack and no context (sp == NULL in the store, a frame for the entry once got).
 * RUNNING has its context in the CPU; sp is stale. SUSPENDED has it on its stack; sp points there.
 *
 * A fiber is made once and serves many tasks: its entry never returns, it runs what `user` names
 * and switches back to the host, again and again. So a fiber from the cache is warm: its stack is
 * in the caches, and its sanitizer state is in place.
 */
#ifndef WHORL_FIBER_FIBER_H
#define WHORL_FIBER_FIBER_H

#include "atomic/atomic.h"
#include "base/compiler.h"
#include "fiber/instrument.h"
#include "fiber/stack.h"

struct whorl__slab;

/* Without a sanitizer this is one cache line, and it lies apart from the stack it describes. */
struct WHORL_ALIGNED(WHORL_CACHE_LINE) whorl__fiber {
    void *sp;                  /* A: R writes: the saved context; the switch knows it is first */
    void *user;                /* R: the upper layers' word */
    struct whorl__fiber *next; /* of the list it is on, by that list's rule */
    void (*entry)(struct whorl__fiber *self); /* R: set with the context */
    char *stack_low;                          /* C: lowest usable byte; NULL for a host */
    size_t stack_bytes;                       /* C */
    struct whorl__slab *slab;                 /* C: NULL for a host */
    unsigned size_class;                      /* C */
    struct whorl__instrument instrument;
};

/* The calling thread's own context, so that fibers can be switched to from it. */
void whorl__fiber_init_host(struct whorl__fiber *host);
void whorl__fiber_fini_host(struct whorl__fiber *host);

/* The machine's part: switch_x86_64.S or switch_ucontext.c. */
void whorl__switch(struct whorl__fiber *from, struct whorl__fiber *to);
void *whorl__switch_prepare(void *stack_top, struct whorl__fiber *fiber);

/*
 * Suspends `from`, which must be the running context, and resumes `to`. Returns when somebody
 * switches to `from` again, possibly on another thread.
 */
WHORL_ALWAYS_INLINE void whorl__fiber_switch(struct whorl__fiber *from, struct whorl__fiber *to)
{
    whorl__instrument_leave(&from->instrument, &to->instrument);
    whorl__switch(from, to);
    whorl__instrument_arrive(&from->instrument);
}

/*
 * The most stack the fiber has used since its memory was last given back, in whole pages. Asks the
 * kernel which pages are there: cold.
 */
size_t whorl__fiber_stack_used(const struct whorl__fiber *fiber);

static inline void whorl__fiber_push(struct whorl__fiber **list, struct whorl__fiber *fiber)
{
    fiber->next = *list;
    *list = fiber;
}

/* The list is not empty. */
static inline struct whorl__fiber *whorl__fiber_pop(struct whorl__fiber **list)
{
    struct whorl__fiber *fiber = *list;
    *list = fiber->next;
    return fiber;
}

/* One size's part of a cache. */
struct whorl__fiber_pool {
    struct whorl__fiber *warm;  /* L: used last, first out */
    struct whorl__fiber *cool;  /* L: older than all of warm; leaves first */
    struct whorl__fiber *spare; /* L: from the store, not used here yet */
    unsigned kept;              /* L: in warm and cool */
    unsigned kept_max;          /* C */
};

struct whorl__fibers {
    struct whorl__stacks *stacks;             /* C */
    void (*entry)(struct whorl__fiber *self); /* C */
    struct whorl__fiber_pool pools[WHORL_STACK_CLASS_COUNT];
};

/*
 * A cache over `stacks`. All caches over one store use the same `entry`, for a fiber suspended in
 * it may be put into another cache than it came from.
 */
void whorl__fibers_init(struct whorl__fibers *fibers, struct whorl__stacks *stacks,
                        void (*entry)(struct whorl__fiber *self));
void whorl__fibers_fini(struct whorl__fibers *fibers);

/* A fiber ready to be switched to. stack_bytes 0 is the default. -ENOMEM; -EINVAL beyond the
 * largest size. */
WHORL_MUST_USE int whorl__fibers_get(struct whorl__fibers *fibers, size_t stack_bytes,
                                     struct whorl__fiber **ret_fiber);

/* Takes back a fiber that is suspended in its entry between two tasks, or was never run. */
void whorl__fibers_put(struct whorl__fibers *fibers, struct whorl__fiber *fiber);

/* Gives all that is kept back to the store; for a loop about to sleep long. */
void whorl__fibers_trim(struct whorl__fibers *fibers);

#endif
