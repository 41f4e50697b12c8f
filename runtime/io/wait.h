/*
 * wait.h - a call on a descriptor: enter it, wait for it, leave it.
 *
 *      struct whorl__call call;
 *      int error = whorl__call_begin_wait(&call, fd);
 *      ...   whorl__call_wait(&call, WHORL__IN, deadline_ns)   when the kernel said EAGAIN
 *      whorl__call_end(&call);
 *
 * Threads:    the calling task's.
 */
#ifndef WHORL_IO_WAIT_H
#define WHORL_IO_WAIT_H

#include "task/park.h"

struct whorl__call {
    struct whorl_task *task;
    struct whorl__record *record;
};

static inline int whorl__call_enter(struct whorl__call *call, int fd)
{
    call->record = whorl__record_find(&call->task->runtime->records, fd);
    return call->record == NULL ? -EBADF : whorl__record_enter(call->record);
}

/* 0, -EPERM or -ECHILD (not in a task), -EBADF. */
WHORL_MUST_USE static inline int whorl__call_begin(struct whorl__call *call, int fd)
{
    call->task = whorl__task_current();
    return WHORL_UNLIKELY(call->task == NULL) ? whorl__error_outside()
                                              : whorl__call_enter(call, fd);
}

/* The same for a call that may have to wait; -ECANCELED, too: park.h, spend. */
WHORL_MUST_USE static inline int whorl__call_begin_wait(struct whorl__call *call, int fd)
{
    call->task = whorl__task_current();
    if (WHORL_UNLIKELY(call->task == NULL)) {
        return whorl__error_outside();
    }
    const int error = whorl__spend(call->task->loop, WHORL__COST_IO);
    return WHORL_UNLIKELY(error != 0) ? error : whorl__call_enter(call, fd);
}

/* The last call on a descriptor that is being closed takes it off its poller and closes it. */
void whorl__call_retire(struct whorl__call *call);

static inline void whorl__call_end(struct whorl__call *call)
{
    if (WHORL_UNLIKELY(whorl__record_leave(call->record))) {
        whorl__call_retire(call);
    }
}

/*
 * Waits until one of several directions is ready, or may be (bit 1 << direction each). 0,
 * -ETIMEDOUT, -EBADF (closed meanwhile), -EBUSY (another task waits), -ENOMEM, -EPERM (the poller
 * does not take it), or -ECANCELED: a request is pending; it is not taken, since a caller that has
 * moved bytes already reports those first.
 */
WHORL_MUST_USE int whorl__call_wait_any(struct whorl__call *call, unsigned directions,
                                        int64_t deadline_ns);

WHORL_MUST_USE static inline int whorl__call_wait(struct whorl__call *call,
                                                  enum whorl__direction direction,
                                                  int64_t deadline_ns)
{
    return whorl__call_wait_any(call, 1U << direction, deadline_ns);
}

/* What the kernel answered. Its own ECANCELED (a timerfd whose clock was set) is a failure like
 * others: from whorl's calls, -ECANCELED means that the task was cancelled. */
static inline ssize_t whorl__call_answer(ssize_t answer)
{
    return WHORL_UNLIKELY(answer == -ECANCELED) ? -EIO : answer;
}

/*
 * What a call returns that waited for nothing and moved nothing: the cancel is taken now. 0 if it
 * was withdrawn meanwhile: try again.
 */
int whorl__call_failed(struct whorl__call *call, int error);

/* Makes fd one of ours. What is no socket is shown to the poller at once, which refuses regular
 * files (-EPERM). 0, -ENOMEM, -EEXIST, -EBADF; on failure fd stays the caller's, and open. */
WHORL_MUST_USE int whorl__call_adopt(struct whorl_task *task, int fd, enum whorl__kind kind);

/* Within a call: closes its descriptor. Whoever waits on it is woken; the number goes back to the
 * kernel when the last call has ended. 0 or -EBADF (closed by another one before). */
int whorl__call_close(struct whorl__call *call);

#endif
