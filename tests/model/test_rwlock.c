/*
 * test_rwlock.c - locks for many who read or one who writes, and what is done once: runtime/sync/
 * rwlock.c and once.c, while somebody is cancelled.
 *
 * A writer writes a marked plain field, a reader reads it: a reader beside a writer, and two
 * writers, are a race. Everybody comes to his end.
 *
 * Shown to fail: by --mutate, and by leaving out the grants of one who was cancelled.
 */
#include "model/model.h"
#include "model/rig.h"

#include "whorl.h"

#include <errno.h>

#define USERS 3

struct scene {
    struct rig rig;
    struct whorl_rwlock lock;
    struct whorl_once once;
    struct whorl_task *tasks[USERS];
    int field; /* plain: under the lock; or written by the body of once */
    unsigned bodies; /* plain: as field */
    bool begun[USERS];
    int got[USERS];
    bool cancelled;
};

static int read_field(struct scene *scene, unsigned who)
{
    scene->begun[who] = true;
    scene->got[who] = whorl_rwlock_acquire_read(&scene->lock);
    if (scene->got[who] == 0) {
        whorl__plain_read(&scene->field);
        MODEL_CHECK(whorl_rwlock_release_read(&scene->lock) == 0);
    }
    return 0;
}

static int write_field(struct scene *scene, unsigned who)
{
    scene->begun[who] = true;
    scene->got[who] = whorl_rwlock_acquire_write(&scene->lock);
    if (scene->got[who] == 0) {
        whorl__plain_write(&scene->field);
        scene->field++;
        MODEL_CHECK(whorl_rwlock_release_write(&scene->lock) == 0);
    }
    return 0;
}

static int first_reads(void *arg)
{
    return read_field(arg, 0);
}

static int first_writes(void *arg)
{
    return write_field(arg, 0);
}

static int second_reads(void *arg)
{
    return read_field(arg, 1);
}

static int body(void *arg)
{
    struct scene *const scene = arg;
    whorl__plain_write(&scene->bodies);
    scene->bodies++;
    whorl__plain_write(&scene->field);
    scene->field = 5;
    return 0;
}

static int do_once(struct scene *scene, unsigned who)
{
    scene->begun[who] = true;
    scene->got[who] = whorl_once_run(&scene->once, body, scene);
    if (scene->got[who] == 0) {
        whorl__plain_read(&scene->field);
        MODEL_CHECK(scene->field == 5);
    }
    return 0;
}

static int first_does(void *arg)
{
    return do_once(arg, 0);
}

static int second_does(void *arg)
{
    return do_once(arg, 1);
}

/* The body fails the first time: who waits for it is the one who does it then. */
static int fail_first(void *arg)
{
    struct scene *const scene = arg;
    whorl__plain_write(&scene->bodies);
    return scene->bodies++ == 0 ? -EIO : 0;
}

static int first_tries(void *arg)
{
    struct scene *const scene = arg;
    scene->begun[0] = true;
    scene->got[0] = whorl_once_run(&scene->once, fail_first, scene);
    return 0;
}

static int second_tries(void *arg)
{
    struct scene *const scene = arg;
    scene->begun[1] = true;
    scene->got[1] = whorl_once_run(&scene->once, fail_first, scene);
    return 0;
}

static void setup(struct scene *scene, unsigned loops, whorl_body *first, whorl_body *second)
{
    rig_init(&scene->rig, loops, RIG_SHARING);
    MODEL_CHECK(whorl_rwlock_init(&scene->lock) == 0);
    MODEL_CHECK(whorl_once_init(&scene->once) == 0);
    model_name(&scene->lock.opaque[0], "rwlock.word");
    model_name(&scene->once.opaque[0], "once.word");
    scene->tasks[0] = rig_spawn(&scene->rig, 0, first, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, loops - 1, second, scene);
}

static void end(struct scene *scene)
{
    MODEL_CHECK(whorl_rwlock_destroy(&scene->lock) == 0);
    MODEL_CHECK(whorl_once_destroy(&scene->once) == 0);
    for (unsigned i = 0; i < USERS; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    rig_fini(&scene->rig);
}

/* ---- two read, each on a loop, and a thread writes ---- */

static void setup_readers(void *state)
{
    setup(state, 2, first_reads, second_reads);
}

static void body_readers(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        (void)write_field(scene, 2);
    }
}

static void finish_all(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[0] == 0 && scene->got[1] == 0 && scene->got[2] == 0);
    end(scene);
}

/* ---- a writer, in line before a reader, is cancelled ---- */

static void setup_cancel(void *state)
{
    struct scene *const scene = state;
    setup(scene, 1, first_writes, second_reads);
    MODEL_CHECK(whorl_rwlock_acquire_read(&scene->lock) == 0);
}

static void body_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        whorl__plain_read(&scene->field);
        MODEL_CHECK(whorl_rwlock_release_read(&scene->lock) == 0);
    } else {
        scene->cancelled = whorl_cancel(scene->tasks[0], "enough");
    }
}

static void finish_cancel(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->got[1] == 0);
    MODEL_CHECK(scene->got[0] == 0 || (scene->got[0] == -ECANCELED && scene->cancelled));
    end(scene);
}

/* ---- two readers in line behind a writer, one of them is cancelled, or may be ---- */

static void setup_cancel_reader(void *state)
{
    struct scene *const scene = state;
    setup(scene, 1, first_reads, second_reads);
    MODEL_CHECK(whorl_rwlock_acquire_write(&scene->lock) == 0);
}

static void body_cancel_reader(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 1) {
        whorl__plain_write(&scene->field);
        MODEL_CHECK(whorl_rwlock_release_write(&scene->lock) == 0);
        MODEL_CHECK(write_field(scene, 2) == 0);
    } else {
        body_cancel(state, thread);
    }
}

/* ---- once: two tasks and a thread ---- */

static void setup_once(void *state)
{
    setup(state, 2, first_does, second_does);
}

static void body_once(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        (void)do_once(scene, 2);
    }
}

static void finish_once(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->bodies == 1);
    finish_all(state);
}

/* ---- once: it fails, and who waits is cancelled, or does it; or a third does ---- */

static void setup_once_fails(void *state)
{
    setup(state, 2, first_tries, second_tries);
}

static void body_once_fails(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
        return;
    }
    scene->cancelled = whorl_cancel(scene->tasks[1], "enough");
    scene->got[2] = whorl_once_run(&scene->once, fail_first, scene);
}

static void finish_once_fails(void *state)
{
    struct scene *const scene = state;
    unsigned failed = 0;
    for (unsigned i = 0; i < USERS; i++) {
        failed += scene->got[i] == -EIO;
        MODEL_CHECK(scene->got[i] == 0 || scene->got[i] == -EIO ||
                    (i == 1 && scene->got[i] == -ECANCELED));
    }
    MODEL_CHECK(failed == 1);
    MODEL_CHECK(scene->bodies == 2 && whorl_once_done(&scene->once));
    end(scene);
}

#define SCENE(model_name, what, thread_count)                                                      \
    .name = model_name, .about = what, .threads = thread_count, .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("rwlock/readers", "K3: two read, one writes", 3),
     .setup = setup_readers,
     .body = body_readers,
     .finish = finish_all,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("rwlock/cancelled", "a writer in line is cancelled while it is released", 3),
     .setup = setup_cancel,
     .body = body_cancel,
     .finish = finish_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("rwlock/cancelled-reader", "two read after a writer, one is cancelled", 3),
     .setup = setup_cancel_reader,
     .body = body_cancel_reader,
     .finish = finish_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("once/three", "K3: two tasks and a thread, one does it", 3),
     .setup = setup_once,
     .body = body_once,
     .finish = finish_once,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("once/fails", "it fails at first, and one in line is cancelled", 3),
     .setup = setup_once_fails,
     .body = body_once_fails,
     .finish = finish_once_fails,
     .preemptions = 2,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
