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
 */
#ifndef WHORL_SHIELD_H
#define WHORL_SHIELD_H

#include "whorl/api.h"
#include "whorl/future.h"

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

WHORL_END

#endif
