/*
 * program_foreign.c - threads that are no loops spawn into the runtime, await, cancel and complete,
 * also while it ends.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define THREADS_MAX 6
#define CALLS_MAX   12

static struct {
    struct whorl_task *near; /* ends after the threads */
    unsigned visitors;
    unsigned begun;
    unsigned ended;
    unsigned freed;
    unsigned spawned;
} world;

static void count_freed(void *arg)
{
    (void)arg;
    world.freed++;
}

static int work(void *arg)
{
    (void)arg;
    world.begun++;
    dawdle();
    const int slept = draw(2) == 0 ? whorl_sleep(draw(2000) * WHORL_MICROSECOND) : 0;
    expect(slept == 0 || slept == -ECANCELED || slept == -ENOMEM);
    world.ended++;
    return slept;
}

static int answer(void *arg)
{
    dawdle();
    expect(whorl_future_set_result(arg, arg) == 0);
    return 0;
}

static bool could_not_end(int error)
{
    return error == -ECANCELED || error == -ENOMEM;
}

static void pause_thread(void)
{
    if (draw(3) == 0) {
        expect(whorl_sim_block(draw(300) * WHORL_MICROSECOND) == 0);
    }
}

/* False: the runtime ends. */
static bool send_work(void)
{
    struct whorl_task *task = NULL;
    const struct whorl_attr attr = {.arg_free = count_freed,
                                    .pin = draw(4) == 0 ? WHORL_PIN(0) : 0};
    const int error = whorl_spawn_remote(world.near, work, NULL, &attr, &task);
    expect(error == 0 || could_not_end(error));
    if (error != 0) {
        return error != -ECANCELED;
    }
    world.spawned++;
    pause_thread();
    if (draw(3) == 0) {
        (void)whorl_cancel(task, "from outside");
    }
    if (draw(3) != 0) {
        const int64_t deadline_ns =
            draw(2) == 0 ? whorl_after(draw(1000) * WHORL_MICROSECOND) : WHORL_NEVER;
        const int got = whorl_join(task, deadline_ns, NULL);
        expect(got == 0 || got == -ETIMEDOUT || could_not_end(got));
    }
    whorl_task_unref(task);
    return true;
}

static void drop_future(void *arg)
{
    whorl_future_unref(arg);
}

/* The task that is to answer owns a reference, whether it comes to run or not. */
static bool ask(void)
{
    struct whorl_future *future;
    struct whorl_task *task = NULL;
    void *value = NULL;
    const struct whorl_attr attr = {.arg_free = drop_future};
    if (whorl_future_new(&future) != 0) {
        return true;
    }
    const int error =
        whorl_spawn_remote(world.near, answer, whorl_future_ref(future), &attr, &task);
    if (error == 0) {
        const int ended = whorl_await(task, NULL);
        expect(ended == 0 || could_not_end(ended));
        expect(ended != 0 || (whorl_future_await(future, &value) == 0 && value == future));
        whorl_task_unref(task);
    } else {
        whorl_future_unref(future); /* stays ours */
    }
    whorl_future_unref(future);
    return error != -ECANCELED;
}

static int be_foreign(void *arg)
{
    (void)arg;
    const unsigned calls = draw(CALLS_MAX);
    bool goes_on = true;
    for (unsigned i = 0; goes_on && i < calls; i++) {
        pause_thread();
        goes_on = draw(3) == 0 ? ask() : send_work();
    }
    world.visitors--;
    return 0;
}

/* Whoever spawns from outside needs a task that has not ended: this one ignores its cancel. */
static int keep_open(void *arg)
{
    (void)arg;
    while (world.visitors > 0) {
        (void)whorl_sleep(100 * WHORL_MICROSECOND);
    }
    return 0;
}

static int main_task(void *arg)
{
    (void)arg;
    memset(&world, 0, sizeof world);
    const unsigned threads = 1 + draw(THREADS_MAX);
    struct whorl_sim_thread *started[THREADS_MAX];
    world.visitors = threads;
    world.near = spawn_surely(keep_open, NULL, NULL);
    for (unsigned i = 0; i < threads; i++) {
        expect(whorl_sim_thread_start(be_foreign, NULL, &started[i]) == 0);
    }
    const bool waits = draw(2) == 0;
    while (waits && world.visitors > 0) {
        (void)whorl_sleep(100 * WHORL_MICROSECOND); /* a join would block the loop they need */
    }
    for (unsigned i = 0; waits && i < threads; i++) {
        expect(whorl_sim_thread_join(started[i]) == 0);
    }
    const int slept = whorl_sleep(draw(1500) * WHORL_MICROSECOND);
    expect(slept == 0 || slept == -ENOMEM);
    whorl_task_unref(world.near);
    return 0;
}

static int check_after(void)
{
    return world.begun == world.ended && world.freed == world.spawned ? 0 : -EPROTO;
}

const struct program program_foreign = {
    .name = "foreign", .body = main_task, .faults = ALL_FAULTS, .after = check_after};
