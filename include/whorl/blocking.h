/*
 * blocking.h - telling the scheduler that the calling task is about to block its loop.
 *
 *      whorl_blocking_begin("sqlite3_step");
 *      code = sqlite3_step(statement);
 *      whorl_blocking_end();
 *
 * A foreign call that may block for a while holds up the loop that its task runs on. Inside a
 * section other loops know of it at once, without waiting for the monitor to notice: what was
 * ready there is theirs, and they serve its sockets and timers. The call stays on its thread, so
 * no work is handed over, and no argument changes hands.
 *
 * Loops help each other; there are no spare ones. When all are in sections, tasks wait for the
 * first to come back. Tasks pinned to the loop and its callbacks wait as well, and with one loop,
 * or isolated ones, all of its tasks do: there a section is only a name for reports. Where that may
 * happen, and for what blocks long, use whorl_to_thread (executor.h).
 */
#ifndef WHORL_BLOCKING_H
#define WHORL_BLOCKING_H

#include "whorl/api.h"

WHORL_BEGIN

/*
 * whorl_blocking_begin, whorl_blocking_end - the calling task may block its thread between the two.
 *
 *   name  for dumps and for the report of a task that holds its loop; not copied: a string literal,
 *         or what lives as long as the runtime. NULL: "?". Of sections inside one another the
 *         outermost counts
 *
 * Sections may stand inside one another. A call inside that lets other tasks run on this thread (it
 * waits, yields, or begins a task eagerly) ends all of them, and so does the end of the task.
 *
 * Outside a task, on a plain thread, both do nothing: the thread may block as it is. Both return 0,
 * or -EPERM (on a loop's thread outside a task: a callback must not block); whorl_blocking_end also
 * -EINVAL (the task is in no section, or no more).
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   Tokio's block_in_place; not in asyncio
 * Since:   0.1, stable                  Source: runtime/task/blocking.c
 */
WHORL_API int whorl_blocking_begin(const char *name);
WHORL_API int whorl_blocking_end(void);

WHORL_END

#endif
