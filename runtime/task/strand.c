/*
 * strand.c - tasks go into strands and out of them; the public calls.
 *
 * A task is a member of its strand from before it is made until its body is over: then it goes out,
 * and hands the turn on, before its future is completed, so that who knows that all have ended may
 * forget the strand. One that runs something in another strand (whorl_strand_run) is a member of
 * both meanwhile: its own must be there when it comes back.
 *
 *   losing order                              ours
 *   task: completes its future                task: quits the strand, hands the turn on
 *   main: has awaited all; its frame goes,    task: completes its future
 *         and the strand with it              main: has awaited all; its frame goes
 *   task: quits the strand: freed memory
 *
 * Threads:    any.
 * Pairs:      T1 of sched/strand.c.
 * Not chosen: a task for each whorl_strand_run: the cancel of who waits would have to be handed on,
 *             and what body finds (name, context, timeouts) would be another task's.
 */
#include "task/strand.h"

#include "base/text.h"
#include "sched/roster.h"
#include "task/all.h"
#include "task/cancel.h"
#include "task/future.h"
#include "task/park.h"
#include "task/task.h"

#include "sys/os.h"

#include <errno.h>
#include <string.h>

WHORL_STATIC(sizeof(struct whorl__strand) <= sizeof(struct whorl_strand), "it fits");

static struct whorl__strand *strand_of(struct whorl_strand *strand)
{
    return (struct whorl__strand *)(void *)strand;
}

/* ---- beginning and end of a member ---- */

int whorl__strand_choose_slow(const struct whorl__runtime *runtime,
                              struct whorl__strand *inherited, const struct whorl_attr *attr,
                              struct whorl__strand **ret_strand)
{
    struct whorl__strand *strand = attr != NULL ? strand_of(attr->strand) : NULL;
    if (strand == NULL && (attr == NULL || !(attr->flags & WHORL_NO_STRAND))) {
        strand = inherited;
    }
    *ret_strand = strand;
    return strand == NULL ? 0 : whorl__strand_admit(strand, runtime);
}

void whorl__strand_out(struct whorl__strand *strand, bool has_turn)
{
    struct whorl_future *const joined = whorl__strand_quit(strand, has_turn);
    if (joined != NULL) {
        (void)whorl__future_complete(joined, &(struct whorl__outcome){.error = 0});
        whorl_future_unref(joined);
    }
}

void whorl__strand_drop(struct whorl__strand *strand)
{
    whorl__strand_out(strand, false);
}

void whorl__strand_end(struct whorl_task *task)
{
    struct whorl__strand *const strand = whorl__strand_of(task);
    const bool shared = whorl__strand_shared(task) != NULL;
    whorl__strand_out(strand, shared && !whorl__strand_is_lent(task->loop, strand));
}

/* ---- from one to another ---- */

/* What the task gives up with its strand; NULL: it has no turn of its own. */
static struct whorl__strand *turn_of(const struct whorl_task *task)
{
    struct whorl__strand *const strand = whorl__strand_shared(task);
    const bool own = strand != NULL && !whorl__strand_is_lent(task->loop, strand);
    return own ? strand : NULL;
}

/* It is a member of both. The turn of the other is mostly free: then without leaving the stack. */
static void move(struct whorl_task *task, struct whorl__strand *to)
{
    struct whorl__strand *const left = turn_of(task);
    whorl__strand_set(task, to);
    struct whorl__strand *const wanted = turn_of(task);
    if (wanted != NULL && !whorl__strand_try(wanted)) {
        whorl__move(task, left);
    } else if (left != NULL) {
        whorl__strand_leave(left);
    }
}

static int admit(struct whorl__strand *strand, const struct whorl_task *task)
{
    return strand != NULL ? whorl__strand_admit(strand, task->runtime) : 0;
}

static void drop(struct whorl__strand *strand)
{
    if (strand != NULL) {
        whorl__strand_drop(strand);
    }
}

int whorl_strand_enter(struct whorl_strand *opaque)
{
    struct whorl__strand *const strand = strand_of(opaque);
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL || whorl__task_is_inherited(task)) {
        return whorl__error_outside();
    }
    struct whorl__strand *const before = whorl__strand_of(task);
    if (strand == before) {
        return 0;
    }
    const int error = admit(strand, task);
    if (error != 0) {
        return error;
    }
    move(task, strand);
    drop(before);
    return 0;
}

/* ---- something in another ---- */

static int run_in(struct whorl_task *task, struct whorl__strand *strand, whorl_body *body,
                  void *arg)
{
    struct whorl__strand *const before = whorl__strand_of(task);
    if (strand == before) {
        return body(arg);
    }
    const int error = admit(strand, task);
    if (error != 0) {
        return error;
    }
    move(task, strand);
    const int result = body(arg);
    struct whorl__strand *const last = whorl__strand_of(task); /* body may have entered another */
    if (last != before) {
        move(task, before);
    }
    drop(last);
    return result;
}

static int run_by_other(struct whorl_strand *strand, struct whorl_task *near, whorl_body *body,
                        void *arg)
{
    const struct whorl_attr attr = {.strand = strand,
                                    .flags = WHORL_QUIET | (strand == NULL ? WHORL_NO_STRAND : 0)};
    struct whorl_task *task;
    int error = whorl_spawn_remote(near, body, arg, &attr, &task);
    if (error == 0) {
        error = whorl_await(task, NULL);
        whorl_task_unref(task);
    }
    return error;
}

int whorl_strand_run(struct whorl_strand *strand, struct whorl_task *near, whorl_body *body,
                     void *arg)
{
    struct whorl__loop *const here = whorl__loop_current();
    struct whorl_task *const task = whorl__task_current();
    if (body == NULL) {
        return -EINVAL;
    }
    if ((near == NULL && task == NULL) || (here != NULL && task == NULL)) {
        return whorl__error_outside();
    }
    if (near != NULL && whorl__task_is_inherited(near)) {
        return -ECHILD;
    }
    if (task != NULL && (near == NULL || near->runtime == task->runtime)) {
        return run_in(task, strand_of(strand), body, arg);
    }
    return run_by_other(strand, near, body, arg);
}

struct whorl_strand *whorl_strand_current(void)
{
    const struct whorl__loop *const here = whorl__loop_here();
    return here != NULL ? (struct whorl_strand *)(void *)whorl__strand_here(here) : NULL;
}

/* ---- until nobody is in it ---- */

static void keep(void *future)
{
    (void)whorl_future_ref(future);
}

static int check(struct whorl_strand *strand)
{
    return strand != NULL ? whorl__strand_check(strand_of(strand)) : -EINVAL;
}

int whorl_strand_join(struct whorl_strand *strand, int64_t deadline_ns)
{
    struct whorl_future *fresh;
    int error = check(strand);
    if (error == 0 && whorl_strand_current() == strand) {
        error = -EDEADLK;
    }
    if (error == 0) {
        error = whorl_future_new(&fresh);
    }
    if (error != 0) {
        return error;
    }
    struct whorl_future *const joined = whorl__strand_watch(strand_of(strand), fresh, keep);
    if (joined != fresh) {
        whorl_future_unref(fresh);
    }
    if (joined != NULL) {
        error = whorl_future_join(joined, deadline_ns, NULL);
        whorl_future_unref(joined);
    }
    return error;
}

/* ---- its beginning and end ---- */

int whorl_strand_init(struct whorl_strand *strand)
{
    if (strand == NULL) {
        return -EINVAL;
    }
    memset(strand, 0, sizeof *strand);
    strand_of(strand)->generation = whorl__fork_generation;
    return 0;
}

enum { NAMED_MAX = 4 };

static void put_names(struct whorl__text *text, struct whorl_task *const *tasks, size_t count)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    if (count == 0) {
        whorl__text_string(text, "callbacks");
        return;
    }
    whorl__text_number(text, count);
    for (size_t i = 0; i < count && i < NAMED_MAX; i++) {
        whorl__task_copy_name(tasks[i], name, sizeof name);
        whorl__text_string(text, i == 0 ? ": " : ", ");
        whorl__text_quoted(text, name);
    }
    whorl__text_string(text, count > NAMED_MAX ? ", ..." : "");
}

/* members: how many were in it when that was refused, callbacks among them. */
static void tell_of_members(struct whorl__runtime *runtime, struct whorl__strand *strand,
                            uint64_t members)
{
    char room[NAMED_MAX * (WHORL_TASK_NAME_MAX + 4) + 128];
    struct whorl__text text = {.bytes = room, .size = sizeof room - 1};
    struct whorl_task **tasks;
    size_t count;
    if (whorl__all_tasks_in(runtime, strand, &tasks, &count) != 0) {
        return;
    }
    whorl__text_string(&text, "the strand ");
    whorl__text_hex(&text, (uint64_t)(uintptr_t)strand);
    whorl__text_string(&text, " was to be destroyed; still in it are ");
    put_names(&text, tasks, count);
    whorl__text_string(&text, count > 0 && members > count ? ", and callbacks" : "");
    room[text.length] = '\0';
    whorl_all_tasks_free(tasks, count);
    whorl__report(runtime, &(struct whorl_report){.message = room,
                                                  .error = -EBUSY,
                                                  .loop = -1,
                                                  .task = whorl__task_current()});
}

int whorl_strand_destroy(struct whorl_strand *opaque)
{
    int error = check(opaque);
    if (error != 0) {
        return error;
    }
    struct whorl__strand *const strand = strand_of(opaque);
    error = whorl__strand_kill(strand);
    if (error == -EBUSY) {
        const uint64_t word = whorl__load_relaxed_u64(&strand->word); /* relaxed: for a report */
        struct whorl__runtime *const runtime =
            whorl__roster_find(word >> WHORL__STRAND_RUNTIME_SHIFT);
        if (runtime != NULL) {
            tell_of_members(runtime, strand, (word & WHORL__STRAND_MEMBERS) / WHORL__STRAND_MEMBER);
            whorl__roster_leave(runtime);
        }
    }
    return error;
}
