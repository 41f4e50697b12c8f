/*
 * test_semaphore.c - units that are taken, given back and given up at once: runtime/sync/
 * semaphore.c.
 *
 * However it goes, everybody comes to his end, who was not cancelled has had a unit, and in the end
 * there are as many as in the beginning: a unit that was granted to one who was cancelled is not
 * lost (SEM-7), nor one that is free beside somebody in line (SEM-5).
 *
 * Shown to fail: by --mutate, and by leaving out the grants of one who leaves.
 */
#include "model/model.h"
#include "model/rig.h"

#include "whorl.h"

#include <errno.h>

#define USERS 3

struct scene {
    struct rig rig;
    struct whorl_semaphore *semaphore;
    struct whorl_task *tasks[USERS];
    int payload; /* plain: written before a release, read by who gets that unit */
    bool begun[USERS];
    int got[USERS];
    int released[USERS]; /* what a release returned that may be refused */
    bool cancelled;
};

static int use(struct scene *scene, unsigned who, bool gives_back)
{
    scene->begun[who] = true;
    scene->got[who] = whorl_semaphore_acquire(scene->semaphore);
    model_note("acquire: %d", scene->got[who]);
    if (scene->got[who] == 0 && gives_back) {
        MODEL_CHECK(whorl_semaphore_release(scene->semaphore) == 0);
    }
    return 0;
}

static int first_takes(void *arg)
{
    return use(arg, 0, false);
}

static int second_takes(void *arg)
{
    return use(arg, 1, false);
}

static int first_uses(void *arg)
{
    return use(arg, 0, true);
}

static int second_uses(void *arg)
{
    return use(arg, 1, true);
}

static int first_reads(void *arg)
{
    struct scene *const scene = arg;
    (void)use(scene, 0, false);
    whorl__plain_read(&scene->payload);
    MODEL_CHECK(scene->payload == 5);
    return 0;
}

static void make_of(struct scene *scene, unsigned loops, enum rig_kind kind, int64_t value,
                    unsigned flags)
{
    rig_init(&scene->rig, loops, kind);
    scene->semaphore = model_alloc(sizeof *scene->semaphore);
    MODEL_CHECK(whorl_semaphore_init(scene->semaphore, value, flags) == 0);
    model_name(&scene->semaphore->word, "semaphore.word");
}

static void make(struct scene *scene, unsigned loops, enum rig_kind kind, int64_t value)
{
    make_of(scene, loops, kind, value, 0);
}

static void end(struct scene *scene, uint32_t value)
{
    MODEL_CHECK(whorl_semaphore_value(scene->semaphore) == value);
    MODEL_CHECK(whorl_semaphore_destroy(scene->semaphore) == 0);
    model_free(scene->semaphore);
    for (unsigned i = 0; i < USERS; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

/* ---- what was done before a release is seen with the unit ---- */

static void setup_news(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_STRICT, 0);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_reads, scene);
}

static void body_news(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        whorl__plain_write(&scene->payload);
        scene->payload = 5;
        MODEL_CHECK(whorl_semaphore_release(scene->semaphore) == 0);
    }
}

static void finish_news(void *state)
{
    end(state, 0);
}

/* ---- one unit, two tasks and a thread ---- */

static void setup_users(void *state)
{
    struct scene *const scene = state;
    make(scene, 2, RIG_SHARING, 1);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, second_uses, scene);
}

static void body_users(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        (void)use(scene, 2, true);
    }
}

static void finish_users(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0 && scene->got[1] == 0 && scene->got[2] == 0);
    end(scene, 1);
}

/* ---- SEM-5: two units given back, two in line ---- */

static void setup_two_in_line(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_SHARING, 0);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_takes, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, second_takes, scene);
}

static void body_two_releases(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        MODEL_CHECK(whorl_semaphore_release(scene->semaphore) == 0);
    }
}

static void finish_two_releases(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0 && scene->got[1] == 0);
    end(scene, 0);
}

/* ---- SEM-7: one unit; the first in line is cancelled; the second has it, or both ---- */

static void body_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        MODEL_CHECK(whorl_semaphore_release(scene->semaphore) == 0);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void setup_cancel(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_SHARING, 0);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, second_uses, scene);
}

static void setup_cancel_strict(void *state)
{
    struct scene *const scene = state;
    make(scene, 1, RIG_STRICT, 0);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, second_uses, scene);
}

static void finish_cancel(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[1] == 0);
    MODEL_CHECK(scene->got[0] == 0 || (scene->got[0] == -ECANCELED && scene->cancelled));
    end(scene, 1);
}

/* ---- the same users where who comes first gets it ---- */

static void setup_unfair(void *state)
{
    struct scene *const scene = state;
    make_of(scene, 2, RIG_SHARING, 1, WHORL_SEMAPHORE_UNFAIR);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, second_uses, scene);
}

static void setup_cancel_unfair(void *state)
{
    struct scene *const scene = state;
    make_of(scene, 1, RIG_SHARING, 0, WHORL_SEMAPHORE_UNFAIR);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_uses, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 0, second_uses, scene);
}

/* ---- SEM-9, 10: one unit out of one, given back twice, with one in line who is cancelled ---- */

static void setup_bounded(void *state)
{
    struct scene *const scene = state;
    make_of(scene, 1, RIG_SHARING, 1, WHORL_SEMAPHORE_BOUNDED);
    MODEL_CHECK(whorl_semaphore_acquire(scene->semaphore) == 0);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first_takes, scene);
}

static void body_bounded(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        scene->released[thread] = whorl_semaphore_release(scene->semaphore);
    }
}

/* The second is refused unless somebody has the first one's unit. */
static void finish_bounded(void *state)
{
    struct scene *const scene = state;
    const int refused = (scene->released[1] == -EOVERFLOW) + (scene->released[2] == -EOVERFLOW);
    MODEL_CHECK(refused + (scene->released[1] == 0) + (scene->released[2] == 0) == 2);
    MODEL_CHECK(refused <= 1 && scene->got[0] == 0);
    end(scene, (uint32_t)(1 - refused));
}

/* ---- one in line who is cancelled, and one unit back: it is there, or somebody's ---- */

static void body_bounded_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 2) {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    } else {
        body_bounded(state, thread);
    }
}

static void finish_bounded_cancel(void *state)
{
    struct scene *const scene = state;
    const bool has = scene->begun[0] && scene->got[0] == 0;
    MODEL_CHECK(has || scene->cancelled);
    MODEL_CHECK(scene->released[1] == 0);
    end(scene, has ? 0 : 1);
}

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "semaphore/" model_name, .about = what, .threads = thread_count,                       \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("news", "K3: what was done before a release", 2),
     .setup = setup_news,
     .body = body_news,
     .finish = finish_news,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("users", "one unit for two tasks and a thread", 3),
     .setup = setup_users,
     .body = body_users,
     .finish = finish_users,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("two-releases", "SEM-5: two units, two in line", 3),
     .setup = setup_two_in_line,
     .body = body_two_releases,
     .finish = finish_two_releases,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("cancelled", "SEM-7: a release, and a cancel of the first of two in line", 3),
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
    {SCENE("users-unfair", "one unit for who comes first", 3),
     .setup = setup_unfair,
     .body = body_users,
     .finish = finish_users,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("cancelled-unfair", "SEM-7 where who comes first gets it", 3),
     .setup = setup_cancel_unfair,
     .body = body_cancel,
     .finish = finish_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("bounded", "SEM-9, 10: one unit given back twice, one in line", 3),
     .setup = setup_bounded,
     .body = body_bounded,
     .finish = finish_bounded,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("bounded-cancelled", "a unit given back, who is in line is cancelled", 3),
     .setup = setup_bounded,
     .body = body_bounded_cancel,
     .finish = finish_bounded_cancel,
     .preemptions = 2,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
