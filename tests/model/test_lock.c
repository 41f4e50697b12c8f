/*
 * test_lock.c - locks that are acquired, released, cancelled and given up at once: runtime/sync/
 * line.c and lock.c.
 *
 * What a section does is a plain write that is marked: two at once are a race. Everybody comes to
 * his end: who is forgotten in line blocks the model for ever. The lock lies in a block of memory,
 * and the last who has released it frees it, as a program may: who touches it later is found.
 *
 * Shown to fail: by --mutate of the release in unlock (K3), and by leaving
 * out, in acquire, the grant of one who was cancelled.
 */
#include "model/model.h"
#include "model/rig.h"

#include "whorl.h"

#include <errno.h>

#define DUE_NS  10
#define LATE_NS 100
#define USERS   3

struct scene {
    struct rig rig;
    struct whorl_lock *lock;
    struct whorl_task *tasks[USERS];
    int inside;           /* plain: written in each section */
    unsigned left;        /* plain: sections that are to come; under the lock */
    bool frees;           /* the last section frees the lock */
    bool begun[USERS];
    int got[USERS];
    bool cancelled;
};

/* ---- what tasks and threads do ---- */

static void section(struct scene *scene)
{
    whorl__plain_write(&scene->inside);
    scene->inside++;
    whorl__plain_write(&scene->left);
    const bool last = --scene->left == 0 && scene->frees;
    MODEL_CHECK(whorl_lock_release(scene->lock) == 0);
    if (last) {
        model_free(scene->lock);
    }
}

static int use_until(struct scene *scene, unsigned who, int64_t deadline_ns)
{
    scene->begun[who] = true;
    scene->got[who] = whorl_lock_acquire_until(scene->lock, deadline_ns);
    model_note("acquire: %d", scene->got[who]);
    if (scene->got[who] == 0) {
        section(scene);
    }
    return 0;
}

static int first_uses(void *arg)
{
    return use_until(arg, 0, WHORL_NEVER);
}

static int second_uses(void *arg)
{
    return use_until(arg, 1, WHORL_NEVER);
}

static int first_uses_until(void *arg)
{
    return use_until(arg, 0, DUE_NS);
}

/* ---- beginnings and ends ---- */

static void make_lock(struct scene *scene, unsigned flags, unsigned sections)
{
    scene->lock = model_alloc(sizeof *scene->lock);
    MODEL_CHECK(whorl_lock_init(scene->lock, flags) == 0);
    model_name(&scene->lock->opaque[0], "lock.word");
    scene->left = sections;
}

static void hold(struct scene *scene)
{
    MODEL_CHECK(whorl_lock_acquire(scene->lock) == 0);
}

static void end_tasks(struct scene *scene)
{
    for (unsigned i = 0; i < USERS; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

static void end_lock(struct scene *scene)
{
    MODEL_CHECK(!whorl_lock_locked(scene->lock));
    MODEL_CHECK(whorl_lock_destroy(scene->lock) == 0); /* nobody is left in it */
    model_free(scene->lock);
}

/* ---- two tasks, each on a loop ---- */

static void setup_two_tasks(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_STRICT);
    make_lock(scene, 0, 2);
    scene->frees = true;
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, second_uses, scene);
}

static void setup_two_unfair(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_SHARING);
    make_lock(scene, WHORL_LOCK_UNFAIR, 2);
    scene->frees = true;
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, second_uses, scene);
}

static void body_loops(void *state, unsigned thread)
{
    rig_loop(&((struct scene *)state)->rig, thread);
}

static void finish_all_used(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->inside == 2 && scene->left == 0);
    end_tasks(scene);
}

/* ---- a task and two plain threads ---- */

static void setup_threads(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    make_lock(scene, 0, 3);
    scene->frees = true;
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
}

static void setup_threads_unfair(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    make_lock(scene, WHORL_LOCK_UNFAIR, 3);
    scene->frees = true;
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
}

static void body_threads(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        (void)use_until(scene, thread, WHORL_NEVER);
    }
}

static void finish_threads(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->inside == 3 && scene->left == 0);
    end_tasks(scene);
}

/* ---- LOCK-5, LOCK-6: the first in line is cancelled while the lock is released ---- */

static void setup_cancel(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_SHARING);
    make_lock(scene, 0, 3);
    hold(scene);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, second_uses, scene);
}

static void body_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        section(scene);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void finish_cancel(void *state)
{
    struct scene *const scene = state;
    const bool met = scene->begun[0] && scene->got[0] == -ECANCELED;
    MODEL_CHECK(scene->got[1] == 0);
    MODEL_CHECK(!met || scene->cancelled);
    MODEL_CHECK(scene->inside == 3 - (met || !scene->begun[0]));
    end_lock(scene);
    end_tasks(scene);
}

/* ---- the same in strict order, from two threads ---- */

static void setup_cancel_strict(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    make_lock(scene, 0, 3);
    hold(scene);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, second_uses, scene);
}

/* ---- a deadline, fired by a rescuer, against the release ---- */

static void setup_timed(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_SHARING);
    make_lock(scene, 0, 3);
    hold(scene);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses_until, scene);
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
        section(scene);
        (void)use_until(scene, 2, WHORL_NEVER);
    }
}

static void finish_timed(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0 || scene->got[0] == -ETIMEDOUT);
    MODEL_CHECK(scene->got[2] == 0);
    MODEL_CHECK(scene->inside == 3 - (scene->got[0] != 0));
    end_lock(scene);
    end_tasks(scene);
}

/* ---- a cancel that is withdrawn: the waiter stays in line ---- */

static void body_withdrawn(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        section(scene);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
        (void)whorl_uncancel(scene->tasks[0]);
    }
}

/* ---- the models ---- */

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "lock/" model_name, .about = what, .threads = thread_count,                            \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("two-tasks", "K3: two tasks on two loops; the last one frees the lock", 2),
     .setup = setup_two_tasks,
     .body = body_loops,
     .finish = finish_all_used,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("two-unfair", "the same where who comes first gets it", 2),
     .setup = setup_two_unfair,
     .body = body_loops,
     .finish = finish_all_used,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("threads", "a task and two plain threads", 3),
     .setup = setup_threads,
     .body = body_threads,
     .finish = finish_threads,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("threads-unfair", "the same where who comes first gets it", 3),
     .setup = setup_threads_unfair,
     .body = body_threads,
     .finish = finish_threads,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("cancelled", "LOCK-5, 6: a release and a cancel of the first of two in line", 3),
     .setup = setup_cancel,
     .body = body_cancel,
     .finish = finish_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("cancelled-strict", "the same in strict order", 3),
     .setup = setup_cancel_strict,
     .body = body_cancel,
     .finish = finish_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("timed", "a deadline that comes with the release", 3),
     .setup = setup_timed,
     .body = body_timed,
     .finish = finish_timed,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("withdrawn", "a cancel that is taken back, beside a release", 3),
     .setup = setup_cancel,
     .body = body_withdrawn,
     .finish = finish_cancel,
     .preemptions = 2,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
