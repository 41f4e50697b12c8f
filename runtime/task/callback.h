/*
 * callback.h - what other files of this folder need of callbacks.
 */
#ifndef WHORL_TASK_CALLBACK_H
#define WHORL_TASK_CALLBACK_H

#include "loop/loop.h"
#include "whorl/callback.h"

/* As whorl_future_add_done_callback, on that loop, in no strand; by the thread that drives it,
 * between two steps. 0 or -ENOMEM. */
WHORL_MUST_USE int whorl__done_callback_add(struct whorl_future *future, struct whorl__loop *loop,
                                            whorl_done_callback *callback, void *arg);

/* The future is done, and the waiter, of kind WHORL__WAITER_DONE, off its list with a reference on
 * the future: the callback is called on its loop, or dropped if that is no more. */
void whorl__done_callback_post(struct whorl__waiter *waiter);

/* The future is freed, and was never done. */
void whorl__done_callback_free(struct whorl__waiter *waiter);

/* Does what the timer would do that is not armed since it is due already: in its turn among the
 * loop's items. From any thread that the loop's runtime waits for. 0 or -ENOMEM. */
WHORL_MUST_USE int whorl__callback_fire_soon(struct whorl__loop *loop,
                                             const struct whorl__timer *timer);

#endif
