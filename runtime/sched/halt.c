/*
 * halt.c - a runtime that stops after a pass, and goes on with the next run.
 *
 *   GOING --ask--> HALTING --the last loop has ended its pass--> HALTED --a run begins--> GOING
 *     ^               |                                            |
 *     +---- close ----+-------------------- close -----------------+
 *
 *   GOING    no loop is held. Whether a run is under way makes no difference to the loops.
 *   HALTING  ASKED is set. Each loop ends its pass: strict order the batch, fast order the turn;
 *            then it is held. Its poll does not block, and what it has made ready stays queued.
 *   HALTED   all loops are held, on the futex `go`. Nothing of the runtime runs: other threads may
 *            queue work, complete futures, cancel.
 *
 * The last loop to be held ends the runs that are under way, and with them the request: ASKED is
 * cleared. If there are none it stays: the next run lets each loop do one pass, with a poll that
 * does not block, and is ended. The same if somebody asks while all are held: a request is for one
 * run, whether that has begun or not.
 *
 * Who asks takes no lock: it may be a handler that has interrupted the holder.
 *
 *   losing order                             ours
 *   loop:  its pass is over; ASKED is not    loop:  says that it sleeps, full fence, reads ASKED
 *          set                               asker: sets ASKED, full fence, wakes every loop,
 *   asker: sets ASKED; the loop does not            asleep or not: the wake ends its next poll
 *          sleep, so it wakes nobody
 *   loop:  sleeps; the runs wait for it
 *
 *   losing order                             ours
 *   loop:  reads ASKED                       loop:  reads ASKED
 *   close: clears ASKED, lets all go         close: clears ASKED under the lock, lets all go
 *   loop:  is held, for ever                 loop:  takes the lock, reads it again: goes on
 *
 * A run whose main has ended while a halt is under way waits for that: the request was for it, too.
 *
 * Owns:       runtime->halt; the bit ASKED of runtime->stop; struct whorl__run while it is listed.
 * Threads:    ask: any, a handler too. hold: loops. begin, end: plain threads. lift: the closer.
 * Invariant:  held <= loop_count. A run that is listed is not ended; its frame is there.
 * Pairs:      O1  begin: what the caller did, then go + 1 (release half) - hold: go (acquire)
 *             O2  ask: what the asker did, then ASKED (release half) - hold: stop (acquire), and by
 *                 the lock on to the runs that end
 *             P1  of loop.c, with ASKED in place of work: also if a rescuer takes the wake
 *             A loop takes the lock when its pass is over, a run when it has been told: so the one
 *             sees what was done in the other, whatever the run's word orders.
 * Not chosen: threads that leave, and are started again: a stop would cost what a start does, and
 *             a task's thread-locals would change under it. A flag that tasks look at: they would
 *             have to.
 */
#include "sched/sched.h"

#include "sys/os.h"

#include <errno.h>
#include <limits.h>

static bool is_asked(struct whorl__runtime *runtime)
{
    return (whorl__load_acquire_u32(&runtime->stop) & WHORL__STOP_ASKED) != 0; /* pairs O2 */
}

/* The mark stands for all that the lock protects. */
static void lock(struct whorl__halt *halt)
{
    whorl__spin_lock(&halt->lock);
    whorl__plain_write(&halt->held);
}

static bool is_complete_locked(const struct whorl__runtime *runtime)
{
    return runtime->halt.held == runtime->loop_count;
}

/* Who waits on the futex for what was changed under the lock looks again. */
static void raise_locked(uint32_t *count)
{
    (void)whorl__add_u32(count, 1); /* release half, pairs O1 */
    (void)whorl__os->futex_wake(count, INT_MAX);
}

void whorl__halt_init(struct whorl__halt *halt)
{
    whorl__list_init(&halt->runs);
}

/* ---- asking ---- */

void whorl__halt_ask(struct whorl__runtime *runtime)
{
    if (whorl__or_u32(&runtime->stop, WHORL__STOP_ASKED) & WHORL__STOP_ASKED) { /* pairs O2 */
        return;
    }
    whorl__fence_full(); /* pairs P1, as in workers_stop */
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        whorl__poller_wake(&runtime->loops[i]->poller);
    }
}

/* ---- runs ---- */

static void end_run_locked(struct whorl__run *run, int fate)
{
    whorl__list_remove(&run->link);
    run->fate = fate;
    /* relaxed: the run takes the lock before it goes on, so its frame stays until then */
    whorl__store_relaxed_u32(run->word, 1);
    (void)whorl__os->futex_wake(run->word, 1);
}

static void complete_locked(struct whorl__runtime *runtime)
{
    struct whorl__halt *const halt = &runtime->halt;
    if (!whorl__list_is_empty(&halt->runs)) {
        (void)whorl__and_u32(&runtime->stop, ~WHORL__STOP_ASKED);
    }
    whorl__list_for_each_safe(link, &halt->runs)
    {
        end_run_locked(whorl_container_of(link, struct whorl__run, link), -EINPROGRESS);
    }
    whorl__store_relaxed_u32(&halt->all, 1); /* relaxed: a sample; M(halt) to write */
    raise_locked(&halt->halts);
}

/* Loops that are held go on. */
static void resume_locked(struct whorl__runtime *runtime)
{
    runtime->halt.held = 0;
    whorl__store_relaxed_u32(&runtime->halt.all, 0); /* relaxed: as above */
    raise_locked(&runtime->halt.go);
    whorl__monitor_nudge(runtime);
}

/* Until no halt is under way: there is none, or it is complete. */
static void settle_locked(struct whorl__runtime *runtime)
{
    struct whorl__halt *const halt = &runtime->halt;
    while (is_asked(runtime) && !is_complete_locked(runtime)) {
        const uint32_t seen = whorl__load_relaxed_u32(&halt->halts); /* relaxed: M(halt) */
        whorl__spin_unlock(&halt->lock);
        (void)whorl__os->futex_wait(&halt->halts, seen, WHORL_NEVER);
        lock(halt);
    }
}

void whorl__halt_settle(struct whorl__runtime *runtime)
{
    lock(&runtime->halt);
    settle_locked(runtime);
    whorl__spin_unlock(&runtime->halt.lock);
}

int whorl__halt_run_begin(struct whorl__runtime *runtime, struct whorl__run *run)
{
    struct whorl__halt *const halt = &runtime->halt;
    int error = 0;
    lock(halt);
    settle_locked(runtime);
    if (halt->closed && !run->has_main) {
        error = -ESHUTDOWN;
    } else {
        whorl__list_push_back(&halt->runs, &run->link);
    }
    if (is_complete_locked(runtime)) {
        resume_locked(runtime);
    }
    whorl__spin_unlock(&halt->lock);
    return error;
}

int whorl__halt_run_end(struct whorl__runtime *runtime, struct whorl__run *run)
{
    struct whorl__halt *const halt = &runtime->halt;
    lock(halt);
    if (run->fate == 0) {
        settle_locked(runtime);
    }
    if (run->fate == 0) {
        whorl__list_remove(&run->link);
    }
    whorl__spin_unlock(&halt->lock);
    return run->fate;
}

void whorl__halt_lift(struct whorl__runtime *runtime)
{
    struct whorl__halt *const halt = &runtime->halt;
    lock(halt);
    halt->closed = true;
    (void)whorl__and_u32(&runtime->stop, ~WHORL__STOP_ASKED);
    whorl__list_for_each_safe(link, &halt->runs)
    {
        struct whorl__run *const run = whorl_container_of(link, struct whorl__run, link);
        if (!run->has_main) {
            end_run_locked(run, -ESHUTDOWN);
        }
    }
    raise_locked(&halt->halts);
    if (halt->held > 0) {
        resume_locked(runtime);
    }
    whorl__spin_unlock(&halt->lock);
}

bool whorl__halt_answer(struct whorl__runtime *runtime)
{
    lock(&runtime->halt);
    const bool asked = is_asked(runtime);
    if (asked) {
        (void)whorl__and_u32(&runtime->stop, ~WHORL__STOP_ASKED);
    }
    whorl__spin_unlock(&runtime->halt.lock);
    return asked;
}

/* ---- loops ---- */

bool whorl__halt_hold(struct whorl__loop *loop)
{
    struct whorl__runtime *const runtime = loop->runtime;
    struct whorl__halt *const halt = &runtime->halt;
    lock(halt);
    if (!is_asked(runtime)) {
        whorl__spin_unlock(&halt->lock);
        return false;
    }
    const uint32_t seen = whorl__load_relaxed_u32(&halt->go); /* relaxed: M(halt) */
    halt->held++;
    if (is_complete_locked(runtime)) {
        complete_locked(runtime);
    }
    whorl__spin_unlock(&halt->lock);
    while (whorl__load_acquire_u32(&halt->go) == seen) { /* pairs O1 */
        (void)whorl__os->futex_wait(&halt->go, seen, WHORL_NEVER);
    }
    return true;
}
