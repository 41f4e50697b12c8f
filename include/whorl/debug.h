/*
 * debug.h - looking inside: every task and loop as text, and counters for a monitor.
 *
 * All of it works from outside, while loops run or are stuck: nothing waits for a loop, and what
 * cannot be read at the moment is shown as "?". docs/guide/looking-inside.md explains the output.
 */
#ifndef WHORL_DEBUG_H
#define WHORL_DEBUG_H

#include "whorl/api.h"
#include "whorl/stats.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

WHORL_BEGIN

/*
 * whorl_dump - write what all runtimes of this process are doing: each loop, each task, one a line.
 *
 *   fd  where to; nothing is closed. A write that would block blocks the caller alone; the end of a
 *       runtime waits for a dump of it that is under way
 *
 * A line is words of the form key=value, in a stable order. Tasks: id, name, state (ready, running,
 * parked, done), loop, age, what a parked one waits for and since when, whom it awaits, pending
 * cancel, stack in use. Loops: state, the task they are in and for how long, queues. See also the
 * option dump_signal, which does the same to standard error.
 *
 * Returns 0, -EBADF, -ENOSPC, -EPIPE (no signal is raised), -EAGAIN (fd is non-blocking and full)
 * or what else the write failed with: the dump is then cut off.
 *
 * From:    anywhere, also a signal handler   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.all_tasks, Task.print_stack; Go's SIGQUIT
 * Since:   0.1, stable                  Source: runtime/debug/dump.c
 */
WHORL_API int whorl_dump(int fd);

/* ---- counters from outside ---- */

/* The caller's runtime; they are numbered from 1 as they start. 0 outside a task. */
WHORL_API uint64_t whorl_runtime_current(void);

/*
 * whorl_runtimes - which runtimes run in this process.
 *
 *   ret_ids  the first max of them, oldest first; may be NULL if max is 0
 *
 * Returns how many there are, which may be more than max.
 *
 * From:    anywhere, also a signal handler   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/debug/stats.c
 */
WHORL_API size_t whorl_runtimes(uint64_t *ret_ids, size_t max);

/*
 * whorl_stats_of - the counters of any runtime, from any thread.
 *
 *   runtime  its number; 0: the only one there is
 *   loop     from 0, or -1: all, and the tasks that plain threads have made
 *
 * Returns 0, -ESRCH (it has ended, or was never there; for 0: there is none, or several), -EINVAL
 * (no such loop, or ret_stats is NULL). The runtime may end at any time: that waits for the call.
 *
 * From:    anywhere, also a signal handler   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/debug/stats.c
 */
WHORL_API int whorl_stats_of(uint64_t runtime, int loop, struct whorl_stats *ret_stats);

enum whorl_stats_format {
    WHORL_STATS_TEXT,       /* for people: a line a counter, a column a loop */
    WHORL_STATS_PROMETHEUS, /* text exposition 0.0.4: text/plain; version=0.0.4 */
};

/*
 * whorl_stats_print, whorl_stats_write - the counters of all runtimes as text.
 *
 *   ret_text  as snprintf: cut off to fit and 0-ended; may be NULL if bytes is 0
 *
 * print returns the length of the whole text, which may be more than fitted; write returns 0 or
 * what the write failed with, as whorl_dump. Both: -EINVAL (no such format).
 *
 * From:    anywhere, also a signal handler   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/debug/stats.c
 */
WHORL_API ssize_t whorl_stats_print(enum whorl_stats_format format, char *ret_text, size_t bytes);
WHORL_API int whorl_stats_write(enum whorl_stats_format format, int fd);

WHORL_END

#endif
