/*
 * run.c - one run from its seed, many runs, and what the program may ask for inside one.
 *
 * Owns:       the life of struct whorl__sim: from whorl_sim_run's first line to its last.
 * Threads:    the carrier.
 *
 *   begin   the process is claimed; generators from the seed; our table in the place of the real
 *   go      the first simulated thread calls whorl__run, which starts the others
 *   end     the real table; what is left over is a failure; all is freed, also of a failed run
 */
#include "sim/sim.h"

#include "runtime.h"

#include "base/assert.h"
#include "fiber/overflow.h"
#include "sched/roster.h"
#include "sys/tls.h"

#if defined(WHORL_ASAN) || defined(WHORL_TSAN)
#    include <sanitizer/common_interface_defs.h>
#endif

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_NS        INT64_C(1000000000)
#define MILLION         1000000
#define TOPOLOGY        "pack:2 l3:1 core:%d pu:1"
#define LOOPS_DEFAULT   4
#define LATENCY_DEFAULT (200 * WHORL_MICROSECOND)
#define BUFFER_DEFAULT  ((size_t)16 << 10)
#define BUFFER_MAX      ((size_t)1 << 30)
#define NS_DEFAULT      (3600 * WHORL_SECOND)
#define STEPS_DEFAULT   UINT64_C(10000000)
#define FDS_DEFAULT     1024

/* ---- options ---- */

static int check_options(const struct whorl_sim_options *options)
{
    for (unsigned i = 0; i < WHORL_SIM_FAULTS; i++) {
        if (options->faults[i] > MILLION) {
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++) {
        if (options->reserved[i] != 0) {
            return -EINVAL;
        }
    }
    const bool ok = options->latency_ns >= 0 && options->latency_ns <= UINT32_MAX &&
                    options->buffer_bytes <= BUFFER_MAX && options->descriptors_max >= 0 &&
                    options->ns_max >= 0 && options->runtime.flags == 0;
    return ok ? 0 : -EINVAL;
}

static void fill_defaults(struct whorl_sim_options *options)
{
    options->runtime.no_pin = 1;
    options->runtime.loops = options->runtime.loops != 0 ? options->runtime.loops
                             : options->runtime.mode == WHORL_MODE_SINGLE ? 1
                                                                          : LOOPS_DEFAULT;
    options->latency_ns = options->latency_ns != 0 ? options->latency_ns : LATENCY_DEFAULT;
    options->buffer_bytes = options->buffer_bytes != 0 ? options->buffer_bytes : BUFFER_DEFAULT;
    options->descriptors_max =
        options->descriptors_max != 0 ? options->descriptors_max : FDS_DEFAULT;
    options->steps_max = options->steps_max != 0 ? options->steps_max : STEPS_DEFAULT;
    options->ns_max = options->ns_max != 0 ? options->ns_max : NS_DEFAULT;
    if (options->ns_max < INT64_MAX - START_NS) {
        options->ns_max += START_NS;
    }
}

/* ---- begin ---- */

/* Each purpose has a generator of its own: what one draws does not shift the others. */
static void seed_generators(struct whorl__sim *sim, uint64_t seed)
{
    struct whorl__random random;
    whorl__random_init(&random, seed);
    whorl__random_init(&sim->schedule, whorl__random_u64(&random));
    whorl__random_init(&sim->kernel, whorl__random_u64(&random));
    whorl__random_init(&sim->luck, whorl__random_u64(&random));
    whorl__random_init(&sim->program, whorl__random_u64(&random));
    /* some seeds switch at every second call, some seldom: bugs differ in what they need */
    sim->switch_chance = UINT32_C(1) << whorl__random_below(&random, 6);
    for (unsigned i = 0; i < WHORL_SIM_FAULTS; i++) {
        const bool left_out = whorl__random_u64(&random) & 1;
        sim->rates[i] = sim->options.swarm && left_out ? 0 : sim->options.faults[i];
    }
}

static int create(uint64_t seed, const struct whorl_sim_options *options, whorl_body *body,
                  void *arg)
{
    struct whorl__sim *const sim = whorl__os->alloc(sizeof *sim);
    if (sim == NULL) {
        return -ENOMEM;
    }
    memset(sim, 0, sizeof *sim);
    sim->real = whorl__os;
    sim->carrier = pthread_self();
    sim->options = *options;
    fill_defaults(&sim->options);
    sim->body = body;
    sim->arg = arg;
    sim->now_ns = START_NS;
    sim->idle_since_ns = INT64_MAX;
    sim->report.seed = seed;
    whorl_sim_seed_format(seed, sim->report.seed_text);
    seed_generators(sim, seed);
    whorl__heap_init(&sim->timers, whorl__os->alloc, whorl__os->free);
    whorl__list_init(&sim->owned);
    whorl__list_init(&sim->sockets);
    whorl__sim = sim;
    return 0;
}

/* ---- what ends a process ends a run: its seed must be told ---- */

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define FATAL_COUNT (sizeof fatal_signals / sizeof fatal_signals[0])
static struct sigaction before_us[FATAL_COUNT];

static void tell_seed(void)
{
    const struct whorl_sim_report *const report = &whorl__sim->report;
    static const char words[] = "whorl: this happened in simulation ";
    ssize_t put = write(STDERR_FILENO, words, sizeof words - 1);
    put += write(STDERR_FILENO, report->seed_text, strlen(report->seed_text));
    put += write(STDERR_FILENO, "\n", 1);
    (void)put; /* nobody is left to be told */
}

#if defined(WHORL_ASAN) || defined(WHORL_TSAN)
/* A sanitizer that has found something ends the process without a signal. */
static void set_death_callback(void (*callback)(void))
{
    __sanitizer_set_death_callback(callback);
}
#else
static void set_death_callback(void (*callback)(void))
{
    (void)callback;
}
#endif

static void pass_on(const struct sigaction *old, int number, siginfo_t *info, void *context)
{
    if ((old->sa_flags & SA_SIGINFO) != 0) {
        old->sa_sigaction(number, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(number);
    } else {
        sigaction(number, old, NULL); /* a fault comes again, and then ends the process */
        if (info->si_code <= 0) {
            raise(number);
        }
    }
}

static void fatal(int number, siginfo_t *info, void *context)
{
    tell_seed();
    for (unsigned i = 0; i < FATAL_COUNT; i++) {
        if (fatal_signals[i] == number) {
            pass_on(&before_us[i], number, info, context);
        }
    }
}

/* When the runtime has installed its own handlers: ours come first, and pass on. */
static void watch_signals(void)
{
    struct sigaction ours = {.sa_sigaction = fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    for (unsigned i = 0; i < FATAL_COUNT; i++) {
        sigaction(fatal_signals[i], &ours, &before_us[i]);
    }
    set_death_callback(tell_seed);
}

/* Before the runtime gives its handlers back, which it knows only while they come first. */
static void stop_watching(struct whorl__sim *sim)
{
    for (unsigned i = 0; sim->watching && i < FATAL_COUNT; i++) {
        sigaction(fatal_signals[i], &before_us[i], NULL);
    }
    set_death_callback(NULL);
    sim->watching = false;
}

/* What a runtime of a failed run, which never ends, would have done in the end. */
static void end_for_runtime(struct whorl__sim *sim)
{
    stop_watching(sim);
    if (sim->runtime_seen && !sim->runtime_ended) {
        whorl__overflow_uninstall();
    }
}

/* ---- go ---- */

static int first_task(void *arg)
{
    struct whorl__sim *const sim = arg;
    watch_signals();
    sim->watching = true;
    sim->armed = true;
    const int result = sim->body(sim->arg);
    stop_watching(sim);
    return result;
}

/* The program's log is called by the runtime under a lock of the system's: no switch there. */
static void log_line(void *log_arg, const char *line)
{
    struct whorl__sim *const sim = log_arg;
    const struct whorl_options *const options = &sim->options.runtime;
    sim->hold++;
    if (options->log != NULL) {
        options->log(options->log_arg, line);
    } else if (!sim->options.quiet) {
        fprintf(stderr, "%s\n", line);
    }
    sim->hold--;
}

static void join_all(struct whorl__sim *sim)
{
    for (unsigned i = 0; i < sim->thread_count; i++) {
        struct whorl_sim_thread *const thread = sim->threads[i];
        whorl__sim_call(WHORL__SIM_JOIN, i);
        while (thread != sim->current && thread->state != WHORL__SIM_ENDED) {
            (void)whorl__sim_wait(thread, INT64_MAX);
        }
        whorl__sim_done(0);
    }
}

static void *first_thread(void *arg)
{
    struct whorl__sim *const sim = arg;
    char topology[64];
    struct whorl_options options = sim->options.runtime;
    snprintf(topology, sizeof topology, TOPOLOGY, (options.loops + 1) / 2);
    options.topology = options.topology != NULL ? options.topology : topology;
    options.log = log_line;
    options.log_arg = sim;
    sim->armed = sim->options.faults_at_start != 0;
    sim->report.result = whorl__run(first_task, sim, &options);
    sim->runtime_ended = true;
    join_all(sim);
    sim->finished = true;
    return NULL;
}

static void go(struct whorl__sim *sim)
{
    struct whorl_sim_thread *first;
    char thread_name[16];
    const int unnamed = pthread_getname_np(pthread_self(), thread_name, sizeof thread_name);
    void (*const old_hook)(void) = whorl__check_hook;
    whorl__check_hook = whorl__sim_print_crash;
    whorl__os = &whorl__sim_table;
    if (whorl__sim_thread_new(first_thread, sim, &first) == 0) {
        whorl__sim_go(first);
    } else {
        sim->report.result = -ENOMEM;
    }
    whorl__os = sim->real;
    whorl__check_hook = old_hook;
    end_for_runtime(sim);
    if (unnamed == 0) {
        (void)pthread_setname_np(pthread_self(), thread_name); /* loops name whom they are on */
    }
}

/* ---- end ---- */

static const char *kind_name(const struct whorl__sim_file *file)
{
    static const char *const names[] = {"an epoll", "an eventfd", "a socket or pipe"};
    return names[file->kind];
}

/* Of a run that has failed nothing else is to be expected. */
static void check_left_over(struct whorl__sim *sim, uint64_t blocks, const char *oldest)
{
    if (sim->report.failed) {
        return;
    }
    for (int fd = 0; fd < sim->file_room; fd++) {
        if (sim->files[fd] != NULL) {
            whorl__sim_verdict("descriptor %d, %s, was left open, with %d others", fd,
                               kind_name(sim->files[fd]), sim->file_count - 1);
        }
    }
    if (blocks > 0) {
        whorl__sim_verdict("memory was left behind: %s, and %llu others", oldest,
                           (unsigned long long)(blocks - 1));
    }
}

static void destroy(struct whorl__sim *sim)
{
    whorl__sim_threads_destroy();
    whorl__sim_disown_all();
    whorl__heap_fini(&sim->timers);
    whorl__roster_clear(); /* of a run that has failed, the runtime is still there */
    whorl__sim = NULL;
    sim->real->free(sim);
}

static int end(struct whorl__sim *sim)
{
    char oldest[80];
    const bool failed_before = sim->report.failed != 0;
    const uint64_t blocks = whorl__sim_memory_sweep(oldest, sizeof oldest);
    check_left_over(sim, blocks, oldest);
    sim->report.ns = sim->now_ns - START_NS;
    if (sim->report.failed) {
        whorl__sim_print_failure();
        if (sim->options.abort_on_failure && !failed_before) {
            abort();
        }
    }
    if (sim->options.report != NULL) {
        *sim->options.report = sim->report;
    }
    const int result = sim->report.failed ? -ENOTRECOVERABLE : sim->report.result;
    destroy(sim);
    return result;
}

int whorl_sim_run(uint64_t seed, const struct whorl_sim_options *options, whorl_body *body,
                  void *arg)
{
    static const struct whorl_sim_options defaults;
    const struct whorl_sim_options *const chosen = options != NULL ? options : &defaults;
    void *altstack = NULL;
    if (body == NULL || check_options(chosen) != 0) {
        return -EINVAL;
    }
    if (!whorl__process_claim()) {
        return -EBUSY;
    }
    int error = whorl__overflow_thread_start(&altstack);
    if (error == 0) {
        error = create(seed, chosen, body, arg);
        if (error == 0) {
            go(whorl__sim);
            error = end(whorl__sim);
        }
        whorl__overflow_thread_stop(altstack);
    }
    whorl__process_release();
    return error;
}

/* ---- many ---- */

/* 1: there is one; 0: there is none; or why it is refused, which is printed. */
static int seed_from_environment(uint64_t *ret_seed)
{
    const char *const text = getenv("WHORL_SIM_SEED");
    char ours[WHORL_SIM_SEED_TEXT_MAX];
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    const int error = whorl_sim_seed_parse(text, ret_seed);
    if (error == 0) {
        return 1;
    }
    whorl_sim_seed_format(0, ours);
    fprintf(stderr, "whorl: WHORL_SIM_SEED=%s %s; a seed of this version looks like %s\n", text,
            error == -ESTALE ? "is a seed of another version, which would draw another run here"
                             : "is no seed",
            ours);
    return error;
}

int whorl_sim_explore(uint64_t first, uint64_t count, const struct whorl_sim_options *options,
                      whorl_body *body, void *arg, uint64_t *ret_tried)
{
    uint64_t tried = 0;
    int error = seed_from_environment(&first);
    if (error == 1) {
        count = 1;
        error = 0;
    }
    while (error == 0 && tried < count) {
        error = whorl_sim_run(first + tried, options, body, arg);
        tried++;
    }
    if (ret_tried != NULL) {
        *ret_tried = tried;
    }
    return error;
}

/* ---- for the program ---- */

/* Whether the caller is a thread of the simulation that runs. */
static bool is_inside(void)
{
    return whorl__sim != NULL && whorl__sim->current != NULL &&
           pthread_equal(pthread_self(), whorl__sim->carrier);
}

uint64_t whorl_sim_random(void)
{
    return is_inside() ? whorl__random_u64(&whorl__sim->program) : 0;
}

static int64_t later(int64_t duration_ns)
{
    const int64_t now_ns = whorl__sim->now_ns;
    return duration_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + duration_ns;
}

static int pass_time(enum whorl__sim_call call, int64_t duration_ns)
{
    if (!is_inside()) {
        return -EPERM;
    }
    whorl__sim_call(call, 0);
    struct whorl_sim_thread *const self = whorl__sim->current;
    const int64_t start_ns = whorl__sim->now_ns;
    self->computes_since_ns = call == WHORL__SIM_STALL ? start_ns : 0;
    if (duration_ns > 0) {
        (void)whorl__sim_wait(NULL, later(duration_ns));
    }
    self->computes_since_ns = 0;
    self->cpu_ns += call == WHORL__SIM_STALL ? whorl__sim->now_ns - start_ns : 0;
    return (int)whorl__sim_done(0);
}

int whorl_sim_stall(int64_t duration_ns)
{
    return pass_time(WHORL__SIM_STALL, duration_ns);
}

int whorl_sim_block(int64_t duration_ns)
{
    return pass_time(WHORL__SIM_BLOCK, duration_ns);
}

void whorl_sim_note(const char *text)
{
    if (is_inside() && text != NULL) {
        whorl__sim_note_event(WHORL__SIM_NOTE, 0, 0, text);
    }
}

static int make_two(int ret_fds[2], bool is_pipe)
{
    if (!is_inside()) {
        return -EPERM;
    }
    whorl__sim_call(WHORL__SIM_PAIR, is_pipe);
    return (int)whorl__sim_done(whorl__sim_socket_pair(ret_fds, is_pipe));
}

int whorl_sim_pair(int ret_fds[2])
{
    return make_two(ret_fds, false);
}

int whorl_sim_pipe(int ret_fds[2])
{
    return make_two(ret_fds, true);
}

int whorl_sim_reset(int fd)
{
    if (!is_inside()) {
        return -EPERM;
    }
    whorl__sim_call(WHORL__SIM_SHUTDOWN, fd);
    return (int)whorl__sim_done(whorl__sim_socket_reset(fd));
}

struct foreign {
    whorl_body *body;
    void *arg;
};

static void *foreign_thread(void *arg)
{
    const struct foreign foreign = *(struct foreign *)arg;
    whorl__sim_disown(arg);
    return (void *)(intptr_t)foreign.body(foreign.arg);
}

int whorl_sim_thread_start(whorl_body *body, void *arg, struct whorl_sim_thread **ret_thread)
{
    struct whorl_sim_thread *thread;
    if (!is_inside()) {
        return -EPERM;
    }
    if (body == NULL) {
        return -EINVAL;
    }
    whorl__sim_call(WHORL__SIM_START, 0);
    struct foreign *const foreign = whorl__sim_own(sizeof *foreign);
    *foreign = (struct foreign){body, arg};
    const int error = whorl__sim_thread_new(foreign_thread, foreign, &thread);
    if (error != 0) {
        whorl__sim_disown(foreign);
    } else if (ret_thread != NULL) {
        *ret_thread = thread;
    }
    return (int)whorl__sim_done(error);
}

int whorl_sim_thread_join(struct whorl_sim_thread *thread)
{
    if (!is_inside()) {
        return -EPERM;
    }
    WHORL_CHECK(!thread->joined, "a simulated thread is joined once");
    (void)whorl__os->thread_join((pthread_t)thread->number);
    return (int)(intptr_t)thread->result;
}
