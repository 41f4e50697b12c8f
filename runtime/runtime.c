/*
 * runtime.c - a runtime: options, shared parts, loops and their threads; made, started and stopped.
 *
 * Owns:       struct whorl__runtime.
 * Threads:    whoever starts it, and whoever stops it.
 *
 *   start   check options; topology; shared parts; loops; threads; monitor. Any failure undoes all.
 *   stop    stop := 1, all loops are woken and leave; threads are joined; foreign threads still
 *           inside a wake-up are waited for; parts are given back. The memory of the runtime itself
 *           and of its task slots goes with the last of: the handle, a reference to a task.
 *
 * What happens between the two stands in runner.c and end.c.
 *
 *   fork    a child has none of the threads: sys/fork.h. Its copy of a runtime is never touched.
 */
#include "runtime.h"

#include "inside.h"
#include "sched/roster.h"
#include "task/context.h"
#include "task/debugging.h"
#include "task/generator.h"
#include "task/inline.h"
#include "task/locks.h"
#include "task/park.h"
#include "task/task.h"
#include "task/why.h"

#include "fiber/overflow.h"
#include "sched/culprit.h"
#include "sys/fork.h"
#include "sys/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define OPTION_FLAGS      (WHORL_STEPPED | WHORL_STRANDED | WHORL_NO_INLINE)
#define STALL_DEFAULT_NS  (2 * WHORL_MILLISECOND)
#define REPORT_DEFAULT_NS (100 * WHORL_MILLISECOND)
#define ROUND_DEFAULT_NS  (5 * WHORL_SECOND)

/* ---- options ---- */

static void log_to_stderr(void *log_arg, const char *line)
{
    (void)log_arg;
    fprintf(stderr, "%s\n", line);
}

static bool is_stepped(const struct whorl_options *options)
{
    return (options->flags & WHORL_STEPPED) != 0;
}

static int check_options(const struct whorl_options *options)
{
    const bool stack_ok =
        options->stack_bytes == 0 || (options->stack_bytes >= WHORL_STACK_LEAST &&
                                      options->stack_bytes <= WHORL_STACK_MAX);
    const bool mode_ok = options->mode >= WHORL_MODE_AUTO && options->mode <= WHORL_MODE_STEALING &&
                         !(options->mode == WHORL_MODE_SINGLE && options->loops > 1);
    const bool numbers_ok = options->loops >= 0 && options->loops <= WHORL_LOOPS_MAX &&
                            options->stall_ns >= 0 && options->report_ns >= 0 &&
                            options->end_round_ns >= 0 && options->end_rounds >= 0 &&
                            options->debug >= -1 && options->debug <= 1 &&
                            whorl__dump_signal_ok(options->dump_signal);
    const bool flags_ok =
        (options->flags & ~(uint64_t)OPTION_FLAGS) == 0 &&
        (!is_stepped(options) || (options->loops <= 1 && options->mode <= WHORL_MODE_SINGLE));
    const bool reserved_ok = whorl__reserved_ok(options->reserved, WHORL__RESERVED(options));
    return stack_ok && mode_ok && numbers_ok && flags_ok && reserved_ok ? 0 : -EINVAL;
}

static unsigned count_loops(const struct whorl_options *options,
                            const struct whorl__topology *topology)
{
    if (options->mode == WHORL_MODE_SINGLE || is_stepped(options)) {
        return 1;
    }
    const int wanted = options->loops > 0 ? options->loops : whorl__topology_loops(topology);
    return (unsigned)(wanted < WHORL_LOOPS_MAX ? wanted : WHORL_LOOPS_MAX);
}

/* One loop has it only for the asking: by default it is as in asyncio. */
static bool keeps_fast_order(const struct whorl_options *options, unsigned loop_count)
{
    return options->mode == WHORL_MODE_STEALING ||
           (options->mode == WHORL_MODE_AUTO && !is_stepped(options) && loop_count > 1);
}

static void apply_options(struct whorl__runtime *runtime, const struct whorl_options *options)
{
    runtime->loop_count = count_loops(options, runtime->topology);
    runtime->stealing = keeps_fast_order(options, runtime->loop_count);
    runtime->shares = runtime->stealing && runtime->loop_count > 1;
    runtime->inlines = runtime->stealing && whorl__inline_wanted(options->flags);
    runtime->stepped = is_stepped(options);
    runtime->stranded = (options->flags & WHORL_STRANDED) != 0;
    runtime->stack_class = whorl__stack_class(options->stack_bytes);
    runtime->stall_ns = options->stall_ns != 0 ? options->stall_ns : STALL_DEFAULT_NS;
    runtime->report_ns = options->report_ns != 0 ? options->report_ns : REPORT_DEFAULT_NS;
    runtime->end_round_ns = options->end_round_ns != 0 ? options->end_round_ns : ROUND_DEFAULT_NS;
    runtime->end_rounds = options->end_rounds;
    runtime->handle_sigint = options->handle_sigint != 0;
    runtime->dump_signal = options->dump_signal;
    runtime->pin = !options->no_pin;
    runtime->log = options->log != NULL ? options->log : log_to_stderr;
    runtime->log_arg = options->log_arg;
    whorl__reporter_init(&runtime->reporter, options->exception_handler,
                         options->exception_handler_arg);
    whorl__halt_init(&runtime->halt);
    whorl__at_ends_init(&runtime->at_ends);
    whorl__generators_init(runtime);
    runtime->abandon = whorl__task_abandon;
    runtime->clear = whorl__task_clear;
    runtime->review_lease = whorl__context_review_lease;
    runtime->origin_text = whorl__debug_origin_text;
    runtime->why_text = whorl__why_text;
    runtime->debug = whorl__debug_wanted(options->debug);
    runtime->call_in = whorl__context_call_in;
    runtime->scopes_made = 1; /* 0 is no scope's serial */
}

/* ---- loops ---- */

static void destroy_loop(struct whorl__loop *loop)
{
    whorl__context_loop_fini(loop);
    whorl__why_loop_fini(loop);
    whorl__loop_fini(loop);
    whorl__os->free(loop->victims);
    whorl__os->free(loop);
}

static int find_victims(struct whorl__runtime *runtime, struct whorl__loop *loop)
{
    const unsigned others = runtime->loop_count - 1;
    uint16_t *const table = whorl__os->alloc(2 * runtime->loop_count * sizeof *table);
    int *const order = whorl__os->alloc(2 * runtime->loop_count * sizeof *order);
    if (table != NULL && order != NULL) {
        whorl__topology_victims(runtime->topology, (int)loop->index, (int)runtime->loop_count,
                                order, order + runtime->loop_count);
        loop->victims = table;
        loop->victim_levels = table + runtime->loop_count;
        for (unsigned i = 0; i < others; i++) {
            loop->victims[i] = (uint16_t)order[i];
            loop->victim_levels[i] = (uint16_t)order[runtime->loop_count + i];
        }
    } else {
        whorl__os->free(table);
    }
    whorl__os->free(order);
    return loop->victims != NULL ? 0 : -ENOMEM;
}

static int create_loop(struct whorl__runtime *runtime, unsigned index)
{
    struct whorl__loop *const loop = whorl__os->alloc(sizeof *loop);
    if (loop == NULL) {
        return -ENOMEM;
    }
    memset(loop, 0, sizeof *loop);
    int error = whorl__loop_init(loop, runtime, index, !runtime->stealing, runtime->stacks,
                                 whorl__task_entry);
    if (error != 0) {
        whorl__os->free(loop);
        return error;
    }
    error = find_victims(runtime, loop);
    if (error != 0) {
        whorl__loop_fini(loop);
        whorl__os->free(loop);
        return error;
    }
    runtime->loops[index] = loop;
    return 0;
}

static void destroy_loops(struct whorl__runtime *runtime, unsigned count)
{
    while (count > 0) {
        destroy_loop(runtime->loops[--count]);
    }
    whorl__os->free(runtime->loops);
}

static int create_loops(struct whorl__runtime *runtime)
{
    runtime->loops = whorl__os->alloc(runtime->loop_count * sizeof *runtime->loops);
    if (runtime->loops == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        const int error = create_loop(runtime, i);
        if (error != 0) {
            destroy_loops(runtime, i);
            return error;
        }
    }
    return 0;
}

/* ---- threads ---- */

static struct whorl__fiber *running_fiber(void)
{
    struct whorl_task *const task = whorl__task_current();
    return task == NULL ? NULL : task->fiber;
}

static const char *fiber_name(const struct whorl__fiber *fiber)
{
    static char name[WHORL_TASK_NAME_MAX + 1]; /* the process is about to end */
    (void)fiber; /* a task's own, or of the generator that it is in */
    whorl__task_copy_name(whorl__task_current(), name, sizeof name);
    return name;
}

static void name_thread(const struct whorl__loop *loop)
{
    char name[16];
    snprintf(name, sizeof name, "whorl-%u", loop->index);
    pthread_setname_np(pthread_self(), name);
}

static void pin_thread(const struct whorl__loop *loop)
{
    struct whorl__runtime *const runtime = loop->runtime;
    if (!runtime->pin) {
        return;
    }
    const int error = whorl__topology_bind(runtime->topology, (int)loop->index);
    if (error != 0 && error != -ENOTSUP && whorl__swap_u32(&runtime->unpinned_told, 1) == 0) {
        whorl__log(runtime, "whorl: loop %u is not pinned to a core: %s (said for one loop only)",
                   loop->index, whorl_error_text(error));
    }
}

static void *loop_main(void *arg)
{
    struct whorl__loop *const loop = arg;
    void *altstack = NULL;
    /* relaxed: a number; the monitor waits until it is there */
    whorl__store_relaxed_u32(&loop->thread_id, (uint32_t)whorl__os->thread_id());
    name_thread(loop);
    pin_thread(loop);
    const int error = whorl__overflow_thread_start(&altstack);
    if (error != 0) {
        whorl__log(loop->runtime, "whorl: loop %u cannot report stack overflows: %s", loop->index,
                   whorl_error_text(error));
    }
    whorl__worker_main(loop);
    whorl__overflow_thread_stop(altstack);
    return NULL;
}

static void stop_threads(struct whorl__runtime *runtime, unsigned count)
{
    if (runtime->stepped) {
        return;
    }
    whorl__workers_stop(runtime, count);
    for (unsigned i = 0; i < count; i++) {
        (void)whorl__os->thread_join(runtime->loops[i]->thread);
    }
}

static int start_threads(struct whorl__runtime *runtime)
{
    for (unsigned i = 0; !runtime->stepped && i < runtime->loop_count; i++) {
        struct whorl__loop *const loop = runtime->loops[i];
        const int error = whorl__os->thread_start(&loop->thread, loop_main, loop);
        if (error != 0) {
            stop_threads(runtime, i);
            return error;
        }
    }
    return 0;
}

/* ---- the process ---- */

#define CLAIMED UINT32_MAX

/* A: runtimes that live, or CLAIMED. Every change is a cas, and the word orders nothing else. */
static uint32_t process_runtimes;

bool whorl__process_claim(void)
{
    return whorl__cas_u32(&process_runtimes, 0, CLAIMED);
}

void whorl__process_release(void)
{
    const bool was_ours = whorl__cas_u32(&process_runtimes, CLAIMED, 0);
    WHORL_ASSERT(was_ours);
    (void)was_ours;
}

/* In a child of fork, where none of them lives. A simulation goes on in the child, for what that is
 * worth: its one thread is there. */
static void process_forked(void)
{
    if (whorl__load_relaxed_u32(&process_runtimes) != CLAIMED) { /* relaxed: it is alone */
        whorl__store_relaxed_u32(&process_runtimes, 0);          /* relaxed: it is alone */
    }
}

bool whorl__process_enter(void)
{
    uint32_t old = whorl__load_relaxed_u32(&process_runtimes); /* relaxed: the cas checks it */
    do {
        if (old == CLAIMED) {
            return false;
        }
    } while (!whorl__cas_value_u32(&process_runtimes, &old, old + 1));
    return true;
}

void whorl__process_leave(void)
{
    (void)whorl__add_u32(&process_runtimes, (uint32_t)-1);
}

/* ---- fork ---- */

/*
 * In the child. Its one thread may be a copy of a loop's: then it is on a task's stack, bound to a
 * core and named after the loop, none of which suits what it does next.
 */
static void come_to_child(struct whorl__worker *worker)
{
    const struct whorl__loop *const loop = (const struct whorl__loop *)worker;
    whorl__overflow_forked();
    whorl__culprit_forked();
    process_forked();
    whorl__roster_clear();
    whorl__dump_signal_forked();
    whorl__sigint_forked();
    if (loop == NULL) {
        return;
    }
    prctl(PR_SET_NAME, program_invocation_short_name);
    const int error = loop->runtime->pin ? whorl__topology_unbind(loop->runtime->topology) : 0;
    (void)error; /* refused: it stays where it is */
}

static int watch_forks(void)
{
    const int error = whorl__fork_watch();
    if (error == 0) {
        whorl__fork_on_child(come_to_child);
    }
    return error;
}

/* ---- start ---- */

/* The machine, and what else is in the process. hwloc and the loader have locks of their own, which
 * no fork may find held. */
static int look_around(const struct whorl_options *options, struct whorl__runtime *runtime)
{
    whorl__fork_hold();
    runtime->cxx_here = whorl__cxx_find();
    const int error = whorl__topology_create(options->topology, &runtime->topology);
    whorl__fork_release();
    return error;
}

static int create_parts(struct whorl__runtime *runtime)
{
    int error = whorl__slots_init(&runtime->slots);
    if (error != 0) {
        return error;
    }
    error = whorl__records_init(&runtime->records);
    if (error != 0) {
        goto close_slots;
    }
    error = whorl__stacks_create(&runtime->stacks);
    if (error != 0) {
        goto fini_records;
    }
    error = create_loops(runtime);
    if (error == 0) {
        return 0;
    }
    whorl__stacks_destroy(runtime->stacks);
fini_records:
    whorl__records_fini(&runtime->records);
close_slots:
    (void)whorl__slots_close(&runtime->slots);
    return error;
}

/* Everything but the slots, which somebody may still refer to, and which the handle keeps. */
static void destroy_parts(struct whorl__runtime *runtime)
{
    destroy_loops(runtime, runtime->loop_count);
    whorl__stacks_destroy(runtime->stacks);
    whorl__records_fini(&runtime->records);
    whorl__slots_close_held(&runtime->slots);
}

static int create_runtime(const struct whorl_options *options, struct whorl__runtime **ret_runtime)
{
    struct whorl__runtime *const runtime = whorl__os->alloc(sizeof *runtime);
    if (runtime == NULL) {
        return -ENOMEM;
    }
    memset(runtime, 0, sizeof *runtime);
    runtime->generation = whorl__fork_generation;
    int error = look_around(options, runtime);
    if (error != 0) {
        goto free_runtime;
    }
    apply_options(runtime, options);
    if (!whorl__overflow_install(running_fiber, fiber_name)) {
        whorl__log(runtime, "whorl: no handler for SIGSEGV and SIGBUS: a stack overflow ends the "
                            "process without a word");
    }
    error = create_parts(runtime);
    if (error != 0) {
        goto uninstall;
    }
    if (whorl__debugs(runtime)) {
        whorl__locks_start(runtime);
    }
    *ret_runtime = runtime;
    return 0;

uninstall:
    whorl__overflow_uninstall();
    whorl__topology_destroy(runtime->topology);
free_runtime:
    whorl__os->free(runtime);
    return error;
}

static void destroy_runtime(struct whorl__runtime *runtime)
{
    whorl__runtime_wait_for_guests(runtime); /* one of them woke the last task */
    whorl__plain_write(&runtime->loops);
    whorl__locks_stop(runtime);
    destroy_parts(runtime);
    whorl__overflow_uninstall();
    whorl__topology_destroy(runtime->topology);
}

/* ---- start and stop ---- */

static int start_service(struct whorl__runtime *runtime)
{
    int error = start_threads(runtime);
    if (error != 0) {
        return error;
    }
    error = whorl__monitor_start(runtime);
    if (error != 0) {
        goto stop_threads;
    }
    error = whorl__dump_signal_start(runtime->dump_signal);
    if (error != 0) {
        goto stop_monitor;
    }
    whorl__roster_add(runtime); /* others can look in from outside while it runs */
    return 0;

stop_monitor:
    whorl__monitor_stop(runtime);
stop_threads:
    stop_threads(runtime, runtime->loop_count);
    return error;
}

int whorl__runtime_start(const struct whorl_options *options, struct whorl__runtime **ret_runtime)
{
    static const struct whorl_options defaults;
    const struct whorl_options *const chosen = options != NULL ? options : &defaults;
    struct whorl__runtime *runtime;
    if (check_options(chosen) != 0) {
        return -EINVAL;
    }
    if (whorl__loop_current() != NULL) {
        return -EBUSY;
    }
    int error = watch_forks();
    if (error == 0) {
        error = create_runtime(chosen, &runtime);
    }
    if (error != 0) {
        return error;
    }
    error = start_service(runtime);
    if (error != 0) {
        destroy_runtime(runtime);
        whorl__runtime_let_go(runtime);
        return error;
    }
    *ret_runtime = runtime;
    return 0;
}

void whorl__runtime_stop(struct whorl__runtime *runtime)
{
    whorl__roster_remove(runtime);
    whorl__dump_signal_stop(runtime->dump_signal);
    whorl__monitor_stop(runtime);
    stop_threads(runtime, runtime->loop_count);
    destroy_runtime(runtime);
}

void whorl__runtime_let_go(struct whorl__runtime *runtime)
{
    if (whorl__slots_leave(&runtime->slots)) {
        whorl__os->free(runtime);
    }
}

/* ---- figures ---- */

int whorl_loop_count(void)
{
    const struct whorl__loop *const loop = whorl__loop_here();
    return loop == NULL ? whorl__error_outside() : (int)loop->runtime->loop_count;
}

int whorl_loop_current(void)
{
    const struct whorl__loop *const loop = whorl__loop_here();
    return loop == NULL ? whorl__error_outside() : (int)loop->index;
}
