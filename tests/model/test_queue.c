/*
 * test_queue.c - items that are put, got, waited for and given up at once: runtime/sync/queue.c.
 *
 * However it goes, everybody comes to his end; no item is lost or got twice; what was done before a
 * put is seen with the item.
 *
 * Shown to fail: by --mutate of line.c (K3), and by leaving out pass_on; shut-between also by
 * turning away who finds all items reserved, shut-again by telling nobody when the last one is
 * taken.
 */
#include "model/model.h"
#include "model/rig.h"

#include "whorl.h"

#include <errno.h>

#define DUE_NS  10
#define LATE_NS 100
#define USERS   3
#define SMALL   8  /* items that a queue holds without memory of its own */
#define FILLER  16 /* no user's item is worth that */

struct scene {
    struct rig rig;
    struct whorl_queue *queue;
    struct whorl_task *tasks[USERS];
    int items[USERS]; /* plain: written before they are put */
    int got[USERS];   /* what each call returned */
    int put[USERS];
    int fillers[SMALL];
    unsigned received; /* A: sum of what was got for good */
    unsigned freed;    /* plain: sum of what a shutdown threw away */
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
    (void)put_item(arg, 0);
    return 0;
}

static int second_puts(void *arg)
{
    (void)put_item(arg, 1);
    return 0;
}

static int first_joins(void *arg)
{
    struct scene *const scene = arg;
    scene->got[0] = whorl_queue_join(scene->queue);
    whorl__plain_read(&scene->items[2]);
    MODEL_CHECK(scene->items[2] == 5);
    return 0;
}

/* Called with the queue locked: what was written before the put is seen. */
static int compare(const void *a, const void *b)
{
    const int *const left = a;
    const int *const right = b;
    whorl__plain_read(left);
    whorl__plain_read(right);
    return (*left > *right) - (*left < *right);
}

static void make_of(struct scene *scene, enum rig_kind kind, enum whorl_queue_kind order,
                    int64_t max)
{
    rig_init(&scene->rig, 1, kind);
    scene->queue = model_alloc(sizeof *scene->queue);
    MODEL_CHECK(whorl_queue_init(scene->queue, order, max,
                                 order == WHORL_QUEUE_PRIORITY ? compare : NULL) == 0);
    model_name(&scene->queue->opaque[0], "queue.word");
}

static void make(struct scene *scene, enum rig_kind kind, int64_t max)
{
    make_of(scene, kind, WHORL_QUEUE_FIFO, max);
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

/* ---- the same, and one who comes in between; the first in line is cancelled or not ---- */

static void setup_shut_between(void *state)
{
    make(state, RIG_SHARING, 0);
    spawn(state, 0, first_gets);
}

static void body_shut_between(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        (void)put_item(scene, 2);
        MODEL_CHECK(whorl_queue_shutdown(scene->queue, false) == 0);
        receive(scene, 2);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

/* Who was told that there is none has left none. */
static void finish_shut_between(void *state)
{
    struct scene *const scene = state;
    const bool missed = scene->begun[0] && scene->got[0] != 0;
    MODEL_CHECK(scene->put[2] == 0 && scene->received == 1U << 2);
    MODEL_CHECK(scene->got[2] == 0 || scene->got[2] == -ESHUTDOWN);
    MODEL_CHECK(!missed || scene->got[0] == -ESHUTDOWN ||
                (scene->got[0] == -ECANCELED && scene->cancelled));
    end(scene, 0);
}

/* ---- two reservations, a shutdown, and two who stand behind them ---- */

static int first_gets_again(void *arg)
{
    struct scene *const scene = arg;
    receive(scene, 0);
    if (scene->got[0] == 0) {
        receive(scene, 0);
        MODEL_CHECK(scene->got[0] == 0 || scene->got[0] == -ESHUTDOWN);
    }
    return 0;
}

static void setup_shut_again(void *state)
{
    make(state, RIG_SHARING, 0);
    spawn(state, 0, first_gets_again);
    spawn(state, 1, second_gets);
}

static void body_shut_again(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    (void)put_item(scene, 2);
    MODEL_CHECK(whorl_queue_shutdown(scene->queue, false) == 0);
    receive(scene, 2);
}

static void finish_shut_again(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->put[2] == 0 && scene->received == 1U << 2);
    MODEL_CHECK(scene->got[1] == 0 || scene->got[1] == -ESHUTDOWN);
    MODEL_CHECK(scene->got[2] == 0 || scene->got[2] == -ESHUTDOWN);
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

static void body_done_and_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 2) {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    } else {
        body_done(state, thread);
    }
}

static int first_joins_in_vain(void *arg)
{
    struct scene *const scene = arg;
    scene->got[0] = whorl_queue_join(scene->queue);
    return 0;
}

static void setup_join_cancelled(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_SHARING, 0);
    (void)put_item(scene, 0);
    (void)put_item(scene, 1);
    spawn(scene, 0, first_joins_in_vain);
}

static void finish_join_cancelled(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0 || (scene->got[0] == -ECANCELED && scene->cancelled));
    end(scene, 2);
}

/* ---- a heap and a pile: two put, one gets both ---- */

static int first_gets_two(void *arg)
{
    receive(arg, 0);
    receive(arg, 0);
    return 0;
}

static void setup_priority(void *state)
{
    make_of(state, RIG_SHARING, WHORL_QUEUE_PRIORITY, 0);
    spawn(state, 0, first_gets_two);
}

static void setup_lifo(void *state)
{
    make_of(state, RIG_STRICT, WHORL_QUEUE_LIFO, 1);
    spawn(state, 0, first_gets_two);
}

static void body_put_two(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        MODEL_CHECK(put_item(scene, thread) == 0);
    }
}

static void finish_two(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->received == ((1U << 1) | (1U << 2)));
    end(scene, 0);
}

/* ---- growing: two who put find no room at once, and each has brought some ---- */

static int first_gets_all(void *arg)
{
    struct scene *const scene = arg;
    for (unsigned i = 0; i < SMALL; i++) {
        MODEL_CHECK(get_item(scene, 0) == &scene->fillers[i]);
    }
    return first_gets_two(arg);
}

static void setup_grow(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_SHARING, 0);
    for (unsigned i = 0; i < SMALL; i++) {
        scene->fillers[i] = FILLER;
        MODEL_CHECK(whorl_queue_try_put(scene->queue, &scene->fillers[i]) == 0);
    }
    spawn(scene, 0, first_gets_all);
}

/* ---- QUE-20: an immediate shutdown, a put, one who gets and one who joins ---- */

static struct scene *shut_scene; /* of the execution that runs: items know no scene */

static void free_item(void *item)
{
    whorl__plain_read(item);
    shut_scene->freed += (unsigned)*(const int *)item;
}

static int first_gets_and_is_done(void *arg)
{
    struct scene *const scene = arg;
    receive(scene, 0);
    if (scene->got[0] == 0) {
        MODEL_CHECK(whorl_queue_task_done(scene->queue) == 0);
    }
    return 0;
}

static int second_joins(void *arg)
{
    struct scene *const scene = arg;
    scene->got[1] = whorl_queue_join(scene->queue);
    return 0;
}

static void setup_shut_now(void *state)
{
    struct scene *const scene = state;
    shut_scene = scene;
    make(scene, RIG_SHARING, 0);
    scene->queue->item_free = free_item;
    spawn(scene, 0, first_gets_and_is_done);
    spawn(scene, 1, second_joins);
}

static void body_shut_now(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        (void)put_item(scene, 2);
    } else {
        MODEL_CHECK(whorl_queue_shutdown(scene->queue, true) == 0);
    }
}

static void finish_shut_now(void *state)
{
    struct scene *const scene = state;
    const unsigned put = scene->put[2] == 0 ? 1U << 2 : 0;
    MODEL_CHECK(scene->put[2] == 0 || scene->put[2] == -ESHUTDOWN);
    MODEL_CHECK(scene->got[0] == 0 || scene->got[0] == -ESHUTDOWN);
    MODEL_CHECK(scene->received + scene->freed == put);
    MODEL_CHECK((scene->got[0] == 0) == (scene->received != 0));
    MODEL_CHECK(scene->got[1] == 0);
    end(scene, 0);
}

/* ---- no room, and a shutdown: who waits for room is turned away, or was let in before ---- */

static void setup_shut_full(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_STRICT, 1);
    (void)put_item(scene, 2);
    spawn(scene, 0, first_puts);
    spawn(scene, 1, second_puts);
}

static void body_shut_full(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        receive(scene, 2);
    } else {
        MODEL_CHECK(whorl_queue_shutdown(scene->queue, false) == 0);
    }
}

static void finish_shut_full(void *state)
{
    struct scene *const scene = state;
    size_t left = 0;
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(scene->put[i] == 0 || scene->put[i] == -ESHUTDOWN);
        left += scene->put[i] == 0;
    }
    MODEL_CHECK(left <= 1 && scene->received == 1U << 2);
    end(scene, left);
}

/* ---- a deadline, fired by a rescuer, against a put ---- */

static int first_gets_until(void *arg)
{
    struct scene *const scene = arg;
    void *item = NULL;
    scene->got[0] = whorl_queue_get_until(scene->queue, DUE_NS, &item);
    if (scene->got[0] == 0) {
        (void)whorl__add_u32(&scene->received, (uint32_t)*(int *)item);
    }
    return 0;
}

static void setup_timed(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_SHARING);
    scene->queue = model_alloc(sizeof *scene->queue);
    MODEL_CHECK(whorl_queue_init(scene->queue, WHORL_QUEUE_FIFO, 0, NULL) == 0);
    spawn(scene, 0, first_gets_until);
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
        (void)put_item(scene, 2);
    }
}

static void finish_timed(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0 || scene->got[0] == -ETIMEDOUT);
    MODEL_CHECK((scene->got[0] == 0) == (scene->received == 1U << 2));
    end(scene, scene->got[0] == 0 ? 0 : 1);
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
    {SCENE("shut-between", "QUE-19: a put, a shutdown and a get, the one in line is cancelled", 3),
     .setup = setup_shut_between,
     .body = body_shut_between,
     .finish = finish_shut_between,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("shut-again", "QUE-19: one item, a shutdown, three who get", 2),
     .setup = setup_shut_again,
     .body = body_shut_again,
     .finish = finish_shut_again,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("join", "K3: what was done before the last task_done", 2),
     .setup = setup_join,
     .body = body_done,
     .finish = finish_join,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("join-cancelled", "a cancel of who joins, and the last task_done", 3),
     .setup = setup_join_cancelled,
     .body = body_done_and_cancel,
     .finish = finish_join_cancelled,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("priority", "a heap, put to by two, compared under the lock", 3),
     .setup = setup_priority,
     .body = body_put_two,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("lifo", "a pile with room for one, put to by two", 3),
     .setup = setup_lifo,
     .body = body_put_two,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("grow", "two who put find no room at once", 3),
     .setup = setup_grow,
     .body = body_put_two,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("shut-now", "QUE-20: an immediate shutdown, a put, a get and a join", 3),
     .setup = setup_shut_now,
     .body = body_shut_now,
     .finish = finish_shut_now,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("shut-full", "a shutdown and a get, two wait for room", 3),
     .setup = setup_shut_full,
     .body = body_shut_full,
     .finish = finish_shut_full,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("timed", "a deadline that comes with a put", 3),
     .setup = setup_timed,
     .body = body_timed,
     .finish = finish_timed,
     .preemptions = 2,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
