/*
 * lock.h - what other primitives need of locks.
 */
#ifndef WHORL_SYNC_LOCK_H
#define WHORL_SYNC_LOCK_H

#include "whorl/lock.h"

/* Whether it is held; and by the caller, if it knows its owner. 0, or -EPERM. */
int whorl__lock_check_held(struct whorl_lock *lock);

/* Without a word to a cancel: it is noted in *ret_cancelled, and the lock acquired all the same. 0,
 * -EINVAL, -ECHILD. */
int whorl__lock_acquire_again(struct whorl_lock *lock, bool *ret_cancelled);

#endif
