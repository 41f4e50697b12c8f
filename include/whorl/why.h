/*
 * why.h - why did this end: who asked a task to, and through whom the request came.
 *
 *      struct whorl_why why;
 *      char text[WHORL_WHY_TEXT];
 *      if (whorl_task_why(task, &why) == 0) {
 *          whorl_why_print(&why, text, sizeof text);  // a deadline of task 3 "visit"; through ...
 *      }
 *
 * It is noted when a task is asked, and kept as long as the task. Of several requests it is the
 * newest that counts, as with the message; `requests` tells how many there are. Dumps have it as
 * `why`, and so have the reports about the task.
 */
#ifndef WHORL_WHY_H
#define WHORL_WHY_H

#include "whorl/api.h"
#include "whorl/task.h"

#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

enum whorl_why_cause {
    WHORL_WHY_NONE,     /* nobody has asked it to end */
    WHORL_WHY_UNKNOWN,  /* it was asked, and there was no memory to note by whom */
    WHORL_WHY_TASK,     /* by a task */
    WHORL_WHY_CALLBACK, /* by a callback */
    WHORL_WHY_THREAD,   /* by a thread that is no loop's */
    WHORL_WHY_DEADLINE, /* by a timeout block whose time is over */
    WHORL_WHY_GROUP,    /* by its group, of which something has failed */
    WHORL_WHY_SHUTDOWN, /* by the end of the runtime */
};

#define WHORL_WHY_HOPS 4

/* One that was asked first, and awaited the next: it was passed on. */
struct whorl_why_hop {
    uint64_t task; /* its number, the N of Task-N; 0: a gather */
    char name[WHORL_TASK_NAME_MAX + 1];
};

/* What does not apply is 0. All of it stays valid when those that it names are gone. */
struct whorl_why {
    enum whorl_why_cause cause;
    int requests;        /* that stand: made, and neither taken back nor used up by their block */
    uint64_t task;       /* TASK: who asked; DEADLINE: whose block; GROUP: the child that failed, or
                          * the task that began the group */
    char name[WHORL_TASK_NAME_MAX + 1]; /* that task's */
    const char *message; /* what whorl_cancel was given */
    const void *block;   /* the struct whorl_timeout or whorl_group; to be compared only */
    int64_t deadline_ns; /* DEADLINE: which */
    unsigned outside;    /* DEADLINE: timeouts, groups and shields that were open around it */
    uint32_t thread;     /* THREAD: the kernel's number */
    unsigned hops;       /* awaits that the request came through; the first ones stand in hop */
    struct whorl_why_hop hop[WHORL_WHY_HOPS]; /* hop[0] was asked first */
    uint64_t reserved[6]; /* 0 */
};

/* Room for every text of whorl_why_print but for very long messages. */
#define WHORL_WHY_TEXT 512

/*
 * whorl_task_why - why a task was asked to end.
 *
 *   ret_why  cause is WHORL_WHY_NONE if it was not. That it was asked does not tell that it has
 *            obeyed: see whorl_task_cancelled
 *
 * Returns 0, -ECHILD, -EINVAL (task or ret_why NULL).
 *
 * From:    anywhere; the caller has a reference, or is the task    Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   none in asyncio; Go's context.Cause
 * Since:   0.1, stable                  Source: runtime/task/why.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_task_why(struct whorl_task *task, struct whorl_why *ret_why);

/*
 * whorl_why_print - the same in a line of words, without a line's end.
 *
 *   ret_text  may be NULL if bytes is 0; else 0-ended, and cut off to fit
 *
 * Returns how long all of it is, as snprintf does; -EINVAL (why NULL, or no place for the text).
 *
 * From:    anywhere, also a signal handler   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/task/why.c
 */
WHORL_API int whorl_why_print(const struct whorl_why *why, char *ret_text, size_t bytes);

WHORL_END

#endif
