/*
 * test_abort.c - what ends the process with a word: blocks that are left by who may not, or in the
 * wrong order, and their kind. The last line names the call and the task.
 *
 * Each case runs in a child process, at one loop and at several.
 */
#include "support/child.h"
#include "support/play.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- a child and its last words ---- */

/* What the child is to do: inherited. */
static whorl_body *crime;
static int crime_loops;
static int last_words;

enum { SURVIVED = 7 };

static int commit(void)
{
    const struct rlimit no_core = {0, 0};
    const struct whorl_options options = {.loops = crime_loops, .no_pin = 1};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    alarm(60); /* one that is let through may wait for ever */
    if (dup2(last_words, STDERR_FILENO) < 0) {
        return CHILD_CANNOT;
    }
    (void)whorl_run(crime, NULL, &options);
    return SURVIVED;
}

static void expect_abort_at(int loops, whorl_body *body, const char *words)
{
    char text[4096] = "";
    crime = body;
    crime_loops = loops;
    last_words = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(last_words >= 0);
    const int end = child_run(commit);
    assert_true(pread(last_words, text, sizeof text - 1, 0) >= 0);
    assert_int_equal(close(last_words), 0);
    if (strstr(text, words) == NULL) {
        fail_msg("at %d loops no \"%s\" in: %s", loops, words, text);
    }
    assert_int_equal(end, -SIGABRT);
}

/* The body runs as the main task, whose name is main. */
static void expect_abort(whorl_body *body, const char *words)
{
    if (!child_can_start_threads()) {
        skip();
    }
    for (int loops = 1; loops <= LOOPS_MOST; loops *= LOOPS_MOST) {
        expect_abort_at(loops, body, words);
    }
}

/* Runs body(arg) as a task named thief, and waits for it. */
static int send_thief(whorl_body *body, void *arg)
{
    struct whorl_task *thief = NULL;
    must(whorl_spawn(body, arg, &(struct whorl_attr){.name = "thief"}, &thief));
    return finish(thief);
}

/* ---- by another task ---- */

static int exit_timeout(void *timeout)
{
    return whorl_timeout_exit(timeout, 0);
}

static int lose_timeout(void *arg)
{
    struct whorl_timeout timeout;
    (void)arg;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    return send_thief(exit_timeout, &timeout);
}

static void test_abort_timeout_left_by_another_task(void **state)
{
    (void)state;
    expect_abort(lose_timeout, "(whorl_timeout_exit by task \"thief\": "
                               "a block that task \"main\" has entered)\n");
}

static int end_group(void *group)
{
    return whorl_group_end(group, 0, NULL);
}

static int lose_group(void *arg)
{
    struct whorl_group group;
    (void)arg;
    must(whorl_group_begin(&group));
    return send_thief(end_group, &group);
}

static void test_abort_group_ended_by_another_task(void **state)
{
    (void)state;
    expect_abort(lose_group, "(whorl_group_end by task \"thief\": "
                             "a block that task \"main\" has entered)\n");
}

static int end_section(void *shield)
{
    whorl_shield_end(shield);
    return 0;
}

static int lose_section(void *arg)
{
    struct whorl_shield shield;
    (void)arg;
    must(whorl_shield_begin(&shield));
    return send_thief(end_section, &shield);
}

static void test_abort_shielded_section_left_by_another_task(void **state)
{
    (void)state;
    expect_abort(lose_section, "(whorl_shield_end by task \"thief\": "
                               "a block that task \"main\" has entered)\n");
}

static void *exit_timeout_on_thread(void *timeout)
{
    (void)exit_timeout(timeout);
    return NULL;
}

static int lose_timeout_to_thread(void *arg)
{
    struct whorl_timeout timeout;
    pthread_t thread;
    (void)arg;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(-pthread_create(&thread, NULL, exit_timeout_on_thread, &timeout));
    return -pthread_join(thread, NULL);
}

static void test_abort_timeout_left_by_a_plain_thread(void **state)
{
    (void)state;
    expect_abort(lose_timeout_to_thread, "(whorl_timeout_exit outside of a task: "
                                         "a block that task \"main\" has entered)\n");
}

/* ---- in the wrong order ---- */

static int exit_outer_timeout_first(void *arg)
{
    struct whorl_timeout outer;
    struct whorl_timeout inner;
    (void)arg;
    must(whorl_timeout_enter(&outer, WHORL_NEVER));
    must(whorl_timeout_enter(&inner, WHORL_NEVER));
    return whorl_timeout_exit(&outer, 0);
}

static int end_group_around_timeout(void *arg)
{
    struct whorl_group group;
    struct whorl_timeout inner;
    (void)arg;
    must(whorl_group_begin(&group));
    must(whorl_timeout_enter(&inner, WHORL_NEVER));
    return whorl_group_end(&group, 0, NULL);
}

static int end_section_around_group(void *arg)
{
    struct whorl_shield shield;
    struct whorl_group group;
    (void)arg;
    must(whorl_shield_begin(&shield));
    must(whorl_group_begin(&group));
    whorl_shield_end(&shield);
    return 0;
}

static void test_abort_block_left_before_the_one_inside(void **state)
{
    (void)state;
    expect_abort(exit_outer_timeout_first, "(whorl_timeout_exit by task \"main\": "
                                           "a block in which another one is still open)\n");
    expect_abort(end_group_around_timeout, "(whorl_group_end by task \"main\": "
                                           "a block in which another one is still open)\n");
    expect_abort(end_section_around_group, "(whorl_shield_end by task \"main\": "
                                           "a block in which another one is still open)\n");
}

static int exit_timeout_twice(void *arg)
{
    struct whorl_timeout timeout;
    (void)arg;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(whorl_timeout_exit(&timeout, 0));
    return whorl_timeout_exit(&timeout, 0);
}

static int exit_timeout_never_entered(void *arg)
{
    struct whorl_timeout timeout = {0};
    (void)arg;
    return whorl_timeout_exit(&timeout, 0);
}

/* ---- of which the begin was refused, what nobody has looked at ---- */

static void fill(void *memory, size_t bytes)
{
    for (unsigned char *at = memory; bytes > 0; bytes--) {
        *at++ = 0x5a;
    }
}

static void exit_timeout_in_a_call(void *arg)
{
    struct whorl_timeout timeout;
    (void)arg;
    fill(&timeout, sizeof timeout);
    (void)!whorl_timeout_enter(&timeout, 0);
    (void)whorl_timeout_exit(&timeout, 0);
}

static void end_section_in_a_call(void *arg)
{
    struct whorl_shield shield;
    (void)arg;
    fill(&shield, sizeof shield);
    (void)!whorl_shield_begin(&shield);
    whorl_shield_end(&shield);
}

static int exit_timeout_refused(void *arg)
{
    (void)arg;
    must(whorl_call_soon(exit_timeout_in_a_call, NULL, NULL, NULL));
    return whorl_sleep(WHORL_SECOND);
}

static int end_section_refused(void *arg)
{
    (void)arg;
    must(whorl_call_soon(end_section_in_a_call, NULL, NULL, NULL));
    return whorl_sleep(WHORL_SECOND);
}

static void test_abort_block_left_whose_begin_was_refused(void **state)
{
    (void)state;
    expect_abort(exit_timeout_refused, "(whorl_timeout_exit outside of a task: "
                                       "a block that was never entered)\n");
    expect_abort(end_section_refused, "(whorl_shield_end outside of a task: "
                                      "a block that was never entered)\n");
}

static int return_from_timeout(void *arg)
{
    static struct whorl_timeout timeout;
    (void)arg;
    return whorl_timeout_enter(&timeout, WHORL_NEVER);
}

static void test_abort_block_left_twice_or_never(void **state)
{
    (void)state;
    expect_abort(exit_timeout_twice, "(whorl_timeout_exit by task \"main\": "
                                     "a block that it has left before)\n");
    expect_abort(exit_timeout_never_entered, "(whorl_timeout_exit by task \"main\": "
                                             "a block that was never entered)\n");
    expect_abort(return_from_timeout, "(task \"main\" returned with a timeout, a group or a shield "
                                      "still open)\n");
}

/* ---- generators ---- */

static struct whorl_generator *new_numbers(whorl_body *body)
{
    const struct whorl_generator_attr attr = {.name = "numbers"};
    struct whorl_generator *numbers = NULL;
    must(whorl_generator_new(body, NULL, &attr, &numbers));
    return numbers;
}

/* A body that yields inside a timeout. */
static int yield_in_timeout(void *arg)
{
    struct whorl_timeout timeout;
    (void)arg;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    return whorl_timeout_exit(&timeout, whorl_generator_yield(NULL, NULL));
}

static int ask(void *generator)
{
    return whorl_generator_next(generator, NULL);
}

static int let_thief_ask(void *arg)
{
    struct whorl_generator *const numbers = new_numbers(yield_in_timeout);
    (void)arg;
    must(ask(numbers));
    return send_thief(ask, numbers);
}

static void test_abort_timeout_of_a_body_left_in_another_task(void **state)
{
    (void)state;
    expect_abort(let_thief_ask, "(whorl_timeout_exit by task \"thief\": "
                                "a block that task \"main\" has entered)\n");
}

static int leave_around_body(void *arg)
{
    struct whorl_timeout timeout;
    struct whorl_generator *const numbers = new_numbers(yield_in_timeout);
    (void)arg;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(ask(numbers));
    return whorl_timeout_exit(&timeout, 0);
}

static void test_abort_asker_leaves_around_an_open_timeout_of_the_body(void **state)
{
    (void)state;
    expect_abort(leave_around_body, "(whorl_timeout_exit by task \"main\": "
                                    "a block in which another one is still open)\n");
}

/* The block lies on the stack of the body. */
static int return_with_group(void *arg)
{
    struct whorl_group group;
    (void)arg;
    return whorl_group_begin(&group);
}

static int ask_one_that_leaves_a_group(void *arg)
{
    (void)arg;
    return ask(new_numbers(return_with_group));
}

static void test_abort_body_returns_with_a_group_open(void **state)
{
    (void)state;
    expect_abort(ask_one_that_leaves_a_group,
                 "(the body of generator \"numbers\" returned in task \"main\" with a timeout, a "
                 "group or a shield still open)\n");
}

static struct whorl_generator *own; /* of a body that gives its own generator back */

static int give_back_own(void *arg)
{
    (void)arg;
    whorl_generator_unref(own);
    return 0;
}

static int ask_one_that_gives_itself_back(void *arg)
{
    (void)arg;
    own = new_numbers(give_back_own);
    return ask(own);
}

static void test_abort_last_reference_goes_inside_the_body(void **state)
{
    (void)state;
    expect_abort(ask_one_that_gives_itself_back,
                 "(whorl_generator_unref: the last reference of generator \"numbers\" goes while a "
                 "task is inside it)\n");
}

/* ---- exit stacks ---- */

static int pass_on(void *arg, int error)
{
    (void)arg;
    return error;
}

static int move_to_full_stack(void *arg)
{
    struct whorl_exit_stack from = {0};
    struct whorl_exit_stack to = {0};
    (void)arg;
    must(whorl_exit_stack_push(&to, pass_on, NULL));
    whorl_exit_stack_move(&to, &from);
    return 0;
}

static void test_abort_exit_stack_moved_to_one_that_is_not_empty(void **state)
{
    (void)state;
    expect_abort(move_to_full_stack, "(whorl_exit_stack_move to a stack that is not empty)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abort_timeout_left_by_another_task),
        cmocka_unit_test(test_abort_group_ended_by_another_task),
        cmocka_unit_test(test_abort_shielded_section_left_by_another_task),
        cmocka_unit_test(test_abort_timeout_left_by_a_plain_thread),
        cmocka_unit_test(test_abort_block_left_before_the_one_inside),
        cmocka_unit_test(test_abort_block_left_twice_or_never),
        cmocka_unit_test(test_abort_block_left_whose_begin_was_refused),
        cmocka_unit_test(test_abort_timeout_of_a_body_left_in_another_task),
        cmocka_unit_test(test_abort_asker_leaves_around_an_open_timeout_of_the_body),
        cmocka_unit_test(test_abort_body_returns_with_a_group_open),
        cmocka_unit_test(test_abort_last_reference_goes_inside_the_body),
        cmocka_unit_test(test_abort_exit_stack_moved_to_one_that_is_not_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
