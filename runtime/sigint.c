/*
 * sigint.c - the option handle_sigint: what an interrupt from the keyboard does to the main task.
 *
 *   begin             before the main task is made, which may want it at once: the handler is set
 *   first SIGINT      the handler counts it; the watcher, a thread that sleeps meanwhile, cancels
 *                     the main task. If that ends cancelled, and by nobody else, it is -EINTR
 *   a second one      at once: the disposition is the default again, and the signal is raised
 *   main is done      as a second one, until the disposition is put back a moment later
 *
 * It is done for one main at a time, on the main thread, and only if SIGINT had its default there:
 * a program that has a handler, or was started with SIGINT ignored, keeps that.
 *
 * Owns:       the disposition of SIGINT meanwhile; struct interrupts.
 * Threads:    the main thread of the process; the handler, on any; the watcher.
 * Invariant:  the handler changes the two words, wakes a futex, and calls sigaction and raise.
 * Pairs:      U1  handler: count + 1 - watcher: count (acquire)
 *             U2  main thread: over := 1 (release) - handler: over (acquire)
 * Not chosen: signalfd: SIGINT had to be blocked in all threads of a program that we do not own. To
 *             cancel in the handler: it takes locks. A task that waits for it: it would be one of
 *             the program's tasks, to be seen and cancelled.
 */
#include "runtime.h"

#include "sys/os.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static struct {
    uint32_t count; /* A: futex: signals since begin; U1 */
    uint32_t over;  /* A: futex with count's waiter: main is done; U2 */
    bool ours;      /* the main thread's: the handler is set */
    bool asked;     /* the watcher's, then the main thread's: main was cancelled in time */
    struct whorl_task *main_task;
    pthread_t watcher;
} interrupts;

/* ---- the handler ---- */

static void raise_default(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(SIGINT, &standard, NULL);
    raise(SIGINT);
}

static void interrupted(int number)
{
    (void)number;
    const uint32_t before = whorl__add_u32(&interrupts.count, 1); /* release half, pairs U1 */
    if (before == 0 && !whorl__load_acquire_u32(&interrupts.over)) { /* pairs U2 */
        (void)whorl__os->futex_wake(&interrupts.count, 1);
    } else {
        raise_default();
    }
}

/* ---- the watcher ---- */

/* The count is raised also to end the wait: then `over` is set. */
static void *watch(void *arg)
{
    (void)arg;
    pthread_setname_np(pthread_self(), "whorl-sigint");
    while (whorl__load_acquire_u32(&interrupts.count) == 0) { /* acquire, pairs U1 */
        (void)whorl__os->futex_wait(&interrupts.count, 0, WHORL_NEVER);
    }
    if (!whorl__load_acquire_u32(&interrupts.over)) { /* acquire, pairs U2 */
        interrupts.asked = whorl_cancel(interrupts.main_task, "SIGINT");
    }
    return NULL;
}

/* ---- the main thread ---- */

static bool may_handle(void)
{
    struct sigaction present;
    return whorl__os->thread_id() == getpid() && sigaction(SIGINT, NULL, &present) == 0 &&
           !(present.sa_flags & SA_SIGINFO) && present.sa_handler == SIG_DFL;
}

static void put_back(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction present;
    if (sigaction(SIGINT, NULL, &present) == 0 && !(present.sa_flags & SA_SIGINFO) &&
        present.sa_handler == interrupted) {
        sigaction(SIGINT, &standard, NULL);
    }
}

bool whorl__sigint_begin(void)
{
    struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART | SA_ONSTACK};
    if (!may_handle()) {
        return false;
    }
    sigemptyset(&action.sa_mask);
    whorl__store_relaxed_u32(&interrupts.count, 0); /* relaxed: no handler, no watcher yet */
    whorl__store_relaxed_u32(&interrupts.over, 0);  /* relaxed: as above */
    interrupts.asked = false;
    interrupts.ours = true;
    sigaction(SIGINT, &action, NULL);
    return true;
}

/* Main is done, or was never begun. Returns whether there was a SIGINT. */
static bool finish(void)
{
    whorl__store_release_u32(&interrupts.over, 1);              /* pairs U2 */
    const bool any = whorl__add_u32(&interrupts.count, 1) != 0; /* release half, pairs U1 */
    put_back();
    interrupts.ours = false;
    return any;
}

void whorl__sigint_end(void)
{
    if (finish()) {
        raise(SIGINT); /* it meant nobody else */
    }
}

static int await_watched(struct whorl_task *main_task, int (*await)(struct whorl_task *))
{
    const int error = await(main_task);
    const bool any = finish();
    (void)whorl__os->futex_wake(&interrupts.count, 1);
    (void)whorl__os->thread_join(interrupts.watcher);
    if (any && !interrupts.asked) {
        raise(SIGINT); /* it came when main was done already */
    }
    const bool alone = interrupts.asked && whorl_uncancel(main_task) == 0;
    return error == -ECANCELED && alone ? -EINTR : error;
}

int whorl__sigint_await(struct whorl_task *main_task, int (*await)(struct whorl_task *))
{
    interrupts.main_task = main_task;
    const int error = whorl__os->thread_start(&interrupts.watcher, watch, NULL);
    if (error == 0) {
        return await_watched(main_task, await);
    }
    whorl__log(main_task->runtime, "whorl: SIGINT is not handled: %s", whorl_error_text(error));
    whorl__sigint_end();
    return await(main_task);
}

void whorl__sigint_forked(void)
{
    if (interrupts.ours) {
        put_back();
        interrupts.ours = false;
    }
}
