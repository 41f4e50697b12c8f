/*
 * play.h - run a program of tasks for a test, and keep what it saw.
 *
 * A failing cmocka assert jumps to the test's own stack, so a task never calls one: it writes down
 * what it saw, in a struct of the test, and the test asserts when whorl_run has returned. What a
 * task cannot do without (memory, a spawn) aborts the program if it fails: see must().
 *
 * At one loop the order of tasks is asyncio's and a journal may be kept. At several loops a task
 * writes only to fields of its own, and others read them once they have waited for it.
 */
#ifndef WHORL_TESTS_SUPPORT_PLAY_H
#define WHORL_TESTS_SUPPORT_PLAY_H

#include "support/tell.h"
#include "whorl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Rows that do not depend on an order must hold at one loop, two, and as many as this. */
enum { LOOPS_MOST = 4 };

/* A code that no call of whorl returns: tells "not written" from every result. */
enum { UNSET = 12345 };

/* ---- from the test ---- */

/* Runs body(arg) on so many loops. Asserts that no thread and no descriptor is left over. */
int play(int loops, whorl_body *body, void *arg);

/* The same with the body on the last loop and nowhere else: callbacks that it makes, and those that
 * they make, are called between two of its waits, and never at the same time as it runs. */
int play_at_home(int loops, whorl_body *body, void *arg);

/* How many entries a folder of /proc/self has: "task" (threads) or "fd". */
int count_own(const char *folder);

/* Whether it has no more than so many in the end. A thread that was joined is listed a moment
 * longer: now, or when `count` was counted, so that it may end up with fewer. */
bool comes_down_to(const char *folder, int count);

/* ---- from anywhere ---- */

/* Aborts, with the place, unless error is 0. */
void must_at(int error, const char *file, int line);
#define must(error) must_at(error, __FILE__, __LINE__)

struct whorl_future *new_future(void);

/* ---- from a task ---- */

struct whorl_task *start(whorl_body *body, void *arg);

/* Awaits, gives the handle back, and returns what the await did. */
int finish(struct whorl_task *task);

/* As start, where the task must not begin before the caller waits: with several loops it stays on
 * the caller's, which is taken until then. */
struct whorl_task *start_here(whorl_body *body, void *arg);

/* Lets everything that is ready go as far as it can: when it returns, every other task of the
 * runtime is parked or has ended. What another thread or a timer wakes, it does not wait for. */
void settle(void);

/* Ends the body that calls it once it has been cancelled, and not before. */
int wait_for_ever(void);

/* ---- an order of events; one loop only ---- */

struct journal {
    char text[128];
};

/* Adds one letter. */
void note(struct journal *journal, char letter);

/* ---- a task of many uses ---- */

/* It completes `begun` (if any), waits on `gate` (for ever if NULL), and keeps what came of it. */
struct sitter {
    struct whorl_future *begun;
    struct whorl_future *gate;
    int answer; /* what it returns then; PASS_ON: what the wait returned */
    void *value;
    bool ran;
    int got;
    const char *message;
};

enum { PASS_ON = 1 };

int sit(void *sitter);

#endif
