/*
 * runtime.h - what the files beside it, and what stands above the runtime, need of it.
 *
 *   start ... run mains ... end ... stop ... let_go
 *
 * Owns:       who may start runtimes in this process: anyone, or the one who has claimed it.
 * Threads:    any, but those of loops.
 * Invariant:  while the process is claimed no runtime lives but the claimer's.
 */
#ifndef WHORL_RUNTIME_INTERNAL_H
#define WHORL_RUNTIME_INTERNAL_H

#include "sched/sched.h"

/* ---- the process ---- */

/* True: no runtime lived, and from now on none can be started (-EBUSY) until the release. */
WHORL_MUST_USE bool whorl__process_claim(void);
void whorl__process_release(void);

/* One runtime more, and one less. False: somebody has claimed the process. */
WHORL_MUST_USE bool whorl__process_enter(void);
void whorl__process_leave(void);

/* ---- runtime.c ---- */

/* Whether or not the process is claimed. Errors as whorl_run's; options NULL: the defaults. */
WHORL_MUST_USE int whorl__runtime_start(const struct whorl_options *options,
                                        struct whorl__runtime **ret_runtime);

/* Once it has ended: its threads leave, and what it had is given back, but for what let_go does. */
void whorl__runtime_stop(struct whorl__runtime *runtime);

/* The memory of a runtime that has stopped, unless tasks of it are referred to still. */
void whorl__runtime_let_go(struct whorl__runtime *runtime);

/* ---- end.c ---- */

/* No new tasks; all are cancelled and waited for; generators and pools are closed. */
void whorl__runtime_end(struct whorl__runtime *runtime);

/* Until no foreign thread is inside a spawn or a wake-up. */
void whorl__runtime_wait_for_guests(struct whorl__runtime *runtime);

/* ---- runner.c ---- */

/* whorl_run for the claimer: without asking whether the process is claimed, and without SIGINT. */
WHORL_MUST_USE int whorl__run(whorl_body *body, void *arg, const struct whorl_options *options);

/* ---- sigint.c ---- */

/* From now on a SIGINT is for the main task that await is given, or else for end. False: thread or
 * disposition do not allow it, and neither is to be called. */
WHORL_MUST_USE bool whorl__sigint_begin(void);
void whorl__sigint_end(void);

/* As await; -EINTR: a SIGINT has cancelled the main task, and nobody else. */
int whorl__sigint_await(struct whorl_task *main_task, int (*await)(struct whorl_task *));

/* In a child of fork: the disposition is put back. */
void whorl__sigint_forked(void);

#endif
