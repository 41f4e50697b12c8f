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

#include <stdbool.h>
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

/* ---- who awaits whom ---- */

struct whorl_future;

enum whorl_graph_kind {
    WHORL_GRAPH_TASK,
    WHORL_GRAPH_FUTURE, /* any other: a plain one, a gather, a shield */
    WHORL_GRAPH_OTHER,  /* a thread that blocks, an iteration: whom nobody awaits */
};

/* One step of a walk: the future that was asked about, then each one's awaiters behind it. */
struct whorl_graph_step {
    enum whorl_graph_kind kind;
    unsigned level;              /* 0: what was asked about; 1: who awaits that; and so on */
    struct whorl_future *future; /* valid during the visit; NULL for others */
    struct whorl_task *task;     /* the same as a task, or NULL */
    uint64_t id;                 /* a task's number; the address of another future; 0 */
    bool again;                  /* it was visited before; who awaits it was told there */
    bool circle;                 /* it was visited on the way here: it waits for itself */
    uint64_t reserved[4];
};

/* Levels without a limit. */
#define WHORL_GRAPH_ALL UINT32_MAX

/* 0 to go on; else the walk ends and returns it. It may not free what it is shown. */
typedef int whorl_graph_visit(const struct whorl_graph_step *step, void *arg);

/*
 * whorl_graph_walk, whorl_graph_print - who awaits a future, who awaits those, and so on, up to the
 * tasks that nobody awaits.
 *
 *   future      a task's is whorl_task_future; NULL: the current task. The caller has a reference
 *   levels_max  0: only itself; 1: also who awaits it; WHORL_GRAPH_ALL
 *   visit       called for each, depth first, in the order in which they began to wait
 *   fd          a line each, as in a dump, indented by two blanks a level; behind the current task
 *               the calls that it is in, innermost first. Not closed
 *
 * A gather awaits its children, and who awaits the gather comes behind it; so does a shield. A
 * group's task awaits the children of the group, and one in whorl_wait what it waits for. In debug
 * mode who stands in line for a lock with WHORL_LOCK_OWNED comes behind the task that owns it (of
 * up to four locks a task). Somebody who awaits in two ways is shown twice. Each step is as of a
 * moment of its own: what ends meanwhile may be missing, or be shown as done.
 *
 * Returns 0, what visit returned, -EPERM (NULL outside a task), -EINVAL (visit is NULL), -ENOMEM;
 * print: what else the write failed with.
 *
 * From:    anywhere, not a signal handler   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: meanwhile
 * Model:   asyncio.capture_call_graph, asyncio.print_call_graph
 * Since:   0.1, stable                  Source: runtime/debug/graph.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_graph_walk(struct whorl_future *future, uint32_t levels_max,
                                                 whorl_graph_visit *visit, void *arg);
WHORL_API WHORL_WARN_UNUSED int whorl_graph_print(struct whorl_future *future, uint32_t levels_max,
                                                  int fd);

/*
 * whorl_future_add_to_awaited_by, whorl_future_discard_from_awaited_by - tell the graph that
 * somebody awaits a future, or does so no more, in a way of the program's own.
 *
 *   awaiter  a future, or a task's (whorl_task_future); it gets a reference until the edge is gone
 *
 * What whorl offers for waiting tells the graph by itself. This is for constructs that wait in the
 * name of others: a lock whose waiters are futures, a task that serves another's request. Only
 * graphs show it; it wakes nobody, and a cancel does not follow it. Told twice, it is there once;
 * to discard what is not there does nothing. It goes when the future is done.
 *
 * Returns 0, -EINVAL (a NULL), -ENOMEM (add), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: one block (add)
 * Model:   asyncio.future_add_to_awaited_by, asyncio.future_discard_from_awaited_by
 * Since:   0.1, stable                  Source: runtime/task/edge.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_future_add_to_awaited_by(struct whorl_future *future,
                                                               struct whorl_future *awaiter);
WHORL_API int whorl_future_discard_from_awaited_by(struct whorl_future *future,
                                                   struct whorl_future *awaiter);

/* ---- debug mode ---- */

struct whorl_task;

/*
 * whorl_debug_set - debug mode of the caller's runtime, from now on: on (not 0), or off.
 *
 * See the option debug of whorl_run, and docs/guide/looking-inside.md for what it does. Tasks that
 * were made while it was off do not know where.
 *
 * Returns 0, or -EPERM (in no task and no callback).
 *
 * From:    a task, a callback           Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   loop.set_debug
 * Since:   0.1, stable                  Source: runtime/task/debugging.c
 */
WHORL_API int whorl_debug_set(int on);

/* 1: the caller's runtime is in debug mode; 0: it is not; -EPERM in no task and no callback. */
WHORL_API int whorl_debug_get(void);

/*
 * whorl_task_origin - where a task was made, if its runtime was in debug mode then.
 *
 *   ret_frames  return addresses, innermost first: who called the spawn, who called that; for
 *               backtrace_symbols or addr2line. A library that is part of the program's own file
 *               shows calls of its own first
 *   max         how many fit; may be 0, then ret_frames may be NULL
 *
 * Returns how many there are, which may be more than max; 0: it is not known; -ECHILD;
 * -EINVAL (task NULL, or no place for the frames).
 *
 * From:    anywhere; the caller has a reference, or is the task    Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   the _source_traceback of a task
 * Since:   0.1, stable                  Source: runtime/task/debugging.c
 */
WHORL_API int whorl_task_origin(struct whorl_task *task, void **ret_frames, int max);

/*
 * whorl_debug_lock_held - tell debug mode that the task has taken a lock, or given one back.
 *
 *   change  1 behind pthread_mutex_lock and its like, -1 before the unlock; 0: nothing
 *
 * A task that waits meanwhile is reported, with -EDEADLK: whoever wants that lock blocks a whole
 * loop, and after the wait the task may unlock on another thread than it has locked. It is for the
 * wrappers that a program has around locks of its own making; libwhorl-locks.so sees the others by
 * itself. The count is the task's, and goes along with it.
 *
 * Returns how many locks the task has by this count, never less than 0: always 0 outside tasks, and
 * while debug mode is off nothing is added.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/task/debugging.c
 */
WHORL_API int whorl_debug_lock_held(int change);

/* ---- counters from outside ---- */

/* The caller's runtime; they are numbered from 1 as they start. 0 outside a task. */
WHORL_API uint64_t whorl_runtime_current(void);

/*
 * whorl_runtimes - which runtimes run in this process.
 *
 *   ret_ids  the first max of them, oldest first; may be NULL
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
