/*
 * race.h - several ways to the same end, started one after the other: the first that works wins.
 *
 *      struct whorl_attempt attempts[2] = {{.body = ask, .arg = &near},
 *                                          {.body = ask, .arg = &far}};
 *      size_t winner;
 *      int error = whorl_staggered_race(attempts, 2, 250 * WHORL_MILLISECOND, &winner);
 *      if (error == 0) {
 *          use(attempts[winner].value);
 *      }
 */
#ifndef WHORL_RACE_H
#define WHORL_RACE_H

#include "whorl/api.h"
#include "whorl/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

/* One way; zeroed but for what is set. */
struct whorl_attempt {
    whorl_body *body;
    void *arg;
    const struct whorl_attr *attr; /* NULL: the defaults */
    bool started; /* out: a task was made of it: arg is not the caller's any more */
    int error;    /* out, if started: how it ended; else why there is no task, or 0 */
    void *value;  /* out: what it handed over by whorl_return; NULL if it failed */
};

/*
 * whorl_staggered_race - start attempts until one succeeds; cancel the others.
 *
 *   attempts    count of them, at least one. The first starts at once, each other one when the one
 *               before it has failed, or delay_ns after that one has started. The caller's, on any
 *               loop, as tasks of their own
 *   delay_ns    WHORL_NEVER: only a failure starts the next
 *   ret_winner  which one succeeded first
 *
 * When it returns, with whatever, every attempt that was started has ended, and its entry tells
 * how. Two may succeed at the same moment, and one that was cancelled may succeed all the same:
 * there is one winner, and what the others have in `value` is the caller's to give back.
 *
 * Returns 0; the first attempt's error, if all failed; -ECANCELED (the caller was cancelled, and so
 * were the attempts; one of them may have succeeded), -EINVAL (count 0), -ENOMEM, -EPERM (not in a
 * task).
 *
 * From:    a task
 * Waits:   yes, for every attempt that was started, also when the caller is cancelled
 * Cancellation point: yes               Allocates: two blocks, tasks
 * Order:   everything the attempts did happens before the return
 * Model:   asyncio.staggered.staggered_race
 * Since:   0.1, stable                  Source: runtime/task/race.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_staggered_race(struct whorl_attempt *attempts, size_t count,
                                                     int64_t delay_ns, size_t *ret_winner);

WHORL_END

#endif
