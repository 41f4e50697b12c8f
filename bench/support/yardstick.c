/*
 * yardstick.c - a compare-and-swap and a bare switch: see yardstick.h.
 */
#include "support/yardstick.h"

#include "atomic/atomic.h"
#include "fiber/fiber.h"
#include "support/measure.h"

#include <stdlib.h>
#include <string.h>

double yardstick_cas_ns(long count)
{
    static uint64_t WHORL_ALIGNED(WHORL_CACHE_LINE) word; /* A: no partner, one thread */
    uint64_t expected = whorl__load_relaxed_u64(&word);   /* relaxed: nobody else writes */
    long taken = 0;
    const int64_t begin_ns = bench_now_ns();
    for (long i = 0; i < count; i++) {
        taken += whorl__cas_u64(&word, expected, expected + 1); /* pairs with nothing: its cost */
        expected++;
    }
    const int64_t spent_ns = bench_now_ns() - begin_ns;
    if (taken != count) {
        bench_die("a compare-and-swap that nobody contends failed");
    }
    return (double)spent_ns / (double)count;
}

/* What a fiber's `user` points to. */
struct ring {
    struct whorl__fiber host;
    struct whorl__fiber *first; /* in line to run; linked by fiber.next */
    struct whorl__fiber *last;
    long left; /* switches */
};

static void enqueue(struct ring *ring, struct whorl__fiber *fiber)
{
    fiber->next = NULL;
    if (ring->first) {
        ring->last->next = fiber;
    } else {
        ring->first = fiber;
    }
    ring->last = fiber;
}

static struct whorl__fiber *dequeue(struct ring *ring)
{
    struct whorl__fiber *fiber = ring->first;
    ring->first = fiber->next;
    return fiber;
}

static void run_in_ring(struct whorl__fiber *self)
{
    struct ring *ring = self->user;
    for (;;) {
        enqueue(ring, self);
        whorl__fiber_switch(self, ring->left-- > 0 ? dequeue(ring) : &ring->host);
    }
}

/* The ring stops anywhere; the next call goes on from there. */
static double time_ring(struct ring *ring, long count)
{
    ring->left = count;
    const int64_t begin_ns = bench_now_ns();
    whorl__fiber_switch(&ring->host, dequeue(ring));
    return (double)(bench_now_ns() - begin_ns) / (double)count;
}

double yardstick_switch_ns(int fibers, long count)
{
    struct whorl__stacks *stacks;
    struct whorl__fibers cache;
    struct ring ring = {.first = NULL};
    struct whorl__fiber **all = calloc((size_t)fibers, sizeof(struct whorl__fiber *));
    if (!all || whorl__stacks_create(&stacks)) {
        bench_die("no memory for stacks");
    }
    whorl__fiber_init_host(&ring.host);
    whorl__fibers_init(&cache, stacks, run_in_ring);
    for (int i = 0; i < fibers; i++) {
        if (whorl__fibers_get(&cache, 0, &all[i])) {
            bench_die("no memory for %d stacks", fibers);
        }
        all[i]->user = &ring;
        enqueue(&ring, all[i]);
    }
    time_ring(&ring, 2L * fibers); /* each stack's first page is there now */
    const double switch_ns = time_ring(&ring, count);
    for (int i = 0; i < fibers; i++) {
        whorl__fibers_put(&cache, all[i]);
    }
    whorl__fibers_fini(&cache);
    whorl__fiber_fini_host(&ring.host);
    whorl__stacks_destroy(stacks);
    free(all);
    return switch_ns;
}
