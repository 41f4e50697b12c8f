/*
 * How many locked operations (compare-and-swap, swap, addition, full fence) a call executes: what a
 * wait costs that has nothing to wait for, and what the frequent words cost. A bar that is missed
 * names the call; a figure is exact, and the same on every machine.
 *
 * Counted on one thread, which is one loop in strict order; what the loop does besides, when a task
 * goes through it, is counted with it.
 */
#include "whorl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static _Thread_local uint64_t locked;

void whorl__count_locked(void);

void whorl__count_locked(void)
{
    locked++;
}

enum { TIMES = 100, MANY = 1000 };

struct scene {
    struct whorl_future *done;
    struct whorl_future *many[MANY];
    struct whorl_task *ended;
    bool sends; /* somebody sends back what is sent there */
    uint64_t locked; /* by all the calls of a measure */
    int error;
};

/* One measure: what is done TIMES times. */
typedef int what(struct scene *scene);

struct measure {
    const char *name;
    what *act;
    unsigned parts;     /* of one act: what the bar is for */
    unsigned locked_max; /* a part */
};

static int return_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int await_future(struct scene *scene)
{
    return whorl_future_await(scene->done, NULL);
}

static int await_task(struct scene *scene)
{
    return whorl_await(scene->ended, NULL);
}

static int join_task(struct scene *scene)
{
    return whorl_join(scene->ended, whorl_after(WHORL_SECOND), NULL);
}

static int wait_for_future(struct scene *scene)
{
    return whorl_future_wait_for(scene->done, WHORL_SECOND, NULL);
}

static int gather_many(struct scene *scene)
{
    struct whorl_future *gather;
    int error = whorl_gather_start(scene->many, MANY, 0, &gather);
    if (error == 0) {
        error = whorl_future_await(gather, NULL);
        whorl_future_unref(gather);
    }
    return error;
}

static int pass_timeout(struct scene *scene)
{
    struct whorl_timeout timeout;
    (void)scene;
    const int error = whorl_timeout_enter(&timeout, whorl_after(3600 * WHORL_SECOND));
    return error != 0 ? error : whorl_timeout_exit(&timeout, 0);
}

static int give_way(struct scene *scene)
{
    (void)scene;
    return whorl_yield();
}

static int spawn_and_await(struct scene *scene)
{
    struct whorl_task *task;
    (void)scene;
    int error = whorl_spawn(return_at_once, NULL, NULL, &task);
    if (error == 0) {
        error = whorl_await(task, NULL);
        whorl_task_unref(task);
    }
    return error;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static int call_soon(struct scene *scene)
{
    (void)scene;
    const int error = whorl_call_soon(do_nothing, NULL, NULL, NULL);
    return error != 0 ? error : whorl_yield();
}

static struct whorl_lock lock = WHORL_LOCK_INIT;
static struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(1);
static struct whorl_event event = WHORL_EVENT_INIT;
static struct whorl_queue queue = WHORL_QUEUE_INIT(1);

static int use_lock(struct scene *scene)
{
    (void)scene;
    const int error = whorl_lock_acquire(&lock);
    return error != 0 ? error : whorl_lock_release(&lock);
}

static int use_semaphore(struct scene *scene)
{
    (void)scene;
    const int error = whorl_semaphore_acquire(&semaphore);
    return error != 0 ? error : whorl_semaphore_release(&semaphore);
}

static int set_and_wait(struct scene *scene)
{
    (void)scene;
    const int error = whorl_event_set(&event);
    return error != 0 ? error : whorl_event_wait(&event);
}

static int put_and_get(struct scene *scene)
{
    void *item;
    const int error = whorl_queue_put(&queue, scene);
    return error != 0 ? error : whorl_queue_get(&queue, &item);
}

static struct whorl_queue there = WHORL_QUEUE_INIT(1);
static struct whorl_queue back = WHORL_QUEUE_INIT(1);

/* Until it is cancelled, at the end of the run. */
static int send_back(void *arg)
{
    int error;
    void *item;
    (void)arg;
    while ((error = whorl_queue_get(&there, &item)) == 0 &&
           (error = whorl_queue_put(&back, item)) == 0) {
    }
    return error;
}

/* Two hand-overs to one who waits: of the lock of the queue two, of the words of the tasks three,
 * and the lock again by who was woken. */
static int send_there_and_back(struct scene *scene)
{
    void *item;
    int error = scene->sends ? 0 : whorl_spawn(send_back, NULL, NULL, NULL);
    scene->sends = true;
    error = error != 0 ? error : whorl_queue_put(&there, scene);
    return error != 0 ? error : whorl_queue_get(&back, &item);
}

static const struct measure measures[] = {
    {"await of a future that is done", await_future, 1, 3},
    {"await of a task that has ended", await_task, 1, 3},
    {"join of a task that has ended", join_task, 1, 3},
    {"wait_for a future that is done", wait_for_future, 1, 8},
    {"gather of 1000 that are done, each", gather_many, MANY, 4},
    {"timeout that does not fire", pass_timeout, 1, 8},
    {"yield", give_way, 1, 0},
    {"spawn and await", spawn_and_await, 1, 20},
    {"call_soon and its call", call_soon, 1, 6},
    {"lock, acquired and released", use_lock, 1, 2},
    {"semaphore, acquired and released", use_semaphore, 1, 2},
    {"event, set and waited for", set_and_wait, 1, 1},
    {"queue, put and got", put_and_get, 1, 2},
    {"queue, put to who waits and is woken", send_there_and_back, 2, 6},
};

enum { MEASURES = sizeof measures / sizeof measures[0] };

/* The first time is not counted: memory is taken then. */
static int count(struct scene *scene, what *act)
{
    int error = act(scene);
    const uint64_t before = locked;
    for (int i = 0; i < TIMES && error == 0; i++) {
        error = act(scene);
    }
    scene->locked = locked - before;
    return error;
}

static int make_scene(struct scene *scene)
{
    int error = whorl_future_new(&scene->done);
    error = error != 0 ? error : whorl_future_set_result(scene->done, NULL);
    for (int i = 0; i < MANY && error == 0; i++) {
        error = whorl_future_new(&scene->many[i]);
        error = error != 0 ? error : whorl_future_set_result(scene->many[i], NULL);
    }
    error = error != 0 ? error : whorl_spawn(return_at_once, NULL, NULL, &scene->ended);
    return error != 0 ? error : whorl_join(scene->ended, WHORL_NEVER, NULL);
}

static int count_all(void *arg)
{
    struct scene *const scenes = arg;
    struct scene *const scene = &scenes[MEASURES];
    int error = make_scene(scene);
    for (int i = 0; i < MEASURES && error == 0; i++) {
        error = count(scene, measures[i].act);
        scenes[i].locked = scene->locked;
    }
    whorl_future_unref(scene->done);
    for (int i = 0; i < MANY; i++) {
        whorl_future_unref(scene->many[i]);
    }
    whorl_task_unref(scene->ended);
    return error;
}

static void test_locked_operations_of_a_call_are_few(void **state)
{
    static struct scene scenes[MEASURES + 1];
    const struct whorl_options options = {.loops = 1, .no_pin = 1};
    unsigned missed = 0;
    (void)state;
    assert_int_equal(whorl_run(count_all, scenes, &options), 0);
    for (int i = 0; i < MEASURES; i++) {
        const double each = (double)scenes[i].locked / TIMES / measures[i].parts;
        const int over = each > measures[i].locked_max;
        print_message("%-36s %6.2f locked, at most %u%s\n", measures[i].name, each,
                      measures[i].locked_max, over ? ": TOO MANY" : "");
        missed += (unsigned)over;
    }
    assert_int_equal(missed, 0);
}

static void test_the_count_counts(void **state)
{
    /* A counter that stood still would keep every bar. */
    struct whorl_future *future;
    (void)state;
    assert_int_equal(whorl_future_new(&future), 0);
    const uint64_t before = locked;
    whorl_future_unref(whorl_future_ref(future));
    assert_int_equal(locked - before, 2);
    whorl_future_unref(future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_count_counts),
        cmocka_unit_test(test_locked_operations_of_a_call_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
