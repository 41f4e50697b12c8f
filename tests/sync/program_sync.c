/*
 * program_sync.c - see program_sync.h.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <stdio.h>

static struct {
    unsigned passes;
    bool runs;
} ticker;

static void tick(void *arg)
{
    (void)arg;
    if (ticker.runs) {
        ticker.passes++;
        must(whorl_call_soon(tick, NULL, NULL, NULL));
    }
}

void pass_begin(void)
{
    if (whorl_loop_count() == 1 && !ticker.runs) {
        ticker.runs = true;
        must(whorl_call_soon(tick, NULL, NULL, NULL));
        must(whorl_yield());
    }
}

void pass_end(void)
{
    if (ticker.runs) {
        ticker.runs = false;
        pass(2);
    }
}

unsigned pass_now(void)
{
    return ticker.passes;
}

void pass(unsigned passes)
{
    while (passes-- > 0) {
        must(whorl_yield());
    }
}

/* ---- programs ---- */

static uint32_t failures; /* A */
static uint32_t events;   /* A */

void expect_at(bool is_so, const char *what, const char *file, int line)
{
    if (!is_so) {
        fprintf(stderr, "%s:%d: it is not so: %s\n", file, line, what);
        (void)whorl__add_u32(&failures, 1);
    }
}

void expect_is_at(long got, long wanted, const char *what, const char *file, int line)
{
    if (got != wanted) {
        fprintf(stderr, "%s:%d: %s is %ld, not %ld\n", file, line, what, got, wanted);
        (void)whorl__add_u32(&failures, 1);
    }
}

unsigned next_event(void)
{
    return whorl__add_u32(&events, 1) + 1;
}

void forget_events(void)
{
    (void)whorl__swap_u32(&events, 0);
}

static void assert_as_expected(void)
{
    assert_int_equal(whorl__swap_u32(&failures, 0), 0);
}

void at_loops(int loops, whorl_body *body)
{
    forget_events();
    assert_int_equal(play(loops, body, NULL), 0);
    assert_as_expected();
}

void at_one_loop(whorl_body *body)
{
    at_loops(1, body);
}

void at_fast_loop(whorl_body *body)
{
    const struct whorl_options options = {.loops = 1, .mode = WHORL_MODE_STEALING};
    forget_events();
    assert_int_equal(whorl_run(body, NULL, &options), 0);
    assert_as_expected();
}

void at_all_loops(whorl_body *body)
{
    at_loops(1, body);
    at_loops(2, body);
    at_loops(LOOPS_MOST, body);
}

static bool home; /* written between two runs */

void at_home(whorl_body *body)
{
    static const int loops[] = {1, 2, LOOPS_MOST};
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        forget_events();
        home = true;
        assert_int_equal(play_at_home(loops[i], body, NULL), 0);
        home = false;
        assert_as_expected();
    }
}

struct whorl_task *start_user(whorl_body *body, void *arg)
{
    return home ? start_here(body, arg) : start(body, arg);
}

void at_no_loop(whorl_body *body)
{
    forget_events();
    assert_int_equal(body(NULL), 0);
    assert_as_expected();
}

/* ---- a thread ---- */

static void *run_beside(void *arg)
{
    struct beside *const beside = arg;
    beside->got = beside->body(beside->arg);
    whorl__store_release_u32(&beside->ended, 1); /* release, pairs the load in beside_finish */
    return NULL;
}

void beside_start(struct beside *beside, whorl_body *body, void *arg)
{
    *beside = (struct beside){.body = body, .arg = arg};
    must(pthread_create(&beside->thread, NULL, run_beside, beside));
}

int beside_finish(struct beside *beside)
{
    while (!whorl__load_acquire_u32(&beside->ended)) { /* acquire, pairs run_beside */
        must(whorl_yield());
    }
    must(pthread_join(beside->thread, NULL));
    return beside->got;
}
