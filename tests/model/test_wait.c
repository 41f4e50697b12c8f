/*
 * test_wait.c - who waits for some of many against those who complete them: runtime/task/wait.c,
 * and race.c, which stands on it.
 *
 * The futures and the watch are on the heap, so that a late report is found. A watch that is told
 * of nothing blocks all threads, which is a failure.
 */
#include "model/model.h"
#include "model/rig.h"

#include "task/future.h"
#include "whorl.h"

#include <errno.h>

#define DEADLINE_NS 10
#define LATE_NS     100

struct scene {
    struct rig rig;
    struct whorl_future *futures[2];
    struct whorl_task *tasks[2];
    struct whorl_completed *completed;
    enum whorl_return_when when;
    int64_t deadline_ns;
    int data[2];    /* written before its future is done, read behind the wait */
    int result;     /* the wait's */
    bool done[2];
    int served[2];  /* what next said to each taker */
    size_t index[2];
    bool accepted;  /* the cancel of the waiter */
};

/* ---- what is common ---- */

static void set_up(struct scene *scene, unsigned loops, whorl_body *body)
{
    rig_init(&scene->rig, loops, loops > 1 ? RIG_STRICT : RIG_SHARING);
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(whorl_future_new(&scene->futures[i]) == 0);
        (void)whorl_future_ref(scene->futures[i]); /* the completer's */
    }
    scene->deadline_ns = WHORL_NEVER;
    scene->tasks[0] = rig_spawn(&scene->rig, 0, body, scene);
}

static void complete(struct scene *scene, unsigned which)
{
    whorl__plain_write(&scene->data[which]);
    scene->data[which] = 1;
    MODEL_CHECK(whorl_future_set_result(scene->futures[which], NULL) == 0);
    whorl_future_unref(scene->futures[which]);
}

static void read_data(const struct scene *scene, size_t which)
{
    whorl__plain_read(&scene->data[which]);
    MODEL_CHECK(scene->data[which] == 1);
}

static void finish(struct scene *scene)
{
    for (unsigned i = 0; i < 2; i++) {
        whorl_future_unref(scene->futures[i]);
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

/* ---- wait ---- */

static int task_waits(void *arg)
{
    struct scene *const scene = arg;
    scene->result =
        whorl_wait(scene->futures, 2, scene->when, scene->deadline_ns, scene->done);
    model_note("wait: %d", scene->result);
    for (unsigned i = 0; scene->result > 0 && i < 2; i++) {
        if (scene->done[i]) {
            read_data(scene, i);
        }
    }
    return 0;
}

static void setup_all(void *state)
{
    set_up(state, 1, task_waits);
}

static void setup_first(void *state)
{
    set_up(state, 1, task_waits);
    ((struct scene *)state)->when = WHORL_FIRST_COMPLETED;
}

static void setup_deadline(void *state)
{
    set_up(state, 1, task_waits);
    ((struct scene *)state)->deadline_ns = DEADLINE_NS;
}

static void body_complete(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        complete(scene, thread - 1);
    }
}

/* One thread, one after the other. */
static void body_complete_in_turn(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        complete(scene, 0);
        complete(scene, 1);
    }
}

static void finish_all(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->result == 2 && scene->done[0] && scene->done[1]);
    finish(state);
}

static void check_count(const struct scene *scene)
{
    MODEL_CHECK(scene->result == scene->done[0] + scene->done[1]);
}

static void finish_first(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->result >= 1);
    check_count(scene);
    finish(state);
}

/* MT-17: there was no instant at which the second was done, and the first was not. */
static void finish_in_turn(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->done[0] || !scene->done[1]);
    finish_first(state);
}

static bool is_timed_or_over(void *arg)
{
    const struct scene *const scene = arg;
    return scene->rig.loops[0].timers.heap.count > 0 || scene->rig.loops[0].stats.ended > 0;
}

/* The deadline fires, perhaps for nothing, while one future is completed; the other never is. */
static void body_deadline(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        complete(scene, 0);
    } else {
        do {
            model_block_until(is_timed_or_over, scene);
            (void)rig_fire(&scene->rig, 0, LATE_NS);
            model_yield(); /* a deadline is in the heap before next_ns tells of it */
        } while (scene->rig.loops[0].stats.ended == 0);
    }
}

static void finish_deadline(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->result >= 0 && !scene->done[1]);
    check_count(scene);
    whorl_future_unref(scene->futures[1]); /* its completer's, who never came */
    finish(state);
}

static void body_cancelled(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 2) {
        scene->accepted = whorl_cancel(scene->tasks[0], "enough");
    } else {
        body_complete(state, thread);
    }
}

/* The waiter alone is cancelled; nothing of it is left on the future that nobody completes. */
static void finish_cancelled(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->accepted);
    MODEL_CHECK(scene->result == -ECANCELED || scene->result == 0); /* 0: it never began */
    MODEL_CHECK(!whorl_future_done(scene->futures[1]));
    MODEL_CHECK((scene->futures[1]->word & WHORL__FUTURE_WAITERS) == 0);
    whorl_future_unref(scene->futures[1]);
    finish(state);
}

/* ---- first of ---- */

static int task_takes_first(void *arg)
{
    struct scene *const scene = arg;
    scene->result = whorl_first_of(scene->futures, 2, scene->deadline_ns, &scene->index[0]);
    model_note("first of: %d", scene->result);
    if (scene->result == 0) {
        read_data(scene, scene->index[0]);
    }
    return 0;
}

static void setup_first_of(void *state)
{
    set_up(state, 1, task_takes_first);
}

static void setup_first_of_deadline(void *state)
{
    set_up(state, 1, task_takes_first);
    ((struct scene *)state)->deadline_ns = DEADLINE_NS;
}

static void finish_first_of(void *state)
{
    MODEL_CHECK(((struct scene *)state)->result == 0);
    finish(state);
}

static void finish_first_of_deadline(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->result == -ETIMEDOUT || (scene->result == 0 && scene->index[0] == 0));
    MODEL_CHECK((scene->futures[1]->word & WHORL__FUTURE_WAITERS) == 0);
    whorl_future_unref(scene->futures[1]);
    finish(state);
}

/* ---- a race: attempts on any loop, the caller is cancelled ---- */

static int attempt_fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static int attempt_works(void *arg)
{
    struct scene *const scene = arg;
    whorl__plain_write(&scene->data[1]);
    scene->data[1] = 1;
    return whorl_return(scene);
}

static int task_races(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_attempt attempts[2] = {{.body = attempt_fails},
                                        {.body = attempt_works, .arg = scene}};
    scene->result = whorl_staggered_race(attempts, 2, WHORL_NEVER, &scene->index[0]);
    model_note("race: %d", scene->result);
    if (attempts[1].started && attempts[1].error == 0) {
        MODEL_CHECK(attempts[1].value == scene);
        read_data(scene, 1);
    }
    if (scene->result == 0) {
        MODEL_CHECK(scene->index[0] == 1 && attempts[0].error == -EIO);
    }
    return 0;
}

static void setup_race(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_SHARING);
    scene->result = 1; /* it never began */
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_races, scene);
}

static void body_race(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        scene->accepted = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void finish_race(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->result == 0 || scene->accepted);
    MODEL_CHECK(scene->result == 0 || scene->result == 1 || scene->result == -ECANCELED);
    whorl_task_unref(scene->tasks[0]);
    rig_fini(&scene->rig);
}

/* ---- as_completed ---- */

static int take(struct scene *scene, unsigned which)
{
    scene->served[which] = whorl_completed_next(scene->completed, &scene->index[which]);
    if (scene->served[which] == 0) {
        read_data(scene, scene->index[which]);
    }
    return 0;
}

static int task_takes(void *arg)
{
    return take(arg, 0);
}

static int task_takes_too(void *arg)
{
    return take(arg, 1);
}

static void setup_takers(void *state)
{
    struct scene *const scene = state;
    set_up(scene, 2, task_takes);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, task_takes_too, scene);
    MODEL_CHECK(whorl_as_completed(scene->futures, 2, WHORL_NEVER, &scene->completed) == 0);
}

static void body_takers(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        complete(scene, thread - 2);
    }
}

static void finish_takers(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->served[0] == 0 && scene->served[1] == 0);
    MODEL_CHECK(scene->index[0] + scene->index[1] == 1); /* one each */
    whorl_completed_free(scene->completed);
    finish(state);
}

/* One is served, then the iteration is left, while the other future is completed. */
static int task_leaves(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_as_completed(scene->futures, 2, WHORL_NEVER, &scene->completed) == 0);
    (void)take(scene, 0);
    whorl_completed_free(scene->completed);
    return 0;
}

static void setup_leave(void *state)
{
    set_up(state, 1, task_leaves);
}

static void finish_leave(void *state)
{
    MODEL_CHECK(((struct scene *)state)->served[0] == 0);
    finish(state);
}

/* ---- */

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "wait/" model_name, .about = what, .threads = thread_count,                            \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("all", "two futures are completed at once: the wait ends when both are", 3),
     .setup = setup_all,
     .body = body_complete,
     .finish = finish_all,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("first", "WAIT-4: the first of two ends the wait", 3),
     .setup = setup_first,
     .body = body_complete,
     .finish = finish_first,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("one-instant", "MT-17: what it tells was true at one instant", 2),
     .setup = setup_first,
     .body = body_complete_in_turn,
     .finish = finish_in_turn,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("deadline", "WAIT-13: the deadline fires while a future is completed", 3),
     .setup = setup_deadline,
     .body = body_deadline,
     .finish = finish_deadline,
     .schedules = 3000},
    {SCENE("cancelled", "WAIT-3: the waiter is cancelled while a future is completed", 3),
     .setup = setup_all,
     .body = body_cancelled,
     .finish = finish_cancelled,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("first-of", "the first of two futures that are completed at once", 3),
     .setup = setup_first_of,
     .body = body_complete,
     .finish = finish_first_of,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("first-of-deadline", "the deadline fires while a future is completed", 3),
     .setup = setup_first_of_deadline,
     .body = body_deadline,
     .finish = finish_first_of_deadline,
     .schedules = 3000},
    {SCENE("race", "a staggered race whose caller is cancelled, on two loops", 3),
     .setup = setup_race,
     .body = body_race,
     .finish = finish_race,
     .schedules = 3000},
    {SCENE("two-takers", "ASC-8: two tasks ask for the next while two futures are completed", 4),
     .setup = setup_takers,
     .body = body_takers,
     .finish = finish_takers,
     .schedules = 3000},
    {SCENE("left", "ASC-11: an iteration is left while a future is completed", 3),
     .setup = setup_leave,
     .body = body_complete,
     .finish = finish_leave,
     .preemptions = 1,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
