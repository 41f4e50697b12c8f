/*
 * group.h - task groups: children that end before their block does.
 *
 *      struct whorl_group group;
 *      whorl_group_begin(&group);
 *      int error = whorl_group_spawn(&group, fetch, &first, NULL, NULL);
 *      if (error == 0) {
 *          error = whorl_group_spawn(&group, fetch, &second, NULL, NULL);
 *      }
 *      error = whorl_group_end(&group, error, NULL);   // waits for both, whatever happens
 *
 * The first child that fails ends the group: the other children are cancelled, and so is the block,
 * if it is still inside. whorl_group_end waits for every child, and tells what failed. A child that
 * was cancelled by itself is no failure.
 */
#ifndef WHORL_GROUP_H
#define WHORL_GROUP_H

#include "whorl/api.h"
#include "whorl/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

/* Lives on the stack of the task that begins it; its contents belong to whorl. */
struct whorl_group {
    uint64_t opaque[40];
};

/* What failed in a group, in the order in which it failed. */
struct whorl_errors;

/*
 * whorl_group_begin - from here on children may be added, until whorl_group_end.
 *
 * Returns 0, -EPERM (not in a task), -EALREADY (the caller has this group open), -EINVAL (NULL).
 *
 * From:    a task                       Thread-safe: no: the group is the caller's
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.TaskGroup, __aenter__
 * Since:   0.1, stable                  Source: runtime/task/group.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_group_begin(struct whorl_group *group);

/*
 * whorl_group_spawn - add a child that runs body(arg). Parameters as whorl_spawn.
 *
 * The task that began the group may add children, and so may the children, also while the end
 * waits for them.
 *
 * Returns as whorl_spawn; -ESHUTDOWN: the group is ending because of a failure or a cancel, or has
 * ended; -EINVAL: it was never begun (zeroed memory). On failure nothing started and arg stays the
 * caller's.
 *
 * From:    a task of the same runtime   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: a task, one block
 * Order:   everything before the call happens before body
 * Model:   TaskGroup.create_task
 * Since:   0.1, stable                  Source: runtime/task/group.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_group_spawn(struct whorl_group *group, whorl_body *body,
                                                  void *arg, const struct whorl_attr *attr,
                                                  struct whorl_task **ret_task);

/*
 * whorl_group_cancel - end the group early, without an error.
 *
 * Its children, and its block if it is still inside, get a cancel; whorl_group_end then returns 0
 * unless something failed or the task was cancelled from outside as well. Does nothing the second
 * time, nor after the end.
 *
 * From:    anywhere, while the group's memory is there       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   TaskGroup.cancel of Python 3.15
 * Since:   0.1, stable                  Source: runtime/task/group.c
 */
WHORL_API void whorl_group_cancel(struct whorl_group *group);

/*
 * whorl_group_end - wait until every child has ended.
 *
 *   error       how the block ended: 0 or -errno. Not 0: the children are cancelled first
 *   ret_errors  NULL, or where the list of all failures goes, to be freed by whorl_errors_free;
 *               NULL is stored if nothing failed
 *
 * Returns 0; the first failure of a child, or `error` if only the block failed; -ECANCELED if the
 * task was cancelled from outside and nothing failed. Where something failed and the task was
 * cancelled from outside too, the failure is returned and the cancel comes at the next wait. The
 * cancel that the group itself gave to its block is taken back. -EINVAL: it is NULL, or was never
 * begun (zeroed memory, or a begin that failed).
 *
 * From:    the task that began the group, blocks and timeouts inside it closed before; else the
 *          process aborts, with a line that names the call and the task
 * Waits:   yes, not if all children have ended; for all of them, also when it is cancelled
 * Cancellation point: if it waits                                 Allocates: no
 * Order:   everything the children did happens before the return
 * Model:   TaskGroup.__aexit__; the exception group is the list
 * Since:   0.1, stable                  Source: runtime/task/group.c
 */
WHORL_API int whorl_group_end(struct whorl_group *group, int error,
                              struct whorl_errors **ret_errors);

/* How many there are; the one at `index`, 0 beyond the end, and the name of the task that failed
 * ("" for the block itself; ret_name may be NULL); whether `error` is among them. NULL: an empty
 * list. From anywhere, by one thread at a time; none waits or allocates. */
WHORL_API size_t whorl_errors_count(const struct whorl_errors *errors);
WHORL_API int whorl_errors_get(const struct whorl_errors *errors, size_t index,
                               const char **ret_name);
WHORL_API bool whorl_errors_find(const struct whorl_errors *errors, int error);
WHORL_API void whorl_errors_free(struct whorl_errors *errors);

WHORL_END

#endif
