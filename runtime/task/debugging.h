/*
 * debugging.h - debug mode: what a runtime looks at only when it was asked to.
 *
 *   where each task was made       noted at its spawn, in its block (extra.h); reports show it
 *   tasks that never began         told of at the end of the runtime
 *   locks held over a wait         the program says which it has: whorl_debug_lock_held; or a
 *                                  library in front of its locks does: task/locks.h
 *   locks held at the end          those that know their owner: nobody else may release them
 *   tasks that hold their loop     each time, not once a task: sched/rescue.c
 *
 * Owns:       struct whorl__origin.
 * Threads:    function by function. runtime->debug is changed by whorl_debug_set at any time: who
 *             looks too early or too late notes, or tells, one thing more or less.
 */
#ifndef WHORL_TASK_DEBUGGING_H
#define WHORL_TASK_DEBUGGING_H

#include "sched/sched.h"

#define WHORL__ORIGIN_FRAMES 8
#define WHORL__TRACE_FRAMES  24

#define WHORL__WAITS_WITH_A_LOCK                                                                   \
    "a task waits while it holds a lock of the program's; who wants it meanwhile blocks a loop, "  \
    "perhaps for ever"

/* Return addresses, the innermost first; the spawn's caller, and whoever called that. */
struct whorl__origin {
    int count;
    void *frames[WHORL__ORIGIN_FRAMES];
};

static inline bool whorl__debugs(const struct whorl__runtime *runtime)
{
    return whorl__load_relaxed_u32(&runtime->debug) != 0; /* relaxed: see Threads */
}

/* What the option and the environment say together. */
bool whorl__debug_wanted(int option);

/* Where the caller's caller stands, innermost first, up to TRACE_FRAMES; as a shared library
 * without our own calls. Returns how many there are. */
WHORL_COLD WHORL_NOINLINE int whorl__debug_trace(void **ret_frames, int max);

/* As one line, cut off to fit. Returns how long it is; 0: without memory. */
size_t whorl__debug_frames_text(void *const *frames, int count, char *ret_text, size_t bytes);

/* The same for a task that nobody sees yet, to keep. Without memory: nothing. */
WHORL_COLD void whorl__debug_note_origin(struct whorl_task *task);

/* As one line; false: it was not noted. For who has a reference on the task, or is it. */
bool whorl__debug_origin_text(struct whorl_task *task, char *ret_text, size_t bytes);

/* The task ends and its body was not called. In the task's place. */
WHORL_COLD void whorl__debug_tell_never_begun(struct whorl_task *task, int error);

/* The running task owns that lock of runtime/sync from now on, or does not any more. Without
 * memory, and of one that was taken before debug mode was on: nothing. */
WHORL_COLD void whorl__debug_lock_owned(struct whorl_task *task, void *lock);
WHORL_COLD void whorl__debug_lock_given(struct whorl_task *task, const void *lock);

/* The running task ends, and has a block: tells of the locks that it owns. */
WHORL_COLD void whorl__debug_tell_of_owned(struct whorl_task *task);

/* The running task has so many notes more (task/locks.h), or less. */
void whorl__debug_locks_noted(int change);

/* The running task waits, or has waited, with a lock of the program's. */
WHORL_COLD void whorl__debug_tell_of_locks(struct whorl_task *task);

#endif
