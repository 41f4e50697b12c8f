/*
 * shield.h - keep something running though the one who waits for it is cancelled.
 *
 *      struct whorl_future *shielded;
 *      int error = whorl_shield(whorl_task_future(commit), &shielded);
 *      if (error == 0) {
 *          error = whorl_future_await(shielded, NULL);   // -ECANCELED: commit runs on
 *          whorl_future_unref(shielded);
 *      }
 *
 * A cancel of the caller ends the wait all the same. What ends the runtime reaches the task inside,
 * too. For a single wait whorl_join does the same without a shield.
 *
 * A shielded section is for clean-up that waits, in the task itself:
 *
 *      struct whorl_shield shield;
 *      int error = whorl_shield_begin(&shield);
 *      if (error == 0) {
 *          error = say_goodbye(peer);     // no cancel comes in here
 *          whorl_shield_end(&shield);     // and is not lost: it comes at the next wait
 *      }
 */
#ifndef WHORL_SHIELD_H
#define WHORL_SHIELD_H

#include "whorl/api.h"
#include "whorl/future.h"

#include <stdint.h>

WHORL_BEGIN

/*
 * whorl_shield - a future that ends as `inner` does, and takes a cancel in its place.
 *
 *   ret_shield  the caller's reference. If inner is done already it is inner itself
 *
 * Cancelling it (or a task that awaits it) completes it at once, and leaves inner alone. If inner
 * is cancelled by somebody else, so is the shield. It keeps a reference on inner until one of the
 * two has ended.
 *
 * Returns 0, -ENOMEM, -EINVAL (inner NULL).
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: a block
 * Order:   everything before inner's completion happens before the return of who awaits the shield
 * Model:   asyncio.shield
 * Since:   0.1, stable                  Source: runtime/task/shield.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_shield(struct whorl_future *inner,
                                             struct whorl_future **ret_shield);

/* A section. Lives on the stack of the task that begins it; its contents belong to whorl. */
struct whorl_shield {
    uint64_t opaque[24];
};

/*
 * whorl_shield_begin - from here on no cancel from outside reaches the calling task.
 *
 * Until whorl_shield_end a request by whorl_cancel, by the end of the runtime, or by a timeout or
 * group that was open before, is counted and held back, also one that was pending already: it ends
 * no wait, and is not passed on to what the task awaits. Timeouts and groups that are opened inside
 * work as ever; a deadline inside is what keeps clean-up from taking for ever. Sections nest.
 *
 * Returns 0, -EPERM (not in a task), -EALREADY (the caller is in this section), -EINVAL (NULL).
 *
 * From:    a task                       Thread-safe: no: the section is the caller's
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   anyio.CancelScope(shield=True); asyncio has none
 * Since:   0.1, stable                  Source: runtime/task/shield.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_shield_begin(struct whorl_shield *shield);

/*
 * whorl_shield_end - leave the section; what was held back comes at the next wait. Does nothing if
 * it is NULL.
 *
 * From:    the task that began it, what was opened inside closed before; else the process aborts,
 *          with a line that names the call and the task
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/task/shield.c
 */
WHORL_API void whorl_shield_end(struct whorl_shield *shield);

WHORL_END

#endif
