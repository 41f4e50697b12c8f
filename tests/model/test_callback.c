/*
 * test_callback.c - callbacks against those who cancel them, and done callbacks against the end of
 * their future: runtime/task/callback.c, on a loop in strict order.
 *
 * What a callback writes is plain memory, which whoever is told that it ran may read; its handle
 * and its argument are on the heap, so that a late access is seen.
 *
 * Shown to fail: by --mutate of task/callback.c:call_out#1:relaxed and of
 * task/callback.c:unref#1:relaxed.
 */
#include "model/model.h"
#include "model/rig.h"

#include "sched/roster.h"
#include "whorl.h"

#include <errno.h>

struct scene {
    struct rig rig;
    struct whorl_task *task;
    struct whorl_handle *handle;
    uint32_t ready; /* A: the program's own way to hand it over */
    unsigned *news; /* plain: written by the callback */
    bool cancelled;
    uint32_t called; /* A */
    uint32_t freed;  /* A */
    struct whorl_future *future;
    struct whorl_future *told;
    int error;
};

static void begin(void *state, whorl_body *body)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    whorl__roster_add(&scene->rig.runtime);
    scene->news = model_alloc(sizeof *scene->news);
    *scene->news = 0;
    scene->task = rig_spawn(&scene->rig, 0, body, scene);
}

static void end(struct scene *scene)
{
    whorl__roster_remove(&scene->rig.runtime);
    model_free(scene->news);
    whorl_task_unref(scene->task);
    rig_fini(&scene->rig);
}

static void be_called(void *arg)
{
    struct scene *const scene = arg;
    whorl__plain_write(scene->news);
    *scene->news = 1;
    (void)whorl__add_u32(&scene->called, 1);
}

static void be_freed(void *arg)
{
    struct scene *const scene = arg;
    whorl__plain_write(scene->news);
    (void)whorl__add_u32(&scene->freed, 1);
}

static const struct whorl_call_attr freeing = {.arg_free = be_freed};

static bool is_ready(void *arg)
{
    return ((struct scene *)arg)->ready != 0;
}

static void hand_over(struct scene *scene)
{
    whorl__store_release_u32(&scene->ready, 1); /* pairs cancel_it */
}

/* A plain thread: told that it was not cancelled, it sees all that the callback did. */
static void cancel_it(struct scene *scene)
{
    model_block_until(is_ready, scene);
    while (whorl__load_acquire_u32(&scene->ready) == 0) { /* acquire, pairs hand_over */
        model_yield();
    }
    scene->cancelled = whorl_handle_cancel(scene->handle);
    whorl__plain_read(scene->news);
    MODEL_CHECK(*scene->news == !scene->cancelled);
    model_note("cancel: %d", scene->cancelled);
    whorl_handle_unref(scene->handle);
}

static void finish_call(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->called == !scene->cancelled);
    MODEL_CHECK(scene->freed == 1);
    MODEL_CHECK(whorl_task_result(scene->task, NULL) == 0);
    end(scene);
}

/* ---- soon: its turn against a cancel ---- */

static int body_soon(void *arg)
{
    struct scene *const scene = arg;
    const int error = whorl_call_soon(be_called, scene, &freeing, &scene->handle);
    hand_over(scene);
    return error != 0 ? error : whorl_yield(); /* the callback is in front */
}

static void setup_soon(void *state)
{
    begin(state, body_soon);
}

static void threads_soon(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        cancel_it(scene);
    }
}

/* ---- its context is asked for while its turn comes, and it sets something there ---- */

static const struct whorl_local key = {.initial = NULL};

static void set_own(void *arg)
{
    static int mine;
    MODEL_CHECK(whorl_local_set(&key, &mine, NULL) == 0);
    MODEL_CHECK(whorl_local_get(&key) == &mine);
    be_called(arg);
}

static int body_looked(void *arg)
{
    static int before;
    struct scene *const scene = arg;
    MODEL_CHECK(whorl_local_set(&key, &before, NULL) == 0);
    const int error = whorl_call_soon(set_own, scene, &freeing, &scene->handle);
    MODEL_CHECK(whorl_local_set(&key, NULL, NULL) == 0); /* the call alone has that map */
    hand_over(scene);
    return error != 0 ? error : whorl_yield();
}

static void setup_looked(void *state)
{
    begin(state, body_looked);
}

static void threads_looked(void *state, unsigned thread)
{
    struct scene *const scene = state;
    struct whorl_context *context = NULL;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    model_block_until(is_ready, scene);
    while (whorl__load_acquire_u32(&scene->ready) == 0) { /* acquire, pairs hand_over */
        model_yield();
    }
    scene->error = whorl_handle_context(scene->handle, &context);
    MODEL_CHECK(scene->error == 0 || scene->error == -EBUSY);
    if (scene->error == 0) {
        MODEL_CHECK(whorl_context_get(context, &key) != NULL); /* before, or mine */
        whorl_context_unref(context);
    }
    model_note("look: %d", scene->error);
    whorl_handle_unref(scene->handle);
}

/* ---- a timer: due, in its turn, against a cancel that takes it out ---- */

static int body_timer(void *arg)
{
    struct scene *const scene = arg;
    struct whorl__loop *const loop = &scene->rig.loops[0];
    const int error = whorl_call_at(10, be_called, scene, &freeing, &scene->handle);
    hand_over(scene);
    (void)whorl_yield();
    /* What the worker's turn does, but for the place in the queue. */
    (void)whorl__timers_collect(&loop->timers, 20);
    (void)whorl__timers_fire_due(&loop->timers, &scene->rig.runtime);
    return error;
}

static void setup_timer(void *state)
{
    begin(state, body_timer);
}

/* ---- from another thread: posted, run, and the poster's reference against the loop's ---- */

static void tell(void *arg)
{
    struct scene *const scene = arg;
    be_called(arg);
    MODEL_CHECK(whorl_future_set_result(scene->told, NULL) == 0);
}

static int body_posted(void *arg)
{
    struct scene *const scene = arg;
    return whorl_future_await(scene->told, NULL);
}

static void setup_posted(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(whorl_future_new(&scene->told) == 0);
    begin(state, body_posted);
}

static void threads_posted(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    whorl__plain_write(scene->news); /* before the callback */
    MODEL_CHECK(whorl_call_soon_threadsafe(scene->task, tell, scene, &freeing, &scene->handle) ==
                0);
    whorl_handle_unref(scene->handle);
}

static void finish_posted(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->called == 1 && scene->freed == 1);
    whorl_future_unref(scene->told);
    end(scene);
}

/* ---- a done callback: registered and removed here, the future completed over there ---- */

static void be_told(struct whorl_future *future, void *arg)
{
    struct scene *const scene = arg;
    void *value = NULL;
    MODEL_CHECK(future == scene->future && whorl_future_result(future, &value) == 0);
    whorl__plain_read(scene->news); /* what the completer wrote before */
    MODEL_CHECK(*(unsigned *)value == 7);
    (void)whorl__add_u32(&scene->called, 1);
    MODEL_CHECK(whorl_future_set_result(scene->told, NULL) == 0);
}

static int body_done(void *arg)
{
    struct scene *const scene = arg;
    const int error = whorl_future_add_done_callback(scene->future, be_told, scene);
    if (error != 0) {
        return error;
    }
    scene->cancelled = whorl_future_remove_done_callback(scene->future, be_told, scene) == 1;
    return scene->cancelled ? 0 : whorl_future_await(scene->told, NULL);
}

static void setup_done(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(whorl_future_new(&scene->told) == 0 && whorl_future_new(&scene->future) == 0);
    (void)whorl_future_ref(scene->future);
    begin(state, body_done);
}

static void threads_done(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    whorl__plain_write(scene->news);
    *scene->news = 7;
    MODEL_CHECK(whorl_future_set_result(scene->future, scene->news) == 0);
    whorl_future_unref(scene->future);
}

static void finish_done(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->called == !scene->cancelled);
    whorl_future_unref(scene->future);
    whorl_future_unref(scene->told);
    end(scene);
}

/* ---- a done callback from a plain thread, of a task that ends meanwhile ---- */

static void be_told_of_task(struct whorl_future *future, void *arg)
{
    struct scene *const scene = arg;
    MODEL_CHECK(future == whorl_task_future(scene->task));
    (void)whorl__add_u32(&scene->called, 1);
}

static int body_ends(void *arg)
{
    (void)arg;
    return 0;
}

static void setup_ends(void *state)
{
    begin(state, body_ends);
}

static void threads_ends(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    scene->error = whorl_future_add_done_callback(whorl_task_future(scene->task), be_told_of_task,
                                                  scene);
}

/* The rig's loop leaves when the task has ended: what stands there then is run by hand. */
static void finish_ends(void *state)
{
    struct scene *const scene = state;
    struct whorl__loop *const loop = rig_loop_begin(&scene->rig, 0);
    struct whorl__fifo_node *node;
    (void)whorl__loop_take_inbox(loop);
    while ((node = whorl__fifo_pop(&loop->bound)) != NULL) {
        whorl__sched_run(loop, whorl__item_of_ready(node));
    }
    rig_loop_end(&scene->rig, 0);
    MODEL_CHECK(scene->error == 0 && scene->called == 1);
    end(scene);
}

/* ---- */

static const struct model models[] = {
    {.name = "callback/cancel",
     .about = "its turn against a cancel: called or cancelled, and who is told sees what it did",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup_soon,
     .body = threads_soon,
     .finish = finish_call,
     .preemptions = 2,
     .schedules = 5000},
    {.name = "callback/context",
     .about = "a look at its context against its turn, which sets in it",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup_looked,
     .body = threads_looked,
     .finish = finish_call,
     .preemptions = 2,
     .schedules = 5000},
    {.name = "callback/timer",
     .about = "a timer that is due against a cancel that takes it out of the loop",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup_timer,
     .body = threads_soon,
     .finish = finish_call,
     .preemptions = 1,
     .schedules = 5000},
    {.name = "callback/post",
     .about = "posted by a plain thread: called once, and seen whole",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup_posted,
     .body = threads_posted,
     .finish = finish_posted,
     .preemptions = 1,
     .schedules = 5000},
    {.name = "callback/done",
     .about = "add and remove against the end of the future: called or removed, never both",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup_done,
     .body = threads_done,
     .finish = finish_done,
     .preemptions = 1,
     .schedules = 5000},
    {.name = "callback/done-outside",
     .about = "added by a plain thread while the task ends: called once",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup_ends,
     .body = threads_ends,
     .finish = finish_ends,
     .preemptions = 1,
     .schedules = 5000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
