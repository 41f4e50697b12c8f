/*
 * test_event.c - events that are set, cleared, waited for and given up at once: runtime/sync/
 * event.c; and conditions, which are lines as well: runtime/sync/condition.c.
 *
 * Of an event: whoever stood in line at a set comes back, whatever is cleared after it, and sees
 * what was done before it. Of a condition: who waits for a predicate comes back once it is so, also
 * if another waiter, who was notified of it, is cancelled in this moment.
 *
 * Shown to fail: by --mutate, and by leaving out the notify of a wait that was cancelled.
 */
#include "model/model.h"
#include "model/rig.h"

#include "whorl.h"

#include <errno.h>

#define DUE_NS  10
#define LATE_NS 100
#define WAITERS 2

struct scene {
    struct rig rig;
    struct whorl_event event;
    struct whorl_condition condition;
    struct whorl_task *tasks[WAITERS];
    int payload; /* plain */
    int items;   /* under the condition's lock */
    int got[WAITERS];
    bool begun[WAITERS];
    bool cancelled;
};

static void end(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(whorl_event_destroy(&scene->event) == 0);
    MODEL_CHECK(whorl_condition_destroy(&scene->condition) == 0);
    for (unsigned i = 0; i < WAITERS; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

static void setup(struct scene *scene, enum rig_kind kind, whorl_body *first, whorl_body *second)
{
    rig_init(&scene->rig, 1, kind);
    MODEL_CHECK(whorl_event_init(&scene->event) == 0);
    MODEL_CHECK(whorl_condition_init(&scene->condition, NULL) == 0);
    model_name(&scene->event.opaque[0], "event.word");
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first, scene);
    if (second != NULL) {
        scene->tasks[1] = rig_spawn(&scene->rig, 0, second, scene);
    }
}

/* ---- an event ---- */

static int wait_for_news(void *arg)
{
    struct scene *const scene = arg;
    scene->got[0] = whorl_event_wait(&scene->event);
    if (scene->got[0] == 0) {
        whorl__plain_read(&scene->payload);
        MODEL_CHECK(scene->payload == 5);
    }
    return 0;
}

static void tell_news(struct scene *scene)
{
    whorl__plain_write(&scene->payload);
    scene->payload = 5;
    MODEL_CHECK(whorl_event_set(&scene->event) == 0);
}

static void setup_event(void *state)
{
    setup(state, RIG_STRICT, wait_for_news, NULL);
}

static void body_set(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        tell_news(scene);
    }
}

static void body_set_and_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        tell_news(scene);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void finish_event(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0 || (scene->got[0] == -ECANCELED && scene->cancelled));
    end(scene);
}

/* Two waits: the second one is over only by the second set. */
static int wait_twice(void *arg)
{
    struct scene *const scene = arg;
    scene->got[0] = whorl_event_wait(&scene->event);
    scene->got[1] = whorl_event_wait(&scene->event);
    return 0;
}

static void setup_twice(void *state)
{
    setup(state, RIG_SHARING, wait_twice, NULL);
}

static void body_set_clear_set(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        MODEL_CHECK(whorl_event_set(&scene->event) == 0);
        MODEL_CHECK(whorl_event_clear(&scene->event) == 0);
        MODEL_CHECK(whorl_event_set(&scene->event) == 0);
    }
}

static void finish_twice(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0 && scene->got[1] == 0);
    end(scene);
}

/* ---- a condition ---- */

static int has_item(void *arg)
{
    struct scene *const scene = arg;
    whorl__plain_read(&scene->items);
    return scene->items;
}

static int take_item(struct scene *scene, unsigned who)
{
    struct whorl_lock *const lock = whorl_condition_lock(&scene->condition);
    scene->begun[who] = true;
    scene->got[who] = whorl_lock_acquire(lock);
    if (scene->got[who] != 0) {
        return 0;
    }
    scene->got[who] =
        whorl_condition_wait_for(&scene->condition, has_item, scene, WHORL_NEVER);
    if (scene->got[who] > 0) {
        whorl__plain_write(&scene->items);
        scene->items--;
    }
    MODEL_CHECK(whorl_lock_release(lock) == 0);
    return 0;
}

static int first_takes(void *arg)
{
    return take_item(arg, 0);
}

/* False: cancelled. */
static bool put_item(struct scene *scene)
{
    struct whorl_lock *const lock = whorl_condition_lock(&scene->condition);
    if (whorl_lock_acquire(lock) != 0) {
        return false;
    }
    whorl__plain_write(&scene->items);
    scene->items++;
    MODEL_CHECK(whorl_condition_notify(&scene->condition, 1) == 0);
    MODEL_CHECK(whorl_lock_release(lock) == 0);
    return true;
}

/* What it gets it gives back, for the second. */
static int first_borrows(void *arg)
{
    struct scene *const scene = arg;
    (void)take_item(scene, 0);
    bool pending = false;
    while (scene->got[0] > 0 && !put_item(scene)) {
        pending = true; /* the cancel came here: once more */
    }
    return pending ? -ECANCELED : 0;
}

static int second_takes(void *arg)
{
    return take_item(arg, 1);
}

static void setup_one_taker(void *state)
{
    setup(state, RIG_STRICT, first_takes, NULL);
}

static void setup_two_takers(void *state)
{
    setup(state, RIG_SHARING, first_borrows, second_takes);
}

static void body_put_one(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        MODEL_CHECK(put_item(scene));
    }
}

static void finish_put_one(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 1 && scene->items == 0);
    end(scene);
}

static void body_put_and_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        MODEL_CHECK(put_item(scene));
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void finish_put_and_cancel(void *state)
{
    struct scene *const scene = state;
    const bool took = scene->begun[0] && scene->got[0] > 0;
    MODEL_CHECK(scene->got[1] > 0 && scene->items == 0);
    MODEL_CHECK(took || scene->cancelled);
    end(scene);
}

/* ---- plain threads that wait, tasks that tell ---- */

static int first_tells(void *arg)
{
    tell_news(arg);
    return 0;
}

static void setup_teller(void *state)
{
    setup(state, RIG_SHARING, first_tells, NULL);
}

static void body_thread_waits(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        (void)wait_for_news(scene);
    }
}

static int first_puts(void *arg)
{
    MODEL_CHECK(put_item(arg));
    return 0;
}

static void setup_putter(void *state)
{
    setup(state, RIG_SHARING, first_puts, NULL);
}

static void body_thread_takes(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        (void)take_item(scene, 1);
    }
}

static void finish_thread_took(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[1] > 0 && scene->items == 0);
    end(scene);
}

/* ---- COND-6: a deadline, fired by a rescuer, against the notification ---- */

static int first_takes_until(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_lock *const lock = whorl_condition_lock(&scene->condition);
    MODEL_CHECK(whorl_lock_acquire(lock) == 0);
    scene->got[0] = whorl_condition_wait_for(&scene->condition, has_item, scene, DUE_NS);
    whorl__plain_write(&scene->items);
    scene->items -= scene->got[0] > 0;
    MODEL_CHECK(whorl_lock_release(lock) == 0);
    return 0;
}

static void setup_timed(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_SHARING);
    MODEL_CHECK(whorl_event_init(&scene->event) == 0);
    MODEL_CHECK(whorl_condition_init(&scene->condition, NULL) == 0);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_takes_until, scene);
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
        MODEL_CHECK(put_item(scene));
    }
}

static void finish_timed(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 1 || scene->got[0] == -ETIMEDOUT);
    MODEL_CHECK(scene->items == (scene->got[0] == 1 ? 0 : 1));
    end(scene);
}

#define SCENE(model_name, what, thread_count)                                                      \
    .name = model_name, .about = what, .threads = thread_count, .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("event/set", "K3: what was done before a set", 2),
     .setup = setup_event,
     .body = body_set,
     .finish = finish_event,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("event/set-clear-set", "MT-10: each set wakes who was there, and nobody else", 2),
     .setup = setup_twice,
     .body = body_set_clear_set,
     .finish = finish_twice,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("event/cancelled", "a set and a cancel of who waits", 3),
     .setup = setup_event,
     .body = body_set_and_cancel,
     .finish = finish_event,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("condition/put", "one waits, one notifies", 2),
     .setup = setup_one_taker,
     .body = body_put_one,
     .finish = finish_put_one,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("condition/cancelled", "COND-8, 9: a notification and a cancel of the first of two", 3),
     .setup = setup_two_takers,
     .body = body_put_and_cancel,
     .finish = finish_put_and_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("event/thread", "a plain thread waits, a task sets", 2),
     .setup = setup_teller,
     .body = body_thread_waits,
     .finish = finish_event,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("condition/thread", "a plain thread waits, a task notifies", 2),
     .setup = setup_putter,
     .body = body_thread_takes,
     .finish = finish_thread_took,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("condition/timed", "a deadline that comes with a notification", 3),
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
