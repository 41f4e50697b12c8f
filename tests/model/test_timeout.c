/*
 * A deadline that another thread moves while the loop is, or goes, asleep: task/timeout.c.
 *
 * The loop has computed how long it sleeps; the new deadline is earlier. Either the loop sees it,
 * or the mover sees that the loop sleeps, and wakes it. The block and all that is in it goes as
 * soon as the deadline has ended it, which may be before the mover has returned.
 *
 * Shown to fail: by --mutate of task/timeout.c:whorl_timeout_reschedule#1, the fence.
 */
#include "model/kernel.h"
#include "model/machine.h"
#include "model/model.h"

#include "fiber/stack.h"
#include "whorl.h"

#include <errno.h>

struct scene {
    struct kernel kernel;
    struct whorl_timeout *timeout; /* on the heap, so that a late access is seen */
    struct whorl_future *moved;
    int64_t deadline_ns; /* what it is moved to */
    uint32_t gate;       /* A: the program's own way to hand both over */
    bool open;
    int left;   /* how the block was left */
    int result; /* whorl_run's */
};

static const struct whorl_options options = {
    .loops = 1,
    .stack_bytes = WHORL_STACK_LEAST,
    .stall_ns = WHORL_NEVER,
    .report_ns = WHORL_NEVER,
    .no_pin = 1,
};

static void set_up(void *state)
{
    struct scene *const scene = state;
    kernel_begin(&scene->kernel);
    machine_begin();
    scene->kernel.threads_max = 1;
    scene->deadline_ns = 10;
}

/* The deadline that it is moved to is over: the mover itself ends the block. */
static void set_up_late(void *state)
{
    struct scene *const scene = state;
    set_up(state);
    scene->deadline_ns = 0;
}

static int sleep_in_block(struct scene *scene)
{
    int error = whorl_timeout_enter(scene->timeout, WHORL_NEVER);
    if (error != 0) {
        return error;
    }
    (void)whorl__add_u32(&scene->gate, 1); /* release half, pairs the one in move_deadline */
    scene->open = true;
    error = whorl_sleep_until(WHORL_NEVER);
    return whorl_timeout_exit(scene->timeout, error);
}

static int main_task(void *arg)
{
    struct scene *const scene = arg;
    scene->timeout = model_alloc(sizeof(*scene->timeout));
    if (whorl_future_new(&scene->moved) != 0) {
        return -ENOMEM;
    }
    (void)whorl_future_ref(scene->moved);
    scene->left = sleep_in_block(scene);
    model_free(scene->timeout);
    const int error = whorl_future_await(scene->moved, NULL); /* the loop stays until then */
    whorl_future_unref(scene->moved);
    return error;
}

static bool is_open(void *arg)
{
    return ((const struct scene *)arg)->open;
}

static void move_deadline(struct scene *scene)
{
    model_block_until(is_open, scene);
    (void)whorl__add_u32(&scene->gate, 1); /* acquire half, pairs the one in sleep_in_block */
    MODEL_CHECK(whorl_timeout_reschedule(scene->timeout, scene->deadline_ns) == 0);
    MODEL_CHECK(whorl_future_set_result(scene->moved, NULL) == 0);
    whorl_future_unref(scene->moved);
}

static void body(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        scene->result = whorl_run(main_task, scene, &options);
        kernel_no_more_threads();
    } else if (thread == 1) {
        kernel_run_thread(thread);
    } else {
        move_deadline(scene);
    }
}

static void timed_out(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->result == 0);
    MODEL_CHECK(scene->left == -ETIMEDOUT);
    kernel_end(&scene->kernel);
}

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "timeout/reschedule-asleep", .threads = 3, .schedules = 4000, .steps_max = 40000,
         .about = "a deadline is moved while its loop goes to sleep: it is met",
         .state_bytes = sizeof(struct scene), .setup = set_up, .body = body, .finish = timed_out},
        {.name = "timeout/reschedule-to-past", .threads = 3, .schedules = 2000, .steps_max = 40000,
         .about = "who moves a deadline into the past ends the block himself",
         .state_bytes = sizeof(struct scene), .setup = set_up_late, .body = body,
         .finish = timed_out},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
