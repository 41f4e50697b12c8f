/*
 * fork.c - notices forks, and makes the forking thread of a child a plain thread again.
 *
 * Owns:       the handlers given to pthread_atfork, once in a process; glibc forgets them when the
 *             library is unloaded.
 * Threads:    any; the handlers run on the thread that forks.
 */
#include "sys/fork.h"

#include "base/assert.h"
#include "sys/tls.h"

#include <pthread.h>

uint32_t whorl__fork_generation;

static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static int watch_error; /* C: after watch_once */
static void (*on_child)(struct whorl__worker *worker); /* M(hold_lock) */

void whorl__fork_hold(void)
{
    const int error = pthread_mutex_lock(&hold_lock);
    WHORL_CHECK(error == 0, "a plain mutex cannot fail to be locked");
}

void whorl__fork_release(void)
{
    const int error = pthread_mutex_unlock(&hold_lock);
    WHORL_CHECK(error == 0, "a plain mutex cannot fail to be unlocked");
}

static void become_child(void)
{
    struct whorl__worker *const worker = whorl__tls_worker();
    whorl__tls_set_worker(NULL);
    whorl__tls_set_work(NULL);
    whorl__fork_generation++;
    if (on_child != NULL) {
        on_child(worker);
    }
    whorl__fork_release();
}

static void watch(void)
{
    watch_error = -pthread_atfork(whorl__fork_hold, whorl__fork_release, become_child);
}

int whorl__fork_watch(void)
{
    const int error = pthread_once(&watch_once, watch);
    WHORL_CHECK(error == 0, "pthread_once takes what pthread.h initialises");
    return watch_error;
}

void whorl__fork_on_child(void (*forked)(struct whorl__worker *worker))
{
    whorl__fork_hold();
    on_child = forked;
    whorl__fork_release();
}
