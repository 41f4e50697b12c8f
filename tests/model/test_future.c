/*
 * test_future.c - futures completed, cancelled, awaited and dropped at once: runtime/task/future.c
 * and gather.c.
 *
 * Each side holds a reference of its own and drops it as soon as it is done: whoever is last frees
 * the future, and what touches it after that is a use after free. A waiter lies on the stack of who
 * waits; wait_once marks its end with a plain write, so a completer that still looks is a race.
 *
 * Shown to fail: by --mutate of the release that stores DONE in unlock and of the acquire in
 * whorl__future_is_done (F1), of the decrements in report (G1), and by test_planted.c, bug 2.
 */
#include "model/model.h"
#include "model/rig.h"

#include "task/future.h"
#include "whorl.h"

#include <errno.h>

#define DUE_NS  10
#define LATE_NS 100

struct scene {
    struct rig rig;
    struct whorl_future *future;
    struct whorl_future *children[2];
    struct whorl_task *tasks[2];
    int payload[2];  /* plain: what the values point at; F1 */
    bool begun[2];   /* a task that is cancelled before its first step never waits */
    int waited[2];   /* what each waiter got */
    int next[2];     /* what each got from its wait after that */
    int completed[2]; /* what each completer got */
    bool cancelled;  /* whether the cancel was accepted */
};

/* ---- what threads and tasks do ---- */

static void new_future(struct whorl_future **future, unsigned references)
{
    MODEL_CHECK(whorl_future_new(future) == 0);
    for (unsigned i = 1; i < references; i++) {
        (void)whorl_future_ref(*future);
    }
}

static void complete(struct scene *scene, struct whorl_future *future, unsigned which)
{
    whorl__plain_write(&scene->payload[which]);
    scene->payload[which] = 5;
    scene->completed[which] = whorl_future_set_result(future, &scene->payload[which]);
    model_note("set_result: %d", scene->completed[which]);
    whorl_future_unref(future);
}

static void check_value(const int *value)
{
    whorl__plain_read(value);
    MODEL_CHECK(*value == 5);
}

static void wait_for(struct scene *scene, unsigned which, bool awaits, int64_t deadline_ns)
{
    void *value = NULL;
    scene->begun[which] = true;
    scene->waited[which] = awaits ? whorl_future_await(scene->future, &value)
                                  : whorl_future_join(scene->future, deadline_ns, &value);
    model_note("waited: %d", scene->waited[which]);
    if (scene->waited[which] == 0) {
        check_value(value);
    } else {
        MODEL_CHECK(value == NULL);
    }
    whorl_future_unref(scene->future);
}

static int task_awaits(void *arg)
{
    wait_for(arg, 0, true, WHORL_NEVER);
    return 0;
}

static int task_joins(void *arg)
{
    wait_for(arg, 0, false, WHORL_NEVER);
    return 0;
}

static int second_joins(void *arg)
{
    wait_for(arg, 1, false, WHORL_NEVER);
    return 0;
}

static int task_joins_until(void *arg)
{
    wait_for(arg, 0, false, DUE_NS);
    return 0;
}

static int task_awaits_then_yields(void *arg)
{
    struct scene *const scene = arg;
    wait_for(scene, 0, true, WHORL_NEVER);
    scene->next[0] = whorl_yield();
    return 0;
}

static int task_joins_then_yields(void *arg)
{
    struct scene *const scene = arg;
    wait_for(scene, 0, false, WHORL_NEVER);
    scene->next[0] = whorl_yield();
    return 0;
}

static void drop_tasks(struct scene *scene)
{
    for (unsigned i = 0; i < 2; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
}

static void finish(void *state)
{
    struct scene *const scene = state;
    drop_tasks(scene);
    rig_fini(&scene->rig);
}

static void setup_one(struct scene *scene, unsigned references, whorl_body *body)
{
    rig_init(&scene->rig, 1, RIG_STRICT);
    new_future(&scene->future, references);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, body, scene);
}

/* ---- one waits, one completes ---- */

static void setup_await(void *state)
{
    setup_one(state, 2, task_awaits);
}

static void body_await(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        complete(scene, scene->future, 0);
    }
}

static void finish_await(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->waited[0] == 0 && scene->completed[0] == 0);
    finish(state);
}

/* ---- the same, by a plain thread, which blocks in the kernel ---- */

static void setup_thread_awaits(void *state)
{
    new_future(&((struct scene *)state)->future, 2);
}

static void body_thread_awaits(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        wait_for(scene, 0, true, WHORL_NEVER);
    } else {
        complete(scene, scene->future, 0);
    }
}

static void finish_thread_awaits(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->waited[0] == 0 && scene->completed[0] == 0);
}

/* ---- a task on each of two loops, and who completes ---- */

static void setup_two_waiters(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_STRICT);
    new_future(&scene->future, 3);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_joins, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, second_joins, scene);
}

static void body_two_waiters(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        complete(scene, scene->future, 0);
    }
}

static void finish_two_waiters(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->waited[0] == 0 && scene->waited[1] == 0);
    finish(state);
}

/* ---- a result and a cancel of the future: one of them, and everybody agrees which ---- */

static void setup_set_or_cancel(void *state)
{
    setup_one(state, 3, task_joins);
}

static void body_set_or_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        complete(scene, scene->future, 0);
    } else {
        scene->cancelled = whorl_future_cancel(scene->future, "enough");
        MODEL_CHECK(whorl_future_done(scene->future));
        MODEL_CHECK(whorl_future_cancelled(scene->future) == scene->cancelled);
        whorl_future_unref(scene->future);
    }
}

static void finish_set_or_cancel(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->completed[0] == (scene->cancelled ? -EALREADY : 0));
    MODEL_CHECK(scene->waited[0] == (scene->cancelled ? -ECANCELED : 0));
    finish(state);
}

/* ---- the waiting task is cancelled while the result comes: CANC-12, CANC-4 ---- */

static void setup_join_cancelled(void *state)
{
    setup_one(state, 3, task_joins_then_yields);
}

static void setup_await_cancelled(void *state)
{
    setup_one(state, 3, task_awaits_then_yields);
}

static void body_waiter_cancelled(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        complete(scene, scene->future, 0);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

/* An accepted cancel is met once: in the wait, in the one after it, or at the end. */
static void check_met_once(struct scene *scene)
{
    const int met = (scene->waited[0] == -ECANCELED) + (scene->next[0] == -ECANCELED) +
                    (whorl_task_result(scene->tasks[0], NULL) == -ECANCELED);
    MODEL_CHECK(met == scene->cancelled);
    MODEL_CHECK(scene->waited[0] == 0 || scene->waited[0] == -ECANCELED);
    if (!scene->begun[0]) {
        whorl_future_unref(scene->future);
    }
}

static void finish_join_cancelled(void *state)
{
    struct scene *const scene = state;
    check_met_once(scene);
    MODEL_CHECK(scene->completed[0] == 0); /* a join leaves the future alone, its value stays */
    MODEL_CHECK(whorl_future_result(scene->future, NULL) == 0);
    whorl_future_unref(scene->future);
    finish(state);
}

static void finish_await_cancelled(void *state)
{
    struct scene *const scene = state;
    check_met_once(scene);
    if (scene->completed[0] != 0) { /* the cancel was faster, and was passed on */
        MODEL_CHECK(scene->waited[0] == -ECANCELED && scene->cancelled);
    }
    whorl_future_unref(scene->future);
    finish(state);
}

/* ---- a deadline, fired by a rescuer, against the result ---- */

static void setup_timed(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_SHARING);
    new_future(&scene->future, 2);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_joins_until, scene);
}

static void body_timed(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        (void)rig_loop_begin(&scene->rig, 1);
        (void)rig_fire(&scene->rig, 0, LATE_NS);
        (void)rig_fire(&scene->rig, 0, LATE_NS);
        rig_loop_run(&scene->rig, 1);
        rig_loop_end(&scene->rig, 1);
    } else {
        complete(scene, scene->future, 0);
    }
}

static void finish_timed(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->completed[0] == 0);
    MODEL_CHECK(scene->waited[0] == 0 || scene->waited[0] == -ETIMEDOUT);
    finish(state);
}

/* ---- a task is a future: its end against one who joins it on another loop ---- */

static int task_returns(void *arg)
{
    struct scene *const scene = arg;
    whorl__plain_write(&scene->payload[0]);
    scene->payload[0] = 5;
    return whorl_return(&scene->payload[0]);
}

static int task_joins_task(void *arg)
{
    struct scene *const scene = arg;
    void *value = NULL;
    scene->waited[1] = whorl_join(scene->tasks[0], WHORL_NEVER, &value);
    check_value(value);
    whorl_task_unref(scene->tasks[0]); /* the last reference, or the loop's is */
    return 0;
}

static void setup_task_end(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_returns, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, task_joins_task, scene);
}

static void body_task_end(void *state, unsigned thread)
{
    rig_loop(&((struct scene *)state)->rig, thread);
}

static void finish_task_end(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->waited[1] == 0);
    scene->tasks[0] = NULL;
    finish(state);
}

/* As whorl_run waits for its main task: a plain thread, and then the slot goes. */

static void setup_main_task(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_returns, scene);
}

static void body_main_task(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        void *value = NULL;
        MODEL_CHECK(whorl_await(scene->tasks[0], &value) == 0);
        check_value(value);
        whorl_task_unref(scene->tasks[0]);
    }
}

static void finish_main_task(void *state)
{
    struct scene *const scene = state;
    scene->tasks[0] = NULL;
    finish(state);
}

/* ---- gathers: callbacks from two threads ---- */

static void new_children(struct scene *scene, unsigned references)
{
    for (unsigned i = 0; i < 2; i++) {
        new_future(&scene->children[i], references);
    }
}

static void check_results(const struct whorl_result *results)
{
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(results[i].error == 0);
        check_value(results[i].value);
    }
}

static int task_gathers(void *arg)
{
    struct scene *const scene = arg;
    void *value = NULL;
    MODEL_CHECK(whorl_gather_start(scene->children, 2, 0, &scene->future) == 0);
    scene->waited[0] = whorl_future_await(scene->future, &value);
    if (scene->waited[0] == 0) {
        check_results(value); /* G1 */
    }
    whorl_future_unref(scene->future); /* another child may still have to report */
    return 0;
}

static void setup_gather(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    new_children(scene, 2);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_gathers, scene);
}

static void drop_children(struct scene *scene)
{
    for (unsigned i = 0; i < 2; i++) {
        whorl_future_unref(scene->children[i]);
    }
}

static void body_gather(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        complete(scene, scene->children[thread - 1], thread - 1);
    }
}

static void finish_gather(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->waited[0] == 0);
    drop_children(scene);
    finish(state);
}

/* The first failure ends it; the other child reports to a gather that nobody waits for. */

static void body_gather_fails(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 1) {
        MODEL_CHECK(whorl_future_set_error(scene->children[0], -EIO) == 0);
        whorl_future_unref(scene->children[0]);
    } else {
        body_gather(state, thread);
    }
}

static void finish_gather_fails(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->waited[0] == -EIO);
    drop_children(scene);
    finish(state);
}

/* G2: a cancel of the gather against the ends of its children: true if it then ends cancelled. */

static void setup_gather_cancelled(void *state)
{
    struct scene *const scene = state;
    new_children(scene, 2);
    MODEL_CHECK(whorl_gather_start(scene->children, 2, 0, &scene->future) == 0);
}

static void body_gather_cancelled(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        complete(scene, scene->children[thread], thread);
    } else {
        scene->cancelled = whorl_future_cancel(scene->future, "enough");
        model_note("cancel: %d", scene->cancelled);
    }
}

static void finish_gather_cancelled(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(whorl_future_done(scene->future));
    MODEL_CHECK(whorl_future_result(scene->future, NULL) == (scene->cancelled ? -ECANCELED : 0));
    if (scene->cancelled) { /* who ends the gather has seen what was said */
        MODEL_CHECK(whorl_future_cancel_message(scene->future) != NULL);
    } else {
        MODEL_CHECK(scene->completed[0] == 0 && scene->completed[1] == 0);
    }
    whorl_future_unref(scene->future);
    drop_children(scene);
}

/* The same against a child that fails, which ends the gather at once if no cancel was faster. */

static void body_gather_fails_cancelled(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        scene->completed[0] = whorl_future_set_error(scene->children[0], -EIO);
        whorl_future_unref(scene->children[0]);
    } else if (thread == 1) {
        complete(scene, scene->children[1], 1);
    } else {
        scene->cancelled = whorl_future_cancel(scene->future, "enough");
        model_note("cancel: %d", scene->cancelled);
    }
}

static void finish_gather_fails_cancelled(void *state)
{
    struct scene *const scene = state;
    const int result = whorl_future_result(scene->future, NULL);
    MODEL_CHECK(result == (scene->cancelled ? -ECANCELED : -EIO));
    whorl_future_unref(scene->future);
    drop_children(scene);
}

/* ---- LOOKED: who looks at a failure leaves a mark, whoever else has the lock meanwhile ---- */

static void setup_looked(void *state)
{
    struct scene *const scene = state;
    new_future(&scene->future, 4);
}

static void body_looked(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        MODEL_CHECK(whorl_future_set_error(scene->future, -EIO) == 0);
    } else if (thread == 1) {
        MODEL_CHECK(whorl_future_join(scene->future, WHORL_NEVER, NULL) == -EIO);
    } else {
        scene->next[0] = whorl_future_result(scene->future, NULL);
        scene->next[1] = whorl_future_join(scene->future, DUE_NS, NULL);
        MODEL_CHECK(scene->next[0] == -EIO || scene->next[0] == -EAGAIN);
    }
    whorl_future_unref(scene->future);
}

static void finish_looked(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK((scene->future->word & WHORL__FUTURE_LOOKED) != 0);
    MODEL_CHECK((scene->future->word & WHORL__FUTURE_DONE) != 0);
    MODEL_CHECK(scene->future->error == -EIO);
    whorl_future_unref(scene->future);
}

/* ---- */

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "future/" model_name, .about = what, .threads = thread_count,                          \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("await", "F1: a task awaits, a foreign thread completes; either may be last", 2),
     .setup = setup_await,
     .body = body_await,
     .finish = finish_await,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("thread-awaits", "a plain thread blocks until the result is there", 2),
     .setup = setup_thread_awaits,
     .body = body_thread_awaits,
     .finish = finish_thread_awaits,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("two-waiters", "tasks of two loops join, one completes: both are woken", 3),
     .setup = setup_two_waiters,
     .body = body_two_waiters,
     .finish = finish_two_waiters,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("set-or-cancel", "a result against a cancel: one of them, all agree which", 3),
     .setup = setup_set_or_cancel,
     .body = body_set_or_cancel,
     .finish = finish_set_or_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("join-cancelled", "CANC-12: the joining task is cancelled while the result comes", 3),
     .setup = setup_join_cancelled,
     .body = body_waiter_cancelled,
     .finish = finish_join_cancelled,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("looked", "LOOKED: an error is joined by one, looked at by another: a mark is left", 3),
     .setup = setup_looked,
     .body = body_looked,
     .finish = finish_looked,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("await-cancelled", "CANC-4: the same with a cancel that is passed on", 3),
     .setup = setup_await_cancelled,
     .body = body_waiter_cancelled,
     .finish = finish_await_cancelled,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("deadline", "a join's deadline, fired by a rescuer, against the result", 3),
     .setup = setup_timed,
     .body = body_timed,
     .finish = finish_timed,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("task-end", "a task ends while another loop's joins it; the slot goes with the last", 2),
     .setup = setup_task_end,
     .body = body_task_end,
     .finish = finish_task_end,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("main-task", "a plain thread awaits a task and drops it", 2),
     .setup = setup_main_task,
     .body = body_main_task,
     .finish = finish_main_task,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("gather", "G1: two threads end a gather's children: all results are seen", 3),
     .setup = setup_gather,
     .body = body_gather,
     .finish = finish_gather,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("gather-fails", "the first failure ends a gather, the last child frees it", 3),
     .setup = setup_gather,
     .body = body_gather_fails,
     .finish = finish_gather_fails,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("gather-cancelled", "G2: true if and only if the gather then ends cancelled", 3),
     .setup = setup_gather_cancelled,
     .body = body_gather_cancelled,
     .finish = finish_gather_cancelled,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("gather-fails-cancelled", "G2: the same, while a child fails", 3),
     .setup = setup_gather_cancelled,
     .body = body_gather_fails_cancelled,
     .finish = finish_gather_fails_cancelled,
     .preemptions = 2,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
