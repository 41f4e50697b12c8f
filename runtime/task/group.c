/*
 * group.c - task groups: a scope of the task that began it, and a count of children.
 *
 *   OPEN --a child fails, the block fails, cancel--> ABORTING --all children ended--> over
 *     +-------------------end, all children ended----------------------------------->
 *
 *   OPEN      children are added.
 *   ABORTING  none is; every child has been asked, or will be by the one who aborts; the block, if
 *             it is still inside, has got the cancel of the group's scope.
 *
 * Who adds a child either sees ABORTING, and asks it to end himself, or has put it on the list
 * where the one who aborts will find it: both happen under the group's lock.
 *
 * The group lies on its task's stack, so the last child must be done with it before that task goes
 * on:
 *
 *   losing order                                ours
 *   child: pending 1 -> 0                       child: takes the lock; pending 1 -> 0; copies the
 *   task:  sees 0, returns, its stack is              handle of the wait; unlocks
 *          used for something else              task:  sees 0 only under the lock; returns
 *   child: reads the handle there               child: wakes the wait by its copy, which is stale
 *                                                      if the task is gone: nothing happens
 *
 * Before that the child, if it was the first to fail, has aborted the group: it is still counted.
 *
 * Owns:       struct whorl_group's contents, one struct member a child, struct whorl_errors.
 * Threads:    children end on any loop; under the group's lock, which is taken before no other but
 *             the allocator's.
 * Pairs:      the group's lock (K1); the wait of the end is a park like any other (S1).
 */
#include "task/cancel.h"
#include "task/errors.h"
#include "task/future.h"
#include "task/park.h"
#include "task/why.h"

#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>
#include <string.h>

/* A child, from spawn until it has ended; if it failed, an entry of the list of errors. */
struct member {
    union {
        struct whorl__waiter waiter; /* called when the child is done; then: */
        struct {
            struct member *next_error; /* M(group) */
            int error;                 /* as next_error */
            char name[WHORL_TASK_NAME_MAX + 1];
        };
    };
    struct whorl__list link; /* M(group): fresh or asked */
    struct group *group;     /* C */
    struct whorl_task *task; /* C: with a reference */
};

struct whorl_errors {
    struct member first; /* the list begins with this one */
};

struct group {
    struct whorl__scope scope;
    struct whorl__spinlock lock;  /* group */
    bool aborting;                /* M(group) */
    bool over;                    /* M(group): the end has seen that all children ended */
    uint32_t pending;             /* M(group): children that have not ended */
    whorl__handle waiting;        /* M(group): the wait of the end; 0: it does not wait */
    struct whorl__list fresh;     /* M(group): children nobody has asked to end */
    struct whorl__list asked;     /* M(group): those that were */
    struct member *errors;        /* M(group) */
    struct member **errors_end;   /* M(group) */
};

WHORL_STATIC(sizeof(struct group) <= sizeof(struct whorl_group), "whorl_group is large enough");

static struct group *group_of(struct whorl_group *group)
{
    return (struct group *)(void *)group->opaque;
}

/* The mark stands for all that the lock protects. */
static void lock(struct group *group)
{
    whorl__spin_lock(&group->lock);
    whorl__plain_write(&group->pending);
}

static void unlock(struct group *group)
{
    whorl__spin_unlock(&group->lock);
}

/* The end has seen that all children ended, or waits and is about to: nothing changes any more. */
static bool is_over_locked(const struct group *group)
{
    return group->over || (group->waiting != 0 && group->pending == 0);
}

/* ---- asking everybody to end ---- */

/* The next child to be asked, with a reference; NULL: all were. */
static struct whorl_task *take_fresh(struct group *group)
{
    struct whorl_task *task = NULL;
    lock(group);
    struct whorl__list *const link = whorl__list_pop_front(&group->fresh);
    if (link != NULL) {
        whorl__list_push_back(&group->asked, link);
        task = whorl_task_ref(whorl_container_of(link, struct member, link)->task);
    }
    unlock(group);
    return task;
}

/* Something of the group has failed: the child, or what else `task` stands for. */
static void why_failed(const struct group *group, struct whorl_task *task,
                       struct whorl_why *ret_why)
{
    *ret_why = (struct whorl_why){.cause = WHORL_WHY_GROUP, .block = group};
    whorl__spin_lock(&task->lock);
    whorl__why_name_locked(task, &ret_why->task, ret_why->name);
    whorl__spin_unlock(&task->lock);
}

/* By one who is counted among `pending`, or by the group's own task. The block comes last, as in
 * asyncio: in strict order the children meet their cancel before it does. */
static void ask_all(struct group *group, bool block_too, const struct whorl_why *why)
{
    struct whorl_task *const own = group->scope.task;
    const uint64_t serial = group->scope.serial;
    struct whorl_task *task;
    if (WHORL__BUG(GROUP_ASKS_ITS_BLOCK_FIRST) && block_too) {
        whorl__cancel_by_scope(own, serial, why);
    }
    while ((task = take_fresh(group)) != NULL) {
        (void)whorl__cancel_request(task, NULL, why);
        whorl_task_unref(task);
    }
    if (block_too) {
        whorl__cancel_by_scope(own, serial, why);
    }
}

/* True: the caller is the one who aborts. */
static bool begin_abort_locked(struct group *group)
{
    const bool first = !group->aborting && !is_over_locked(group);
    group->aborting |= first;
    return first;
}

/* True: the caller was the first. */
static bool abort_group(struct group *group, bool block_too, const struct whorl_why *why)
{
    lock(group);
    const bool first = begin_abort_locked(group);
    unlock(group);
    if (first) {
        ask_all(group, block_too, why);
    }
    return first;
}

/* ---- a child ends ---- */

static void add_error_locked(struct group *group, struct member *member)
{
    member->next_error = NULL;
    *group->errors_end = member;
    group->errors_end = &member->next_error;
}

static void free_member(struct member *member)
{
    whorl_task_unref(member->task);
    whorl__os->free(member);
}

/* How the child ended; true: it failed. */
static bool look_at(struct member *member)
{
    member->error = whorl_task_result(member->task, NULL);
    const bool failed = member->error != 0 && (!whorl_task_cancelled(member->task) ||
                                               WHORL__BUG(GROUP_COUNTS_A_CANCELLED_CHILD));
    if (failed) {
        whorl__task_copy_name(member->task, member->name, sizeof member->name);
    }
    return failed;
}

/* One counted less, on a list if link. If it was the last, the group may be gone afterwards. */
static void leave(struct group *group, struct whorl__runtime *runtime, struct whorl__list *link)
{
    lock(group);
    if (link != NULL) {
        whorl__list_remove(link);
    }
    const whorl__handle waiting = --group->pending == 0 ? group->waiting : 0;
    unlock(group);
    if (waiting != 0) {
        whorl__sched_wake(runtime, waiting);
    }
}

static void child_done(struct whorl__waiter *waiter)
{
    struct member *const member = whorl_container_of(waiter, struct member, waiter);
    struct group *const group = member->group;
    struct whorl__runtime *const runtime = member->task->runtime;
    const bool failed = look_at(member);
    if (failed) {
        lock(group);
        add_error_locked(group, member);
        const bool first = begin_abort_locked(group);
        unlock(group);
        if (first) {
            struct whorl_why why;
            why_failed(group, member->task, &why);
            ask_all(group, !WHORL__BUG(GROUP_LETS_THE_BLOCK_GO_ON), &why);
        }
    }
    leave(group, runtime, &member->link);
    if (!failed) {
        free_member(member);
    }
}

/* ---- a child begins ---- */

/* A place among the children. False: the group takes no more. */
static bool reserve(struct group *group)
{
    lock(group);
    const bool open =
        (!group->aborting || WHORL__BUG(GROUP_TAKES_WHILE_IT_ABORTS)) && !is_over_locked(group);
    group->pending += open;
    unlock(group);
    return open;
}

/* True: the group began to abort meanwhile, and the caller asks this child himself. */
static bool enlist(struct group *group, struct member *member)
{
    lock(group);
    const bool late = group->aborting;
    whorl__list_push_back(late ? &group->asked : &group->fresh, &member->link);
    unlock(group);
    return late;
}

int whorl_group_spawn(struct whorl_group *opaque, whorl_body *body, void *arg,
                      const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct group *const group = group_of(opaque);
    if (group->scope.task == NULL) {
        return -EINVAL;
    }
    if (!whorl__scope_is_open(&group->scope)) {
        return -ESHUTDOWN;
    }
    if (whorl__task_is_inherited(group->scope.task)) {
        return -ECHILD;
    }
    if (!reserve(group)) {
        return -ESHUTDOWN;
    }
    int error = -ENOMEM;
    struct member *const member = whorl__os->alloc(sizeof *member);
    if (member == NULL) {
        goto give_back;
    }
    *member = (struct member){.group = group, .waiter.callback = child_done};
    member->waiter.awaiter = &group->scope.task->future;
    error = whorl_spawn(body, arg, attr, &member->task);
    if (error != 0) {
        goto free_member;
    }
    if (ret_task != NULL) {
        *ret_task = whorl_task_ref(member->task);
    }
    if (enlist(group, member)) {
        struct whorl_why why;
        why_failed(group, group->scope.task, &why);
        (void)whorl__cancel_request(member->task, NULL, &why);
    }
    /* One that began at once may have ended: its failure must not meet the block in mid-step. */
    whorl__future_call_in_turn(&member->task->future, &member->waiter);
    return 0;

free_member:
    whorl__os->free(member);
give_back:
    leave(group, group->scope.task->runtime, NULL); /* the argument is read first */
    return error;
}

/* ---- the block ---- */

int whorl_group_begin(struct whorl_group *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct group *const group = group_of(opaque);
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        *group = (struct group){.scope.task = NULL}; /* so that it is none that was begun */
        return whorl__error_outside();
    }
    if (whorl__cancel_scope_is_own(task, &group->scope)) {
        return -EALREADY;
    }
    *group = (struct group){
        .scope.task = task,
        .scope.serial = whorl__serials_draw(&task->loop->scope_serials,
                                            &task->runtime->scopes_made),
        .errors_end = &group->errors,
    };
    whorl__list_init(&group->fresh);
    whorl__list_init(&group->asked);
    whorl__cancel_scope_enter(task, &group->scope);
    return 0;
}

void whorl_group_cancel(struct whorl_group *opaque)
{
    if (opaque == NULL) {
        return;
    }
    struct group *const group = group_of(opaque);
    if (whorl__scope_is_open(&group->scope) && !whorl__task_is_inherited(group->scope.task)) {
        struct whorl_why why;
        whorl__why_asked(&why);
        (void)abort_group(group, true, &why);
    }
}

/* True: all children have ended. Else the last of them will wake `handle`. */
static bool await_last(struct group *group, whorl__handle handle)
{
    lock(group);
    group->over = group->pending == 0;
    group->waiting = handle;
    const bool over = group->over;
    unlock(group);
    return over;
}

/* True: nothing had aborted the group before. */
static bool abort_as_cancelled(struct group *group, struct whorl_task *task)
{
    struct whorl_why why;
    whorl__why_passed_on(&why, task);
    return abort_group(group, false, &why);
}

/* The block has ended with that error. */
static void abort_as_failed(struct group *group, struct whorl_task *task, int error)
{
    struct whorl_why why;
    if (error == -ECANCELED) {
        (void)abort_as_cancelled(group, task);
    } else {
        why_failed(group, task, &why);
        (void)abort_group(group, false, &why);
    }
}

/*
 * cancelled: the block was. True: it was, or is now. Of several cancels the one that ended the
 * group, as the block's own or as the first here, is passed on, and so is its message.
 */
static bool wait_for_children(struct group *group, struct whorl_task *task, bool cancelled)
{
    const char *message = whorl_cancel_message();
    bool decided = cancelled;
    while (!await_last(group, whorl__park_begin(task))) {
        whorl__park(task, WHORL__PARK_GROUP);
        if (whorl__cancel_take(task)) {
            cancelled = true;
            if (abort_as_cancelled(group, task)) {
                decided = true;
                message = task->delivered_message;
            }
        }
    }
    if (decided) {
        task->delivered_message = message;
    }
    return cancelled;
}

/* The block's own failure, at the end of the list. */
static void add_block_error(struct group *group, int error)
{
    struct member *const entry = whorl__os->alloc(sizeof *entry);
    if (entry == NULL) {
        return; /* it is returned all the same if it is the only one */
    }
    *entry = (struct member){.error = error};
    add_error_locked(group, entry); /* all children have ended: nobody else is here */
}

static void hand_over(struct group *group, struct whorl_errors **ret_errors)
{
    struct whorl_errors *const errors = (struct whorl_errors *)(void *)group->errors;
    if (ret_errors != NULL) {
        *ret_errors = errors;
    } else {
        whorl_errors_free(errors);
    }
}

/* The block's cancel goes on outside, unless nobody but the group itself has asked. */
static bool stands(const struct group *group)
{
    return group->scope.state == WHORL__SCOPE_QUIET || group->scope.others;
}

int whorl_group_end(struct whorl_group *opaque, int error, struct whorl_errors **ret_errors)
{
    if (opaque == NULL || group_of(opaque)->scope.task == NULL) {
        return -EINVAL;
    }
    struct group *const group = group_of(opaque);
    struct whorl_task *const task = group->scope.task;
    if (whorl__scope_is_inherited(&group->scope)) {
        return -ECHILD;
    }
    whorl__cancel_scope_check(&group->scope, "whorl_group_end");
    if (error != 0 && !WHORL__BUG(GROUP_LEAVES_ITS_CHILDREN)) {
        abort_as_failed(group, task, error);
    }
    const bool cancelled = wait_for_children(group, task, error == -ECANCELED);
    (void)whorl__cancel_scope_leave(task, &group->scope, cancelled);
    const bool others = group->scope.others;
    const bool block_failed = error != 0 && error != -ECANCELED;
    if (block_failed) {
        add_block_error(group, error);
    }
    const int first = group->errors != NULL ? group->errors->error : block_failed ? error : 0;
    if (first != 0 && others && !WHORL__BUG(GROUP_LOSES_THE_CANCEL_OUTSIDE)) {
        whorl__cancel_again(task);
    }
    hand_over(group, ret_errors);
    whorl__plain_write(&group->pending); /* the block goes: who still looks at it races */
    if (first != 0) {
        return first;
    }
    return cancelled && stands(group) ? -ECANCELED : 0;
}

/* ---- the list of errors ---- */

static const struct member *first_of(const struct whorl_errors *errors)
{
    return errors == NULL ? NULL : &errors->first;
}

void whorl__errors_append(struct whorl_errors **list, int error)
{
    struct member *const entry = whorl__os->alloc(sizeof *entry);
    if (entry == NULL) {
        return;
    }
    *entry = (struct member){.error = error};
    if (*list == NULL) {
        *list = (struct whorl_errors *)(void *)entry;
        return;
    }
    struct member *last = &(*list)->first;
    while (last->next_error != NULL) {
        last = last->next_error;
    }
    last->next_error = entry;
}

size_t whorl_errors_count(const struct whorl_errors *errors)
{
    size_t count = 0;
    for (const struct member *entry = first_of(errors); entry != NULL; entry = entry->next_error) {
        count++;
    }
    return count;
}

int whorl_errors_get(const struct whorl_errors *errors, size_t index, const char **ret_name)
{
    const struct member *entry = first_of(errors);
    while (entry != NULL && index > 0) {
        entry = entry->next_error;
        index--;
    }
    if (entry == NULL) {
        return 0;
    }
    if (ret_name != NULL) {
        *ret_name = entry->name;
    }
    return entry->error;
}

bool whorl_errors_find(const struct whorl_errors *errors, int error)
{
    const struct member *entry = first_of(errors);
    while (entry != NULL && entry->error != error) {
        entry = entry->next_error;
    }
    return entry != NULL;
}

void whorl_errors_free(struct whorl_errors *errors)
{
    struct member *entry = errors == NULL ? NULL : &errors->first;
    while (entry != NULL) {
        struct member *const next = entry->next_error;
        free_member(entry);
        entry = next;
    }
}
