/*
 * os.c - the kernel, the clock and the thread-locals that a model's threads see.
 *
 * Stands in for runtime/sys/tls.c, which is not part of the model build: a thread here is a fiber,
 * so its thread-locals are fields. Stands in for the C library's mutexes and sched_yield, which the
 * build renames.
 *
 * Owns:       model_os, the waiters of futexes.
 * Invariant:  a futex call is one step: it empties the caller's buffer, and compares and waits with
 *             nothing in between, as the kernel does under its lock.
 */
#include "model/engine/engine.h"

#include "sys/tls.h"

#include <errno.h>
#include <string.h>

struct whorl__os model_os;

/* ---- thread-locals ---- */

static struct model_thread *here(void)
{
    return engine.current != NULL ? engine.current : &engine.threads[MODEL_MAIN];
}

struct whorl__worker *whorl__tls_worker(void)
{
    return here()->worker;
}

void whorl__tls_set_worker(struct whorl__worker *worker)
{
    here()->worker = worker;
}

void **whorl__tls_context_at(void)
{
    return here()->context_at;
}

void whorl__tls_set_context_at(void **at)
{
    here()->context_at = at;
}

void *whorl__tls_work(void)
{
    return here()->work;
}

void whorl__tls_set_work(void *work)
{
    here()->work = work;
}

int *whorl__tls_errno_at(void)
{
    return &here()->saved_errno;
}

int whorl__tls_errno(void)
{
    return here()->saved_errno;
}

void whorl__tls_set_errno(int value)
{
    here()->saved_errno = value;
}

/* ---- the clock ---- */

int64_t model_clock_ns(void)
{
    return engine.clock_ns;
}

void model_clock_set(int64_t now_ns)
{
    engine.clock_ns = now_ns;
}

/* ---- futexes ---- */

struct waiter {
    uint32_t *word;
    int64_t deadline_ns;
    bool woken;
};

static struct waiter waiters[MODEL_MAIN + 1]; /* word NULL: does not wait */
static uint32_t bucket; /* A: the kernel's lock of the words' hash bucket; there is one */

/* A wait that takes the lock after a wake sees what was stored before the wake. */
static void lock_bucket(void)
{
    while (!whorl__cas_u32(&bucket, 0, 1)) { /* acquire, pairs unlock_bucket */
        model_yield();
    }
}

static void unlock_bucket(void)
{
    whorl__store_release_u32(&bucket, 0); /* release, pairs lock_bucket */
}

static bool may_go_on(void *arg)
{
    const struct waiter *const waiter = arg;
    return waiter->woken || engine.clock_ns >= waiter->deadline_ns;
}

static int futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct waiter *const mine = &waiters[engine.current->index];
    lock_bucket();
    const bool waits = whorl__load_relaxed_u32(word) == expected; /* relaxed: under the lock */
    if (waits) {
        *mine = (struct waiter){.word = word, .deadline_ns = deadline_ns};
    }
    unlock_bucket();
    if (!waits) {
        return -EAGAIN;
    }
    model_block_until(may_go_on, mine);
    mine->word = NULL;
    return mine->woken ? 0 : -ETIMEDOUT;
}

static int futex_wake(uint32_t *word, int waiters_max)
{
    int woken = 0;
    whorl__fence_full(); /* the kernel's, before it looks whether anybody waits */
    lock_bucket();
    for (unsigned i = 0; i <= MODEL_MAIN && woken < waiters_max; i++) {
        if (waiters[i].word == word && !waiters[i].woken) {
            waiters[i].woken = true;
            waiters[i].word = NULL;
            woken++;
        }
    }
    unlock_bucket();
    return woken;
}

/* ---- memory by the page ---- */

static int map_pages(size_t bytes, void **ret_base)
{
    *ret_base = model_alloc(bytes);
    memset(*ret_base, 0, bytes);
    return 0;
}

static int unmap_pages(void *base, size_t bytes)
{
    (void)bytes;
    model_free(base);
    return 0;
}

static int leave_pages(void *base, size_t bytes, int how)
{
    (void)base, (void)bytes, (void)how;
    return 0;
}

/* As the kernel's: none is 0, and a model's own table may have others. */
static int thread_id(void)
{
    return 1000 + (int)model_thread();
}

/* ---- what a model has not provided ---- */

static int refuse(void)
{
    run_fail("a system call that the model has not put into model_os");
}

static void refuse_all(void)
{
    int (*const refusal)(void) = refuse;
    char *const table = (char *)&model_os;
    for (size_t at = 0; at < sizeof(model_os); at += sizeof(refusal)) {
        memcpy(table + at, &refusal, sizeof(refusal));
    }
}

void os_reset(void)
{
    engine.clock_ns = 0;
    memset(waiters, 0, sizeof(waiters));
    bucket = 0;
    refuse_all();
    model_os.alloc = model_alloc;
    model_os.free = model_free;
    model_os.map = map_pages;
    model_os.unmap = unmap_pages;
    model_os.protect = leave_pages;
    model_os.advise = leave_pages;
    model_os.now_ns = model_clock_ns;
    model_os.yield = model_yield;
    model_os.thread_id = thread_id;
    model_os.futex_wait = futex_wait;
    model_os.futex_wake = futex_wake;
    whorl__os = &model_os;
}

/* ---- the C library: see the target whorl_model in tests/model/CMakeLists.txt ---- */

int whorl__model_sched_yield(void);
int whorl__model_mutex_lock(pthread_mutex_t *mutex);
int whorl__model_mutex_unlock(pthread_mutex_t *mutex);

int whorl__model_sched_yield(void)
{
    model_yield();
    return 0;
}

/* The first word of a mutex that was initialised with zeros is free at 0. */
static uint32_t *word_of(pthread_mutex_t *mutex)
{
    return (uint32_t *)(void *)mutex;
}

int whorl__model_mutex_lock(pthread_mutex_t *mutex)
{
    while (!whorl__cas_u32(word_of(mutex), 0, 1)) { /* acquire, pairs with the unlock */
        model_yield();
    }
    return 0;
}

int whorl__model_mutex_unlock(pthread_mutex_t *mutex)
{
    whorl__store_release_u32(word_of(mutex), 0); /* release, pairs with the lock */
    return 0;
}
