/*
 * c11.c - a program in C11: tasks on every loop, counted by an atomic; a timeout; a foreign thread.
 */
#include <whorl.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { TASKS = 100 };

_Static_assert(WHORL_VERSION_MAJOR == 0, "the header that was installed");

struct work {
    atomic_int count;
    struct whorl_future *done;
};

static int add_one(void *arg)
{
    struct work *const work = arg;
    const int error = whorl_yield();
    atomic_fetch_add(&work->count, 1);
    return error;
}

static void *complete(void *arg)
{
    struct work *const work = arg;
    (void)whorl_future_set_result(work->done, work);
    return NULL;
}

static int wait_for_thread(struct work *work)
{
    void *value = NULL;
    pthread_t thread;
    if (pthread_create(&thread, NULL, complete, work) != 0) {
        return -EAGAIN;
    }
    const int error = whorl_future_await(work->done, &value);
    (void)pthread_join(thread, NULL);
    return error != 0 ? error : value == work ? 0 : -EPROTO;
}

static int run_out_of_time(void)
{
    struct whorl_timeout timeout;
    int error = whorl_timeout_enter(&timeout, whorl_after(WHORL_MILLISECOND));
    if (error != 0) {
        return error;
    }
    error = whorl_timeout_exit(&timeout, whorl_sleep_until(WHORL_NEVER));
    return error == -ETIMEDOUT ? 0 : -EPROTO;
}

static int main_task(void *arg)
{
    struct work *const work = arg;
    struct whorl_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++) {
        const int error = whorl_spawn(add_one, work, NULL, &tasks[i]);
        if (error != 0) {
            return error;
        }
    }
    int error = whorl_gather(tasks, TASKS, 0, NULL);
    for (int i = 0; i < TASKS; i++) {
        whorl_task_unref(tasks[i]);
    }
    error = error != 0 ? error : wait_for_thread(work);
    return error != 0 ? error : run_out_of_time();
}

int main(void)
{
    struct work work = {.count = 0};
    int error = whorl_future_new(&work.done);
    if (error == 0) {
        error = whorl_run(main_task, &work, &(struct whorl_options){.loops = 2});
        whorl_future_unref(work.done);
    }
    if (error == 0) {
        printf("%d tasks, a thread, a timeout\n", atomic_load(&work.count));
    }
    return error != 0 || atomic_load(&work.count) != TASKS;
}
