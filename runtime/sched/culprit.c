/*
 * culprit.c - names the task that holds its loop, once, with its stack.
 *
 * A thread that computes is sent a signal, whose handler walks the stack it interrupted. A thread
 * that blocks in a system call must not get one: the call would end early (EINTR). The kernel tells
 * its stack pointer (/proc/self/task/N/syscall), and the fiber's stack is searched from there for
 * words that look like return addresses: less exact, and harmless.
 *
 * Owns:       task->stall_reported; the one exchange with the signal handler.
 * Threads:    the monitors of all runtimes, one at a time under exchange_lock; the handler on the
 *             stuck thread.
 * Invariant:  SIGURG is used only while the program does not: its handler is set for the report
 *             and the old disposition put back.
 * Pairs:      X1  the handler: frames, then state := ANSWERED (release) - the monitor (acquire)
 */
#include "sched/culprit.h"

#include "sched/sched.h"
#include "sys/os.h"

#include <execinfo.h>
#include <inttypes.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX     24
#define ANSWER_NS      (100 * WHORL_MILLISECOND)

/* The longest call instruction looked for. */
#define CALL_BYTES_MAX 8

#define NOBODY_ASKS    0
#define ASKED          1
#define ANSWERED       2

static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint32_t state; /* A: futex; X1 */
    int count;
    void *frames[FRAMES_MAX];
} exchange;

/* ---- a thread that computes ---- */

static void answer(int signal)
{
    (void)signal;
    if (whorl__load_acquire_u32(&exchange.state) == ASKED) { /* acquire, pairs the monitor's */
        exchange.count = backtrace(exchange.frames, FRAMES_MAX);
        whorl__store_release_u32(&exchange.state, ANSWERED); /* X1 */
        (void)whorl__os->futex_wake(&exchange.state, 1);
    }
}

static bool signal_is_free(const struct sigaction *old)
{
    return !(old->sa_flags & SA_SIGINFO) &&
           (old->sa_handler == SIG_DFL || old->sa_handler == SIG_IGN);
}

static int ask(pthread_t thread)
{
    const int64_t deadline_ns = whorl__os->now_ns() + ANSWER_NS;
    whorl__store_release_u32(&exchange.state, ASKED);
    if (whorl__os->thread_signal(thread, SIGURG) != 0) {
        return 0;
    }
    while (whorl__load_acquire_u32(&exchange.state) == ASKED && /* acquire: X1 */
           whorl__os->now_ns() < deadline_ns) {
        (void)whorl__os->futex_wait(&exchange.state, ASKED, deadline_ns);
    }
    return whorl__swap_u32(&exchange.state, NOBODY_ASKS) == ANSWERED ? exchange.count : 0;
}

/* Returns how many frames stand in exchange.frames. */
static int walk_running(pthread_t thread)
{
    struct sigaction ours = {.sa_handler = answer, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigaction old;
    if (sigaction(SIGURG, NULL, &old) != 0 || !signal_is_free(&old) ||
        sigaction(SIGURG, &ours, NULL) != 0) {
        return 0;
    }
    const int count = ask(thread);
    sigaction(SIGURG, &old, NULL);
    return count;
}

/* ---- a thread that blocks ---- */

/* Whether the bytes before an address, where a call would stand, are readable code. */
struct code_query {
    uintptr_t address;
    bool found;
};

static int look_in_object(struct dl_phdr_info *object, size_t bytes, void *arg)
{
    struct code_query *const query = arg;
    (void)bytes;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *const part = &object->dlpi_phdr[i];
        const uintptr_t start = (uintptr_t)(object->dlpi_addr + part->p_vaddr);
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) && (part->p_flags & PF_R) &&
            query->address >= start + CALL_BYTES_MAX && query->address < start + part->p_memsz) {
            query->found = true;
        }
    }
    return query->found;
}

#if defined(__aarch64__)

/* Where code signs its return addresses (-mbranch-protection), takes the signature off; this form
 * of the instruction does nothing on processors that know no signatures. */
static uintptr_t plain_address(uintptr_t word)
{
    register uintptr_t link __asm__("x30") = word;
    __asm__("hint 7" : "+r"(link)); /* xpaclri */
    return link;
}

/* bl, or blr in any of its forms */
__attribute__((no_sanitize("address", "thread", "undefined"))) static bool
follows_call(const unsigned char *code)
{
    uint32_t instruction;
    __builtin_memcpy(&instruction, code - sizeof instruction, sizeof instruction);
    return (uintptr_t)code % sizeof instruction == 0 &&
           ((instruction & 0xfc000000) == 0x94000000 || (instruction & 0xfefff000) == 0xd63f0000);
}

#elif defined(__x86_64__)

static uintptr_t plain_address(uintptr_t word)
{
    return word;
}

__attribute__((no_sanitize("address", "thread", "undefined"))) static bool
follows_call(const unsigned char *code)
{
    return code[-5] == 0xe8 || (code[-2] == 0xff && (code[-1] & 0x38) == 0x10) ||
           (code[-3] == 0xff && (code[-2] & 0x38) == 0x10) ||
           (code[-6] == 0xff && (code[-5] & 0x38) == 0x10);
}

#else

static uintptr_t plain_address(uintptr_t word)
{
    return word;
}

static bool follows_call(const unsigned char *code)
{
    (void)code;
    return true;
}

#endif

/* A word is taken for a return address when it points behind a call instruction. */
static bool looks_like_return(uintptr_t word)
{
    struct code_query query = {.address = word};
    return word >= 4096 && dl_iterate_phdr(look_in_object, &query) != 0 &&
           follows_call((const unsigned char *)word);
}

/* Another thread's stack, while that thread sits in the kernel. */
__attribute__((no_sanitize("address", "thread", "undefined"))) WHORL_NOINLINE static int
search_stack(const struct whorl__fiber *fiber, uintptr_t pointer, uintptr_t code)
{
    const uintptr_t low = (uintptr_t)fiber->stack_low;
    const uintptr_t high = low + fiber->stack_bytes;
    int count = 0;
    exchange.frames[count++] = (void *)code;
    if (pointer < low || pointer >= high) {
        return count;
    }
    for (uintptr_t at = (pointer + 7) & ~(uintptr_t)7; at < high && count < FRAMES_MAX; at += 8) {
        const uintptr_t word = plain_address(*(const volatile uintptr_t *)at);
        if (looks_like_return(word)) {
            exchange.frames[count++] = (void *)word;
        }
    }
    return count;
}

/* The last two numbers of the file are the stack pointer and the program counter. */
static bool parse_registers(const char *text, uintptr_t *ret_pointer, uintptr_t *ret_code)
{
    const char *const last = strrchr(text, ' ');
    if (last == NULL) {
        return false;
    }
    const char *before = last;
    while (before > text && before[-1] != ' ') {
        before--;
    }
    *ret_code = (uintptr_t)strtoull(last + 1, NULL, 16);
    *ret_pointer = (uintptr_t)strtoull(before, NULL, 16);
    return *ret_pointer != 0;
}

/* ---- the report ---- */

void whorl__culprit_prepare(void)
{
    void *frame[1];
    (void)backtrace(frame, 1); /* loads the unwinder */
}

static void log_frames(struct whorl__runtime *runtime, int count)
{
    char **const names = count > 0 ? backtrace_symbols(exchange.frames, count) : NULL;
    for (int i = 0; names != NULL && i < count; i++) {
        whorl__log(runtime, "whorl:   #%d %s", i, names[i]);
    }
    free(names);
}

/* What the thread does: *ret_blocked, and if so its registers. False: the kernel does not tell. */
static bool look_at_thread(const struct whorl__loop *loop, bool *ret_blocked,
                           uintptr_t *ret_pointer, uintptr_t *ret_code)
{
    char path[64];
    char text[256];
    /* relaxed: a number */
    snprintf(path, sizeof path, "/proc/self/task/%u/syscall",
             whorl__load_relaxed_u32(&loop->thread_id));
    if (whorl__os->read_file(path, text, sizeof text) <= 0) {
        return false;
    }
    *ret_blocked = strncmp(text, "running", 7) != 0;
    return !*ret_blocked || parse_registers(text, ret_pointer, ret_code);
}

static bool still_there(const struct whorl__loop *loop, uint64_t runs)
{
    return whorl__load_relaxed_u64(&loop->stats.runs) == runs; /* relaxed: a sample */
}

/* What the signal did before, the thread that stayed behind knows: nothing, or signal_is_free would
 * have refused; and nothing is what the default does, too. */
void whorl__culprit_forked(void)
{
    const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;
    const struct sigaction nothing = {.sa_handler = SIG_DFL};
    struct sigaction now;
    exchange_lock = unlocked;
    whorl__store_release_u32(&exchange.state, NOBODY_ASKS); /* no thread is here to pair with */
    if (sigaction(SIGURG, NULL, &now) == 0 && now.sa_handler == answer) {
        sigaction(SIGURG, &nothing, NULL);
    }
}

/* Under exchange_lock. */
static void log_culprit(struct whorl__loop *loop, const char *what, const char *name,
                        int64_t held_ns, bool blocked, int frames)
{
    const char *const section = whorl__rescue_section(loop);
    whorl__log(loop->runtime,
               "whorl: %s \"%s\" has held loop %u for %" PRId64 " ms, %s%s%.*s%s; "
               "give it to a thread, or let it yield. Its stack%s:",
               what, name, loop->index, held_ns / WHORL_MILLISECOND,
               blocked ? "blocked in a system call" : "computing",
               section != NULL ? ", in the section \"" : "", WHORL_TASK_NAME_MAX,
               section != NULL ? section : "", section != NULL ? "\"" : "",
               blocked ? ", as far as can be told" : "");
    log_frames(loop->runtime, frames);
}

/* relaxed: only this thread reads and writes the mark; debug is a switch, thrown at any time. */
static bool was_named(const struct whorl__loop *loop, struct whorl_task *task)
{
    return whorl__load_relaxed_u32(&task->stall_reported) &&
           !whorl__load_relaxed_u32(&loop->runtime->debug);
}

bool whorl__culprit_report(struct whorl__loop *loop, uint64_t runs, int64_t held_ns, int64_t cpu_ns)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    struct whorl_task *const task = whorl__load_acquire_ptr(&loop->current); /* pairs enter_task */
    uintptr_t pointer = 0;
    uintptr_t code = 0;
    bool blocked = false;
    if (task == NULL || was_named(loop, task)) {
        return false;
    }
    const bool told = look_at_thread(loop, &blocked, &pointer, &code);
    const bool starved = !blocked && cpu_ns < loop->runtime->report_ns / 4;
    if (starved || !still_there(loop, runs)) {
        return false;
    }
    whorl__store_relaxed_u32(&task->stall_reported, 1); /* relaxed: only this thread reads it */
    whorl__task_copy_name(task, name, sizeof name);
    pthread_mutex_lock(&exchange_lock);
    const int count = blocked ? search_stack(whorl__load_relaxed_ptr(&task->fiber), pointer, code)
                      : told  ? walk_running(loop->thread)
                              : 0;
    const bool there = still_there(loop, runs);
    if (there) {
        log_culprit(loop, "task", name, held_ns, blocked, count);
    }
    pthread_mutex_unlock(&exchange_lock);
    return there;
}

bool whorl__culprit_report_call(struct whorl__loop *loop, const void *function, int64_t held_ns,
                                int64_t cpu_ns)
{
    void *frame = (void *)(uintptr_t)function;
    uintptr_t pointer = 0;
    uintptr_t code = 0;
    bool blocked = false;
    const bool told = look_at_thread(loop, &blocked, &pointer, &code);
    pthread_mutex_lock(&exchange_lock);
    exchange.frames[0] = (void *)code;
    const bool starved = !blocked && cpu_ns < loop->runtime->report_ns / 4;
    if (!starved) {
        char **const names = backtrace_symbols(&frame, 1);
        const int count = blocked ? 1 : told ? walk_running(loop->thread) : 0;
        log_culprit(loop, "callback", names != NULL ? names[0] : "?", held_ns, blocked, count);
        free(names);
    }
    pthread_mutex_unlock(&exchange_lock);
    return !starved;
}

/* ---- debug mode ---- */

static void log_left(struct whorl__loop *loop, const char *what, const char *name, int64_t took_ns)
{
    whorl__log(loop->runtime, "whorl: %s \"%s\" has left loop %u after %" PRId64 " ms", what, name,
               loop->index, took_ns / WHORL_MILLISECOND);
}

void whorl__culprit_tell_step(struct whorl__loop *loop, struct whorl_task *task, int64_t took_ns)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    if (took_ns >= loop->runtime->report_ns) {
        whorl__task_copy_name(task, name, sizeof name);
        log_left(loop, "task", name, took_ns);
    }
}

void whorl__culprit_tell_call(struct whorl__loop *loop, const void *function, int64_t took_ns)
{
    void *frame = (void *)(uintptr_t)function;
    if (took_ns >= loop->runtime->report_ns) {
        char **const names = backtrace_symbols(&frame, 1);
        log_left(loop, "callback", names != NULL ? names[0] : "?", took_ns);
        free(names);
    }
}
