/*
 * stress_mix.c - everything at once, in a random order that a seed repeats.
 *
 *     stress_mix [--seed N] [--rounds N]     WHORL_TEST_SCALE multiplies the rounds
 *
 * A round runs the mix on 1, 2, 8, 64 loops. Workers, which are tasks, make jobs: tasks that give
 * a value, fail, sleep, give way, hold their loop, echo over a socket pair. They await, gather,
 * cancel and time them out. Helpers, which are plain threads, complete futures, cancel and spawn
 * tasks and drop references, also while the runtime ends and after it is gone.
 *
 * What must hold: each awaited job gives its own value; as many bodies end as began; each argument
 * is freed once; descriptors and threads are as before. A watchdog prints every loop and aborts if
 * nothing moves for 30 seconds, which is how a lost wake-up shows.
 *
 * The seed fixes what every worker does, not how the threads interleave.
 */
#include "base/random.h"
#include "sched/sched.h"
#include "whorl.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORKERS       16
#define STEPS         30
#define GATHERED_MAX  6
#define HELPERS       2
#define ECHO_BYTES    3000
#define FAREWELLS     50
#define QUIET_SECONDS 30
#define LONG_NS       (1000 * WHORL_SECOND) /* only a cancel ends it */
#define JOB_ALIVE     0x6a6f6221U

/* ---- one run of the mix ---- */

enum favour {
    FAVOUR_RESULT,
    FAVOUR_ERROR,
    FAVOUR_CANCEL_FUTURE,
    FAVOUR_CANCEL,
    FAVOUR_SPAWN,
    FAVOUR_DROP
};

/* What a worker asks of a helper; target with a reference, which the helper gives back. */
struct order {
    struct order *next;
    enum favour favour;
    struct whorl_future *future;
    struct whorl_task *task;
    void *value;
};

struct mix {
    uint64_t seed;
    int loops;
    struct whorl__runtime *runtime; /* for the watchdog, while it runs */
    uint32_t running;               /* A: runtime may be looked at */
    uint32_t moves;                 /* A: what the watchdog looks at */
    uint32_t begun;                 /* A: bodies */
    uint32_t ended;                 /* A */
    uint32_t made;                  /* A: arguments */
    uint32_t freed;                 /* A */
    uint32_t wrong;                 /* A */
    struct whorl_stats stats;
    struct whorl_task *main_task;

    pthread_mutex_t lock;
    pthread_cond_t there;
    struct order *orders; /* M(lock) */
    bool closed;          /* M(lock): no more will come */
};

static void count(uint32_t *word)
{
    (void)whorl__add_u32(word, 1);
}

static uint32_t read_count(uint32_t *word)
{
    return whorl__load_acquire_u32(word); /* acquire, pairs count */
}

/* Nothing is asserted in a task: the first failures are printed, all are counted. */
static void expect(struct mix *mix, bool holds, const char *what, int line)
{
    if (!holds && whorl__add_u32(&mix->wrong, 1) < 5) {
        printf("stress_mix: line %d: not so: %s (seed %llu, %d loops)\n", line, what,
               (unsigned long long)mix->seed, mix->loops);
    }
}

#define EXPECT(mix, condition) expect(mix, condition, #condition, __LINE__)

/* ---- jobs ---- */

enum kind {
    JOB_VALUE,
    JOB_FAIL,
    JOB_YIELDS,
    JOB_NAP,
    JOB_FOREVER,
    JOB_NEST,
    JOB_HOLD,
    JOB_ECHO,
    JOB_KINDS
};

struct job {
    struct mix *mix;
    enum kind kind;
    uint32_t magic;
    uint32_t amount; /* yields, microseconds */
    int fd;
    int pin;
    void *value;
};

static int run_job(void *arg);

static void free_job(void *arg)
{
    struct job *const job = arg;
    EXPECT(job->mix, job->magic == JOB_ALIVE);
    job->magic = 0;
    count(&job->mix->freed);
    free(job);
}

static struct job *make_job(struct mix *mix, enum kind kind, uint32_t amount)
{
    struct job *const job = malloc(sizeof *job);
    if (job == NULL) {
        abort();
    }
    *job = (struct job){.mix = mix, .kind = kind, .magic = JOB_ALIVE, .amount = amount, .fd = -1};
    job->value = (void *)(((uintptr_t)job ^ (uintptr_t)mix->seed) | 1);
    count(&mix->made);
    return job;
}

/* ret_task may be NULL: detached. *ret_value: what awaiting it must give. */
static bool start_job(struct job *job, struct whorl_task **ret_task, void **ret_value)
{
    const struct whorl_attr attr = {.arg_free = free_job, .pin = job->pin};
    struct mix *const mix = job->mix;
    *ret_value = job->value;
    const int error = whorl_spawn(run_job, job, &attr, ret_task);
    if (error != 0) {
        EXPECT(mix, error == -ECANCELED); /* the runtime is ending, and a detached job spawns */
        free_job(job);
    }
    return error == 0;
}

static int yield_often(uint32_t times)
{
    int error = 0;
    for (uint32_t i = 0; i < times && error == 0; i++) {
        error = whorl_yield();
    }
    return error;
}

/* A cancel of the one who awaits goes to the one awaited, and both end. */
static int nest(struct job *job)
{
    struct whorl_task *inner;
    void *value;
    if (!start_job(make_job(job->mix, JOB_FOREVER, 0), &inner, &value)) {
        return -ECANCELED;
    }
    const int error = whorl_await(inner, NULL);
    EXPECT(job->mix, error == -ECANCELED);
    EXPECT(job->mix, whorl_task_done(inner));
    EXPECT(job->mix, whorl_task_cancelled(inner));
    whorl_task_unref(inner);
    return error;
}

static void hold_loop(uint32_t microseconds)
{
    const int64_t end_ns = whorl_after(microseconds * WHORL_MICROSECOND);
    while (whorl_now() < end_ns) {
        whorl__pause();
    }
}

static int echo_back(struct job *job)
{
    char bytes[512];
    ssize_t got;
    while ((got = whorl_read(job->fd, bytes, sizeof bytes)) > 0) {
        if (whorl_write(job->fd, bytes, (size_t)got) != got) {
            return -EIO;
        }
    }
    return (int)got;
}

static int do_job(struct job *job)
{
    switch (job->kind) {
    case JOB_FAIL:
        return -EDOM;
    case JOB_YIELDS:
        return yield_often(job->amount);
    case JOB_NAP:
        return whorl_sleep(job->amount * WHORL_MICROSECOND);
    case JOB_FOREVER:
        return whorl_sleep(LONG_NS);
    case JOB_NEST:
        return nest(job);
    case JOB_HOLD:
        hold_loop(job->amount);
        return 0;
    case JOB_ECHO:
        return echo_back(job);
    default:
        return 0;
    }
}

static int run_job(void *arg)
{
    struct job *const job = arg;
    struct mix *const mix = job->mix;
    count(&mix->begun);
    EXPECT(mix, job->pin == 0 || whorl_loop_current() == job->pin - 1);
    const int error = do_job(job);
    EXPECT(mix, job->pin == 0 || whorl_loop_current() == job->pin - 1);
    (void)whorl_return(job->value);
    count(&mix->ended);
    count(&mix->moves);
    return error;
}

/* ---- orders to helpers ---- */

static void give_order(struct mix *mix, const struct order *order)
{
    struct order *const copy = malloc(sizeof *copy);
    if (copy == NULL) {
        abort();
    }
    *copy = *order;
    pthread_mutex_lock(&mix->lock);
    copy->next = mix->orders;
    mix->orders = copy;
    pthread_cond_signal(&mix->there);
    pthread_mutex_unlock(&mix->lock);
}

static struct order *take_order(struct mix *mix)
{
    pthread_mutex_lock(&mix->lock);
    while (mix->orders == NULL && !mix->closed) {
        pthread_cond_wait(&mix->there, &mix->lock);
    }
    struct order *const order = mix->orders;
    if (order != NULL) {
        mix->orders = order->next;
    }
    pthread_mutex_unlock(&mix->lock);
    return order;
}

static void spawn_from_outside(struct mix *mix, struct whorl_task *near)
{
    const struct whorl_attr attr = {.arg_free = free_job};
    struct job *const job = make_job(mix, JOB_YIELDS, 2);
    const int error = whorl_spawn_remote(near, run_job, job, &attr, NULL);
    EXPECT(mix, error == 0 || error == -ECANCELED);
    if (error != 0) {
        free_job(job);
    }
}

static void carry_out(struct mix *mix, const struct order *order)
{
    switch (order->favour) {
    case FAVOUR_RESULT:
        EXPECT(mix, whorl_future_set_result(order->future, order->value) == 0);
        break;
    case FAVOUR_ERROR:
        EXPECT(mix, whorl_future_set_error(order->future, -ERANGE) == 0);
        break;
    case FAVOUR_CANCEL_FUTURE:
        EXPECT(mix, whorl_future_cancel(order->future, "a helper"));
        break;
    case FAVOUR_CANCEL:
        (void)whorl_cancel(order->task, "a helper");
        break;
    case FAVOUR_SPAWN:
        spawn_from_outside(mix, order->task);
        break;
    case FAVOUR_DROP:
        break;
    }
    whorl_future_unref(order->future);
    whorl_task_unref(order->task);
}

static void *helper_main(void *arg)
{
    struct mix *const mix = arg;
    struct order *order;
    while ((order = take_order(mix)) != NULL) {
        carry_out(mix, order);
        free(order);
    }
    return NULL;
}

/* ---- a worker's steps ---- */

struct worker {
    struct mix *mix;
    struct whorl__random random;
};

static uint32_t draw(struct worker *worker, uint32_t below)
{
    return whorl__random_below(&worker->random, below);
}

/* A job that ends by itself with its value. */
static struct job *draw_job(struct worker *worker)
{
    static const enum kind kinds[] = {JOB_VALUE, JOB_YIELDS, JOB_NAP};
    struct job *const job = make_job(worker->mix, kinds[draw(worker, 3)], 0);
    job->amount = draw(worker, job->kind == JOB_NAP ? 300 : 5);
    job->pin =
        draw(worker, 4) == 0 ? WHORL_PIN((int)draw(worker, (uint32_t)worker->mix->loops)) : 0;
    return job;
}

static void await_one(struct worker *worker)
{
    struct whorl_task *task;
    void *wanted, *value = NULL;
    if (start_job(draw_job(worker), &task, &wanted)) {
        EXPECT(worker->mix, whorl_await(task, &value) == 0);
        EXPECT(worker->mix, value == wanted);
        whorl_task_unref(task);
    }
}

static void check_gathered(struct mix *mix, const struct whorl_result *results, void *const *wanted,
                           uint32_t count, uint32_t failing)
{
    for (uint32_t i = 0; i < count; i++) {
        EXPECT(mix, results[i].error == (i == failing ? -EDOM : 0));
        EXPECT(mix, results[i].value == (i == failing ? NULL : wanted[i]));
    }
}

/* Some jobs, perhaps a failing one among them; the failing one is told, the others run on. */
static void gather_some(struct worker *worker)
{
    struct whorl_task *tasks[GATHERED_MAX] = {0};
    struct whorl_result results[GATHERED_MAX];
    void *wanted[GATHERED_MAX];
    const uint32_t count = 1 + draw(worker, GATHERED_MAX);
    const uint32_t failing = draw(worker, 2 * GATHERED_MAX);
    const bool list = draw(worker, 2) == 0;
    for (uint32_t i = 0; i < count; i++) {
        struct job *const job =
            i == failing ? make_job(worker->mix, JOB_FAIL, 0) : draw_job(worker);
        if (!start_job(job, &tasks[i], &wanted[i])) {
            return;
        }
    }
    const int error =
        whorl_gather(tasks, count, list ? WHORL_GATHER_RETURN_EXCEPTIONS : 0, results);
    EXPECT(worker->mix, error == (!list && failing < count ? -EDOM : 0));
    if (error == 0) {
        check_gathered(worker->mix, results, wanted, count, failing);
    }
    for (uint32_t i = 0; i < count; i++) {
        EXPECT(worker->mix, whorl_await(tasks[i], NULL) == (i == failing ? -EDOM : 0));
        whorl_task_unref(tasks[i]);
    }
}

/* By the worker itself at any moment, or by a helper. */
static void cancel_one(struct worker *worker)
{
    struct whorl_task *task;
    void *wanted;
    const enum kind kind = draw(worker, 2) == 0 ? JOB_FOREVER : JOB_NEST;
    if (!start_job(make_job(worker->mix, kind, 0), &task, &wanted)) {
        return;
    }
    (void)yield_often(draw(worker, 4));
    if (draw(worker, 2) == 0) {
        EXPECT(worker->mix, whorl_cancel(task, "a worker"));
    } else {
        give_order(worker->mix,
                   &(struct order){.favour = FAVOUR_CANCEL, .task = whorl_task_ref(task)});
    }
    EXPECT(worker->mix, whorl_await(task, NULL) == -ECANCELED);
    EXPECT(worker->mix, whorl_task_cancelled(task));
    whorl_task_unref(task);
}

static void time_out_one(struct worker *worker)
{
    struct whorl_task *task;
    void *wanted;
    const enum kind kind = draw(worker, 2) == 0 ? JOB_FOREVER : JOB_NEST;
    if (start_job(make_job(worker->mix, kind, 0), &task, &wanted)) {
        const int64_t timeout_ns = draw(worker, 500) * WHORL_MICROSECOND;
        EXPECT(worker->mix, whorl_wait_for(task, timeout_ns, NULL) == -ETIMEDOUT);
        EXPECT(worker->mix, whorl_task_cancelled(task));
        whorl_task_unref(task);
    }
}

/* The job and the deadline race: one of the two must win, and nothing may be left behind. */
static void race_deadline(struct worker *worker)
{
    struct whorl_task *task;
    void *wanted, *value = NULL;
    if (start_job(make_job(worker->mix, JOB_NAP, draw(worker, 200)), &task, &wanted)) {
        const int error = whorl_wait_for(task, draw(worker, 200) * WHORL_MICROSECOND, &value);
        EXPECT(worker->mix, error == 0 || error == -ETIMEDOUT);
        EXPECT(worker->mix, error != 0 || value == wanted);
        EXPECT(worker->mix, whorl_task_done(task));
        whorl_task_unref(task);
    }
}

static int wanted_of(enum favour favour)
{
    return favour == FAVOUR_RESULT ? 0 : favour == FAVOUR_ERROR ? -ERANGE : -ECANCELED;
}

static void wait_for_helper(struct worker *worker)
{
    struct whorl_future *future;
    void *value = NULL;
    const enum favour favour = draw(worker, FAVOUR_CANCEL_FUTURE + 1);
    if (whorl_future_new(&future) != 0) {
        abort();
    }
    give_order(
        worker->mix,
        &(struct order){.favour = favour, .future = whorl_future_ref(future), .value = future});
    if (draw(worker, 3) == 0) { /* watch first, and give up soon */
        const int error =
            whorl_future_join(future, whorl_after(draw(worker, 50) * WHORL_MICROSECOND), NULL);
        EXPECT(worker->mix, error == -ETIMEDOUT || error == wanted_of(favour));
    }
    EXPECT(worker->mix, whorl_future_await(future, &value) == wanted_of(favour));
    EXPECT(worker->mix, value == (favour == FAVOUR_RESULT ? future : NULL));
    whorl_future_unref(future);
}

static void exchange(struct worker *worker, int fd)
{
    char sent[ECHO_BYTES], got[ECHO_BYTES];
    const size_t size = 1 + draw(worker, ECHO_BYTES);
    size_t have = 0;
    memset(sent, 'a' + (int)draw(worker, 26), size);
    EXPECT(worker->mix, whorl_write(fd, sent, size) == (ssize_t)size);
    while (have < size) {
        const ssize_t more = whorl_read(fd, got + have, size - have);
        if (more <= 0) {
            EXPECT(worker->mix, more > 0);
            return;
        }
        have += (size_t)more;
    }
    EXPECT(worker->mix, memcmp(sent, got, size) == 0);
}

static void talk_to_echo(struct worker *worker)
{
    int ends[2];
    struct whorl_task *task;
    void *wanted;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        abort();
    }
    EXPECT(worker->mix, whorl_fd_adopt(ends[0]) == 0);
    EXPECT(worker->mix, whorl_fd_adopt(ends[1]) == 0);
    struct job *const job = make_job(worker->mix, JOB_ECHO, 0);
    job->fd = ends[1];
    if (start_job(job, &task, &wanted)) {
        for (uint32_t i = 1 + draw(worker, 6); i > 0; i--) {
            exchange(worker, ends[0]);
        }
        EXPECT(worker->mix, whorl_shutdown(ends[0], SHUT_WR) == 0);
        EXPECT(worker->mix, whorl_await(task, NULL) == 0);
        whorl_task_unref(task);
    }
    EXPECT(worker->mix, whorl_close(ends[0]) == 0);
    EXPECT(worker->mix, whorl_close(ends[1]) == 0);
}

/* Nobody waits for these: some are cancelled by the end of the runtime. */
static void detach_some(struct worker *worker)
{
    static const enum kind kinds[] = {JOB_FOREVER, JOB_NEST, JOB_YIELDS, JOB_NAP};
    struct whorl_task *task;
    void *wanted;
    (void)start_job(make_job(worker->mix, kinds[draw(worker, 4)], draw(worker, 20)), NULL, &wanted);
    if (start_job(draw_job(worker), &task, &wanted)) {
        give_order(worker->mix, &(struct order){.favour = FAVOUR_DROP, .task = task});
    }
    give_order(worker->mix, &(struct order){.favour = FAVOUR_SPAWN,
                                            .task = whorl_task_ref(worker->mix->main_task)});
}

/* Right before the end: helpers spawn, and drop what has ended, while the runtime goes away. */
static void bid_farewell(struct mix *mix)
{
    for (int i = 0; i < FAREWELLS; i++) {
        struct whorl_task *task;
        void *wanted;
        if (start_job(make_job(mix, JOB_VALUE, 0), &task, &wanted)) {
            give_order(mix, &(struct order){.favour = FAVOUR_DROP, .task = task});
        }
        give_order(mix,
                   &(struct order){.favour = FAVOUR_SPAWN, .task = whorl_task_ref(mix->main_task)});
    }
}

/* Long enough now and then to be taken for stuck. */
static void hold_one(struct worker *worker)
{
    struct whorl_task *task;
    void *wanted;
    if (start_job(make_job(worker->mix, JOB_HOLD, draw(worker, 4000)), &task, &wanted)) {
        EXPECT(worker->mix, whorl_await(task, NULL) == 0);
        whorl_task_unref(task);
    }
}

static void nap(struct worker *worker)
{
    EXPECT(worker->mix, whorl_sleep(draw(worker, 500) * WHORL_MICROSECOND) == 0);
}

static int work(void *arg)
{
    static void (*const steps[])(struct worker * worker) = {
        await_one,       await_one,       gather_some,  cancel_one,  time_out_one, race_deadline,
        wait_for_helper, wait_for_helper, talk_to_echo, detach_some, hold_one,     nap,
    };
    struct worker *const worker = arg;
    for (int i = 0; i < STEPS; i++) {
        steps[draw(worker, sizeof steps / sizeof *steps)](worker);
        count(&worker->mix->moves);
    }
    return 0;
}

/* ---- a run ---- */

static int run_workers(void *arg)
{
    struct mix *const mix = arg;
    static struct worker workers[WORKERS];
    struct whorl_task *tasks[WORKERS];
    mix->main_task = whorl_task_current();
    mix->runtime = mix->main_task->runtime;
    whorl__store_release_u32(&mix->running, 1); /* pairs watch */
    for (int i = 0; i < WORKERS; i++) {
        workers[i].mix = mix;
        whorl__random_init(&workers[i].random, mix->seed * WORKERS + (uint64_t)i);
        const int error = whorl_spawn(work, &workers[i], NULL, &tasks[i]);
        if (error != 0) {
            abort();
        }
    }
    EXPECT(mix, whorl_gather(tasks, WORKERS, 0, NULL) == 0);
    for (int i = 0; i < WORKERS; i++) {
        whorl_task_unref(tasks[i]);
    }
    (void)whorl_stats(-1, &mix->stats);
    bid_farewell(mix);
    whorl__store_release_u32(&mix->running, 0); /* pairs watch */
    return 0;
}

static unsigned count_entries(const char *folder)
{
    DIR *const open = opendir(folder);
    unsigned entries = 0;
    if (open == NULL) {
        abort();
    }
    while (readdir(open) != NULL) {
        entries++;
    }
    closedir(open);
    return entries;
}

static void close_orders(struct mix *mix)
{
    pthread_mutex_lock(&mix->lock);
    mix->closed = true;
    pthread_cond_broadcast(&mix->there);
    pthread_mutex_unlock(&mix->lock);
}

static void log_nothing(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static void run_mix(struct mix *mix)
{
    const struct whorl_options options = {.loops = mix->loops, .no_pin = 1, .log = log_nothing};
    pthread_t helpers[HELPERS];
    const unsigned fds = count_entries("/proc/self/fd");
    const unsigned threads = count_entries("/proc/self/task");
    for (int i = 0; i < HELPERS; i++) {
        if (pthread_create(&helpers[i], NULL, helper_main, mix) != 0) {
            abort();
        }
    }
    EXPECT(mix, whorl_run(run_workers, mix, &options) == 0);
    close_orders(mix);
    for (int i = 0; i < HELPERS; i++) {
        (void)pthread_join(helpers[i], NULL);
    }
    EXPECT(mix, read_count(&mix->begun) == read_count(&mix->ended));
    EXPECT(mix, read_count(&mix->made) == read_count(&mix->freed));
    EXPECT(mix, mix->stats.missed_wakes == 0);
    EXPECT(mix, count_entries("/proc/self/fd") == fds);
    EXPECT(mix, count_entries("/proc/self/task") <= threads); /* a thread may leave with a delay */
}

/* ---- the watchdog ---- */

struct watch {
    struct mix *mix;
    sem_t over;
};

static void print_loop(const struct whorl__loop *loop)
{
    const struct whorl_stats *const stats = &loop->stats;
    printf("loop %u: sleeping %u searching %d stuck %u watcher %u watching %u current %p hot %p "
           "ring %u inbox %s bound %zu\n",
           loop->index, loop->sleeping, loop->searching, loop->stuck, loop->watcher, loop->watching,
           loop->current, loop->hot, whorl__runqueue_length(&loop->queue),
           whorl__inbox_is_empty(&loop->inbox) ? "empty" : "full", loop->bound.count);
    printf("    runs %llu spawned %llu ended %llu stolen %llu sleeps %llu wakes %llu timers %llu "
           "events %llu rescues %llu stalls %llu\n",
           (unsigned long long)stats->runs, (unsigned long long)stats->spawned,
           (unsigned long long)stats->ended, (unsigned long long)stats->stolen,
           (unsigned long long)stats->sleeps, (unsigned long long)stats->wakes,
           (unsigned long long)stats->timers, (unsigned long long)stats->events,
           (unsigned long long)stats->rescues, (unsigned long long)stats->stalls);
}

static _Noreturn void give_alarm(struct mix *mix)
{
    printf(
        "stress_mix: nothing has moved for %d seconds (seed %llu, %d loops): begun %u ended %u\n",
        QUIET_SECONDS, (unsigned long long)mix->seed, mix->loops, mix->begun, mix->ended);
    if (whorl__load_acquire_u32(&mix->running)) { /* acquire, pairs run_workers */
        printf("shared %u, idle %#x\n", mix->runtime->shared.count, mix->runtime->idle.word);
        for (unsigned i = 0; i < mix->runtime->loop_count; i++) {
            print_loop(mix->runtime->loops[i]);
        }
    }
    fflush(stdout);
    abort();
}

static void *watch(void *arg)
{
    struct watch *const watch = arg;
    uint32_t seen = 0;
    int quiet = 0;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    for (;;) {
        until.tv_sec++;
        if (sem_timedwait(&watch->over, &until) == 0) {
            return NULL;
        }
        const uint32_t moves = read_count(&watch->mix->moves);
        quiet = moves == seen ? quiet + 1 : 0;
        seen = moves;
        if (quiet >= QUIET_SECONDS) {
            give_alarm(watch->mix);
        }
    }
}

/* ---- the program ---- */

static bool run_watched(uint64_t seed, int loops)
{
    struct mix mix = {.seed = seed,
                      .loops = loops,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .there = PTHREAD_COND_INITIALIZER};
    struct watch watched = {.mix = &mix};
    pthread_t thread;
    if (sem_init(&watched.over, 0, 0) != 0 || pthread_create(&thread, NULL, watch, &watched) != 0) {
        abort();
    }
    run_mix(&mix);
    sem_post(&watched.over);
    (void)pthread_join(thread, NULL);
    printf("seed %llu, %2d loops: %u jobs, stolen %llu, migrations %llu, rescues %llu: %s\n",
           (unsigned long long)seed, loops, mix.made, (unsigned long long)mix.stats.stolen,
           (unsigned long long)mix.stats.migrations, (unsigned long long)mix.stats.rescues,
           mix.wrong == 0 ? "ok" : "FAILED");
    fflush(stdout);
    return mix.wrong == 0;
}

static uint64_t number_after(int argc, char **argv, const char *option, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], option) == 0) {
            return strtoull(argv[i + 1], NULL, 0);
        }
    }
    return otherwise;
}

int main(int argc, char **argv)
{
    static const int loops[] = {1, 2, 8, 64};
    const char *const scale = getenv("WHORL_TEST_SCALE");
    const uint64_t rounds =
        number_after(argc, argv, "--rounds", 3) * (scale != NULL ? strtoull(scale, NULL, 0) : 1);
    const uint64_t seed = number_after(argc, argv, "--seed", (uint64_t)time(NULL));
    bool good = true;
    for (uint64_t round = 0; round < rounds && good; round++) {
        for (size_t i = 0; i < sizeof loops / sizeof *loops && good; i++) {
            good = run_watched(seed + round, loops[i]);
        }
    }
    return good ? 0 : 1;
}
