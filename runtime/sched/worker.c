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
 * Owns:       loop->budget, polled_ns, searching.
 * Threads:    the loop's own.
 * Invariant:  what runs in a turn is run by run.c: as many as the budget says, or the batch.
 *             The budget is what took about WHORL__TURN_NS lately: so a socket waits about that
 *             long for its loop to look, however long tasks run. In strict order it waits for the
 *             batch.
 */
#include "sched/entry.h"

#include "sys/os.h"

#define POLL_NS    (50 * WHORL_MICROSECOND)
#define BUDGET_MAX 64

/* Stacks whose memory goes back at once: by a loop with nothing else to do, and by a busy one, once
 * in so long. */
#define RELEASE_IDLE 64
#define RELEASE_BUSY 16
#define RELEASE_NS   WHORL_MILLISECOND

/* ---- the phases of a turn ---- */

/* The next turn's budget: WHORL__TURN_NS worth of tasks of the length they just had. */
static void adapt_budget(struct whorl__loop *loop, unsigned ran, int64_t took_ns)
{
    const bool short_tasks = took_ns * BUDGET_MAX < WHORL__TURN_NS * ran;
    if (ran == 0 || (short_tasks && loop->budget == BUDGET_MAX)) {
        return;
    }
    const int64_t each_ns = took_ns / ran + 1;
    const int64_t fit = WHORL__TURN_NS / each_ns;
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
    whorl__sched_run(loop, &task->item);
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
    whorl__sched_run_batch(loop);
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
    const unsigned ran = loop->searching ? 0 : whorl__sched_run_ready(loop);
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
    whorl__sched_run_batch(loop);
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
