/*
 * Await of a task that has not begun: task/inline.c. Where the order is asyncio's, as with one loop
 * by default, it is off. In fast order it begins where it is awaited, which these tests see by the
 * order of what runs: all loops but one are held by tasks of their own meanwhile, so that nobody
 * else can take any. One loop in fast order: test_fast_order.c.
 */
#include "support/play.h"

#include "base/compiler.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

/* ---- one loop for the test's own tasks ---- */

enum { MANY_LOOPS = 64, HELD_MOST = MANY_LOOPS };

struct held {
    struct whorl_task *tasks[HELD_MOST];
    int count;
    int begun; /* A */
    int over;  /* A */
};

static int hold_loop(void *arg)
{
    struct held *const held = arg;
    __atomic_add_fetch(&held->begun, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&held->over, __ATOMIC_SEQ_CST) == 0) {
        sched_yield();
    }
    return 0;
}

/* The caller does not wait until all are held: so it stays on its loop. */
static void hold_others(struct held *held)
{
    const int here = whorl_loop_current();
    *held = (struct held){0};
    for (int loop = 0; loop < whorl_loop_count(); loop++) {
        const struct whorl_attr attr = {.pin = WHORL_PIN(loop), .name = "holder"};
        if (loop != here) {
            must(whorl_spawn(hold_loop, held, &attr, &held->tasks[held->count++]));
        }
    }
    while (__atomic_load_n(&held->begun, __ATOMIC_SEQ_CST) < held->count) {
        sched_yield();
    }
}

static void let_go(struct held *held)
{
    __atomic_store_n(&held->over, 1, __ATOMIC_SEQ_CST);
    while (held->count > 0) {
        must(finish(held->tasks[--held->count]));
    }
}

static int play_with(int loops, uint64_t flags, int debug, whorl_body *body, void *arg)
{
    const struct whorl_options options = {.loops = loops,
                                          .no_pin = loops > LOOPS_MOST,
                                          .report_ns = WHORL_NEVER,
                                          .stall_ns = WHORL_NEVER,
                                          .flags = flags,
                                          .debug = debug};
    return whorl_run(body, arg, &options);
}

/* ---- which of two runs first ---- */

enum way { AWAIT, JOIN, WAIT_FOR, AS_PINNED };

struct order {
    enum way way;
    int turn;  /* A: how many of the two have run */
    int older; /* when each of them ran */
    int child;
    int errno_after;
    bool same_thread;
    pthread_t thread;
};

static int run_older(void *arg)
{
    struct order *const order = arg;
    order->older = __atomic_add_fetch(&order->turn, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int run_child(void *arg)
{
    struct order *const order = arg;
    order->child = __atomic_add_fetch(&order->turn, 1, __ATOMIC_SEQ_CST);
    order->same_thread = pthread_equal(order->thread, pthread_self());
    errno = EDOM;
    return whorl_return(order);
}

static int wait_by(enum way way, struct whorl_task *child, void **ret_value)
{
    switch (way) {
    case JOIN:
        return whorl_join(child, WHORL_NEVER, ret_value);
    case WAIT_FOR:
        return whorl_wait_for(child, 100 * WHORL_SECOND, ret_value);
    default:
        return whorl_await(child, ret_value);
    }
}

static int spawn_two(void *arg)
{
    struct order *const order = arg;
    void *value = NULL;
    order->thread = pthread_self();
    struct whorl_task *const older = start(run_older, order);
    struct whorl_task *const child = start(run_child, order);
    errno = ERANGE;
    must(wait_by(order->way, child, &value));
    order->errno_after = errno;
    must(value == order ? 0 : -EPROTO);
    whorl_task_unref(child);
    must(finish(older));
    return 0;
}

static int spawn_two_alone(void *arg)
{
    struct order *const order = arg;
    struct held held;
    hold_others(&held);
    if (order->way == AS_PINNED) {
        must(finish(start_here(spawn_two, order)));
    } else {
        must(spawn_two(order));
    }
    let_go(&held);
    return 0;
}

static struct order order_of(int loops, enum way way, uint64_t flags, int debug)
{
    struct order order = {.way = way};
    assert_int_equal(play_with(loops, flags, debug, spawn_two_alone, &order), 0);
    assert_int_equal(order.turn, 2);
    assert_int_equal(order.errno_after, ERANGE);
    return order;
}

static void test_inline_awaited_before_it_began_it_runs_at_once(void **state)
{
    /* Before what was spawned earlier, on the awaiter's thread, whose errno stays its own. */
    (void)state;
    for (int loops = 2; loops <= MANY_LOOPS; loops *= MANY_LOOPS / 2) {
        for (enum way way = AWAIT; way <= WAIT_FOR; way += WAIT_FOR - AWAIT) {
            const struct order order = order_of(loops, way, 0, -1);
            assert_int_equal(order.child, 1);
            assert_int_equal(order.older, 2);
            assert_true(order.same_thread);
        }
    }
}

static void test_inline_strict_order_keeps_the_order_of_spawns(void **state)
{
    /* With one loop nothing overtakes, as in asyncio. */
    (void)state;
    const struct order order = order_of(1, AWAIT, 0, -1);
    assert_int_equal(order.older, 1);
    assert_int_equal(order.child, 2);
}

static void test_inline_join_a_pin_the_option_and_debug_mode_keep_the_order(void **state)
{
    /* A join only watches; a pinned awaiter, the option, and debug mode: it waits for its turn. */
    (void)state;
    static const struct {
        enum way way;
        uint64_t flags;
        int debug;
    } cases[] = {
        {JOIN, 0, -1}, {AS_PINNED, 0, -1}, {AWAIT, WHORL_NO_INLINE, -1}, {AWAIT, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct order order = order_of(2, cases[i].way, cases[i].flags, cases[i].debug);
        assert_int_equal(order.older, 1);
        assert_int_equal(order.child, 2);
    }
}

static void test_inline_the_environment_turns_it_off(void **state)
{
    /* WHORL_INLINE=0, and nothing else. */
    (void)state;
    assert_int_equal(setenv("WHORL_INLINE", "0", 1), 0);
    const struct order off = order_of(2, AWAIT, 0, -1);
    assert_int_equal(setenv("WHORL_INLINE", "1", 1), 0);
    const struct order on = order_of(2, AWAIT, 0, -1);
    assert_int_equal(unsetenv("WHORL_INLINE"), 0);
    assert_int_equal(off.older, 1);
    assert_int_equal(on.child, 1);
}

static void test_inline_flags_that_nobody_knows_are_refused(void **state)
{
    /* A bit of a library to come, alone and beside ours. */
    (void)state;
    assert_int_equal(play_with(2, 8, -1, spawn_two_alone, NULL), -EINVAL);
    assert_int_equal(play_with(2, 8 | WHORL_NO_INLINE, -1, spawn_two_alone, NULL), -EINVAL);
    assert_int_equal(play_with(2, WHORL_STEPPED | WHORL_NO_INLINE, -1, spawn_two_alone, NULL),
                     -EINVAL);
}

/* ---- the child waits, and its awaiter is cancelled ---- */

struct pair {
    struct whorl_task *awaiter;
    struct whorl_future *begun;
    struct whorl_future *gate;
    int child_got;
    int awaiter_got;
    int freed;
    bool cancelled; /* the child, in the end */
    bool by_child;  /* it cancels its awaiter itself, and does not wait */
    const char *message;
};

static void count_freed(void *arg)
{
    struct pair *const pair = arg;
    pair->freed++;
}

static int wait_at_gate(void *arg)
{
    struct pair *const pair = arg;
    must(whorl_future_set_result(pair->begun, NULL));
    if (pair->by_child) {
        must(whorl_cancel(pair->awaiter, "by its child") ? 0 : -EPROTO);
        return 0;
    }
    pair->child_got = whorl_future_await(pair->gate, NULL);
    return pair->child_got;
}

static int await_child(void *arg)
{
    struct pair *const pair = arg;
    const struct whorl_attr attr = {.arg_free = count_freed};
    struct whorl_task *child;
    struct held held = {0};
    if (pair->by_child) { /* not before its awaiter awaits it */
        hold_others(&held);
    }
    pair->awaiter = whorl_task_current();
    must(whorl_spawn(wait_at_gate, pair, &attr, &child));
    pair->awaiter_got = whorl_await(child, NULL);
    pair->message = whorl_cancel_message();
    pair->cancelled = whorl_task_cancelled(child);
    whorl_task_unref(child);
    let_go(&held);
    return 0;
}

static int cancel_awaiter(void *arg)
{
    struct pair *const pair = arg;
    pair->begun = new_future();
    pair->gate = new_future();
    struct whorl_task *const awaiter = start(await_child, pair);
    must(whorl_future_join(pair->begun, WHORL_NEVER, NULL));
    settle();
    if (!pair->by_child) {
        must(whorl_cancel(awaiter, "from outside") ? 0 : -EPROTO);
    }
    must(finish(awaiter));
    whorl_future_unref(pair->gate);
    whorl_future_unref(pair->begun);
    return 0;
}

static void test_canc_5_inline_a_cancel_of_the_awaiter_goes_to_the_child_that_waits(void **state)
{
    /* It has begun in its awaiter's place, and waits by itself. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pair pair = {.child_got = UNSET, .awaiter_got = UNSET};
        assert_int_equal(play(loops, cancel_awaiter, &pair), 0);
        assert_int_equal(pair.child_got, -ECANCELED);
        assert_int_equal(pair.awaiter_got, -ECANCELED);
        assert_true(pair.cancelled);
        assert_string_equal(pair.message, "from outside");
        assert_int_equal(pair.freed, 1);
    }
}

static void test_canc_5_inline_a_child_that_cancels_its_awaiter_is_cancelled_itself(void **state)
{
    /* The awaiter awaits it, so the request comes back; the body returns 0 with it pending. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pair pair = {.by_child = true, .awaiter_got = UNSET};
        assert_int_equal(play(loops, cancel_awaiter, &pair), 0);
        assert_int_equal(pair.awaiter_got, -ECANCELED);
        assert_true(pair.cancelled);
        assert_string_equal(pair.message, "by its child");
        assert_int_equal(pair.freed, 1);
    }
}

/* ---- who looks at it meanwhile ---- */

struct view {
    uint64_t last;   /* of the walk: whom nobody awaits */
    unsigned levels;
    unsigned steps;
    bool in_dump;    /* "awaits=task:N" of the awaiter */
    bool same_outside;
    struct whorl_future *of; /* whose graph a thread is to walk */
};

static int note_step(const struct whorl_graph_step *step, void *arg)
{
    struct view *const view = arg;
    view->steps++;
    if (step->kind == WHORL_GRAPH_TASK) { /* behind the main task stands the thread that runs it */
        view->last = step->id;
        view->levels = step->level;
    }
    return 0;
}

static bool dump_has(const char *text)
{
    static char dump[1 << 16];
    FILE *const file = tmpfile();
    must(file != NULL ? whorl_dump(fileno(file)) : -errno);
    rewind(file);
    dump[fread(dump, 1, sizeof dump - 1, file)] = '\0';
    fclose(file);
    return strstr(dump, text) != NULL;
}

/* From outside; the child holds its loop meanwhile. */
static void *look_from_a_thread(void *arg)
{
    struct view *const view = arg;
    must(whorl_graph_walk(view->of, WHORL_GRAPH_ALL, note_step, view));
    return NULL;
}

static int look_around(void *arg)
{
    struct view *const view = arg;
    char text[64];
    pthread_t thread;
    struct view self = {.levels = 0};
    struct view outside = {.of = whorl_task_future(whorl_task_current())};
    must(whorl_graph_walk(NULL, 0, note_step, &self));
    must(whorl_graph_walk(NULL, WHORL_GRAPH_ALL, note_step, view));
    must(pthread_create(&thread, NULL, look_from_a_thread, &outside));
    must(pthread_join(thread, NULL));
    view->same_outside = outside.last == view->last && outside.levels == view->levels &&
                         outside.steps == view->steps;
    snprintf(text, sizeof text, "awaits=task:%llu", (unsigned long long)self.last);
    view->in_dump = dump_has(text);
    return 0;
}

static int show_around(void *arg)
{
    struct view *const view = arg;
    struct view self = {.levels = 0};
    struct held held;
    hold_others(&held);
    must(finish(start(look_around, view)));
    must(whorl_graph_walk(NULL, 0, note_step, &self));
    must(view->last == self.last ? 0 : -EPROTO);
    let_go(&held);
    return 0;
}

static void test_inline_graph_and_dump_show_the_awaiter_above_what_runs_in_its_place(void **state)
{
    /* It is on no list of waiters, and is not parked. */
    (void)state;
    for (int loops = 2; loops <= LOOPS_MOST; loops *= 2) {
        struct view view = {.levels = 0};
        assert_int_equal(play_with(loops, 0, -1, show_around, &view), 0);
        assert_int_equal(view.levels, 1);
        assert_true(view.in_dump);
        assert_true(view.same_outside);
    }
}

/* ---- what ends, and how ---- */

struct end {
    int answer;
    int got;
    int freed;
    bool began;
    bool cancel_first;
};

static void count_end(void *arg)
{
    struct end *const end = arg;
    end->freed++;
}

static int answer(void *arg)
{
    struct end *const end = arg;
    end->began = true;
    return end->answer;
}

static int await_end(void *arg)
{
    struct end *const end = arg;
    struct held held;
    struct whorl_task *child;
    const struct whorl_attr attr = {.arg_free = count_end};
    hold_others(&held);
    must(whorl_spawn(answer, end, &attr, &child));
    if (end->cancel_first) {
        must(whorl_cancel(child, NULL) ? 0 : -EPROTO);
    }
    end->got = whorl_await(child, NULL);
    whorl_task_unref(child);
    let_go(&held);
    return 0;
}

static void test_inline_a_failure_and_a_cancel_before_the_first_step_are_told(void **state)
{
    /* The argument is freed once; a body that was cancelled first is never called. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct end failed = {.answer = -EIO, .got = UNSET};
        struct end cancelled = {.answer = -EIO, .got = UNSET, .cancel_first = true};
        assert_int_equal(play(loops, await_end, &failed), 0);
        assert_int_equal(play(loops, await_end, &cancelled), 0);
        assert_int_equal(failed.got, -EIO);
        assert_int_equal(failed.freed, 1);
        assert_int_equal(cancelled.got, -ECANCELED);
        assert_int_equal(cancelled.freed, 1);
        assert_false(cancelled.began);
    }
}

/* ---- chains ---- */

enum { DEPTH = 1000 };

struct link {
    int left;
    int sum;
};

static int add_below(void *arg)
{
    struct link *const link = arg;
    struct link below = {.left = link->left - 1};
    if (link->left == 0) {
        return 0;
    }
    struct whorl_task *const child = start(add_below, &below);
    const int error = finish(child);
    link->sum = below.sum + 1;
    return error;
}

static void test_inline_a_chain_of_a_thousand_awaits_ends(void **state)
{
    /* Each link has a stack of its own: depth costs no more than if they were parked. */
    (void)state;
    static const int loop_counts[] = {1, 2, MANY_LOOPS};
    for (size_t i = 0; i < 3; i++) {
        struct link link = {.left = DEPTH};
        assert_int_equal(play_with(loop_counts[i], 0, -1, add_below, &link), 0);
        assert_int_equal(link.sum, DEPTH);
    }
}

/* ---- the budget of a turn ---- */

enum { AWAITS = 50000 };

struct others {
    int ticks; /* A: of a task that gives way all the time, on the same loop */
    int over;  /* A */
    int seen;
    uint64_t overflows;
};

static int tick(void *arg)
{
    struct others *const others = arg;
    while (__atomic_load_n(&others->over, __ATOMIC_SEQ_CST) == 0) {
        __atomic_add_fetch(&others->ticks, 1, __ATOMIC_SEQ_CST);
        must(whorl_yield());
    }
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int await_many(void *arg)
{
    struct others *const others = arg;
    struct whorl_stats stats;
    struct held held;
    hold_others(&held);
    struct whorl_task *const ticker = start_here(tick, others);
    for (int i = 0; i < AWAITS; i++) {
        must(finish(start(do_nothing, NULL)));
    }
    others->seen = __atomic_load_n(&others->ticks, __ATOMIC_SEQ_CST);
    __atomic_store_n(&others->over, 1, __ATOMIC_SEQ_CST);
    must(finish(ticker));
    must(whorl_stats(whorl_loop_current(), &stats));
    others->overflows = stats.overflows;
    let_go(&held);
    return 0;
}

static void test_inline_awaits_in_a_row_leave_others_their_turn(void **state)
{
    /* They end their turn in time, or the ticker would see none of it. Their entries, which are
     * stale, do not make the ring overflow. */
    (void)state;
    struct others others = {0};
    assert_int_equal(play_with(2, 0, -1, await_many, &others), 0);
    assert_true(others.seen > 1);
    assert_int_equal(others.overflows, 0);
}

/* ---- awaiter against thieves ---- */

enum { CROWD = 600, ROUNDS = 18 };

struct crowd {
    int runs[CROWD];
    struct whorl_task *tasks[CROWD];
    int ended;
};

static int run_one(void *arg)
{
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* Newest first, so that the awaiter and the thieves come from both ends of the ring. */
static int await_crowd(void *arg)
{
    struct crowd *const crowd = arg;
    for (int i = 0; i < CROWD; i++) {
        crowd->tasks[i] = start(run_one, &crowd->runs[i]);
    }
    for (int i = CROWD; i-- > 0;) {
        must(finish(crowd->tasks[i]));
        crowd->ended += crowd->runs[i] == 1;
    }
    return 0;
}

static void test_inline_awaiter_against_thieves_each_runs_once(void **state)
{
    /* Also beyond what the ring holds, where tasks go to the shared queue. */
    (void)state;
    static const int loop_counts[] = {2, 4, MANY_LOOPS};
    for (int round = 0; round < ROUNDS; round++) {
        struct crowd *const crowd = calloc(1, sizeof *crowd);
        assert_non_null(crowd);
        assert_int_equal(play_with(loop_counts[round % 3], 0, -1, await_crowd, crowd), 0);
        assert_int_equal(crowd->ended, CROWD);
        free(crowd);
    }
}

/* ---- fork and join ---- */

struct call {
    int n;
    int result;
};

static int fib(void *arg)
{
    struct call *const call = arg;
    struct call one = {.n = call->n - 1};
    struct call other = {.n = call->n - 2};
    call->result = call->n;
    if (call->n < 2) {
        return 0;
    }
    struct whorl_task *const left = start(fib, &one);
    struct whorl_task *const right = start(fib, &other);
    const int error = finish(left);
    const int second = finish(right);
    call->result = one.result + other.result;
    return error != 0 ? error : second;
}

static void test_inline_fork_join_gives_the_same_everywhere(void **state)
{
    /* fib(15), both branches as tasks, with it and without. */
    (void)state;
    static const int loop_counts[] = {1, 2, 4, MANY_LOOPS};
    for (size_t i = 0; i < 8; i++) {
        struct call call = {.n = 15};
        const uint64_t flags = i < 4 ? 0 : WHORL_NO_INLINE;
        assert_int_equal(play_with(loop_counts[i % 4], flags, -1, fib, &call), 0);
        assert_int_equal(call.result, 610);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inline_awaited_before_it_began_it_runs_at_once),
        cmocka_unit_test(test_inline_strict_order_keeps_the_order_of_spawns),
        cmocka_unit_test(test_inline_join_a_pin_the_option_and_debug_mode_keep_the_order),
        cmocka_unit_test(test_inline_the_environment_turns_it_off),
        cmocka_unit_test(test_inline_flags_that_nobody_knows_are_refused),
        cmocka_unit_test(test_canc_5_inline_a_cancel_of_the_awaiter_goes_to_the_child_that_waits),
        cmocka_unit_test(test_canc_5_inline_a_child_that_cancels_its_awaiter_is_cancelled_itself),
        cmocka_unit_test(test_inline_graph_and_dump_show_the_awaiter_above_what_runs_in_its_place),
        cmocka_unit_test(test_inline_a_failure_and_a_cancel_before_the_first_step_are_told),
        cmocka_unit_test(test_inline_a_chain_of_a_thousand_awaits_ends),
        cmocka_unit_test(test_inline_awaits_in_a_row_leave_others_their_turn),
        cmocka_unit_test(test_inline_awaiter_against_thieves_each_runs_once),
        cmocka_unit_test(test_inline_fork_join_gives_the_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
