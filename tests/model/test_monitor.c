/*
 * test_monitor.c - the monitor that finds stuck loops, and the loops that take turns to watch them.
 *
 * The guarantees are those of sched/rescue.c:
 *   C2  a monitor that parks and a loop that leaves its sleep: not both miss. Here the monitor is
 *       the only one who can see that the loop is stuck, and nobody else would run what waits there
 *   C1  stuck_count is the number of marked loops once marker and unmarker are done
 *   watch  a stuck loop has at most one watcher, which is replaced when it is stuck itself; who is
 *       the watcher no longer takes the other's epoll out of its own, and no later watch with it
 *
 * Able to fail, each of these alone:
 *   sched/rescue.c  the fence of park_until_nudged or of nudge away (C2)
 */
#include "model/machine.h"
#include "model/model.h"
#include "model/stage.h"

#define MARKED_LOOPS 3

struct tower {
    struct stage stage;
    struct whorl_task *holder; /* holds loop 0 */
    struct whorl_task *child;  /* in loop 0's hot slot meanwhile */
    unsigned served;
};

/* ---- the real monitor, two real loops ---- */

/* What a task wakes goes to the hot slot and wakes nobody, for the loop will run it at once. This
 * one does not. */
static int wake_and_hold(void *arg)
{
    struct tower *const tower = arg;
    stage_submit(&tower->stage, tower->child);
    stage_wait_ran(&tower->stage, tower->child);
    return 0;
}

static int just_run(void *arg)
{
    (void)arg;
    return 0;
}

static void set_up_monitor(void *state)
{
    struct tower *const tower = state;
    stage_begin(&tower->stage, 2, STAGE_STEALING);
    machine_begin();
    tower->stage.kernel.threads_first = 2;
    tower->stage.runtime.stall_ns = 2 * WHORL_MILLISECOND;
    MODEL_CHECK(whorl__monitor_start(&tower->stage.runtime) == 0);
    tower->holder = stage_add(&tower->stage, wake_and_hold, tower);
    tower->holder->pin = 1;
    tower->child = stage_add(&tower->stage, just_run, tower);
}

/* The loops fall asleep, the monitor parks; then a foreign thread posts the holder to loop 0. */
static void monitor_body(void *state, unsigned thread)
{
    struct tower *const tower = state;
    switch (thread) {
    case 0:
    case 1:
        stage_work(&tower->stage, thread);
        break;
    case 2:
        kernel_run_thread(thread);
        break;
    default:
        stage_submit(&tower->stage, tower->holder);
        stage_wait_ran(&tower->stage, tower->child);
        whorl__monitor_stop(&tower->stage.runtime);
        stage_stop(&tower->stage);
    }
}

static unsigned count_stuck(const struct stage *stage)
{
    unsigned stuck = 0;
    for (unsigned i = 0; i < stage->runtime.loop_count; i++) {
        stuck += stage->loops[i].stuck;
    }
    return stuck;
}

static void finish_monitor(void *state)
{
    struct tower *const tower = state;
    MODEL_CHECK(stage_has_run(&tower->stage, tower->holder));
    MODEL_CHECK(stage_has_run(&tower->stage, tower->child));
    MODEL_CHECK(tower->stage.runtime.monitor.stuck_count == count_stuck(&tower->stage));
    stage_end(&tower->stage);
}

/* ---- watchers ---- */

/* As the monitor marks: sched/rescue.c has no call for one loop alone. */
static void mark(struct whorl__loop *loop)
{
    uint32_t *const count = &loop->runtime->monitor.stuck_count;
    (void)whorl__add_u32(count, 1); /* C1 */
    if (!whorl__cas_u32(&loop->stuck, WHORL__STUCK_NOT, WHORL__STUCK_FOUND)) {
        (void)whorl__add_u32(count, (uint32_t)-1);
    }
}

static void set_up_watchers(void *state)
{
    struct tower *const tower = state;
    stage_begin(&tower->stage, MARKED_LOOPS, STAGE_STEALING);
    mark(&tower->stage.loops[0]);
}

/* Two loops serve the stuck one; the third thread marks one of them as stuck, too, and unmarks. */
static void watchers_body(void *state, unsigned thread)
{
    struct tower *const tower = state;
    struct whorl__loop *const loops = tower->stage.loops;
    if (thread < 2) {
        for (int i = 0; i < 2; i++) {
            whorl__rescue_serve_slow(&loops[thread + 1]);
        }
        return;
    }
    mark(&loops[1]);
    whorl__rescue_unstuck(&loops[1]);
}

static unsigned count_watchers_of(struct stage *stage, unsigned loop)
{
    unsigned watchers = 0;
    for (unsigned i = 0; i < MARKED_LOOPS; i++) {
        watchers += stage->loops[i].watch_set[0] >> loop & 1;
    }
    return watchers;
}

/* A round more, and who believes in vain to watch has found out; then all is well again. */
static void finish_watchers(void *state)
{
    struct tower *const tower = state;
    struct stage *const stage = &tower->stage;
    MODEL_CHECK(stage->runtime.monitor.stuck_count == 1);
    whorl__rescue_serve_slow(&stage->loops[1]);
    whorl__rescue_serve_slow(&stage->loops[2]);
    MODEL_CHECK(count_watchers_of(stage, 0) == 1);
    MODEL_CHECK(count_watchers_of(stage, 1) == 0);
    MODEL_CHECK(stage->loops[stage->loops[0].watcher - 1].watch_set[0] == 1);
    whorl__rescue_unstuck(&stage->loops[0]);
    whorl__rescue_serve_slow(&stage->loops[1]);
    whorl__rescue_serve_slow(&stage->loops[2]);
    MODEL_CHECK(count_watchers_of(stage, 0) == 0);
    MODEL_CHECK(stage->loops[0].watcher == 0);
    MODEL_CHECK(stage->loops[1].watching == 0 && stage->loops[2].watching == 0);
    stage_end(stage);
}

/* ---- marking and unmarking ---- */

static void set_up_marks(void *state)
{
    struct tower *const tower = state;
    stage_begin(&tower->stage, 2, STAGE_STEALING);
}

static void marks_body(void *state, unsigned thread)
{
    struct tower *const tower = state;
    struct whorl__loop *const loop = &tower->stage.loops[0];
    for (int i = 0; i < 2; i++) {
        if (thread == 0) {
            mark(loop);
        } else {
            whorl__rescue_unstuck(loop);
        }
    }
}

static void finish_marks(void *state)
{
    struct tower *const tower = state;
    MODEL_CHECK(tower->stage.runtime.monitor.stuck_count == tower->stage.loops[0].stuck);
    stage_end(&tower->stage);
}

#define TOWER(SETUP, BODY, FINISH)                                                                 \
    .state_bytes = sizeof(struct tower), .setup = (SETUP), .body = (BODY), .finish = (FINISH)

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "monitor/park-against-wake", .threads = 4, .schedules = 3000,
         .about = "the monitor parks while a loop wakes up to get stuck: it is seen (C2)",
         TOWER(set_up_monitor, monitor_body, finish_monitor)},
        {.name = "monitor/watchers", .threads = 3, .preemptions = 2, .schedules = 4000,
         .about = "two loops want to watch a stuck one, and one of them gets stuck itself",
         TOWER(set_up_watchers, watchers_body, finish_watchers)},
        {.name = "monitor/marks", .threads = 3, .preemptions = 3, .schedules = 2000,
         .about = "marking against unmarking: the count ends as the marks do (C1)",
         TOWER(set_up_marks, marks_body, finish_marks)},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
