/*
 * run.c - one task after another: which is next, its step, and what comes of it.
 *
 *   a task     given a stack if it has none, switched to; when it comes back loop->action says
 *              whether it parks, yields, moves or has ended, and it is published here
 *   a call     runs on the loop's own stack
 *
 * Owns:       loop->current, action, calling, inline_left, the order in which queues are looked at.
 * Threads:    the loop's own.
 * Invariant:  a task is published (parked, queued) only here, after its stack was left. One
 *             exception: in strict order a task that yields queues itself (whorl__loop_take_over),
 *             for the list is this thread's alone.
 *             Tasks that begin where they are awaited (task/inline.c) count as those from a queue.
 * Not chosen: a turn that calls a function for each task. The processor foretells a return by the
 *             calls before it: each frame between the loop and its switch is a wrong guess a task.
 */
#include "sched/culprit.h"
#include "sched/entry.h"
#include "sched/strand.h"

#include "sys/os.h"

#include <errno.h>

#define SHARED_INTERVAL 61

/* ---- one task ---- */

static void enter_task(struct whorl__loop *loop, struct whorl_task *task)
{
    whorl__plain_write((struct whorl__fiber *)task->fiber); /* the frame was left before; S2 */
    if (task->loop != loop) {
        if (task->fiber != NULL) {
            whorl__count(&loop->stats.migrations, 1);
        }
        whorl__task_set_loop(task, loop);
    }
    whorl__count(&loop->stats.runs, 1);
    loop->allowance = WHORL__ALLOWANCE;
    whorl__store_release_ptr(&loop->current, task); /* release, pairs culprit_report: its fiber */
    whorl__fiber_switch(&loop->host, task->fiber);
}

/* The task that came back, which in strict order need not be the one that was entered. */
static struct whorl_task *last_run(struct whorl__loop *loop)
{
    struct whorl_task *const task = loop->current;
    whorl__plain_write((struct whorl__fiber *)task->fiber); /* left just now; S2 */
    whorl__store_relaxed_ptr(&loop->current, NULL); /* relaxed: for the monitor, a sample */
    return task;
}

/* The count comes last: when all begun tasks are counted as ended, nobody touches them any more. */
static void end_task(struct whorl__loop *loop, struct whorl_task *task)
{
    struct whorl__runtime *const runtime = loop->runtime;
    whorl__sched_drop_on(loop, task);
    whorl__store_release_u64(&loop->stats.ended, loop->stats.ended + 1); /* pairs E1, end.c */
    /* relaxed: a miss delays the end of the runtime by one look (end.c), and needs no fence */
    if (WHORL_UNLIKELY(whorl__load_relaxed_u32(&runtime->ending))) {
        (void)whorl__add_u32(&runtime->ended_word, 1);
        (void)whorl__os->futex_wake(&runtime->ended_word, 1);
    }
}

/* The fiber of the task that ended last is the warmest: the next task to begin gets it. */
static void keep_fiber(struct whorl__loop *loop, struct whorl__fiber *fiber)
{
    if (loop->spare != NULL) {
        whorl__fibers_put(&loop->fibers, loop->spare);
    }
    loop->spare = fiber;
}

/* The task is ready again: behind all that is. Who has the turn of its strand then is. */
static void requeue_in(struct whorl__strand *strand, struct whorl__loop *loop,
                       struct whorl_task *task)
{
    if (whorl__strand_is_lent(loop, strand)) {
        whorl__sched_submit_new(loop, task); /* the turn is the caller's: it waits for it */
    } else {
        struct whorl__item *const next = whorl__strand_rotate(strand, &task->item);
        if (WHORL_UNLIKELY(whorl__item_is_call(next))) {
            whorl__sched_hand_over(next);
        } else {
            whorl__sched_requeue(loop, whorl__task_of_item(next));
        }
    }
}

/* From the commit on the task may run anywhere, and waits for the turn if it does. */
static WHORL_NOINLINE void park_in(struct whorl__strand *strand, struct whorl__loop *loop,
                                   struct whorl_task *task)
{
    if (!whorl__state_park_commit(&task->word)) {
        requeue_in(strand, loop, task); /* woken or cancelled before it had left */
    } else if (!whorl__strand_is_lent(loop, strand)) {
        whorl__strand_leave(strand);
    }
}

/* The old one first: once the task is in a queue, the strand may go with its last member. */
static WHORL_COLD void move(struct whorl__loop *loop, struct whorl_task *task)
{
    if (loop->left_strand != NULL) {
        whorl__strand_leave(loop->left_strand);
    }
    whorl__sched_submit_new(loop, task);
}

static void leave_task(struct whorl__loop *loop, struct whorl_task *task)
{
    struct whorl__strand *strand;
    switch (loop->action) {
    case WHORL__ACTION_PARK:
        if (WHORL_UNLIKELY((strand = whorl__strand_shared(task)) != NULL)) {
            park_in(strand, loop, task);
        } else if (!whorl__state_park_commit(&task->word)) {
            whorl__sched_requeue(loop, task); /* woken or cancelled before it had left */
        }
        break;
    case WHORL__ACTION_YIELD:
        if (WHORL_UNLIKELY((strand = whorl__strand_shared(task)) != NULL)) {
            requeue_in(strand, loop, task);
        } else if (loop->strict) { /* home, and in no hurry */
            whorl__loop_push_bound(loop, task);
        } else {
            whorl__sched_requeue(loop, task);
        }
        break;
    case WHORL__ACTION_MOVE:
        move(loop, task);
        break;
    case WHORL__ACTION_END:
        keep_fiber(loop, task->fiber);
        end_task(loop, task);
        break;
    }
}

static WHORL_COLD struct whorl__fiber *get_fiber(struct whorl__loop *loop,
                                                 const struct whorl_task *task)
{
    const size_t bytes = whorl__stack_class_bytes(task->stack_class);
    struct whorl__fiber *fiber;
    return whorl__fibers_get(&loop->fibers, bytes, &fiber) == 0 ? fiber : NULL;
}

static bool give_stack(struct whorl__loop *loop, struct whorl_task *task)
{
    struct whorl__fiber *fiber = loop->spare;
    if (WHORL_LIKELY(fiber != NULL && fiber->size_class == task->stack_class)) {
        loop->spare = NULL;
    } else if ((fiber = get_fiber(loop, task)) == NULL) {
        return false;
    }
    fiber->user = task;
    whorl__store_release_ptr(&task->fiber, fiber); /* release, pairs dump: what the fiber is */
    return true;
}

/* False: there is no memory for a stack, and the task has ended. */
static inline bool has_stack(struct whorl__loop *loop, struct whorl_task *task)
{
    if (WHORL_LIKELY(task->fiber != NULL || give_stack(loop, task))) {
        return true;
    }
    whorl__task_set_loop(task, loop);
    loop->runtime->abandon(task, -ENOMEM);
    end_task(loop, task);
    return false;
}

static void run_task(struct whorl__loop *loop, struct whorl_task *task)
{
    if (!has_stack(loop, task)) {
        return;
    }
    enter_task(loop, task);
    leave_task(loop, last_run(loop));
    if (WHORL_UNLIKELY(whorl__load_relaxed_u32(&loop->stuck))) { /* relaxed: rescue.c, C1 */
        whorl__rescue_unstuck(loop);
    }
}

/* Debug mode. The task is still this loop's when it is told of: it is published later. To read the
 * clock is a call into the system, and telling may be one of the program: who looks at the runtime
 * meanwhile (sim/check.c) finds the task in hand. */
static WHORL_COLD void run_task_timed(struct whorl__loop *loop, struct whorl_task *task)
{
    if (!has_stack(loop, task)) {
        return;
    }
    loop->in_hand = task;
    const int64_t begin_ns = whorl__os->now_ns();
    loop->in_hand = NULL;
    enter_task(loop, task);
    struct whorl_task *const last = last_run(loop);
    loop->in_hand = last;
    whorl__culprit_tell_step(loop, last, whorl__os->now_ns() - begin_ns);
    loop->in_hand = NULL;
    leave_task(loop, last);
    whorl__rescue_unstuck(loop);
}

static bool times_steps(const struct whorl__loop *loop)
{
    /* relaxed: a switch, thrown at any time */
    return WHORL_UNLIKELY(whorl__load_relaxed_u32(&loop->runtime->debug) != 0);
}

/* On the loop's own stack; there is no current task. */
static WHORL_NOINLINE void run_call(struct whorl__loop *loop, struct whorl__callback *call)
{
    loop->calls--;
    loop->calling = true;
    whorl__count(&loop->called_count, 1);
    /* relaxed: for the monitor, a sample; callback.c knows it better */
    whorl__store_relaxed_ptr(&loop->called, (void *)(uintptr_t)call->run);
    call->run(call, false);
    whorl__store_relaxed_ptr(&loop->called, NULL); /* relaxed: as above */
    loop->calling = false;
}

/* A call tells by itself how long it took (task/callback.c). */
static inline void run_item(struct whorl__loop *loop, struct whorl__item *item, bool timed)
{
    if (WHORL_UNLIKELY(whorl__item_is_call(item))) {
        run_call(loop, whorl__call_of_item(item));
    } else if (WHORL_UNLIKELY(timed)) {
        run_task_timed(loop, whorl__task_of_item(item));
    } else {
        run_task(loop, whorl__task_of_item(item));
    }
}

void whorl__sched_run(struct whorl__loop *loop, struct whorl__item *item)
{
    run_item(loop, item, times_steps(loop));
}

/*
 * The stack that calls stands in for the loop's own: the task, when it leaves its stack, comes back
 * here, and here it is published, as it would be there. batch_left: it cannot hand its turn to the
 * next of the batch, which would return to the loop.
 */
void whorl__sched_run_nested(struct whorl__loop *loop, struct whorl_task *task)
{
    struct whorl_task *const creator = loop->current;
    struct whorl__nested nested = {.creator = creator,
                                   .strand = creator != NULL ? whorl__strand_of(creator)
                                                             : loop->call_strand,
                                   .outer = loop->nested};
    const struct whorl__fiber host = loop->host;
    const size_t batch_left = loop->batch_left;
    const bool calling = loop->calling;
    const int allowance = loop->allowance;
    if (creator != NULL) {
        loop->host.instrument = ((const struct whorl__fiber *)creator->fiber)->instrument;
    }
    loop->batch_left = 0;
    loop->nested = &nested;
    loop->calling = false;
    run_task(loop, task);
    loop->nested = nested.outer;
    loop->batch_left = batch_left;
    loop->calling = calling;
    loop->allowance = allowance;
    loop->host = host;
    /* release, pairs culprit_report: its fiber */
    whorl__store_release_ptr(&loop->current, creator);
}

/*
 * The same for a task that another one awaits: that one is a task of a fast loop, which has nothing
 * to put aside but the loop's own context. Mostly the child ends before it waits.
 */
void whorl__sched_run_awaited(struct whorl__loop *loop, struct whorl_task *child)
{
    struct whorl_task *const awaiter = loop->current;
    struct whorl__nested nested = {.creator = awaiter, .child = child, .outer = loop->nested};
    const struct whorl__instrument instrument = loop->host.instrument;
    void *const sp = loop->host.sp;
    const int allowance = loop->allowance;
    WHORL_ASSERT(!loop->strict && !loop->calling && loop->batch_left == 0);
    loop->inlined++;
    loop->inline_left--;
    loop->host.instrument = ((const struct whorl__fiber *)awaiter->fiber)->instrument;
    loop->nested = &nested;
    run_task(loop, child);
    loop->nested = nested.outer;
    loop->allowance = allowance;
    loop->host.instrument = instrument;
    whorl__store_relaxed_ptr(&loop->host.sp, sp); /* relaxed: its own */
    /* release, pairs culprit_report: its fiber */
    whorl__store_release_ptr(&loop->current, awaiter);
}

/* A turn's budget is spent; there is another one if the turn has time left. */
static WHORL_COLD bool renew_inline(struct whorl__loop *loop)
{
    if (whorl__os->now_ns() - (int64_t)loop->turn_ns < WHORL__TURN_NS) {
        loop->inline_left = loop->budget;
    }
    return loop->inline_left > 0;
}

bool whorl__sched_may_begin(struct whorl__loop *loop)
{
    return WHORL_LIKELY(loop->inline_left > 0) || renew_inline(loop);
}

/* ---- what runs next ---- */

/* A task that comes from another core costs a trip for each of its lines: let them overlap. */
static inline void prefetch_ring(const struct whorl__loop *loop)
{
    void *const entry = whorl__runqueue_peek(&loop->queue, 2);
    if (entry != NULL) {
        const char *const later =
            (const char *)whorl__entry_task(&loop->runtime->slots, entry);
        __builtin_prefetch(later);
        __builtin_prefetch(later + WHORL_CACHE_LINE);
        __builtin_prefetch(later + 2 * WHORL_CACHE_LINE);
    }
}

/* A call that was made in this turn waits for the next one, and with it what stands behind it. */
static struct whorl__item *take_bound(struct whorl__loop *loop)
{
    struct whorl__fifo_node *const first = loop->bound.head;
    if (first == NULL) {
        return NULL;
    }
    if (whorl__item_is_call(whorl__item_of_ready(first))) {
        if (loop->calls_left == 0) {
            return NULL;
        }
        loop->calls_left--;
    }
    return whorl__item_of_ready(whorl__fifo_pop(&loop->bound));
}

static struct whorl__item *item_of(struct whorl_task *task)
{
    return task != NULL ? &task->item : NULL;
}

static struct whorl__item *take_hot(struct whorl__loop *loop)
{
    if (whorl__load_relaxed_ptr(&loop->hot) == NULL) { /* relaxed: the swap decides */
        return NULL;
    }
    return item_of(whorl__swap_ptr(&loop->hot, NULL));
}

/* Hot first, but not for ever; now and then the shared queue; else bound and ring by turns. The
 * turns are counted apart: by the count of runs, a chain of hot tasks would leave one of the two
 * every fourth run, and the other none. */
static struct whorl__item *take_next(struct whorl__loop *loop)
{
    struct whorl__item *item = NULL;
    const uint64_t run = loop->stats.runs;
    if (run % SHARED_INTERVAL == 0) {
        item = item_of(whorl__sched_take_shared(loop));
    }
    if (item == NULL && loop->hot_in_a_row < WHORL__HOT_IN_A_ROW) {
        item = take_hot(loop);
        loop->hot_in_a_row = item != NULL ? loop->hot_in_a_row + 1 : 0;
        if (item != NULL) {
            return item;
        }
    }
    loop->hot_in_a_row = 0;
    loop->bound_first = !loop->bound_first;
    if (item == NULL && loop->bound_first) {
        item = take_bound(loop);
    }
    if (item == NULL) {
        prefetch_ring(loop);
        item = item_of(whorl__entry_take(loop));
    }
    if (item == NULL) {
        item = take_bound(loop);
    }
    return item != NULL ? item : take_hot(loop);
}

/* ---- as many as are to run ---- */

/* Each by itself: with batch_left at 0 no task hands its turn to the next one. */
static WHORL_COLD void run_batch_timed(struct whorl__loop *loop)
{
    for (size_t left = loop->bound.count; left > 0; left--) {
        run_item(loop, whorl__item_of_ready(whorl__fifo_pop(&loop->bound)), true);
    }
}

void whorl__sched_run_batch(struct whorl__loop *loop)
{
    if (times_steps(loop)) {
        run_batch_timed(loop);
        return;
    }
    loop->batch_left = loop->bound.count;
    while (loop->batch_left > 0) { /* a task that yields may run the next one itself */
        loop->batch_left--;
        struct whorl__fifo_node *const node = whorl__fifo_pop(&loop->bound);
        whorl__loop_prefetch(loop);
        run_item(loop, whorl__item_of_ready(node), false);
    }
}

unsigned whorl__sched_run_ready(struct whorl__loop *loop)
{
    unsigned ran = 0;
    struct whorl__item *item;
    const bool timed = times_steps(loop);
    loop->calls_left = loop->calls;
    loop->inline_left = loop->budget;
    while (ran < loop->budget && (item = take_next(loop)) != NULL) {
        run_item(loop, item, timed);
        ran++;
    }
    return ran;
}
