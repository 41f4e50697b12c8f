/*
 * test_context.c - the words of tasks: read by the task without a lock, made into shared contexts
 * and moved into a block by others meanwhile: runtime/task/context.c, extra.c, map.c.
 *
 * A map that is freed while somebody reads it is a race of marked accesses; one that nobody frees
 * is left at the end of the execution, and fails it, too.
 *
 * Shown to fail: by --mutate of the releases in put_word, share_locked and
 * whorl__extra_install_locked; by share_locked without the reference that it leaves in `first`.
 */
#include "model/model.h"
#include "model/rig.h"

#include "task/context.h"
#include "whorl.h"

#include <errno.h>

struct scene {
    struct rig rig;
    struct whorl_task *tasks[2];
    struct whorl__extra *blocks[2];
    struct whorl_context *contexts[2];
    void *seen[3];
};

static char none, own, theirs, late;

static const struct whorl_local key = {.initial = &none};
static const struct whorl_local other_key = {.initial = &none};

static void set(const struct whorl_local *of, void *value)
{
    MODEL_CHECK(whorl_local_set(of, value, NULL) == 0);
}

static int set_theirs(void *arg)
{
    (void)arg;
    set(&key, &theirs);
    return 0;
}

/* Another task's context, from a thread: made a shared one, and set. */
static void set_from_outside(struct whorl_task *task)
{
    struct whorl_context *context;
    MODEL_CHECK(whorl_task_context(task, &context) == 0);
    MODEL_CHECK(whorl_context_run(context, set_theirs, NULL) == 0);
    whorl_context_unref(context);
}

static void finish(void *state)
{
    struct scene *const scene = state;
    for (unsigned i = 0; i < 2; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

static bool is_one_of(const void *value, const void *a, const void *b)
{
    return value == a || value == b;
}

/* ---- read while it is shared and set ---- */

static int task_reads(void *arg)
{
    struct scene *const scene = arg;
    for (unsigned i = 0; i < 2; i++) {
        scene->seen[i] = whorl_local_get(&key);
    }
    return 0;
}

/* The task begins with a value of its own, set before anybody can look. */
static int task_sets_and_reads(void *arg)
{
    set(&key, &own);
    return task_reads(arg);
}

static void setup_reads(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_sets_and_reads, scene);
}

static void body_reads(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        set_from_outside(scene->tasks[0]);
    }
}

static void finish_reads(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(is_one_of(scene->seen[0], &own, &theirs));
    MODEL_CHECK(is_one_of(scene->seen[1], &own, &theirs));
    MODEL_CHECK(scene->seen[0] == &own || scene->seen[1] == &theirs); /* never back */
    finish(state);
}

/* ---- set while it is shared: neither set is lost ---- */

static int task_sets_other(void *arg)
{
    struct scene *const scene = arg;
    set(&other_key, &late);
    scene->seen[0] = whorl_local_get(&other_key);
    return 0;
}

static void setup_sets(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_sets_other, scene);
}

static void finish_sets(void *state)
{
    struct scene *const scene = state;
    struct whorl_context *context;
    MODEL_CHECK(scene->seen[0] == &late);
    MODEL_CHECK(whorl_task_context(scene->tasks[0], &context) == 0);
    MODEL_CHECK(whorl_context_get(context, &key) == &theirs);
    MODEL_CHECK(whorl_context_get(context, &other_key) == &late);
    whorl_context_unref(context);
    finish(state);
}

/* ---- a block comes while the task sets and reads ---- */

static void body_block(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        scene->blocks[thread - 1] = whorl__extra(scene->tasks[0]);
        MODEL_CHECK(scene->blocks[thread - 1] != NULL);
    }
}

static void finish_block(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->blocks[0] == scene->blocks[1]);
    MODEL_CHECK(scene->blocks[0] == whorl__extra_find(scene->tasks[0]));
    MODEL_CHECK(scene->seen[0] == &own && scene->seen[1] == &own);
    finish(state);
}

/* ---- copied while it is shared and set ---- */

static int task_captures(void *arg)
{
    struct scene *const scene = arg;
    set(&key, &own);
    struct whorl_context *copy;
    MODEL_CHECK(whorl_context_copy(&copy) == 0);
    scene->seen[1] = whorl_context_get(copy, &key);
    whorl_context_unref(copy);
    scene->seen[2] = whorl_local_get(&key);
    return 0;
}

static void setup_captures(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_captures, scene);
}

static void finish_captures(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(is_one_of(scene->seen[1], &own, &theirs));
    MODEL_CHECK(is_one_of(scene->seen[2], &own, &theirs));
    finish(state);
}

/* ---- a block comes, and what stands in it is made a shared context ---- */

static void body_block_shared(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        scene->blocks[0] = whorl__extra(scene->tasks[0]);
        set_from_outside(scene->tasks[0]);
    }
}

/* ---- a value that is destroyed: once, when its last reader has gone ---- */

static unsigned destroyed;

static void destroy(void *value)
{
    whorl__plain_write(value);
    destroyed++;
}

static const struct whorl_local owned = {.destroy = destroy};

static int task_sets_owned(void *arg)
{
    (void)arg;
    set(&owned, &own);
    set(&key, &late);
    return 0;
}

static void setup_owned(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, task_sets_owned, scene);
    scene->tasks[1] = whorl_task_ref(scene->tasks[0]);
    destroyed = 0;
}

static int read_owned(void *arg)
{
    (void)arg;
    const void *const value = whorl_local_get(&owned);
    if (value != NULL) {
        whorl__plain_read(value);
    }
    set(&other_key, &theirs);
    return 0;
}

static void body_owned(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        whorl_task_unref(scene->tasks[0]);
        return;
    }
    struct whorl_context *context;
    MODEL_CHECK(whorl_task_context(scene->tasks[1], &context) == 0);
    MODEL_CHECK(whorl_context_run(context, read_owned, NULL) == 0);
    whorl_task_unref(scene->tasks[1]);
    whorl_context_unref(context);
}

static void finish_owned(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(destroyed == 1);
    rig_fini(&scene->rig);
}

/* ---- the same with two maps that have the value ---- */

static int set_owned(void *arg)
{
    struct scene *const scene = arg;
    set(&owned, &own);
    MODEL_CHECK(whorl_context_copy(&scene->contexts[1]) == 0);
    return 0;
}

static void setup_two_maps(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(whorl_context_new(&scene->contexts[0]) == 0);
    MODEL_CHECK(whorl_context_run(scene->contexts[0], set_owned, scene) == 0);
    MODEL_CHECK(whorl_context_run(scene->contexts[1], set_theirs, NULL) == 0);
    destroyed = 0;
}

static void body_two_maps(void *state, unsigned thread)
{
    struct scene *const scene = state;
    struct whorl_context *const context = scene->contexts[thread];
    MODEL_CHECK(whorl_context_run(context, read_owned, NULL) == 0);
    whorl_context_unref(context);
}

static void finish_two_maps(void *state)
{
    (void)state;
    MODEL_CHECK(destroyed == 1);
}

#define SCENE(scene_name, scene_about, scene_threads)                                              \
    .name = "context/" scene_name, .about = (scene_about), .threads = (scene_threads),             \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("read-shared", "CTX-8: read without a lock while it is shared and set", 2),
     .setup = setup_reads,
     .body = body_reads,
     .finish = finish_reads,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("set-shared", "the task and another set: neither value is lost", 2),
     .setup = setup_sets,
     .body = body_reads,
     .finish = finish_sets,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("block", "two make the task's block while it sets and reads", 3),
     .setup = setup_reads,
     .body = body_block,
     .finish = finish_block,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("block-shared", "the word in a block is made a shared context, and set", 2),
     .setup = setup_reads,
     .body = body_block_shared,
     .finish = finish_reads,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("destroy", "a value goes once, with the last context that has it", 2),
     .setup = setup_owned,
     .body = body_owned,
     .finish = finish_owned,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("destroy-maps", "as above, when two maps have it", 2),
     .setup = setup_two_maps,
     .body = body_two_maps,
     .finish = finish_two_maps,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("capture", "a copy is taken while the original is shared and set", 2),
     .setup = setup_captures,
     .body = body_reads,
     .finish = finish_captures,
     .preemptions = 3,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
