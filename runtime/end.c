/*
 * end.c - the end of a runtime: no new tasks, every task cancelled and waited for, the rest closed.
 *
 *   round 1   all that live are cancelled, each once, and those that slip in
 *   round n   end_round_ns later: who still lives is reported, and all are cancelled once more;
 *             after end_rounds rounds the process aborts, if that limit was set
 *   then      generators and pools are closed, and what tasks those had: sched/atend.h
 *
 * Owns:       runtime->ending, ended_word.
 * Threads:    whoever closes the runtime, one; it blocks while the loops run.
 *
 * Pairs:      E1  a task's end: loop->ended + 1 (release) - all_ended: reads ended (acquire), then
 *                 spawned. A task is counted as spawned before it can spawn or end, so equal sums
 *                 mean that none lives.
 *             E2  guest_enter: guests + 1, full fence, read ending - end: ending := 1, full fence,
 *                 wait until guests was 0: who has seen 0 in ending has its task counted by then.
 */
#include "runtime.h"

#include "inside.h"
#include "sys/os.h"
#include "task/cancel.h"

#define LOOK_NS (10 * WHORL_MILLISECOND)

/* Each of them stays for a moment only; acquire, pairs B1 of submit.c. */
void whorl__runtime_wait_for_guests(struct whorl__runtime *runtime)
{
    while (whorl__load_acquire_u32(&runtime->guests) != 0) {
        whorl__os->yield();
    }
}

static bool all_ended(struct whorl__runtime *runtime)
{
    uint64_t ended = 0;
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        ended += whorl__load_acquire_u64(&runtime->loops[i]->stats.ended); /* pairs E1 */
    }
    uint64_t begun = whorl__load_acquire_u64(&runtime->foreign_made);
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        begun += whorl__load_acquire_u64(&runtime->loops[i]->stats.spawned);
    }
    return begun == ended;
}

static bool is_live(const struct whorl_task *task)
{
    const enum whorl__phase phase = whorl__state_phase(whorl__load_acquire_u64(&task->word));
    return phase == WHORL__LIVE || phase == WHORL__PARKED;
}

/*
 * Without a reference: the task may end while it is visited, and its slot is still a task's. A
 * cancel that comes too late finds it over, under its lock; or finds the slot's next task, which is
 * to be cancelled just as well.
 */
static void for_each_live(struct whorl__runtime *runtime, void (*visit)(struct whorl_task *task))
{
    const uint32_t count = whorl__slots_count(&runtime->slots);
    for (uint32_t i = 0; i < count; i++) {
        struct whorl_task *const task = whorl__slot_at(&runtime->slots, i);
        if (is_live(task)) {
            visit(task);
        }
    }
}

static void report_survivor(struct whorl_task *task)
{
    char wait[128];
    whorl__describe_wait(task, wait, sizeof wait);
    whorl__report(task->runtime,
                  &(struct whorl_report){.message = "a task was cancelled at the end of the "
                                                    "runtime and has not ended; still waiting",
                                         .task = task,
                                         .waits_for = wait});
}

static void cancel_again(struct whorl_task *task)
{
    (void)whorl__cancel_for_shutdown_again(task, "the runtime is still ending");
}

/* A round is over, and somebody lives. */
static WHORL_COLD void next_round(struct whorl__runtime *runtime, int *rounds)
{
    for_each_live(runtime, report_survivor);
    whorl__at_end_round(runtime, rounds);
    for_each_live(runtime, cancel_again);
}

/* Waits until every task has ended; cancels those that are there, and those that slip in. */
static void end_tasks(struct whorl__runtime *runtime)
{
    int rounds = 0;
    int64_t round_ns = whorl_after(runtime->end_round_ns);
    for (;;) {
        const uint32_t seen = whorl__load_acquire_u32(&runtime->ended_word);
        if (all_ended(runtime)) {
            return;
        }
        for_each_live(runtime, whorl__cancel_for_shutdown);
        const int64_t now_ns = whorl__os->now_ns();
        if (now_ns >= round_ns) {
            next_round(runtime, &rounds);
            round_ns = now_ns + runtime->end_round_ns;
        }
        if (runtime->stepped) {
            whorl__worker_step(runtime->loops[0], LOOK_NS);
        } else {
            (void)whorl__os->futex_wait(&runtime->ended_word, seen, now_ns + LOOK_NS);
        }
    }
}

void whorl__runtime_end(struct whorl__runtime *runtime)
{
    whorl__store_release_u32(&runtime->ending, 1); /* pairs spawn_in */
    whorl__fence_full();                           /* pairs E2 */
    whorl__runtime_wait_for_guests(runtime);
    for_each_live(runtime, whorl__cancel_for_shutdown); /* before what is stopped goes on */
    whorl__halt_lift(runtime); /* for good: who asks now is refused, who has asked is gone */
    end_tasks(runtime);
    for (unsigned i = 0; i < WHORL__AT_END_STAGES; i++) {
        if (whorl__at_ends_run(runtime, (enum whorl__at_end_stage)i)) {
            end_tasks(runtime); /* it may have woken one that slipped in */
        }
    }
}
