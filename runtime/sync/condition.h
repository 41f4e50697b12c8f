/*
 * condition.h - what a barrier needs of conditions.
 */
#ifndef WHORL_SYNC_CONDITION_H
#define WHORL_SYNC_CONDITION_H

#include "whorl/condition.h"

/* Whether the caller may wait, and notify: what whorl_condition_notify says. */
int whorl__condition_check(struct whorl_condition *condition);

/* As whorl_condition_destroy, of one that is part of a primitive: a report names that. */
int whorl__condition_destroy_of(struct whorl_condition *condition, const void *primitive,
                                const char *name);

#endif
