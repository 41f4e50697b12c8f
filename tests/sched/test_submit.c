/*
 * test_submit.c - where a ready task goes, and in which order a loop runs what it has.
 *
 * For the order, one of two loops is held by a blocker, so that the other is alone with its queues;
 * the monitor is off. A director, pinned to that loop, makes tasks that note when they ran.
 */
#include "mill.h"
#include "rig.h"

#include <errno.h>
#include <pthread.h>

/* ---- where to, by hand ---- */

static void test_submit_woken_task_is_hot_the_one_before_goes_to_the_ring(void **state)
{
    /* The newest is warm in the cache; none is ever lost. */
    struct mill *const mill = *state;
    mill_play(mill->loops[1]);
    whorl__sched_submit(&mill->tasks[0]);
    whorl__sched_submit(&mill->tasks[1]);
    whorl__sched_submit(&mill->tasks[2]);
    assert_ptr_equal(mill->loops[1]->hot, &mill->tasks[2]);
    assert_ptr_equal(whorl__runqueue_take(&mill->loops[1]->queue), &mill->tasks[0]);
    assert_ptr_equal(whorl__runqueue_take(&mill->loops[1]->queue), &mill->tasks[1]);
    mill->loops[1]->hot = NULL;
}

static void test_submit_new_task_queues_up_in_the_ring(void **state)
{
    /* A spawner goes on spawning: its children in order, none of them hot. */
    struct mill *const mill = *state;
    mill_play(mill->loops[1]);
    for (int i = 0; i < 3; i++) {
        whorl__sched_submit_new(mill->loops[1], &mill->tasks[i]);
    }
    assert_null(mill->loops[1]->hot);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(whorl__runqueue_take(&mill->loops[1]->queue), &mill->tasks[i]);
    }
}

static void test_submit_pinned_task_goes_home_from_everywhere(void **state)
{
    /* The home itself uses its list; all others its inbox, and wake it. */
    struct mill *const mill = *state;
    struct whorl__loop *const home = mill->loops[2];
    for (int i = 0; i < 3; i++) {
        mill->tasks[i].pin = WHORL_PIN(2);
    }
    mill_play(home);
    whorl__sched_submit(&mill->tasks[0]);
    assert_int_equal(home->bound.count, 1);
    assert_true(whorl__idle_sleep_begin(mill->loops[3]));
    mill_play(mill->loops[0]);
    whorl__sched_submit(&mill->tasks[1]);
    mill_play(NULL);
    whorl__sched_submit(&mill->tasks[2]);
    assert_int_equal(whorl__loop_take_inbox(home), 2);
    assert_int_equal(home->bound.count, 3);
    assert_false(mill_was_woken(mill->loops[3])); /* nothing there that it could do */
    whorl__idle_sleep_end(mill->loops[3]);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(whorl__task_of_ready(whorl__fifo_pop(&home->bound)), &mill->tasks[i]);
    }
}

static void test_submit_full_ring_gives_older_half_to_the_shared_queue(void **state)
{
    /* What waited longest is what others should fetch; the order is kept. */
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[0];
    mill_play(loop);
    for (int i = 0; i < WHORL_RUNQUEUE_CAPACITY; i++) {
        whorl__sched_submit_new(loop, &mill->tasks[i]);
    }
    assert_int_equal(loop->stats.overflows, 0);
    whorl__sched_submit_new(loop, &mill->tasks[WHORL_RUNQUEUE_CAPACITY]);
    assert_int_equal(loop->stats.overflows, 1);
    assert_int_equal(mill->runtime.shared.count + whorl__runqueue_length(&loop->queue),
                     WHORL_RUNQUEUE_CAPACITY + 1);
    assert_true(mill->runtime.shared.count >= WHORL_RUNQUEUE_SLOTS / 2);
    assert_ptr_equal(whorl__sched_take_shared(mill->loops[1]), &mill->tasks[0]);
    assert_ptr_equal(whorl__runqueue_take(&mill->loops[1]->queue), &mill->tasks[1]);
}

static void test_submit_shared_queue_is_taken_in_fair_shares(void **state)
{
    /* The first of the others must not leave all the rest empty-handed. */
    struct mill *const mill = *state;
    mill_play(NULL);
    for (int i = 0; i < 100; i++) {
        whorl__sched_submit(&mill->tasks[i]);
    }
    assert_ptr_equal(whorl__sched_take_shared(mill->loops[0]), &mill->tasks[0]);
    assert_int_equal(whorl__runqueue_length(&mill->loops[0]->queue), 100 / MILL_LOOPS);
    assert_int_equal(mill->runtime.shared.count, 100 - 100 / MILL_LOOPS - 1);
    while (whorl__sched_take_shared(mill->loops[1]) != NULL) {
    }
    assert_int_equal(mill->runtime.shared.count, 0);
}

/* ---- in which order ---- */

#define NOTES_MAX 1200

struct act {
    uint32_t blocking; /* A: loop 1 is held */
    uint32_t over;     /* A: its blocker may leave */
    whorl_body *director;
    int count;
    char notes[NOTES_MAX]; /* by tasks of loop 0 only */
    int full_at;           /* as many notes as somebody waits for */
    struct whorl_future *full;
    int elsewhere; /* tasks that ran on another loop */
    uint64_t overflows;
};

static void note(struct act *act, char mark_of_task)
{
    act->elsewhere += whorl_loop_current() != 0;
    if (act->count < NOTES_MAX) {
        act->notes[act->count++] = mark_of_task;
    }
    if (act->count == act->full_at) {
        (void)whorl_future_set_result(act->full, NULL);
    }
}

static int note_ring(void *arg)
{
    note(arg, 'r');
    return 0;
}

static int note_bound(void *arg)
{
    note(arg, 'b');
    return 0;
}

static int hold_other_loop(void *arg)
{
    struct act *const act = arg;
    mark(&act->blocking);
    return compute_until(&act->over, 1) ? 0 : -ETIMEDOUT;
}

static int direct(void *arg)
{
    struct act *const act = arg;
    const int error = act->director(act);
    struct whorl_stats stats;
    if (whorl_stats(0, &stats) == 0) {
        act->overflows = stats.overflows;
    }
    mark(&act->over);
    return error;
}

static int main_of_act(void *arg)
{
    struct act *const act = arg;
    const struct whorl_attr other = {.pin = WHORL_PIN(1)};
    const struct whorl_attr here = {.pin = WHORL_PIN(0)};
    struct whorl_task *tasks[2];
    int error = whorl_spawn(hold_other_loop, act, &other, &tasks[0]);
    if (error != 0 || !yield_until(&act->blocking, 1)) {
        return -EPROTO;
    }
    error = whorl_spawn(direct, act, &here, &tasks[1]);
    for (int i = 0; i < 2 && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static void play(whorl_body *director, struct act *ret_act)
{
    struct whorl_options options = stealing_options(2, NULL);
    options.stall_ns = WHORL_NEVER;
    memset(ret_act, 0, sizeof *ret_act);
    ret_act->director = director;
    assert_int_equal(whorl_future_new(&ret_act->full), 0);
    assert_int_equal(whorl_run(main_of_act, ret_act, &options), 0);
    whorl_future_unref(ret_act->full);
    assert_int_equal(ret_act->elsewhere, 0);
}

/* Waits until that many notes are there, out of everybody's way. */
static int await_notes(struct act *act, int count)
{
    int error = 0;
    act->full_at = count;
    if (act->count < count) {
        error = whorl_future_join(act->full, whorl_after(BOUND_NS), NULL);
    }
    return error;
}

/* The same, giving way all the time: a pinned task that is always ready. */
static int yield_for_notes(struct act *act, int count)
{
    const int64_t end_ns = whorl_after(BOUND_NS);
    while (act->count < count) {
        if (whorl_now() >= end_ns || whorl_yield() != 0) {
            return -ETIMEDOUT;
        }
    }
    return 0;
}

static int spawn_many(struct act *act, whorl_body *body, int count, int pin)
{
    const struct whorl_attr attr = {.pin = pin};
    int error = 0;
    for (int i = 0; i < count && error == 0; i++) {
        error = whorl_spawn(body, act, &attr, NULL);
    }
    return error;
}

static int overflow_ring(void *arg)
{
    const int error = spawn_many(arg, note_ring, 1000, 0);
    return error != 0 ? error : await_notes(arg, 1000);
}

static void test_submit_more_tasks_than_the_ring_holds_all_run_once(void **state)
{
    /* The shared queue takes what is too much, and the loop fetches it again by itself. */
    (void)state;
    static struct act act;
    play(overflow_ring, &act);
    assert_int_equal(act.count, 1000);
    assert_true(act.overflows > 0);
}

static int fill_both(void *arg)
{
    int error = spawn_many(arg, note_bound, 20, WHORL_PIN(0));
    error = error != 0 ? error : spawn_many(arg, note_ring, 20, 0);
    return error != 0 ? error : await_notes(arg, 40);
}

static void test_submit_bound_and_ring_run_by_turns(void **state)
{
    /* Neither pinned nor free tasks starve the other kind. */
    (void)state;
    static struct act act;
    play(fill_both, &act);
    int in_a_row = 1;
    for (int i = 1; i < 38; i++) { /* by then one kind may have come to its end */
        in_a_row = act.notes[i] == act.notes[i - 1] ? in_a_row + 1 : 1;
        assert_true(in_a_row <= 2); /* two where the loop looked into the shared queue between */
    }
}

/* ---- a chain of wakes ---- */

#define LINKS  30
#define OTHERS 8

struct link {
    struct act *act;
    uint32_t *waiting; /* A: links that are about to wait */
    struct whorl_future *own;
    struct whorl_future *next; /* NULL: the last */
};

static int pass_on(void *arg)
{
    struct link *const link = arg;
    mark(link->waiting);
    const int error = whorl_future_await(link->own, NULL);
    note(link->act, 'h');
    return error != 0 || link->next == NULL ? error : whorl_future_set_result(link->next, NULL);
}

static int spawn_chain(struct act *act, struct link *links, uint32_t *waiting)
{
    int error = 0;
    for (int i = 0; i < LINKS && error == 0; i++) {
        error = whorl_future_new(&links[i].own);
    }
    for (int i = 0; i < LINKS && error == 0; i++) {
        links[i].act = act;
        links[i].waiting = waiting;
        links[i].next = i + 1 < LINKS ? links[i + 1].own : NULL;
        error = whorl_spawn(pass_on, &links[i], NULL, NULL);
    }
    return error == 0 && yield_until(waiting, LINKS) ? 0 : -EPROTO;
}

static int wake_chain(struct act *act, int (*await)(struct act *act, int count))
{
    struct link links[LINKS] = {0};
    uint32_t waiting = 0;
    int error = spawn_chain(act, links, &waiting);
    error = error != 0 ? error : spawn_many(act, note_ring, OTHERS, 0);
    error = error != 0 ? error : whorl_future_set_result(links[0].own, NULL);
    error = error != 0 ? error : await(act, LINKS + OTHERS);
    (void)whorl_yield(); /* the last one returns */
    for (int i = 0; i < LINKS; i++) {
        whorl_future_unref(links[i].own);
    }
    return error;
}

static int chain_alone(void *arg)
{
    return wake_chain(arg, await_notes);
}

static int chain_beside_pinned(void *arg)
{
    return wake_chain(arg, yield_for_notes);
}

/* The most links in a row while tasks of the ring wait. */
static int longest_chain(const struct act *act)
{
    int longest = 0;
    int hot = 0;
    for (int i = 0, ring = 0; i < act->count && ring < OTHERS; i++) {
        hot = act->notes[i] == 'h' ? hot + 1 : 0;
        ring += act->notes[i] == 'r';
        longest = hot > longest ? hot : longest;
    }
    return longest;
}

static void test_submit_chain_of_wakes_does_not_starve_the_ring(void **state)
{
    /* Each link wakes the next into the hot slot: at most three in a row, while others wait. */
    (void)state;
    static struct act act;
    play(chain_alone, &act);
    assert_int_equal(act.count, LINKS + OTHERS);
    assert_int_equal(act.notes[0], 'h');
    assert_int_equal(longest_chain(&act), WHORL__HOT_IN_A_ROW);
}

static void test_submit_chain_and_pinned_task_do_not_starve_the_ring(void **state)
{
    /* Every fourth run is not hot. If turns went by the count of runs, a pinned task that is always
     * ready would get all of these. */
    (void)state;
    static struct act act;
    play(chain_beside_pinned, &act);
    assert_int_equal(act.count, LINKS + OTHERS);
    assert_in_range(longest_chain(&act), 1, 2 * WHORL__HOT_IN_A_ROW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mill_test(test_submit_woken_task_is_hot_the_one_before_goes_to_the_ring),
        mill_test(test_submit_new_task_queues_up_in_the_ring),
        mill_test(test_submit_pinned_task_goes_home_from_everywhere),
        mill_test(test_submit_full_ring_gives_older_half_to_the_shared_queue),
        mill_test(test_submit_shared_queue_is_taken_in_fair_shares),
        cmocka_unit_test(test_submit_more_tasks_than_the_ring_holds_all_run_once),
        cmocka_unit_test(test_submit_bound_and_ring_run_by_turns),
        cmocka_unit_test(test_submit_chain_of_wakes_does_not_starve_the_ring),
        cmocka_unit_test(test_submit_chain_and_pinned_task_do_not_starve_the_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
