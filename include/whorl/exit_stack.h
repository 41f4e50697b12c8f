/*
 * exit_stack.h - what is to be undone when a block ends, however it ends.
 *
 *      struct whorl_exit_stack stack = {0};
 *      int error = whorl_exit_stack_enter(&stack, connect, disconnect, &peer);
 *      if (error == 0) {
 *          error = whorl_exit_stack_push(&stack, roll_back, &change);
 *      }
 *      if (error == 0) {
 *          error = work(&peer, &change);
 *      }
 *      return whorl_exit_stack_close(&stack, error, NULL);     // roll_back, then disconnect
 *
 * An exit gets the error that the block ends with, and says what it ends with from there on. All of
 * them are called, the last one first: also if one fails, also if the task was cancelled. They may
 * wait. In C++ destructors do the same: docs/guide/clean-up.md.
 */
#ifndef WHORL_EXIT_STACK_H
#define WHORL_EXIT_STACK_H

#include "whorl/api.h"
#include "whorl/generator.h"
#include "whorl/group.h"
#include "whorl/runtime.h"

#include <stdint.h>

WHORL_BEGIN

/* Zeroed memory is an empty one; its contents belong to whorl. Used by one at a time. */
struct whorl_exit_stack {
    uint64_t opaque[4];
};

/*
 * Undoes one thing. error: how the block ends, 0 or -errno, as the exits before have left it.
 * Returns how it ends: error itself, 0 to swallow it, or another -errno in its place.
 */
typedef int whorl_exit(void *arg, int error);

/*
 * whorl_exit_stack_push - exit(arg, error) is called when the stack is closed.
 *
 * Returns 0, -EINVAL (stack or exit NULL), -ENOMEM: it is not on the stack, and will not be called.
 *
 * From:    anywhere                     Thread-safe: no
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Model:   AsyncExitStack.push_async_exit, push
 * Since:   0.1, stable                  Source: runtime/task/exit_stack.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_exit_stack_push(struct whorl_exit_stack *stack,
                                                      whorl_exit *exit, void *arg);

/*
 * whorl_exit_stack_enter - call enter(arg), and push the exit if that has succeeded.
 *
 * Returns 0; what enter returned, if that was no 0: then there is nothing to leave, and exit will
 * not be called for it; -EINVAL (the stack or a function is NULL), -ENOMEM (neither is called).
 *
 * From:    anywhere enter may be called    Thread-safe: no
 * Waits:   as enter does                Cancellation point: as enter is      Allocates: one block
 * Model:   AsyncExitStack.enter_async_context
 * Since:   0.1, stable                  Source: runtime/task/exit_stack.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_exit_stack_enter(struct whorl_exit_stack *stack,
                                                       whorl_body *enter, whorl_exit *exit,
                                                       void *arg);

/*
 * whorl_exit_stack_defer - function(arg) is called when the stack is closed, whatever the error is.
 * For free, whorl_generator_unref and their kind.
 *
 * Returns as whorl_exit_stack_push.
 *
 * From:    anywhere                     Thread-safe: no
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Model:   AsyncExitStack.callback, push_async_callback
 * Since:   0.1, stable                  Source: runtime/task/exit_stack.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_exit_stack_defer(struct whorl_exit_stack *stack,
                                                       void (*function)(void *arg), void *arg);

/*
 * whorl_exit_stack_closing - a generator is closed when the stack is. Its reference stays the
 * caller's. What closing it returns, if that is no 0, takes the place of the error.
 *
 * Returns as whorl_exit_stack_push; -EINVAL also if generator is NULL.
 *
 * From:    anywhere; closed by a task   Thread-safe: no
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Model:   contextlib.aclosing
 * Since:   0.1, stable                  Source: runtime/task/exit_stack.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_exit_stack_closing(struct whorl_exit_stack *stack,
                                                         struct whorl_generator *generator);

/*
 * whorl_exit_stack_move - all that is on `from` is on `to` afterwards, which must be empty:
 * else the process aborts. Does nothing if one of them is NULL.
 *
 * From:    anywhere                     Thread-safe: no
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   AsyncExitStack.pop_all
 * Since:   0.1, stable                  Source: runtime/task/exit_stack.c
 */
WHORL_API void whorl_exit_stack_move(struct whorl_exit_stack *to, struct whorl_exit_stack *from);

/*
 * whorl_exit_stack_close - call all exits, the last one first. The stack is empty then, and can be
 * used again. What an exit pushes is called next.
 *
 *   error       how the block ends: 0 or -errno
 *   ret_errors  NULL, or where the list of errors goes of which each took the place of the one
 *               before; the last of them is returned. To be freed by whorl_errors_free; NULL is
 *               stored if 0 is returned. Where there is no memory for it, it is shorter
 *
 * Returns what the last exit says, or error if there is none; -EINVAL (stack NULL).
 *
 * From:    anywhere the exits may be called    Thread-safe: no
 * Waits:   as the exits do              Cancellation point: as they are
 * Allocates: with ret_errors a block for each error
 * Model:   AsyncExitStack.__aexit__, aclose; the list is the chain of __context__
 * Since:   0.1, stable                  Source: runtime/task/exit_stack.c
 */
WHORL_API int whorl_exit_stack_close(struct whorl_exit_stack *stack, int error,
                                     struct whorl_errors **ret_errors);

/*
 * With gcc and clang a variable can be cleaned up where its block is left, by return or break:
 *
 *      WHORL_ON_LEAVE(whorl_exit_stack_leave) struct whorl_exit_stack stack = {0};
 *      WHORL_ON_LEAVE(whorl_generator_leave) struct whorl_generator *items = NULL;
 *
 * The error is not known there: exits get 0 and what they return is lost; a generator is closed,
 * and its reference given back. NULL, a pointer to NULL and an empty stack
 * are passed over.
 */
#if defined(__GNUC__)
#    define WHORL_ON_LEAVE(function) __attribute__((cleanup(function)))
#endif

/* Both from anywhere that whorl_exit_stack_close and whorl_generator_close may be called; they wait
 * as those do. */
WHORL_API void whorl_exit_stack_leave(struct whorl_exit_stack *stack);
WHORL_API void whorl_generator_leave(struct whorl_generator **generator);

WHORL_END

#endif
