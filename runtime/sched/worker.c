/*
 * worker.c - a loop's thread: one turn after another until the runtime stops.
 *
 *   fast:    run ready tasks and calls, up to the budget
 *            somebody has asked to stop: wait for the next run
 *            fire due timers
 *            take the inbox
 *            ask the poller, if that was long ago
 *            serve stuck loops
 *            more is ready than runs: wake another loop
 *            nothing is ready: search, give memory of stacks back, then sleep in the poller
 *
 *   strict:  run what is ready now, all of it, and nothing that becomes ready meanwhile
 *            somebody has asked to stop: wait for the next run
 *            take the inbox
 *            ask the poller, if that was long ago, or the program was called (loop->poll_now)
 *            nothing is ready: give memory of stacks back, then sleep in the poller
 *            queue what is due: one call that fires the timers, in its turn
 *
 * So a strict turn is a pass of asyncio's loop: what was called soon stands before what the poller
 * found, and that before the timers.
 *
 * Owns:       loop->current, action, budget, calling.
 * Threads:    the loop's own.
 * Invariant:  a task is published (parked, queued) only here, after its stack was left. One
 *             exception: in strict order a task that yields queues itself (whorl__loop_take_over),
 *             for the list is this thread's alone.
 *             The budget is what took about TURN_NS lately: so a socket waits about that long for
 *             its loop to look, however long tasks run. In strict order it waits for the batch.
 *             Tasks that begin where they are awaited (task/inline.c) count in the same way.
 */
#include "sched/culprit.h"
#include "sched/entry.h"
#include "sched/strand.h"
#include "sched/unseen.h"

#include "sys/os.h"

#include <errno.h>

#define TURN_NS         (100 * WHORL_MICROSECOND)
#define POLL_NS         (50 * WHORL_MICROSECOND)
#define BUDGET_MAX      64
#define SHARED_INTERVAL 61

/* Stacks whose memory goes back at once: by a loop with nothing else to do, and by a busy one, once
 * in so long. */
#define RELEASE_IDLE 64
#define RELEASE_BUSY 16
#define RELEASE_NS   WHORL_MILLISECOND

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
        whorl__sched_requeue(loop, whorl__strand_rotate(strand, task));
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
    run_item(loop, item, false);
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
                                   .strand = creator != NULL ? whorl__strand_of(creator) : NULL,
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

/* A turn's budget is spent; there is another one if the turn has time left. */
static WHORL_COLD bool renew_inline(struct whorl__loop *loop)
{
    if (whorl__os->now_ns() - (int64_t)loop->turn_ns < TURN_NS) {
        loop->inline_left = loop->budget;
    }
    return loop->inline_left > 0;
}

bool whorl__sched_may_begin(struct whorl__loop *loop)
{
    if (WHORL_UNLIKELY(loop->inline_left == 0) && !renew_inline(loop)) {
        return false;
    }
    loop->inlined++;
    loop->inline_left--;
    return true;
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

/* ---- the phases of a turn ---- */

/* Each by itself: with batch_left at 0 no task hands its turn to the next one. */
static WHORL_COLD void run_batch_timed(struct whorl__loop *loop)
{
    for (size_t left = loop->bound.count; left > 0; left--) {
        run_item(loop, whorl__item_of_ready(whorl__fifo_pop(&loop->bound)), true);
    }
}

/* Strict order: exactly what is ready now; what becomes ready meanwhile waits for the next turn. */
static inline void run_batch(struct whorl__loop *loop)
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

static unsigned run_ready(struct whorl__loop *loop)
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

/* The next turn's budget: TURN_NS worth of tasks of the length they just had. */
static void adapt_budget(struct whorl__loop *loop, unsigned ran, int64_t took_ns)
{
    const bool short_tasks = took_ns * BUDGET_MAX < TURN_NS * ran;
    if (ran == 0 || (short_tasks && loop->budget == BUDGET_MAX)) {
        return;
    }
    const int64_t each_ns = took_ns / ran + 1;
    const int64_t fit = TURN_NS / each_ns;
    const unsigned target = fit < 1 ? 1 : fit > BUDGET_MAX ? BUDGET_MAX : (unsigned)fit;
    loop->budget = target < loop->budget ? target : (loop->budget * 3 + target + 3) / 4;
}

static void fire_due(struct whorl__callback *self, bool over)
{
    struct whorl__loop *const loop = whorl_container_of(self, struct whorl__loop, due_call);
    const unsigned fired = whorl__timers_fire_due(&loop->timers, loop->runtime);
    (void)over; /* those of waits are gone with their tasks; others know what to do */
    whorl__count(&loop->stats.timers, fired);
}

/* The batch is over, and with it the call of the last time. */
static void queue_due(struct whorl__loop *loop, int64_t now_ns)
{
    if (whorl__timers_collect(&loop->timers, now_ns) > 0) {
        loop->due_call.run = fire_due;
        whorl__loop_push_callback(loop, &loop->due_call);
    }
}

static void fire_timers(struct whorl__loop *loop, int64_t now_ns)
{
    if (whorl__timers_next(&loop->timers) > now_ns) {
        return;
    }
    if (loop->strict) {
        queue_due(loop, now_ns);
    } else {
        whorl__count(&loop->stats.timers,
                     whorl__timers_fire(&loop->timers, loop->runtime, now_ns));
    }
}

static void take_polled(struct whorl__loop *loop)
{
    loop->polled_ns = whorl__os->now_ns();
    whorl__count(&loop->stats.polls, 1);
    whorl__count(&loop->stats.events, loop->poll_result.event_count);
    whorl__sched_wake_polled(loop, &loop->poll_result);
}

static void look_into_poller(struct whorl__loop *loop)
{
    whorl__poller_poll(&loop->poller, 0, &loop->poll_result);
    take_polled(loop);
}

static int64_t sleep_time(const struct whorl__loop *loop, int64_t limit_ns)
{
    const int64_t own_ns = whorl__timers_next(&loop->timers);
    const int64_t watched_ns = whorl__rescue_next_deadline(loop);
    const int64_t next_ns = own_ns < watched_ns ? own_ns : watched_ns;
    if (next_ns == WHORL_NEVER) {
        return limit_ns == WHORL_NEVER ? -1 : limit_ns;
    }
    const int64_t now_ns = whorl__os->now_ns();
    const int64_t left_ns = next_ns > now_ns ? next_ns - now_ns : 0;
    return left_ns < limit_ns ? left_ns : limit_ns;
}

static void review_lease(struct whorl__loop *loop, bool sleeps)
{
    if (WHORL_UNLIKELY(whorl__stock_is_lease(loop))) {
        loop->runtime->review_lease(loop, sleeps);
    }
}

/* The monitor may have seen the loop asleep, and parked, even where it then did not sleep. */
static void sleep_in_poller(struct whorl__loop *loop, int64_t limit_ns)
{
    review_lease(loop, true);
    const bool sleeps = whorl__idle_sleep_begin(loop);
    if (sleeps) {
        whorl__count(&loop->stats.sleeps, 1);
        whorl__poller_poll(&loop->poller, sleep_time(loop, limit_ns), &loop->poll_result);
    }
    whorl__idle_sleep_end(loop);
    whorl__monitor_nudge(loop->runtime);
    if (sleeps) {
        if (loop->strict) {
            (void)whorl__loop_take_inbox(loop); /* those came before the events were looked at */
        }
        take_polled(loop);
        fire_timers(loop, loop->polled_ns);
    }
}

/* There is nothing to do, unless very many tasks have ended; then a little at a time. */
static void release_or_sleep(struct whorl__loop *loop, int64_t limit_ns)
{
    if (WHORL_UNLIKELY(whorl__stacks_release(loop->runtime->stacks, RELEASE_IDLE) > 0)) {
        look_into_poller(loop);
    } else {
        sleep_in_poller(loop, limit_ns);
    }
}

static void release_now_and_then(struct whorl__loop *loop, int64_t now_ns)
{
    if (WHORL_UNLIKELY(now_ns - loop->released_ns >= RELEASE_NS)) {
        loop->released_ns = now_ns;
        (void)whorl__stacks_release(loop->runtime->stacks, RELEASE_BUSY);
    }
}

/* Found: the loop searches no longer; if it was the last one to, the next is woken. */
static void run_found(struct whorl__loop *loop, struct whorl_task *task)
{
    if (loop->searching) {
        whorl__store_relaxed_u32(&loop->searching, 0); /* relaxed: for dumps */
        if (whorl__idle_search_end(loop->runtime)) {
            whorl__idle_notify(loop, loop->runtime);
        }
    }
    run_item(loop, &task->item, times_steps(loop));
}

static struct whorl_task *search(struct whorl__loop *loop)
{
    if (!loop->runtime->stealing) {
        return NULL;
    }
    if (!loop->searching) {
        /* relaxed: for dumps */
        whorl__store_relaxed_u32(&loop->searching, whorl__idle_search_begin(loop->runtime));
    }
    return loop->searching ? whorl__steal(loop) : whorl__sched_take_shared(loop);
}

/*
 * Work of its own turned up while it searched. It must not run that while it counts as a searcher:
 * a task may hold the loop for long, and nobody else would be woken to search all that time.
 */
static WHORL_COLD void stop_searching(struct whorl__loop *loop)
{
    whorl__store_relaxed_u32(&loop->searching, 0); /* relaxed: for dumps */
    const bool was_last = whorl__idle_search_end(loop->runtime);
    whorl__fence_full(); /* pairs I1: as in sleep_begin, the count before the look */
    if (was_last && whorl__steal_something_there(loop)) {
        whorl__idle_notify(loop, loop->runtime);
    }
}

static void find_work_or_sleep(struct whorl__loop *loop)
{
    struct whorl_task *const task = search(loop);
    if (task != NULL) {
        run_found(loop, task);
    } else {
        release_or_sleep(loop, WHORL_NEVER);
    }
}

/*
 * Tasks that gave way, or whose sockets became ready one by one, woke nobody. Where several are
 * ready another loop may have some. Between two of these looks a task may still hold the loop, and
 * what waits behind it is then found by the monitor.
 */
static void offer_surplus(struct whorl__loop *loop)
{
    const unsigned ring = whorl__runqueue_length(&loop->queue);
    /* relaxed: its own store, or a thief's */
    const bool others = !whorl__fifo_is_empty(&loop->bound) ||
                        whorl__load_relaxed_ptr(&loop->hot) != NULL;
    if (ring + others > 1) {
        whorl__idle_notify(loop, loop->runtime);
    }
}

static bool has_ready(const struct whorl__loop *loop)
{
    /* relaxed: its own store, or a thief's */
    return !whorl__fifo_is_empty(&loop->bound) ||
           (!loop->strict && (whorl__load_relaxed_ptr(&loop->hot) != NULL ||
                              whorl__runqueue_length(&loop->queue) > 0));
}

/* What spawns, parks and dumps take for the present. */
static void note_turn(struct whorl__loop *loop, int64_t now_ns)
{
    whorl__store_relaxed_u64(&loop->turn_ns, (uint64_t)now_ns); /* relaxed: figures for dumps */
    whorl__store_relaxed_u32(&loop->bound_seen, (uint32_t)loop->bound.count);
}

/* True: it was held, and goes on with the pass that a run begins with. */
static inline bool hold(struct whorl__loop *loop)
{
    /* relaxed: who sees it late does so before it sleeps, or is woken; halt.c, P1 */
    if (WHORL_LIKELY(whorl__load_relaxed_u32(&loop->runtime->stop) == 0)) {
        return false;
    }
    review_lease(loop, true);
    return whorl__halt_hold(loop);
}

/* How many items may run before the clock is asked again: half of POLL_NS worth of such as ran. */
static void adapt_unclocked(struct whorl__loop *loop, uint64_t ran, int64_t took_ns)
{
    const int64_t each_ns = ran > 0 ? took_ns / (int64_t)ran + 1 : POLL_NS;
    const int64_t fit = POLL_NS / 2 / each_ns;
    const unsigned most = loop->unclocked_max * 2 + 1;
    loop->unclocked_max = fit < BUDGET_MAX ? (unsigned)fit : BUDGET_MAX;
    loop->unclocked_max = loop->unclocked_max < most ? loop->unclocked_max : most;
}

/*
 * While there is no timer, a pass wants the clock only to know how long ago the poller was asked,
 * and a pass of one short task is over before a clock has been read.
 */
static inline void look_at_clock(struct whorl__loop *loop, int64_t *now_ns)
{
    const uint64_t runs = loop->stats.runs + loop->called_count;
    const uint64_t ran = runs - loop->clocked_runs;
    if (ran < loop->unclocked_max && whorl__timers_next(&loop->timers) == WHORL_NEVER) {
        return;
    }
    const int64_t before_ns = *now_ns;
    *now_ns = whorl__os->now_ns();
    adapt_unclocked(loop, ran, *now_ns - before_ns);
    loop->clocked_runs = runs;
}

/* Fills the next batch. While there is nothing for it, the poller is waited in, up to the limit. */
static inline void fill_batch(struct whorl__loop *loop, int64_t limit_ns, int64_t *now_ns)
{
    look_at_clock(loop, now_ns);
    (void)whorl__loop_take_inbox(loop);
    if (limit_ns > 0 && !has_ready(loop) && whorl__timers_next(&loop->timers) > *now_ns) {
        release_or_sleep(loop, limit_ns);
    } else if (limit_ns == 0 || loop->poll_now || *now_ns - loop->polled_ns >= POLL_NS) {
        look_into_poller(loop);
    }
    loop->poll_now = false;
    *now_ns = *now_ns > loop->polled_ns ? *now_ns : loop->polled_ns;
    fire_timers(loop, *now_ns);
}

static void strict_turn(struct whorl__loop *loop, int64_t *now_ns)
{
    run_batch(loop);
    review_lease(loop, false);
    fill_batch(loop, hold(loop) ? 0 : WHORL_NEVER, now_ns);
}

static void fast_turn(struct whorl__loop *loop, int64_t *now_ns)
{
    if (loop->searching && has_ready(loop)) {
        stop_searching(loop);
    }
    /* A searcher has nothing of its own, and takes from the shared queue as a searcher. */
    loop->inlined = 0;
    const unsigned ran = loop->searching ? 0 : run_ready(loop);
    review_lease(loop, false);
    const int64_t start_ns = *now_ns;
    *now_ns = whorl__os->now_ns();
    adapt_budget(loop, ran + loop->inlined, *now_ns - start_ns);
    if (hold(loop)) {
        look_into_poller(loop);
        *now_ns = loop->polled_ns;
    }
    fire_timers(loop, *now_ns);
    (void)whorl__loop_take_inbox(loop);
    whorl__rescue_serve(loop);
    if (!has_ready(loop)) {
        find_work_or_sleep(loop);
        *now_ns = *now_ns > loop->polled_ns ? *now_ns : loop->polled_ns;
        return;
    }
    offer_surplus(loop);
    if (*now_ns - loop->polled_ns >= POLL_NS) {
        look_into_poller(loop);
        *now_ns = loop->polled_ns;
    }
}

static void turn(struct whorl__loop *loop, int64_t *now_ns)
{
    whorl__count(&loop->stats.turns, 1);
    note_turn(loop, *now_ns);
    release_now_and_then(loop, *now_ns);
    if (loop->strict) {
        strict_turn(loop, now_ns);
    } else {
        fast_turn(loop, now_ns);
    }
}

/* ---- the thread ---- */

void whorl__worker_attach(struct whorl__loop *loop)
{
    whorl__fiber_init_host(&loop->host);
    loop->errno_at = whorl__tls_errno_at();
    loop->cxx_own = loop->runtime->cxx_here != NULL ? loop->runtime->cxx_here() : NULL;
    loop->cxx = loop->cxx_own;
}

void whorl__worker_detach(struct whorl__loop *loop)
{
    if (loop->spare != NULL) {
        whorl__fibers_put(&loop->fibers, loop->spare);
        loop->spare = NULL;
    }
    whorl__fiber_fini_host(&loop->host);
}

/*
 * Between two steps the thread is none of the runtime's, and from the last look on the loop counts
 * as asleep: who gives it something wakes it, and its poller is ready then. P1 of loop.c
 */
void whorl__worker_step(struct whorl__loop *loop, int64_t limit_ns)
{
    int64_t now_ns = loop->polled_ns;
    WHORL_ASSERT(loop->strict);
    loop->unclocked_max = 0; /* between two steps time has passed */
    whorl__tls_set_worker((struct whorl__worker *)loop);
    whorl__idle_sleep_end(loop);
    whorl__count(&loop->stats.turns, 1);
    /* relaxed: a request that comes now ends the sleep, or the next step */
    const bool stops = whorl__load_relaxed_u32(&loop->runtime->stop) != 0;
    fill_batch(loop, stops ? 0 : limit_ns, &now_ns);
    note_turn(loop, now_ns);
    run_batch(loop);
    review_lease(loop, true);
    whorl__tls_set_worker(NULL);
}

void *whorl__worker_main(void *arg)
{
    struct whorl__loop *const loop = arg;
    whorl__tls_set_worker((struct whorl__worker *)loop);
    whorl__worker_attach(loop);
    int64_t now_ns = whorl__os->now_ns();
    /* acquire, pairs workers_stop */
    while (!(whorl__load_acquire_u32(&loop->runtime->stop) & WHORL__STOP_LEAVE)) {
        turn(loop, &now_ns);
    }
    struct whorl_task *const left = whorl__entry_take(loop); /* stale entries only */
    WHORL_ASSERT(left == NULL);
    (void)left;
    whorl__worker_detach(loop);
    whorl__tls_set_worker(NULL);
    return NULL;
}

void whorl__workers_stop(struct whorl__runtime *runtime, unsigned count)
{
    whorl__store_release_u32(&runtime->stop, WHORL__STOP_LEAVE);
    /* Before the wakes, for a rescuer may take one of them: either the loop sees stop when it goes
     * to sleep, or the rescuer sees that it sleeps. P1 of loop.c */
    whorl__fence_full();
    for (unsigned i = 0; i < count; i++) {
        whorl__poller_wake(&runtime->loops[i]->poller);
    }
}

/* ---- the end of a task's memory ---- */

/* What few tasks have beside their slot. `here`: the calling thread's loop, or NULL. */
static void clear(struct whorl__loop *here, struct whorl_task *task)
{
    void *const more = whorl__load_relaxed_ptr(&task->more); /* relaxed: it is alone */
    if (WHORL_LIKELY(more == NULL)) {
        return;
    }
    if (here != NULL && whorl__stock_give(here, more)) { /* task/context.c */
        whorl__store_relaxed_ptr(&task->more, NULL); /* relaxed: it is alone */
    } else {
        task->runtime->clear(task, here);
    }
}

/* True: it was the last. acquire: all that the others did before they let go is seen. */
static bool let_go(struct whorl_task *task)
{
    return whorl__load_acquire_u32(&task->future.references) == 1 ||
           whorl__add_u32(&task->future.references, (uint32_t)-1) == 1;
}

/* A failure that nobody knows of is told first, and whoever was told may keep the task. */
static bool is_last(struct whorl_task *task)
{
    while (let_go(task)) {
        if (WHORL_LIKELY(!whorl__future_is_unseen(&task->future))) {
            return true;
        }
        whorl__unseen_tell_task(task);
    }
    return false;
}

static WHORL_COLD void free_slot_remote(struct whorl_task *task)
{
    struct whorl__runtime *const runtime = task->runtime;
    clear(NULL, task);
    if (whorl__slots_give_remote(&runtime->slots, task)) {
        whorl__os->free(runtime);
    }
}

static void free_slot(struct whorl__loop *here, struct whorl_task *task)
{
    clear(here, task);
    whorl__store_relaxed_u32(&task->future.references, 0); /* relaxed: nobody refers to it */
    whorl__plain_write(&task->future.error); /* what others did before they let go is over */
    whorl__state_free(&task->word);
    whorl__slots_give(&task->runtime->slots, &here->slots, task);
}

void whorl__sched_drop_on(struct whorl__loop *here, struct whorl_task *task)
{
    if (is_last(task)) {
        free_slot(here, task);
    }
}

void whorl__sched_drop(struct whorl_task *task)
{
    if (!is_last(task)) {
        return;
    }
    struct whorl__loop *const here = whorl__loop_current();
    if (here != NULL && here->runtime == task->runtime) {
        free_slot(here, task);
    } else {
        free_slot_remote(task);
    }
}
