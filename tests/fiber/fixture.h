/*
 * fixture.h - fibers that run jobs for a test, with the test's own thread as their host.
 *
 * A failing cmocka assert jumps to the stack the test runs on, so code on a fiber only records, in
 * its job; the test asserts after the switch back.
 */
#ifndef WHORL_TESTS_FIBER_FIXTURE_H
#define WHORL_TESTS_FIBER_FIXTURE_H

#include "fiber/fiber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One store and one cache of fibers, with the test's thread as the only host. */
struct rig {
    struct whorl__stacks *stacks;
    struct whorl__fibers fibers;
    struct whorl__fiber host;
};

/* What a fiber runs: `body` once per assignment, then back to `host`. */
struct job {
    void (*body)(struct job *job);
    struct whorl__fiber *host;
    struct whorl__fiber *self;
    long result;
    int turns;
};

static inline void entry(struct whorl__fiber *self)
{
    for (;;) {
        struct job *job = self->user;
        job->body(job);
        job = self->user;
        whorl__fiber_switch(self, job->host);
    }
}

static inline int set_up(void **state)
{
    struct rig *rig = aligned_alloc(WHORL_CACHE_LINE, sizeof(*rig));
    if (rig == NULL || whorl__stacks_create(&rig->stacks) != 0) {
        return -1;
    }
    whorl__fibers_init(&rig->fibers, rig->stacks, entry);
    whorl__fiber_init_host(&rig->host);
    *state = rig;
    return 0;
}

static inline int tear_down(void **state)
{
    struct rig *rig = *state;
    whorl__fiber_fini_host(&rig->host);
    whorl__fibers_fini(&rig->fibers);
    whorl__stacks_destroy(rig->stacks);
    free(rig);
    return 0;
}

/* Gives the fiber its next job; the job's other fields are the test's. */
static inline void assign(struct rig *rig, struct whorl__fiber *fiber, struct job *job,
                          void (*body)(struct job *))
{
    job->body = body;
    job->host = &rig->host;
    job->self = fiber;
    fiber->user = job;
}

/* A fiber of the default size with a job to run. */
static inline struct whorl__fiber *get(struct rig *rig, struct job *job, void (*body)(struct job *))
{
    struct whorl__fiber *fiber = NULL;
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fiber), 0);
    assign(rig, fiber, job, body);
    return fiber;
}

static inline void put(struct rig *rig, struct whorl__fiber *fiber)
{
    whorl__fibers_put(&rig->fibers, fiber);
}

static inline void resume(struct job *job)
{
    whorl__fiber_switch(job->host, job->self);
}

static inline void suspend(struct job *job)
{
    whorl__fiber_switch(job->self, job->host);
}

#endif
