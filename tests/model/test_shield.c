/*
 * test_shield.c - a shield that is cancelled while what it guards ends: runtime/task/shield.c.
 *
 * Nobody but the completer and the shields keeps what is guarded, so it is freed by the last of
 * them: who touches it after that is found, and so is what is left.
 */
#include "model/model.h"
#include "model/rig.h"

#include "task/future.h"
#include "whorl.h"

#include <errno.h>

struct scene {
    struct rig rig;
    struct whorl_future *inner;
    struct whorl_future *shields[2];
    struct whorl_task *task;
    int data;         /* written before inner is done, read behind the shield */
    int result;       /* the awaiting task's; 1: it never began */
    bool accepted[2]; /* what each cancel said */
};

/* ---- what is common ---- */

static void set_up(struct scene *scene, unsigned shields)
{
    MODEL_CHECK(whorl_future_new(&scene->inner) == 0);
    for (unsigned i = 0; i < shields; i++) {
        MODEL_CHECK(whorl_shield(scene->inner, &scene->shields[i]) == 0);
    }
}

static void complete(struct scene *scene)
{
    whorl__plain_write(&scene->data);
    scene->data = 1;
    MODEL_CHECK(whorl_future_set_result(scene->inner, scene) == 0); /* no cancel reaches it */
    whorl_future_unref(scene->inner);
}

/* A shield in the end: cancelled if and only if that was said, else as inner ended. */
static void check_shield(const struct scene *scene, unsigned which)
{
    struct whorl_future *const shield = scene->shields[which];
    void *value = NULL;
    const int result = whorl_future_result(shield, &value);
    MODEL_CHECK(whorl_future_cancelled(shield) == scene->accepted[which]);
    MODEL_CHECK(result == (scene->accepted[which] ? -ECANCELED : 0));
    MODEL_CHECK(scene->accepted[which] || value == scene);
    whorl_future_unref(shield);
}

/* ---- one, cancelled while inner ends ---- */

static void setup_one(void *state)
{
    set_up(state, 1);
}

static void body_one(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        complete(scene);
    } else {
        scene->accepted[0] = whorl_future_cancel(scene->shields[0], "enough");
    }
}

static void finish_one(void *state)
{
    check_shield(state, 0);
}

/* ---- SHLD-7: two of them, both cancelled ---- */

static void setup_two(void *state)
{
    set_up(state, 2);
}

static void body_two(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        complete(scene);
    } else {
        scene->accepted[thread - 1] = whorl_future_cancel(scene->shields[thread - 1], "enough");
    }
}

static void finish_two(void *state)
{
    check_shield(state, 0);
    check_shield(state, 1);
}

/* ---- given back by its owner while inner ends ---- */

static void body_given_back(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        complete(scene);
    } else {
        whorl_future_unref(scene->shields[0]);
    }
}

/* ---- SHLD-1, SHLD-3: a task awaits it ---- */

static int task_awaits(void *arg)
{
    struct scene *const scene = arg;
    scene->result = whorl_future_await(scene->shields[0], NULL);
    if (scene->result == 0) {
        whorl__plain_read(&scene->data);
        MODEL_CHECK(scene->data == 1);
    }
    return scene->result;
}

static void setup_awaited(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_SHARING);
    scene->result = 1;
    set_up(scene, 1);
    scene->task = rig_spawn(&scene->rig, 0, task_awaits, scene);
}

static void body_awaited(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        complete(scene);
    } else {
        scene->accepted[0] = whorl_cancel(scene->task, "enough");
    }
}

static void finish_awaited(void *state)
{
    struct scene *const scene = state;
    const int ended = whorl_task_result(scene->task, NULL);
    MODEL_CHECK(ended == -ECANCELED || ended == 0);
    MODEL_CHECK((ended == -ECANCELED) == scene->accepted[0]);
    MODEL_CHECK(scene->result == 1 || scene->result == 0 || scene->result == -ECANCELED);
    MODEL_CHECK(whorl_future_done(scene->shields[0])); /* one of the two has ended it */
    whorl_future_unref(scene->shields[0]);
    whorl_task_unref(scene->task);
    rig_fini(&scene->rig);
}

/* ---- */

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "shield/" model_name, .about = what, .threads = thread_count,                          \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("cancelled", "it is cancelled while what it guards ends: one of the two", 2),
     .setup = setup_one,
     .body = body_one,
     .finish = finish_one,
     .preemptions = 4,
     .schedules = 3000},
    {SCENE("two", "SHLD-7: two of one future, both cancelled while that ends", 3),
     .setup = setup_two,
     .body = body_two,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("given-back", "it is given back while what it guards ends", 2),
     .setup = setup_one,
     .body = body_given_back,
     .preemptions = 4,
     .schedules = 3000},
    {SCENE("awaited", "SHLD-1: who awaits it is cancelled while what it guards ends", 3),
     .setup = setup_awaited,
     .body = body_awaited,
     .finish = finish_awaited,
     .preemptions = 2,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
