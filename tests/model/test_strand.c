/*
 * test_strand.c - tasks of one strand that become ready, give way, park, are cancelled and end on
 * several threads at once, and callbacks among them: runtime/sched/strand.c, task/strand.c and
 * task/seat.c.
 *
 * What a task does in the strand is a plain write that is marked: two at once are a race, and so is
 * one that does not see what the last has done. Everybody comes to his end: who is forgotten in
 * line blocks the model for ever. The strand lies in a block of memory that is freed as soon as its
 * tasks are known to have ended: who touches it later is found.
 *
 * Shown to fail: by --mutate of T1; by an acquire that was missing in join, where nobody was left.
 */
#include "model/model.h"
#include "model/rig.h"

#include "sched/roster.h"
#include "sched/strand.h"
#include "whorl.h"

#include <errno.h>

struct scene {
    struct rig rig;
    struct whorl_strand *strand;
    struct whorl_task *tasks[RIG_TASKS];
    struct whorl_future *gate;
    struct whorl_future *told;
    int inside; /* plain: written with the turn */
    int ended;  /* plain: likewise */
    int got[3];
    bool joined;
    bool listed; /* with the roster, for who completes a future */
    struct whorl_handle *handle;
    uint32_t ready; /* A: the program's own way to hand the handle over */
    bool cancelled;
    int freed; /* plain: written with the turn, or when all is over */
};

/* ---- what tasks do ---- */

static void section(struct scene *scene)
{
    whorl__plain_write(&scene->inside);
    scene->inside++;
    MODEL_CHECK(scene->inside == 1);
    MODEL_CHECK(whorl_strand_current() == scene->strand);
    scene->inside--;
}

static void end_section(struct scene *scene)
{
    section(scene);
    whorl__plain_write(&scene->ended);
    scene->ended++;
}

static int work(void *arg)
{
    struct scene *const scene = arg;
    section(scene);
    MODEL_CHECK(whorl_yield() == 0);
    end_section(scene);
    return 0;
}

static int work_plainly(void *arg)
{
    end_section(arg);
    return 0;
}

static int wait_at_gate(void *arg)
{
    struct scene *const scene = arg;
    section(scene);
    const int error = whorl_future_await(scene->gate, NULL);
    end_section(scene);
    return error;
}

/* From none into the strand, and out again. */
static int visit(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_strand_run(scene->strand, NULL, work_plainly, scene) == 0);
    MODEL_CHECK(whorl_strand_current() == NULL);
    return 0;
}

static int enter(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_strand_enter(scene->strand) == 0);
    end_section(scene);
    return 0;
}

/* Its child is of the same strand, and begins when it waits. */
static int beget(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_task *child;
    section(scene);
    MODEL_CHECK(whorl_spawn(work_plainly, scene, NULL, &child) == 0);
    section(scene);
    MODEL_CHECK(whorl_await(child, NULL) == 0);
    whorl_task_unref(child);
    end_section(scene);
    return 0;
}

/* Waits with the strand, and forgets it: nobody touches it any more. */
static int forget(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_strand_join(scene->strand, WHORL_NEVER) == 0);
    whorl__plain_write(&scene->ended);
    MODEL_CHECK(scene->ended == 2);
    model_free(scene->strand);
    scene->joined = true;
    return 0;
}

/* Waits likewise, while somebody may come once more. */
static void watch(struct scene *scene)
{
    MODEL_CHECK(whorl_strand_join(scene->strand, WHORL_NEVER) == 0);
}

/* Tries to end it: nobody is in it then, and what they did is seen. */
static void kill_it(struct scene *scene)
{
    const int error = whorl__strand_kill((struct whorl__strand *)(void *)scene->strand);
    MODEL_CHECK(error == 0 || error == -EBUSY);
    if (error == 0) {
        whorl__plain_write(&scene->ended);
        MODEL_CHECK(scene->ended == 2);
        MODEL_CHECK(whorl_strand_init(scene->strand) == 0);
    }
}

/* A member of a runtime with one loop, which never asks for the turn. */
static void use_alone(struct scene *scene, uint64_t id)
{
    struct whorl__strand *const strand = (struct whorl__strand *)(void *)scene->strand;
    const struct whorl__runtime runtime = {.id = id, .loop_count = 1};
    const int error = whorl__strand_admit(strand, &runtime);
    MODEL_CHECK(error == 0 || error == -EXDEV);
    if (error == 0) {
        whorl__plain_write(&scene->inside);
        MODEL_CHECK(++scene->inside == 1);
        scene->inside--;
        MODEL_CHECK(whorl__strand_quit(strand, false) == NULL);
    }
}

/* ---- beginnings and ends ---- */

static void begin(struct scene *scene, unsigned loops, enum rig_kind kind)
{
    rig_init(&scene->rig, loops, kind);
    scene->rig.runtime.id = 1;
    scene->strand = model_alloc(sizeof *scene->strand);
    MODEL_CHECK(whorl_strand_init(scene->strand) == 0);
    model_name(&scene->strand->opaque[0], "strand.word");
}

/* With a gate, and so that who completes it finds the runtime. */
static void begin_listed(struct scene *scene, enum rig_kind kind)
{
    begin(scene, 2, kind);
    whorl__roster_add(&scene->rig.runtime);
    scene->listed = true;
    MODEL_CHECK(whorl_future_new(&scene->gate) == 0);
}

/* In the strand from its beginning: ready on a loop, as if it had been spawned there. */
static void add(struct scene *scene, unsigned which, unsigned loop, whorl_body *body)
{
    scene->tasks[which] = rig_spawn_with(&scene->rig, loop, body, scene,
                                         &(struct whorl_attr){.strand = scene->strand});
}

static void end(struct scene *scene, int ended)
{
    MODEL_CHECK(scene->inside == 0 && scene->ended == ended);
    for (unsigned i = 0; i < RIG_TASKS; i++) {
        whorl_task_unref(scene->tasks[i]);
    }
    if (scene->listed) {
        whorl__roster_remove(&scene->rig.runtime);
    }
    rig_fini(&scene->rig);
    if (!scene->joined) {
        MODEL_CHECK(whorl_strand_destroy(scene->strand) == 0);
        model_free(scene->strand);
    }
    whorl_future_unref(scene->gate);
    whorl_future_unref(scene->told);
}

static void body_loops(void *state, unsigned thread)
{
    rig_loop(&((struct scene *)state)->rig, thread);
}

static void finish_two(void *state)
{
    end(state, 2);
}

static void finish_three(void *state)
{
    end(state, 3);
}

/* ---- two tasks that give way, each on its own loop ---- */

static void setup_two(void *state)
{
    struct scene *const scene = state;
    begin(scene, 2, RIG_STRICT);
    add(scene, 0, 0, work);
    add(scene, 1, 1, work);
}

static void setup_two_sharing(void *state)
{
    struct scene *const scene = state;
    begin(scene, 2, RIG_SHARING);
    add(scene, 0, 0, work);
    add(scene, 1, 1, work);
}

/* ---- one enters, one visits, one is there ---- */

static void setup_visitors(void *state)
{
    struct scene *const scene = state;
    begin(scene, 2, RIG_STRICT);
    add(scene, 0, 0, work);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, visit, scene);
}

static void setup_enter(void *state)
{
    struct scene *const scene = state;
    begin(scene, 2, RIG_STRICT);
    scene->tasks[0] = rig_spawn(&scene->rig, 0, enter, scene);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, visit, scene);
}

/* ---- a child in line, and its parent that awaits it ---- */

static void setup_child(void *state)
{
    struct scene *const scene = state;
    begin(scene, 2, RIG_SHARING);
    add(scene, 0, 0, beget);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, visit, scene);
}

/* ---- two threads make two tasks ready; one of them is cancelled ---- */

static void setup_gate(void *state)
{
    struct scene *const scene = state;
    begin(scene, 2, RIG_STRICT);
    MODEL_CHECK(whorl_future_new(&scene->gate) == 0);
    add(scene, 0, 0, wait_at_gate);
    add(scene, 1, 1, work_plainly);
}

static void body_gate(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        (void)whorl_future_set_result(scene->gate, NULL);
    }
}

static void body_cancel(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        (void)whorl_cancel(scene->tasks[0], "enough");
        (void)whorl_future_set_result(scene->gate, NULL);
    }
}

static void finish_cancel(void *state)
{
    struct scene *const scene = state;
    end(scene, scene->ended == 1 ? 1 : 2); /* it may never have begun */
}

/* ---- who waits until nobody is in it frees it ---- */

static void setup_join(void *state)
{
    struct scene *const scene = state;
    begin(scene, 2, RIG_STRICT);
    add(scene, 0, 0, work_plainly);
    add(scene, 1, 1, work_plainly);
}

static void body_join(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        (void)forget(scene);
    }
}

/* ---- who waits for the last, and one more comes ---- */

static void setup_late(void *state)
{
    struct scene *const scene = state;
    begin(scene, 2, RIG_STRICT);
    add(scene, 0, 0, work_plainly);
    scene->tasks[1] = rig_spawn(&scene->rig, 1, visit, scene);
}

static void body_late(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        watch(scene);
    }
}

/* ---- who destroys it when nobody is left ---- */

static void body_kill(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        kill_it(scene);
    }
}

/* ---- one runtime after the other ---- */

static void setup_runtimes(void *state)
{
    begin(state, 1, RIG_STRICT);
}

static void body_runtimes(void *state, unsigned thread)
{
    use_alone(state, thread + 1);
}

static void finish_runtimes(void *state)
{
    end(state, 0);
}

/* ---- a callback that a task asks for, while another one has the turn ---- */

static void be_called(void *arg)
{
    struct scene *const scene = arg;
    end_section(scene);
    (void)whorl_future_set_result(scene->gate, NULL);
}

static int ask(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_call_soon(be_called, scene, NULL, NULL) == 0);
    section(scene);
    MODEL_CHECK(whorl_future_await(scene->gate, NULL) == 0);
    end_section(scene);
    return 0;
}

static void setup_call(void *state)
{
    struct scene *const scene = state;
    begin_listed(scene, RIG_STRICT);
    add(scene, 0, 0, ask);
    add(scene, 1, 1, work);
}

static void setup_call_sharing(void *state)
{
    struct scene *const scene = state;
    begin_listed(scene, RIG_SHARING);
    add(scene, 0, 0, ask);
    add(scene, 1, 1, work);
}

/* ---- a callback that a thread cancels ---- */

static int ask_and_show(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_call_soon(be_called, scene, NULL, &scene->handle) == 0);
    whorl__store_release_u32(&scene->ready, 1); /* pairs cancel_call */
    section(scene);
    MODEL_CHECK(whorl_future_await(scene->gate, NULL) == 0);
    MODEL_CHECK(whorl_yield() == 0); /* behind the call, also where the gate was open */
    end_section(scene);
    return 0;
}

static bool is_shown(void *arg)
{
    return ((struct scene *)arg)->ready != 0;
}

static void cancel_call(struct scene *scene)
{
    model_block_until(is_shown, scene);
    while (whorl__load_acquire_u32(&scene->ready) == 0) { /* acquire, pairs ask_and_show */
        model_yield();
    }
    scene->cancelled = whorl_handle_cancel(scene->handle);
    whorl_handle_unref(scene->handle);
    (void)whorl_future_set_result(scene->gate, NULL);
}

static void setup_call_cancelled(void *state)
{
    struct scene *const scene = state;
    begin_listed(scene, RIG_STRICT);
    add(scene, 0, 0, ask_and_show);
    add(scene, 1, 1, work_plainly);
}

static void body_call_cancelled(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread < 2) {
        rig_loop(&scene->rig, thread);
    } else {
        cancel_call(scene);
    }
}

static void finish_call_cancelled(void *state)
{
    struct scene *const scene = state;
    end(scene, scene->cancelled ? 2 : 3);
}

/* ---- a done callback, of a future that a thread completes ---- */

static void be_told(struct whorl_future *future, void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_future_done(future));
    end_section(scene);
    (void)whorl_future_set_result(scene->told, NULL);
}

static int be_told_first(void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_future_add_done_callback(scene->gate, be_told, scene) == 0);
    section(scene);
    MODEL_CHECK(whorl_future_await(scene->told, NULL) == 0);
    end_section(scene);
    return 0;
}

static void setup_told(void *state)
{
    struct scene *const scene = state;
    begin_listed(scene, RIG_STRICT);
    MODEL_CHECK(whorl_future_new(&scene->told) == 0);
    add(scene, 0, 0, be_told_first);
    add(scene, 1, 1, work_plainly);
}

/* ---- callbacks that the end of the runtime finds, one with the turn and others in line ---- */

static void count_freed(void *arg)
{
    struct scene *const scene = arg;
    whorl__plain_write(&scene->freed);
    scene->freed++;
}

static int ask_and_go(void *arg)
{
    struct scene *const scene = arg;
    const struct whorl_call_attr attr = {.arg_free = count_freed};
    for (int i = 0; i < 3; i++) {
        MODEL_CHECK(whorl_call_soon(be_called, scene, &attr, NULL) == 0);
    }
    section(scene);
    return 0;
}

static void setup_left(void *state)
{
    struct scene *const scene = state;
    begin_listed(scene, RIG_STRICT);
    add(scene, 0, 0, ask_and_go);
    add(scene, 1, 1, ask_and_go);
}

/* As whorl__loop_fini. */
static void drop_calls(struct whorl__loop *loop)
{
    struct whorl__fifo_node *node;
    (void)whorl__loop_take_inbox(loop);
    while ((node = whorl__fifo_pop(&loop->bound)) != NULL) {
        struct whorl__callback *const call = whorl__call_of_item(whorl__item_of_ready(node));
        call->run(call, true);
        (void)whorl__loop_take_inbox(loop);
    }
}

static void finish_left(void *state)
{
    struct scene *const scene = state;
    drop_calls(&scene->rig.loops[0]);
    drop_calls(&scene->rig.loops[1]);
    MODEL_CHECK(scene->freed == 6);
    end(scene, scene->ended);
}

/* ---- the models ---- */

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "strand/" model_name, .about = what, .threads = thread_count,                          \
    .state_bytes = sizeof(struct scene)

static const struct model models[] = {
    {SCENE("two", "T1: two tasks that give way, each on its own loop", 2),
     .setup = setup_two,
     .body = body_loops,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("two-sharing", "the same where any loop may run any of them", 2),
     .setup = setup_two_sharing,
     .body = body_loops,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("visitor", "a task that is in it, and one that runs something there", 2),
     .setup = setup_visitors,
     .body = body_loops,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("enter", "a task that enters, and one that runs something there", 2),
     .setup = setup_enter,
     .body = body_loops,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("child", "a parent that awaits its child, and a visitor", 2),
     .setup = setup_child,
     .body = body_loops,
     .finish = finish_three,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("woken", "one is woken by a thread while another has the turn", 3),
     .setup = setup_gate,
     .body = body_gate,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("cancelled", "one is cancelled and woken while another has the turn", 3),
     .setup = setup_gate,
     .body = body_cancel,
     .finish = finish_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("join", "a thread that waits until nobody is in it, and frees it", 3),
     .setup = setup_join,
     .body = body_join,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("join-late", "T1: a thread that waits for the last, and one more comes", 3),
     .setup = setup_late,
     .body = body_late,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("kill", "T1: a thread that ends it when nobody is left", 3),
     .setup = setup_join,
     .body = body_kill,
     .finish = finish_two,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("call", "a callback that a task asks for, while another one has the turn", 2),
     .setup = setup_call,
     .body = body_loops,
     .finish = finish_three,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("call-sharing", "the same where any loop may make the call", 2),
     .setup = setup_call_sharing,
     .body = body_loops,
     .finish = finish_three,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("call-cancelled", "a callback in line, or with the turn, is cancelled", 3),
     .setup = setup_call_cancelled,
     .body = body_call_cancelled,
     .finish = finish_call_cancelled,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("told", "a done callback, of a future that a thread completes", 3),
     .setup = setup_told,
     .body = body_gate,
     .finish = finish_three,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("left", "the end drops callbacks, one with the turn and others in line", 2),
     .setup = setup_left,
     .body = body_loops,
     .finish = finish_left,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("runtimes", "T1: one runtime's tasks after another's", 2),
     .setup = setup_runtimes,
     .body = body_runtimes,
     .finish = finish_runtimes,
     .preemptions = 2,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
