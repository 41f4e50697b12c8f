/*
 * test_select.c - one who waits in several lines, and what comes in each of them at once:
 * runtime/sync/select.c.
 *
 * However it goes, everybody comes to his end; exactly one case is done, or none by one who is
 * cancelled; and what the others were granted is somebody else's, or still there.
 *
 * Shown to fail: by --mutate of line.c (K3) and future.c (F1), by leaving out give_up_locked, and
 * by clearing the thread's word after the visits.
 */
#include "model/model.h"
#include "model/rig.h"

#include "whorl.h"

#include <errno.h>

#define USERS 3

struct scene {
    struct rig rig;
    struct whorl_queue *queues[2];
    struct whorl_future *future;
    struct whorl_lock *lock;
    struct whorl_task *tasks[2];
    int items[USERS]; /* plain: written before they are put */
    int chosen;       /* by who selects */
    int got;          /* what the other's call returned */
    unsigned received; /* A: sum of what was got for good */
    unsigned put;      /* A: sum of what was put */
    int news;          /* plain: written before the future is done, or under the lock */
    bool begun;
    bool cancelled;
};

static void put_item(struct scene *scene, unsigned queue, unsigned who)
{
    whorl__plain_write(&scene->items[who]);
    scene->items[who] = 1 << who;
    MODEL_CHECK(whorl_queue_put(scene->queues[queue], &scene->items[who]) == 0);
    (void)whorl__add_u32(&scene->put, 1U << who);
}

static void receive(struct scene *scene, const void *item)
{
    whorl__plain_read(item);
    MODEL_CHECK(*(const int *)item != 0);
    (void)whorl__add_u32(&scene->received, (uint32_t) * (const int *)item);
}

/* What is left in the queues. */
static unsigned left(struct scene *scene)
{
    unsigned sum = 0;
    void *item = NULL;
    for (int i = 0; i < 2; i++) {
        while (whorl_queue_try_get(scene->queues[i], &item) == 0) {
            sum += (unsigned)*(int *)item;
        }
    }
    return sum;
}

static int select_both(struct scene *scene, void **ret_item)
{
    struct whorl_select_case cases[] = {WHORL_CASE_GET(scene->queues[0]),
                                        WHORL_CASE_GET(scene->queues[1])};
    scene->begun = true;
    const int chosen = whorl_select(cases, 2);
    model_note("chosen: %d", chosen);
    if (chosen >= 0) {
        MODEL_CHECK(cases[chosen].error == 0);
        *ret_item = cases[chosen].item;
    }
    return chosen;
}

static int selects(void *arg)
{
    struct scene *const scene = arg;
    void *item;
    scene->chosen = select_both(scene, &item);
    if (scene->chosen >= 0) {
        receive(scene, item);
    }
    return 0;
}

/* What it gets from the first queue it puts back, for who stands behind it. */
static int borrows(void *arg)
{
    struct scene *const scene = arg;
    void *item;
    scene->chosen = select_both(scene, &item);
    if (scene->chosen == 0) {
        while (whorl_queue_put(scene->queues[0], item) != 0) {
            /* the cancel came here: once more */
        }
    } else if (scene->chosen == 1) {
        receive(scene, item);
    }
    return 0;
}

static int gets(void *arg)
{
    struct scene *const scene = arg;
    void *item = NULL;
    scene->got = whorl_queue_get(scene->queues[0], &item);
    if (scene->got == 0) {
        receive(scene, item);
    }
    return 0;
}

static void make(struct scene *scene, enum rig_kind kind)
{
    rig_init(&scene->rig, 1, kind);
    for (int i = 0; i < 2; i++) {
        scene->queues[i] = model_alloc(sizeof *scene->queues[i]);
        MODEL_CHECK(whorl_queue_init(scene->queues[i], WHORL_QUEUE_FIFO, 0, NULL) == 0);
        model_name(&scene->queues[i]->opaque[0], i == 0 ? "first.word" : "second.word");
    }
    MODEL_CHECK(whorl_future_new(&scene->future) == 0);
    scene->lock = model_alloc(sizeof *scene->lock);
    MODEL_CHECK(whorl_lock_init(scene->lock, WHORL_LOCK_UNFAIR) == 0);
}

/* Everything that was put was got, or is there; and nobody is in line any more. */
static void end(struct scene *scene)
{
    MODEL_CHECK(scene->received + left(scene) == scene->put);
    for (int i = 0; i < 2; i++) {
        MODEL_CHECK(whorl_queue_destroy(scene->queues[i]) == 0);
        model_free(scene->queues[i]);
        if (scene->tasks[i] != NULL) {
            whorl_task_unref(scene->tasks[i]);
        }
    }
    MODEL_CHECK(whorl_lock_destroy(scene->lock) == 0);
    model_free(scene->lock);
    whorl_future_unref(scene->future);
    rig_fini(&scene->rig);
}

/* ---- a task, and an item in each queue ---- */

static void setup_both(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_SHARING);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, selects, scene);
}

static void setup_both_strict(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, selects, scene);
}

static void body_both(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        put_item(scene, thread - 1, thread);
    }
}

static void finish_both(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->chosen == 0 || scene->chosen == 1);
    MODEL_CHECK(scene->received == 2U << scene->chosen);
    end(scene);
}

/* ---- an item in each queue, one behind in the first, and a cancel ---- */

static void setup_cancel(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_SHARING);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, borrows, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, gets, scene);
}

static void setup_cancel_strict(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, borrows, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, gets, scene);
}

static void body_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        put_item(scene, 0, 0);
        put_item(scene, 1, 1);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void finish_cancel(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got == 0);
    MODEL_CHECK(!scene->begun || scene->chosen >= 0 ||
                (scene->chosen == -ECANCELED && scene->cancelled));
    end(scene);
}

/* ---- who comes in between: in strict order it takes the item, and the task waits on ---- */

static void body_between(void *state, unsigned thread)
{
    struct scene *const scene = state;
    void *item = NULL;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    put_item(scene, 0, 0);
    if (whorl_queue_try_get(scene->queues[0], &item) == 0) {
        receive(scene, item);
    }
    put_item(scene, 1, 1);
}

static void finish_between(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->chosen == 0 || scene->chosen == 1);
    end(scene);
}

/* ---- a plain thread: two queues; a future and a queue; a lock that is taken away again ---- */

static void setup_thread(void *state)
{
    make(state, RIG_SHARING);
}

static void body_thread(void *state, unsigned thread)
{
    if (thread == 0) {
        (void)selects(state);
    } else {
        put_item(state, thread - 1, thread);
    }
}

static void read_news(struct scene *scene)
{
    whorl__plain_read(&scene->news);
    MODEL_CHECK(scene->news == 5);
}

static void select_future_or_item(struct scene *scene)
{
    struct whorl_select_case cases[] = {WHORL_CASE_DONE(scene->future),
                                        WHORL_CASE_GET(scene->queues[0])};
    scene->chosen = whorl_select(cases, 2);
    if (scene->chosen == 0) {
        read_news(scene);
    } else if (scene->chosen == 1) {
        receive(scene, cases[1].item);
    }
}

static void complete_or_put(struct scene *scene, unsigned thread)
{
    if (thread == 1) {
        whorl__plain_write(&scene->news);
        scene->news = 5;
        MODEL_CHECK(whorl_future_set_result(scene->future, NULL) == 0);
    } else {
        put_item(scene, 0, 0);
    }
}

static void body_thread_future(void *state, unsigned thread)
{
    if (thread == 0) {
        select_future_or_item(state);
    } else {
        complete_or_put(state, thread);
    }
}

static int selects_future_or_item(void *arg)
{
    select_future_or_item(arg);
    return 0;
}

static void setup_task_future(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_SHARING);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, selects_future_or_item, scene);
}

static void body_task_future(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        complete_or_put(scene, thread);
    }
}

static void finish_any(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->chosen == 0 || scene->chosen == 1);
    end(scene);
}

static void setup_lock(void *state)
{
    struct scene *const scene = state;
    make(scene, RIG_SHARING);
    MODEL_CHECK(whorl_lock_acquire(scene->lock) == 0);
}

/* Released, mostly taken again before the thread comes, and released for good. */
static void body_lock(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 1) {
        whorl__plain_write(&scene->news);
        scene->news = 5;
        MODEL_CHECK(whorl_lock_release(scene->lock) == 0);
        if (whorl_lock_try_acquire(scene->lock) == 0) {
            MODEL_CHECK(whorl_lock_release(scene->lock) == 0);
        }
        return;
    }
    struct whorl_select_case cases[] = {WHORL_CASE_GET(scene->queues[0]),
                                        WHORL_CASE_LOCK(scene->lock)};
    scene->chosen = whorl_select(cases, 2);
    MODEL_CHECK(scene->chosen == 1);
    read_news(scene);
    MODEL_CHECK(whorl_lock_release(scene->lock) == 0);
}

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "select/" model_name, .about = what, .threads = thread_count,                          \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("both", "a task, and an item in each of two queues", 3),
     .setup = setup_both,
     .body = body_both,
     .finish = finish_both,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("both-strict", "the same in strict order", 3),
     .setup = setup_both_strict,
     .body = body_both,
     .finish = finish_both,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("cancelled", "an item in each queue, one who stands behind, a cancel", 3),
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
    {SCENE("between", "an item that is taken again before the task runs", 2),
     .setup = setup_both_strict,
     .body = body_between,
     .finish = finish_between,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("thread", "a plain thread, and an item in each of two queues", 3),
     .setup = setup_thread,
     .body = body_thread,
     .finish = finish_both,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("thread-future", "F1, K3: a plain thread, a future and a queue", 3),
     .setup = setup_thread,
     .body = body_thread_future,
     .finish = finish_any,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("task-future", "F1, K3: a task, a future and a queue", 3),
     .setup = setup_task_future,
     .body = body_task_future,
     .finish = finish_any,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("thread-lock", "K3: a lock that is taken away from who was granted it", 2),
     .setup = setup_lock,
     .body = body_lock,
     .finish = finish_any,
     .preemptions = 3,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
