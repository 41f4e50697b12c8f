/*
 * tls.c - thread-locals behind a wall the compiler cannot look through.
 *
 * Owns:       current_worker, current_context, current_work.
 * Threads:    each its own copy.
 * Invariant:  two calls stay two calls, and each computes the address anew. WHORL_OPAQUE keeps the
 *             compiler from inlining the body, where it would share one address between two reads;
 *             the asm keeps it from taking the function for one whose result cannot change.
 *             tests/sys/test_tls_calls.sh counts the calls in the machine code, and shows what
 *             becomes of them without the wall.
 * Not chosen: volatile thread-locals: they force the load, not the address.
 */
#include "sys/tls.h"

#include "base/compiler.h"

#include <errno.h>

/* initial-exec: one load instead of a call into the loader, also in the shared library. */
static _Thread_local struct whorl__worker *current_worker
    __attribute__((tls_model("initial-exec")));

static _Thread_local void **current_context __attribute__((tls_model("initial-exec")));
static _Thread_local void *current_work __attribute__((tls_model("initial-exec")));

WHORL_OPAQUE struct whorl__worker *whorl__tls_worker(void)
{
    struct whorl__worker **slot = &current_worker;
    __asm__ volatile("" : "+r"(slot));
    return *slot;
}

WHORL_OPAQUE void whorl__tls_set_worker(struct whorl__worker *worker)
{
    struct whorl__worker **slot = &current_worker;
    __asm__ volatile("" : "+r"(slot));
    *slot = worker;
}

WHORL_OPAQUE void **whorl__tls_context_at(void)
{
    void ***slot = &current_context;
    __asm__ volatile("" : "+r"(slot));
    return *slot;
}

WHORL_OPAQUE void whorl__tls_set_context_at(void **at)
{
    void ***slot = &current_context;
    __asm__ volatile("" : "+r"(slot));
    *slot = at;
}

WHORL_OPAQUE void *whorl__tls_work(void)
{
    void **slot = &current_work;
    __asm__ volatile("" : "+r"(slot));
    return *slot;
}

WHORL_OPAQUE void whorl__tls_set_work(void *work)
{
    void **slot = &current_work;
    __asm__ volatile("" : "+r"(slot));
    *slot = work;
}

WHORL_OPAQUE int *whorl__tls_errno_at(void)
{
    int *slot = &errno;
    __asm__ volatile("" : "+r"(slot));
    return slot;
}

WHORL_OPAQUE int whorl__tls_errno(void)
{
    int *slot = &errno;
    __asm__ volatile("" : "+r"(slot));
    return *slot;
}

WHORL_OPAQUE void whorl__tls_set_errno(int value)
{
    int *slot = &errno;
    __asm__ volatile("" : "+r"(slot));
    *slot = value;
}
