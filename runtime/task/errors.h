/*
 * errors.h - what makes lists of errors, beside groups.
 */
#ifndef WHORL_TASK_ERRORS_H
#define WHORL_TASK_ERRORS_H

#include "whorl/group.h"

/* One more at the end, by no task. Left out where there is no memory. */
void whorl__errors_append(struct whorl_errors **list, int error);

#endif
