/*
 * stage.h - a runtime of one to three loops for the models of the scheduler: real loops, pollers
 * and queues over the model's kernel, and tasks on fibers of their own.
 *
 * A model thread that calls stage_work is that loop's worker: whorl__worker_main, all of it, until
 * the runtime stops. A task's body is the model's; begin and end of a task are cut short (no slot
 * is taken, no future completed), for those have models of their own. In between it runs, parks, is
 * woken, is stolen as any task.
 *
 * Owns:       struct stage, which is in the model's state; the stacks, which are static: there is
 *             one execution at a time.
 * Threads:    begin, add and end from setup and finish; the rest as said.
 * Lost:       a model that ends only when every task has run needs no check for a lost wake-up: all
 *             threads are blocked then, and that is a failure.
 */
#ifndef WHORL_TESTS_MODEL_STAGE_H
#define WHORL_TESTS_MODEL_STAGE_H

#include "model/kernel.h"
#include "model/model.h"

#include "sched/sched.h"

#define STAGE_LOOPS 3
#define STAGE_TASKS 6 /* a multiple of WHORL__CHUNK_SLOTS */

struct stage {
    struct kernel kernel;
    struct whorl__runtime runtime;
    struct whorl__loop loops[STAGE_LOOPS];
    struct whorl__loop *loop_list[STAGE_LOOPS];
    uint16_t victims[STAGE_LOOPS][STAGE_LOOPS];
    uint16_t levels[STAGE_LOOPS];
    void *chunk_list[STAGE_TASKS / WHORL__CHUNK_SLOTS];
    struct whorl_task tasks[STAGE_TASKS];
    struct whorl__fiber fibers[STAGE_TASKS];
    bool ran[STAGE_TASKS]; /* its body was entered */
    int news[STAGE_TASKS]; /* written by who submits a task, read by its body */
    unsigned task_count;
};

enum stage_kind { STAGE_STEALING, STAGE_STRICT };

void stage_begin(struct stage *stage, unsigned loop_count, enum stage_kind kind);

/* A task that is LIVE and held by the caller, who submits it or puts it where it is found. */
struct whorl_task *stage_add(struct stage *stage, whorl_body *body, void *arg);

/* The same, in the ring of a loop before the threads begin. */
struct whorl_task *stage_add_ready(struct stage *stage, unsigned loop, whorl_body *body,
                                   void *arg);

/* Makes a task ready that nobody else holds, with news that its body reads. */
void stage_submit(struct stage *stage, struct whorl_task *task);     /* as if it was woken */
void stage_submit_new(struct stage *stage, struct whorl_task *task); /* by a task; as a new one */

/* The calling model thread is that loop's worker until the runtime stops. */
void stage_work(struct stage *stage, unsigned loop);

/* From any thread: every worker leaves. */
void stage_stop(struct stage *stage);

/* Waits until the body of a task was entered; the calling loop is busy all that time. */
void stage_wait_ran(struct stage *stage, const struct whorl_task *task);
bool stage_has_run(const struct stage *stage, const struct whorl_task *task);

/* Nothing is left in any queue, all descriptors are closed. */
void stage_end(struct stage *stage);

#endif
