/*
 * test_barrier.c - barriers that are met, left by a cancel, reset and broken at once: runtime/sync/
 * barrier.c, over the condition and the lock that it is made of.
 *
 * However it goes, everybody comes to his end. Who passes together has different numbers, and each
 * sees what the other did before: a marked plain field of each, written before and read after. Who
 * does not pass was cancelled, or the barrier was reset or broken; and nobody passes alone.
 *
 * Shown to fail: by --mutate of line.c (K3), by letting somebody in while it drains, by a reset
 * that leaves who waits, and by leaving out the notification of the last one who leaves.
 */
#include "model/model.h"
#include "model/rig.h"

#include "whorl.h"

#include <errno.h>

#define USERS 3

struct scene {
    struct rig rig;
    struct whorl_barrier *barrier;
    struct whorl_task *tasks[USERS];
    int fields[USERS]; /* plain: written before the barrier, read behind it */
    int got[USERS];
    unsigned index[USERS];
    bool begun[USERS];
    bool cancelled;
};

/* ---- what tasks and threads do ---- */

static int meet(struct scene *scene, unsigned who)
{
    scene->begun[who] = true;
    whorl__plain_write(&scene->fields[who]);
    scene->fields[who] = 1;
    scene->got[who] = whorl_barrier_wait(scene->barrier, &scene->index[who]);
    model_note("barrier: %d", scene->got[who]);
    return scene->got[who];
}

static void look(struct scene *scene, unsigned whose)
{
    whorl__plain_read(&scene->fields[whose]);
    MODEL_CHECK(scene->fields[whose] == 1);
}

static int first_meets(void *arg)
{
    struct scene *const scene = arg;
    if (meet(scene, 0) == 0) {
        look(scene, 1);
    }
    return 0;
}

static int second_meets(void *arg)
{
    struct scene *const scene = arg;
    if (meet(scene, 1) == 0) {
        look(scene, 0);
    }
    return 0;
}

static void break_barrier(struct scene *scene)
{
    while (whorl_barrier_abort(scene->barrier) == -ECANCELED) {
        /* the cancel came here: once more */
    }
}

/* One whom a cancel sends away tells the other that nobody comes any more. */
static int first_meets_or_breaks(void *arg)
{
    struct scene *const scene = arg;
    if (meet(scene, 0) == 0) {
        look(scene, 1);
    } else {
        break_barrier(scene);
    }
    return 0;
}

/* Who was turned away by a reset comes again, until it is broken. */
static int meet_again(struct scene *scene, unsigned who)
{
    while (meet(scene, who) == -ENOTRECOVERABLE && !whorl_barrier_broken(scene->barrier)) {
    }
    return 0;
}

static int first_comes_again(void *arg)
{
    return meet_again(arg, 0);
}

static int second_comes_again(void *arg)
{
    return meet_again(arg, 1);
}

static int third_comes_again(void *arg)
{
    return meet_again(arg, 2);
}

/* ---- beginnings and ends ---- */

static void make(struct scene *scene, unsigned loops, enum rig_kind kind, unsigned parties)
{
    rig_init(&scene->rig, loops, kind);
    scene->barrier = model_alloc(sizeof *scene->barrier);
    MODEL_CHECK(whorl_barrier_init(scene->barrier, parties) == 0);
}

static void spawn(struct scene *scene, unsigned who, unsigned loop, whorl_body *body)
{
    scene->tasks[who] = rig_spawn(&scene->rig, loop, body, scene);
}

static void end(struct scene *scene)
{
    MODEL_CHECK(whorl_barrier_n_waiting(scene->barrier) == 0);
    MODEL_CHECK(whorl_barrier_destroy(scene->barrier) == 0); /* nobody is left in it */
    model_free(scene->barrier);
    for (unsigned i = 0; i < USERS; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

static void check_passed_together(const struct scene *scene)
{
    MODEL_CHECK(scene->got[0] == 0 && scene->got[1] == 0);
    MODEL_CHECK(scene->index[0] + scene->index[1] == 1);
}

/* ---- two meet, on two loops; a task and a plain thread ---- */

static void setup_two(void *state)
{
    struct scene *const scene = state;
    make(scene, 2, RIG_STRICT, 2);
    spawn(scene, 0, 0, first_meets);
    spawn(scene, 1, 1, second_meets);
}

static void body_loops(void *state, unsigned thread)
{
    rig_loop(&((struct scene *)state)->rig, thread);
}

static void setup_thread(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_SHARING, 2);
    spawn(scene, 0, 0, first_meets);
}

static void body_thread(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        (void)second_meets(scene);
    }
}

static void finish_together(void *state)
{
    struct scene *const scene = state;
    check_passed_together(scene);
    end(scene);
}

/* ---- two rounds: nobody of the second gets in while the first one drains ---- */

static int meet_twice(struct scene *scene, unsigned who)
{
    unsigned index = USERS;
    MODEL_CHECK(meet(scene, who) == 0);
    MODEL_CHECK(whorl_barrier_wait(scene->barrier, &index) == 0 && index < 2);
    return 0;
}

static int first_meets_twice(void *arg)
{
    return meet_twice(arg, 0);
}

static void setup_twice(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_SHARING, 2);
    spawn(scene, 0, 0, first_meets_twice);
}

static void body_twice(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        (void)meet_twice(scene, 1);
    }
}

/* ---- BAR-6: one of two is cancelled while the other comes ---- */

static void setup_cancel(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_SHARING, 2);
    spawn(scene, 0, 0, first_meets_or_breaks);
}

static void setup_cancel_strict(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_STRICT, 2);
    spawn(scene, 0, 0, first_meets_or_breaks);
}

static void body_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        (void)second_meets(scene);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
        if (!scene->begun[0]) {
            break_barrier(scene); /* it may never come; else it does this itself */
        }
    }
}

static void finish_cancel(void *state)
{
    struct scene *const scene = state;
    const int first = scene->begun[0] ? scene->got[0] : -ECANCELED;
    MODEL_CHECK(first == 0 || first == -ENOTRECOVERABLE ||
                (first == -ECANCELED && scene->cancelled));
    MODEL_CHECK(scene->got[1] == 0 || scene->got[1] == -ENOTRECOVERABLE);
    if (first == 0 && scene->got[1] == 0) {
        check_passed_together(scene);
    }
    MODEL_CHECK(scene->got[1] != 0 || scene->begun[0]); /* not alone */
    end(scene);
}

/* ---- BAR-7, 8: a reset, then an abort, while two come, or three for two places ---- */

static void setup_reset(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_SHARING, 2);
    spawn(scene, 0, 0, first_comes_again);
    spawn(scene, 1, 0, second_comes_again);
}

static void setup_reset_three(void *state)
{
    struct scene *const scene = state;
    setup_reset(scene);
    spawn(scene, 2, 0, third_comes_again);
}

static void body_reset(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    MODEL_CHECK(whorl_barrier_reset(scene->barrier) == 0);
    MODEL_CHECK(whorl_barrier_abort(scene->barrier) == 0);
}

/* Nobody passes who was not one of two in a round; the last of it may be told of the abort. */
static void finish_reset(void *state)
{
    struct scene *const scene = state;
    for (unsigned i = 0; i < USERS; i++) {
        MODEL_CHECK(scene->got[i] == 0 || scene->got[i] == -ENOTRECOVERABLE);
    }
    MODEL_CHECK(scene->got[0] != 0 || scene->got[1] != 0 || scene->tasks[2] != NULL ||
                scene->index[0] + scene->index[1] == 1);
    MODEL_CHECK(whorl_barrier_broken(scene->barrier));
    end(scene);
}

/* ---- BAR-7: one waits there, and a reset sends him away ---- */

static int first_meets_alone(void *arg)
{
    (void)meet(arg, 0);
    return 0;
}

static void setup_alone(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_STRICT, 2);
    spawn(scene, 0, 0, first_meets_alone);
}

static void body_alone(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    while (whorl_barrier_n_waiting(scene->barrier) == 0) {
        model_yield();
    }
    MODEL_CHECK(whorl_barrier_reset(scene->barrier) == 0);
}

static void finish_alone(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == -ENOTRECOVERABLE);
    MODEL_CHECK(!whorl_barrier_broken(scene->barrier));
    end(scene);
}

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "barrier/" model_name, .about = what, .threads = thread_count,                         \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("two", "K3: two tasks on two loops", 2),
     .setup = setup_two,
     .body = body_loops,
     .finish = finish_together,
     .preemptions = 2,
     .schedules = 2000},
    {SCENE("thread", "a task and a plain thread", 2),
     .setup = setup_thread,
     .body = body_thread,
     .finish = finish_together,
     .preemptions = 2,
     .schedules = 2000},
    {SCENE("twice", "BAR-4: two rounds of a task and a plain thread", 2),
     .setup = setup_twice,
     .body = body_twice,
     .finish = finish_together,
     .preemptions = 1,
     .schedules = 2000},
    {SCENE("cancelled", "BAR-6: a cancel of one while the other comes", 3),
     .setup = setup_cancel,
     .body = body_cancel,
     .finish = finish_cancel,
     .preemptions = 1,
     .schedules = 2000},
    {SCENE("cancelled-strict", "the same in strict order", 3),
     .setup = setup_cancel_strict,
     .body = body_cancel,
     .finish = finish_cancel,
     .preemptions = 1,
     .schedules = 2000},
    {SCENE("reset", "BAR-7, 8: a reset and an abort while two come", 2),
     .setup = setup_reset,
     .body = body_reset,
     .finish = finish_reset,
     .preemptions = 1,
     .schedules = 2000},
    {SCENE("reset-three", "the same with three who want to be two", 2),
     .setup = setup_reset_three,
     .body = body_reset,
     .finish = finish_reset,
     .preemptions = 1,
     .schedules = 2000},
    {SCENE("alone", "BAR-7: a reset sends away the one who waits", 2),
     .setup = setup_alone,
     .body = body_alone,
     .finish = finish_alone,
     .preemptions = 2,
     .schedules = 2000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
