/*
 * program_sync.h - what the tests of this folder share: passes that are counted, tasks that are
 * watched, loops that are tried.
 */
#ifndef WHORL_TESTS_SYNC_PROGRAM_SYNC_H
#define WHORL_TESTS_SYNC_PROGRAM_SYNC_H

#include "support/play.h"

#include <pthread.h>

/* ---- passes; at several loops there are none: these do nothing, and it is always pass 0 ---- */

/* From here on they are counted; both take a pass or two. */
void pass_begin(void);
void pass_end(void);
unsigned pass_now(void);

/* So many passes. */
void pass(unsigned passes);

/* ---- programs that check themselves ---- */

/* From tasks and threads: writes down, with the place, what is not as it should be. */
#define EXPECT(condition) expect_at(condition, #condition, __FILE__, __LINE__)
#define EXPECT_IS(got, wanted) expect_is_at(got, wanted, #got, __FILE__, __LINE__)
void expect_at(bool is_so, const char *what, const char *file, int line);
void expect_is_at(long got, long wanted, const char *what, const char *file, int line);

/* Each a test: body(NULL) at so many loops; at one; at one in fast order, who was woken last first;
 * at one, two and LOOPS_MOST; in no loop at all. Asserts that it returned 0, and that nothing was
 * written down. */
void at_loops(int loops, whorl_body *body);
void at_one_loop(whorl_body *body);
void at_fast_loop(whorl_body *body);
void at_all_loops(whorl_body *body);
void at_no_loop(whorl_body *body);

/* At one loop; and at several with the body, and whom it begins by start_user, on one of them and
 * nowhere else: who was woken runs when the body waits, and not before. */
void at_home(whorl_body *body);
struct whorl_task *start_user(whorl_body *body, void *arg);

/* An order of events, of any threads: the n-th of them, from 1. */
unsigned next_event(void);
void forget_events(void);

/* ---- one thread, beside the loops ---- */

/* Runs body(arg) in a plain thread, until which is joined. */
struct beside {
    whorl_body *body;
    void *arg;
    int got;
    uint32_t ended; /* A */
    pthread_t thread;
};

void beside_start(struct beside *beside, whorl_body *body, void *arg);
/* From a task: gives way until it has ended. */
int beside_finish(struct beside *beside);

#endif
