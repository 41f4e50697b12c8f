/*
 * program_executors.c - tasks and plain threads give work to executors, withdraw it, wait for it,
 * and shut the executors down while others do the same.
 *
 * Work that was taken has its argument freed exactly once, before its future is done; it runs at
 * most once, never once it was withdrawn before it began, and always if nobody withdrew it, the
 * executor was not told to drop what waits, and a thread could be had. An executor that is shut
 * down has no thread and no work left.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define EXECUTORS_MAX  3
#define SUBMITTERS_MAX 5
#define PLAIN_MAX      4
#define WORK_MAX       64

struct work {
    bool taken;
    bool asked;     /* to be withdrawn */
    bool may_fail;  /* somebody will look */
    bool withdrawn; /* by a cancel that said so */
    unsigned executor;
    unsigned begun;
    unsigned ended;
    unsigned freed;
    int result;
};

static struct {
    struct whorl_executor *executors[EXECUTORS_MAX];
    bool shut[EXECUTORS_MAX];  /* somebody has done it */
    bool drops[EXECUTORS_MAX]; /* with what waits */
    unsigned threads_max[EXECUTORS_MAX];
    unsigned executor_count;
    struct work work[WORK_MAX];
    unsigned work_count;
    unsigned threads_begun;
    unsigned threads_ended;
    unsigned submitters; /* that have not ended */
} world;

/* ---- work ---- */

static void pause_thread(unsigned bound_us)
{
    if (draw(2) == 0) {
        expect(whorl_sim_block(draw(bound_us) * WHORL_MICROSECOND) == 0);
    }
}

static int do_work(void *arg)
{
    struct work *const work = arg;
    expect(work->freed == 0 && work->begun == 0);
    work->begun++;
    expect(whorl_task_current() == NULL);
    expect(whorl_yield() == -EPERM);
    pause_thread(400);
    expect(whorl_return(work) == 0);
    work->result = work->may_fail && draw(3) == 0 ? -EIO : 0;
    work->ended++;
    return work->result;
}

static void free_work(void *arg)
{
    struct work *const work = arg;
    expect(work->begun == work->ended);
    work->freed++;
}

static int begin_thread(void *arg)
{
    (void)arg;
    world.threads_begun++;
    return 0;
}

static void end_thread(void *arg)
{
    (void)arg;
    world.threads_ended++;
}

/* ---- those who give it ---- */

static struct work *new_work(void)
{
    return world.work_count == WORK_MAX ? NULL : &world.work[world.work_count++];
}

static bool was_refused(int error)
{
    return error == -EAGAIN || error == -ENOMEM || error == -ESHUTDOWN || error == -ECANCELED;
}

/* Done: its argument was freed before, and its value is that of the work. */
static void check_done(struct work *work, struct whorl_future *future)
{
    void *value = NULL;
    const int error = whorl_future_result(future, &value);
    expect(whorl_future_cancelled(future) || work->freed == 1);
    if (!whorl_future_cancelled(future) && work->begun == 1) {
        expect(error == work->result && (error != 0 || value == work));
    }
}

static void see_what_comes(struct work *work, struct whorl_future *future)
{
    if (draw(3) == 0) {
        work->asked = true;
        const bool waited = work->begun == 0;
        const bool accepted = whorl_future_cancel(future, "withdrawn");
        work->withdrawn = waited && accepted && work->begun == 0;
    }
    const int64_t deadline_ns =
        draw(3) == 0 ? whorl_after(draw(600) * WHORL_MICROSECOND) : WHORL_NEVER;
    const int error = whorl_future_join(future, deadline_ns, NULL);
    expect(error == 0 || error == -EIO || error == -ETIMEDOUT || was_refused(error));
    if (whorl_future_done(future)) {
        check_done(work, future);
    }
    expect(error != 0 || work->begun == 1);
}

static void submit_one(unsigned index)
{
    struct work *const work = new_work();
    struct whorl_future *future = NULL;
    const bool looks = draw(4) != 0;
    const struct whorl_work_attr attr = {
        .arg_free = free_work,
        .flags = (draw(3) == 0 ? WHORL_WORK_TRY : 0u) | (draw(3) == 0 ? WHORL_WORK_CONTEXT : 0u)};
    if (work == NULL) {
        return;
    }
    const bool was_shut = world.shut[index];
    work->executor = index;
    const int error = whorl_executor_submit(world.executors[index], do_work, work, &attr,
                                            looks ? &future : NULL);
    expect(error == 0 || was_refused(error));
    expect(!was_shut || error != 0);
    work->taken = error == 0;
    if (error == 0 && looks) {
        see_what_comes(work, future);
        whorl_future_unref(future);
    }
}

static void shut_down(unsigned index)
{
    const bool drops = draw(2) == 0;
    const int64_t deadline_ns =
        draw(2) == 0 ? 0 : whorl_after(draw(500) * WHORL_MICROSECOND);
    world.drops[index] |= drops;
    const int error = whorl_executor_shutdown(
        world.executors[index], drops ? WHORL_SHUTDOWN_CANCEL_PENDING : 0, deadline_ns);
    world.shut[index] = true;
    expect(error == 0 || error == -ETIMEDOUT || error == -ECANCELED || error == -ENOMEM);
}

static void look_at(unsigned index)
{
    struct whorl_executor_stats stats;
    expect(whorl_executor_stats(world.executors[index], &stats) == 0);
    expect(stats.idle <= stats.threads && stats.threads <= world.threads_max[index]);
}

static void act(void)
{
    const unsigned index = draw(world.executor_count);
    switch (draw(16)) {
    case 0:
        shut_down(index);
        break;
    case 1:
        look_at(index);
        break;
    default:
        submit_one(index);
        break;
    }
}

static int submit_in_task(void *arg)
{
    const unsigned count = 1 + draw(8);
    (void)arg;
    for (unsigned i = 0; i < count && dawdle() != -ECANCELED; i++) {
        act();
    }
    world.submitters--;
    return 0;
}

static int submit_in_thread(void *arg)
{
    const unsigned count = 1 + draw(8);
    (void)arg;
    for (unsigned i = 0; i < count; i++) {
        pause_thread(300);
        act();
    }
    world.submitters--;
    return 0;
}

/* The default executor, whose work is waited for or left alone by a cancel. */
static int call_one(void *arg)
{
    struct work *const work = arg;
    void *value = NULL;
    const bool finishes = draw(2) == 0;
    const struct whorl_work_attr attr = {.arg_free = free_work,
                                         .flags = finishes ? WHORL_WORK_FINISH : 0};
    work->taken = true; /* unless it says otherwise */
    work->may_fail = true;
    const int error = whorl_to_thread(do_work, work, &attr, &value);
    expect(error == 0 || error == -EIO || was_refused(error));
    if (error == -EAGAIN || error == -ENOMEM || error == -ESHUTDOWN) {
        expect(work->begun == 0 && work->freed == 0);
        work->taken = false;
    }
    work->asked = error == -ECANCELED;
    expect(error != 0 || (value == work && work->freed == 1));
    expect(!finishes || error != -ECANCELED || work->begun == work->ended);
    return 0;
}

/* ---- the run ---- */

static void make_executors(void)
{
    world.executor_count = 1 + draw(EXECUTORS_MAX);
    for (unsigned i = 0; i < world.executor_count; i++) {
        static const int64_t idles[] = {0, 1, 200 * WHORL_MICROSECOND, WHORL_NEVER};
        const struct whorl_executor_options options = {.threads_max = 1 + (int)draw(4),
                                                       .queue_max = draw(4),
                                                       .idle_ns = idles[draw(4)],
                                                       .thread_begin = begin_thread,
                                                       .thread_end = end_thread};
        world.threads_max[i] = (unsigned)options.threads_max;
        int error;
        do {
            error = whorl_executor_new(&options, &world.executors[i]);
            expect(error == 0 || error == -ENOMEM);
        } while (error != 0);
    }
}

static void end_executors(void)
{
    for (unsigned i = 0; i < world.executor_count; i++) {
        struct whorl_executor_stats stats;
        expect(whorl_executor_shutdown(world.executors[i], 0, WHORL_NEVER) == 0);
        expect(whorl_executor_stats(world.executors[i], &stats) == 0);
        expect(stats.threads == 0 && stats.idle == 0 && stats.queued == 0 && stats.blocked == 0);
        whorl_executor_free(world.executors[i]);
    }
    expect(world.threads_begun == world.threads_ended);
}

static void cancel_some(struct whorl_task *const *tasks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)dawdle();
        if (draw(3) == 0) {
            (void)whorl_cancel(tasks[i], "no more");
        }
    }
}

static void see_off(struct whorl_task *task)
{
    const int error = whorl_await(task, NULL);
    expect(error == 0 || error == -ECANCELED || error == -ENOMEM);
    whorl_task_unref(task);
}

static int main_task(void *arg)
{
    struct whorl_task *submitters[SUBMITTERS_MAX];
    struct whorl_task *callers[SUBMITTERS_MAX];
    struct whorl_sim_thread *threads[PLAIN_MAX];
    (void)arg;
    memset(&world, 0, sizeof world);
    make_executors();
    const unsigned tasks = 1 + draw(SUBMITTERS_MAX);
    const unsigned plain = draw(PLAIN_MAX);
    world.submitters = tasks + plain;
    world.work_count = tasks; /* those of the callers */
    for (unsigned i = 0; i < plain; i++) {
        expect(whorl_sim_thread_start(submit_in_thread, NULL, &threads[i]) == 0);
    }
    for (unsigned i = 0; i < tasks; i++) {
        submitters[i] = spawn_surely(submit_in_task, NULL, NULL);
        callers[i] = spawn_surely(call_one, &world.work[i], NULL);
    }
    cancel_some(callers, tasks);
    for (unsigned i = 0; i < tasks; i++) {
        see_off(submitters[i]);
        see_off(callers[i]);
    }
    while (plain > 0 && world.submitters > 0) {
        (void)whorl_sleep(100 * WHORL_MICROSECOND);
    }
    for (unsigned i = 0; i < plain; i++) {
        expect(whorl_sim_thread_join(threads[i]) == 0);
    }
    end_executors();
    return 0;
}

static bool is_sound(const struct work *work)
{
    const bool must_run = work->taken && !work->asked && !world.drops[work->executor];
    return work->freed == (work->taken ? 1 : 0) && work->begun <= work->freed &&
           work->begun == work->ended && !(work->withdrawn && work->begun > 0) &&
           !(must_run && work->begun == 0);
}

static int check_after(void)
{
    bool sound = true;
    for (unsigned i = 0; i < world.work_count; i++) {
        sound = is_sound(&world.work[i]) && sound;
    }
    return sound ? 0 : -EPROTO;
}

/* A submitter without memory for its stack would never count itself out. */
const struct program program_executors = {
    .name = "executors",
    .body = main_task,
    .faults = ALL_FAULTS & ~(UINT32_C(1) << WHORL_SIM_NO_MEMORY),
    .after = check_after,
};
