/*
 * program_callbacks.c - tasks, plain threads and callbacks make callbacks, soon and later, and
 * cancel each other's.
 *
 * Each that was taken is called or cancelled or dropped at the end, and its argument is freed once.
 * It is called on the loop that it was made for, not before its time, alone on that loop, and
 * behind those that the same caller made before.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define MAKERS_MAX 5
#define PLAIN_MAX  4
#define CALLS_MAX  96
#define LOOPS_KEPT 64

struct maker {
    unsigned made[LOOPS_KEPT];   /* by call_soon, for that loop */
    unsigned called[LOOPS_KEPT]; /* the last of them */
};

struct one {
    bool taken;
    bool cancelled;
    bool soon;
    int loop; /* -1: any */
    int64_t due_ns;
    struct maker *maker;
    unsigned number;
    unsigned called;
    unsigned freed;
};

static struct {
    struct whorl_task *near; /* ends last */
    struct maker makers[MAKERS_MAX + PLAIN_MAX];
    struct one calls[CALLS_MAX];
    struct whorl_handle *handles[CALLS_MAX]; /* NULL: nobody's any more */
    unsigned count;
    bool running[LOOPS_KEPT]; /* a callback, there */
    unsigned at_work;
    bool over; /* callbacks make no more */
    unsigned done_made;
    unsigned done_called;
    unsigned done_removed;
} world;

static void act(struct maker *maker, bool on_loop);

/* ---- callbacks ---- */

static void check_order(const struct one *one, int loop)
{
    if (one->soon) {
        expect(one->maker->called[loop] < one->number);
        one->maker->called[loop] = one->number;
    }
}

static void be_called(void *arg)
{
    struct one *const one = arg;
    const int loop = whorl_loop_current();
    expect(loop >= 0 && loop < LOOPS_KEPT);
    expect(one->called == 0 && one->freed == 0 && !one->cancelled);
    expect(one->loop < 0 || one->loop == loop);
    expect(one->due_ns == 0 || whorl_now() >= one->due_ns);
    expect(whorl_task_current() == NULL && whorl_yield() == -EPERM);
    expect(!world.running[loop]);
    world.running[loop] = true;
    one->called++;
    check_order(one, loop);
    if (!world.over && draw(4) == 0) {
        world.at_work++; /* what it makes is still to be written down */
        act(NULL, true);
        world.at_work--;
    }
    world.running[loop] = false;
}

static void be_freed(void *arg)
{
    struct one *const one = arg;
    expect(one->freed == 0);
    one->freed++;
}

/* ---- making ---- */

static bool could_not(int error)
{
    return error == -ENOMEM || error == -ECANCELED;
}

/* `maker` NULL: in no order, as a callback that has no place of its own. */
static struct one *new_one(struct maker *maker, int loop)
{
    struct one *const one = &world.calls[world.count];
    if (world.count == CALLS_MAX) {
        return NULL;
    }
    *one = (struct one){.loop = loop, .maker = maker, .soon = maker != NULL && loop >= 0};
    world.count++;
    if (one->soon) {
        one->number = ++maker->made[loop];
    }
    return one;
}

/* It may be called before the call that makes it returns, so all is written before. */
static void post(struct maker *maker, int loops)
{
    const int loop = (int)draw((unsigned)loops);
    struct one *const one = new_one(maker, loop);
    const struct whorl_call_attr attr = {.arg_free = be_freed, .pin = WHORL_PIN(loop)};
    struct whorl_handle *handle = NULL;
    if (one == NULL) {
        return;
    }
    one->taken = true;
    const int error = whorl_call_soon_threadsafe(world.near, be_called, one, &attr, &handle);
    expect(error == 0 || could_not(error));
    one->taken = error == 0;
    world.handles[one - world.calls] = handle;
}

static void arm(void)
{
    struct one *const one = new_one(NULL, whorl_loop_current());
    const struct whorl_call_attr attr = {.arg_free = be_freed};
    const int64_t due_ns = whorl_after((int64_t)draw(1500) * WHORL_MICROSECOND);
    struct whorl_handle *handle = NULL;
    if (one == NULL) {
        return;
    }
    one->due_ns = due_ns;
    one->taken = true;
    const int error = whorl_call_at(due_ns, be_called, one, &attr, &handle);
    expect(error == 0 || could_not(error));
    one->taken = error == 0;
    if (error == 0) {
        expect(whorl_handle_when(handle) == due_ns);
    }
    world.handles[one - world.calls] = handle;
}

/* Somebody's. Whoever takes a handle out of the table has it alone. */
static void cancel_one(void)
{
    if (world.count == 0) {
        return;
    }
    const unsigned index = draw(world.count);
    struct one *const one = &world.calls[index];
    struct whorl_handle *const handle = world.handles[index];
    if (handle == NULL) {
        return;
    }
    world.handles[index] = NULL;
    if (whorl_handle_cancel(handle)) {
        expect(one->called == 0 && one->freed == 1);
        one->cancelled = true;
        expect(whorl_handle_cancelled(handle));
        expect(!whorl_handle_cancel(handle));
    }
    whorl_handle_unref(handle);
}

/* ---- done callbacks ---- */

static void be_told(struct whorl_future *future, void *arg)
{
    (void)arg;
    expect(whorl_future_done(future));
    world.done_called++;
}

static void complete_one(void)
{
    struct whorl_future *future;
    if (whorl_future_new(&future) != 0) {
        return;
    }
    const unsigned count = draw(4);
    for (unsigned i = 0; i < count; i++) {
        const int error = whorl_future_add_done_callback(future, be_told, &world.calls[i]);
        expect(error == 0 || could_not(error));
        world.done_made += error == 0;
    }
    if (draw(2) == 0) {
        const int removed = whorl_future_remove_done_callback(future, be_told, &world.calls[0]);
        expect(removed >= 0 && removed <= 1);
        world.done_removed += (unsigned)removed;
    }
    expect(whorl_future_set_result(future, NULL) == 0);
    expect(whorl_future_remove_done_callback(future, be_told, &world.calls[1]) == 0);
    whorl_future_unref(future);
}

/* ---- who does all that ---- */

static int loops_there; /* a plain thread cannot ask */

static void act(struct maker *maker, bool on_loop)
{
    const unsigned choice = draw(on_loop ? 8 : 5);
    if (choice < 3) {
        post(maker, loops_there);
    } else if (choice < 5) {
        cancel_one();
    } else if (choice < 7) {
        arm();
    } else {
        complete_one();
    }
}

static int make_in_task(void *arg)
{
    const unsigned count = 1 + draw(10);
    for (unsigned i = 0; i < count && dawdle() != -ECANCELED; i++) {
        act(arg, true);
    }
    world.at_work--;
    return 0;
}

static int make_in_thread(void *arg)
{
    const unsigned count = 1 + draw(10);
    for (unsigned i = 0; i < count; i++) {
        if (draw(2) == 0) {
            expect(whorl_sim_block(draw(300) * WHORL_MICROSECOND) == 0);
        }
        act(arg, false);
    }
    world.at_work--;
    return 0;
}

static int keep_open(void *arg)
{
    (void)arg;
    while (world.at_work > 0) {
        (void)whorl_sleep(100 * WHORL_MICROSECOND);
    }
    world.over = true;
    for (unsigned i = 0; i < world.count; i++) {
        whorl_handle_unref(world.handles[i]);
        world.handles[i] = NULL;
    }
    return 0;
}

static void start_all(unsigned tasks, unsigned plain, struct whorl_sim_thread **threads)
{
    world.at_work = tasks + plain;
    world.near = spawn_surely(keep_open, NULL, NULL);
    for (unsigned i = 0; i < plain; i++) {
        expect(whorl_sim_thread_start(make_in_thread, &world.makers[MAKERS_MAX + i],
                                      &threads[i]) == 0);
    }
    for (unsigned i = 0; i < tasks; i++) {
        whorl_task_unref(spawn_surely(make_in_task, &world.makers[i], NULL));
    }
}

static int main_task(void *arg)
{
    struct whorl_sim_thread *threads[PLAIN_MAX];
    const unsigned tasks = 1 + draw(MAKERS_MAX);
    const unsigned plain = draw(PLAIN_MAX + 1);
    const bool waits = draw(3) != 0;
    (void)arg;
    memset(&world, 0, sizeof world);
    loops_there = whorl_loop_count();
    start_all(tasks, plain, threads);
    while (waits && world.at_work > 0) {
        (void)whorl_sleep(100 * WHORL_MICROSECOND); /* a join would block the loop they need */
    }
    for (unsigned i = 0; waits && i < plain; i++) {
        expect(whorl_sim_thread_join(threads[i]) == 0);
    }
    const int slept = whorl_sleep(draw(2000) * WHORL_MICROSECOND);
    expect(slept == 0 || slept == -ENOMEM);
    whorl_task_unref(world.near);
    return 0;
}

static bool is_sound(const struct one *one)
{
    return one->freed == (one->taken ? 1 : 0) && one->called <= one->freed &&
           !(one->cancelled && one->called > 0);
}

static int check_after(void)
{
    bool sound = world.done_called + world.done_removed <= world.done_made;
    for (unsigned i = 0; i < world.count; i++) {
        sound = is_sound(&world.calls[i]) && sound;
    }
    return sound ? 0 : -EPROTO;
}

/* A maker without memory for its stack would never count itself out. */
const struct program program_callbacks = {
    .name = "callbacks",
    .body = main_task,
    .faults = ALL_FAULTS & ~(UINT32_C(1) << WHORL_SIM_NO_MEMORY),
    .after = check_after,
};
