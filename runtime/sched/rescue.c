/*
 * rescue.c - a loop is stuck in one task: others serve its sockets, and the culprit is named.
 *
 * A task that computes or blocks keeps its loop from its poller, its timers and its queues. The
 * queues are stolen from as ever. For the rest, a monitor thread looks at all loops every half
 * stall_ns; one that has been in the same run of a task for stall_ns is marked stuck, and from then
 * on another loop, its watcher,
 *   - asks its epoll along with its own: the kernel lets any thread do that, and the records take
 *     events from two pollers at once;
 *   - fires its timers, under their lock;
 *   - has its epoll inside the own one, so that it can sleep and still be told. Where the kernel
 *     refuses that, it sleeps no longer than stall_ns: two loops that are stuck by turns would have
 *     each other's epoll inside their own, for who gets stuck while it watches has not cleared up.
 * What it finds becomes ready on the watcher. Pinned tasks stay, and wait.
 *
 * A loop that nobody serves is announced at every look, not once: its watcher may have got stuck
 * itself, and an announcement reaches nobody while no loop searches or sleeps.
 *
 * A task that is about to block can say so (whorl_blocking_begin): its loop is then stuck at once,
 * what stands in its hot slot goes to the ring, and the monitor does not report it as long as
 * somebody serves the loop.
 *
 *   stuck     NOT --monitor: cas--> FOUND --monitor: cas, loop: swap--> NOT
 *             NOT, FOUND --loop, in a section: swap--> SAID --loop: swap--> NOT
 *
 *   losing order                              ours
 *   monitor: sees a run that is new to it     monitor: sees a run that is new to it
 *   loop:    says that it is stuck            loop:    says that it is stuck
 *   monitor: clears the mark; nobody          monitor: clears what it has found itself, and
 *            serves the loop for stall_ns              nothing else
 *
 * Owns:       runtime->monitor; loop->stuck, section, watcher, watching.
 * Threads:    monitor: marks. The stuck loop, once its task comes back: unmarks. Others: watch.
 * Invariant:  loop k has at most one watcher w with k->watcher == w + 1, and only w has k's epoll
 *             inside its own, until it sees that it is the watcher no longer.
 *             stuck_count is never less than the number of stuck loops.
 * Pairs:      C1  marking: stuck_count + 1, then stuck - unmarking: the same backwards.
 *                 Both are hints to the other loops, which look at them every turn.
 *             C2  parking: state := PARKED, full fence, all asleep? - waking loop: sleeping := 0,
 *                 full fence, read state                              (not both may miss)
 *             C3  section: stuck := SAID, full fence (of notify), read idle.word - sleep:
 *                 idle.word, full fence, read stuck           (not both may miss, as in I1)
 *
 * The wake-up that a rescuer takes: loop k comes back and sleeps, somebody writes its eventfd, and
 * the rescuer's last look at k's epoll swallows that edge. So who finds a wake in a foreign poller
 * looks whether its loop sleeps, and writes again.
 *
 * With one loop there is nobody to help: the monitor only names the culprit.
 */
#include "sched/sched.h"

#include "sched/culprit.h"
#include "sys/os.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define MONITOR_WATCHING 0
#define MONITOR_PARKED   1
#define MONITOR_STOP     2

/* Looks without anybody awake before the monitor parks. A model lowers it, as it does with the
 * other sizes of this kind. */
#ifndef WHORL__QUIET_LOOKS_MAX
#    define WHORL__QUIET_LOOKS_MAX 50
#endif

struct sample {
    uint64_t runs;    /* the loop's count of runs when it was seen first */
    int64_t since_ns; /* and when that was */
    int64_t cpu_ns;   /* its thread's CPU time half-way to a report; 0 before */
    bool told;        /* the task was named in this run */
    uint64_t calls;        /* as runs, of calls */
    int64_t call_since_ns; /* when that call was seen first */
    int64_t call_cpu_ns;   /* its thread's CPU time then */
    bool call_told;
    struct whorl__alarm alarm;
};

void whorl__log(struct whorl__runtime *runtime, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    runtime->log(runtime->log_arg, line);
}

/* ---- marking ---- */

static void count_stuck(struct whorl__loop *loop, uint32_t more)
{
    (void)whorl__add_u32(&loop->runtime->monitor.stuck_count, more); /* C1 */
}

static bool is_stuck(const struct whorl__loop *loop)
{
    /* relaxed: a hint, see C1 */
    return whorl__load_relaxed_u32(&loop->stuck) != WHORL__STUCK_NOT;
}

static bool has_said_so(const struct whorl__loop *loop)
{
    return whorl__load_relaxed_u32(&loop->stuck) == WHORL__STUCK_SAID; /* relaxed: a hint, C1 */
}

static void mark_found(struct whorl__loop *loop)
{
    if (is_stuck(loop)) {
        return;
    }
    count_stuck(loop, 1);
    if (whorl__cas_u32(&loop->stuck, WHORL__STUCK_NOT, WHORL__STUCK_FOUND)) {
        whorl__count(&loop->stats.stalls, 1); /* the monitor is the only writer of this one */
    } else {
        count_stuck(loop, (uint32_t)-1);
    }
}

/* Only what was found: what the loop has said, it takes back itself. */
static void unmark_found(struct whorl__loop *loop)
{
    if (whorl__cas_u32(&loop->stuck, WHORL__STUCK_FOUND, WHORL__STUCK_NOT)) {
        count_stuck(loop, (uint32_t)-1);
    }
}

static void mark_said(struct whorl__loop *loop)
{
    count_stuck(loop, 1);
    if (whorl__swap_u32(&loop->stuck, WHORL__STUCK_SAID) != WHORL__STUCK_NOT) {
        count_stuck(loop, (uint32_t)-1); /* the monitor had counted it */
    }
}

void whorl__rescue_unstuck(struct whorl__loop *loop)
{
    whorl__store_relaxed_ptr(&loop->section, NULL); /* relaxed: others take it for a sample */
    if (whorl__swap_u32(&loop->stuck, WHORL__STUCK_NOT) != WHORL__STUCK_NOT) {
        count_stuck(loop, (uint32_t)-1);
    }
}

/* ---- blocking sections ---- */

const char *whorl__rescue_section(const struct whorl__loop *loop)
{
    /* relaxed, all: the loop's own stores; to others a sample, for reports */
    const char *const name = whorl__load_relaxed_ptr(&loop->section);
    const uint64_t run = whorl__load_relaxed_u64(&loop->section_run);
    return run == whorl__load_relaxed_u64(&loop->stats.runs) ? name : NULL;
}

void whorl__rescue_enter_section(struct whorl__loop *loop, const char *name)
{
    if (whorl__rescue_section(loop) != NULL) {
        loop->section_depth++;
        return;
    }
    loop->section_depth = 1;
    /* relaxed, both: for reports, and for the loop itself */
    whorl__store_relaxed_u64(&loop->section_run, whorl__load_relaxed_u64(&loop->stats.runs));
    whorl__store_relaxed_ptr(&loop->section, (void *)(uintptr_t)name);
    if (!loop->runtime->shares) {
        return;
    }
    whorl__sched_give_hot(loop);
    mark_said(loop);
    whorl__idle_notify(loop, loop->runtime); /* C3 */
}

bool whorl__rescue_leave_section(struct whorl__loop *loop)
{
    if (whorl__rescue_section(loop) == NULL) {
        return false;
    }
    if (--loop->section_depth == 0) {
        whorl__rescue_unstuck(loop);
    }
    return true;
}

/* ---- what the monitor sees ---- */

/* relaxed: what the monitor sees is a sample; a loop it wrongly marks unmarks itself. */
static bool in_same_run(const struct whorl__loop *loop, const struct sample *sample)
{
    return whorl__load_relaxed_ptr(&loop->current) != NULL &&
           whorl__load_relaxed_u64(&loop->stats.runs) == sample->runs;
}

static bool has_stealable(const struct whorl__loop *loop)
{
    /* relaxed: a hint, looked at again in a moment */
    return whorl__load_relaxed_ptr(&loop->hot) != NULL || whorl__runqueue_length(&loop->queue) > 0;
}

/* A watcher that is stuck itself is as good as none. */
static bool is_served(const struct whorl__loop *loop)
{
    const uint32_t watcher = whorl__load_relaxed_u32(&loop->watcher); /* relaxed: a hint */
    return watcher != 0 && !is_stuck(loop->runtime->loops[watcher - 1]);
}

bool whorl__rescue_is_wanted(struct whorl__loop *loop)
{
    struct whorl__runtime *const runtime = loop->runtime;
    /* relaxed: as in is_stuck; a section that began before is seen, C3 */
    if (WHORL_LIKELY(whorl__load_relaxed_u32(&runtime->monitor.stuck_count) == 0)) {
        return false;
    }
    if (is_stuck(loop)) { /* not any more: the monitor has not looked since */
        whorl__rescue_unstuck(loop);
    }
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        if (is_stuck(runtime->loops[i]) && !is_served(runtime->loops[i])) {
            return true;
        }
    }
    return false;
}

/* A loop whose task has said that it blocks, and which is served, holds nobody up. Once a report
 * has named the task, it counts until it has left. */
static bool is_in_order(const struct whorl__loop *loop, const struct sample *sample)
{
    return !in_same_run(loop, sample) ||
           (!sample->told && has_said_so(loop) && is_served(loop));
}

static void tell_begin(struct whorl__loop *loop, struct sample *sample, int64_t held_ns)
{
    const int64_t cpu_ns = whorl__os->thread_cpu_ns(loop->thread) - sample->cpu_ns;
    sample->told = whorl__culprit_report(loop, sample->runs, held_ns, cpu_ns);
}

/* A call that a loop makes between two tasks is named, too; others do not serve its loop meanwhile:
 * what it does is meant to be short. */
static void look_at_call(struct whorl__loop *loop, struct sample *sample, int64_t now_ns)
{
    /* relaxed, both: what the monitor sees is a sample */
    const void *const function = whorl__load_relaxed_ptr(&loop->called);
    const uint64_t calls = whorl__load_relaxed_u64(&loop->called_count);
    if (function == NULL) {
        return;
    }
    if (calls != sample->calls) {
        sample->calls = calls;
        sample->call_since_ns = now_ns;
        sample->call_cpu_ns = whorl__os->thread_cpu_ns(loop->thread);
        sample->call_told = false;
        return;
    }
    const int64_t held_ns = now_ns - sample->call_since_ns;
    if (held_ns >= loop->runtime->report_ns && !sample->call_told) {
        const int64_t cpu_ns = whorl__os->thread_cpu_ns(loop->thread) - sample->call_cpu_ns;
        sample->call_told = whorl__culprit_report_call(loop, function, held_ns, cpu_ns);
    }
}

static void look_at(struct whorl__loop *loop, struct sample *sample, int64_t now_ns)
{
    struct whorl__runtime *const runtime = loop->runtime;
    if (is_in_order(loop, sample)) {
        sample->told = false;
        unmark_found(loop);
        sample->runs = whorl__load_relaxed_u64(&loop->stats.runs); /* relaxed: a sample */
        sample->since_ns = now_ns;
        sample->cpu_ns = 0;
        return;
    }
    const int64_t held_ns = now_ns - sample->since_ns;
    if (sample->cpu_ns == 0 && held_ns >= runtime->report_ns / 2) {
        sample->cpu_ns = whorl__os->thread_cpu_ns(loop->thread);
    }
    if (held_ns >= runtime->report_ns && !sample->told) {
        tell_begin(loop, sample, held_ns);
    }
    if (runtime->shares && (held_ns >= runtime->stall_ns || has_said_so(loop))) {
        mark_found(loop);
        if (!is_served(loop) || has_stealable(loop)) {
            whorl__idle_notify(NULL, runtime);
        }
    }
}

/* ---- the monitor's thread ---- */

static int64_t shortest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool park_until_nudged(struct whorl__runtime *runtime)
{
    uint32_t *const state = &runtime->monitor.state;
    if (!whorl__cas_u32(state, MONITOR_WATCHING, MONITOR_PARKED)) {
        return false;
    }
    whorl__fence_full(); /* pairs C2 */
    if (!whorl__idle_all_sleep(runtime)) {
        (void)whorl__cas_u32(state, MONITOR_PARKED, MONITOR_WATCHING);
        return true;
    }
    while (whorl__load_acquire_u32(state) == MONITOR_PARKED) { /* acquire, pairs the nudge's cas */
        (void)whorl__os->futex_wait(state, MONITOR_PARKED, WHORL_NEVER);
    }
    return true;
}

static void *monitor_main(void *arg)
{
    struct whorl__runtime *const runtime = arg;
    struct sample *const samples = runtime->monitor.samples;
    const int64_t period_ns =
        shortest(runtime->shares ? runtime->stall_ns : WHORL_NEVER, runtime->report_ns) / 2;
    unsigned quiet_looks = 0;
    pthread_setname_np(pthread_self(), "whorl-monitor");
    /* acquire, pairs the store that stops */
    while (whorl__load_acquire_u32(&runtime->monitor.state) != MONITOR_STOP) {
        const int64_t now_ns = whorl__os->now_ns();
        bool uneasy = false;
        for (unsigned i = 0; i < runtime->loop_count; i++) {
            look_at(runtime->loops[i], &samples[i], now_ns);
            look_at_call(runtime->loops[i], &samples[i], now_ns);
            uneasy |= whorl__alarm_look(runtime->loops[i], &samples[i].alarm, now_ns);
        }
        quiet_looks = whorl__idle_all_sleep(runtime) && !uneasy ? quiet_looks + 1 : 0;
        if (quiet_looks > WHORL__QUIET_LOOKS_MAX) {
            (void)park_until_nudged(runtime);
            quiet_looks = 0;
        }
        (void)whorl__os->futex_wait(&runtime->monitor.state, MONITOR_WATCHING,
                                    whorl__os->now_ns() + period_ns);
    }
    return NULL;
}

void whorl__monitor_nudge(struct whorl__runtime *runtime)
{
    uint32_t *const state = &runtime->monitor.state;
    whorl__fence_full(); /* pairs C2 */
    if (WHORL_UNLIKELY(whorl__load_relaxed_u32(state) == MONITOR_PARKED) && /* relaxed: fenced */
        whorl__cas_u32(state, MONITOR_PARKED, MONITOR_WATCHING)) {
        (void)whorl__os->futex_wake(state, 1);
    }
}

static bool wanted(const struct whorl__runtime *runtime)
{
    return runtime->stall_ns != WHORL_NEVER && !runtime->stepped;
}

int whorl__monitor_start(struct whorl__runtime *runtime)
{
    if (!wanted(runtime)) {
        return 0;
    }
    struct sample *const samples = whorl__os->alloc(runtime->loop_count * sizeof *samples);
    if (samples == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        samples[i] = (struct sample){0};
    }
    runtime->monitor.samples = samples;
    whorl__culprit_prepare();
    const int error =
        whorl__os->thread_start(&runtime->monitor.thread, monitor_main, runtime);
    if (error != 0) {
        whorl__os->free(samples);
    }
    return error;
}

void whorl__monitor_stop(struct whorl__runtime *runtime)
{
    if (!wanted(runtime)) {
        return;
    }
    (void)whorl__swap_u32(&runtime->monitor.state, MONITOR_STOP);
    (void)whorl__os->futex_wake(&runtime->monitor.state, 1);
    (void)whorl__os->thread_join(runtime->monitor.thread);
    whorl__os->free(runtime->monitor.samples);
}

/* ---- the watcher ---- */

static bool watches(const struct whorl__loop *loop, const struct whorl__loop *other)
{
    return loop->watch_set[other->index / 64] >> (other->index % 64) & 1;
}

static void begin_watch(struct whorl__loop *loop, struct whorl__loop *other)
{
    const uint32_t before = whorl__load_acquire_u32(&other->watcher); /* acquire: the cas checks */
    const bool orphan = before == 0 || is_stuck(loop->runtime->loops[before - 1]);
    if (!orphan || !whorl__cas_u32(&other->watcher, before, loop->index + 1)) {
        return;
    }
    if (whorl__poller_watch(&loop->poller, &other->poller) != 0) {
        loop->watching_blind = true;
    }
    loop->watch_set[other->index / 64] |= UINT64_C(1) << (other->index % 64);
    loop->watching++;
}

static void end_watch(struct whorl__loop *loop, struct whorl__loop *other)
{
    whorl__poller_unwatch(&loop->poller, &other->poller);
    loop->watch_set[other->index / 64] &= ~(UINT64_C(1) << (other->index % 64));
    loop->watching--;
    loop->watching_blind &= loop->watching > 0;
    (void)whorl__cas_u32(&other->watcher, loop->index + 1, 0);
}

static void serve(struct whorl__loop *loop, struct whorl__loop *stuck)
{
    struct whorl__poll_result *const result = &loop->poll_result;
    whorl__poller_poll(&stuck->poller, 0, result);
    if (result->wake_taken) {
        /* Whoever wrote that wake has fenced between what he published and the wake: the loop sees
         * the one, or he had seen it sleep, and so do we (acquire of the poll). P1 of loop.c */
        whorl__loop_wake(stuck);
    }
    whorl__sched_wake_polled(loop, result);
    whorl__count(&loop->stats.rescues, 1);
    whorl__count(&loop->stats.rescued, result->event_count);
    const unsigned fired =
        whorl__timers_fire(&stuck->timers, loop->runtime, whorl__os->now_ns());
    whorl__count(&loop->stats.timers, fired);
}

static void serve_or_leave(struct whorl__loop *loop, struct whorl__loop *other)
{
    const bool stuck = is_stuck(other);
    if (stuck && !watches(loop, other)) {
        begin_watch(loop, other);
    }
    if (!watches(loop, other)) {
        return;
    }
    /* relaxed: only this loop writes its own number there */
    if (stuck && whorl__load_relaxed_u32(&other->watcher) == loop->index + 1) {
        serve(loop, other);
    } else {
        end_watch(loop, other);
    }
}

void whorl__rescue_serve_slow(struct whorl__loop *loop)
{
    struct whorl__runtime *const runtime = loop->runtime;
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        if (i != loop->index) {
            serve_or_leave(loop, runtime->loops[i]);
        }
    }
}

static int64_t blind_look_ns(const struct whorl__loop *loop)
{
    return whorl__os->now_ns() + loop->runtime->stall_ns;
}

int64_t whorl__rescue_next_deadline_slow(const struct whorl__loop *loop)
{
    int64_t first_ns = loop->watching_blind ? blind_look_ns(loop) : WHORL_NEVER;
    for (unsigned i = 0; loop->watching > 0 && i < loop->runtime->loop_count; i++) {
        const struct whorl__loop *const other = loop->runtime->loops[i];
        if (i != loop->index && watches(loop, other)) {
            first_ns = shortest(first_ns, whorl__timers_next(&other->timers));
        }
    }
    return first_ns;
}
