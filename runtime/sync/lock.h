/*
 * lock.h - what other primitives, and select.c, need of locks.
 */
#ifndef WHORL_SYNC_LOCK_H
#define WHORL_SYNC_LOCK_H

#include "sync/line.h"

#include "whorl/lock.h"

/* Whether it is held; and by the caller, if it knows its owner. 0, or -EPERM. */
int whorl__lock_check_held(struct whorl_lock *lock);

/* Where to stand for it. 0, or why it cannot be acquired: -EDEADLK, -EINVAL, -ECHILD. And who then
 * has it by the rules of the line says so. */
WHORL_MUST_USE int whorl__lock_place(struct whorl_lock *lock, struct whorl__line_place *ret_place);
void whorl__lock_set_owner(struct whorl_lock *lock);

/* Without a word to a cancel: it is noted in *ret_cancelled, and the lock acquired all the same. 0,
 * -EINVAL, -ECHILD. */
int whorl__lock_acquire_again(struct whorl_lock *lock, bool *ret_cancelled);

#endif
