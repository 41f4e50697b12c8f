/*
 * test_timer.c - timers armed and disarmed while the owner and a rescuer fire:
 * runtime/loop/timer.c, and the sleep that rests on it, runtime/task/sleep.c.
 *
 * A timer here is in memory that is freed as soon as disarm has returned: whoever touches it after
 * that is a use after free or a race.
 *
 * Shown to fail: by --mutate of lockfree/spinlock.h:whorl__spin_unlock#2:relaxed, and by
 * test_planted.c, bug 3.
 */
#include "model/model.h"
#include "model/rig.h"

#include "loop/timer.h"
#include "whorl.h"

#include <errno.h>

#define DUE_NS  10
#define LATE_NS 100

struct scene {
    struct whorl__timers timers;
    uint32_t fired[4];   /* A: by serial */
    unsigned stopped[4]; /* plain: disarms that said it had fired */
};

static void setup(void *state)
{
    whorl__timers_init(&((struct scene *)state)->timers);
}

static void note_fired(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial)
{
    struct scene *const scene = (void *)runtime; /* only handed through */
    MODEL_CHECK(handle == serial + 100);
    (void)whorl__add_u32(&scene->fired[serial], 1);
}

static void arm(struct scene *scene, struct whorl__timer *timer, uint64_t serial)
{
    timer->handle = serial + 100;
    timer->serial = serial;
    timer->fire = note_fired;
    MODEL_CHECK(whorl__timer_arm(&scene->timers, timer, DUE_NS) == 0);
}

static void disarm(struct scene *scene, struct whorl__timer *timer, uint64_t serial)
{
    const bool had_fired = whorl__timer_disarm(timer);
    model_note("disarm %u: %s", (unsigned)serial, had_fired ? "had fired" : "in time");
    scene->stopped[serial] += had_fired;
}

/* The timer's memory is gone with the block that armed it. */
static void arm_and_disarm(struct scene *scene, uint64_t serial)
{
    struct whorl__timer *const timer = model_alloc(sizeof *timer);
    *timer = (struct whorl__timer){0};
    arm(scene, timer, serial);
    disarm(scene, timer, serial);
    whorl__plain_write(timer);
    model_free(timer);
}

static void fire(struct scene *scene)
{
    (void)whorl__timers_fire(&scene->timers, (void *)scene, LATE_NS);
}

/* Disarm says whether it fired: what it says is what happened, once everybody is back. */
static void finish(void *state)
{
    struct scene *const scene = state;
    for (unsigned i = 0; i < 4; i++) {
        MODEL_CHECK(scene->fired[i] == scene->stopped[i]);
        MODEL_CHECK(scene->fired[i] <= 1);
    }
    MODEL_CHECK(whorl__timers_next(&scene->timers) == WHORL_NEVER);
    whorl__timers_fini(&scene->timers);
}

/* ---- arm and disarm against the owner's own fire and a rescuer's ---- */

static void body_disarm(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        arm_and_disarm(scene, 0);
        fire(scene);
    } else {
        fire(scene);
    }
}

/* ---- a timer armed again, as reschedule does, while a rescuer fires ---- */

static void body_rearm(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        struct whorl__timer *const timer = model_alloc(sizeof *timer);
        *timer = (struct whorl__timer){0};
        for (uint64_t serial = 0; serial < 2; serial++) {
            arm(scene, timer, serial);
            disarm(scene, timer, serial);
        }
        whorl__plain_write(timer);
        model_free(timer);
    } else {
        fire(scene);
    }
}

/* ---- two timers, two that fire, nobody who disarms: each fires once ---- */

struct pair {
    struct scene scene;
    struct whorl__timer timers[2];
};

static void setup_pair(void *state)
{
    struct pair *const pair = state;
    setup(&pair->scene);
    arm(&pair->scene, &pair->timers[0], 0);
    arm(&pair->scene, &pair->timers[1], 1);
}

static void body_pair(void *state, unsigned thread)
{
    struct pair *const pair = state;
    (void)thread;
    fire(&pair->scene);
}

/* T1: next_ns is a hint to others; whoever is the last to look still finds what is there. */
static void finish_pair(void *state)
{
    struct pair *const pair = state;
    fire(&pair->scene);
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(pair->scene.fired[i] == 1);
        pair->scene.stopped[i] += whorl__timer_disarm(&pair->timers[i]);
    }
    finish(state);
}

/* ---- strict order: due together, fired one after the other, against a disarm ---- */

static void setup_due(void *state)
{
    struct scene *const scene = &((struct pair *)state)->scene;
    setup(scene);
}

static void body_due(void *state, unsigned thread)
{
    struct pair *const pair = state;
    struct scene *const scene = &pair->scene;
    if (thread == 0) {
        arm(scene, &pair->timers[0], 0);
        arm_and_disarm(scene, 1);
        (void)whorl__timers_collect(&scene->timers, LATE_NS);
        (void)whorl__timers_fire_due(&scene->timers, (void *)scene);
    } else {
        /* Another thread's timers, as one that reschedules a block or cancels a handle has. */
        arm_and_disarm(scene, 2);
    }
}

static void finish_due(void *state)
{
    struct pair *const pair = state;
    MODEL_CHECK(pair->scene.fired[0] == 1);
    pair->scene.stopped[0] += whorl__timer_disarm(&pair->timers[0]);
    finish(state);
}

/* ---- T1: the owner's own look at next_ns is never too late a time ---- */

static void body_next(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        struct whorl__timer *const timer = model_alloc(sizeof *timer);
        *timer = (struct whorl__timer){0};
        arm(scene, timer, 0);
        const int64_t next_ns = whorl__timers_next(&scene->timers); /* how long it would sleep */
        disarm(scene, timer, 0);
        MODEL_CHECK(next_ns <= DUE_NS || scene->stopped[0] == 1);
        model_free(timer);
    } else {
        arm_and_disarm(scene, 1); /* a task that came from here, and ended its wait over there */
        fire(scene);
    }
}

/* ---- a sleep: its timer, fired by the owner or a rescuer, against a cancel ---- */

struct sleep {
    struct rig rig;
    struct whorl_task *task;
    int error;
    int second; /* of the wait after it, which nobody ends but its own timer */
};

static int body_sleep(void *arg)
{
    struct sleep *const sleep = arg;
    sleep->error = whorl_sleep_until(DUE_NS);
    sleep->second = whorl_yield();
    return 0;
}

static void setup_sleep(void *state)
{
    struct sleep *const sleep = state;
    rig_init(&sleep->rig, 2, RIG_SHARING);
    sleep->task = rig_spawn(&sleep->rig, 0, body_sleep, sleep);
}

static bool is_armed(void *arg)
{
    const struct sleep *const sleep = arg;
    return sleep->rig.loops[0].timers.heap.count > 0;
}

static bool is_armed_or_over(void *arg)
{
    const struct sleep *const sleep = arg;
    return is_armed(arg) || sleep->rig.loops[0].stats.ended + sleep->rig.loops[1].stats.ended > 0;
}

/* Loop 1 rescues loop 0: fires its timers, and runs what it has woken. */
static void body_sleep_rescued(void *state, unsigned thread)
{
    struct sleep *const sleep = state;
    if (thread == 0) {
        rig_loop(&sleep->rig, 0);
    } else if (thread == 1) {
        (void)rig_loop_begin(&sleep->rig, 1);
        model_block_until(is_armed_or_over, sleep);
        while (rig_fire(&sleep->rig, 0, LATE_NS) == 0 && is_armed(sleep)) {
            model_yield();
        }
        rig_loop_run(&sleep->rig, 1);
        rig_loop_end(&sleep->rig, 1);
    } else {
        (void)whorl_cancel(sleep->task, NULL);
    }
}

static void finish_sleep_rescued(void *state)
{
    struct sleep *const sleep = state;
    MODEL_CHECK(sleep->error == 0 || sleep->error == -ECANCELED);
    whorl_task_unref(sleep->task);
    rig_fini(&sleep->rig);
}

static void finish_sleep(void *state)
{
    struct sleep *const sleep = state;
    MODEL_CHECK(sleep->error == 0 && sleep->second == 0);
    MODEL_CHECK(whorl_task_result(sleep->task, NULL) == 0);
    whorl_task_unref(sleep->task);
    rig_fini(&sleep->rig);
}

/* ---- */

static const struct model models[] = {
    {.name = "timer/disarm",
     .about = "disarm against two that fire: it tells what happened, and nobody touches it later",
     .threads = 3,
     .state_bytes = sizeof(struct scene),
     .setup = setup,
     .body = body_disarm,
     .finish = finish,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "timer/due",
     .about = "those that are due stand in a list: disarm takes one out, or it has fired",
     .threads = 2,
     .state_bytes = sizeof(struct pair),
     .setup = setup_due,
     .body = body_due,
     .finish = finish_due,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "timer/rearm",
     .about = "armed again and again while a rescuer fires: once an arm, at most",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup,
     .body = body_rearm,
     .finish = finish,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "timer/two-that-fire",
     .about = "two timers, two that fire: each once, and none is forgotten",
     .threads = 2,
     .state_bytes = sizeof(struct pair),
     .setup = setup_pair,
     .body = body_pair,
     .finish = finish_pair,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "timer/next",
     .about = "T1: the owner's own timer is in its next deadline, whoever else is at the heap",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup,
     .body = body_next,
     .finish = finish,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "timer/sleep-rescued",
     .about = "a sleep whose timer another loop fires: it wakes, there",
     .threads = 2,
     .state_bytes = sizeof(struct sleep),
     .setup = setup_sleep,
     .body = body_sleep_rescued,
     .finish = finish_sleep,
     .preemptions = 2,
     .schedules = 5000},
    {.name = "timer/sleep-cancelled",
     .about = "a sleep's timer, fired by a rescuer, against a cancel",
     .threads = 3,
     .state_bytes = sizeof(struct sleep),
     .setup = setup_sleep,
     .body = body_sleep_rescued,
     .finish = finish_sleep_rescued,
     .preemptions = 1,
     .schedules = 5000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
