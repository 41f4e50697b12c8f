/*
 * fiber.c - the life of a fiber around the switch, and a loop's cache of fibers.
 *
 * Owns:       the lists in struct whorl__fibers.
 * Threads:    a cache is touched by its loop's thread only; what it shares goes through stack.c.
 * Invariant:  kept is the number of fibers on warm and cool, and never above kept_max; every fiber
 *             of cool was put before every fiber of warm.
 * Not chosen: one list cut at its end: the coldest fibers should leave first, and finding them in
 *             one singly linked list costs a walk each time. Here a walk happens once for every
 *             kept_max / 2 fibers that leave.
 */
#include "fiber/fiber.h"

#include "base/assert.h"
#include "fiber/main.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TAKE_MAX       16U               /* from the store at once ... */
#define TAKE_BYTES_MAX ((size_t)1 << 20) /* ... unless they are large */
#define LEAVE_MAX      64U               /* to the store at once */

/* Stack tops are shifted by whole cache lines within a page, or the busiest lines of all fibers
 * would compete for the same few sets of the caches. */
#define COLOUR_COUNT   16U
#define COLOUR_BYTES   64U

WHORL_STATIC(offsetof(struct whorl__fiber, sp) == 0, "the switch finds sp at offset 0");

_Noreturn void whorl__fiber_main(struct whorl__fiber *self)
{
    whorl__instrument_arrive(&self->instrument);
    self->entry(self);
    whorl__check_failed("entry never returns", __FILE__, __LINE__, "a fiber's entry returned");
}

void whorl__fiber_init_host(struct whorl__fiber *host)
{
    memset(host, 0, sizeof(*host));
    whorl__instrument_host(&host->instrument);
}

void whorl__fiber_fini_host(struct whorl__fiber *host)
{
    WHORL_ASSERT(host->slab == NULL);
    host->sp = NULL;
}

/* The lowest page of the stack that is there marks the depth: it is touched from the top down. */
size_t whorl__fiber_stack_used(const struct whorl__fiber *fiber)
{
    unsigned char resident[64];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t chunk = sizeof(resident) * page;
    for (size_t offset = 0; offset < fiber->stack_bytes; offset += chunk) {
        const size_t left = fiber->stack_bytes - offset;
        const size_t length = left < chunk ? left : chunk;
        if (mincore(fiber->stack_low + offset, length, resident) != 0) {
            return 0;
        }
        for (size_t i = 0; i < length / page; i++) {
            if ((resident[i] & 1) != 0) {
                return fiber->stack_bytes - offset - i * page;
            }
        }
    }
    return 0;
}

void whorl__fibers_init(struct whorl__fibers *fibers, struct whorl__stacks *stacks,
                        void (*entry)(struct whorl__fiber *self))
{
    WHORL_ASSERT(stacks != NULL);
    WHORL_ASSERT(entry != NULL);
    memset(fibers, 0, sizeof(*fibers));
    fibers->stacks = stacks;
    fibers->entry = entry;
    for (unsigned i = 0; i < WHORL_STACK_CLASS_COUNT; i++) {
        fibers->pools[i].kept_max = whorl__stack_class_warm(i);
    }
}

static void give_back(struct whorl__fibers *fibers, struct whorl__fiber **list)
{
    if (*list != NULL) {
        whorl__stacks_give(fibers->stacks, *list);
        *list = NULL;
    }
}

void whorl__fibers_trim(struct whorl__fibers *fibers)
{
    for (unsigned i = 0; i < WHORL_STACK_CLASS_COUNT; i++) {
        struct whorl__fiber_pool *pool = &fibers->pools[i];
        give_back(fibers, &pool->warm);
        give_back(fibers, &pool->cool);
        give_back(fibers, &pool->spare);
        pool->kept = 0;
    }
}

void whorl__fibers_fini(struct whorl__fibers *fibers)
{
    whorl__fibers_trim(fibers);
    fibers->stacks = NULL;
}

/* The older half of warm becomes cool. */
static void cool_down(struct whorl__fiber_pool *pool)
{
    WHORL_ASSERT(pool->cool == NULL);
    WHORL_ASSERT(pool->kept >= 2);
    struct whorl__fiber *last_warm = pool->warm;
    for (unsigned i = 1; i < pool->kept / 2; i++) {
        last_warm = last_warm->next;
    }
    pool->cool = last_warm->next;
    last_warm->next = NULL;
}

/* Too many are kept: a batch of the coldest leaves. */
static WHORL_COLD void put_slow(struct whorl__fibers *fibers, struct whorl__fiber_pool *pool)
{
    struct whorl__fiber *leaving = NULL;
    if (pool->cool == NULL) {
        cool_down(pool);
    }
    for (unsigned i = 0; i < LEAVE_MAX && pool->cool != NULL; i++) {
        whorl__fiber_push(&leaving, whorl__fiber_pop(&pool->cool));
        pool->kept--;
    }
    whorl__stacks_give(fibers->stacks, leaving);
}

void whorl__fibers_put(struct whorl__fibers *fibers, struct whorl__fiber *fiber)
{
    struct whorl__fiber_pool *pool = &fibers->pools[fiber->size_class];
    WHORL_ASSERT(fiber->slab != NULL);
    WHORL_ASSERT(fiber->entry == fibers->entry);
    whorl__fiber_push(&pool->warm, fiber);
    if (WHORL_UNLIKELY(++pool->kept > pool->kept_max)) {
        put_slow(fibers, pool);
    }
}

/* Gives a fiber from the store what it lacks. */
static struct whorl__fiber *enliven(struct whorl__fibers *fibers, struct whorl__fiber *fiber)
{
    if (fiber->sp == NULL) {
        const uintptr_t colour = (uintptr_t)fiber / sizeof(*fiber) % COLOUR_COUNT;
        char *top = fiber->stack_low + fiber->stack_bytes - colour * COLOUR_BYTES;
        fiber->entry = fibers->entry;
        /* relaxed: for dumps */
        whorl__store_relaxed_ptr(&fiber->sp, whorl__switch_prepare(top, fiber));
    }
    WHORL_ASSERT(fiber->entry == fibers->entry);
    return fiber;
}

static WHORL_COLD int get_slow(struct whorl__fibers *fibers, unsigned size_class,
                               struct whorl__fiber **ret_fiber)
{
    struct whorl__fiber_pool *pool = &fibers->pools[size_class];
    if (pool->cool != NULL) {
        *ret_fiber = whorl__fiber_pop(&pool->cool);
        pool->kept--;
        pool->warm = pool->cool;
        pool->cool = NULL;
        return 0;
    }
    if (pool->spare == NULL) {
        const size_t fitting = TAKE_BYTES_MAX / whorl__stack_class_bytes(size_class);
        const unsigned count = fitting < 1 ? 1 : fitting < TAKE_MAX ? (unsigned)fitting : TAKE_MAX;
        const int status = whorl__stacks_take(fibers->stacks, size_class, count, &pool->spare);
        if (status != 0) {
            return status;
        }
    }
    *ret_fiber = enliven(fibers, whorl__fiber_pop(&pool->spare));
    return 0;
}

int whorl__fibers_get(struct whorl__fibers *fibers, size_t stack_bytes,
                      struct whorl__fiber **ret_fiber)
{
    if (WHORL_UNLIKELY(stack_bytes > WHORL_STACK_MAX)) {
        return -EINVAL;
    }
    const unsigned size_class = whorl__stack_class(stack_bytes);
    struct whorl__fiber_pool *pool = &fibers->pools[size_class];
    if (WHORL_UNLIKELY(pool->warm == NULL)) {
        return get_slow(fibers, size_class, ret_fiber);
    }
    *ret_fiber = whorl__fiber_pop(&pool->warm);
    pool->kept--;
    WHORL_ASSERT((*ret_fiber)->sp != NULL);
    return 0;
}
