/*
 * condition.h - what a barrier needs of conditions.
 */
#ifndef WHORL_SYNC_CONDITION_H
#define WHORL_SYNC_CONDITION_H

#include "state/task.h"

#include "whorl/condition.h"

/* Whether the caller may wait, and notify: what whorl_condition_notify says. */
int whorl__condition_check(struct whorl_condition *condition);

/* As whorl_condition_wait_for, of one that is part of a primitive, who: a dump shows that. */
WHORL_MUST_USE int whorl__condition_wait_for_of(struct whorl_condition *condition,
                                                whorl_predicate *predicate, void *arg,
                                                int64_t deadline_ns, const void *who,
                                                enum whorl__line_kind kind);

/* As whorl_condition_destroy, of one that is part of a primitive: a report names that. */
int whorl__condition_destroy_of(struct whorl_condition *condition, const void *primitive,
                                const char *name);

#endif
