/*
 * What parallel loops change and what they leave: rows MT, and rows of LOOP, TASK, TIME and FUT
 * that are about who runs while.
 */
#include "support/play.h"

#include "atomic/atomic.h"

#include <pthread.h>
#include <time.h>

/* Runs body(arg) as a task that stays on the loop of that number, and waits for it. */
static int on_loop(int loop, whorl_body *body, void *arg)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(loop)};
    struct whorl_task *task = NULL;
    must(whorl_spawn(body, arg, &attr, &task));
    return finish(task);
}

/* ---- nobody runs inside a call ---- */

struct witness {
    struct whorl_future *gate;
    bool ran;
    bool ran_inside; /* of the completing call */
    int got;
};

static int witness_gate(void *arg)
{
    struct witness *const witness = arg;
    witness->got = whorl_future_await(witness->gate, NULL);
    witness->ran = true;
    return 0;
}

/* On one loop with the witness: only the call could let it run. */
static int complete_before_witness(void *arg)
{
    struct witness *const witness = arg;
    struct whorl_task *const task = start_here(witness_gate, witness);
    settle();
    must(whorl_future_set_result(witness->gate, NULL));
    witness->ran_inside = witness->ran;
    return finish(task);
}

static int complete_on_last_loop(void *arg)
{
    return on_loop(whorl_loop_count() - 1, complete_before_witness, arg);
}

static void test_loop_23_completing_resumes_nobody_inside_the_call(void **state)
{
    /* Between two waits no other task of the loop runs, whatever is completed in between. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct witness witness = {.gate = new_future(), .got = UNSET};
        assert_int_equal(play(loops, complete_on_last_loop, &witness), 0);
        assert_false(witness.ran_inside);
        assert_int_equal(witness.got, 0);
        whorl_future_unref(witness.gate);
    }
}

/* ---- a call is a call ---- */

struct calls {
    bool other_ran;
    bool ran_in_plain_call; /* while a function was called that does not wait */
    bool ran_in_waiting_call;
    bool same_task;
};

static int note_run(void *arg)
{
    ((struct calls *)arg)->other_ran = true;
    return 0;
}

static int may_wait(bool wait, const struct whorl_task *caller, bool *same_task)
{
    *same_task = *same_task && whorl_task_current() == caller;
    return wait ? whorl_yield() : 0;
}

static int call_both(void *arg)
{
    struct calls *const calls = arg;
    struct whorl_task *const other = start_here(note_run, calls);
    calls->same_task = true;
    must(may_wait(false, whorl_task_current(), &calls->same_task));
    calls->ran_in_plain_call = calls->other_ran;
    must(may_wait(true, whorl_task_current(), &calls->same_task));
    calls->ran_in_waiting_call = calls->other_ran;
    return finish(other);
}

static int call_both_on_last_loop(void *arg)
{
    return on_loop(whorl_loop_count() - 1, call_both, arg);
}

static void test_task_6_a_function_that_may_wait_is_called_like_any_other(void **state)
{
    /* It makes no task, and others run only where it really waits. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct calls calls = {.other_ran = false};
        assert_int_equal(play(loops, call_both_on_last_loop, &calls), 0);
        assert_true(calls.same_task);
        assert_false(calls.ran_in_plain_call);
        assert_true(calls.ran_in_waiting_call);
    }
}

/* ---- giving way ---- */

enum { NEIGHBOURS = 5 };

struct street {
    int passed;         /* plain: all of them stay on one loop */
    int after_one_turn; /* how many had passed when the one who gave way went on */
};

static int pass_by(void *arg)
{
    ((struct street *)arg)->passed++;
    return 0;
}

static int give_way(void *arg)
{
    struct street *const street = arg;
    struct whorl_task *tasks[NEIGHBOURS];
    for (int i = 0; i < NEIGHBOURS; i++) {
        tasks[i] = start_here(pass_by, street);
    }
    must(whorl_yield());
    street->after_one_turn = street->passed;
    for (int i = 0; i < NEIGHBOURS; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static int give_way_on_last_loop(void *arg)
{
    return on_loop(whorl_loop_count() - 1, give_way, arg);
}

static void test_mt_19_yield_gives_way_to_what_the_loop_has_queued(void **state)
{
    /* Each of them has had its turn when the call returns. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct street street = {0};
        assert_int_equal(play(loops, give_way_on_last_loop, &street), 0);
        assert_int_equal(street.after_one_turn, NEIGHBOURS);
    }
}

/* ---- atomic between two waits, or not ---- */

enum { CLERKS = 4, ENTRIES = 500 };

/* An account as single-loop code would write it: no lock. */
struct account {
    int pin; /* of the clerks */
    long balance;
};

static int book(void *arg)
{
    struct account *const account = arg;
    for (int i = 0; i < ENTRIES; i++) {
        const long seen = account->balance;
        for (volatile int thinking = 0; thinking < 20; thinking++) {
        }
        account->balance = seen + 1; /* no wait since it was read */
        if (i % 10 == 0) {
            must(whorl_yield());
        }
    }
    return 0;
}

static int employ_clerks(void *arg)
{
    struct account *const account = arg;
    const struct whorl_attr attr = {.pin = account->pin};
    struct whorl_task *tasks[CLERKS];
    for (int i = 0; i < CLERKS; i++) {
        must(whorl_spawn(book, account, &attr, &tasks[i]));
    }
    for (int i = 0; i < CLERKS; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_mt_7_pinned_to_one_loop_nothing_comes_between_two_waits(void **state)
{
    /* What docs/guide/porting.md tells to do with code that was written for one loop. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct account account = {.pin = WHORL_PIN(loops - 1)};
        assert_int_equal(play(loops, employ_clerks, &account), 0);
        assert_int_equal(account.balance, CLERKS * ENTRIES);
    }
}

/* Each waits inside a step that the other is inside too: only two loops can do that. */
struct meeting {
    uint32_t arrived; /* A */
    bool met[2];
};

struct visitor {
    struct meeting *meeting;
    int index;
};

static int meet(void *arg)
{
    const struct visitor *const visitor = arg;
    struct meeting *const meeting = visitor->meeting;
    const int64_t deadline_ns = whorl_after(10 * WHORL_SECOND);
    (void)whorl__add_u32(&meeting->arrived, 1);
    while (whorl__load_acquire_u32(&meeting->arrived) < 2 && whorl_now() < deadline_ns) {
    }
    meeting->met[visitor->index] = whorl_now() < deadline_ns;
    return 0;
}

static int arrange_meeting(void *arg)
{
    struct meeting *const meeting = arg;
    struct visitor visitors[2];
    struct whorl_task *tasks[2];
    for (int i = 0; i < 2; i++) {
        visitors[i] = (struct visitor){.meeting = meeting, .index = i};
        must(whorl_spawn(meet, &visitors[i], &(struct whorl_attr){.pin = WHORL_PIN(i)}, &tasks[i]));
    }
    for (int i = 0; i < 2; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_mt_7_two_loops_are_between_two_waits_at_the_same_time(void **state)
{
    /* The other side of it: without pins, code that does not wait is not alone. */
    (void)state;
    struct meeting meeting = {.arrived = 0};
    assert_int_equal(play(2, arrange_meeting, &meeting), 0);
    assert_true(meeting.met[0]);
    assert_true(meeting.met[1]);
}

/* ---- where a task is ---- */

static void *ask_from_thread(void *arg)
{
    int *const answers = arg;
    answers[0] = whorl_loop_current();
    answers[1] = whorl_loop_count();
    return NULL;
}

static int ask_everywhere(void *arg)
{
    int *const wrong = arg;
    int answers[2] = {UNSET, UNSET};
    pthread_t thread;
    must(-pthread_create(&thread, NULL, ask_from_thread, answers));
    must(-pthread_join(thread, NULL));
    *wrong += answers[0] != -EPERM || answers[1] != -EPERM;
    *wrong += whorl_loop_current() != whorl_loop_count() - 1;
    return 0;
}

static int ask_on_last_loop(void *arg)
{
    return on_loop(whorl_loop_count() - 1, ask_everywhere, arg);
}

static void test_loop_21_the_loop_is_known_in_its_tasks_only(void **state)
{
    /* A plain thread has none, though a task of the runtime has made it and waits for it. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int wrong = 0;
        assert_int_equal(play(loops, ask_on_last_loop, &wrong), 0);
        assert_int_equal(wrong, 0);
    }
}

/* ---- time ---- */

static int64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * WHORL_SECOND + now.tv_nsec;
}

static int sleep_both_ways(void *arg)
{
    int *const wrong = arg;
    const int64_t before_ns = monotonic_ns();
    const int64_t now_ns = whorl_now();
    const int64_t deadline_ns = whorl_after(WHORL_MILLISECOND);
    *wrong += now_ns < before_ns || now_ns > monotonic_ns();
    *wrong += deadline_ns < now_ns + WHORL_MILLISECOND;
    *wrong += deadline_ns > monotonic_ns() + WHORL_MILLISECOND;
    must(whorl_sleep_until(deadline_ns));
    *wrong += monotonic_ns() < deadline_ns;
    must(whorl_sleep(WHORL_MILLISECOND));
    *wrong += monotonic_ns() < deadline_ns + WHORL_MILLISECOND;
    return 0;
}

static void test_time_2_deadlines_are_times_of_the_monotonic_clock(void **state)
{
    /* In a task and outside; a duration is a deadline from now. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int wrong = 0;
        assert_int_equal(play(loops, sleep_both_ways, &wrong), 0);
        assert_int_equal(wrong, 0);
    }
}

/* ---- foreign threads ---- */

struct delivery {
    struct whorl_future *future;
    struct whorl_future *begun;
    int got;
    void *value;
    int completed;
};

static void *deliver(void *arg)
{
    struct delivery *const delivery = arg;
    must(whorl_future_await(delivery->begun, NULL));
    delivery->completed = whorl_future_set_result(delivery->future, delivery);
    return NULL;
}

static int take_delivery(void *arg)
{
    struct delivery *const delivery = arg;
    must(whorl_future_set_result(delivery->begun, NULL));
    delivery->got = whorl_future_await(delivery->future, &delivery->value);
    return 0;
}

static void test_fut_22_a_thread_completes_for_a_task(void **state)
{
    /* Wherever the task waits; its loop is woken. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct delivery delivery = {.future = new_future(), .begun = new_future(), .got = UNSET};
        pthread_t thread;
        must(-pthread_create(&thread, NULL, deliver, &delivery));
        assert_int_equal(whorl_run(take_delivery, &delivery,
                                   &(struct whorl_options){.loops = loops, .no_pin = 1}),
                         0);
        must(-pthread_join(thread, NULL));
        assert_int_equal(delivery.completed, 0);
        assert_int_equal(delivery.got, 0);
        assert_ptr_equal(delivery.value, &delivery);
        whorl_future_unref(delivery.future);
        whorl_future_unref(delivery.begun);
    }
}

/* Leaves behind a task that joins the future: the end of the run cancels it there. */
static int join_future(void *arg)
{
    struct delivery *const delivery = arg;
    delivery->got = whorl_future_join(delivery->future, WHORL_NEVER, NULL);
    return 0;
}

static int leave_joiner(void *arg)
{
    must(whorl_spawn(join_future, arg, NULL, NULL));
    settle();
    return 0;
}

static void test_fut_22_completing_after_the_runtime_has_ended_is_harmless(void **state)
{
    /* Who waited is gone, and is not looked for. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct delivery delivery = {.future = new_future(), .begun = new_future(), .got = UNSET};
        pthread_t thread;
        assert_int_equal(play(loops, leave_joiner, &delivery), 0);
        assert_int_equal(delivery.got, -ECANCELED);
        must(whorl_future_set_result(delivery.begun, NULL));
        must(-pthread_create(&thread, NULL, deliver, &delivery));
        must(-pthread_join(thread, NULL));
        assert_int_equal(delivery.completed, 0);
        assert_true(whorl_future_done(delivery.future));
        whorl_future_unref(delivery.future);
        whorl_future_unref(delivery.begun);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_23_completing_resumes_nobody_inside_the_call),
        cmocka_unit_test(test_task_6_a_function_that_may_wait_is_called_like_any_other),
        cmocka_unit_test(test_mt_19_yield_gives_way_to_what_the_loop_has_queued),
        cmocka_unit_test(test_mt_7_pinned_to_one_loop_nothing_comes_between_two_waits),
        cmocka_unit_test(test_mt_7_two_loops_are_between_two_waits_at_the_same_time),
        cmocka_unit_test(test_loop_21_the_loop_is_known_in_its_tasks_only),
        cmocka_unit_test(test_time_2_deadlines_are_times_of_the_monotonic_clock),
        cmocka_unit_test(test_fut_22_a_thread_completes_for_a_task),
        cmocka_unit_test(test_fut_22_completing_after_the_runtime_has_ended_is_harmless),
    };
    return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}
