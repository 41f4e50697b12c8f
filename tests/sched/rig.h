/*
 * rig.h - a runtime for tests of the scheduler: options, a recorded log.
 *
 * A failing cmocka assert must not happen in a task: tasks write what they saw into the test's
 * struct, and the test asserts after whorl_run has returned.
 */
#ifndef WHORL_TESTS_SCHED_RIG_H
#define WHORL_TESTS_SCHED_RIG_H

#include "lockfree/spinlock.h"
#include "support/mark.h"
#include "whorl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What the runtime has logged. */
struct journal {
    struct whorl__spinlock lock;
    uint32_t lines;  /* A: M(lock) to write */
    char text[8192]; /* M(lock) */
};

static inline void journal_write(void *arg, const char *line)
{
    struct journal *const journal = arg;
    whorl__spin_lock(&journal->lock);
    const size_t used = strlen(journal->text);
    snprintf(journal->text + used, sizeof journal->text - used, "%s\n", line);
    whorl__add_u32(&journal->lines, 1);
    whorl__spin_unlock(&journal->lock);
}

static inline unsigned journal_count(struct journal *journal, const char *words)
{
    unsigned count = 0;
    whorl__spin_lock(&journal->lock);
    for (const char *at = journal->text; (at = strstr(at, words)) != NULL; at += strlen(words)) {
        count++;
    }
    whorl__spin_unlock(&journal->lock);
    return count;
}

/* Several loops that share work, on whatever cores there are; nothing is named as stuck. */
static inline struct whorl_options stealing_options(int loops, struct journal *journal)
{
    return (struct whorl_options){.loops = loops,
                                  .mode = WHORL_MODE_STEALING,
                                  .no_pin = 1,
                                  .report_ns = WHORL_NEVER,
                                  .log = journal != NULL ? journal_write : NULL,
                                  .log_arg = journal};
}

#endif
