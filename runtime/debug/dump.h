/*
 * dump.h - a line of a dump, for others who print tasks.
 *
 * Threads:    any; the caller has a reference on the task.
 */
#ifndef WHORL_DEBUG_DUMP_H
#define WHORL_DEBUG_DUMP_H

#include "debug/output.h"

struct whorl_task;

/* What whorl_dump says of it, without the end of the line; less, if its runtime has ended. */
void whorl__dump_task(struct whorl__output *output, struct whorl_task *task);

#endif
