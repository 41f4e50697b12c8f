/*
 * stack.c - slabs of stacks, their guards, and the shelves they wait on.
 *
 *   slab   | guard | stack 0 .......... | guard | stack 1 .......... | ... not carved yet ...
 *          ^ base          grows <-- top
 *
 * Owns:       the slabs with the descriptors (struct whorl__fiber) of their stacks, the shelves.
 * Threads:    any, under stacks->lock. Memory is given back to the kernel outside of it.
 * Invariant:  out + shelved = carved, over all slabs. A stack is carved, and its guard made, when
 *             it is first wanted: making a slab costs one map call and touches nothing.
 *             On the warm shelf fibers keep context and memory; on the other two they have
 *             sp == NULL, and no tool holds state for them: used ones have their pages still, of
 *             cold ones these are gone.
 * Why later:  a page that is given back costs a call and, on a machine of several cores, an
 *             interrupt of those that run the process: more than the whole rest of a task's end.
 *             Where very many end at once, it is put off until a loop has nothing else to do, and
 *             neighbours go in one call.
 * Not chosen: free counts per slab, so that empty slabs can be unmapped: address space is all an
 *             idle slab costs. Descriptors on their stacks: they would share a page with
 *             what they must outlive, and all lie at one place of the page.
 */
#include "fiber/stack.h"

#include "base/assert.h"
#include "fiber/fiber.h"
#include "sys/os.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#ifndef WHORL__SLAB_BYTES
#    define WHORL__SLAB_BYTES ((size_t)16 << 20)
#endif

/* Half of what the kernel allows a process by default; the other half is the program's. */
#define PROTECT_MAX 16384U

/* Given back at once by whorl__stacks_release, at most. */
#define BATCH_MAX 64U

/* As many guards are given up for the entries they took, when the kernel has none left. */
#define RELEASE_MAX 64U

struct whorl__slab {
    struct whorl__slab *next; /* M(lock) */
    char *base;               /* C */
    size_t bytes;             /* C */
    unsigned count;           /* C */
    unsigned carved;          /* M(lock): stacks 0 .. carved-1 exist */
    unsigned protect_first;   /* M(lock): guards by protection: from this stack's ... */
    unsigned protect_end;     /* M(lock): ... to the one before this */
    struct whorl__fiber fibers[];
};

struct shelf {
    struct whorl__slab *slabs; /* M(lock): only the first has stacks left to carve */
    struct whorl__fiber *warm; /* M(lock) */
    struct whorl__fiber *used; /* M(lock) */
    struct whorl__fiber *cold; /* M(lock) */
    unsigned warm_count;       /* M(lock) */
    unsigned warm_max;         /* C */
};

struct whorl__stacks {
    pthread_mutex_t lock;
    struct whorl__stacks_info info; /* M(lock) */
    uint32_t used_count;            /* A: M(lock) to write: of all shelves; read as a hint */
    unsigned protect_count;         /* M(lock) */
    bool markers_proven;            /* M(lock): the first guard marker was tried, and holds */
    struct shelf shelves[WHORL_STACK_CLASS_COUNT];
};

int whorl__stacks_create(struct whorl__stacks **ret_stacks)
{
    struct whorl__stacks *stacks = whorl__os->alloc(sizeof(*stacks));
    if (stacks == NULL) {
        return -ENOMEM;
    }
    memset(stacks, 0, sizeof(*stacks));
    pthread_mutex_init(&stacks->lock, NULL);
    for (unsigned i = 0; i < WHORL_STACK_CLASS_COUNT; i++) {
        stacks->shelves[i].warm_max = whorl__stack_class_warm(i);
    }
    *ret_stacks = stacks;
    return 0;
}

static void drop_context(struct whorl__fiber *fiber)
{
    if (fiber->sp != NULL) {
        whorl__instrument_reset(&fiber->instrument);
        whorl__store_relaxed_ptr(&fiber->sp, NULL); /* relaxed: for dumps */
    }
}

static void destroy_slab(struct whorl__slab *slab)
{
    for (unsigned i = 0; i < slab->carved; i++) {
        drop_context(&slab->fibers[i]);
        whorl__instrument_unmap(&slab->fibers[i].instrument);
    }
    (void)whorl__os->unmap(slab->base, slab->bytes); /* fails only for want of a map entry */
    whorl__os->free(slab);
}

void whorl__stacks_destroy(struct whorl__stacks *stacks)
{
    WHORL_CHECK(stacks->info.out == 0, "a fiber is still out");
    for (unsigned i = 0; i < WHORL_STACK_CLASS_COUNT; i++) {
        struct whorl__slab *slab = stacks->shelves[i].slabs;
        while (slab != NULL) {
            struct whorl__slab *next = slab->next;
            destroy_slab(slab);
            slab = next;
        }
    }
    pthread_mutex_destroy(&stacks->lock);
    whorl__os->free(stacks);
}

static void lower_guard_locked(struct whorl__stacks *stacks, enum whorl__guard guard)
{
    if (stacks->info.guard < guard) {
        stacks->info.guard = guard;
    }
}

static size_t slot_bytes_of(const struct whorl__slab *slab)
{
    return slab->bytes / slab->count;
}

/* Takes the newest guards of a slab away, never its lowest; returns how many of `most`. */
static unsigned release_some_locked(struct whorl__slab *slab, unsigned most)
{
    unsigned released = 0;
    while (released < most && slab->protect_end > slab->protect_first && slab->protect_end > 1) {
        char *low = slab->base + (slab->protect_end - 1) * slot_bytes_of(slab);
        if (whorl__os->protect(low, WHORL_STACK_GUARD, PROT_READ | PROT_WRITE) != 0) {
            break;
        }
        slab->protect_end--;
        released++;
    }
    return released;
}

/* The last map entries went into guards, and the next slab, thread or large block needs one. */
static WHORL_COLD void release_guards_locked(struct whorl__stacks *stacks)
{
    unsigned left = RELEASE_MAX;
    for (unsigned i = 0; i < WHORL_STACK_CLASS_COUNT; i++) {
        for (struct whorl__slab *slab = stacks->shelves[i].slabs; slab != NULL; slab = slab->next) {
            left -= release_some_locked(slab, left);
        }
    }
    stacks->protect_count -= RELEASE_MAX - left;
    stacks->info.unguarded += RELEASE_MAX - left;
}

static bool protect_locked(struct whorl__stacks *stacks, struct whorl__slab *slab, char *low)
{
    if (stacks->protect_count >= PROTECT_MAX) {
        lower_guard_locked(stacks, WHORL__GUARD_SLAB);
        return false;
    }
    if (whorl__os->protect(low, WHORL_STACK_GUARD, PROT_NONE) != 0) {
        lower_guard_locked(stacks, WHORL__GUARD_SLAB);
        release_guards_locked(stacks);
        return false;
    }
    if (slab->protect_end == 0) {
        slab->protect_first = slab->carved;
    }
    slab->protect_end = slab->carved + 1;
    stacks->protect_count++;
    return true;
}

/* Whether the kernel cannot read at `low`, found out without a fault of our own. A futex call would
 * do without a descriptor, but valgrind reads the word itself, and dies. */
static bool is_unreadable(const char *low)
{
    const int fd = whorl__os->eventfd();
    if (fd < 0) {
        return false;
    }
    const bool unreadable = whorl__os->write(fd, low, sizeof(uint64_t)) == -EFAULT;
    whorl__os->close(fd);
    return unreadable;
}

/* Emulators take advice they do not know and do nothing: qemu-user answers 0. So the first marker
 * is tried before any is relied on. */
static bool mark_locked(struct whorl__stacks *stacks, char *low)
{
    if (RUNNING_ON_VALGRIND) { /* it reads what the kernel lets it map, and would die of the try */
        return false;
    }
    if (whorl__os->advise(low, WHORL_STACK_GUARD, MADV_GUARD_INSTALL) != 0) {
        return false;
    }
    stacks->markers_proven = stacks->markers_proven || is_unreadable(low);
    return stacks->markers_proven;
}

/* Makes the guard of the next stack, at `low`, by the best means that still works. */
static bool guard_locked(struct whorl__stacks *stacks, struct whorl__slab *slab, char *low)
{
    if (stacks->info.guard == WHORL__GUARD_MARKER) {
        if (mark_locked(stacks, low)) {
            return true;
        }
        lower_guard_locked(stacks, WHORL__GUARD_PROTECT);
    }
    if (stacks->info.guard == WHORL__GUARD_PROTECT && protect_locked(stacks, slab, low)) {
        return true;
    }
    return slab->carved == 0 && whorl__os->protect(low, WHORL_STACK_GUARD, PROT_NONE) == 0;
}

/* Maps room for as many stacks as a slab should hold, or, where memory is short, for fewer. */
static int map_slab(size_t slot_bytes, char **ret_base, unsigned *ret_count)
{
    int status = -ENOMEM;
    for (size_t count = WHORL__SLAB_BYTES / slot_bytes + 1; count > 0; count /= 2) {
        void *base;
        status = whorl__os->map(count * slot_bytes, &base);
        if (status == 0) {
            *ret_base = base;
            *ret_count = (unsigned)count;
            return 0;
        }
    }
    return status;
}

static int add_slab_locked(struct whorl__stacks *stacks, unsigned size_class)
{
    const size_t slot_bytes = WHORL_STACK_GUARD + whorl__stack_class_bytes(size_class);
    struct shelf *shelf = &stacks->shelves[size_class];
    char *base;
    unsigned count;
    int status = map_slab(slot_bytes, &base, &count);
    if (status != 0) {
        return status;
    }
    struct whorl__slab *slab =
        whorl__os->alloc(sizeof(*slab) + count * sizeof(struct whorl__fiber));
    if (slab == NULL) {
        whorl__os->unmap(base, count * slot_bytes);
        return -ENOMEM;
    }
    memset(slab, 0, sizeof(*slab));
    slab->next = shelf->slabs;
    slab->base = base;
    slab->bytes = count * slot_bytes;
    slab->count = count;
    shelf->slabs = slab;
    stacks->info.slabs++;
    return 0;
}

/* Makes the next stack of the newest slab; NULL when its guard is needed and cannot be made. */
static struct whorl__fiber *carve_locked(struct whorl__stacks *stacks, unsigned size_class)
{
    struct whorl__slab *slab = stacks->shelves[size_class].slabs;
    char *guard = slab->base + slab->carved * slot_bytes_of(slab);
    if (!guard_locked(stacks, slab, guard)) {
        if (slab->carved == 0) {
            return NULL;
        }
        stacks->info.unguarded++;
    }
    struct whorl__fiber *fiber = &slab->fibers[slab->carved++];
    memset(fiber, 0, sizeof(*fiber));
    fiber->stack_low = guard + WHORL_STACK_GUARD;
    fiber->stack_bytes = whorl__stack_class_bytes(size_class);
    fiber->slab = slab;
    fiber->size_class = size_class;
    whorl__instrument_stack(&fiber->instrument, fiber->stack_low, fiber->stack_bytes);
    return fiber;
}

static void count_used_locked(struct whorl__stacks *stacks, uint32_t more)
{
    /* relaxed: a hint; who reads it before he sleeps has written last what he has given himself */
    whorl__store_relaxed_u32(&stacks->used_count,
                             whorl__load_relaxed_u32(&stacks->used_count) + more);
}

static int take_one_locked(struct whorl__stacks *stacks, unsigned size_class,
                           struct whorl__fiber **ret_fiber)
{
    struct shelf *shelf = &stacks->shelves[size_class];
    if (shelf->warm != NULL) {
        shelf->warm_count--;
        stacks->info.shelved--;
        *ret_fiber = whorl__fiber_pop(&shelf->warm);
        return 0;
    }
    if (shelf->used != NULL) {
        stacks->info.shelved--;
        count_used_locked(stacks, (uint32_t)-1);
        *ret_fiber = whorl__fiber_pop(&shelf->used);
        return 0;
    }
    if (shelf->cold != NULL) {
        stacks->info.shelved--;
        *ret_fiber = whorl__fiber_pop(&shelf->cold);
        return 0;
    }
    if (shelf->slabs == NULL || shelf->slabs->carved == shelf->slabs->count) {
        const int status = add_slab_locked(stacks, size_class);
        if (status != 0) {
            return status;
        }
    }
    struct whorl__fiber *fiber = carve_locked(stacks, size_class);
    if (fiber == NULL) {
        return -ENOMEM;
    }
    *ret_fiber = fiber;
    return 0;
}

int whorl__stacks_take(struct whorl__stacks *stacks, unsigned size_class, unsigned count_max,
                       struct whorl__fiber **ret_chain)
{
    WHORL_ASSERT(size_class < WHORL_STACK_CLASS_COUNT);
    WHORL_ASSERT(count_max > 0);
    struct whorl__fiber *chain = NULL;
    struct whorl__fiber **tail = &chain;
    int status = 0;
    pthread_mutex_lock(&stacks->lock);
    for (unsigned i = 0; i < count_max; i++) {
        status = take_one_locked(stacks, size_class, tail);
        if (status != 0) {
            break;
        }
        stacks->info.out++;
        tail = &(*tail)->next;
    }
    *tail = NULL;
    pthread_mutex_unlock(&stacks->lock);
    if (chain == NULL) {
        return status;
    }
    *ret_chain = chain;
    return 0;
}

/* Shelves as many as may stay warm; returns the rest. */
static struct whorl__fiber *shelve_warm_locked(struct whorl__stacks *stacks, struct shelf *shelf,
                                               struct whorl__fiber *chain)
{
    while (chain != NULL && shelf->warm_count < shelf->warm_max) {
        whorl__fiber_push(&shelf->warm, whorl__fiber_pop(&chain));
        shelf->warm_count++;
        stacks->info.shelved++;
        stacks->info.out--;
    }
    return chain;
}

/* The contexts go now; descriptor, address and guard stay for ever. */
static void shelve_used(struct whorl__stacks *stacks, struct shelf *shelf,
                        struct whorl__fiber *chain)
{
    uint32_t count = 0;
    struct whorl__fiber *last = NULL;
    for (struct whorl__fiber *fiber = chain; fiber != NULL; fiber = fiber->next) {
        drop_context(fiber);
        last = fiber;
        count++;
    }
    if (last == NULL) {
        return;
    }
    pthread_mutex_lock(&stacks->lock);
    last->next = shelf->used;
    shelf->used = chain;
    count_used_locked(stacks, count);
    stacks->info.shelved += count;
    stacks->info.out -= count;
    pthread_mutex_unlock(&stacks->lock);
}

void whorl__stacks_give(struct whorl__stacks *stacks, struct whorl__fiber *chain)
{
    WHORL_ASSERT(chain != NULL);
    struct shelf *shelf = &stacks->shelves[chain->size_class];
    pthread_mutex_lock(&stacks->lock);
    struct whorl__fiber *rest = shelve_warm_locked(stacks, shelf, chain);
    pthread_mutex_unlock(&stacks->lock);
    shelve_used(stacks, shelf, rest);
}

void whorl__stacks_drop(struct whorl__stacks *stacks, struct whorl__fiber *fiber)
{
    fiber->next = NULL;
    shelve_used(stacks, &stacks->shelves[fiber->size_class], fiber);
}

/* ---- giving memory back ---- */

/* Used fibers of one shelf, at most so many, in the order of their addresses; *ret_shelf: its. */
static unsigned take_used_locked(struct whorl__stacks *stacks, unsigned count_max,
                                 struct whorl__fiber *ret_fibers[BATCH_MAX],
                                 struct shelf **ret_shelf)
{
    struct shelf *shelf = stacks->shelves;
    while (shelf < stacks->shelves + WHORL_STACK_CLASS_COUNT - 1 && shelf->used == NULL) {
        shelf++;
    }
    unsigned count = 0;
    while (count < count_max && shelf->used != NULL) {
        struct whorl__fiber *const fiber = whorl__fiber_pop(&shelf->used);
        unsigned place = count++;
        for (; place > 0 && ret_fibers[place - 1] > fiber; place--) {
            ret_fibers[place] = ret_fibers[place - 1];
        }
        ret_fibers[place] = fiber;
    }
    count_used_locked(stacks, -count);
    stacks->info.shelved -= count;
    stacks->info.out += count;
    *ret_shelf = shelf;
    return count;
}

static bool are_neighbours(const struct whorl__fiber *lower, const struct whorl__fiber *upper)
{
    return upper == lower + 1 && upper->slab == lower->slab;
}

/* A call for each run of neighbours: their guards lie within, and outlive it. Locked memory cannot
 * be given back: then it stays, and nothing else changes. */
static void give_memory_back(struct whorl__fiber *const *fibers, unsigned count)
{
    for (unsigned first = 0, last; first < count; first = last + 1) {
        last = first;
        while (last + 1 < count && are_neighbours(fibers[last], fibers[last + 1])) {
            last++;
        }
        char *const low = fibers[first]->stack_low;
        char *const end = fibers[last]->stack_low + fibers[last]->stack_bytes;
        (void)whorl__os->advise(low, (size_t)(end - low), MADV_DONTNEED);
    }
}

unsigned whorl__stacks_release(struct whorl__stacks *stacks, unsigned count_max)
{
    struct whorl__fiber *fibers[BATCH_MAX];
    struct shelf *shelf;
    if (whorl__load_relaxed_u32(&stacks->used_count) == 0) { /* relaxed: a hint */
        return 0;
    }
    pthread_mutex_lock(&stacks->lock);
    const unsigned count =
        take_used_locked(stacks, count_max < BATCH_MAX ? count_max : BATCH_MAX, fibers, &shelf);
    pthread_mutex_unlock(&stacks->lock);
    give_memory_back(fibers, count);
    pthread_mutex_lock(&stacks->lock);
    for (unsigned i = 0; i < count; i++) {
        whorl__fiber_push(&shelf->cold, fibers[i]);
    }
    stacks->info.shelved += count;
    stacks->info.out -= count;
    pthread_mutex_unlock(&stacks->lock);
    return count;
}

void whorl__stacks_trim(struct whorl__stacks *stacks)
{
    for (unsigned i = 0; i < WHORL_STACK_CLASS_COUNT; i++) {
        struct shelf *shelf = &stacks->shelves[i];
        pthread_mutex_lock(&stacks->lock);
        struct whorl__fiber *chain = shelf->warm;
        stacks->info.shelved -= shelf->warm_count;
        stacks->info.out += shelf->warm_count;
        shelf->warm = NULL;
        shelf->warm_count = 0;
        pthread_mutex_unlock(&stacks->lock);
        shelve_used(stacks, shelf, chain);
    }
    while (whorl__stacks_release(stacks, BATCH_MAX) > 0) {
    }
}

void whorl__stacks_info(struct whorl__stacks *stacks, struct whorl__stacks_info *ret_info)
{
    pthread_mutex_lock(&stacks->lock);
    *ret_info = stacks->info;
    ret_info->used = whorl__load_relaxed_u32(&stacks->used_count); /* relaxed: M(lock) */
    pthread_mutex_unlock(&stacks->lock);
}
