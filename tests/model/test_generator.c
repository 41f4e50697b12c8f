/*
 * test_generator.c - a generator between two tasks, and its last reference: generator.c and
 * reaper.c of runtime/task.
 *
 * The body and who asks mark what they hand over, so that who finds the generator waiting before
 * its stack was left, or does not see all of it, races. The generator's memory is on the model's
 * heap: one that is freed too early, twice or never is found.
 *
 * Shown to fail: by --mutate of generator.c:whorl__generator_claim#2, whorl__generator_move_on#1
 * and give_reference_back#1.
 */
#include "model/model.h"
#include "model/rig.h"

#include "task/generator.h"
#include "whorl.h"

#include <errno.h>

#define ITEMS 2

struct scene {
    struct rig rig;
    struct whorl_task *tasks[2];
    struct whorl_generator *generator;
    struct whorl_future *over; /* completed when the argument was freed */
    uint64_t cell;             /* the body's own */
    int items[ITEMS];
    int got[2];
    uint32_t begun;
    int freed;
    int told;
};

static int give(void *arg)
{
    struct scene *const scene = arg;
    for (int i = 0; i < ITEMS && scene->told == 0; i++) {
        whorl__plain_write(&scene->cell);
        scene->items[i] = i + 1;
        scene->told = whorl_generator_yield(&scene->items[i], NULL);
        whorl__plain_write(&scene->cell);
    }
    return scene->told;
}

static void free_arg(void *arg)
{
    struct scene *const scene = arg;
    scene->freed++;
    if (scene->over != NULL) {
        MODEL_CHECK(whorl_future_set_result(scene->over, NULL) == 0);
    }
}

static void set_up(struct scene *scene, unsigned loops)
{
    static const struct whorl_generator_attr attr = {.arg_free = free_arg};
    rig_init(&scene->rig, loops, RIG_STRICT);
    rig_shelve(&scene->rig, 0);
    if (loops > 1) {
        rig_shelve(&scene->rig, 1);
    }
    MODEL_CHECK(whorl_generator_new(give, scene, &attr, &scene->generator) == 0);
}

/* ---- GEN-3: two tasks ask, on two loops ---- */

static int ask(void *arg)
{
    struct scene *const scene = arg;
    const int loop = whorl_loop_current();
    int error;
    do {
        void *item = NULL;
        error = whorl_generator_next(scene->generator, &item);
        if (error == 0) {
            whorl__plain_write(item); /* the body wrote it, and nobody else gets it */
            scene->got[loop] += *(int *)item;
        } else if (error == -EBUSY) {
            MODEL_CHECK(whorl_yield() == 0);
        }
    } while (error != -ENODATA && error != -EBUSY);
    MODEL_CHECK(error == -ENODATA || error == -EBUSY);
    whorl_generator_unref(scene->generator);
    return 0;
}

static void setup_two(void *state)
{
    struct scene *const scene = state;
    set_up(scene, 2);
    (void)whorl_generator_ref(scene->generator);
    for (unsigned i = 0; i < 2; i++) {
        scene->tasks[i] = rig_spawn(&scene->rig, i, ask, scene);
    }
}

static void run_loops(void *state, unsigned thread)
{
    rig_loop(&((struct scene *)state)->rig, thread);
}

static void finish_two(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] + scene->got[1] == 3); /* each item once */
    MODEL_CHECK(scene->freed == 1);
    whorl_task_unref(scene->tasks[0]);
    whorl_task_unref(scene->tasks[1]);
    rig_fini(&scene->rig);
}

/* ---- GEN-13: the last reference, on a thread or in the task ---- */

static int begin_and_drop(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_future *const over = scene->over;
    MODEL_CHECK(whorl_generator_next(scene->generator, NULL) == 0);
    whorl_generator_unref(scene->generator);
    MODEL_CHECK(whorl_future_join(over, WHORL_NEVER, NULL) == 0);
    return 0;
}

static void setup_drop(void *state)
{
    struct scene *const scene = state;
    set_up(scene, 1);
    (void)whorl_generator_ref(scene->generator);
    MODEL_CHECK(whorl_future_new(&scene->over) == 0);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, begin_and_drop, scene);
}

static void body_drop(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        whorl_generator_unref(scene->generator);
    }
}

static void finish_drop(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->told == -ESHUTDOWN);
    MODEL_CHECK(scene->freed == 1);
    MODEL_CHECK(scene->rig.runtime.guests == 0);
    whorl_future_unref(scene->over);
    whorl_task_unref(scene->tasks[0]);
    rig_fini(&scene->rig);
}

/* ---- GEN-11: the last reference against the end of the runtime ---- */

/* Stays while the runtime ends, so that the rig's loop does. */
static int begin_and_stay(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_generator_next(scene->generator, NULL) == 0);
    whorl__store_release_u32(&scene->begun, 1); /* pairs await_begun */
    MODEL_CHECK(whorl_future_join(scene->over, WHORL_NEVER, NULL) == 0);
    return 0;
}

static void setup_end(void *state)
{
    static const struct whorl_generator_attr attr = {0};
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    rig_shelve(&scene->rig, 0);
    MODEL_CHECK(whorl_generator_new(give, scene, &attr, &scene->generator) == 0);
    MODEL_CHECK(whorl_future_new(&scene->over) == 0);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, begin_and_stay, scene);
}

static bool has_begun(void *arg)
{
    return ((struct scene *)arg)->begun;
}

/* Whoever gives a reference back knows what was done with it. */
static void await_begun(struct scene *scene)
{
    model_block_until(has_begun, scene);
    while (whorl__load_acquire_u32(&scene->begun) == 0) { /* pairs begin_and_stay */
        model_yield();
    }
}

static void wait_for_guests(struct whorl__runtime *runtime)
{
    while (whorl__load_acquire_u32(&runtime->guests) != 0) { /* as runtime.c */
        model_yield();
    }
}

/* All but the one that stays. As runtime.c. */
static bool all_ended(const struct whorl__runtime *runtime)
{
    const struct whorl_stats *const stats = &runtime->loops[0]->stats;
    const uint64_t ended = whorl__load_acquire_u64(&stats->ended); /* pairs E1 */
    const uint64_t begun = whorl__load_acquire_u64(&runtime->foreign_made);
    return ended + 1 == begun + whorl__load_acquire_u64(&stats->spawned);
}

static void wait_for_tasks(const struct whorl__runtime *runtime)
{
    while (!all_ended(runtime)) {
        model_yield();
    }
}

/* What runtime.c does, but for cancelling. */
static void end_runtime(struct scene *scene)
{
    struct whorl__runtime *const runtime = &scene->rig.runtime;
    whorl__store_release_u32(&runtime->ending, 1);
    whorl__fence_full();
    wait_for_guests(runtime);
    wait_for_tasks(runtime);
    MODEL_CHECK(whorl__at_ends_run(runtime, WHORL__AT_END_GENERATORS));
    wait_for_tasks(runtime);
    wait_for_guests(runtime);
    MODEL_CHECK(all_ended(runtime)); /* none came that nobody waits for */
    whorl__plain_write(&runtime->loops); /* as destroy_runtime: here it would be freed */
    MODEL_CHECK(scene->told == -ESHUTDOWN);
    MODEL_CHECK(whorl_future_set_result(scene->over, NULL) == 0);
}

static void body_end(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    await_begun(scene);
    if (thread == 1) {
        end_runtime(scene);
    } else {
        whorl_generator_unref(scene->generator);
    }
}

static void finish_end(void *state)
{
    struct scene *const scene = state;
    whorl_future_unref(scene->over);
    whorl_task_unref(scene->tasks[0]);
    rig_fini(&scene->rig);
}

/* ---- */

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "generator/" model_name, .about = what, .threads = thread_count,                       \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("two-askers", "GEN-3: two tasks on two loops ask, and each item is got once", 2),
     .setup = setup_two,
     .body = run_loops,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("last-reference", "GEN-13: a thread and a task drop it, one of them last", 2),
     .setup = setup_drop,
     .body = body_drop,
     .finish = finish_drop,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("lost-at-the-end", "GEN-11: the last reference goes while the runtime ends", 3),
     .setup = setup_end,
     .body = body_end,
     .finish = finish_end,
     .preemptions = 1,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
