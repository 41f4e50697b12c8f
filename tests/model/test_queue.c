/*
 * test_queue.c - items that are put, got, waited for and given up at once: runtime/sync/queue.c.
 *
 * However it goes, everybody comes to his end; no item is lost or got twice; what was done before a
 * put is seen with the item.
 *
 * Shown to fail: by --mutate of line.c (K3), and by leaving out pass_on.
 */
#include "model/model.h"
#include "model/rig.h"

#include "whorl.h"

#include <errno.h>

#define USERS 3

struct scene {
    struct rig rig;
    struct whorl_queue *queue;
    struct whorl_task *tasks[USERS];
    int items[USERS]; /* plain: written before they are put */
    int got[USERS];   /* what each call returned */
    int put[USERS];
    unsigned received; /* A: sum of what was got for good */
    bool begun[USERS];
    bool cancelled;
};

static int put_item(struct scene *scene, unsigned who)
{
    whorl__plain_write(&scene->items[who]);
    scene->items[who] = 1 << who;
    scene->put[who] = whorl_queue_put(scene->queue, &scene->items[who]);
    model_note("put: %d", scene->put[who]);
    return scene->put[who];
}

static int *get_item(struct scene *scene, unsigned who)
{
    void *item = NULL;
    scene->begun[who] = true;
    scene->got[who] = whorl_queue_get(scene->queue, &item);
    model_note("get: %d", scene->got[who]);
    if (scene->got[who] != 0) {
        return NULL;
    }
    whorl__plain_read(item);
    MODEL_CHECK(*(int *)item != 0);
    return item;
}

static void receive(struct scene *scene, unsigned who)
{
    const int *const item = get_item(scene, who);
    if (item != NULL) {
        (void)whorl__add_u32(&scene->received, (uint32_t)*item);
    }
}

static int first_gets(void *arg)
{
    receive(arg, 0);
    return 0;
}

static int second_gets(void *arg)
{
    receive(arg, 1);
    return 0;
}

/* What it gets it puts back, for the second. */
static int first_borrows(void *arg)
{
    struct scene *const scene = arg;
    int *const item = get_item(scene, 0);
    while (item != NULL && whorl_queue_put(scene->queue, item) != 0) {
        /* the cancel came here: once more */
    }
    return 0;
}

static int first_puts(void *arg)
{
    return put_item(arg, 0);
}

static int second_puts(void *arg)
{
    return put_item(arg, 1);
}

static int first_joins(void *arg)
{
    struct scene *const scene = arg;
    scene->got[0] = whorl_queue_join(scene->queue);
    whorl__plain_read(&scene->items[2]);
    MODEL_CHECK(scene->items[2] == 5);
    return 0;
}

static void make(struct scene *scene, enum rig_kind kind, int64_t max)
{
    rig_init(&scene->rig, 1, kind);
    scene->queue = model_alloc(sizeof *scene->queue);
    MODEL_CHECK(whorl_queue_init(scene->queue, WHORL_QUEUE_FIFO, max, NULL) == 0);
    model_name(&scene->queue->opaque[0], "queue.word");
}

static void spawn(struct scene *scene, unsigned who, whorl_body *body)
{
    scene->tasks[who] = rig_spawn(&scene->rig, 0, body, scene);
}

static void end(struct scene *scene, size_t left)
{
    MODEL_CHECK(whorl_queue_size(scene->queue) == left);
    MODEL_CHECK(whorl_queue_destroy(scene->queue) == 0);
    model_free(scene->queue);
    for (unsigned i = 0; i < USERS; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

/* ---- one gets, one puts ---- */

static void setup_get(void *state)
{
    make(state, RIG_STRICT, 0);
    spawn(state, 0, first_gets);
}

static void body_put(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        (void)put_item(scene, 2);
    }
}

static void finish_get(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->received == 1U << 2);
    end(scene, 0);
}

/* ---- no room: two put, a thread gets three ---- */

static void setup_full(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_SHARING, 1);
    (void)put_item(scene, 2);
    spawn(scene, 0, first_puts);
    spawn(scene, 1, second_puts);
}

static void body_get_three(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        receive(scene, 2);
    }
}

static void finish_full(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->received == 7);
    end(scene, 0);
}

/* ---- QUE-6: one item, two in line, the first is cancelled meanwhile ---- */

static void setup_cancel(void *state)
{
    make(state, RIG_SHARING, 0);
    spawn(state, 0, first_borrows);
    spawn(state, 1, second_gets);
}

static void setup_cancel_strict(void *state)
{
    make(state, RIG_STRICT, 0);
    spawn(state, 0, first_borrows);
    spawn(state, 1, second_gets);
}

static void body_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        (void)put_item(scene, 2);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void finish_cancel(void *state)
{
    struct scene *const scene = state;
    const bool missed = scene->begun[0] && scene->got[0] != 0;
    MODEL_CHECK(scene->received == 1U << 2);
    MODEL_CHECK(!missed || (scene->got[0] == -ECANCELED && scene->cancelled));
    end(scene, 0);
}

/* ---- who comes in between: one item, one in line, and a thread that would have it at once ---- */

static void body_steal(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        (void)put_item(scene, 2);
        (void)put_item(scene, 1);
    } else {
        receive(scene, 2);
    }
}

static void setup_steal(void *state)
{
    make(state, RIG_SHARING, 0);
    spawn(state, 0, first_gets);
}

static void finish_steal(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->received == ((1U << 2) | (1U << 1)));
    end(scene, 0);
}

/* ---- QUE-18, 19: a shutdown, a put, and two in line ---- */

static void setup_shut(void *state)
{
    make(state, RIG_SHARING, 0);
    spawn(state, 0, first_gets);
    spawn(state, 1, second_gets);
}

static void body_shut(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        (void)put_item(scene, 2);
    } else {
        MODEL_CHECK(whorl_queue_shutdown(scene->queue, false) == 0);
    }
}

static void finish_shut(void *state)
{
    struct scene *const scene = state;
    const int got = (scene->got[0] == 0) + (scene->got[1] == 0);
    MODEL_CHECK(scene->put[2] == 0 || scene->put[2] == -ESHUTDOWN);
    MODEL_CHECK(scene->put[2] == 0 ? scene->received == 1U << 2 && got == 1 : got == 0);
    end(scene, 0);
}

/* ---- join ---- */

static void setup_join(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_STRICT, 0);
    (void)put_item(scene, 0);
    (void)put_item(scene, 1);
    spawn(scene, 0, first_joins);
}

static void body_done(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    MODEL_CHECK(whorl_queue_task_done(scene->queue) == 0);
    whorl__plain_write(&scene->items[2]);
    scene->items[2] = 5;
    MODEL_CHECK(whorl_queue_task_done(scene->queue) == 0);
}

static void finish_join(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0);
    end(scene, 2);
}

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "queue/" model_name, .about = what, .threads = thread_count,                           \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("put", "K3: what was done before a put", 2),
     .setup = setup_get,
     .body = body_put,
     .finish = finish_get,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("full", "two wait for room", 2),
     .setup = setup_full,
     .body = body_get_three,
     .finish = finish_full,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("cancelled", "QUE-6: a put, and a cancel of the first of two in line", 3),
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
    {SCENE("between", "two items, one in line, and one who comes in between", 3),
     .setup = setup_steal,
     .body = body_steal,
     .finish = finish_steal,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("shut", "QUE-18, 19: a shutdown and a put, two in line", 3),
     .setup = setup_shut,
     .body = body_shut,
     .finish = finish_shut,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("join", "K3: what was done before the last task_done", 2),
     .setup = setup_join,
     .body = body_done,
     .finish = finish_join,
     .preemptions = 3,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
