/*
 * once.h - something that is done once, by whoever comes first; the others wait until it is.
 *
 *      static struct whorl_once opened = WHORL_ONCE_INIT;
 *
 *      int error = whorl_once_run(&opened, open_database, NULL);
 *
 * Tasks of any loop, of several runtimes, and plain threads may meet in it.
 *
 *              run    done   init  destroy
 *      run      -      -      X     EBUSY
 *      done     -      -      X       -
 *
 *      -      may meet
 *      X      must not
 *      EBUSY  destroy is refused; who comes after a destroy that was not gets -EINVAL
 */
#ifndef WHORL_ONCE_H
#define WHORL_ONCE_H

#include "whorl/api.h"
#include "whorl/task.h"

#include <stdbool.h>
#include <stdint.h>

WHORL_BEGIN

/* Anywhere: static, on a stack, in other structs. Its contents belong to whorl. */
struct whorl_once {
    uint64_t opaque[8];
};

/* Not done. */
#define WHORL_ONCE_INIT {{0, 0, 0, 0, 0, 0, 0, 0}}

/*
 * whorl_once_init - memory becomes something that was not done; as WHORL_ONCE_INIT, at run time.
 *
 * Returns 0, -EINVAL (NULL).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/once.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_once_init(struct whorl_once *once);

/*
 * whorl_once_destroy - from here on every call with it is -EINVAL, until it is made anew.
 *
 * Returns 0, -EBUSY (somebody does it, or waits for that), -EINVAL (NULL, or destroyed before),
 * -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/once.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_once_destroy(struct whorl_once *once);

/*
 * whorl_once_run - call body(arg) here, unless somebody has done so, or does; then wait for him.
 *
 *   body  0: it is done. -errno: it is not, and the next who waits, or comes, tries again
 *
 * The body may wait; it must not run the same once, for that would wait for itself.
 *
 * Returns 0 (it is done), what the caller's own body returned, -ECANCELED (the caller was cancelled
 * while it waited), -EPERM (it would have to wait, in a callback), -EINVAL (NULL, destroyed),
 * -ECHILD (somebody was at it in the process that this one was forked from).
 *
 * From:    a task; a plain thread, which then blocks; a callback, if nobody is at it
 * Waits:   if somebody is at it         Cancellation point: if it waits     Allocates: no
 * Order:   everything in the body that did it happens before every return of 0
 * Since:   0.1, stable                  Source: runtime/sync/once.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_once_run(struct whorl_once *once, whorl_body *body,
                                               void *arg);

/* Whether it is done; then all of it is seen. False for NULL. */
WHORL_API bool whorl_once_done(const struct whorl_once *once);

WHORL_END

#endif
