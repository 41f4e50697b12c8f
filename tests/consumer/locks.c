/*
 * locks.c - a program that waits with locks held, in debug mode: which of it is told?
 *
 *   locks LOOPS all|none      with libwhorl-locks.so in the process, or without it
 *
 * Each case is a task, and says how many reports it is worth if the library is there. Built as a
 * shared object, locks_main is called by loader.c.
 */
#define _GNU_SOURCE

#include <whorl.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

/* A function whose name a backtrace finds. */
#define EXTERN __attribute__((noinline, visibility("default")))

struct seen {
    int reports;
    int error;
    char locks[512];
    char waits_at[512];
};

static struct seen seen; /* one report at a time, and each case waits for its own */

static int keep(void *arg, const struct whorl_report *report)
{
    (void)arg;
    seen.reports++;
    seen.error = report->error;
    snprintf(seen.locks, sizeof seen.locks, "%s", report->locks != NULL ? report->locks : "");
    snprintf(seen.waits_at, sizeof seen.waits_at, "%s",
             report->waits_at != NULL ? report->waits_at : "");
    return 0;
}

static void must(int error)
{
    if (error != 0) {
        fprintf(stderr, "a call that cannot fail did: %d\n", error);
        abort();
    }
}

/* A wait; not a tail call, so that its callers are on the stack. */
EXTERN void wait_a_moment(void)
{
    must(whorl_sleep(100 * WHORL_MICROSECOND));
    __asm__ volatile("" ::: "memory");
}

static void on_a_thread(void *(*function)(void *arg), void *arg)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, function, arg));
    must(pthread_join(thread, NULL));
}

/* ---- what is told ---- */

EXTERN void over_a_wait(pthread_mutex_t *mutex)
{
    must(pthread_mutex_lock(mutex));
    wait_a_moment();
    must(pthread_mutex_unlock(mutex));
}

EXTERN int mutex_over_a_wait_once_a_place(void)
{
    pthread_mutex_t mutexes[] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
    for (int i = 0; i < 6; i++) {
        over_a_wait(&mutexes[i % 2]);
    }
    return 1;
}

EXTERN int mutex_in_other_ways(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    must(pthread_mutex_trylock(&mutex));
    wait_a_moment();
    must(pthread_mutex_unlock(&mutex));
    must(pthread_mutex_timedlock(&mutex, &until));
    wait_a_moment();
    must(pthread_mutex_unlock(&mutex));
    must(pthread_mutex_clocklock(&mutex, CLOCK_REALTIME, &until));
    wait_a_moment();
    must(pthread_mutex_unlock(&mutex));
    return 3;
}

EXTERN int rwlock_and_spin_lock(void)
{
    pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
    pthread_spinlock_t spin;
    must(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE));
    must(pthread_rwlock_rdlock(&rwlock));
    wait_a_moment();
    must(pthread_rwlock_unlock(&rwlock));
    must(pthread_rwlock_wrlock(&rwlock));
    wait_a_moment();
    must(pthread_rwlock_unlock(&rwlock));
    must(pthread_spin_lock(&spin));
    wait_a_moment();
    must(pthread_spin_unlock(&spin));
    wait_a_moment();
    must(pthread_spin_destroy(&spin));
    return 3;
}

EXTERN int mtx_of_c11(void)
{
    mtx_t mtx;
    must(mtx_init(&mtx, mtx_plain) == thrd_success ? 0 : 1);
    must(mtx_lock(&mtx) == thrd_success ? 0 : 1);
    wait_a_moment();
    must(mtx_unlock(&mtx) == thrd_success ? 0 : 1);
    wait_a_moment();
    mtx_destroy(&mtx);
    return 1;
}

EXTERN int recursive_until_the_last_unlock(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t mutex;
    must(pthread_mutexattr_init(&attr));
    must(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE));
    must(pthread_mutex_init(&mutex, &attr));
    /* Its owner is a thread: to wait with it is what debug mode warns of, and here it is pinned. */
    must(pthread_mutex_lock(&mutex));
    must(pthread_mutex_lock(&mutex));
    must(pthread_mutex_unlock(&mutex));
    wait_a_moment();
    must(pthread_mutex_unlock(&mutex));
    wait_a_moment();
    must(pthread_mutex_destroy(&mutex));
    return 1;
}

EXTERN int two_locks_are_one_report(void)
{
    pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
    must(pthread_mutex_lock(&first));
    must(pthread_mutex_lock(&second));
    wait_a_moment();
    must(pthread_mutex_unlock(&second));
    must(pthread_mutex_unlock(&first));
    return 1;
}

static void *fail_to_unlock(void *mutex)
{
    must(pthread_mutex_unlock(mutex) == EPERM ? 0 : 1);
    return NULL;
}

EXTERN int unlock_that_fails_changes_nothing(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t mutex;
    must(pthread_mutexattr_init(&attr));
    must(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK));
    must(pthread_mutex_init(&mutex, &attr));
    must(pthread_mutex_lock(&mutex));
    on_a_thread(fail_to_unlock, &mutex);
    wait_a_moment();
    must(pthread_mutex_unlock(&mutex));
    must(pthread_mutex_destroy(&mutex));
    return 1;
}

struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int come;
};

static void *come(void *arg)
{
    struct meeting *const meeting = arg;
    must(pthread_mutex_lock(&meeting->mutex));
    meeting->come = 1;
    must(pthread_cond_signal(&meeting->cond));
    must(pthread_mutex_unlock(&meeting->mutex));
    return NULL;
}

EXTERN int cond_wait_has_the_mutex_again(void)
{
    struct meeting meeting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    pthread_t thread;
    must(pthread_mutex_lock(&meeting.mutex));
    must(pthread_create(&thread, NULL, come, &meeting));
    while (!meeting.come) {
        must(pthread_cond_wait(&meeting.cond, &meeting.mutex));
    }
    wait_a_moment();
    must(pthread_mutex_unlock(&meeting.mutex));
    wait_a_moment();
    must(pthread_join(thread, NULL));
    return 1;
}

/* With several loops it comes back on another thread than it has locked on. */
static int hold_and_move(void *arg)
{
    pthread_spinlock_t spin;
    (void)arg;
    must(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE));
    must(pthread_spin_lock(&spin));
    wait_a_moment();
    must(pthread_spin_unlock(&spin));
    wait_a_moment();
    must(pthread_spin_destroy(&spin));
    return 0;
}

EXTERN int tasks_that_move_keep_theirs(void)
{
    struct whorl_task *tasks[50];
    for (int i = 0; i < 50; i++) {
        must(whorl_spawn(hold_and_move, NULL, NULL, &tasks[i]));
    }
    for (int i = 0; i < 50; i++) {
        must(whorl_await(tasks[i], NULL));
        whorl_task_unref(tasks[i]);
    }
    return 1;
}

/* ---- what is not ---- */

EXTERN int taken_and_given_back_between_two_waits(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    for (int i = 0; i < 100; i++) {
        must(pthread_mutex_lock(&mutex));
        must(pthread_mutex_unlock(&mutex));
        must(whorl_yield());
    }
    must(pthread_mutex_destroy(&mutex));
    wait_a_moment();
    return 0;
}

EXTERN int try_that_gets_nothing(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    must(pthread_mutex_lock(&mutex));
    errno = 77;
    must(pthread_mutex_trylock(&mutex) == EBUSY ? 0 : 1);
    must(pthread_mutex_unlock(&mutex));
    must(errno == 77 ? 0 : 1);
    wait_a_moment();
    return 0;
}

static void *give_back(void *mutex)
{
    must(pthread_mutex_unlock(mutex));
    return NULL;
}

EXTERN int unlocked_by_another_thread(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    must(pthread_mutex_lock(&mutex));
    on_a_thread(give_back, &mutex);
    wait_a_moment();
    return 0;
}

EXTERN int destroyed_while_held(void)
{
    pthread_spinlock_t spin;
    must(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE));
    must(pthread_spin_lock(&spin));
    must(pthread_spin_destroy(&spin));
    wait_a_moment();
    return 0;
}

static int hold_and_end(void *mutex)
{
    must(pthread_mutex_lock(mutex));
    return 0;
}

EXTERN int task_that_ends_with_a_lock_blames_nobody_else(void)
{
    static pthread_mutex_t mutexes[20];
    for (int i = 0; i < 20; i++) {
        struct whorl_task *task;
        must(pthread_mutex_init(&mutexes[i], NULL));
        must(whorl_spawn(hold_and_end, &mutexes[i], NULL, &task));
        must(whorl_await(task, NULL));
        whorl_task_unref(task);
        wait_a_moment();
    }
    return 0;
}

EXTERN int a_child_of_fork_locks_as_before(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    int status = -1;
    must(pthread_mutex_lock(&mutex));
    const pid_t child = fork();
    if (child == 0) {
        must(pthread_mutex_unlock(&mutex));
        must(pthread_mutex_lock(&mutex));
        must(pthread_mutex_unlock(&mutex));
        _exit(0);
    }
    must(pthread_mutex_unlock(&mutex));
    must(waitpid(child, &status, 0) == child ? 0 : 1);
    must(status);
    wait_a_moment();
    return 0;
}

EXTERN int nothing_without_debug_mode(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    must(whorl_debug_set(0));
    must(pthread_mutex_lock(&mutex));
    wait_a_moment();
    must(whorl_debug_set(1));
    must(pthread_mutex_unlock(&mutex));
    wait_a_moment();
    return 0;
}

EXTERN int more_locks_than_there_is_room_for(void)
{
    enum { MANY = 2000 };
    static pthread_mutex_t many[MANY];
    for (int i = 0; i < MANY; i++) {
        must(pthread_mutex_init(&many[i], NULL));
        must(pthread_mutex_lock(&many[i]));
    }
    for (int i = 0; i < MANY; i++) {
        must(pthread_mutex_unlock(&many[i]));
    }
    wait_a_moment();
    return 0;
}

/* ---- all of them ---- */

#define CASE(name, word, at) {name, #name, word, at}
static const struct {
    int (*run)(void);
    const char *name;
    const char *kind; /* in the last report */
    const char *at;   /* a function that is named there as well */
} cases[] = {
    CASE(mutex_over_a_wait_once_a_place, "mutex 0x", "over_a_wait"),
    CASE(mutex_in_other_ways, "mutex 0x", "mutex_in_other_ways"),
    CASE(rwlock_and_spin_lock, "spin lock 0x", "rwlock_and_spin_lock"),
    CASE(mtx_of_c11, "mtx 0x", "mtx_of_c11"),
    CASE(recursive_until_the_last_unlock, "mutex 0x", "recursive_until_the_last_unlock"),
    CASE(two_locks_are_one_report, "; mutex 0x", "two_locks_are_one_report"),
    CASE(unlock_that_fails_changes_nothing, "mutex 0x", "unlock_that_fails_changes_nothing"),
    CASE(cond_wait_has_the_mutex_again, "mutex 0x", "cond_wait_has_the_mutex_again"),
    CASE(tasks_that_move_keep_theirs, "spin lock 0x", ""),
    CASE(taken_and_given_back_between_two_waits, NULL, NULL),
    CASE(try_that_gets_nothing, NULL, NULL),
    CASE(unlocked_by_another_thread, NULL, NULL),
    CASE(destroyed_while_held, NULL, NULL),
    CASE(task_that_ends_with_a_lock_blames_nobody_else, NULL, NULL),
    CASE(a_child_of_fork_locks_as_before, NULL, NULL),
    CASE(nothing_without_debug_mode, NULL, NULL),
    CASE(more_locks_than_there_is_room_for, NULL, NULL),
};

static int wrong;

static int shows(const char *kind, const char *at)
{
    return seen.error == -EDEADLK && strstr(seen.locks, kind) != NULL &&
           strstr(seen.locks, at) != NULL && strstr(seen.waits_at, "wait_a_moment") != NULL;
}

static int all_cases(void *arg)
{
    const int *const there = arg;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(&seen, 0, sizeof seen);
        const int wanted = cases[i].run() * *there;
        if (seen.reports != wanted) {
            printf("%s: %d reports, not %d: %s\n", cases[i].name, seen.reports, wanted, seen.locks);
            wrong++;
        } else if (wanted > 0 && !shows(cases[i].kind, cases[i].at)) {
            printf("%s: error %d, locks \"%.160s\", waits_at \"%.300s\"\n", cases[i].name,
                   seen.error, seen.locks, seen.waits_at);
            wrong++;
        }
    }
    return 0;
}

static int start_on_one_loop(void *arg)
{
    /* Pinned: what a mutex says to an unlock by another thread is not the question here. */
    const struct whorl_attr attr = {.pin = WHORL_PIN(0), .stack_bytes = 256 * 1024};
    struct whorl_task *task;
    must(whorl_spawn(all_cases, arg, &attr, &task));
    const int error = whorl_await(task, NULL);
    whorl_task_unref(task);
    return error;
}

int locks_main(int loops, const char *what);
int locks_main(int loops, const char *what)
{
    int there = strcmp(what, "all") == 0;
    const struct whorl_options options = {
        .loops = loops, .no_pin = 1, .debug = 1, .exception_handler = keep};
    for (int round = 0; round < 2; round++) { /* what was told is told again by another runtime */
        must(whorl_run(start_on_one_loop, &there, &options));
    }
    printf("%zu cases, %d wrong\n", sizeof cases / sizeof cases[0], wrong);
    return wrong;
}

#ifndef AS_PLUGIN
int main(int argc, char **argv)
{
    return argc == 3 ? locks_main(atoi(argv[1]), argv[2]) : 2;
}
#endif
