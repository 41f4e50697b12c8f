/*
 * memory.c - what the simulated runtime allocates and maps: real memory, counted, at times refused.
 *
 * Every block is known until it is given back. So a run that leaves something behind is found, and
 * a run that has failed, whose threads never come back, costs no memory.
 *
 * A block that is given back here and was not taken here is older than the run (a future that the
 * program had made before) and goes to the real table.
 *
 * Owns:       sim->blocks, sim->owned.
 * Threads:    the carrier. Other threads of the program may allocate through the table meanwhile;
 *             theirs goes to the real one.
 * Invariant:  no call here lets another simulated thread go on, or takes time.
 * Not chosen: a header before each block: the block must be the real one, since the program may
 *             give it back after the run.
 */
#include "sim/sim.h"

#include "base/assert.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

#if defined(WHORL_ASAN)
#    include <sanitizer/asan_interface.h>
#else
#    define __asan_unpoison_memory_region(base, bytes) ((void)(base), (void)(bytes))
#endif

/* ---- the simulation's own ---- */

struct owned {
    struct whorl__list link WHORL_ALIGNED(WHORL_CACHE_LINE);
};

void *whorl__sim_own(size_t bytes)
{
    struct owned *const block = whorl__sim->real->alloc(whorl__os_lines(sizeof *block + bytes));
    WHORL_CHECK(block != NULL, "no memory for the simulation itself");
    memset(block, 0, sizeof *block + bytes);
    whorl__list_push_back(&whorl__sim->owned, &block->link);
    return block + 1;
}

void whorl__sim_disown(void *memory)
{
    if (memory != NULL) {
        struct owned *const block = (struct owned *)memory - 1;
        whorl__list_remove(&block->link);
        whorl__sim->real->free(block);
    }
}

void whorl__sim_disown_all(void)
{
    struct whorl__list *link;
    while ((link = whorl__list_pop_front(&whorl__sim->owned)) != NULL) {
        whorl__sim->real->free(whorl_container_of(link, struct owned, link));
    }
}

/* ---- the runtime's ---- */

struct block {
    void *base;
    size_t bytes;
    uint64_t serial; /* in the order of allocation */
    bool mapped;
};

static int compare(const void *a, const void *b)
{
    const uintptr_t left = (uintptr_t)((const struct block *)a)->base;
    const uintptr_t right = (uintptr_t)((const struct block *)b)->base;
    return (left > right) - (left < right);
}

static bool is_carrier(void)
{
    return pthread_equal(pthread_self(), whorl__sim->carrier) != 0;
}

static void remember(void *base, size_t bytes, bool mapped)
{
    struct whorl__sim *const sim = whorl__sim;
    struct block *const block = whorl__sim_own(sizeof *block);
    *block = (struct block){
        .base = base, .bytes = bytes, .serial = ++sim->block_serial, .mapped = mapped};
    void *const node = tsearch(block, &sim->blocks, compare);
    WHORL_CHECK(node != NULL && *(struct block **)node == block,
                "the allocator handed out a block that is in use");
    sim->block_count++;
}

/* False: not of this run. */
static bool forget(void *base, size_t *ret_bytes)
{
    struct whorl__sim *const sim = whorl__sim;
    const struct block wanted = {.base = base};
    void *const node = tfind(&wanted, &sim->blocks, compare);
    if (node == NULL) {
        return false;
    }
    struct block *const block = *(struct block **)node;
    *ret_bytes = block->bytes;
    tdelete(block, &sim->blocks, compare);
    whorl__sim_disown(block);
    sim->block_count--;
    return true;
}

static bool refuse(size_t bytes)
{
    if (!whorl__sim_fault(WHORL_SIM_NO_MEMORY)) {
        return false;
    }
    whorl__sim_note_event(WHORL__SIM_MEMORY, (int64_t)bytes, -ENOMEM, NULL);
    return true;
}

/* What is in a new block depends on the seed alone, or who reads it would make two runs differ. */
static void fill(void *block, size_t bytes)
{
    memset(block, 0x80 | (int)(whorl__sim->report.seed & 0x7f), bytes);
}

void *whorl__sim_alloc(size_t bytes)
{
    struct whorl__sim *const sim = whorl__sim;
    if (!is_carrier()) {
        return sim->real->alloc(bytes);
    }
    void *const block = refuse(bytes) ? NULL : sim->real->alloc(bytes);
    if (block != NULL) {
        fill(block, bytes);
        remember(block, bytes, false);
    }
    return block;
}

void whorl__sim_free(void *block)
{
    struct whorl__sim *const sim = whorl__sim;
    size_t bytes;
    if (block == NULL) {
        return;
    }
    if (is_carrier() && forget(block, &bytes)) {
        fill(block, bytes);
    }
    sim->real->free(block);
}

int whorl__sim_map(size_t bytes, void **ret_base)
{
    if (is_carrier() && refuse(bytes)) {
        return -ENOMEM;
    }
    const int error = whorl__sim->real->map(bytes, ret_base);
    if (error == 0 && is_carrier()) {
        remember(*ret_base, bytes, true);
    }
    return error;
}

int whorl__sim_unmap(void *base, size_t bytes)
{
    size_t known;
    if (is_carrier() && forget(base, &known)) {
        WHORL_CHECK(known == bytes, "a mapping is given back in pieces");
    }
    return whorl__sim->real->unmap(base, bytes);
}

int whorl__sim_protect(void *base, size_t bytes, int protection)
{
    if (is_carrier() && refuse(bytes)) {
        return -ENOMEM;
    }
    return whorl__sim->real->protect(base, bytes, protection);
}

/* Guard markers are refused, as an older kernel would: who tries the first one makes other calls,
 * under a lock of the system. Then the runtime protects guard by guard. */
int whorl__sim_advise(void *base, size_t bytes, int advice)
{
    const bool known = advice == MADV_DONTNEED;
    return known ? whorl__sim->real->advise(base, bytes, advice) : -EINVAL;
}

/* ---- the end ---- */

static const struct block *oldest;

static void note_oldest(const void *node, VISIT visit, int depth)
{
    const struct block *const block = *(struct block *const *)node;
    (void)depth;
    if ((visit == preorder || visit == leaf) &&
        (oldest == NULL || block->serial < oldest->serial)) {
        oldest = block;
    }
}

static void release(void *node)
{
    const struct block *const block = node;
    if (block->mapped) {
        __asan_unpoison_memory_region(block->base, block->bytes);
        (void)whorl__sim->real->unmap(block->base, block->bytes);
    } else {
        whorl__sim->real->free(block->base);
    }
}

uint64_t whorl__sim_memory_sweep(char *ret_text, size_t text_max)
{
    struct whorl__sim *const sim = whorl__sim;
    const uint64_t left = sim->block_count;
    oldest = NULL;
    twalk(sim->blocks, note_oldest);
    snprintf(ret_text, text_max, "%s", "");
    if (oldest != NULL) {
        snprintf(ret_text, text_max, "%s %llu of %zu bytes",
                 oldest->mapped ? "mapping" : "allocation", (unsigned long long)oldest->serial,
                 oldest->bytes);
    }
    tdestroy(sim->blocks, release);
    sim->blocks = NULL;
    sim->block_count = 0;
    return left;
}
