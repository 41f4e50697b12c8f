/*
 * inside.h - what the runtime needs of debug/, which nothing may include: declared here, defined
 * there, so that the linker takes it along wherever a runtime is started.
 */
#ifndef WHORL_INSIDE_H
#define WHORL_INSIDE_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>

struct whorl_task;

/* Whether the signal may be asked for a dump: it exists, can be caught, and is not our own. */
bool whorl__dump_signal_ok(int number);

/* From now until stop the signal makes the process dump all runtimes to standard error; 0: none.
 * Once for each runtime that wants it. 0 or -EAGAIN: too many different signals. */
WHORL_MUST_USE int whorl__dump_signal_start(int number);

/* The last stop puts back what was there before, unless the program has put something there. */
void whorl__dump_signal_stop(int number);

/* In a child of fork: nobody asks any more, and what was there before is put back. */
void whorl__dump_signal_forked(void);

/* Where a task is, in the words of a dump, state=parked waits=sleep; for who keeps its runtime. */
void whorl__describe_wait(struct whorl_task *task, char *ret_text, size_t bytes);

#endif
