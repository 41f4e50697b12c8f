/*
 * check.c - what must hold whenever a simulated thread is in a call.
 *
 * Between two calls a thread runs alone, so what it does there is one step: whatever the runtime
 * may leave half done over a call must be named here. These are:
 *
 *   a task in nobody's queue    its holder writes to an eventfd or wakes a futex, on its way to
 *                               queue it: whom it wakes first is a matter of speed
 *   work beside sleeping loops  a wake-up is being written; or it waits behind a task whose loop is
 *                               not stuck yet, or the monitor has not looked: that may not last
 *
 * The checks:
 *
 *   K1  a ready task is in exactly one place: current, in hand, hot, ring, bound list or inbox of
 *       one loop, the shared queue, or the line of its strand. What is parked, done or free is in
 *       no queue. So nothing runs twice, and nothing is lost. A stale entry of a ring
 *       (sched/entry.h) is no place; what is open is in a ring, by an entry of its own.
 *   K2  idle.word counts the sleepers that are listed, and the loops that search or were woken to;
 *       stuck_count counts the stuck.
 *   K3  a loop that sleeps in its poller has no work of its own, unless its wake-up is under way.
 *   K4  work that others may take does not lie about for PATIENCE_NS while a loop sleeps and nobody
 *       searches.
 *   K5  the first deadline of a heap is the one that its loop sleeps by.
 *   K6  the alarm for lost wake-ups has found none.
 *
 * A chunk's slots are used in order, so the walk over all tasks ends at the first that never was.
 *
 * Owns:       sim->runtime, workers, seen, idle_since_ns.
 * Threads:    the carrier, which reads what is other threads' in life.
 * Invariant:  nothing of the runtime is changed here.
 */
#include "sim/sim.h"

#include "base/assert.h"
#include "sched/entry.h"
#include "sched/strand.h"

#define PATIENCE_STALLS INT64_C(20)
#define PATIENCE_NS     (500 * WHORL_MILLISECOND)

/* ---- which runtime ---- */

void whorl__sim_note_worker(void)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl_sim_thread *const self = sim->current;
    struct whorl__worker *const worker = whorl__tls_worker();
    if (worker == self->worker) {
        return;
    }
    if (self->worker == NULL) {
        sim->workers++;
        sim->runtime_seen = true;
        sim->runtime = ((struct whorl__loop *)worker)->runtime;
    } else if (worker == NULL && --sim->workers == 0) {
        sim->runtime = NULL; /* its thread may be freed with it from now on */
    }
    self->worker = worker;
}

int64_t whorl__sim_task_here(void)
{
    const struct whorl__loop *const loop = whorl__loop_current();
    const struct whorl_task *const task = loop != NULL ? loop->current : NULL;
    return task != NULL ? (int64_t)task->index : -1;
}

/* ---- K1: each task in its place ---- */

static void make_room(struct whorl__sim *sim, uint32_t count)
{
    if (count > sim->seen_room) {
        whorl__sim_disown(sim->seen);
        sim->seen = whorl__sim_own(count * sizeof *sim->seen);
        sim->seen_room = count;
        sim->seen_round = 0;
    }
}

static enum whorl__phase phase_of(const struct whorl_task *task)
{
    return whorl__state_phase(whorl__load_relaxed_u64(&task->word)); /* relaxed: one thread */
}

static void see(const struct whorl_task *task, const char *place)
{
    struct whorl__sim *const sim = whorl__sim;
    if (sim->seen[task->index] == sim->seen_round) {
        whorl__sim_fail("K1: task %u is in two places; the second one found is %s", task->index,
                        place);
    }
    sim->seen[task->index] = sim->seen_round;
}

static void see_queued(const struct whorl_task *task, const char *place)
{
    if (phase_of(task) != WHORL__LIVE) {
        whorl__sim_fail("K1: task %u is in %s and not ready (phase %d)", task->index, place,
                        (int)phase_of(task));
    }
    see(task, place);
}

/* By an entry of its own: only so is a task in its place that is open. */
static void see_held(const struct whorl_task *task, const char *place)
{
    if (whorl__load_relaxed_u64(&task->word) & WHORL__OPEN) { /* relaxed: one thread */
        whorl__sim_fail("K1: task %u is open, and in %s", task->index, place);
    }
    see_queued(task, place);
}

static void see_list(const struct whorl__fifo *fifo, const char *place)
{
    for (struct whorl__fifo_node *node = fifo->head; node != NULL; node = node->next) {
        if (!whorl__item_is_call(whorl__item_of_ready(node))) {
            see_held(whorl__task_of_ready(node), place);
        }
    }
}

static void see_inbox(const struct whorl__inbox *inbox)
{
    /* relaxed: one thread */
    struct ck_stack_entry *entry = whorl__load_relaxed_ptr((void *const *)&inbox->stack.head);
    for (; entry != NULL; entry = entry->next) {
        struct whorl__item *const item = whorl__item_of_inbox(
            whorl_container_of(entry, struct whorl__inbox_node, entry));
        if (!whorl__item_is_call(item)) {
            see_held(whorl__task_of_item(item), "an inbox");
        }
    }
}

static void see_ring(const struct whorl__loop *loop)
{
    struct whorl__slots *const slots = &loop->runtime->slots;
    void *entry;
    for (unsigned i = 0; (entry = whorl__runqueue_peek(&loop->queue, i)) != NULL; i++) {
        if (whorl__entry_is_open(entry) && whorl__entry_is_live(slots, entry)) {
            see_queued(whorl__entry_task(slots, entry), "a ring");
        } else if (!whorl__entry_is_open(entry)) {
            see_held(entry, "a ring");
        }
    }
}

/* One that has run may have ended. */
static void see_with_loop(const struct whorl__loop *loop, const struct whorl_task *task,
                          const char *place)
{
    if (phase_of(task) != WHORL__LIVE && phase_of(task) != WHORL__DONE) {
        whorl__sim_fail("K1: loop %u runs task %u, which is parked or free", loop->index,
                        task->index);
    }
    see(task, place);
}

static void see_loop(const struct whorl__loop *loop)
{
    /* relaxed: one thread */
    const struct whorl_task *const hot = whorl__load_relaxed_ptr(&loop->hot);
    const struct whorl_task *const current = whorl__load_relaxed_ptr(&loop->current);
    if (hot != NULL) {
        see_held(hot, "a hot slot");
    }
    if (current != NULL) {
        see_with_loop(loop, current, "current");
    }
    if (loop->in_hand != NULL) {
        see_with_loop(loop, loop->in_hand, "in hand");
    }
    for (const struct whorl__nested *nested = loop->nested; nested != NULL;
         nested = nested->outer) {
        if (nested->creator != NULL) {
            see_held(nested->creator, "a call to a task that begins at once");
        }
    }
    see_list(&loop->bound, "a bound list");
    see_inbox(&loop->inbox);
    see_ring(loop);
}

static bool somebody_may_hold_one(const struct whorl__sim *sim)
{
    for (unsigned i = 0; i < sim->live_count; i++) {
        const struct whorl_sim_thread *const thread = sim->live[i];
        if (thread->call == WHORL__SIM_FUTEX_WAKE ||
            (thread->call == WHORL__SIM_WRITE && whorl__sim_fd_is_eventfd(thread->call_about))) {
            return true;
        }
    }
    return false;
}

static bool was_never_used(const struct whorl_task *task)
{
    return whorl__load_relaxed_u64(&task->word) == 0; /* relaxed: one thread */
}

/* It may stand in the line of its strand, and then nowhere else. */
static void see_in_line(const struct whorl_task *task)
{
    const struct whorl__strand *const strand = whorl__strand_shared(task);
    struct whorl__fifo_node *node = strand != NULL ? strand->ready.head : NULL;
    for (; node != NULL; node = node->next) {
        if (whorl__task_of_ready(node) == task) {
            see_queued(task, "the line of its strand");
        }
    }
}

static void find_lost(struct whorl__sim *sim, struct whorl__slots *slots)
{
    const uint32_t count = whorl__slots_count(slots);
    for (uint32_t start = 0; start < count; start += WHORL__CHUNK_SLOTS) {
        for (uint32_t i = start; i < start + WHORL__CHUNK_SLOTS; i++) {
            const struct whorl_task *const task = whorl__slot_at(slots, i);
            if (was_never_used(task)) {
                break;
            }
            if (phase_of(task) != WHORL__LIVE) {
                continue;
            }
            see_in_line(task);
            if (sim->seen[i] != sim->seen_round && !somebody_may_hold_one(sim)) {
                whorl__sim_fail("K1: task %u is ready and in no place: it is lost", i);
            }
        }
    }
}

static void check_tasks(struct whorl__sim *sim, struct whorl__runtime *runtime)
{
    make_room(sim, whorl__slots_count(&runtime->slots));
    sim->seen_round++;
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        see_loop(runtime->loops[i]);
    }
    see_list(&runtime->shared.tasks, "the shared queue");
    find_lost(sim, &runtime->slots);
}

/* ---- K2: the counts ---- */

static bool is_listed(const struct whorl__runtime *runtime, unsigned index)
{
    return runtime->idle.sleepers[index / 64] >> (index % 64) & 1;
}

static void check_counts(const struct whorl__runtime *runtime)
{
    uint32_t sleeping = 0, searching = 0, stuck = 0;
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        const struct whorl__loop *const loop = runtime->loops[i];
        const bool listed = is_listed(runtime, i);
        sleeping += listed;
        /* one that sleeps and is not listed was claimed, and counted as searching */
        searching += loop->searching || (whorl__load_relaxed_u32(&loop->sleeping) && !listed);
        stuck += whorl__load_relaxed_u32(&loop->stuck) != 0; /* relaxed: here one thread */
    }
    const uint32_t word = whorl__load_relaxed_u32(&runtime->idle.word); /* relaxed: one thread */
    if (runtime->stealing && word != (sleeping << 16 | searching)) {
        whorl__sim_fail("K2: the idle word says %u sleeping, %u searching; it is %u, %u",
                        word >> 16, word & 0xffff, sleeping, searching);
    }
    /* relaxed: one thread */
    const uint32_t said = whorl__load_relaxed_u32(&runtime->monitor.stuck_count);
    if (said != stuck) {
        whorl__sim_fail("K2: stuck_count says %u; it is %u", said, stuck);
    }
}

/* ---- K3, K5: who sleeps ---- */

static bool has_own_work(const struct whorl__loop *loop)
{
    return whorl__loop_has_own_work(loop) || whorl__runqueue_length(&loop->queue) > 0;
}

/* It is about to write the loop's eventfd, or has taken its wake as a rescuer, and not looked yet
 * whether to pass it on. */
static bool brings_wake(const struct whorl_sim_thread *thread, const struct whorl__loop *loop)
{
    const struct whorl__poller *const poller = &loop->poller;
    return (thread->call == WHORL__SIM_WRITE && thread->call_about == poller->wake_fd) ||
           (thread->call == WHORL__SIM_EPOLL_WAIT && thread->call_about == poller->epoll_fd &&
            thread->worker != (const struct whorl__worker *)loop);
}

static bool wake_is_under_way(const struct whorl__sim *sim, const struct whorl__loop *loop)
{
    for (unsigned i = 0; i < sim->live_count; i++) {
        if (brings_wake(sim->live[i], loop)) {
            return true;
        }
    }
    return false;
}

static void check_sleeper(const struct whorl__sim *sim, const struct whorl_sim_thread *thread)
{
    const struct whorl__loop *const loop = (const struct whorl__loop *)thread->worker;
    if (loop == NULL || thread->state != WHORL__SIM_WAITING ||
        thread->call != WHORL__SIM_EPOLL_WAIT) {
        return;
    }
    if (has_own_work(loop) && !wake_is_under_way(sim, loop)) {
        whorl__sim_fail("K3: loop %u sleeps over work of its own, and nobody wakes it",
                        loop->index);
    }
    /* the timeout is relative: what passes before the call begins is nobody's fault */
    const int64_t next_ns = whorl__timers_next(&loop->timers);
    if (next_ns < thread->sleeps_until_ns && !wake_is_under_way(sim, loop)) {
        whorl__sim_fail("K5: loop %u sleeps past its first deadline, by %lld ns", loop->index,
                        (long long)(thread->sleeps_until_ns - next_ns));
    }
}

static void check_loop(const struct whorl__loop *loop)
{
    /* relaxed: one thread */
    if (whorl__load_relaxed_u64(&loop->stats.missed_wakes) > 0) {
        whorl__sim_fail("K6: loop %u has slept over its work until the alarm woke it",
                        loop->index);
    }
    const struct whorl__heap_node *const first = whorl__heap_peek(&loop->timers.heap);
    const int64_t first_ns = first != NULL ? first->key : WHORL_NEVER;
    if (first_ns != whorl__timers_next(&loop->timers)) {
        whorl__sim_fail("K5: loop %u takes %lld for its first deadline; it is %lld", loop->index,
                        (long long)whorl__timers_next(&loop->timers), (long long)first_ns);
    }
}

/* ---- K4: work that nobody comes for ---- */

static bool something_lies_about(const struct whorl__runtime *runtime)
{
    if (whorl__load_relaxed_u32(&runtime->shared.count) > 0) { /* relaxed: one thread */
        return true;
    }
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        if (whorl__entry_count(runtime->loops[i]) > 0) {
            return true;
        }
    }
    return false;
}

static void check_neglect(struct whorl__sim *sim, const struct whorl__runtime *runtime)
{
    const uint32_t word = whorl__load_relaxed_u32(&runtime->idle.word); /* relaxed: one thread */
    const bool helpers = runtime->stealing && runtime->stall_ns != WHORL_NEVER;
    if (!helpers || word >> 16 == 0 || (word & 0xffff) > 0 || !something_lies_about(runtime)) {
        sim->idle_since_ns = INT64_MAX;
        return;
    }
    if (sim->idle_since_ns == INT64_MAX) {
        sim->idle_since_ns = sim->now_ns;
    }
    const int64_t patience_ns = PATIENCE_NS + PATIENCE_STALLS * runtime->stall_ns;
    if (sim->now_ns - sim->idle_since_ns > patience_ns) {
        whorl__sim_fail("K4: work has waited for %lld ns beside %u sleeping loops",
                        (long long)(sim->now_ns - sim->idle_since_ns), word >> 16);
    }
}

void whorl__sim_check(void)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl__runtime *const runtime = sim->runtime;
    if (runtime == NULL || whorl__load_relaxed_u32(&runtime->stop)) { /* relaxed: one thread */
        return;
    }
    check_tasks(sim, runtime);
    check_counts(runtime);
    for (unsigned i = 0; i < sim->live_count; i++) {
        check_sleeper(sim, sim->live[i]);
    }
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        check_loop(runtime->loops[i]);
    }
    check_neglect(sim, runtime);
}
