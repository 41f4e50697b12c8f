/*
 * rig.h - loops and tasks for the models of the task side: the real run of a task, on real fibers,
 * under a loop that does nothing else.
 *
 * A model thread that calls rig_loop is that loop until every task has ended. It takes what is
 * ready by the calls the worker uses and runs it by the worker's own run of a task: entry, body,
 * park, commit, requeue and end are the library's. What it leaves out is searching, sleeping and
 * the poller, which have models of their own: where a worker would go to sleep, it is not scheduled
 * before something is there.
 *
 * Owns:       struct rig, which is in the model's state; the stacks, which are static: there is one
 *             execution at a time.
 * Spawned:    a task of a model may spawn others, and must not end before they have. They begin
 *             where they are awaited if the model has asked for that.
 * Threads:    init, spawn and fini from setup and finish; a loop by one model thread.
 * Clock:      stands still at 0; timers fire where a model thread fires them.
 */
#ifndef WHORL_TESTS_MODEL_RIG_H
#define WHORL_TESTS_MODEL_RIG_H

#include "model/model.h"

#include "sched/sched.h"

#include <stdbool.h>

#define RIG_LOOPS 3
#define RIG_TASKS 4
#define RIG_SHELF 2 /* fibers beside those of the tasks */

/* Strict: a task stays on its loop, others post to its inbox. Sharing: who wakes a task runs it. */
enum rig_kind { RIG_STRICT, RIG_SHARING };

struct rig {
    struct whorl__runtime runtime;
    struct whorl__loop loops[RIG_LOOPS];
    struct whorl__loop *loop_list[RIG_LOOPS];
    struct whorl__fiber fibers[RIG_TASKS + RIG_SHELF];
    unsigned spawned;
    unsigned shelved;
};

void rig_init(struct rig *rig, unsigned loop_count, enum rig_kind kind);

/* From now on what is spawned may begin where it is awaited, on loops[0]; the kind is sharing. */
void rig_inline(struct rig *rig);

/* As loops[index], which has begun: runs a task that somebody has spawned and left open, of this
 * epoch, unless another has it by now. */
bool rig_run_open(struct rig *rig, unsigned index, struct whorl_task *task, uint32_t epoch);

/* A task that is ready on loops[index], with a reference for the caller. */
struct whorl_task *rig_spawn(struct rig *rig, unsigned index, whorl_body *body, void *arg);

/* The same, with attributes. */
struct whorl_task *rig_spawn_with(struct rig *rig, unsigned index, whorl_body *body, void *arg,
                                  const struct whorl_attr *attr);

/* A fiber in the cache of loops[index], for what is no task and asks for one. */
void rig_shelve(struct rig *rig, unsigned index);

/* The calling model thread is loops[index] from begin to end; between them it fires and runs. */
struct whorl__loop *rig_loop_begin(struct rig *rig, unsigned index);
void rig_loop_end(struct rig *rig, unsigned index);

/* Runs tasks until all have ended. */
void rig_loop_run(struct rig *rig, unsigned index);

/* begin, run, end. */
void rig_loop(struct rig *rig, unsigned index);

/* Fires what is due at now_ns on `of`, as its owner or as who rescues it: between begin and end. */
unsigned rig_fire(struct rig *rig, unsigned of, int64_t now_ns);

/* All tasks have ended and nobody refers to them: gives back what the rig has. */
void rig_fini(struct rig *rig);

#endif
