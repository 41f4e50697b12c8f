/*
 * test_step.c - a runtime without threads: its driver sleeps elsewhere, and is changed.
 *
 * The guarantees are those of runtime/step.c. The driver waits in a poller of its own that has the
 * loop's inside, as a toolkit's would; who gives the loop something meanwhile ends that wait (P1).
 * One thread after the other drives, and each sees what the one before has left (M1).
 *
 * Able to fail, each of these alone:
 *   loop/loop.c     the fence of post away; sched/idle.c: that of sleep_begin (P1)
 *   runtime/step.c  the store of driver relaxed, the cas without acquire (M1)
 */
#include "model/machine.h"
#include "model/model.h"
#include "model/stage.h"

#include <errno.h>

struct drive {
    struct stage stage;
    struct whorl__poller outer; /* the program's own main loop */
    struct whorl__poll_result found;
    struct whorl_task *task;
    unsigned steps; /* plain: the driver's */
};

static struct whorl_runtime *handle_of(struct drive *drive)
{
    return (struct whorl_runtime *)(void *)&drive->stage.runtime;
}

static int run_task(void *arg)
{
    struct drive *const drive = arg;
    whorl__plain_write(&drive->steps);
    drive->steps++;
    return 0;
}

static void set_up(void *state)
{
    struct drive *const drive = state;
    machine_begin();
    stage_begin(&drive->stage, 1, STAGE_STRICT);
    whorl__halt_init(&drive->stage.runtime.halt);
    drive->stage.runtime.stepped = true;
    drive->task = stage_add(&drive->stage, run_task, drive);
    MODEL_CHECK(whorl__poller_init(&drive->outer) == 0);
    MODEL_CHECK(whorl__poller_watch(&drive->outer, &drive->stage.loops[0].poller) == 0);
}

static void end(void *state)
{
    struct drive *const drive = state;
    MODEL_CHECK(drive->stage.runtime.driver == 0);
    whorl__poller_fini(&drive->outer);
    stage_end(&drive->stage);
}

/* ---- it waits in a poller of its own ---- */

static void drive_until_ran(struct drive *drive)
{
    struct whorl_runtime *const runtime = handle_of(drive);
    MODEL_CHECK(whorl_loop_begin(runtime) == 0);
    while (!stage_has_run(&drive->stage, drive->task)) {
        int64_t deadline_ns = -1;
        MODEL_CHECK(whorl_loop_next(runtime, &deadline_ns) >= 0);
        if (deadline_ns != 0) {
            MODEL_CHECK(deadline_ns == WHORL_NEVER);
            whorl__poller_poll(&drive->outer, -1, &drive->found);
        }
        MODEL_CHECK(whorl_loop_step(runtime, 0) == 0);
    }
    MODEL_CHECK(whorl_loop_end(runtime) == 0);
}

static void outside_body(void *state, unsigned thread)
{
    struct drive *const drive = state;
    if (thread == 0) {
        drive_until_ran(drive);
    } else {
        stage_submit(&drive->stage, drive->task);
    }
}

/* ---- one drives after the other ---- */

static void relay_body(void *state, unsigned thread)
{
    struct drive *const drive = state;
    struct whorl_runtime *const runtime = handle_of(drive);
    (void)thread;
    while (whorl_loop_begin(runtime) == -EBUSY) {
        model_yield();
    }
    whorl__plain_write(&drive->steps);
    const bool first = drive->steps == 0;
    if (first) {
        stage_submit(&drive->stage, drive->task);
        whorl__halt_ask(&drive->stage.runtime);
    }
    MODEL_CHECK(whorl_loop_step(runtime, 0) == first);
    MODEL_CHECK(drive->steps == 1);
    MODEL_CHECK(whorl_loop_end(runtime) == 0);
}

#define DRIVE(BODY)                                                                                \
    .state_bytes = sizeof(struct drive), .setup = set_up, .body = (BODY), .finish = end

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "step/outside", .threads = 2, .preemptions = 3, .schedules = 8000,
         .about = "the driver waits in its own poller; a thread makes a task ready (P1)",
         DRIVE(outside_body)},
        {.name = "step/relay", .threads = 2, .preemptions = 2, .schedules = 8000,
         .about = "two threads drive one after the other (M1)", DRIVE(relay_body)},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
