/*
 * Generators and iterators; rows GEN-1 to GEN-14 of asyncio's semantics.
 */
#include "support/logbook.h"
#include "support/mark.h"
#include "support/play.h"

#include "sched/sched.h"

#include <errno.h>
#include <pthread.h>

static char items[8];

/* A body: gives so many items, cleans up, and keeps what came of it. */
struct source {
    int count;           /* of items */
    bool waits;          /* before each item */
    bool gate_waits;     /* before the first item, for `gate` */
    bool cleans_slowly;  /* its clean-up waits */
    int ignores;         /* so many times it yields again after an error */
    int answer;          /* what it returns; PASS_ON: what its last yield or wait returned */
    struct whorl_future *gate;
    struct whorl_generator *kept; /* by the test, over the end of the runtime */
    uint32_t begun;      /* A: times the body was entered */
    int told;            /* what the last yield or wait returned */
    int cleaned;         /* what the wait of the clean-up returned */
    uint32_t ended;      /* A */
    uint32_t freed;      /* A: arg_free */
    void *sent[8];       /* by each yield */
    struct whorl_task *tasks[8]; /* who ran the body after each yield */
};

static int give_items(struct source *source)
{
    int error = source->gate_waits ? whorl_future_join(source->gate, WHORL_NEVER, NULL) : 0;
    for (int i = 0; error == 0 && i < source->count; i++) {
        error = source->waits ? whorl_yield() : 0;
        if (error == 0) {
            error = whorl_generator_yield(&items[i], &source->sent[i]);
            source->tasks[i] = whorl_task_current();
        }
    }
    return error;
}

static int be_source(void *arg)
{
    struct source *const source = arg;
    mark(&source->begun);
    source->told = give_items(source);
    for (int i = 0; i < source->ignores; i++) {
        source->told = whorl_generator_yield(&items[7], NULL);
    }
    source->cleaned = source->cleans_slowly ? whorl_sleep(WHORL_MILLISECOND) : 0;
    mark(&source->ended);
    return source->answer == PASS_ON ? source->told : source->answer;
}

static void free_source(void *arg)
{
    mark(&((struct source *)arg)->freed);
}

static struct whorl_generator *new_generator(struct source *source)
{
    static const struct whorl_generator_attr attr = {.name = "source", .arg_free = free_source};
    struct whorl_generator *generator;
    source->told = source->cleaned = UNSET;
    must(whorl_generator_new(be_source, source, &attr, &generator));
    return generator;
}

/* ---- GEN-1, GEN-2, GEN-8: items, and the end ---- */

struct reading {
    struct source source;
    int wanted;       /* items to ask for, at most; then the loop is left */
    bool closes;      /* then */
    uint32_t begun_before; /* right after it was made */
    int got;          /* items */
    bool in_order;
    int error;        /* of the last ask */
    int again;        /* of one more */
    int closed;       /* of the close */
    int closed_again;
    int after;        /* of an ask after the close */
    uint32_t ended;   /* before the reference was given back */
};

static void read_all(struct reading *reading, struct whorl_iterator *from)
{
    void *item = NULL;
    reading->in_order = true;
    while (reading->got < reading->wanted &&
           (reading->error = whorl_iterator_next(from, &item)) == 0) {
        reading->in_order = reading->in_order && item == &items[reading->got];
        reading->got++;
    }
}

static int play_reading(void *arg)
{
    struct reading *const reading = arg;
    struct whorl_generator *const generator = new_generator(&reading->source);
    reading->begun_before = level_of(&reading->source.begun);
    read_all(reading, whorl_generator_iterator(generator));
    if (reading->closes) {
        reading->closed = whorl_iterator_close(whorl_generator_iterator(generator));
        reading->closed_again = whorl_generator_close(generator);
        reading->after = whorl_generator_next(generator, NULL);
    } else if (reading->got < reading->wanted) {
        reading->again = whorl_generator_next(generator, NULL);
    }
    reading->ended = level_of(&reading->source.ended);
    whorl_generator_unref(generator);
    return 0;
}

static void test_gen_1_one_item_a_call_and_an_end_of_its_own(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading reading = {.source = {.count = 3, .waits = true}, .wanted = 8};
        assert_int_equal(play(loops, play_reading, &reading), 0);
        assert_int_equal(reading.got, 3);
        assert_true(reading.in_order);
        assert_int_equal(reading.error, -ENODATA);
        assert_int_equal(reading.again, -ENODATA);
        assert_int_equal(reading.source.freed, 1);
    }
}

static int drop_unused(void *arg)
{
    whorl_generator_unref(new_generator(arg));
    return 0;
}

static void test_gen_2_the_body_runs_only_when_asked(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading reading = {.source = {.count = 1}, .wanted = 1};
        struct source unused = {.count = 1};
        assert_int_equal(play(loops, play_reading, &reading), 0);
        assert_int_equal(reading.begun_before, 0);
        assert_int_equal(reading.source.begun, 1);
        assert_int_equal(play(loops, drop_unused, &unused), 0);
        assert_int_equal(unused.begun, 0);
        assert_int_equal(unused.freed, 1);
    }
}

/* ---- GEN-3: one at a time ---- */

struct pair {
    struct source source;
    struct whorl_generator *generator;
    int first, second, closed, inside;
    void *item;
};

static int ask_first(void *arg)
{
    struct pair *const pair = arg;
    pair->first = whorl_generator_next(pair->generator, &pair->item);
    return 0;
}

static int play_pair(void *arg)
{
    struct pair *const pair = arg;
    pair->source.gate = new_future();
    pair->generator = new_generator(&pair->source);
    struct whorl_task *const first = start(ask_first, pair);
    settle(); /* it is inside, and waits for the gate */
    pair->second = whorl_generator_next(pair->generator, NULL);
    pair->closed = whorl_generator_close(pair->generator);
    must(whorl_future_set_result(pair->source.gate, NULL));
    must(finish(first));
    must(whorl_generator_close(pair->generator));
    whorl_generator_unref(pair->generator);
    whorl_future_unref(pair->source.gate);
    return 0;
}

static void test_gen_3_a_second_asker_is_refused_and_the_first_goes_on(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pair pair = {.source = {.count = 1, .gate_waits = true, .answer = PASS_ON}};
        assert_int_equal(play(loops, play_pair, &pair), 0);
        assert_int_equal(pair.second, -EBUSY);
        assert_int_equal(pair.closed, -EBUSY);
        assert_int_equal(pair.first, 0);
        assert_ptr_equal(pair.item, &items[0]);
        assert_int_equal(pair.source.told, -ESHUTDOWN);
    }
}

static int ask_itself(void *arg)
{
    struct pair *const pair = arg;
    pair->inside = whorl_generator_next(pair->generator, NULL);
    return 0;
}

static int play_itself(void *arg)
{
    struct pair *const pair = arg;
    must(whorl_generator_new(ask_itself, pair, NULL, &pair->generator));
    pair->first = whorl_generator_next(pair->generator, NULL);
    whorl_generator_unref(pair->generator);
    return 0;
}

static void test_gen_3_a_body_that_asks_itself_is_refused(void **state)
{
    struct pair pair = {.inside = UNSET};
    (void)state;
    assert_int_equal(play(1, play_itself, &pair), 0);
    assert_int_equal(pair.inside, -EBUSY);
    assert_int_equal(pair.first, -ENODATA);
}

/* ---- GEN-4 to GEN-8: leaving, closing ---- */

static void test_gen_4_leaving_a_loop_early_does_not_close(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading reading = {.source = {.count = 3, .cleans_slowly = true, .answer = PASS_ON},
                                  .wanted = 1};
        assert_int_equal(play(loops, play_reading, &reading), 0);
        assert_int_equal(reading.got, 1);
        assert_int_equal(reading.ended, 0);          /* not by leaving the loop */
        assert_int_equal(reading.source.ended, 1);   /* but in the end */
        assert_int_equal(reading.source.told, -ESHUTDOWN);
        assert_int_equal(reading.source.freed, 1);
    }
}

static void test_gen_5_close_waits_for_a_clean_up_that_waits(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading reading = {.source = {.count = 3, .cleans_slowly = true, .answer = PASS_ON},
                                  .wanted = 1,
                                  .closes = true};
        assert_int_equal(play(loops, play_reading, &reading), 0);
        assert_int_equal(reading.source.told, -ESHUTDOWN);
        assert_int_equal(reading.source.cleaned, 0);
        assert_int_equal(reading.ended, 1);
        assert_int_equal(reading.closed, 0);
    }
}

static void test_gen_6_a_yield_while_it_is_closed_is_an_error(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading reading = {.source = {.count = 3, .ignores = 2}, .wanted = 1,
                                  .closes = true};
        assert_int_equal(play(loops, play_reading, &reading), 0);
        assert_int_equal(reading.closed, -EPROTO);
        assert_int_equal(reading.source.told, -ESHUTDOWN);
        assert_int_equal(reading.ended, 1);
        assert_int_equal(reading.after, -ENODATA);
    }
}

static void test_gen_7_close_of_what_is_not_begun_ended_or_closed_does_nothing(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading fresh = {.source.count = 1, .wanted = 0, .closes = true};
        struct reading ended = {.source.count = 1, .wanted = 8, .closes = true};
        assert_int_equal(play(loops, play_reading, &fresh), 0);
        assert_int_equal(fresh.closed, 0);
        assert_int_equal(fresh.closed_again, 0);
        assert_int_equal(fresh.source.begun, 0);
        assert_int_equal(fresh.source.freed, 1);
        assert_int_equal(play(loops, play_reading, &ended), 0);
        assert_int_equal(ended.closed, 0);
        assert_int_equal(ended.closed_again, 0);
        assert_int_equal(ended.source.freed, 1);
    }
}

static void test_gen_8_asking_a_closed_one_says_that_it_has_ended(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading begun = {.source.count = 3, .wanted = 1, .closes = true};
        struct reading fresh = {.source.count = 3, .wanted = 0, .closes = true};
        assert_int_equal(play(loops, play_reading, &begun), 0);
        assert_int_equal(begun.after, -ENODATA);
        assert_int_equal(play(loops, play_reading, &fresh), 0);
        assert_int_equal(fresh.after, -ENODATA);
    }
}

/* ---- GEN-9: failures ---- */

static void test_gen_9_a_failure_comes_to_the_asker_and_ends_it(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading reading = {.source = {.count = 2, .waits = true, .answer = -EPIPE},
                                  .wanted = 8};
        assert_int_equal(play(loops, play_reading, &reading), 0);
        assert_int_equal(reading.got, 2);
        assert_int_equal(reading.error, -EPIPE);
        assert_int_equal(reading.again, -ENODATA);
    }
}

static void test_gen_9_a_failure_of_the_clean_up_comes_to_who_closes(void **state)
{
    struct reading reading = {.source = {.count = 2, .answer = -EIO}, .wanted = 1, .closes = true};
    (void)state;
    assert_int_equal(play(1, play_reading, &reading), 0);
    assert_int_equal(reading.closed, -EIO);
    assert_int_equal(reading.closed_again, 0);
}

/* ---- sending and throwing ---- */

struct talk {
    struct source source;
    int sent_early, sent, thrown, thrown_new, thrown_over, thrown_zero;
    void *item;
};

static int play_talk(void *arg)
{
    struct talk *const talk = arg;
    struct source unused = {.count = 1};
    struct whorl_generator *const fresh = new_generator(&unused);
    struct whorl_generator *const generator = new_generator(&talk->source);
    talk->sent_early = whorl_generator_send(generator, &items[5], NULL);
    must(whorl_generator_send(generator, NULL, NULL));
    talk->sent = whorl_generator_send(generator, &items[6], &talk->item);
    talk->thrown_zero = whorl_generator_throw(generator, 0, NULL);
    talk->thrown = whorl_generator_throw(generator, -EIO, &talk->item);
    talk->thrown_over = whorl_generator_throw(generator, -EIO, NULL);
    talk->thrown_new = whorl_generator_throw(fresh, -EPIPE, NULL);
    must(whorl_generator_next(fresh, NULL) == -ENODATA ? 0 : -1);
    whorl_generator_unref(fresh);
    whorl_generator_unref(generator);
    return unused.begun == 0 ? 0 : -1;
}

static void test_what_is_sent_and_thrown_comes_out_of_the_yield(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct talk talk = {.source = {.count = 3, .answer = PASS_ON}};
        assert_int_equal(play(loops, play_talk, &talk), 0);
        assert_int_equal(talk.sent_early, -EINVAL);
        assert_int_equal(talk.sent, 0);
        assert_ptr_equal(talk.source.sent[0], &items[6]);
        assert_ptr_equal(talk.item, &items[1]);
        assert_int_equal(talk.thrown_zero, -EINVAL);
        assert_int_equal(talk.thrown, -EIO);
        assert_int_equal(talk.source.told, -EIO);
        assert_null(talk.source.sent[1]);
        assert_int_equal(talk.thrown_over, -ENODATA);
        assert_int_equal(talk.thrown_new, -EPIPE);
    }
}

/* ---- GEN-11, GEN-12: the end of the runtime ---- */

struct end {
    struct source first, second, third;
    struct logbook log;
    bool early;                   /* by whorl_generators_close */
    int closed, late;
    uint32_t ended;
};

static void begin_one(struct source *source)
{
    struct whorl_generator *const generator = new_generator(source);
    must(whorl_generator_next(generator, NULL));
    source->kept = generator;
}

static int play_end(void *arg)
{
    struct end *const end = arg;
    begin_one(&end->first);
    begin_one(&end->second);
    if (end->early) {
        struct whorl_generator *const late = new_generator(&end->third);
        end->closed = whorl_generators_close();
        end->ended = level_of(&end->first.ended) + level_of(&end->second.ended);
        end->late = whorl_generator_next(late, NULL);
        whorl_generator_unref(late);
    }
    return 0;
}

static int run_end(int loops, struct end *end)
{
    const struct whorl_options options = {
        .loops = loops, .no_pin = 1, .log = logbook_write, .log_arg = &end->log};
    const int error = whorl_run(play_end, end, &options);
    whorl_generator_unref(end->first.kept);
    whorl_generator_unref(end->second.kept);
    return error;
}

static void test_gen_11_the_end_closes_all_and_reports_what_fails(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct end end = {
            .first = {.count = 3, .cleans_slowly = true, .answer = PASS_ON},
            .second = {.count = 3, .cleans_slowly = true, .answer = -EPIPE}};
        assert_int_equal(run_end(loops, &end), 0);
        assert_int_equal(end.first.told, -ESHUTDOWN);
        assert_int_equal(end.first.cleaned, 0); /* its wait was no longer cancelled */
        assert_int_equal(end.second.cleaned, 0);
        assert_int_equal(end.first.freed + end.second.freed, 2);
        assert_int_equal(logbook_count(&end.log, "while a generator was closed at the end"), 1);
        assert_int_equal(logbook_count(&end.log, "error: EPIPE"), 1);
        assert_int_equal(logbook_count(&end.log, "generator_name: source"), 1);
    }
}

static void test_gen_11_and_12_closing_all_by_hand(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct end end = {.first = {.count = 3, .cleans_slowly = true, .answer = PASS_ON},
                          .second = {.count = 3, .answer = -EPIPE},
                          .third = {.count = 1},
                          .early = true};
        assert_int_equal(run_end(loops, &end), 0);
        assert_int_equal(end.closed, 0);
        assert_int_equal(end.ended, 2);
        assert_int_equal(end.late, -ESHUTDOWN);
        assert_int_equal(end.third.begun, 0);
        assert_int_equal(end.third.freed, 1);
        assert_int_equal(logbook_count(&end.log, "error occurred while a generator was closed"), 1);
        assert_int_equal(logbook_count(&end.log, "error: EPIPE"), 1);
    }
}

/* A clean-up at the end that begins another generator. */
struct nested {
    struct whorl_generator *outer;
    struct source inner;
    int got;
};

static int begin_in_clean_up(void *arg)
{
    struct nested *const nested = arg;
    const int error = whorl_generator_yield(NULL, NULL);
    struct whorl_generator *const inner = new_generator(&nested->inner);
    nested->got = whorl_generator_next(inner, NULL);
    whorl_generator_unref(inner);
    return error;
}

static int play_nested_end(void *arg)
{
    struct whorl_generator *outer;
    must(whorl_generator_new(begin_in_clean_up, arg, NULL, &outer));
    must(whorl_generator_next(outer, NULL));
    ((struct nested *)arg)->outer = outer;
    return 0;
}

static void test_gen_12_none_begins_once_the_end_closes_them(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nested nested = {.inner.count = 1, .got = UNSET};
        assert_int_equal(play(loops, play_nested_end, &nested), 0);
        assert_int_equal(nested.got, -ESHUTDOWN);
        assert_int_equal(nested.inner.begun, 0);
        assert_int_equal(nested.inner.freed, 1);
        whorl_generator_unref(nested.outer);
    }
}

/* ---- GEN-13: the last reference ---- */

static void *drop(void *generator)
{
    whorl_generator_unref(generator);
    return NULL;
}

struct loss {
    struct source source;
    bool by_thread;
    uint32_t ended;
};

static int play_loss(void *arg)
{
    struct loss *const loss = arg;
    struct whorl_generator *const generator = new_generator(&loss->source);
    must(whorl_generator_next(generator, NULL));
    if (loss->by_thread) {
        pthread_t thread;
        must(pthread_create(&thread, NULL, drop, generator));
        must(pthread_join(thread, NULL));
    } else {
        whorl_generator_unref(generator);
    }
    while (level_of(&loss->source.freed) == 0) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    loss->ended = level_of(&loss->source.ended);
    return 0;
}

static void test_gen_13_the_last_reference_closes_it_by_a_task(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (int by_thread = 0; by_thread <= 1; by_thread++) {
            struct loss loss = {
                .source = {.count = 3, .cleans_slowly = true, .answer = PASS_ON},
                .by_thread = by_thread};
            assert_int_equal(play(loops, play_loss, &loss), 0);
            assert_int_equal(loss.ended, 1);
            assert_int_equal(loss.source.told, -ESHUTDOWN);
            assert_int_equal(loss.source.cleaned, 0);
            assert_int_equal(loss.source.freed, 1);
        }
    }
}

/* ---- GEN-14: a cancel of the asker ---- */

struct cancelled {
    struct source source;
    struct whorl_generator *generator;
    int got, then, timed_out, expired;
    void *name;
};

static int ask_and_wait(void *arg)
{
    struct cancelled *const cancelled = arg;
    cancelled->got = whorl_generator_next(cancelled->generator, NULL);
    cancelled->then = whorl_yield();
    return 0;
}

static int play_cancelled(void *arg)
{
    struct cancelled *const cancelled = arg;
    cancelled->source.gate = new_future();
    cancelled->generator = new_generator(&cancelled->source);
    struct whorl_task *const asker = start(ask_and_wait, cancelled);
    settle();
    must(whorl_cancel(asker, NULL) ? 0 : -1);
    must(finish(asker));
    whorl_generator_unref(cancelled->generator);
    whorl_future_unref(cancelled->source.gate);
    return 0;
}

static void test_gen_14_a_cancel_of_the_asker_goes_into_the_body_first(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct cancelled obeyed = {
            .source = {.count = 1, .gate_waits = true, .cleans_slowly = true, .answer = PASS_ON}};
        assert_int_equal(play(loops, play_cancelled, &obeyed), 0);
        assert_int_equal(obeyed.source.told, -ECANCELED);
        assert_int_equal(obeyed.source.cleaned, 0); /* met once */
        assert_int_equal(obeyed.got, -ECANCELED);
        assert_int_equal(obeyed.then, 0);
        struct cancelled swallowed = {.source = {.count = 1, .gate_waits = true, .answer = 0}};
        assert_int_equal(play(loops, play_cancelled, &swallowed), 0);
        assert_int_equal(swallowed.source.told, -ECANCELED);
        assert_int_equal(swallowed.got, -ENODATA);
    }
}

static int play_timeout(void *arg)
{
    struct cancelled *const cancelled = arg;
    struct whorl_timeout timeout;
    cancelled->source.gate = new_future();
    cancelled->generator = new_generator(&cancelled->source);
    must(whorl_timeout_enter(&timeout, whorl_after(WHORL_MILLISECOND)));
    cancelled->got = whorl_generator_next(cancelled->generator, NULL);
    cancelled->timed_out = whorl_timeout_exit(&timeout, cancelled->got);
    whorl_generator_unref(cancelled->generator);
    whorl_future_unref(cancelled->source.gate);
    return 0;
}

static void test_gen_14_a_deadline_of_the_asker_ends_the_wait_of_the_body(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct cancelled late = {.source = {.count = 1, .gate_waits = true, .answer = PASS_ON}};
        assert_int_equal(play(loops, play_timeout, &late), 0);
        assert_int_equal(late.source.told, -ECANCELED);
        assert_int_equal(late.timed_out, -ETIMEDOUT);
    }
}

/* ---- generators over generators; many tasks; what is the asker's ---- */

static int pass_on(void *arg)
{
    struct whorl_iterator *const from = arg;
    void *item;
    int error;
    while ((error = whorl_iterator_next(from, &item)) == 0 &&
           (error = whorl_generator_yield(item, NULL)) == 0) {
    }
    return error;
}

static int play_chain(void *arg)
{
    struct reading *const reading = arg;
    struct whorl_generator *links[4] = {new_generator(&reading->source)};
    for (int i = 1; i < 4; i++) {
        must(whorl_generator_new(pass_on, whorl_generator_iterator(links[i - 1]), NULL,
                                 &links[i]));
    }
    read_all(reading, whorl_generator_iterator(links[3]));
    for (int i = 4; i > 0; i--) {
        whorl_generator_unref(links[i - 1]);
    }
    return 0;
}

static void test_gen_1_generators_over_generators(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct reading reading = {.source = {.count = 6, .waits = true}, .wanted = 8};
        assert_int_equal(play(loops, play_chain, &reading), 0);
        assert_int_equal(reading.got, 6);
        assert_true(reading.in_order);
        assert_int_equal(reading.error, -ENODATA);
    }
}

enum { SHARERS = 8, SHARED_ITEMS = 2000 };

struct shared {
    struct whorl_generator *generator;
    size_t next;                 /* the body's own */
    size_t got[SHARERS];
    unsigned char seen[SHARED_ITEMS];
};

struct sharer {
    struct shared *shared;
    size_t index;
};

static int count_up(void *arg)
{
    struct shared *const shared = arg;
    int error = 0;
    while (error == 0 && shared->next < SHARED_ITEMS) {
        error = shared->next % 3 == 0 ? whorl_yield() : 0;
        shared->next++;
        if (error == 0) {
            error = whorl_generator_yield(&shared->seen[shared->next - 1], NULL);
        }
    }
    return error;
}

static int ask_often(void *arg)
{
    const struct sharer *const sharer = arg;
    int error = 0;
    void *item;
    while (error != -ENODATA) {
        error = whorl_generator_next(sharer->shared->generator, &item);
        if (error == 0) {
            ++*(unsigned char *)item;
            sharer->shared->got[sharer->index]++;
        }
        must(whorl_yield());
        must(error == 0 || error == -EBUSY || error == -ENODATA ? 0 : error);
    }
    return 0;
}

static int play_shared(void *arg)
{
    struct shared *const shared = arg;
    struct whorl_task *tasks[SHARERS];
    struct sharer sharers[SHARERS];
    must(whorl_generator_new(count_up, shared, NULL, &shared->generator));
    for (size_t i = 0; i < SHARERS; i++) {
        sharers[i] = (struct sharer){shared, i};
        tasks[i] = start(ask_often, &sharers[i]);
    }
    for (size_t i = 0; i < SHARERS; i++) {
        must(finish(tasks[i]));
    }
    whorl_generator_unref(shared->generator);
    return 0;
}

static void test_gen_3_many_tasks_share_one_and_no_item_is_lost(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct shared *const shared = calloc(1, sizeof *shared);
        size_t sum = 0;
        assert_int_equal(play(loops, play_shared, shared), 0);
        for (size_t i = 0; i < SHARED_ITEMS; i++) {
            assert_int_equal(shared->seen[i], 1);
        }
        for (size_t i = 0; i < SHARERS; i++) {
            sum += shared->got[i];
        }
        assert_int_equal(sum, SHARED_ITEMS);
        free(shared);
    }
}

struct owner {
    struct whorl_task *inside[2];
    void *local[2];
    int set_errno;
};

static const struct whorl_local mood = {.initial = &items[0]};

static int look_around(void *arg)
{
    struct owner *const owner = arg;
    int error = 0;
    for (int i = 0; error == 0 && i < 2; i++) {
        owner->inside[i] = whorl_task_current();
        owner->local[i] = whorl_local_get(&mood);
        error = whorl_yield();
        if (error == 0) {
            error = whorl_generator_yield(NULL, NULL);
        }
    }
    return error;
}

static int ask_second(void *arg)
{
    must(whorl_local_set(&mood, &items[2], NULL));
    return whorl_generator_next(arg, NULL);
}

static int play_owner(void *arg)
{
    struct owner *const owner = arg;
    struct whorl_generator *generator;
    must(whorl_generator_new(look_around, owner, NULL, &generator));
    must(whorl_local_set(&mood, &items[1], NULL));
    must(whorl_generator_next(generator, NULL));
    must(owner->inside[0] == whorl_task_current() ? 0 : -1);
    struct whorl_task *const second = start(ask_second, generator);
    must(whorl_await(second, NULL));
    must(owner->inside[1] == second ? 0 : -1);
    whorl_task_unref(second);
    must(whorl_generator_close(generator));
    whorl_generator_unref(generator);
    return 0;
}

static void test_the_body_is_in_the_task_and_context_of_who_asks(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct owner owner = {0};
        assert_int_equal(play(loops, play_owner, &owner), 0);
        assert_ptr_equal(owner.local[0], &items[1]);
        assert_ptr_equal(owner.local[1], &items[2]);
    }
}

/* ---- what is refused ---- */

static int play_outside(void *arg)
{
    (void)arg;
    return whorl_generator_yield(NULL, NULL);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void test_what_is_no_generator_or_no_task_is_refused(void **state)
{
    struct whorl_generator *generator = NULL;
    struct whorl_generator_attr attr = {.stack_bytes = 1};
    (void)state;
    assert_int_equal(play(1, play_outside, NULL), -EPERM);
    assert_int_equal(whorl_generator_yield(NULL, NULL), -EPERM);
    assert_int_equal(whorl_generators_close(), -EPERM);
    assert_int_equal(whorl_generator_new(NULL, NULL, NULL, &generator), -EINVAL);
    assert_int_equal(whorl_generator_new(nothing, NULL, &attr, &generator), -EINVAL);
    attr = (struct whorl_generator_attr){.reserved = {0, 1}};
    assert_int_equal(whorl_generator_new(nothing, NULL, &attr, &generator), -EINVAL);
    assert_null(generator);
    assert_int_equal(whorl_generator_new(nothing, NULL, NULL, &generator), 0);
    assert_string_equal(whorl_generator_name(generator), "generator");
    assert_int_equal(whorl_generator_next(generator, NULL), -EPERM);
    assert_int_equal(whorl_generator_close(generator), -EPERM);
    whorl_generator_unref(generator);
    whorl_generator_unref(NULL);
}

struct second_runtime {
    struct whorl_generator *generator;
    int next, closed;
};

static int ask_from_elsewhere(void *arg)
{
    struct second_runtime *const second = arg;
    second->next = whorl_generator_next(second->generator, NULL);
    second->closed = whorl_generator_close(second->generator);
    return 0;
}

static void *run_second(void *arg)
{
    static const struct whorl_options options = {.loops = 1, .no_pin = 1};
    must(whorl_run(ask_from_elsewhere, arg, &options));
    return NULL;
}

static int play_elsewhere(void *arg)
{
    struct second_runtime *const second = arg;
    struct source source = {.count = 1, .answer = PASS_ON};
    pthread_t thread;
    second->generator = new_generator(&source);
    must(whorl_generator_next(second->generator, NULL));
    must(pthread_create(&thread, NULL, run_second, second));
    must(pthread_join(thread, NULL));
    must(whorl_generator_close(second->generator));
    whorl_generator_unref(second->generator);
    return source.told;
}

static void test_a_generator_stays_in_its_runtime(void **state)
{
    struct second_runtime second = {.next = UNSET, .closed = UNSET};
    (void)state;
    assert_int_equal(play(2, play_elsewhere, &second), -ESHUTDOWN);
    assert_int_equal(second.next, -EXDEV);
    assert_int_equal(second.closed, -EXDEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gen_1_one_item_a_call_and_an_end_of_its_own),
        cmocka_unit_test(test_gen_1_generators_over_generators),
        cmocka_unit_test(test_gen_2_the_body_runs_only_when_asked),
        cmocka_unit_test(test_gen_3_a_second_asker_is_refused_and_the_first_goes_on),
        cmocka_unit_test(test_gen_3_a_body_that_asks_itself_is_refused),
        cmocka_unit_test(test_gen_3_many_tasks_share_one_and_no_item_is_lost),
        cmocka_unit_test(test_gen_4_leaving_a_loop_early_does_not_close),
        cmocka_unit_test(test_gen_5_close_waits_for_a_clean_up_that_waits),
        cmocka_unit_test(test_gen_6_a_yield_while_it_is_closed_is_an_error),
        cmocka_unit_test(test_gen_7_close_of_what_is_not_begun_ended_or_closed_does_nothing),
        cmocka_unit_test(test_gen_8_asking_a_closed_one_says_that_it_has_ended),
        cmocka_unit_test(test_gen_9_a_failure_comes_to_the_asker_and_ends_it),
        cmocka_unit_test(test_gen_9_a_failure_of_the_clean_up_comes_to_who_closes),
        cmocka_unit_test(test_what_is_sent_and_thrown_comes_out_of_the_yield),
        cmocka_unit_test(test_gen_11_the_end_closes_all_and_reports_what_fails),
        cmocka_unit_test(test_gen_11_and_12_closing_all_by_hand),
        cmocka_unit_test(test_gen_12_none_begins_once_the_end_closes_them),
        cmocka_unit_test(test_gen_13_the_last_reference_closes_it_by_a_task),
        cmocka_unit_test(test_gen_14_a_cancel_of_the_asker_goes_into_the_body_first),
        cmocka_unit_test(test_gen_14_a_deadline_of_the_asker_ends_the_wait_of_the_body),
        cmocka_unit_test(test_the_body_is_in_the_task_and_context_of_who_asks),
        cmocka_unit_test(test_what_is_no_generator_or_no_task_is_refused),
        cmocka_unit_test(test_a_generator_stays_in_its_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
