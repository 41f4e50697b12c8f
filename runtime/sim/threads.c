/*
 * threads.c - simulated threads: which of them goes on, how time passes, what is written down.
 *
 * A thread is a fiber. What is suspended is whatever ran on it: the thread itself, or a task on a
 * fiber of its own, in the middle of a call. So each switch saves the context that runs there, not
 * that of the thread's fiber, and the thread-locals of the carrier are put away and fetched.
 *
 *   READY --chosen--> runs --wait--> WAITING --wake, or due--> READY
 *                     |  +---call (may give way)-------------> READY
 *                     +--body returns--> ENDED
 *
 * Who leaves chooses who goes on, on his own stack. If nobody is READY and due, the clock jumps to
 * whatever comes first: a thread that is due, a deadline, a timer of the kernel. If nothing comes,
 * nobody ever will go on: a deadlock.
 *
 * Owns:       the fields of struct whorl__sim that concern threads, time and trace.
 * Threads:    the carrier.
 * Invariant:  exactly one thread runs; current is it, and it is in live and READY.
 *             Every draw is made from a generator of the seed, in an order that depends on the
 *             draws before only.
 */
#include "sim/sim.h"

#include "base/assert.h"
#include "sys/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define THREAD_STACK_BYTES ((size_t)256 << 10)
#define THREADS_MAX        4096U

#define CALL_NS_LEAST   16
#define CALL_NS_SPREAD  48
#define SLOW_NS_MAX     1000000
#define WAKE_NS_LEAST   500
#define WAKE_NS_SPREAD  4000
#define LATE_NS_MAX     5000000
#define STALL_NS_MAX    5000000

struct whorl__sim *whorl__sim;
enum whorl__sim_plant whorl__sim_plant;

/* ---- drawing ---- */

bool whorl__sim_fault(enum whorl_sim_fault kind)
{
    struct whorl__sim *const sim = whorl__sim;
    if (!sim->armed || sim->hold > 0 || sim->rates[kind] == 0 ||
        whorl__random_below(&sim->luck, 1000000) >= sim->rates[kind]) {
        return false;
    }
    sim->report.faults[kind]++;
    return true;
}

bool whorl__sim_goes_wrong(enum whorl__sim_plant plant)
{
    struct whorl__sim *const sim = whorl__sim;
    return whorl__sim_plant == plant && sim->armed &&
           whorl__random_below(&sim->luck, WHORL__SIM_PLANT_RATE) == 0;
}

static int64_t below(struct whorl__random *random, int64_t bound)
{
    return (int64_t)whorl__random_below(random, (uint32_t)bound);
}

int64_t whorl__sim_latency(void)
{
    return 1000 + below(&whorl__sim->kernel, whorl__sim->options.latency_ns);
}

static int64_t wake_delay(void)
{
    struct whorl__sim *const sim = whorl__sim;
    if (whorl__sim_fault(WHORL_SIM_LATE)) {
        return below(&sim->luck, LATE_NS_MAX);
    }
    return WAKE_NS_LEAST + below(&sim->schedule, WAKE_NS_SPREAD);
}

/* ---- the trace ---- */

static void mix(uint64_t number)
{
    uint64_t *const hash = &whorl__sim->report.hash;
    *hash = (*hash ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    *hash ^= *hash >> 29;
}

void whorl__sim_note_event(enum whorl__sim_call call, int64_t about, int64_t result,
                           const char *note)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl__sim_event *const event =
        &sim->events[sim->event_count++ % WHORL__SIM_EVENTS_KEPT];
    event->step = sim->report.steps;
    event->now_ns = sim->now_ns;
    event->thread = sim->current->number;
    event->task = whorl__sim_task_here();
    event->call = call;
    event->about = about;
    event->result = result;
    event->note[0] = '\0';
    if (note != NULL) {
        snprintf(event->note, sizeof event->note, "%s", note);
        for (const char *letter = event->note; *letter != '\0'; letter++) {
            mix((uint64_t)(unsigned char)*letter);
        }
    }
    mix((uint64_t)event->now_ns);
    mix((uint64_t)event->thread << 32 | (uint64_t)call);
    mix((uint64_t)about);
    mix((uint64_t)result);
    if (sim->options.trace != NULL) {
        char line[192];
        whorl__sim_format_event(event, line, sizeof line);
        sim->options.trace(sim->options.trace_arg, line);
    }
}

/* ---- time ---- */

void whorl__sim_later(struct whorl__sim_timer *timer, int64_t delay_ns)
{
    struct whorl__sim *const sim = whorl__sim;
    const int error = whorl__heap_insert(&sim->timers, &timer->node, sim->now_ns + delay_ns);
    WHORL_CHECK(error == 0, "no memory for the simulation itself");
}

static void fire_timers(void)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl__heap_node *node;
    while ((node = whorl__heap_peek(&sim->timers)) != NULL && node->key <= sim->now_ns) {
        struct whorl__sim_timer *const timer =
            whorl_container_of(node, struct whorl__sim_timer, node);
        whorl__heap_remove(&sim->timers, node);
        timer->fire(timer);
        whorl__sim_disown(timer);
    }
}

static void become_ready(struct whorl_sim_thread *thread, bool timed_out)
{
    WHORL_ASSERT(thread->state == WHORL__SIM_WAITING);
    thread->state = WHORL__SIM_READY;
    thread->waits_on = NULL;
    thread->timed_out = timed_out;
    thread->due_ns = whorl__sim->now_ns + wake_delay();
}

/* What is due by now happens: the kernel's part first, as a wake-up beats a deadline. */
static void settle_time(void)
{
    struct whorl__sim *const sim = whorl__sim;
    fire_timers();
    for (unsigned i = 0; i < sim->live_count; i++) {
        struct whorl_sim_thread *const thread = sim->live[i];
        if (thread->state == WHORL__SIM_WAITING && thread->due_ns <= sim->now_ns) {
            become_ready(thread, true);
        }
    }
}

/* INT64_MAX: nothing will ever happen. */
static int64_t next_moment(void)
{
    const struct whorl__sim *const sim = whorl__sim;
    const struct whorl__heap_node *const node = whorl__heap_peek(&sim->timers);
    int64_t first_ns = node != NULL ? node->key : INT64_MAX;
    for (unsigned i = 0; i < sim->live_count; i++) {
        const int64_t due_ns = sim->live[i]->due_ns;
        first_ns = due_ns < first_ns ? due_ns : first_ns;
    }
    return first_ns;
}

static void check_limits(void)
{
    struct whorl__sim *const sim = whorl__sim;
    if (sim->now_ns > sim->options.ns_max) {
        whorl__sim_fail("the run does not end: more than %lld ns have passed",
                        (long long)sim->options.ns_max);
    }
    if (sim->report.steps > sim->options.steps_max) {
        whorl__sim_fail("the run does not end: more than %llu calls were made",
                        (unsigned long long)sim->options.steps_max);
    }
}

/* ---- who goes on ---- */

static bool can_go(const struct whorl_sim_thread *thread)
{
    return thread->state == WHORL__SIM_READY && thread->due_ns <= whorl__sim->now_ns;
}

static unsigned count_ready(void)
{
    const struct whorl__sim *const sim = whorl__sim;
    unsigned count = 0;
    for (unsigned i = 0; i < sim->live_count; i++) {
        count += can_go(sim->live[i]);
    }
    return count;
}

static struct whorl_sim_thread *ready_at(unsigned place)
{
    struct whorl__sim *const sim = whorl__sim;
    for (unsigned i = 0; i < sim->live_count; i++) {
        if (can_go(sim->live[i]) && place-- == 0) {
            return sim->live[i];
        }
    }
    WHORL_CHECK(false, "a thread that was ready is gone");
    return NULL;
}

static struct whorl_sim_thread *draw_thread(unsigned ready)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl_sim_thread *chosen = ready_at(whorl__random_below(&sim->schedule, ready));
    if (chosen->slow && whorl__random_below(&sim->schedule, 4) != 0) {
        chosen = ready_at(whorl__random_below(&sim->schedule, ready));
    }
    return chosen;
}

static struct whorl_sim_thread *choose(void)
{
    struct whorl__sim *const sim = whorl__sim;
    for (;;) {
        settle_time();
        const unsigned ready = count_ready();
        if (ready > 0) {
            return draw_thread(ready);
        }
        const int64_t next_ns = next_moment();
        if (next_ns == INT64_MAX) {
            whorl__sim_deadlock();
        }
        WHORL_ASSERT(next_ns > sim->now_ns);
        sim->now_ns = next_ns;
        check_limits();
    }
}

static void put_locals_away(struct whorl_sim_thread *thread)
{
    thread->worker = whorl__tls_worker();
    thread->work = whorl__tls_work();
    thread->saved_errno = whorl__tls_errno();
    thread->context_at = whorl__tls_context_at();
}

static void fetch_locals(const struct whorl_sim_thread *thread)
{
    whorl__tls_set_worker(thread->worker);
    whorl__tls_set_work(thread->work);
    whorl__tls_set_errno(thread->saved_errno);
    whorl__tls_set_context_at(thread->context_at);
}

static struct whorl__fiber *enter(struct whorl_sim_thread *thread)
{
    struct whorl__fiber *const at = thread->at;
    whorl__sim->current = thread;
    whorl__sim->report.switches++;
    thread->at = &thread->context;
    fetch_locals(thread);
    return at;
}

static void go_on_with(struct whorl_sim_thread *next)
{
    struct whorl_sim_thread *const self = whorl__sim->current;
    if (next == self) {
        return;
    }
    put_locals_away(self);
    whorl__fiber_init_host(&self->context);
    whorl__fiber_switch(&self->context, enter(next));
}

void whorl__sim_give_way(void)
{
    if (whorl__sim->hold == 0) {
        go_on_with(choose());
    }
}

static void maybe_give_way(void)
{
    struct whorl__sim *const sim = whorl__sim;
    if (sim->hold > 0) {
        return;
    }
    if (whorl__sim_fault(WHORL_SIM_STALL)) {
        sim->current->due_ns = sim->now_ns + 1 + below(&sim->luck, STALL_NS_MAX);
        whorl__sim_give_way();
    } else if (whorl__random_below(&sim->schedule, 64) < sim->switch_chance) {
        whorl__sim_give_way();
    }
}

/* ---- calls ---- */

void whorl__sim_call(enum whorl__sim_call call, int64_t about)
{
    struct whorl__sim *const sim = whorl__sim;
    WHORL_CHECK(pthread_equal(pthread_self(), sim->carrier) && sim->current != NULL,
                "a thread of the program called whorl during a simulation; "
                "whorl_sim_thread_start makes one that may");
    sim->current->call = call;
    sim->current->call_about = about;
    sim->report.steps++;
    if (sim->hold > 0) {
        return;
    }
    if (sim->report.failed) { /* the program said so where it could not be left */
        whorl__sim_leave();
    }
    const int64_t took_ns = CALL_NS_LEAST + below(&sim->kernel, CALL_NS_SPREAD);
    sim->current->cpu_ns += took_ns;
    sim->now_ns += took_ns;
    if (whorl__sim_fault(WHORL_SIM_SLOW)) {
        sim->now_ns += below(&sim->luck, SLOW_NS_MAX);
    }
    check_limits();
    settle_time();
    whorl__sim_note_worker();
    whorl__sim_check();
    maybe_give_way();
}

int64_t whorl__sim_done(int64_t result)
{
    struct whorl_sim_thread *const self = whorl__sim->current;
    whorl__sim_note_event(self->call, self->call_about, result, NULL);
    maybe_give_way();
    self->call = WHORL__SIM_NONE;
    return result;
}

bool whorl__sim_wait(const void *on, int64_t deadline_ns)
{
    struct whorl_sim_thread *const self = whorl__sim->current;
    if (whorl__sim->hold > 0) {
        return false;
    }
    self->state = WHORL__SIM_WAITING;
    self->waits_on = on;
    self->due_ns = deadline_ns;
    go_on_with(choose());
    return !self->timed_out;
}

/* The waiter that waits longest need not be the first: the seed draws. */
static struct whorl_sim_thread *draw_waiter(const void *on)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl_sim_thread *chosen = NULL;
    uint32_t found = 0;
    for (unsigned i = 0; i < sim->live_count; i++) {
        if (sim->live[i]->state == WHORL__SIM_WAITING && sim->live[i]->waits_on == on &&
            whorl__random_below(&sim->schedule, ++found) == 0) {
            chosen = sim->live[i];
        }
    }
    return chosen;
}

unsigned whorl__sim_wake(const void *on, unsigned count_max)
{
    unsigned woken = 0;
    struct whorl_sim_thread *thread;
    while (woken < count_max && (thread = draw_waiter(on)) != NULL) {
        become_ready(thread, false);
        woken++;
    }
    return woken;
}

/* ---- the life of a thread ---- */

/* The stacks of ended threads go back; that of the one that runs cannot be among them. */
static void reap(void)
{
    struct whorl__sim *const sim = whorl__sim;
    for (unsigned i = 0; i < sim->thread_count; i++) {
        struct whorl_sim_thread *const thread = sim->threads[i];
        if (thread->state == WHORL__SIM_ENDED && thread->fiber != NULL) {
            whorl__fibers_put(&sim->fibers, thread->fiber);
            thread->fiber = NULL;
        }
    }
}

static void remove_from_live(struct whorl_sim_thread *thread)
{
    struct whorl__sim *const sim = whorl__sim;
    unsigned place = 0;
    while (sim->live[place] != thread) {
        place++;
    }
    sim->live_count--;
    memmove(&sim->live[place], &sim->live[place + 1],
            (sim->live_count - place) * sizeof *sim->live);
}

/* On the thread's own fiber, which is left in its entry: so it can be used again. */
static void end_thread(struct whorl_sim_thread *self)
{
    struct whorl__sim *const sim = whorl__sim;
    whorl__sim_note_worker();
    whorl__sim_note_event(WHORL__SIM_END, self->number, 0, NULL);
    self->state = WHORL__SIM_ENDED;
    self->call = WHORL__SIM_NONE;
    self->at = NULL;
    remove_from_live(self);
    (void)whorl__sim_wake(self, UINT32_MAX);
    put_locals_away(self);
    if (sim->finished) {
        sim->current = NULL;
        whorl__fiber_switch(self->fiber, &sim->controller);
    } else {
        whorl__fiber_switch(self->fiber, enter(choose()));
    }
}

static void thread_entry(struct whorl__fiber *fiber)
{
    for (;;) {
        struct whorl_sim_thread *const self = fiber->user;
        self->result = self->body(self->arg);
        end_thread(self);
    }
}

static void grow_tables(void)
{
    struct whorl__sim *const sim = whorl__sim;
    const unsigned room = sim->thread_room == 0 ? 64 : 2 * sim->thread_room;
    struct whorl_sim_thread **const threads = whorl__sim_own(room * sizeof *threads);
    struct whorl_sim_thread **const live = whorl__sim_own(room * sizeof *live);
    for (unsigned i = 0; i < sim->thread_count; i++) {
        threads[i] = sim->threads[i];
        live[i] = sim->live[i];
    }
    whorl__sim_disown(sim->threads);
    whorl__sim_disown(sim->live);
    sim->threads = threads;
    sim->live = live;
    sim->thread_room = room;
}

/* The simulation's own stacks are not the runtime's: they come from the real table. */
static int take_stack(struct whorl__fiber **ret_fiber)
{
    struct whorl__sim *const sim = whorl__sim;
    const struct whorl__os *const table = whorl__os;
    whorl__os = sim->real;
    if (sim->stacks == NULL) {
        if (whorl__stacks_create(&sim->stacks) != 0) {
            whorl__os = table;
            return -EAGAIN;
        }
        whorl__fibers_init(&sim->fibers, sim->stacks, thread_entry);
    }
    reap();
    const int error = whorl__fibers_get(&sim->fibers, THREAD_STACK_BYTES, ret_fiber);
    whorl__os = table;
    return error != 0 ? -EAGAIN : 0;
}

int whorl__sim_thread_new(void *(*body)(void *arg), void *arg,
                          struct whorl_sim_thread **ret_thread)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl__fiber *fiber;
    if (sim->thread_count == THREADS_MAX || take_stack(&fiber) != 0) {
        return -EAGAIN;
    }
    if (sim->thread_count == sim->thread_room) {
        grow_tables();
    }
    struct whorl_sim_thread *const thread = whorl__sim_own(sizeof *thread);
    thread->number = sim->thread_count;
    thread->state = WHORL__SIM_READY;
    thread->due_ns = sim->now_ns + wake_delay();
    thread->slow = whorl__random_below(&sim->schedule, 8) == 0;
    thread->fiber = fiber;
    thread->at = fiber;
    thread->body = body;
    thread->arg = arg;
    fiber->user = thread;
    sim->threads[sim->thread_count++] = thread;
    sim->live[sim->live_count++] = thread;
    *ret_thread = thread;
    return 0;
}

/* ---- the controller ---- */

void whorl__sim_go(struct whorl_sim_thread *first)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl_sim_thread own = {0};
    put_locals_away(&own);
    whorl__fiber_init_host(&sim->controller);
    sim->now_ns = first->due_ns;
    whorl__fiber_switch(&sim->controller, enter(first));
    fetch_locals(&own);
}

void whorl__sim_leave(void)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl_sim_thread *const self = sim->current;
    sim->current = NULL;
    whorl__fiber_init_host(&self->context);
    whorl__fiber_switch(&self->context, &sim->controller);
    whorl__check_failed("a failed run is left for good", __FILE__, __LINE__, "it went on");
}

void whorl__sim_threads_destroy(void)
{
    struct whorl__sim *const sim = whorl__sim;
    if (sim->stacks == NULL) {
        return;
    }
    for (unsigned i = 0; i < sim->live_count; i++) { /* left in the middle: never to be resumed */
        sim->live[i]->state = WHORL__SIM_ENDED;
    }
    reap();
    whorl__fibers_fini(&sim->fibers);
    whorl__stacks_destroy(sim->stacks);
}
