/*
 * stack.h - where fibers get their stacks from: slabs of equal stacks, shared by all loops.
 *
 * Owns:       struct whorl__stacks, one a runtime.
 * Threads:    any; every function takes the one mutex, none waits for anything else under it.
 * Invariant:  a fiber is out (taken, not given back), or on exactly one shelf. Below each stack, or
 *             at least below the lowest of its slab, lies a guard that no access survives.
 * Not chosen: one mapping a stack: two map entries each, and the kernel's limit of 65530 is met at
 *             32753 fibers. See docs/decisions/002-fiber-switch.md.
 */
#ifndef WHORL_FIBER_STACK_H
#define WHORL_FIBER_STACK_H

#include "base/assert.h"
#include "base/compiler.h"

struct whorl__fiber;
struct whorl__stacks;

/* The largest pages a kernel may use here: stacks and guards are whole numbers of them. */
#if defined(__aarch64__)
#    define WHORL_STACK_PAGE_MAX ((size_t)64 << 10)
#else
#    define WHORL_STACK_PAGE_MAX ((size_t)4 << 10)
#endif

/* Sanitized code has two to three times larger frames. */
#if defined(WHORL_ASAN) || defined(WHORL_TSAN)
#    define WHORL_STACK_MIN_LOG2 17
#elif defined(__aarch64__)
#    define WHORL_STACK_MIN_LOG2 16 /* a page may be as large; unused ones are not there */
#else
#    define WHORL_STACK_MIN_LOG2 14
#endif

#define WHORL_STACK_MIN      ((size_t)1 << WHORL_STACK_MIN_LOG2)
/* What the public interface promises to accept; smaller classes do not exist. */
#define WHORL_STACK_LEAST    ((size_t)16 << 10)
#define WHORL_STACK_DEFAULT  ((size_t)64 << 10)
#define WHORL_STACK_MAX_LOG2 26
#define WHORL_STACK_MAX      ((size_t)1 << WHORL_STACK_MAX_LOG2)
/* No smaller than the steps that compilers take with -fstack-clash-protection: 4 KiB, and 64 KiB on
 * AArch64. */
#if defined(__aarch64__)
#    define WHORL_STACK_GUARD ((size_t)64 << 10)
#else
#    define WHORL_STACK_GUARD ((size_t)16 << 10)
#endif
/* At most so many are kept warm in one place (a loop's cache, the store), of at most so many bytes.
 * Under TSan a warm fiber holds a TSan fiber, and gcc's TSan dies above 8128. */
#if defined(WHORL_TSAN)
#    define WHORL_STACK_WARM_MAX 64U
#else
#    define WHORL_STACK_WARM_MAX 1024U
#endif
#define WHORL_STACK_WARM_BYTES  ((size_t)64 << 20)
#define WHORL_STACK_WARM_MIN    4U

#define WHORL_STACK_CLASS_COUNT (WHORL_STACK_MAX_LOG2 - WHORL_STACK_MIN_LOG2 + 1)

WHORL_STATIC(WHORL_STACK_MIN % WHORL_STACK_PAGE_MAX == 0, "a stack ends where a page does");
WHORL_STATIC(WHORL_STACK_GUARD % WHORL_STACK_PAGE_MAX == 0, "so does a guard");

/* How the guards of a whorl__stacks are made; it only ever moves down this list. */
enum whorl__guard {
    WHORL__GUARD_MARKER,  /* MADV_GUARD_INSTALL: a mark in the page table, costs no map entry */
    WHORL__GUARD_PROTECT, /* mprotect: two map entries a stack */
    WHORL__GUARD_SLAB,    /* map entries ran short: new slabs are guarded once, at the bottom */
};

struct whorl__stacks_info {
    size_t out;       /* with caches and tasks */
    size_t shelved;   /* given back, waiting to be taken again */
    size_t used;      /* of these, the ones whose memory is to be given back */
    size_t unguarded; /* ever made without a guard of their own */
    size_t slabs;
    enum whorl__guard guard;
};

int whorl__stacks_create(struct whorl__stacks **ret_stacks);
void whorl__stacks_destroy(struct whorl__stacks *stacks); /* all stacks must be back */

/* The smallest class that holds `bytes`, at most WHORL_STACK_MAX; 0 asks for the default. */
static inline unsigned whorl__stack_class(size_t bytes)
{
    const size_t wanted = bytes == 0 ? WHORL_STACK_DEFAULT : bytes;
    return wanted <= WHORL_STACK_MIN
               ? 0
               : (unsigned)(64 - __builtin_clzl(wanted - 1)) - WHORL_STACK_MIN_LOG2;
}

static inline size_t whorl__stack_class_bytes(unsigned size_class)
{
    return WHORL_STACK_MIN << size_class;
}

static inline unsigned whorl__stack_class_warm(unsigned size_class)
{
    const size_t fitting = WHORL_STACK_WARM_BYTES / whorl__stack_class_bytes(size_class);
    if (fitting > WHORL_STACK_WARM_MAX) {
        return WHORL_STACK_WARM_MAX;
    }
    return fitting < WHORL_STACK_WARM_MIN ? WHORL_STACK_WARM_MIN : (unsigned)fitting;
}

/*
 * Takes 1 to `count_max` fibers of one size, linked by `next`. A fiber with sp == NULL is fresh: it
 * needs a context; one with sp set is suspended in its entry, as it was given. -ENOMEM when not
 * even one can be had.
 */
WHORL_MUST_USE int whorl__stacks_take(struct whorl__stacks *stacks, unsigned size_class,
                                      unsigned count_max, struct whorl__fiber **ret_chain);

/* Gives back a chain, all of one size. What the warm shelf has no room for loses its context; its
 * memory is taken by whorl__stacks_release, unless somebody wants the stack before. */
void whorl__stacks_give(struct whorl__stacks *stacks, struct whorl__fiber *chain);

/* Gives back one that is suspended wherever it may be, and never to be resumed. */
void whorl__stacks_drop(struct whorl__stacks *stacks, struct whorl__fiber *fiber);

/* Gives the memory of some stacks that nobody uses back to the kernel, of at most `count_max`, and
 * 64: microseconds. Returns of how many; 0: there are none, which costs next to nothing. */
unsigned whorl__stacks_release(struct whorl__stacks *stacks, unsigned count_max);

/* Takes context and memory from all that is shelved; for a runtime that has gone idle. */
void whorl__stacks_trim(struct whorl__stacks *stacks);

void whorl__stacks_info(struct whorl__stacks *stacks, struct whorl__stacks_info *ret_info);

#endif
