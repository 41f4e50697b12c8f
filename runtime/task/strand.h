/*
 * strand.h - what tasks have to do with strands: which one they begin in, when they are out of it.
 */
#ifndef WHORL_TASK_STRAND_H
#define WHORL_TASK_STRAND_H

#include "sched/strand.h"

/* Where what runs on a loop is: the task, or the call; NULL: in none. */
static inline struct whorl__strand *whorl__strand_here(const struct whorl__loop *here)
{
    const struct whorl_task *const task = here->current;
    return task != NULL ? whorl__strand_of(task) : here->call_strand;
}

/* Where a task begins that is made there, or a call, without a word in its attributes. */
static inline struct whorl__strand *whorl__strand_inherited(struct whorl__runtime *runtime,
                                                            const struct whorl__loop *here)
{
    const struct whorl_task *const creator = here != NULL ? here->current : NULL;
    if (WHORL_LIKELY(creator != NULL)) {
        return whorl__strand_of(creator);
    }
    if (here != NULL && here->call_strand != NULL) {
        return here->call_strand;
    }
    return runtime->stranded ? &runtime->strand : NULL;
}

/*
 * The strand of a task that is to be made, which it is a member of from now on; NULL: none. 0, or
 * as whorl__strand_admit. `here`: the loop of who makes it, or NULL.
 */
WHORL_MUST_USE int whorl__strand_choose_slow(const struct whorl__runtime *runtime,
                                             struct whorl__strand *inherited,
                                             const struct whorl_attr *attr,
                                             struct whorl__strand **ret_strand);

WHORL_MUST_USE static inline int whorl__strand_choose(struct whorl__runtime *runtime,
                                                      const struct whorl__loop *here,
                                                      const struct whorl_attr *attr,
                                                      struct whorl__strand **ret_strand)
{
    struct whorl__strand *const inherited = whorl__strand_inherited(runtime, here);
    *ret_strand = NULL;
    return WHORL_LIKELY(inherited == NULL && (attr == NULL || attr->strand == NULL))
               ? 0
               : whorl__strand_choose_slow(runtime, inherited, attr, ret_strand);
}

/* A member goes that has not run, or is somewhere else by now. */
void whorl__strand_drop(struct whorl__strand *strand);

/* A member goes, and with it the turn if it has that. */
void whorl__strand_out(struct whorl__strand *strand, bool has_turn);

/* The body of a task of a strand is over. */
void whorl__strand_end(struct whorl_task *task);

#endif
