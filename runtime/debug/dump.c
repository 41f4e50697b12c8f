/*
 * dump.c - whorl_dump: every loop and every task, as others see them.
 *
 *   heading    version, time, process
 *   runtime    one line, then one a loop, then one a task that is not FREE, then the sums
 *
 * Owns:       nothing.
 * Threads:    any, also in a signal handler: see debug/look.h.
 * Invariant:  takes no lock but by trylock, and writes while it holds none; allocates nothing; asks
 *             nothing of any loop. Tasks that begin or end meanwhile may be missing or be shown.
 */
#include "inside.h"

#include "debug/dump.h"

#include "debug/look.h"
#include "debug/output.h"

#include "sched/entry.h"
#include "sched/roster.h"
#include "sys/os.h"
#include "sys/tls.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

/* One dump, on its way. */
struct dump {
    struct whorl__output *output;
    int64_t now_ns;
    ElfW(Addr) program; /* what must be added to addresses in the program's file */
    uint64_t counts[4]; /* tasks by enum whorl__look_state */
};

static const char *const state_names[] = {
    [WHORL__LOOK_READY] = "ready",
    [WHORL__LOOK_RUNNING] = "running",
    [WHORL__LOOK_PARKED] = "parked",
    [WHORL__LOOK_DONE] = "done",
};

/* ---- key=value ---- */

static void put_key(struct dump *dump, const char *key)
{
    whorl__text_char(&dump->output->text, ' ');
    whorl__text_string(&dump->output->text, key);
    whorl__text_char(&dump->output->text, '=');
}

static void put_word(struct dump *dump, const char *key, const char *word)
{
    put_key(dump, key);
    whorl__text_string(&dump->output->text, word);
}

static void put_number(struct dump *dump, const char *key, uint64_t number)
{
    put_key(dump, key);
    whorl__text_number(&dump->output->text, number);
}

static void put_seconds(struct dump *dump, const char *key, int64_t duration_ns)
{
    put_key(dump, key);
    whorl__text_seconds(&dump->output->text, duration_ns);
}

/* How long ago: a turn that has begun since the dump did is no time ago. */
static void put_since(struct dump *dump, const char *key, uint64_t then_ns)
{
    const int64_t age_ns = dump->now_ns - (int64_t)then_ns;
    put_seconds(dump, key, age_ns > 0 ? age_ns : 0);
}

/* How long from now; what is overdue has a minus. */
static void put_until(struct dump *dump, const char *key, int64_t deadline_ns)
{
    if (deadline_ns == WHORL_NEVER) {
        put_word(dump, key, "never");
    } else {
        put_seconds(dump, key, deadline_ns - dump->now_ns);
    }
}

static void put_awaited(struct whorl__text *text, const struct whorl__look_awaited *awaited)
{
    switch (awaited->kind) {
    case WHORL__FUTURE_TASK:
        whorl__text_string(text, "task:");
        whorl__text_number(text, awaited->id);
        return;
    case WHORL__FUTURE_GATHER:
        whorl__text_string(text, "gather:");
        break;
    case WHORL__FUTURE_SHIELD:
        whorl__text_string(text, "shield:");
        break;
    case WHORL__FUTURE_PLAIN:
        whorl__text_string(text, "future:");
        break;
    }
    whorl__text_hex(text, awaited->id);
}

/* ---- the program, so that an address can be found in its file ---- */

/* Position independent programs have their headers where PHDR says, plus what we look for. */
static ElfW(Addr) find_program(void)
{
    const ElfW(Phdr) *const headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    const unsigned long count = getauxval(AT_PHNUM);
    for (unsigned long i = 0; headers != NULL && i < count; i++) {
        if (headers[i].p_type == PT_PHDR) {
            return (ElfW(Addr))headers - headers[i].p_vaddr;
        }
    }
    return 0;
}

static bool is_in_program(const struct dump *dump, uint64_t address)
{
    const ElfW(Phdr) *const headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    const unsigned long count = getauxval(AT_PHNUM);
    for (unsigned long i = 0; headers != NULL && i < count; i++) {
        const ElfW(Addr) start = dump->program + headers[i].p_vaddr;
        if (headers[i].p_type == PT_LOAD && address >= start &&
            address < start + headers[i].p_memsz) {
            return true;
        }
    }
    return false;
}

/* As addr2line wants it, for a function of the program; the address, for one of a library. */
static void put_body(struct dump *dump, uint64_t body)
{
    const bool ours = is_in_program(dump, body);
    put_key(dump, "body");
    if (ours) {
        whorl__text_string(&dump->output->text, "program+");
    }
    whorl__text_hex(&dump->output->text, ours ? body - dump->program : body);
}

/* ---- a task ---- */

static void put_name(struct dump *dump, const struct whorl__look *look)
{
    struct whorl__text *const text = &dump->output->text;
    put_key(dump, "name");
    if (!look->locked) {
        whorl__text_char(text, '?');
    } else if (look->name[0] != '\0') {
        whorl__text_quoted(text, look->name);
    } else {
        whorl__text_string(text, "\"Task-");
        whorl__text_number(text, look->serial);
        whorl__text_char(text, '"');
    }
}

static void put_descriptor(struct dump *dump, uint64_t waits_on, const char *direction)
{
    put_word(dump, "waits", waits_on & WHORL__PARK_BOTH ? "read+write" : direction);
    put_number(dump, "fd", waits_on >> WHORL__PARK_DETAIL_SHIFT);
}

static void put_future(struct dump *dump, uint64_t waits_on)
{
    const struct whorl__look_awaited awaited = whorl__look_awaited(waits_on);
    put_word(dump, "waits", "future");
    put_key(dump, "on");
    put_awaited(&dump->output->text, &awaited);
}

static void put_sync(struct dump *dump, uint64_t waits_on)
{
    put_word(dump, "waits", whorl__park_sync_name(waits_on));
    put_key(dump, "on");
    whorl__text_hex(&dump->output->text, whorl__park_sync_address(waits_on));
}

static void put_children(struct dump *dump, const struct whorl__look *look)
{
    struct whorl__text *const text = &dump->output->text;
    put_number(dump, "pending", look->children_pending);
    put_number(dump, "of", look->children);
    put_key(dump, "children");
    for (unsigned i = 0; i < look->shown; i++) {
        if (i > 0) {
            whorl__text_char(text, ',');
        }
        put_awaited(text, &look->child[i]);
    }
    if (look->shown < look->children_pending) {
        whorl__text_string(text, ",...");
    }
}

static bool waits_for_gather(const struct whorl__look *look)
{
    return (look->waits_on & WHORL__PARK_REASON_MASK) == WHORL__PARK_FUTURE &&
           whorl__look_awaited(look->waits_on).kind == WHORL__FUTURE_GATHER;
}

/* Ready, and another one of its strand has the turn. */
static void put_turn(struct dump *dump, const struct whorl__look *look)
{
    if ((look->waits_on & WHORL__PARK_REASON_MASK) == WHORL__PARK_STRAND) {
        put_word(dump, "waits", "strand");
        put_key(dump, "on");
        whorl__text_hex(&dump->output->text, whorl__park_sync_address(look->waits_on));
    }
}

/* Why it is parked, since when, until when. */
static void put_wait(struct dump *dump, const struct whorl__look *look)
{
    if (!look->steady) { /* it was woken while we looked, again and again */
        put_word(dump, "waits", "?");
        return;
    }
    switch (look->waits_on & WHORL__PARK_REASON_MASK) {
    case WHORL__PARK_FUTURE:
        put_future(dump, look->waits_on);
        break;
    case WHORL__PARK_READ:
        put_descriptor(dump, look->waits_on, "read");
        break;
    case WHORL__PARK_WRITE:
        put_descriptor(dump, look->waits_on, "write");
        break;
    case WHORL__PARK_GROUP:
        put_word(dump, "waits", "group");
        break;
    case WHORL__PARK_SYNC:
        put_sync(dump, look->waits_on);
        break;
    default:
        put_word(dump, "waits", "sleep");
        break;
    }
    put_since(dump, "for", look->parked_ns);
    if (look->waits_on & WHORL__PARK_TIMED) {
        put_until(dump, "deadline", (int64_t)look->wake_ns);
    }
    if (waits_for_gather(look) && !look->locked) {
        put_word(dump, "children", "?");
    } else if (waits_for_gather(look) && look->gathers) {
        put_children(dump, look);
    }
}

/* What runs in its place; or it was cancelled, and has not resumed. */
static void put_awaits(struct dump *dump, const struct whorl__look *look)
{
    if (look->locked && look->awaits) {
        put_key(dump, "awaits");
        put_awaited(&dump->output->text, &look->awaited);
    }
}

static void put_why_not_running(struct dump *dump, const struct whorl__look *look)
{
    if (look->state == WHORL__LOOK_PARKED) {
        put_wait(dump, look);
    } else if (look->state == WHORL__LOOK_READY) {
        put_turn(dump, look);
        put_awaits(dump, look);
    }
}

static void put_cancel(struct dump *dump, const struct whorl__look *look)
{
    put_word(dump, "cancel", look->word & WHORL__CANCEL ? "pending" : "no");
    if (!look->locked) {
        put_word(dump, "requests", "?");
        put_word(dump, "timeouts", "?");
        return;
    }
    put_number(dump, "requests", (uint64_t)look->requests);
    if (look->requests > 0 && look->message != NULL) {
        put_key(dump, "message");
        whorl__text_quoted(&dump->output->text, look->message);
    }
    put_number(dump, "timeouts", look->timeouts);
    if (look->timeouts > 0) {
        put_until(dump, "timeout", look->timeout_ns);
    }
}

/* Nothing of a task that owns none, as far as is known. */
static void put_owned(struct dump *dump, const struct whorl__look *look)
{
    unsigned shown = 0;
    if (!look->locked || look->owned_count == 0) {
        return;
    }
    put_key(dump, "owns");
    for (unsigned i = 0; i < WHORL__OWNED_MAX; i++) {
        if (look->owned[i] != NULL) {
            whorl__text_string(&dump->output->text, shown++ > 0 ? "," : "");
            whorl__text_hex(&dump->output->text, (uint64_t)(uintptr_t)look->owned[i]);
        }
    }
    if (shown < look->owned_count) {
        whorl__text_string(&dump->output->text, shown > 0 ? ",..." : "...");
    }
}

static void put_stack(struct dump *dump, const struct whorl__look *look)
{
    if (look->fiber == NULL) {
        put_word(dump, "stack", "none");
        return;
    }
    put_key(dump, "stack");
    if (look->stack_now != 0) {
        whorl__text_number(&dump->output->text, look->stack_now);
    } else {
        whorl__text_char(&dump->output->text, '?');
    }
    whorl__text_char(&dump->output->text, '/');
    whorl__text_number(&dump->output->text, look->fiber->stack_bytes);
    put_number(dump, "high", whorl__fiber_stack_used(look->fiber));
}

static void put_end(struct dump *dump, const struct whorl__look *look)
{
    put_word(dump, "cancelled", look->future_word & WHORL__FUTURE_CANCELLED ? "yes" : "no");
}

static const char *const why_names[] = {
    [WHORL_WHY_NONE] = "none",         [WHORL_WHY_UNKNOWN] = "unknown",
    [WHORL_WHY_TASK] = "task",         [WHORL_WHY_CALLBACK] = "callback",
    [WHORL_WHY_THREAD] = "thread",     [WHORL_WHY_DEADLINE] = "deadline",
    [WHORL_WHY_GROUP] = "group",       [WHORL_WHY_SHUTDOWN] = "shutdown",
};

static void put_by(struct dump *dump, const struct whorl_why *why)
{
    const bool thread = why->cause == WHORL_WHY_THREAD;
    if (thread || why->task != 0) {
        put_word(dump, "by", thread ? "thread:" : "task:");
        whorl__text_number(&dump->output->text, thread ? why->thread : why->task);
    }
    if (why->name[0] != '\0') {
        put_key(dump, "by-name");
        whorl__text_quoted(&dump->output->text, why->name);
    }
}

static void put_through(struct dump *dump, const struct whorl_why *why)
{
    struct whorl__text *const text = &dump->output->text;
    const unsigned shown = why->hops < WHORL_WHY_HOPS ? why->hops : WHORL_WHY_HOPS;
    for (unsigned i = 0; i < shown; i++) {
        whorl__text_string(text, i == 0 ? " through=" : ",");
        whorl__text_string(text, why->hop[i].task != 0 ? "task:" : "gather");
        if (why->hop[i].task != 0) {
            whorl__text_number(text, why->hop[i].task);
        }
    }
    if (shown < why->hops) {
        whorl__text_string(text, ",...");
    }
}

/* Nothing of a task that nobody has asked to end. */
static void put_why(struct dump *dump, const struct whorl__look *look)
{
    if (look->locked && look->why.cause != WHORL_WHY_NONE) {
        put_word(dump, "why", why_names[look->why.cause]);
        put_by(dump, &look->why);
        put_through(dump, &look->why);
    }
}

static void put_task(struct dump *dump, const struct whorl__runtime *runtime,
                     const struct whorl__look *look)
{
    whorl__text_string(&dump->output->text, "task=");
    whorl__text_number(&dump->output->text, look->serial);
    put_name(dump, look);
    put_number(dump, "runtime", runtime->id);
    put_word(dump, "state", state_names[look->state]);
    put_number(dump, "loop", look->loop);
    put_word(dump, "pinned", look->pin != 0 ? "yes" : "no");
    put_since(dump, "age", look->born_ns);
    if (look->state == WHORL__LOOK_DONE) {
        put_end(dump, look);
    } else {
        put_why_not_running(dump, look);
        put_word(dump, "awaited", look->future_word & WHORL__FUTURE_WAITERS ? "yes" : "no");
        put_cancel(dump, look);
        put_owned(dump, look);
        put_stack(dump, look);
    }
    put_why(dump, look);
    put_number(dump, "refs", look->references);
    put_body(dump, look->body);
}

static void put_tasks(struct dump *dump, struct whorl__runtime *runtime)
{
    struct whorl__look look;
    const uint32_t count = whorl__slots_count(&runtime->slots);
    for (uint32_t i = 0; i < count && dump->output->error == 0; i++) {
        if (whorl__look_at_task(whorl__slot_at(&runtime->slots, i), &look)) {
            put_task(dump, runtime, &look);
            whorl__text_char(&dump->output->text, '\n');
            dump->counts[look.state]++;
        }
    }
}

static void put_sums(struct dump *dump, const struct whorl__runtime *runtime)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < 4; i++) {
        sum += dump->counts[i];
    }
    whorl__text_string(&dump->output->text, "tasks=");
    whorl__text_number(&dump->output->text, sum);
    put_number(dump, "runtime", runtime->id);
    for (unsigned i = 0; i < 4; i++) {
        put_number(dump, state_names[i], dump->counts[i]);
        dump->counts[i] = 0;
    }
    whorl__text_char(&dump->output->text, '\n');
}

/* ---- a loop ---- */

/* relaxed, in the whole part: samples, each of its own moment. */
static const char *loop_state(const struct whorl__loop *loop)
{
    if (whorl__load_relaxed_ptr(&loop->current) != NULL) {
        return whorl__rescue_section(loop) != NULL    ? "blocking"
               : whorl__load_relaxed_u32(&loop->stuck) ? "stuck"
                                                       : "running";
    }
    if (whorl__load_relaxed_u32(&loop->runtime->halt.all)) {
        return "stopped";
    }
    if (whorl__load_relaxed_u32(&loop->sleeping)) {
        return "sleeping";
    }
    return whorl__load_relaxed_u32(&loop->searching) ? "searching" : "turning";
}

static void put_current(struct dump *dump, struct whorl__loop *loop)
{
    struct whorl__look look;
    struct whorl_task *const task = whorl__load_acquire_ptr(&loop->current); /* pairs enter_task */
    const char *const section = whorl__rescue_section(loop);
    if (task != NULL && whorl__look_at_task(task, &look)) {
        put_number(dump, "task", look.serial);
        put_name(dump, &look);
    }
    if (task != NULL && section != NULL) {
        put_key(dump, "section");
        whorl__text_quoted(&dump->output->text, section);
    }
    put_since(dump, "for", whorl__load_relaxed_u64(&loop->turn_ns));
}

static void put_timers(struct dump *dump, struct whorl__loop *loop)
{
    put_key(dump, "timers");
    if (whorl__spin_trylock(&loop->timers.lock)) {
        const size_t count = loop->timers.heap.count;
        whorl__spin_unlock(&loop->timers.lock);
        whorl__text_number(&dump->output->text, count);
    } else {
        whorl__text_char(&dump->output->text, '?');
    }
    put_until(dump, "next", whorl__timers_next(&loop->timers));
}

static void put_loop(struct dump *dump, struct whorl__loop *loop)
{
    const uint32_t watcher = whorl__load_relaxed_u32(&loop->watcher);
    const bool asleep = whorl__load_relaxed_u32(&loop->sleeping) != 0;
    whorl__text_string(&dump->output->text, "loop=");
    whorl__text_number(&dump->output->text, loop->index);
    put_number(dump, "runtime", loop->runtime->id);
    put_word(dump, "state", loop_state(loop));
    put_current(dump, loop);
    put_number(dump, "ring", whorl__entry_count(loop));
    put_number(dump, "hot", whorl__load_relaxed_ptr(&loop->hot) != NULL);
    put_number(dump, "bound", asleep ? 0 : whorl__load_relaxed_u32(&loop->bound_seen));
    put_word(dump, "inbox", whorl__inbox_is_empty(&loop->inbox) ? "empty" : "some");
    put_timers(dump, loop);
    if (watcher != 0) {
        put_number(dump, "watched-by", watcher - 1);
    }
    put_number(dump, "tid", whorl__load_relaxed_u32(&loop->thread_id));
    put_number(dump, "turns", whorl__load_relaxed_u64(&loop->stats.turns));
    whorl__text_char(&dump->output->text, '\n');
}

/* ---- all ---- */

static void put_runtime(struct dump *dump, struct whorl__runtime *runtime)
{
    const char *const mode = runtime->stealing          ? "stealing"
                             : runtime->loop_count == 1 ? "single"
                                                        : "isolated";
    whorl__text_string(&dump->output->text, "\nruntime=");
    whorl__text_number(&dump->output->text, runtime->id);
    put_word(dump, "mode", mode);
    put_number(dump, "loops", runtime->loop_count);
    put_number(dump, "shared", whorl__load_relaxed_u32(&runtime->shared.count));
    put_word(dump, "ending", whorl__load_relaxed_u32(&runtime->ending) ? "yes" : "no");
    whorl__text_char(&dump->output->text, '\n');
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        put_loop(dump, runtime->loops[i]);
    }
    put_tasks(dump, runtime);
    put_sums(dump, runtime);
}

static void put_all(struct dump *dump)
{
    struct whorl__runtime *runtime = NULL;
    whorl__output_heading(dump->output, "dump");
    whorl__text_char(&dump->output->text, '\n');
    while ((runtime = whorl__roster_next(runtime)) != NULL) {
        put_runtime(dump, runtime);
        if (dump->output->error != 0) {
            whorl__roster_leave(runtime);
            return;
        }
    }
}

static struct dump begin(struct whorl__output *output)
{
    return (struct dump){
        .output = output, .now_ns = whorl__os->now_ns(), .program = find_program()};
}

/* A task that is referred to outlives its runtime, but not all that it points to does. */
void whorl__dump_task(struct whorl__output *output, struct whorl_task *task)
{
    struct dump dump = begin(output);
    struct whorl__look look;
    struct whorl__runtime *const runtime = whorl__roster_find(task->runtime->id);
    if (runtime != NULL && whorl__look_at_task(task, &look)) {
        put_task(&dump, runtime, &look);
    } else {
        whorl__text_string(&output->text, "task=");
        whorl__text_number(&output->text, whorl__load_relaxed_u64(&task->serial)); /* a number */
        put_word(&dump, "state", whorl_task_done(task) ? state_names[WHORL__LOOK_DONE] : "?");
    }
    if (runtime != NULL) {
        whorl__roster_leave(runtime);
    }
}

int whorl_dump(int fd)
{
    const int saved_errno = whorl__tls_errno(); /* of the task, or of what a signal interrupted */
    struct whorl__output output;
    struct dump dump = begin(&output);
    whorl__output_to_fd(&output, fd);
    put_all(&dump);
    const int error = whorl__output_end(&output);
    whorl__tls_set_errno(saved_errno);
    return error;
}

void whorl__describe_wait(struct whorl_task *task, char *ret_text, size_t bytes)
{
    struct whorl__output output;
    struct dump dump = begin(&output);
    struct whorl__look look;
    whorl__output_to_bytes(&output, ret_text, bytes);
    whorl__text_string(&output.text, "state=");
    if (!whorl__look_at_task(task, &look)) {
        whorl__text_string(&output.text, "gone");
    } else {
        whorl__text_string(&output.text, state_names[look.state]);
        put_why_not_running(&dump, &look);
    }
    (void)whorl__output_end(&output); /* into memory it cannot fail */
}
