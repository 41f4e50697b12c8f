/*
 * signal.c - the option dump_signal: a signal to the process is a dump to standard error.
 *
 * Owns:       the table of signals that runtimes have asked for, and what was there before.
 * Threads:    start and stop by threads that run runtimes, under changes; the handler on whichever
 *             thread the kernel chooses, which may be in a task, or stuck in one.
 * Invariant:  the handler calls whorl_dump and nothing else: no lock, no allocation, errno kept. It
 *             runs on the signal stack that loops have, for a task's may be small.
 *             While one dump is being written, a second signal is dropped: two would be mixed up.
 * Pairs:      N1  dumping: cas 0 to 1 - store 0 (release)
 * Not chosen: a thread that waits for the signal: it had to be blocked in all threads of a program
 *             that we do not own. A dump by whorl's log option: that is the program's code, and may
 *             not be fit for a handler.
 *
 * sigaction cannot fail here: the numbers were looked at before.
 */
#include "inside.h"

#include "atomic/atomic.h"
#include "whorl/debug.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define SIGNALS_MAX 8

struct asked {
    int number;
    unsigned users; /* runtimes; 0: the place is free */
    struct sigaction old;
};

static pthread_mutex_t changes = PTHREAD_MUTEX_INITIALIZER;
static struct asked table[SIGNALS_MAX]; /* M(changes) */
static uint32_t dumping;                /* A: N1 */

static void handle(int number)
{
    (void)number;
    if (whorl__cas_u32(&dumping, 0, 1)) { /* pairs N1 */
        (void)whorl_dump(STDERR_FILENO);  /* there is nobody to be told */
        whorl__store_release_u32(&dumping, 0);
    }
}

/* SEGV and BUS report stack overflows, URG asks a stuck task where it is; a fault must not return,
 * and KILL and STOP cannot be caught. */
bool whorl__dump_signal_ok(int number)
{
    static const int taken[] = {SIGSEGV, SIGBUS, SIGURG, SIGFPE, SIGILL, SIGTRAP,
                                SIGABRT, SIGSYS, SIGKILL, SIGSTOP};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        if (number == taken[i]) {
            return false;
        }
    }
    return number >= 0 && number <= SIGRTMAX && (number < 32 || number >= SIGRTMIN);
}

/* The place of a signal; of number 0, a free one. NULL: there is none. */
static struct asked *find_locked(int number)
{
    for (size_t i = 0; i < SIGNALS_MAX; i++) {
        if (number == 0 ? table[i].users == 0
                        : table[i].users > 0 && table[i].number == number) {
            return &table[i];
        }
    }
    return NULL;
}

static int start_locked(int number)
{
    struct asked *asked = find_locked(number);
    if (asked != NULL) {
        asked->users++;
        return 0;
    }
    asked = find_locked(0);
    if (asked == NULL) {
        return -EAGAIN;
    }
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    *asked = (struct asked){.number = number, .users = 1};
    (void)sigaction(number, &action, &asked->old);
    return 0;
}

static void put_back(const struct asked *asked)
{
    struct sigaction present;
    (void)sigaction(asked->number, NULL, &present);
    if (!(present.sa_flags & SA_SIGINFO) && present.sa_handler == handle) {
        (void)sigaction(asked->number, &asked->old, NULL);
    }
}

static void stop_locked(int number)
{
    struct asked *const asked = find_locked(number);
    if (--asked->users == 0) {
        put_back(asked);
    }
}

int whorl__dump_signal_start(int number)
{
    int error = 0;
    if (number != 0) {
        pthread_mutex_lock(&changes);
        error = start_locked(number);
        pthread_mutex_unlock(&changes);
    }
    return error;
}

void whorl__dump_signal_stop(int number)
{
    if (number != 0) {
        pthread_mutex_lock(&changes);
        stop_locked(number);
        pthread_mutex_unlock(&changes);
    }
}

void whorl__dump_signal_forked(void)
{
    for (size_t i = 0; i < SIGNALS_MAX; i++) {
        if (table[i].users > 0) {
            put_back(&table[i]);
            table[i].users = 0;
        }
    }
    pthread_mutex_init(&changes, NULL);
    whorl__store_relaxed_u32(&dumping, 0); /* relaxed: there is one thread */
}
