/*
 * test_cancel.c - requests to end, from several threads, against the task they are made on:
 * runtime/task/cancel.c and timeout.c.
 *
 * Most scenes end with the same question, asked by `check_quiet`: is anything left of a request
 * after those who made it are gone? A cancel that arrives late is found there, or ends a wait that
 * nobody may end.
 *
 * Shown to fail: by --mutate of the release in whorl__spin_unlock, and of the cas in
 * whorl__state_cancel; and by test_planted.c, bug 3.
 */
#include "model/model.h"
#include "model/rig.h"

#include "task/cancel.h"
#include "task/future.h"
#include "whorl.h"

#include <errno.h>

#define INNER_NS 10
#define OUTER_NS 20
#define LATE_NS  100

struct scene {
    struct rig rig;
    struct whorl_future *future;
    struct whorl_task *tasks[2];
    struct whorl_timeout timeout; /* of the model that reschedules it */
    uint32_t entered;             /* A: the block of that model is open */
    struct whorl_task *open;      /* A: a child that begins where it is awaited */
    uint32_t movers;              /* how many reschedule it */
    uint32_t moved;               /* A: how many of them are back */
    int results[4];               /* what the task saw, in order */
    int left;                     /* uncancel's answer */
    bool accepted[2];             /* what each cancel said */
    bool expired[2];              /* what each block said after it was left */
};

/* ---- what is common ---- */

static void note_result(struct scene *scene, unsigned which, int error)
{
    scene->results[which] = error;
    model_note("result %u: %d", which, error);
}

/* Nothing is pending, nothing counted: by the running task, when all requests have been made. */
static void check_quiet(struct whorl_task *task, int requests)
{
    MODEL_CHECK(whorl_task_cancelling(task) == requests);
    MODEL_CHECK(task->users_pending == 0 && task->scopes == NULL && task->awaited == NULL);
    MODEL_CHECK((task->word & WHORL__CANCEL) == 0);
}

static int count_cancelled(const struct scene *scene, unsigned results)
{
    int count = 0;
    for (unsigned i = 0; i < results; i++) {
        count += scene->results[i] == -ECANCELED;
    }
    return count;
}

static void setup_single(struct scene *scene, whorl_body *body)
{
    rig_init(&scene->rig, 1, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, body, scene);
}

/* Two loops that share: loop 1 rescues loop 0. */
static void setup_pair(struct scene *scene, whorl_body *body)
{
    rig_init(&scene->rig, 2, RIG_SHARING);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, body, scene);
}

/* Loop 1 fires what is armed on loop 0, whenever that is, and runs what it has woken. */
static void run_rescuer(struct scene *scene, unsigned fires)
{
    (void)rig_loop_begin(&scene->rig, 1);
    for (unsigned i = 0; i < fires; i++) {
        (void)rig_fire(&scene->rig, 0, LATE_NS);
    }
    rig_loop_run(&scene->rig, 1);
    rig_loop_end(&scene->rig, 1);
}

static void finish(void *state)
{
    struct scene *const scene = state;
    for (unsigned i = 0; i < 2; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

/* ---- two requests: one delivery, or one each time it has been met: CANC-13, CANC-14 ---- */

static int task_yields_thrice(void *arg)
{
    struct scene *const scene = arg;
    for (unsigned i = 0; i < 3; i++) {
        note_result(scene, i, whorl_yield());
    }
    return 0;
}

static void setup_two_requests(void *state)
{
    setup_single(state, task_yields_thrice);
}

static void body_two_requests(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        scene->accepted[thread - 1] = whorl_cancel(scene->tasks[0], "twice");
    }
}

static void finish_two_requests(void *state)
{
    struct scene *const scene = state;
    struct whorl_task *const task = scene->tasks[0];
    const int accepted = scene->accepted[0] + scene->accepted[1];
    const int met = count_cancelled(scene, 3) + (whorl_task_result(task, NULL) == -ECANCELED);
    MODEL_CHECK(met <= accepted);
    MODEL_CHECK((met > 0) == (accepted > 0));
    check_quiet(task, accepted);
    finish(state);
}

/* ---- a request is withdrawn: delivered before, or never: CANC-20 ---- */

static void body_withdrawn(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        scene->accepted[0] = whorl_cancel(scene->tasks[0], "no, wait");
        scene->left = whorl_uncancel(scene->tasks[0]);
    }
}

static void finish_withdrawn(void *state)
{
    struct scene *const scene = state;
    struct whorl_task *const task = scene->tasks[0];
    const int met = count_cancelled(scene, 3) + (whorl_task_result(task, NULL) == -ECANCELED);
    MODEL_CHECK(scene->left == 0);
    MODEL_CHECK(met <= scene->accepted[0]);
    check_quiet(task, 0);
    finish(state);
}

/* ---- one cancels, another takes back: CANC-19, CANC-20, CANC-21 ---- */

static void body_cancel_uncancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        scene->accepted[0] = whorl_cancel(scene->tasks[0], "go");
    } else {
        scene->left = whorl_uncancel(scene->tasks[0]);
    }
}

static void finish_cancel_uncancel(void *state)
{
    struct scene *const scene = state;
    struct whorl_task *const task = scene->tasks[0];
    const int requests = whorl_task_cancelling(task);
    const int met = count_cancelled(scene, 3) + (whorl_task_result(task, NULL) == -ECANCELED);
    MODEL_CHECK(scene->left == 0); /* there was one at most, and it took that */
    MODEL_CHECK(requests == 0 || requests == scene->accepted[0]);
    MODEL_CHECK(met <= scene->accepted[0]);
    if (requests == 1) {
        MODEL_CHECK(met == 1); /* not withdrawn: it has been met */
    }
    check_quiet(task, requests);
    finish(state);
}

/* ---- a sleep that nobody may end, a cancel that was withdrawn: it sleeps on ---- */

static int task_sleeps(void *arg)
{
    struct scene *const scene = arg;
    note_result(scene, 0, whorl_sleep_until(INNER_NS));
    return 0;
}

static void setup_sleep(void *state)
{
    setup_pair(state, task_sleeps);
}

static bool is_timed_or_over(void *arg)
{
    const struct scene *const scene = arg;
    return scene->rig.loops[0].timers.heap.count > 0 || scene->rig.loops[1].timers.heap.count > 0 ||
           scene->rig.loops[0].stats.ended + scene->rig.loops[1].stats.ended > 0;
}

static bool is_over(const struct scene *scene)
{
    return scene->rig.loops[0].stats.ended + scene->rig.loops[1].stats.ended > 0;
}

/* As often as it is armed, on whichever loop: it sleeps again when it was woken for nothing. */
static void body_sleeps_on(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else if (thread == 2) {
        scene->accepted[0] = whorl_cancel(scene->tasks[0], "no, wait");
        scene->left = whorl_uncancel(scene->tasks[0]);
    } else {
        do {
            model_block_until(is_timed_or_over, scene);
            (void)rig_fire(&scene->rig, 0, LATE_NS);
            (void)rig_fire(&scene->rig, 1, LATE_NS);
            model_yield(); /* a deadline is in the heap before next_ns tells of it */
        } while (!is_over(scene));
    }
}

static void finish_sleeps_on(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->results[0] == 0 || (scene->results[0] == -ECANCELED && scene->accepted[0]));
    check_quiet(scene->tasks[0], 0);
    finish(state);
}

/* ---- MT-15: the deadline of a block, fired by another loop while the block is left ---- */

static void leave(struct scene *scene, struct whorl_timeout *timeout, unsigned which, int error)
{
    note_result(scene, which, whorl_timeout_exit(timeout, error));
    scene->expired[which] = whorl_timeout_expired(timeout);
    whorl__plain_write(timeout); /* the block's memory is gone */
}

static int task_leaves_block(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_timeout timeout;
    MODEL_CHECK(whorl_timeout_enter(&timeout, INNER_NS) == 0);
    const int inside = whorl_yield();
    MODEL_CHECK(inside == 0 || inside == -ECANCELED);
    leave(scene, &timeout, 0, inside);
    MODEL_CHECK(scene->results[0] == (inside == 0 ? 0 : -ETIMEDOUT));
    MODEL_CHECK(scene->expired[0] == (inside != 0));
    note_result(scene, 1, whorl_yield());
    check_quiet(scene->tasks[0], 0);
    return 0;
}

static void setup_leave(void *state)
{
    setup_pair(state, task_leaves_block);
}

static void body_leave(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        run_rescuer(scene, 2);
    }
}

static void finish_leave(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->results[1] == 0); /* nothing arrives late */
    MODEL_CHECK(whorl_task_result(scene->tasks[0], NULL) == 0);
    finish(state);
}

/* ---- a block whose wait only the deadline can end ---- */

static int task_waits_in_block(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_timeout timeout;
    MODEL_CHECK(whorl_timeout_enter(&timeout, INNER_NS) == 0);
    const int inside = whorl_future_join(scene->future, WHORL_NEVER, NULL);
    leave(scene, &timeout, 0, inside);
    note_result(scene, 1, whorl_yield());
    check_quiet(scene->tasks[0], 0);
    return 0;
}

static void setup_wait_in_block(void *state)
{
    struct scene *const scene = state;
    setup_pair(state, task_waits_in_block);
    MODEL_CHECK(whorl_future_new(&scene->future) == 0);
}

static bool is_timed(void *arg)
{
    return ((const struct scene *)arg)->rig.loops[0].timers.heap.count > 0;
}

static void body_wait_in_block(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    (void)rig_loop_begin(&scene->rig, 1);
    model_block_until(is_timed, scene);
    while (rig_fire(&scene->rig, 0, LATE_NS) == 0) {
        model_yield(); /* T1: its hint was old */
    }
    rig_loop_run(&scene->rig, 1);
    rig_loop_end(&scene->rig, 1);
}

static void finish_wait_in_block(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->results[0] == -ETIMEDOUT && scene->results[1] == 0);
    MODEL_CHECK(scene->expired[0]);
    whorl_future_unref(scene->future);
    finish(state);
}

/* ---- the deadline and a user at once: TMO-8: the user's cancel comes out ---- */

static int task_is_asked_in_block(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_timeout timeout;
    MODEL_CHECK(whorl_timeout_enter(&timeout, INNER_NS) == 0);
    const int inside = whorl_yield();
    leave(scene, &timeout, 0, inside);
    note_result(scene, 1, whorl_yield());
    return 0;
}

static void setup_deadline_and_user(void *state)
{
    setup_pair(state, task_is_asked_in_block);
}

static void body_deadline_and_user(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        run_rescuer(scene, 1);
    } else {
        scene->accepted[0] = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void finish_deadline_and_user(void *state)
{
    struct scene *const scene = state;
    const int met = count_cancelled(scene, 2) +
                    (whorl_task_result(scene->tasks[0], NULL) == -ECANCELED);
    /* Never lost in the deadline's -ETIMEDOUT. Twice, as in asyncio, if the block was left with the
     * deadline's -ECANCELED just when the user asked: the next wait tells of it once more. */
    MODEL_CHECK(met >= scene->accepted[0] && met <= 2 * scene->accepted[0]);
    check_quiet(scene->tasks[0], scene->accepted[0]);
    finish(state);
}

/* ---- a shielded section, and a user at any time ---- */

static int task_is_shielded(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_shield shield;
    MODEL_CHECK(whorl_shield_begin(&shield) == 0);
    note_result(scene, 0, whorl_yield());
    note_result(scene, 1, whorl_future_join(scene->future, WHORL_NEVER, NULL));
    whorl_shield_end(&shield);
    whorl__plain_write(&shield); /* its memory is gone */
    note_result(scene, 2, whorl_yield());
    return 0;
}

static void setup_shielded(void *state)
{
    struct scene *const scene = state;
    setup_single(scene, task_is_shielded);
    scene->results[2] = 1; /* the body was never entered */
    MODEL_CHECK(whorl_future_new(&scene->future) == 0);
}

/* The future ends the wait in the section. */
static void body_shielded(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        scene->accepted[0] = whorl_cancel(scene->tasks[0], "not now");
    } else {
        MODEL_CHECK(whorl_future_set_result(scene->future, NULL) == 0);
    }
}

static void finish_shielded(void *state)
{
    struct scene *const scene = state;
    struct whorl_task *const task = scene->tasks[0];
    MODEL_CHECK(scene->results[0] == 0 && scene->results[1] == 0);
    if (scene->results[2] != 1) {
        const int met = (scene->results[2] == -ECANCELED) +
                        (whorl_task_result(task, NULL) == -ECANCELED);
        MODEL_CHECK(met == scene->accepted[0]);
    }
    check_quiet(task, scene->accepted[0]);
    whorl_future_unref(scene->future);
    finish(state);
}

/* ---- a request that comes back from an awaited future, and finds the task in a section ---- */

static int task_awaits_then_is_shielded(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_shield shield;
    note_result(scene, 0, whorl_future_await(scene->future, NULL));
    MODEL_CHECK(whorl_shield_begin(&shield) == 0);
    note_result(scene, 1, whorl_yield());
    whorl_shield_end(&shield);
    whorl__plain_write(&shield);
    note_result(scene, 2, whorl_yield());
    return 0;
}

static void setup_shielded_behind_await(void *state)
{
    struct scene *const scene = state;
    setup_single(scene, task_awaits_then_is_shielded);
    scene->results[2] = 1; /* the body was never entered */
    MODEL_CHECK(whorl_future_new(&scene->future) == 0);
}

static void body_shielded_behind_await(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        scene->accepted[0] = whorl_cancel(scene->tasks[0], "not now");
    } else {
        (void)whorl_future_set_result(scene->future, NULL); /* -EALREADY: cancelled by then */
    }
}

static void finish_shielded_behind_await(void *state)
{
    struct scene *const scene = state;
    struct whorl_task *const task = scene->tasks[0];
    MODEL_CHECK(scene->results[1] == 0);
    if (scene->results[2] != 1) {
        const int met = (scene->results[0] == -ECANCELED) + (scene->results[2] == -ECANCELED) +
                        (whorl_task_result(task, NULL) == -ECANCELED);
        MODEL_CHECK(met == scene->accepted[0]);
    }
    check_quiet(task, scene->accepted[0]);
    whorl_future_unref(scene->future);
    finish(state);
}

/* ---- a section in a block whose time is over at any moment ---- */

static int task_is_shielded_in_block(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_timeout timeout;
    struct whorl_shield shield;
    MODEL_CHECK(whorl_timeout_enter(&timeout, INNER_NS) == 0);
    MODEL_CHECK(whorl_shield_begin(&shield) == 0);
    MODEL_CHECK(whorl_yield() == 0);
    MODEL_CHECK(!whorl_timeout_expired(&timeout));
    whorl_shield_end(&shield);
    whorl__plain_write(&shield);
    const int inside = whorl_yield();
    leave(scene, &timeout, 0, inside);
    MODEL_CHECK(scene->results[0] == (inside == 0 ? 0 : -ETIMEDOUT));
    note_result(scene, 1, whorl_yield());
    check_quiet(scene->tasks[0], 0);
    return 0;
}

static void setup_shielded_in_block(void *state)
{
    setup_pair(state, task_is_shielded_in_block);
}

/* ---- two blocks, one in the other, both deadlines over: TMO-13 ---- */

static int task_nests_blocks(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_timeout outer;
    struct whorl_timeout inner;
    MODEL_CHECK(whorl_timeout_enter(&outer, OUTER_NS) == 0);
    MODEL_CHECK(whorl_timeout_enter(&inner, INNER_NS) == 0);
    const int inside = whorl_yield();
    leave(scene, &inner, 0, inside);
    const int between = scene->results[0] == 0 ? whorl_yield() : scene->results[0];
    leave(scene, &outer, 1, between);
    note_result(scene, 2, whorl_yield());
    check_quiet(scene->tasks[0], 0);
    return 0;
}

static void setup_nested(void *state)
{
    setup_pair(state, task_nests_blocks);
}

static void finish_nested(void *state)
{
    struct scene *const scene = state;
    const int inner = scene->results[0];
    const int outer = scene->results[1];
    MODEL_CHECK(scene->results[2] == 0);
    MODEL_CHECK(inner == 0 || inner == -ETIMEDOUT || inner == -ECANCELED);
    MODEL_CHECK(outer == 0 || outer == -ETIMEDOUT);
    if (inner == -ETIMEDOUT) {
        MODEL_CHECK(scene->expired[0]); /* only the inner block was over: the outer passes it on */
    }
    if (inner == -ECANCELED) { /* the outer's request was there first, or as well */
        MODEL_CHECK(scene->expired[1] && outer == -ETIMEDOUT);
    }
    finish(state);
}

/* ---- TMO-16: another thread moves the deadline while it fires ---- */

static bool is_moved(void *arg)
{
    const struct scene *const scene = arg;
    return scene->moved == scene->movers;
}

/* The block stays open until those who move its deadline are back. */
static int task_is_rescheduled(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_timeout_enter(&scene->timeout, INNER_NS) == 0);
    whorl__store_release_u32(&scene->entered, 1); /* release, pairs move */
    const int early = whorl_yield();
    model_block_until(is_moved, scene);
    while (whorl__load_acquire_u32(&scene->moved) < scene->movers) { /* acquire, pairs move */
        model_yield();
    }
    const int late = whorl_yield();
    leave(scene, &scene->timeout, 0, early != 0 ? early : late);
    note_result(scene, 1, whorl_yield());
    check_quiet(scene->tasks[0], 0);
    return 0;
}

static void setup_rescheduled(void *state)
{
    ((struct scene *)state)->movers = 1;
    setup_pair(state, task_is_rescheduled);
}

static bool is_entered(void *arg)
{
    return ((const struct scene *)arg)->entered != 0;
}

static void move(struct scene *scene, unsigned which, int64_t deadline_ns)
{
    model_block_until(is_entered, scene);
    while (whorl__load_acquire_u32(&scene->entered) == 0) { /* acquire, pairs the release above */
        model_yield();
    }
    const int error = whorl_timeout_reschedule(&scene->timeout, deadline_ns);
    model_note("reschedule: %d", error);
    scene->accepted[which] = error == 0;
    (void)whorl__add_u32(&scene->moved, 1); /* release half, pairs the acquire */
}

static void body_rescheduled(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        run_rescuer(scene, 1);
    } else {
        move(scene, 0, WHORL_NEVER);
    }
}

/* Moved, and it never came; or refused, since it had fired. The task may then have left the block
 * without another wait: it did not meet the deadline, and does not say that it expired. */
static void finish_rescheduled(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(!(scene->expired[0] && scene->accepted[0]));
    MODEL_CHECK(scene->results[1] == 0);
    finish(state);
}

/* ---- the same by two threads at once: the block must still be whole ---- */

static void setup_rescheduled_twice(void *state)
{
    ((struct scene *)state)->movers = 2;
    setup_pair(state, task_is_rescheduled);
}

static void body_rescheduled_twice(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        run_rescuer(scene, 1);
    } else {
        move(scene, thread - 2, thread == 2 ? WHORL_NEVER : OUTER_NS);
    }
}

static void finish_rescheduled_twice(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->accepted[0] || scene->results[0] == 0 || scene->expired[0]);
    MODEL_CHECK(scene->results[1] == 0);
    finish(state);
}

/* ---- CANC-5, CANC-6: the request goes on to the task that is awaited ---- */

static int task_is_awaited(void *arg)
{
    struct scene *const scene = arg;
    note_result(scene, 0, whorl_yield());
    return scene->results[0];
}

static int task_awaits(void *arg)
{
    struct scene *const scene = arg;
    note_result(scene, 1, whorl_await(scene->tasks[0], NULL));
    note_result(scene, 2, whorl_yield());
    return 0;
}

static void setup_forwarded(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_is_awaited, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, task_awaits, scene);
}

static void body_forwarded(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        scene->accepted[0] = whorl_cancel(scene->tasks[1], "both");
    }
}

/* The outer task meets it once; the inner one only if it was asked. */
static void finish_forwarded(void *state)
{
    struct scene *const scene = state;
    struct whorl_task *const inner = scene->tasks[0];
    struct whorl_task *const outer = scene->tasks[1];
    const int met = (scene->results[1] == -ECANCELED) + (scene->results[2] == -ECANCELED) +
                    (whorl_task_result(outer, NULL) == -ECANCELED);
    MODEL_CHECK(met == scene->accepted[0]);
    MODEL_CHECK(whorl_task_cancelling(inner) <= scene->accepted[0]);
    if (whorl_task_result(inner, NULL) == -ECANCELED) {
        MODEL_CHECK(scene->results[1] == -ECANCELED);
    }
    check_quiet(inner, whorl_task_cancelling(inner));
    check_quiet(outer, scene->accepted[0]);
    finish(state);
}

/* ---- CANC-5 of a task that runs where it is awaited: task/inline.c ---- */

static int child_ends(void *arg)
{
    (void)arg;
    return 0;
}

static int child_waits(void *arg)
{
    (void)arg;
    return whorl_yield();
}

/* The slot of its child goes to the next one, which nobody may ask. */
static int await_in_place(struct scene *scene, whorl_body *body)
{
    struct whorl_task *child;
    MODEL_CHECK(whorl_spawn(body, scene, NULL, &child) == 0);
    whorl__store_release_ptr((void **)&scene->open, child); /* release, pairs claim_open */
    note_result(scene, 0, whorl_await(child, NULL));
    whorl_task_unref(child);
    MODEL_CHECK(whorl_spawn(child_ends, scene, NULL, &child) == 0);
    while (!whorl_task_done(child)) {
        const int error = whorl_join(child, WHORL_NEVER, NULL);
        if (error != 0) {
            note_result(scene, 1, error);
        }
    }
    MODEL_CHECK(whorl_task_result(child, NULL) == 0);
    whorl_task_unref(child);
    return 0;
}

static int task_awaits_one_that_ends(void *arg)
{
    return await_in_place(arg, child_ends);
}

static int task_awaits_one_that_waits(void *arg)
{
    return await_in_place(arg, child_waits);
}

static void setup_in_place(void *state)
{
    setup_pair(state, task_awaits_one_that_ends);
    rig_inline(&((struct scene *)state)->rig);
}

static void setup_in_place_waits(void *state)
{
    setup_pair(state, task_awaits_one_that_waits);
    rig_inline(&((struct scene *)state)->rig);
}

/* As a dump does: what it finds is not another task meanwhile. */
static void look_at_awaited(struct whorl_task *task)
{
    bool visits;
    whorl__spin_lock(&task->lock);
    struct whorl_future *const awaited = whorl__awaited_hold(task, &visits);
    if (awaited != NULL) {
        whorl__plain_read(&whorl__task_of_future(awaited)->runtime); /* what `fill` sets */
    }
    whorl__awaited_let_go(task, visits);
    whorl__spin_unlock(&task->lock);
}

static bool is_open_or_over(void *arg)
{
    const struct scene *const scene = arg;
    return scene->open != NULL || is_over(scene);
}

/* Loop 1 finds the child's entry, as a thief would, and the awaiter comes too late, or it does. */
static void claim_open(struct scene *scene)
{
    model_block_until(is_open_or_over, scene);
    /* acquire, pairs await_in_place */
    struct whorl_task *const child = whorl__load_acquire_ptr((void **)&scene->open);
    (void)rig_loop_begin(&scene->rig, 1);
    if (child != NULL) {
        (void)rig_run_open(&scene->rig, 1, child, 1);
    }
    rig_loop_run(&scene->rig, 1);
    rig_loop_end(&scene->rig, 1);
}

static void body_in_place(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        scene->accepted[0] = whorl_cancel(scene->tasks[0], "enough");
    } else {
        claim_open(scene);
    }
}

static void body_in_place_looked_at(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        look_at_awaited(scene->tasks[0]);
    }
}

static void finish_in_place(void *state)
{
    struct scene *const scene = state;
    struct whorl_task *const task = scene->tasks[0];
    const int met = count_cancelled(scene, 2) + (whorl_task_result(task, NULL) == -ECANCELED);
    MODEL_CHECK(met == scene->accepted[0]); /* whom it was passed on to, or the task: once */
    check_quiet(task, scene->accepted[0]);
    finish(state);
}

/* ---- wait_for: the deadline goes on to the awaited task, which ends at once elsewhere ---- */

static int task_waits_for(void *arg)
{
    struct scene *const scene = arg;
    note_result(scene, 1, whorl_wait_for(scene->tasks[0], INNER_NS, NULL));
    note_result(scene, 2, whorl_yield());
    check_quiet(scene->tasks[1], 0);
    return 0;
}

static void setup_wait_for(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_SHARING);
    scene->tasks[0] = rig_spawn(&scene->rig, 1, task_is_awaited, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, task_waits_for, scene);
}

static void body_wait_for(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        (void)rig_fire(&scene->rig, 0, LATE_NS);
        (void)rig_fire(&scene->rig, 0, LATE_NS);
    }
}

static void finish_wait_for(void *state)
{
    struct scene *const scene = state;
    const int inner = whorl_task_result(scene->tasks[0], NULL);
    MODEL_CHECK(scene->results[1] == 0 || scene->results[1] == -ETIMEDOUT);
    MODEL_CHECK(inner == 0 || scene->results[1] == -ETIMEDOUT);
    MODEL_CHECK(scene->results[2] == 0);
    finish(state);
}

/* ---- two tasks that await each other: one cancel unties the knot ---- */

static int task_in_knot(void *arg)
{
    struct scene *const scene = arg;
    const unsigned other = whorl_task_current() == scene->tasks[0];
    note_result(scene, 1 - other, whorl_await(scene->tasks[other], NULL));
    return scene->results[1 - other];
}

static void setup_knot(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_in_knot, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, task_in_knot, scene);
}

static void body_knot(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        MODEL_CHECK(whorl_cancel(scene->tasks[0], "untie"));
    }
}

static void finish_knot(void *state)
{
    struct scene *const scene = state;
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(whorl_task_result(scene->tasks[i], NULL) == -ECANCELED);
    }
    finish(state);
}

/* ---- shut-down: whoever lives is asked once, beside a user who asks as well ---- */

static void body_shutdown(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        whorl__cancel_for_shutdown(scene->tasks[0]);
        whorl__cancel_for_shutdown(scene->tasks[0]); /* the runtime looks again and again */
    } else {
        scene->accepted[0] = whorl_cancel(scene->tasks[0], "me, too");
    }
}

static void finish_shutdown(void *state)
{
    struct scene *const scene = state;
    struct whorl_task *const task = scene->tasks[0];
    const int requests = whorl_task_cancelling(task);
    const int met = count_cancelled(scene, 3) + (whorl_task_result(task, NULL) == -ECANCELED);
    MODEL_CHECK(requests >= scene->accepted[0] && requests <= scene->accepted[0] + 1);
    MODEL_CHECK(met <= requests && (met > 0) == (requests > 0));
    check_quiet(task, requests);
    finish(state);
}

/*
 * The runtime walks the slots without references: the task it looks at may end, and its slot go to
 * one that was being spawned while the runtime began to end. That one must be asked in its turn.
 */

static int task_ends(void *arg)
{
    (void)arg;
    return 0;
}

/* Without a cancel it would never end. */
static int task_waits_for_shutdown(void *arg)
{
    struct scene *const scene = arg;
    note_result(scene, 0, whorl_future_join(scene->future, WHORL_NEVER, NULL));
    return 0;
}

static void setup_shutdown_reuse(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(whorl_future_new(&scene->future) == 0);
    setup_single(scene, task_ends);
}

/* The next task of the slot, by a spawn that had found the runtime not ending yet. */
static void run_two_lives(struct scene *scene)
{
    struct whorl_task *const before = scene->tasks[0];
    (void)rig_loop_begin(&scene->rig, 0);
    rig_loop_run(&scene->rig, 0);
    whorl_task_unref(before);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, task_waits_for_shutdown, scene);
    MODEL_CHECK(scene->tasks[1] == before); /* the slot used last is used first */
    rig_loop_run(&scene->rig, 0);
    rig_loop_end(&scene->rig, 0);
}

static bool is_second_there(void *arg)
{
    return ((const struct scene *)arg)->tasks[1] != NULL;
}

/* As for_each_live of end.c. */
static void visit(struct whorl_task *task)
{
    const enum whorl__phase phase = whorl__state_phase(whorl__load_acquire_u64(&task->word));
    if (phase == WHORL__LIVE || phase == WHORL__PARKED) {
        whorl__cancel_for_shutdown(task);
    }
}

static void body_shutdown_reuse(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        run_two_lives(scene);
        return;
    }
    struct whorl_task *const slot = scene->tasks[0];
    visit(slot); /* at any time */
    model_block_until(is_second_there, scene);
    while (scene->rig.loops[0].stats.ended < 2) {
        visit(slot); /* it looks until all have ended; for ever would be a livelock */
        model_yield();
    }
}

static void finish_shutdown_reuse(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->results[0] == -ECANCELED ||
                whorl_task_result(scene->tasks[1], NULL) == -ECANCELED);
    scene->tasks[0] = NULL;
    whorl_future_unref(scene->future);
    finish(state);
}

/* ---- */

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "cancel/" model_name, .about = what, .threads = thread_count,                          \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("two-requests", "CANC-13: two cancels, one delivery, or one each after the other", 3),
     .setup = setup_two_requests,
     .body = body_two_requests,
     .finish = finish_two_requests,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("withdrawn", "CANC-20: taken back by who made it: delivered before, or never", 2),
     .setup = setup_two_requests,
     .body = body_withdrawn,
     .finish = finish_withdrawn,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("cancel-uncancel", "CANC-19: one cancels, another takes back", 3),
     .setup = setup_two_requests,
     .body = body_cancel_uncancel,
     .finish = finish_cancel_uncancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("sleeps-on", "a sleep woken by a cancel that was withdrawn sleeps on", 4),
     .setup = setup_sleep,
     .body = body_sleeps_on,
     .finish = finish_sleeps_on,
     .schedules = 3000},
    {SCENE("leaving", "MT-15: a deadline fires elsewhere while its block is left", 2),
     .setup = setup_leave,
     .body = body_leave,
     .finish = finish_leave,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("deadline", "TMO-1: only the deadline, fired elsewhere, ends the wait in a block", 2),
     .setup = setup_wait_in_block,
     .body = body_wait_in_block,
     .finish = finish_wait_in_block,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("deadline-and-user", "TMO-8: the deadline and a user at once: the user is heard", 3),
     .setup = setup_deadline_and_user,
     .body = body_deadline_and_user,
     .finish = finish_deadline_and_user,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("nested", "TMO-13: two blocks whose deadlines fire while they are left", 2),
     .setup = setup_nested,
     .body = body_leave,
     .finish = finish_nested,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("reschedule", "TMO-16: moved by another thread while it fires: one of the two", 3),
     .setup = setup_rescheduled,
     .body = body_rescheduled,
     .finish = finish_rescheduled,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("reschedule-twice", "two threads move the same deadline", 4),
     .setup = setup_rescheduled_twice,
     .body = body_rescheduled_twice,
     .finish = finish_rescheduled_twice,
     .schedules = 3000},
    {SCENE("forwarded", "CANC-5: the request goes on to the awaited task, which may be over", 3),
     .setup = setup_forwarded,
     .body = body_forwarded,
     .finish = finish_forwarded,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("in-place", "the same where the awaited task runs in its awaiter's place", 2),
     .setup = setup_in_place,
     .body = body_in_place,
     .finish = finish_in_place,
     .preemptions = 2,
     .schedules = 5000},
    {SCENE("in-place-waits", "the same, and the awaited task waits: both park", 2),
     .setup = setup_in_place_waits,
     .body = body_in_place,
     .finish = finish_in_place,
     .preemptions = 2,
     .schedules = 5000},
    {SCENE("in-place-or-stolen", "the same, and a thief may have it first", 3),
     .setup = setup_in_place,
     .body = body_in_place,
     .finish = finish_in_place,
     .preemptions = 1,
     .schedules = 5000},
    {SCENE("in-place-looked-at", "who looks at what is awaited there finds that task, or none", 2),
     .setup = setup_in_place,
     .body = body_in_place_looked_at,
     .finish = finish_in_place,
     .preemptions = 2,
     .schedules = 5000},
    {SCENE("wait-for", "a deadline goes on to the awaited task, which ends elsewhere", 3),
     .setup = setup_wait_for,
     .body = body_wait_for,
     .finish = finish_wait_for,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("shielded", "a section lets no cancel in, and loses none", 3),
     .setup = setup_shielded,
     .body = body_shielded,
     .finish = finish_shielded,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("shielded-behind-await", "a request comes back to a task, in a section by then", 3),
     .setup = setup_shielded_behind_await,
     .body = body_shielded_behind_await,
     .finish = finish_shielded_behind_await,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("shielded-in-block", "the deadline of the block around a section waits for its end", 2),
     .setup = setup_shielded_in_block,
     .body = body_leave,
     .finish = finish_leave,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("knot", "two tasks await each other: one cancel ends both", 3),
     .setup = setup_knot,
     .body = body_knot,
     .finish = finish_knot,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("shut-down", "the end of the runtime asks once, beside a user", 3),
     .setup = setup_two_requests,
     .body = body_shutdown,
     .finish = finish_shutdown,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("shut-down-reuse", "a slot's next task is asked, though its last one was, too", 2),
     .setup = setup_shutdown_reuse,
     .body = body_shutdown_reuse,
     .finish = finish_shutdown_reuse,
     .preemptions = 2,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
