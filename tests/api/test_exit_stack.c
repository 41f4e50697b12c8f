/*
 * Exit stacks and scoped clean-up; rows GEN-10 and GEN-15 to GEN-17 of asyncio's semantics.
 */
#include "support/play.h"

#include <errno.h>
#include <stdio.h>

/* ---- exits that write down what they got ---- */

enum { SAME = 1 }; /* an answer: the error goes on as it is */

struct step {
    struct play_book *book;
    char name;
    int answer;  /* SAME, 0 or -errno */
    bool waits;
    int entered; /* what enter returns */
    int got;     /* the error that the exit got */
    int waited;  /* what its wait returned */
};

struct play_book {
    struct journal journal;
    struct whorl_exit_stack stack;
    struct step steps[4];
    int count;       /* of them to push */
    int enters;      /* of those by enter */
    int entered;     /* what the last enter returned */
    int block;       /* how the block ends; or with what ended it */
    bool cancels;    /* the task is cancelled while the block waits */
    int ended;
    int errors[5];   /* the list; 0 behind the last */
    int then;        /* a wait afterwards */
};

static int enter(void *arg)
{
    return ((struct step *)arg)->entered;
}

static int leave(void *arg, int error)
{
    struct step *const step = arg;
    note(&step->book->journal, step->name);
    step->got = error;
    step->waited = step->waits ? whorl_sleep(WHORL_MILLISECOND) : 0;
    return step->answer == SAME ? error : step->answer;
}

static int run_block(struct play_book *book)
{
    for (int i = 0; i < book->count; i++) {
        struct step *const step = &book->steps[i];
        step->book = book;
        step->name = (char)('a' + i);
        step->got = step->waited = UNSET;
        if (i < book->enters) {
            book->entered = whorl_exit_stack_enter(&book->stack, enter, leave, step);
            if (book->entered != 0) {
                return book->entered;
            }
        } else {
            must(whorl_exit_stack_push(&book->stack, leave, step));
        }
    }
    return book->cancels ? wait_for_ever() : book->block;
}

static int play_book(void *arg)
{
    struct play_book *const book = arg;
    struct whorl_errors *errors = NULL;
    const int block = run_block(book);
    book->ended = whorl_exit_stack_close(&book->stack, block, &errors);
    for (size_t i = 0; i < whorl_errors_count(errors); i++) {
        book->errors[i] = whorl_errors_get(errors, i, NULL);
    }
    whorl_errors_free(errors);
    book->then = whorl_yield();
    return 0;
}

static int play_cancelled_book(void *arg)
{
    struct whorl_task *const task = start(play_book, arg);
    settle();
    must(whorl_cancel(task, NULL) ? 0 : -1);
    return finish(task);
}

static void run_book(int loops, struct play_book *book)
{
    assert_int_equal(play(loops, book->cancels ? play_cancelled_book : play_book, book), 0);
}

/* ---- GEN-15: called on every way out, with the error; may swallow it ---- */

static void test_gen_15_exit_is_called_on_every_way_out_and_gets_the_error(void **state)
{
    static const int ways[] = {0, -EIO, -ECANCELED};
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (size_t i = 0; i < 3; i++) {
            struct play_book book = {.steps = {{.answer = SAME}, {.answer = SAME, .waits = true}},
                                     .count = 2,
                                     .enters = 1,
                                     .block = ways[i],
                                     .cancels = ways[i] == -ECANCELED};
            run_book(loops, &book);
            assert_string_equal(book.journal.text, "ba");
            assert_int_equal(book.steps[0].got, ways[i]);
            assert_int_equal(book.steps[1].got, ways[i]);
            assert_int_equal(book.steps[1].waited, 0); /* the cancel was met in the block */
            assert_int_equal(book.ended, ways[i]);
            assert_int_equal(book.errors[0], ways[i]);
            assert_int_equal(book.errors[1], 0);
        }
    }
}

static void test_gen_15_exit_can_swallow_the_error(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct play_book book = {.steps = {{.answer = SAME}, {.answer = 0}, {.answer = SAME}},
                                 .count = 3,
                                 .block = -EIO};
        run_book(loops, &book);
        assert_string_equal(book.journal.text, "cba");
        assert_int_equal(book.steps[2].got, -EIO);
        assert_int_equal(book.steps[1].got, -EIO);
        assert_int_equal(book.steps[0].got, 0);
        assert_int_equal(book.ended, 0);
        assert_int_equal(book.errors[0], 0);
    }
}

/* A cancel that has not been met yet comes to the first exit that waits, and skips none. */
static int play_pending(void *arg)
{
    struct play_book *const book = arg;
    (void)whorl_cancel(whorl_task_current(), NULL);
    (void)play_book(book);
    return 0;
}

static void test_gen_15_a_pending_cancel_skips_no_exit(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct play_book book = {.steps = {{.answer = SAME, .waits = true},
                                           {.answer = SAME, .waits = true}},
                                 .count = 2};
        assert_int_equal(play(loops, play_pending, &book), 0);
        assert_string_equal(book.journal.text, "ba");
        assert_int_equal(book.steps[1].waited, -ECANCELED);
        assert_int_equal(book.steps[0].waited, 0);
        assert_int_equal(book.then, 0);
    }
}

/* ---- GEN-16: what was not entered is not left ---- */

static void test_gen_16_a_failed_entry_pushes_nothing(void **state)
{
    static const int failures[] = {-EIO, -ECANCELED};
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (size_t i = 0; i < 2; i++) {
            struct play_book book = {.steps = {{.answer = SAME},
                                               {.answer = SAME, .entered = failures[i]}},
                                     .count = 2,
                                     .enters = 2};
            run_book(loops, &book);
            assert_int_equal(book.entered, failures[i]);
            assert_string_equal(book.journal.text, "a");
            assert_int_equal(book.steps[0].got, failures[i]);
            assert_int_equal(book.steps[1].got, UNSET);
        }
    }
}

/* ---- GEN-17: last in, first out; each sees what the one before has left ---- */

static void test_gen_17_last_in_first_out_and_errors_replace_each_other(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct play_book book = {.steps = {{.answer = SAME},
                                           {.answer = -EPIPE},
                                           {.answer = -EBADF},
                                           {.answer = SAME}},
                                 .count = 4,
                                 .block = -EIO};
        run_book(loops, &book);
        assert_string_equal(book.journal.text, "dcba");
        assert_int_equal(book.steps[3].got, -EIO);
        assert_int_equal(book.steps[2].got, -EIO);
        assert_int_equal(book.steps[1].got, -EBADF);
        assert_int_equal(book.steps[0].got, -EPIPE);
        assert_int_equal(book.ended, -EPIPE);
        assert_int_equal(book.errors[0], -EIO); /* the chain */
        assert_int_equal(book.errors[1], -EBADF);
        assert_int_equal(book.errors[2], -EPIPE);
        assert_int_equal(book.errors[3], 0);
    }
}

static void test_gen_17_an_error_of_an_exit_after_a_good_block(void **state)
{
    struct play_book book = {.steps = {{.answer = SAME}, {.answer = -EIO}}, .count = 2};
    (void)state;
    run_book(1, &book);
    assert_int_equal(book.steps[0].got, -EIO);
    assert_int_equal(book.ended, -EIO);
    assert_int_equal(book.errors[0], -EIO);
    assert_int_equal(book.errors[1], 0);
}

/* ---- without a runtime: moving, pushing from an exit, plain functions, using it again ---- */

struct recorder {
    struct whorl_exit_stack *stack;
    char text[16];
};

static void add_letter(struct recorder *recorder, char letter)
{
    recorder->text[strlen(recorder->text)] = letter;
}

static void write_x(void *recorder)
{
    add_letter(recorder, 'x');
}

static int write_y(void *recorder, int error)
{
    add_letter(recorder, 'y');
    return error;
}

static int push_another(void *arg, int error)
{
    struct recorder *const recorder = arg;
    add_letter(recorder, 'p');
    must(whorl_exit_stack_defer(recorder->stack, write_x, recorder));
    return error;
}

static void test_what_an_exit_pushes_is_called_next(void **state)
{
    struct whorl_exit_stack stack = {0};
    struct recorder recorder = {.stack = &stack};
    (void)state;
    must(whorl_exit_stack_push(&stack, write_y, &recorder));
    must(whorl_exit_stack_push(&stack, push_another, &recorder));
    assert_int_equal(whorl_exit_stack_close(&stack, -EIO, NULL), -EIO);
    assert_string_equal(recorder.text, "pxy");
    assert_int_equal(whorl_exit_stack_close(&stack, -EPIPE, NULL), -EPIPE);
    assert_string_equal(recorder.text, "pxy");
}

static void test_a_moved_stack_is_closed_where_it_went(void **state)
{
    struct whorl_exit_stack from = {0};
    struct whorl_exit_stack to = {0};
    struct recorder recorder = {0};
    (void)state;
    must(whorl_exit_stack_defer(&from, write_x, &recorder));
    must(whorl_exit_stack_push(&from, write_y, &recorder));
    whorl_exit_stack_move(&to, &from);
    assert_int_equal(whorl_exit_stack_close(&from, 0, NULL), 0);
    assert_string_equal(recorder.text, "");
    assert_int_equal(whorl_exit_stack_close(&to, 0, NULL), 0);
    assert_string_equal(recorder.text, "yx");
}

static void test_what_is_no_function_is_refused(void **state)
{
    struct whorl_exit_stack stack = {0};
    (void)state;
    assert_int_equal(whorl_exit_stack_push(&stack, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_exit_stack_defer(&stack, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_exit_stack_enter(&stack, NULL, write_y, NULL), -EINVAL);
    assert_int_equal(whorl_exit_stack_enter(&stack, enter, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_exit_stack_closing(&stack, NULL), -EINVAL);
    assert_int_equal(whorl_exit_stack_close(&stack, 0, NULL), 0);
}

#if defined(WHORL_ON_LEAVE)
static int leave_early(struct recorder *recorder, bool early)
{
    WHORL_ON_LEAVE(whorl_exit_stack_leave) struct whorl_exit_stack stack = {0};
    must(whorl_exit_stack_defer(&stack, write_x, recorder));
    if (early) {
        return -EIO;
    }
    must(whorl_exit_stack_defer(&stack, write_x, recorder));
    return whorl_exit_stack_close(&stack, 0, NULL);
}

static void test_gen_15_a_scoped_stack_is_left_by_return(void **state)
{
    struct recorder early = {0};
    struct recorder late = {0};
    (void)state;
    assert_int_equal(leave_early(&early, true), -EIO);
    assert_string_equal(early.text, "x");
    assert_int_equal(leave_early(&late, false), 0);
    assert_string_equal(late.text, "xx");
}
#endif

/* ---- GEN-10: the closing scope ---- */

struct closing {
    int block;   /* how the block ends */
    int answer;  /* what the body returns when it is closed; SAME: what its yield returned */
    bool scoped; /* by WHORL_ON_LEAVE */
    int told;
    int ended;
};

static int give_one(void *arg)
{
    struct closing *const closing = arg;
    closing->told = whorl_generator_yield(NULL, NULL);
    const int waited = whorl_sleep(WHORL_MILLISECOND);
    return waited != 0 ? waited : closing->answer == SAME ? closing->told : closing->answer;
}

static int use_in_stack(struct closing *closing)
{
    struct whorl_exit_stack stack = {0};
    struct whorl_generator *generator;
    must(whorl_generator_new(give_one, closing, NULL, &generator));
    must(whorl_exit_stack_closing(&stack, generator));
    must(whorl_generator_next(generator, NULL));
    const int ended = whorl_exit_stack_close(&stack, closing->block, NULL);
    must(closing->told == -ESHUTDOWN ? 0 : -1); /* right now, not with the last reference */
    whorl_generator_unref(generator);
    return ended;
}

#if defined(WHORL_ON_LEAVE)
static int use_in_scope(struct closing *closing)
{
    WHORL_ON_LEAVE(whorl_generator_leave) struct whorl_generator *generator = NULL;
    must(whorl_generator_new(give_one, closing, NULL, &generator));
    must(whorl_generator_next(generator, NULL));
    return closing->block;
}
#else
#    define use_in_scope use_in_stack
#endif

static int play_closing(void *arg)
{
    struct closing *const closing = arg;
    closing->ended = closing->scoped ? use_in_scope(closing) : use_in_stack(closing);
    return closing->told == -ESHUTDOWN ? 0 : -1;
}

static void test_gen_10_the_closing_scope_closes_on_every_way_out(void **state)
{
    static const struct closing ways[] = {
        {.block = 0, .answer = SAME, .ended = 0},
        {.block = -EIO, .answer = SAME, .ended = -EIO},
        {.block = 0, .answer = -EPIPE, .ended = -EPIPE},
        {.block = -EIO, .answer = -EPIPE, .ended = -EPIPE},
        {.block = 0, .answer = SAME, .scoped = true, .ended = 0},
        {.block = -EIO, .answer = SAME, .scoped = true, .ended = -EIO}};
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            struct closing closing = ways[i];
            closing.ended = UNSET;
            assert_int_equal(play(loops, play_closing, &closing), 0);
            assert_int_equal(closing.ended, ways[i].ended);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gen_15_exit_is_called_on_every_way_out_and_gets_the_error),
        cmocka_unit_test(test_gen_15_exit_can_swallow_the_error),
        cmocka_unit_test(test_gen_15_a_pending_cancel_skips_no_exit),
        cmocka_unit_test(test_gen_16_a_failed_entry_pushes_nothing),
        cmocka_unit_test(test_gen_17_last_in_first_out_and_errors_replace_each_other),
        cmocka_unit_test(test_gen_17_an_error_of_an_exit_after_a_good_block),
        cmocka_unit_test(test_what_an_exit_pushes_is_called_next),
        cmocka_unit_test(test_a_moved_stack_is_closed_where_it_went),
        cmocka_unit_test(test_what_is_no_function_is_refused),
#if defined(WHORL_ON_LEAVE)
        cmocka_unit_test(test_gen_15_a_scoped_stack_is_left_by_return),
#endif
        cmocka_unit_test(test_gen_10_the_closing_scope_closes_on_every_way_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
