/*
 * test_executor.c - work, threads that come and go, and the end: runtime/task/executor.c.
 *
 * The model's first threads are plain ones that submit; the others are those that the executor
 * starts. An executor whose threads stay for ever must be told by the bell: a lost one is a thread
 * that sleeps over work, and then nobody can go on. What a function writes is a plain field.
 *
 * Shown to fail: by --mutate of the release and the acquire of J1, of the count of references (J2),
 * and with the bell rung before the work is queued.
 */
#include "model/kernel.h"
#include "model/model.h"

#include "whorl.h"

#include <errno.h>

#define STEPS_MAX 20000
#define WORKS     3

struct piece {
    int payload; /* plain: by the function, read by who awaits it */
    bool ran;    /* plain */
    bool freed;  /* plain */
};

struct office {
    struct kernel kernel;
    struct whorl_executor *executor;
    struct whorl_future *futures[WORKS];
    struct piece pieces[WORKS];
    int waited[WORKS];
    bool cancelled;
    bool few_threads; /* a start may be refused */
    unsigned present; /* submitters that are not done yet */
};

/* ---- what functions do ---- */

static int do_piece(void *arg)
{
    struct piece *const piece = arg;
    whorl__plain_write(&piece->payload);
    MODEL_CHECK(!piece->ran && !piece->freed);
    piece->ran = true;
    piece->payload = 5;
    return whorl_return(&piece->payload);
}

static void free_piece(void *arg)
{
    struct piece *const piece = arg;
    whorl__plain_write(&piece->payload);
    MODEL_CHECK(!piece->freed);
    piece->freed = true;
}

/* ---- what submitters do ---- */

/* False: there is no thread left in the model, and the last one has just gone. */
static bool submit(struct office *office, unsigned which)
{
    const struct whorl_work_attr attr = {.arg_free = free_piece};
    const int error = whorl_executor_submit(office->executor, do_piece, &office->pieces[which],
                                            &attr, &office->futures[which]);
    MODEL_CHECK(error == 0 || (error == -EAGAIN && office->few_threads));
    return error == 0;
}

static void await_piece(struct office *office, unsigned which)
{
    void *value = NULL;
    office->waited[which] = whorl_future_await(office->futures[which], &value);
    model_note("waited: %d", office->waited[which]);
    if (office->waited[which] == 0) {
        whorl__plain_read((int *)value);
        MODEL_CHECK(*(int *)value == 5);
    }
    whorl_future_unref(office->futures[which]);
}

static void shut_down(struct office *office)
{
    MODEL_CHECK(whorl_executor_shutdown(office->executor, 0, WHORL_NEVER) == 0);
    whorl_executor_free(office->executor);
    kernel_no_more_threads();
}

static bool is_alone(void *arg)
{
    return ((struct office *)arg)->present == 1;
}

/* ---- setups ---- */

static void open_office(struct office *office, const struct whorl_executor_options *options,
                        unsigned submitters)
{
    kernel_begin(&office->kernel);
    office->kernel.threads_first = submitters;
    office->present = submitters;
    MODEL_CHECK(whorl_executor_new(options, &office->executor) == 0);
}

static void setup_one(void *state)
{
    const struct whorl_executor_options options = {.threads_max = 1, .idle_ns = WHORL_NEVER};
    open_office(state, &options, 1);
}

static void setup_leaving(void *state)
{
    const struct whorl_executor_options options = {.threads_max = 1, .idle_ns = 1};
    open_office(state, &options, 1);
    ((struct office *)state)->kernel.threads_max = 2;
    ((struct office *)state)->few_threads = true;
}

static void setup_none(void *state)
{
    const struct whorl_executor_options options = {.threads_max = 1, .idle_ns = WHORL_NEVER};
    open_office(state, &options, 2);
    ((struct office *)state)->kernel.threads_max = 0;
    ((struct office *)state)->few_threads = true;
}

static void setup_two(void *state)
{
    const struct whorl_executor_options options = {.threads_max = 2, .idle_ns = WHORL_NEVER};
    open_office(state, &options, 2);
}

static void setup_short(void *state)
{
    const struct whorl_executor_options options = {
        .threads_max = 1, .queue_max = 1, .idle_ns = WHORL_NEVER};
    open_office(state, &options, 2);
}

static void finish(void *state)
{
    struct office *const office = state;
    for (unsigned i = 0; i < WORKS; i++) {
        MODEL_CHECK(office->pieces[i].freed || office->futures[i] == NULL);
        MODEL_CHECK(office->pieces[i].ran || office->waited[i] != 0 || office->futures[i] == NULL);
    }
    kernel_end(&office->kernel);
}

/* ---- one submits twice, one thread ---- */

static void body_one(void *state, unsigned thread)
{
    struct office *const office = state;
    if (thread > 0) {
        kernel_run_thread(thread);
        return;
    }
    for (unsigned which = 0; which < 2; which++) {
        if (submit(office, which)) {
            await_piece(office, which);
        }
    }
    shut_down(office);
}

/* ---- nobody waits for the end: the last thread frees the executor ---- */

static void body_free(void *state, unsigned thread)
{
    struct office *const office = state;
    if (thread > 0) {
        kernel_run_thread(thread);
        return;
    }
    (void)submit(office, 0);
    whorl_executor_free(office->executor);
    await_piece(office, 0);
    kernel_no_more_threads();
}

/* ---- two submit, two threads: each piece may hold its thread for ever ---- */

/* Each piece ends only when the other has begun: a thread must be there for both. */
static bool both_ran(void *arg)
{
    const struct office *const office = arg;
    return office->pieces[0].ran && office->pieces[1].ran;
}

static struct office *meeting; /* of this execution */

static int meet(void *arg)
{
    const int error = do_piece(arg);
    model_block_until(both_ran, meeting);
    return error;
}

static void body_meet(void *state, unsigned thread)
{
    struct office *const office = state;
    const struct whorl_work_attr attr = {.arg_free = free_piece};
    if (thread > 1) {
        kernel_run_thread(thread);
        return;
    }
    meeting = office;
    MODEL_CHECK(whorl_executor_submit(office->executor, meet, &office->pieces[thread], &attr,
                                      &office->futures[thread]) == 0);
    await_piece(office, thread);
    if (thread == 1) {
        office->present--;
        return;
    }
    model_block_until(is_alone, office);
    shut_down(office);
}

/* ---- no thread can be made: who counted on one that another has tried to start is told ---- */

static void body_none(void *state, unsigned thread)
{
    struct office *const office = state;
    if (submit(office, thread)) {
        await_piece(office, thread);
        MODEL_CHECK(office->waited[thread] == -EAGAIN);
    }
    if (thread == 1) {
        office->present--;
        return;
    }
    model_block_until(is_alone, office);
    shut_down(office);
}

/* ---- cancelled while a thread takes it: it runs or not, and the argument goes once ---- */

static void body_cancel(void *state, unsigned thread)
{
    struct office *const office = state;
    if (thread > 0) {
        kernel_run_thread(thread);
        return;
    }
    (void)submit(office, 0);
    office->cancelled = whorl_future_cancel(office->futures[0], "enough");
    await_piece(office, 0);
    MODEL_CHECK(office->waited[0] == (office->cancelled ? -ECANCELED : 0));
    shut_down(office);
}

/* ---- two submitters and room for one piece: who finds none blocks until there is ---- */

static void body_short(void *state, unsigned thread)
{
    struct office *const office = state;
    if (thread > 1) {
        kernel_run_thread(thread);
        return;
    }
    (void)submit(office, thread);
    if (thread == 0) {
        (void)submit(office, 2);
    }
    await_piece(office, thread);
    if (thread == 1) {
        office->present--;
        return;
    }
    await_piece(office, 2);
    model_block_until(is_alone, office);
    shut_down(office);
}

#define SCENE(model_name, what, thread_count)                                                      \
    .name = "executor/" model_name, .about = what, .threads = thread_count,                        \
    .state_bytes = sizeof(struct office), .finish = finish, .steps_max = STEPS_MAX

static const struct model models[] = {
    {SCENE("one", "the bell: work comes while the thread goes to sleep", 2),
     .setup = setup_one,
     .body = body_one,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("leaving", "J1: work comes while the thread leaves; the next one joins it", 3),
     .setup = setup_leaving,
     .body = body_one,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("free", "J2: given back while a thread works; who is last frees it", 2),
     .setup = setup_one,
     .body = body_free,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("meet", "two pieces that need each other find a thread each", 4),
     .setup = setup_two,
     .body = body_meet,
     .schedules = 4000},
    {SCENE("none", "a thread cannot be made, and another submitter has counted on it", 2),
     .setup = setup_none,
     .body = body_none,
     .preemptions = 3,
     .schedules = 3000},
    {SCENE("cancel", "THR-3: withdrawn, or run; the argument is freed once", 2),
     .setup = setup_one,
     .body = body_cancel,
     .preemptions = 2,
     .schedules = 3000},
    {SCENE("room", "a full queue: submitters block, and none is forgotten", 3),
     .setup = setup_short,
     .body = body_short,
     .preemptions = 1,
     .schedules = 3000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
