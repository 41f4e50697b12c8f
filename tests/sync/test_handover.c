/*
 * test_handover.c - who is the only one to be woken runs next, on the loop of who woke him.
 *
 * One of two loops is held by a blocker, so that the other is alone with its queues; the monitor is
 * off. There a director, pinned, lets a task wait for something, puts four tasks into the ring that
 * have nothing to wait for, then does what wakes the waiter, and waits itself. Each leaves a letter
 * when it runs: d the director, w a waiter, r one of the four.
 *
 * The same with one loop, where nobody may overtake: asyncio's order.
 */
#include "support/mark.h"
#include "support/play.h"

#include <errno.h>

enum { RING = 4, WAITERS = 2, NOTES_MAX = 16 };

struct scene;

/* What is waited for: the director's preparation, the waiter's wait, what ends it. */
struct handover {
    const char *name;
    int (*prepare)(struct scene *scene);
    int (*wait)(struct scene *scene);
    int (*wake)(struct scene *scene);
};

struct scene {
    const struct handover *handover;
    int waiters;
    uint32_t blocking; /* A: the other loop is held */
    uint32_t over;     /* A: its blocker may leave */
    uint32_t waiting;  /* A: waiters that are about to wait, on the loop of who asks */
    int elsewhere;     /* that ran on another loop */
    int count;
    char notes[NOTES_MAX];

    struct whorl_lock lock;
    struct whorl_semaphore semaphore;
    struct whorl_event event;
    struct whorl_condition condition;
    struct whorl_queue queue;
    struct whorl_barrier barrier;
    struct whorl_rwlock rwlock;
    struct whorl_future *future;
    struct whorl_task *task;
};

static void write_down(struct scene *scene, char letter)
{
    scene->elsewhere += whorl_loop_current() != 0;
    if (scene->count < NOTES_MAX - 1) {
        scene->notes[scene->count++] = letter;
    }
}

/* ---- what is handed over ---- */

static int nothing(struct scene *scene)
{
    (void)scene;
    return 0;
}

static int take_lock(struct scene *scene)
{
    return whorl_lock_acquire(&scene->lock);
}

static int give_lock(struct scene *scene)
{
    return whorl_lock_release(&scene->lock);
}

static int pass_lock(struct scene *scene)
{
    const int error = take_lock(scene);
    return error != 0 ? error : give_lock(scene);
}

static int take_unit(struct scene *scene)
{
    return whorl_semaphore_acquire(&scene->semaphore);
}

static int give_unit(struct scene *scene)
{
    return whorl_semaphore_release(&scene->semaphore);
}

static int wait_event(struct scene *scene)
{
    return whorl_event_wait(&scene->event);
}

static int set_event(struct scene *scene)
{
    return whorl_event_set(&scene->event);
}

static int wait_notified(struct scene *scene)
{
    struct whorl_lock *const lock = whorl_condition_lock(&scene->condition);
    int error = whorl_lock_acquire(lock);
    error = error != 0 ? error : whorl_condition_wait(&scene->condition);
    return error != 0 ? error : whorl_lock_release(lock);
}

static int notify_one(struct scene *scene)
{
    struct whorl_lock *const lock = whorl_condition_lock(&scene->condition);
    int error = whorl_lock_acquire(lock);
    error = error != 0 ? error : whorl_condition_notify(&scene->condition, 1);
    return error != 0 ? error : whorl_lock_release(lock);
}

static int put(struct scene *scene)
{
    return whorl_queue_put(&scene->queue, scene);
}

static int get(struct scene *scene)
{
    void *item;
    return whorl_queue_get(&scene->queue, &item);
}

static int join_queue(struct scene *scene)
{
    return whorl_queue_join(&scene->queue);
}

static int finish_item(struct scene *scene)
{
    return whorl_queue_task_done(&scene->queue);
}

static int meet(struct scene *scene)
{
    unsigned index;
    return whorl_barrier_wait(&scene->barrier, &index);
}

static int start_to_write(struct scene *scene)
{
    return whorl_rwlock_acquire_write(&scene->rwlock);
}

static int stop_to_write(struct scene *scene)
{
    return whorl_rwlock_release_write(&scene->rwlock);
}

static int write_once(struct scene *scene)
{
    const int error = start_to_write(scene);
    return error != 0 ? error : stop_to_write(scene);
}

static int await_future(struct scene *scene)
{
    return whorl_future_await(scene->future, NULL);
}

static int complete_future(struct scene *scene)
{
    return whorl_future_set_result(scene->future, NULL);
}

static int end_after_event(void *arg)
{
    return wait_event(arg);
}

/* A task that waits for the event, and then ends. */
static int start_task(struct scene *scene)
{
    int error = whorl_spawn(end_after_event, scene, NULL, &scene->task);
    for (int i = 0; i < 3 && error == 0; i++) {
        error = whorl_yield();
    }
    return error;
}

static int await_task(struct scene *scene)
{
    const int error = whorl_await(scene->task, NULL);
    whorl_task_unref(scene->task);
    return error;
}

static const struct handover handovers[] = {
    {"lock release", take_lock, pass_lock, give_lock},
    {"semaphore release", nothing, take_unit, give_unit},
    {"event set", nothing, wait_event, set_event},
    {"notify of one", nothing, wait_notified, notify_one},
    {"queue put", nothing, get, put},
    {"queue get", put, put, get},
    {"the last task_done", put, join_queue, finish_item},
    {"the last at the barrier", nothing, meet, meet},
    {"rwlock release", start_to_write, write_once, stop_to_write},
    {"future completed", nothing, await_future, complete_future},
    {"task ended", start_task, await_task, set_event},
};

enum { HANDOVERS = sizeof handovers / sizeof handovers[0] };

/* ---- the play ---- */

static int wait_and_note(void *arg)
{
    struct scene *const scene = arg;
    mark(&scene->waiting);
    const int error = scene->handover->wait(scene);
    write_down(scene, 'w');
    return error;
}

static int note_ring(void *arg)
{
    write_down(arg, 'r');
    return 0;
}

static int spawn_many(struct scene *scene, whorl_body *body, struct whorl_task **tasks, int count)
{
    int error = 0;
    for (int i = 0; i < count && error == 0; i++) {
        error = whorl_spawn(body, scene, NULL, &tasks[i]);
    }
    return error;
}

static int direct(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_task *tasks[WAITERS + RING];
    const int all = scene->waiters + RING;
    int error = scene->handover->prepare(scene);
    error = error != 0 ? error : spawn_many(scene, wait_and_note, tasks, scene->waiters);
    if (error != 0 || !yield_until(&scene->waiting, (uint32_t)scene->waiters)) {
        return -EPROTO;
    }
    error = spawn_many(scene, note_ring, &tasks[scene->waiters], RING);
    error = error != 0 ? error : scene->handover->wake(scene);
    write_down(scene, 'd');
    for (int i = 0; i < all && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    mark(&scene->over);
    return error < 0 ? error : 0;
}

static int hold_other_loop(void *arg)
{
    struct scene *const scene = arg;
    mark(&scene->blocking);
    return compute_until(&scene->over, 1) ? 0 : -ETIMEDOUT;
}

static int main_of_two_loops(void *arg)
{
    struct scene *const scene = arg;
    const struct whorl_attr other = {.pin = WHORL_PIN(1)};
    const struct whorl_attr here = {.pin = WHORL_PIN(0)};
    struct whorl_task *tasks[2];
    int error = whorl_spawn(hold_other_loop, scene, &other, &tasks[0]);
    if (error != 0 || !yield_until(&scene->blocking, 1)) {
        return -EPROTO;
    }
    error = whorl_spawn(direct, scene, &here, &tasks[1]);
    for (int i = 1; i >= 0 && error == 0; i--) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static struct scene *play_scene(const struct handover *handover, int waiters, int loops)
{
    static struct scene scene;
    const struct whorl_options options = {
        .loops = loops, .no_pin = 1, .stall_ns = WHORL_NEVER, .report_ns = WHORL_NEVER};
    scene = (struct scene){.handover = handover,
                           .waiters = waiters,
                           .semaphore = WHORL_SEMAPHORE_INIT(0),
                           .queue = WHORL_QUEUE_INIT(1),
                           .barrier = WHORL_BARRIER_INIT(2)};
    assert_int_equal(whorl_future_new(&scene.future), 0);
    assert_int_equal(whorl_run(loops == 1 ? direct : main_of_two_loops, &scene, &options), 0);
    whorl_future_unref(scene.future);
    assert_int_equal(scene.elsewhere, 0);
    return &scene;
}

static void check_all(int loops, const char *order)
{
    for (int i = 0; i < HANDOVERS; i++) {
        const struct scene *const scene = play_scene(&handovers[i], 1, loops);
        if (strcmp(scene->notes, order) != 0) {
            fail_msg("%s: %s, not %s", handovers[i].name, scene->notes, order);
        }
    }
}

static void test_handover_who_is_woken_alone_runs_next(void **state)
{
    /* Also where the task that was woken ends, and so wakes the one that is meant. */
    (void)state;
    check_all(2, "dwrrrr");
}

static void test_handover_at_one_loop_nobody_overtakes(void **state)
{
    /* asyncio's order: who was ready before the wake-up runs before it. */
    (void)state;
    check_all(1, "drrrrw");
}

static void test_handover_several_queue_up(void **state)
{
    /* None of them is the one to go on with: they stand behind what is ready, in their order. */
    (void)state;
    const struct handover event = {"event set", nothing, wait_event, set_event};
    const struct handover future = {"future completed", nothing, await_future, complete_future};
    assert_string_equal(play_scene(&event, 2, 2)->notes, "drrrrww");
    assert_string_equal(play_scene(&future, 2, 2)->notes, "drrrrww");
    assert_string_equal(play_scene(&event, 2, 1)->notes, "drrrrww");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handover_who_is_woken_alone_runs_next),
        cmocka_unit_test(test_handover_at_one_loop_nobody_overtakes),
        cmocka_unit_test(test_handover_several_queue_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
