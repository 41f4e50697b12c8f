/*
 * test_halt.c - a runtime stops after a pass, and goes on with the next run.
 *
 * The guarantees are those of sched/halt.c. Somebody asks: all loops come to be held, also one that
 * goes to sleep at that moment (P1), and the run returns. What tasks and the asker did is seen by
 * who ran (O2, and the lock), what he does then by the tasks that go on (O1). Nothing runs
 * meanwhile: tasks and the thread write to the same plain field. A close lets all go, whoever has
 * seen what of it. A run's frame is not touched once its end has returned.
 *
 * Able to fail, each of these alone:
 *   sched/halt.c    the add of raise_locked without release, the load of `go` relaxed (O1); the or
 *                   of ask without release (O2)
 *
 * The fence of ask is for a rescuer that takes the wake: poller/rescuer-swallows-the-halt.
 */
#include "model/model.h"
#include "model/stage.h"

#include <errno.h>

struct halt {
    struct stage stage;
    struct whorl_task *second; /* queued by the first, and left for the next run */
    uint32_t shared;           /* plain: tasks and the thread that runs, by turns */
    uint32_t from_asker;       /* plain: written before the stop, read after the run */
    uint32_t word;             /* A: as that of a waiter */
    bool asked;
    unsigned steps;
};

static void set_up(struct halt *halt, unsigned loops, enum stage_kind kind)
{
    stage_begin(&halt->stage, loops, kind);
    whorl__halt_init(&halt->stage.runtime.halt);
}

static void set_up_two(void *state)
{
    set_up(state, 2, STAGE_STEALING);
}

static void end(void *state)
{
    struct halt *const halt = state;
    stage_end(&halt->stage);
}

/* ---- what the threads do ---- */

static void ask(struct halt *halt)
{
    whorl__plain_write(&halt->from_asker);
    whorl__halt_ask(&halt->stage.runtime);
    halt->asked = true;
}

static bool has_asked(void *arg)
{
    const struct halt *const halt = arg;
    return halt->asked;
}

static void sleep_on(uint32_t *word)
{
    while (whorl__load_acquire_u32(word) == 0) {
        (void)whorl__os->futex_wait(word, 0, WHORL_NEVER);
    }
}

/* As whorl_runtime_run_forever does. The run is freed when it is over: nobody may touch it then. */
static int run_forever(struct halt *halt)
{
    struct whorl__runtime *const runtime = &halt->stage.runtime;
    struct whorl__run *const run = model_alloc(sizeof *run);
    uint32_t *const word = model_alloc(sizeof *word);
    *run = (struct whorl__run){.word = word};
    *word = 0;
    int error = whorl__halt_run_begin(runtime, run);
    if (error == 0) {
        sleep_on(word);
        error = whorl__halt_run_end(runtime, run);
    }
    model_free(word);
    model_free(run);
    return error;
}

static void close_it(struct halt *halt)
{
    whorl__halt_lift(&halt->stage.runtime);
    stage_stop(&halt->stage);
}

/* ---- both loops sleep, or are about to ---- */

static void asleep_body(void *state, unsigned thread)
{
    struct halt *const halt = state;
    if (thread < 2) {
        stage_work(&halt->stage, thread);
    } else if (thread == 3) {
        ask(halt);
    } else {
        MODEL_CHECK(run_forever(halt) == -EINPROGRESS);
        whorl__plain_write(&halt->from_asker);
        model_block_until(has_asked, halt); /* as a guest, whom the end waits for */
        close_it(halt);
    }
}

/* ---- a task stops it, and another is left for the next run ---- */

static int run_second(void *arg)
{
    struct halt *const halt = arg;
    halt->steps++;
    whorl__plain_write(&halt->shared);
    whorl__halt_ask(&halt->stage.runtime);
    return 0;
}

static int run_first(void *arg)
{
    struct halt *const halt = arg;
    halt->steps++;
    whorl__plain_write(&halt->shared);
    whorl__loop_push_bound(whorl__loop_current(), halt->second);
    ask(halt);
    return 0;
}

static void set_up_by_turns(void *state)
{
    struct halt *const halt = state;
    set_up(halt, 2, STAGE_STRICT);
    struct whorl_task *const first = stage_add(&halt->stage, run_first, halt);
    whorl__loop_push_bound(&halt->stage.loops[0], first);
    halt->second = stage_add(&halt->stage, run_second, halt);
}

static void by_turns_body(void *state, unsigned thread)
{
    struct halt *const halt = state;
    if (thread < 2) {
        stage_work(&halt->stage, thread);
        return;
    }
    for (unsigned run = 1; run <= 2; run++) {
        MODEL_CHECK(run_forever(halt) == -EINPROGRESS);
        whorl__plain_write(&halt->shared);
        whorl__plain_write(&halt->from_asker);
        /* The first stop may have come before the first run, which then is the pass after it. */
        MODEL_CHECK(halt->steps >= run);
        if (halt->steps == 2) {
            break;
        }
    }
    MODEL_CHECK(halt->steps == 2);
    close_it(halt);
}

/* ---- it is closed while loops come to a halt ---- */

static void closed_body(void *state, unsigned thread)
{
    struct halt *const halt = state;
    if (thread < 2) {
        stage_work(&halt->stage, thread);
    } else if (thread == 2) {
        ask(halt);
        model_block_until(has_asked, halt);
        close_it(halt);
    } else {
        const int error = run_forever(halt);
        MODEL_CHECK(error == -EINPROGRESS || error == -ESHUTDOWN);
    }
}

/* ---- what a run waits for comes at the same time ---- */

static void complete(struct halt *halt)
{
    whorl__store_release_u32(&halt->word, 1);
    (void)whorl__os->futex_wake(&halt->word, 1);
}

static void done_body(void *state, unsigned thread)
{
    struct halt *const halt = state;
    struct whorl__runtime *const runtime = &halt->stage.runtime;
    if (thread == 0) {
        stage_work(&halt->stage, 0);
    } else if (thread == 1) {
        complete(halt);
        ask(halt);
    } else {
        struct whorl__run run = {.word = &halt->word, .has_main = true};
        MODEL_CHECK(whorl__halt_run_begin(runtime, &run) == 0);
        sleep_on(&halt->word);
        const int fate = whorl__halt_run_end(runtime, &run);
        MODEL_CHECK(fate == 0 || fate == -EINPROGRESS);
        if (fate != 0) {
            whorl__plain_write(&halt->from_asker);
        }
        MODEL_CHECK(whorl__list_is_empty(&runtime->halt.runs));
        model_block_until(has_asked, halt);
        close_it(halt);
    }
}

static void set_up_one(void *state)
{
    set_up(state, 1, STAGE_STRICT);
}

#define HALT(SETUP, BODY)                                                                          \
    .state_bytes = sizeof(struct halt), .setup = (SETUP), .body = (BODY), .finish = end,           \
    .steps_max = 20000

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "halt/asleep", .threads = 4, .preemptions = 1, .schedules = 6000,
         .about = "two loops sleep, or are about to; a thread asks: both are held, the run returns",
         HALT(set_up_two, asleep_body)},
        {.name = "halt/by-turns", .threads = 3, .preemptions = 1, .schedules = 8000,
         .about = "a task stops it; the thread writes what both use; the next run ends the rest",
         HALT(set_up_by_turns, by_turns_body)},
        {.name = "halt/closed", .threads = 4, .preemptions = 1, .schedules = 6000,
         .about = "it is closed while a loop has seen the stop and is not held yet: none stays",
         HALT(set_up_two, closed_body)},
        {.name = "halt/done", .threads = 3, .preemptions = 2, .schedules = 6000,
         .about = "a run's main ends as it is stopped: the run leaves the list, however it ended",
         HALT(set_up_one, done_body)},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
