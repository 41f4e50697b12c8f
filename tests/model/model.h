/*
 * model.h - what a model program includes: its models, and how they speak to the checker.
 *
 * A model is a small program of a few threads over the library's own code, compiled once more with
 * atomic/atomic_model.h. The checker (tests/model/engine) runs it many times. In each execution it
 * decides at every atomic operation which thread goes on, when a store leaves its buffer, and which
 * of the values that the memory model allows a load returns; so a failure can be repeated exactly.
 *
 * Threads:    a model's threads are fibers of one thread of the system. errno and the worker that
 *             sys/tls.h knows are kept for each.
 * Modes:      sc    one memory, operations in turn
 *             tso   each thread has a first-in-first-out buffer of stores, as x86 has; full fences
 *                   and read-modify-writes empty it
 *             pso   one buffer a thread and location: stores to two locations may change places
 *                   unless a release stands between
 *             c11   each location has the history of its stores; a load returns any that coherence
 *                   and happens-before allow, a store may be inserted before later ones; releases,
 *                   acquires and fences carry what C11 says
 *             In every mode the races of marked plain accesses (whorl__plain_read, _write in
 *             atomic/atomic.h) are found by C11's happens-before, whatever the machine would do.
 * Limits:     a load never returns a store that comes later in its own thread or depends on it: no
 *             load buffering. Plain accesses go to memory at once. Loads look back at most
 *             MODEL_HISTORY stores. One location is accessed in one size.
 */
#ifndef WHORL_TESTS_MODEL_MODEL_H
#define WHORL_TESTS_MODEL_MODEL_H

#include "atomic/atomic.h"
#include "base/compiler.h"
#include "sys/os.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_THREADS_MAX 6
#define MODEL_UNBOUNDED   UINT32_MAX /* preemptions: really all executions; for a few operations */

enum model_mode { MODEL_SC, MODEL_TSO, MODEL_PSO, MODEL_C11, MODEL_MODES };

struct model {
    const char *name;           /* "runqueue/two-thieves" */
    const char *about;          /* one line */
    unsigned threads;           /* 1 .. MODEL_THREADS_MAX */
    size_t state_bytes;         /* zeroed, on a cache line, fresh each execution */
    void (*setup)(void *state); /* alone, before the threads; may be NULL */
    void (*body)(void *state, unsigned thread);
    void (*finish)(void *state);       /* alone, sees everything; may be NULL */
    unsigned preemptions;              /* of the exhaustive search; 0 = random only */
    uint64_t schedules;                /* random ones for each memory mode */
    unsigned steps_max;                /* 0 = default; longer is a livelock and fails */
    const char *outcomes[MODEL_MODES]; /* what model_outcome may say, and each must: "0,1 1,1" */
};

/* main() of every model program; --help says what it takes. */
int model_main(int argc, char **argv, const struct model *models, size_t count);

/* False: this execution failed. In bodies, setup and finish. */
#define MODEL_CHECK(condition)                                                                     \
    (WHORL_LIKELY(condition) ? (void)0 : model_check_failed(#condition, __FILE__, __LINE__))
WHORL_COLD _Noreturn void model_check_failed(const char *condition, const char *file, int line);

/* A line in the calling thread's column of a printed interleaving. */
void model_note(const char *format, ...) WHORL_PRINTF(1, 2);

/* The result of this execution, a word; in finish. Checked if the model lists outcomes. */
void model_outcome(const char *format, ...) WHORL_PRINTF(1, 2);

/* How a field is called in a printed interleaving; the text is kept, not copied. In setup. */
void model_name(const void *address, const char *name);

/* 0 .. n-1, each of them in some execution. */
unsigned model_choose(unsigned n);

/* A point where others run first, if any can; whorl__pause() and sched_yield() come here. */
void model_yield(void);

/* Goes on once ready(arg) is true. That looks at plain memory only. All threads blocked: a
 * deadlock, which fails. Orders nothing. */
void model_block_until(bool (*ready)(void *arg), void *arg);

/* Which thread calls; the number of threads in setup and finish. */
unsigned model_thread(void);

/* Use after free (by atomic operations and marked accesses), double free and what is left at the
 * end fail. On a cache line; not cleared. */
void *model_alloc(size_t bytes);
void model_free(void *block);

/* What whorl__os points to: alloc, free, futexes, clock are the checker's; others refuse the call
 * until a model puts its own there, in its setup; each execution starts with a fresh table. */
extern struct whorl__os model_os;

/* The clock of model_os: 0 at the start of each execution. */
int64_t model_clock_ns(void);
void model_clock_set(int64_t now_ns);

#endif
