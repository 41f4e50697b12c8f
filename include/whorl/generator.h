/*
 * generator.h - functions that give one item after another, and may wait in between.
 *
 *      static int count(void *arg)                     // the body
 *      {
 *          for (int i = 0; i < 3; i++) {
 *              int error = whorl_sleep(WHORL_MILLISECOND);
 *              if (error == 0) {
 *                  error = whorl_generator_yield(&numbers[i], NULL);
 *              }
 *              if (error != 0) {
 *                  return error;                       // closed, or cancelled
 *              }
 *          }
 *          return 0;
 *      }
 *
 *      whorl_generator_new(count, NULL, NULL, &items);
 *      while ((error = whorl_generator_next(items, &item)) == 0) {
 *          use(item);
 *      }
 *      whorl_generator_close(items);
 *      whorl_generator_unref(items);
 *
 * The body has a stack of its own, but it is no task: it runs inside the task that asks for the
 * next item, while that one waits for it. So it has that task's name, context and deadlines, a
 * cancel of the task ends the wait that the body is in, and whorl_return in it sets that task's
 * result. The next item may be asked for by another task, on another loop.
 *
 * A timeout or a group that the body has open at a yield is the asking task's and goes on while
 * that uses the item. The same task must then ask again until the body has closed it, inside what
 * it has opened itself. Else the process aborts where the block is left, as it does where a body
 * returns with one open, with a line that names the call, or the generator, and the task.
 */
#ifndef WHORL_GENERATOR_H
#define WHORL_GENERATOR_H

#include "whorl/api.h"
#include "whorl/iterator.h"
#include "whorl/runtime.h"

#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

/* Counted: who has a reference may ask; one that is lost leaves a generator for ever. */
struct whorl_generator;

#define WHORL_GENERATOR_NAME_MAX 31 /* bytes; longer names are cut */

/* Zeroed attributes are the defaults; reserved words: as in struct whorl_options. */
struct whorl_generator_attr {
    const char *name;            /* for reports; copied; NULL: "generator" */
    size_t stack_bytes;          /* 0: the runtime's default; 16 KiB to 64 MiB */
    void (*arg_free)(void *arg); /* called exactly once when the body has ended, begun or not */
    uint64_t reserved[3];        /* 0 */
};

/*
 * whorl_generator_new - a generator that will run body(arg). Nothing runs before the first item is
 * asked for.
 *
 *   attr           NULL for the defaults; copied
 *   ret_generator  the caller's reference, to be given back by whorl_generator_unref
 *
 * Returns 0, -EINVAL (body NULL, stack too small or too large, a reserved word that is not zero),
 * -ENOMEM. On failure arg stays the caller's.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Model:   calling an async def that has a yield
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_generator_new(whorl_body *body, void *arg,
                                                    const struct whorl_generator_attr *attr,
                                                    struct whorl_generator **ret_generator);

/*
 * whorl_generator_yield - in a body: hand an item to who asked, and wait until the next is wanted.
 *
 *   ret_sent  what the next asker sent, NULL if nothing; written on success only; may be NULL
 *
 * Returns 0; -ESHUTDOWN: it is being closed, and the body should clean up and return; what
 * whorl_generator_throw gave; -EPERM (not in a body). A body that is being closed gets -ESHUTDOWN
 * from every yield, its item goes nowhere, and the close will say -EPROTO.
 *
 * From:    the body of a generator      Thread-safe: no: it is its own
 * Waits:   no: its task goes on without it
 * Cancellation point: no                Allocates: no
 * Order:   everything before the call happens before the asker's return
 * Model:   yield in an async def
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_generator_yield(void *item, void **ret_sent);

/*
 * whorl_generator_next - run the body to its next yield.
 *
 *   ret_item  what it yielded; written on success only; may be NULL
 *
 * Returns 0; -ENODATA: it has ended, or was closed (also what a body that returned 0 says first);
 * what the body returned, if that was no 0, which ends it; -EBUSY: another task is inside it, or
 * the body asks itself; -ENOMEM: no room for its stack, and nothing has begun; -ESHUTDOWN: the
 * runtime has closed its generators, and begins no more; -EXDEV: it was begun in another runtime;
 * -EPERM (not in a task).
 *
 * From:    a task                       Thread-safe: yes; one at a time
 * Waits:   as the body does             Cancellation point: if the body waits, and there
 * Allocates: a stack at the first call
 * Order:   everything the body did happens before the return
 * Model:   anext
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_generator_next(struct whorl_generator *generator,
                                                     void **ret_item);

/*
 * whorl_generator_send - as next, and the yield that the body waits in says what was sent.
 *
 * Returns as whorl_generator_next; -EINVAL: something other than NULL is sent to a body that has
 * not begun, which waits in no yield.
 *
 * From:    a task                       Thread-safe: yes; one at a time
 * Waits:   as the body does             Cancellation point: if the body waits, and there
 * Allocates: a stack at the first call
 * Model:   asend
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_generator_send(struct whorl_generator *generator, void *sent,
                                                     void **ret_item);

/*
 * whorl_generator_throw - as next, and the yield that the body waits in returns `error`.
 *
 * A body that has not begun never does: it has ended, and the call returns error.
 *
 * Returns as whorl_generator_next; -EINVAL: error is not negative.
 *
 * From:    a task                       Thread-safe: yes; one at a time
 * Waits:   as the body does             Cancellation point: if the body waits, and there
 * Allocates: no
 * Model:   athrow
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_generator_throw(struct whorl_generator *generator, int error,
                                                      void **ret_item);

/*
 * whorl_generator_close - make it end: the yield it waits in returns -ESHUTDOWN, and the call
 * returns when the body has. The clean-up there may wait.
 *
 * Returns 0, also if it never began, has ended, or was closed; what the body returned, unless that
 * is 0, -ESHUTDOWN or -ENODATA; -EPROTO: the body has yielded again; -EBUSY, -EXDEV, -EPERM as
 * whorl_generator_next.
 *
 * From:    a task                       Thread-safe: yes; one at a time
 * Waits:   as the body does             Cancellation point: if the body waits, and there
 * Allocates: no
 * Model:   aclose
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API int whorl_generator_close(struct whorl_generator *generator);

/*
 * whorl_generators_close - close all generators of the caller's runtime that were begun and have
 * not ended, all together, each in a task of its own.
 *
 * What goes wrong in one goes to the exception handler. Another task that is inside one at this
 * moment stays so, which is reported as -EBUSY. Afterwards no other generator can be begun. The end
 * of a runtime does the same, when its tasks have ended.
 *
 * Returns 0, -EPERM (not in a task), -ECANCELED (the caller was cancelled; they are being closed
 * all the same), -ENOMEM (not all: the end of the runtime will).
 *
 * From:    a task, not from inside a generator       Thread-safe: yes
 * Waits:   yes                          Cancellation point: yes     Allocates: a task for each
 * Model:   loop.shutdown_asyncgens
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API int whorl_generators_close(void);

/* The name it was given, "generator" without. From anywhere; neither waits nor allocates. */
WHORL_API const char *whorl_generator_name(const struct whorl_generator *generator);

/* The generator as an iterator, which lives as long. From anywhere; neither waits nor allocates. */
WHORL_API struct whorl_iterator *whorl_generator_iterator(struct whorl_generator *generator);

/*
 * whorl_generator_ref, whorl_generator_unref - one more reference; one less. ref returns its
 * argument, unref takes NULL as well.
 *
 * Where the last one goes while the body waits in a yield, a task of its runtime is made that
 * closes it; what goes wrong there goes to the exception handler.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no
 * Allocates: unref a task, if it was begun and has not ended
 * Model:   the references of an async generator, and its finalizer
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API struct whorl_generator *whorl_generator_ref(struct whorl_generator *generator);
WHORL_API void whorl_generator_unref(struct whorl_generator *generator);

WHORL_END

#endif
