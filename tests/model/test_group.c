/*
 * test_group.c - a task group against its children on other loops: runtime/task/group.c.
 *
 * The group lies on the heap and is freed right after its end, so that whoever touches it late is
 * found. A child that waits does so for a future that nobody completes: if no cancel reaches it,
 * all threads are blocked in the end, which is a failure.
 *
 * Shown to fail: by --mutate of lockfree/spinlock.h:whorl__spin_unlock#1.
 */
#include "model/model.h"
#include "model/rig.h"

#include "task/cancel.h"
#include "whorl.h"

#include <errno.h>

struct scene {
    struct rig rig;
    struct whorl_group *group;
    struct whorl_future *never;
    struct whorl_task *parent;
    int added;      /* what adding the second child said */
    int end;        /* what the group's end said */
    int then, last; /* two waits after it */
    int late;       /* the second child: what its wait said; 1: its body was never entered */
    bool accepted;  /* the cancel of the parent */
};

/* ---- children ---- */

static int end_well(void *arg)
{
    (void)arg;
    return 0;
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

static int wait_for_cancel(void *arg)
{
    struct scene *const scene = arg;
    scene->late = whorl_future_join(scene->never, WHORL_NEVER, NULL);
    return scene->late;
}

static int cancel_group(void *arg)
{
    whorl_group_cancel(((struct scene *)arg)->group);
    return 0;
}

static int add_waiter(void *arg)
{
    struct scene *const scene = arg;
    const struct whorl_attr attr = {.pin = whorl_loop_current() + 1};
    scene->added = whorl_group_spawn(scene->group, wait_for_cancel, scene, &attr, NULL);
    return 0;
}

static int add(struct scene *scene, unsigned loop, whorl_body *body)
{
    const struct whorl_attr attr = {.pin = (int)loop + 1};
    return whorl_group_spawn(scene->group, body, scene, &attr, NULL);
}

/* ---- the parent ---- */

static void begin(struct scene *scene)
{
    scene->group = model_alloc(sizeof *scene->group);
    MODEL_CHECK(whorl_group_begin(scene->group) == 0);
}

static void end(struct scene *scene, int error)
{
    scene->end = whorl_group_end(scene->group, error, NULL);
    model_note("end: %d", scene->end);
    model_free(scene->group);
    scene->then = whorl_yield();
    scene->last = whorl_yield();
}

static void check_quiet(const struct scene *scene, int requests)
{
    MODEL_CHECK(whorl_task_cancelling(scene->parent) == requests);
    MODEL_CHECK(scene->parent->users_pending == 0 && scene->parent->scopes == NULL);
    MODEL_CHECK((scene->parent->word & WHORL__CANCEL) == 0);
}

static void set_up(struct scene *scene, unsigned loops, whorl_body *parent)
{
    rig_init(&scene->rig, loops, RIG_STRICT);
    MODEL_CHECK(whorl_future_new(&scene->never) == 0);
    scene->late = 1;
    scene->parent = rig_spawn(&scene->rig, 0, parent, scene);
}

static void run_loops(void *state, unsigned thread)
{
    rig_loop(&((struct scene *)state)->rig, thread);
}

static void finish(struct scene *scene)
{
    MODEL_CHECK(scene->late == 1 || scene->late == -ECANCELED);
    whorl_task_unref(scene->parent);
    whorl_future_unref(scene->never);
    rig_fini(&scene->rig);
}

/* ---- MT-16: the last child's end against the sleep of the parent ---- */

static int parent_of_one(void *arg)
{
    struct scene *const scene = arg;
    begin(scene);
    MODEL_CHECK(add(scene, 1, end_well) == 0);
    end(scene, 0);
    return 0;
}

static int parent_of_two(void *arg)
{
    struct scene *const scene = arg;
    begin(scene);
    MODEL_CHECK(add(scene, 1, end_well) == 0);
    MODEL_CHECK(add(scene, 2, end_well) == 0);
    end(scene, 0);
    return 0;
}

static void setup_last_child(void *state)
{
    set_up(state, 2, parent_of_one);
}

static void setup_two_last(void *state)
{
    set_up(state, 3, parent_of_two);
}

static void finish_well(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->end == 0 && scene->then == 0 && scene->last == 0);
    check_quiet(scene, 0);
    finish(state);
}

/* ---- TG-3, TG-6: a child fails while the parent is in the block, or at its end ---- */

static int parent_of_failing(void *arg)
{
    struct scene *const scene = arg;
    begin(scene);
    MODEL_CHECK(add(scene, 1, fail) == 0);
    end(scene, whorl_yield());
    return 0;
}

static void setup_failing(void *state)
{
    set_up(state, 2, parent_of_failing);
}

static void finish_failed(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->end == -EIO);
    MODEL_CHECK(scene->then == 0 && scene->last == 0); /* the group's own cancel is taken back */
    MODEL_CHECK(whorl_task_result(scene->parent, NULL) == 0);
    check_quiet(scene, 0);
    finish(state);
}

/* ---- MT-16: adding against abort: refused, or asked to end ---- */

static int parent_adds(void *arg)
{
    struct scene *const scene = arg;
    begin(scene);
    MODEL_CHECK(add(scene, 1, fail) == 0);
    scene->added = add(scene, 0, wait_for_cancel);
    end(scene, 0);
    return 0;
}

static void setup_adding(void *state)
{
    set_up(state, 2, parent_adds);
}

static int parent_of_adder(void *arg)
{
    struct scene *const scene = arg;
    begin(scene);
    MODEL_CHECK(add(scene, 1, fail) == 0);
    if (add(scene, 2, add_waiter) != 0) {
        scene->added = -ESHUTDOWN; /* it failed before */
    }
    end(scene, 0);
    return 0;
}

static void setup_child_adds(void *state)
{
    set_up(state, 3, parent_of_adder);
}

/* added is 0, too, where the child that was to add was cancelled before it began. */
static void finish_added(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->added == 0 || scene->added == -ESHUTDOWN);
    MODEL_CHECK(scene->added == 0 || scene->late == 1);
    finish_failed(state);
}

/* ---- TG-26: a child cancels the group, the other waits ---- */

static int parent_of_canceller(void *arg)
{
    struct scene *const scene = arg;
    begin(scene);
    MODEL_CHECK(add(scene, 1, cancel_group) == 0);
    scene->added = add(scene, 0, wait_for_cancel);
    end(scene, whorl_yield());
    return 0;
}

static void setup_group_cancelled(void *state)
{
    set_up(state, 2, parent_of_canceller);
}

/* ---- TG-8, TG-19: the parent is cancelled at any moment ---- */

static int parent_of_waiter(void *arg)
{
    struct scene *const scene = arg;
    begin(scene);
    MODEL_CHECK(add(scene, 1, wait_for_cancel) == 0);
    end(scene, 0);
    return 0;
}

static void setup_parent_cancelled(void *state)
{
    set_up(state, 2, parent_of_waiter);
}

static void body_parent_cancelled(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < scene->rig.runtime.loop_count) {
        rig_loop(&scene->rig, thread);
    } else {
        scene->accepted = whorl_cancel(scene->parent, "enough");
    }
}

/* Before its first step: then nothing ran at all. */
static bool never_began(const struct scene *scene)
{
    return scene->group == NULL;
}

static void finish_parent_cancelled(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->accepted); /* it cannot end without */
    MODEL_CHECK(never_began(scene) || scene->end == -ECANCELED);
    MODEL_CHECK(scene->then == 0 && scene->last == 0);
    check_quiet(scene, 1);
    finish(state);
}

/* ---- TG-9, TG-10, TG-27: cancelled from outside while a child fails ---- */

static void setup_both(void *state)
{
    set_up(state, 2, parent_of_failing);
}

/* The cancel is met once, whatever else happens, and never by the group alone. */
static void finish_both(void *state)
{
    struct scene *const scene = state;
    const int result = whorl_task_result(scene->parent, NULL);
    const int met = (scene->end == -ECANCELED) + (scene->then == -ECANCELED) +
                    (scene->last == -ECANCELED) + (result == -ECANCELED);
    MODEL_CHECK(never_began(scene) || scene->end == -EIO || scene->end == -ECANCELED);
    MODEL_CHECK(met == scene->accepted);
    check_quiet(scene, scene->accepted);
    finish(state);
}

/* ---- */

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "group/" model_name, .about = what, .threads = thread_count,                           \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("last-child", "MT-16: the last child ends while its parent goes to sleep", 2),
     .setup = setup_last_child,
     .body = run_loops,
     .finish = finish_well,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("two-last", "the last two children end at once", 3),
     .setup = setup_two_last,
     .body = run_loops,
     .finish = finish_well,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("child-fails", "TG-6: a child's failure cancels the block, and is taken back", 2),
     .setup = setup_failing,
     .body = run_loops,
     .finish = finish_failed,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("add-against-abort", "MT-16: a child fails while its parent adds another", 2),
     .setup = setup_adding,
     .body = run_loops,
     .finish = finish_added,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("child-adds", "MT-16: a child fails while another one adds a third", 3),
     .setup = setup_child_adds,
     .body = run_loops,
     .finish = finish_added,
     .schedules = 3000},
    {SCENE("group-cancelled", "TG-26: a child cancels the group, another one waits", 2),
     .setup = setup_group_cancelled,
     .body = run_loops,
     .finish = finish_well,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("parent-cancelled", "TG-8: the parent is cancelled at any moment, once", 3),
     .setup = setup_parent_cancelled,
     .body = body_parent_cancelled,
     .finish = finish_parent_cancelled,
     .preemptions = 1,
     .schedules = 3000},
    {SCENE("parent-and-child", "TG-10: cancelled from outside while a child fails", 3),
     .setup = setup_both,
     .body = body_parent_cancelled,
     .finish = finish_both,
     .preemptions = 1,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
