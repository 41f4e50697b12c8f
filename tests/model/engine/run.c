/*
 * run.c - one execution: the model's threads as fibers, and the point where they change places.
 *
 * Owns:       the threads' stacks; engine.current.
 * Invariant:  at most one fiber is between two scheduling points. Whoever leaves one has chosen the
 *             next, so there is no scheduler to go back to, but for the end and for a failure.
 *
 * At a point the current thread asks the search who goes on: itself (free) or another thread (a
 * preemption, which costs). A thread that is left with stores in its buffer asks whether they leave
 * it (free) or stay (which costs). A store that stayed may leave just before another thread's
 * operation on the same location; at any other time nobody could tell.
 */
#include "model/engine/engine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct engine engine;

static char *stacks;

_Noreturn void run_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!engine.failed) {
        engine.failed = true;
        (void)vsnprintf(engine.failure, sizeof(engine.failure), format, arguments);
    }
    va_end(arguments);
    struct model_thread *const thread = engine.current;
    if (thread == NULL) {
        (void)fprintf(stderr, "%s, outside of any model\n", engine.failure);
        abort();
    }
    whorl__fiber_switch(&thread->fiber, &engine.host);
    abort(); /* a failed execution is never resumed */
}

_Noreturn void model_check_failed(const char *condition, const char *file, int line)
{
    run_fail("MODEL_CHECK(%s) at %s:%d", condition, sites_short_file(file), line);
}

void (*whorl__check_hook)(void); /* never called here */

/* base/assert.c is not part of the model build: an assertion of the library ends the execution. */
_Noreturn void whorl__check_failed(const char *expression, const char *file, int line,
                                   const char *explanation)
{
    if (engine.current == NULL) {
        (void)fprintf(stderr, "%s:%d: %s: %s\n", file, line, expression, explanation);
        abort();
    }
    run_fail("%s at %s:%d: %s", expression, sites_short_file(file), line, explanation);
}

static void on_crash(int number)
{
    (void)number;
    siglongjmp(engine.crash, number);
}

static void catch_crashes(void)
{
    static char alternate[64 << 10];
    const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};
    (void)sigaltstack(&stack, NULL);
    const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void)sigaction(signals[i], &action, NULL);
    }
}

/* ---- who may run ---- */

static bool can_run(struct model_thread *thread)
{
    return thread->state == MODEL_READY ||
           (thread->state == MODEL_BLOCKED && thread->ready(thread->ready_arg));
}

struct candidates {
    struct model_thread *threads[MODEL_THREADS_MAX];
    unsigned count;
    bool current_first;
};

static void gather(struct candidates *candidates, struct model_thread *self, bool self_too)
{
    candidates->count = 0;
    candidates->current_first = self_too;
    if (self_too) {
        candidates->threads[candidates->count++] = self;
    }
    for (unsigned i = 0; i < engine.thread_count; i++) {
        struct model_thread *const thread = &engine.threads[i];
        if (thread != self && !thread->yielded && can_run(thread)) {
            candidates->threads[candidates->count++] = thread;
        }
    }
}

static bool forget_yields(void)
{
    bool any = false;
    for (unsigned i = 0; i < engine.thread_count; i++) {
        any |= engine.threads[i].yielded;
        engine.threads[i].yielded = false;
    }
    return any;
}

static _Noreturn void fail_deadlock(void)
{
    char text[200] = "";
    size_t used = 0;
    for (unsigned i = 0; i < engine.thread_count; i++) {
        if (engine.threads[i].state != MODEL_ENDED && used < sizeof(text)) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, " %u", i);
        }
    }
    run_fail("deadlock: nobody can run, and these wait:%s", text);
}

static struct model_thread *choose_candidate(const struct candidates *candidates)
{
    const unsigned count = candidates->count;
    const unsigned free_count = candidates->current_first ? 1 : count;
    unsigned wanted = 0;
    if (engine.search == MODEL_RANDOM) {
        wanted = search_prefer(candidates->threads, count, candidates->current_first);
    }
    return candidates->threads[search_answer(wanted, free_count, count - free_count)];
}

/* The thread that runs next, perhaps self; NULL when all have ended. What leaves a buffer meanwhile
 * may be what self waits for. */
static struct model_thread *choose_next(struct model_thread *self)
{
    struct candidates candidates;
    for (;;) {
        gather(&candidates, self, !self->yielded && can_run(self));
        if (candidates.count > 0) {
            return choose_candidate(&candidates);
        }
        const bool gave_way = forget_yields();
        if (memory_flush_some() || gave_way) {
            continue;
        }
        for (unsigned i = 0; i < engine.thread_count; i++) {
            if (engine.threads[i].state != MODEL_ENDED) {
                fail_deadlock();
            }
        }
        return NULL;
    }
}

/* The stores of a thread that is left: all go to memory, or all stay. */
static void choose_hold(struct model_thread *self)
{
    if (self->pending_count > 0 && search_choose(MODEL_CHOOSE_HOLD, 1, 1) == 0) {
        memory_flush_all(self);
    }
}

static void leave_to(struct model_thread *self, struct model_thread *next)
{
    choose_hold(self);
    memory_hide(self);
    next->state = MODEL_READY;
    next->yielded = false;
    engine.current = next;
    memory_show(next);
    whorl__fiber_switch(&self->fiber, &next->fiber);
}

static void count_step(void)
{
    if (++engine.steps > engine.steps_max) {
        run_fail("livelock: more than %u steps", engine.steps_max);
    }
}

/* Goes on itself, or returns when somebody chose it again. */
static void let_choose(struct model_thread *self)
{
    struct model_thread *const next = choose_next(self);
    if (next != self) {
        leave_to(self, next);
    }
}

void run_point(void)
{
    struct model_thread *const self = engine.current;
    if (engine.alone) {
        return;
    }
    count_step();
    if (self->fresh) {
        self->fresh = false;
        return;
    }
    let_choose(self);
    /* Two that spin do not let each other in before who holds what they want. */
    for (unsigned i = 0; i < engine.thread_count && !self->spins; i++) {
        if (i != self->index) {
            engine.threads[i].yielded = false;
        }
    }
}

void model_yield(void)
{
    if (!engine.alone) {
        struct model_thread *const self = engine.current;
        self->fresh = false;
        self->yielded = true;
        self->spins = true;
        self->priority = 0;
        count_step();
        let_choose(self);
    }
}

void model_block_until(bool (*ready)(void *arg), void *arg)
{
    if (engine.alone) {
        if (!ready(arg)) {
            run_fail("deadlock: setup or finish waits");
        }
        return;
    }
    struct model_thread *const self = engine.current;
    self->fresh = false;
    if (ready(arg)) {
        return;
    }
    self->state = MODEL_BLOCKED;
    self->ready = ready;
    self->ready_arg = arg;
    struct model_thread *const next = choose_next(self);
    if (next == self) { /* what had to leave a buffer made it ready */
        self->state = MODEL_READY;
        return;
    }
    leave_to(self, next);
}

unsigned model_choose(unsigned n)
{
    return search_choose(MODEL_CHOOSE_VALUE, n, 0);
}

unsigned model_thread(void)
{
    return engine.current->index == MODEL_MAIN ? engine.thread_count : engine.current->index;
}

/* ---- one execution ---- */

static void end_thread(struct model_thread *self)
{
    self->state = MODEL_ENDED;
    struct model_thread *const next = choose_next(self);
    if (next != NULL) {
        leave_to(self, next);
    } else {
        whorl__fiber_switch(&self->fiber, &engine.host);
    }
    abort(); /* an ended thread is never resumed */
}

static void enter_thread(struct whorl__fiber *fiber)
{
    struct model_thread *const self = fiber->user;
    if (self->index == MODEL_MAIN) {
        void (*const work)(void *) =
            fiber->next == NULL ? engine.model->setup : engine.model->finish;
        if (work != NULL) {
            work(engine.state);
        }
        if (fiber->next != NULL) {
            heap_check_leaks();
        }
        whorl__fiber_switch(fiber, &engine.host);
        abort();
    }
    engine.model->body(engine.state, self->index);
    end_thread(self);
}

static void prepare_fiber(struct model_thread *thread)
{
    struct whorl__fiber *const fiber = &thread->fiber;
    if (fiber->sp != NULL) {
        whorl__instrument_reset(&fiber->instrument);
    }
    fiber->entry = enter_thread;
    fiber->user = thread;
    fiber->sp = whorl__switch_prepare(fiber->stack_low + fiber->stack_bytes, fiber);
}

/* `second` is what tells finish from setup; any pointer that is not NULL. */
static void run_alone(struct whorl__fiber *second)
{
    struct model_thread *const thread = &engine.threads[MODEL_MAIN];
    engine.alone = true;
    prepare_fiber(thread);
    thread->fiber.next = second;
    engine.current = thread;
    whorl__fiber_switch(&engine.host, &thread->fiber);
    engine.alone = false;
}

static void start_threads(void)
{
    for (unsigned i = 0; i < engine.thread_count; i++) {
        struct model_thread *const thread = &engine.threads[i];
        thread->state = MODEL_READY;
        thread->fresh = true;
        thread->yielded = false;
        thread->worker = NULL;
        thread->saved_errno = 0;
        memory_thread_start(thread);
        prepare_fiber(thread);
    }
}

static void run_threads(void)
{
    start_threads();
    struct candidates candidates;
    gather(&candidates, NULL, false);
    struct model_thread *const first = choose_candidate(&candidates);
    engine.current = first;
    whorl__fiber_switch(&engine.host, &first->fiber);
}

static void begin_execution(void)
{
    engine.failed = false;
    engine.steps = 0;
    engine.decision_count = 0;
    memset(engine.state, 0, engine.state_room);
    memory_reset();
    heap_reset();
    os_reset();
    trace_reset();
}

bool run_execution(void)
{
    begin_execution();
    const int number = sigsetjmp(engine.crash, 0);
    if (number != 0) {
        engine.failed = true;
        (void)snprintf(engine.failure, sizeof(engine.failure), "crash: %s", strsignal(number));
    } else {
        run_alone(NULL);
        if (!engine.failed) {
            run_threads();
        }
        if (!engine.failed) {
            memory_join_all(&engine.threads[MODEL_MAIN]);
            run_alone(&engine.host);
        }
    }
    engine.current = NULL;
    return !engine.failed;
}

static bool make_stacks(void)
{
    const size_t bytes = (MODEL_MAIN + 1) * MODEL_STACK_BYTES;
    void *const base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return false;
    }
    stacks = base;
    whorl__fiber_init_host(&engine.host);
    catch_crashes();
    for (unsigned i = 0; i <= MODEL_MAIN; i++) {
        struct model_thread *const thread = &engine.threads[i];
        thread->index = i;
        thread->fiber.stack_low = stacks + i * MODEL_STACK_BYTES;
        thread->fiber.stack_bytes = MODEL_STACK_BYTES;
        whorl__instrument_stack(&thread->fiber.instrument, thread->fiber.stack_low,
                                MODEL_STACK_BYTES);
    }
    return true;
}

bool run_prepare(const struct model *model, enum model_mode mode)
{
    if (stacks == NULL && !make_stacks()) {
        return false;
    }
    const size_t room = (model->state_bytes + WHORL_CACHE_LINE) & ~(size_t)(WHORL_CACHE_LINE - 1);
    if (engine.state == NULL || engine.state_room != room) {
        free(engine.state);
        engine.state = aligned_alloc(WHORL_CACHE_LINE, room);
        engine.state_room = room;
    }
    engine.model = model;
    engine.mode = mode;
    engine.thread_count = model->threads;
    engine.steps_max = model->steps_max != 0 ? model->steps_max : MODEL_STEPS_DEFAULT;
    return engine.state != NULL;
}

void run_release(void)
{
    free(engine.state);
    engine.state = NULL;
}
