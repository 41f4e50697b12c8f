/*
 * rig.c - loops driven by model threads; see rig.h.
 */
#include "model/rig.h"

#include "lockfree/inbox.h"
#include "sched/entry.h"
#include "task/context.h"
#include "task/why.h"
#include "task/generator.h"
#include "task/task.h"

#define STACK_BYTES ((size_t)128 * 1024)

static char stacks[RIG_TASKS + RIG_SHELF][STACK_BYTES] WHORL_ALIGNED(WHORL_CACHE_LINE);

/* ---- set up ---- */

static void loop_init(struct rig *rig, unsigned index, bool strict)
{
    struct whorl__loop *const loop = &rig->loops[index];
    loop->runtime = &rig->runtime;
    loop->index = index;
    loop->strict = strict;
    loop->budget = 1;
    whorl__fifo_init(&loop->bound);
    whorl__runqueue_init(&loop->queue);
    whorl__inbox_init(&loop->inbox);
    whorl__timers_init(&loop->timers);
    loop->fibers.entry = whorl__task_entry;
    loop->fibers.pools[0].kept_max = RIG_SHELF;
    rig->loop_list[index] = loop;
}

void rig_init(struct rig *rig, unsigned loop_count, enum rig_kind kind)
{
    struct whorl__runtime *const runtime = &rig->runtime;
    MODEL_CHECK(loop_count <= RIG_LOOPS);
    runtime->loop_count = loop_count;
    runtime->loops = rig->loop_list;
    runtime->stealing = kind == RIG_SHARING;
    runtime->shares = runtime->stealing;
    runtime->scopes_made = 1; /* 0 is no scope's number */
    runtime->end_round_ns = WHORL_NEVER;
    runtime->clear = whorl__task_clear;
    whorl__at_ends_init(&runtime->at_ends);
    whorl__generators_init(runtime);
    runtime->call_in = whorl__context_call_in;
    MODEL_CHECK(whorl__slots_init(&runtime->slots) == 0);
    for (unsigned i = 0; i < loop_count; i++) {
        loop_init(rig, i, kind == RIG_STRICT);
    }
}

static struct whorl__fiber *make_fiber(struct rig *rig, unsigned index)
{
    struct whorl__fiber *const fiber = &rig->fibers[index];
    char *const low = stacks[index];
    fiber->stack_low = low;
    fiber->stack_bytes = STACK_BYTES;
    whorl__instrument_stack(&fiber->instrument, low, STACK_BYTES);
    fiber->entry = whorl__task_entry;
    fiber->sp = whorl__switch_prepare(low + STACK_BYTES, fiber);
    return fiber;
}

void rig_shelve(struct rig *rig, unsigned index)
{
    struct whorl__fibers *const cache = &rig->loops[index].fibers;
    MODEL_CHECK(rig->shelved < RIG_SHELF);
    struct whorl__fiber *const fiber = make_fiber(rig, RIG_TASKS + rig->shelved);
    fiber->slab = (struct whorl__slab *)(void *)stacks; /* only tells that it has one */
    rig->shelved++;
    whorl__fibers_put(cache, fiber);
}

/* What a worker does when a task begins, from a store of stacks that never runs out. */
static void give_fiber(struct rig *rig, struct whorl_task *task)
{
    MODEL_CHECK(rig->spawned < RIG_TASKS);
    struct whorl__fiber *const fiber = make_fiber(rig, rig->spawned);
    fiber->user = task;
    rig->spawned++;
    whorl__store_relaxed_ptr(&task->fiber, fiber); /* relaxed: as give_stack of run.c */
}

/* In its awaiter's place a task gets its fiber from the cache. */
void rig_inline(struct rig *rig)
{
    rig->runtime.inlines = true;
    for (unsigned i = 0; i < RIG_SHELF; i++) {
        rig_shelve(rig, 0);
    }
}

struct whorl_task *rig_spawn(struct rig *rig, unsigned index, whorl_body *body, void *arg)
{
    return rig_spawn_with(rig, index, body, arg, NULL);
}

struct whorl_task *rig_spawn_with(struct rig *rig, unsigned index, whorl_body *body, void *arg,
                                  const struct whorl_attr *attr)
{
    static struct whorl_task spawner; /* only tells whorl_spawn that a task runs here */
    struct whorl__loop *const loop = &rig->loops[index];
    struct whorl__worker *const before = whorl__tls_worker();
    struct whorl_task *task = NULL;
    whorl__tls_set_worker((struct whorl__worker *)loop);
    loop->current = &spawner;
    MODEL_CHECK(whorl_spawn(body, arg, attr, &task) == 0);
    loop->current = NULL;
    whorl__tls_set_worker(before);
    give_fiber(rig, task);
    return task;
}

/* ---- a loop ---- */

struct look {
    const struct rig *rig;
    const struct whorl__loop *loop;
};

/* What began in an awaiter's place has no fiber of the rig's. */
static bool all_ended(const struct rig *rig)
{
    uint64_t ended = 0;
    uint64_t begun = rig->spawned;
    for (unsigned i = 0; i < rig->runtime.loop_count; i++) {
        ended += rig->loops[i].stats.ended;
        begun += rig->loops[i].inlined;
    }
    return ended == begun;
}

/* The scheduler's look, between two steps of the model: fields are read as they are. */
static bool has_work(void *arg)
{
    const struct look *const look = arg;
    const struct whorl__loop *const loop = look->loop;
    return loop->bound.head != NULL || loop->inbox.stack.head != NULL || loop->hot != NULL ||
           loop->queue.ring.c_head != loop->queue.ring.p_tail ||
           (!loop->strict && look->rig->runtime.shared.tasks.head != NULL) || all_ended(look->rig);
}

/* NULL too if a relaxed look was answered with what was there before. */
static struct whorl__item *take(struct whorl__loop *loop)
{
    (void)whorl__loop_take_inbox(loop);
    struct whorl__fifo_node *const node = whorl__fifo_pop(&loop->bound);
    if (node != NULL) {
        return whorl__item_of_ready(node);
    }
    if (loop->strict) {
        return NULL;
    }
    struct whorl_task *task = NULL;
    if (whorl__load_relaxed_ptr(&loop->hot) != NULL) { /* relaxed: the swap decides */
        task = whorl__swap_ptr(&loop->hot, NULL);
    }
    if (task == NULL) {
        task = whorl__entry_take(loop);
    }
    if (task == NULL) {
        task = whorl__sched_take_shared(loop);
    }
    return task != NULL ? &task->item : NULL;
}

struct whorl__loop *rig_loop_begin(struct rig *rig, unsigned index)
{
    struct whorl__loop *const loop = &rig->loops[index];
    whorl__tls_set_worker((struct whorl__worker *)loop);
    whorl__fiber_init_host(&loop->host);
    loop->errno_at = whorl__tls_errno_at();
    return loop;
}

void rig_loop_end(struct rig *rig, unsigned index)
{
    whorl__fiber_fini_host(&rig->loops[index].host);
    whorl__tls_set_worker(NULL);
}

void rig_loop_run(struct rig *rig, unsigned index)
{
    struct whorl__loop *const loop = &rig->loops[index];
    struct look look = {.rig = rig, .loop = loop};
    model_block_until(has_work, &look);
    while (!all_ended(rig)) {
        struct whorl__item *const item = take(loop);
        if (item != NULL) {
            if (!whorl__item_is_call(item) && item->fiber == NULL) {
                give_fiber(rig, whorl__task_of_item(item)); /* a task has spawned it */
            }
            whorl__sched_run(loop, item);
            loop->spare = NULL; /* no fiber serves two tasks here */
        } else {
            model_yield();
        }
        model_block_until(has_work, &look);
    }
}

bool rig_run_open(struct rig *rig, unsigned index, struct whorl_task *task, uint32_t epoch)
{
    const bool claimed = whorl__state_claim(&task->word, epoch);
    if (claimed) {
        give_fiber(rig, task);
        whorl__sched_run(&rig->loops[index], &task->item);
        rig->loops[index].spare = NULL;
    }
    return claimed;
}

void rig_loop(struct rig *rig, unsigned index)
{
    (void)rig_loop_begin(rig, index);
    rig_loop_run(rig, index);
    rig_loop_end(rig, index);
}

unsigned rig_fire(struct rig *rig, unsigned of, int64_t now_ns)
{
    return whorl__timers_fire(&rig->loops[of].timers, &rig->runtime, now_ns);
}

/* ---- the end ---- */

void rig_fini(struct rig *rig)
{
    MODEL_CHECK(all_ended(rig));
    for (unsigned i = 0; i < rig->runtime.loop_count; i++) {
        struct whorl__loop *const loop = &rig->loops[i];
        MODEL_CHECK(loop->bound.head == NULL && loop->hot == NULL);
        MODEL_CHECK(whorl__entry_take(loop) == NULL); /* stale ones go */
        MODEL_CHECK(whorl__inbox_is_empty(&loop->inbox));
        MODEL_CHECK(whorl__runqueue_length(&loop->queue) == 0);
        MODEL_CHECK(loop->timers.heap.count == 0);
        whorl__timers_fini(&loop->timers);
        whorl__context_loop_fini(loop);
        whorl__why_loop_fini(loop);
    }
    MODEL_CHECK(rig->runtime.shared.tasks.head == NULL);
    MODEL_CHECK(whorl__slots_close(&rig->runtime.slots)); /* nobody refers to a task any more */
}
