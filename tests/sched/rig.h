/*
 * rig.h - a runtime for tests of the scheduler: options, and what support/ has.
 *
 * A failing cmocka assert must not happen in a task: tasks write what they saw into the test's
 * struct, and the test asserts after whorl_run has returned.
 */
#ifndef WHORL_TESTS_SCHED_RIG_H
#define WHORL_TESTS_SCHED_RIG_H

#include "support/logbook.h"
#include "support/mark.h"
#include "support/tell.h"
#include "whorl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Several loops that share work, on whatever cores there are; nothing is named as stuck. */
static inline struct whorl_options stealing_options(int loops, struct logbook *logbook)
{
    return (struct whorl_options){.loops = loops,
                                  .mode = WHORL_MODE_STEALING,
                                  .no_pin = 1,
                                  .report_ns = WHORL_NEVER,
                                  .log = logbook != NULL ? logbook_write : NULL,
                                  .log_arg = logbook};
}

#endif
