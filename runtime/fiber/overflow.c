/*
 * overflow.c - from the fault in a guard to one line on stderr.
 *
 * Owns:       hooks, and the handlers that were there before ours.
 * Threads:    what the handler reads is written before sigaction() makes it reachable, and not
 *             again while it is; it runs on whichever thread faults.
 * Invariant:  the handler calls nothing but system calls, the two hooks and abort.
 *             A handler that somebody put over ours is never replaced: it may call ours, and ours
 *             must not lead back to it.
 * Not chosen: printf and its kind: the fault may have hit inside malloc or stdio.
 *             Leaving the handlers in place for good: dlclose would unmap the code under them.
 *
 * sigaction and mincore are not in the table of os.h: with good arguments, and these are constants,
 * only a filter of system calls can refuse them. Then there is no handler, and no high-water mark.
 */
#include "fiber/overflow.h"

#include "base/assert.h"
#include "base/text.h"
#include "fiber/fiber.h"
#include "sys/os.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Room for a saved vector state of several KiB and for a sanitizer's handler that we chain to. */
#define ALTSTACK_BYTES ((size_t)64 << 10)

static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users; /* M(install_lock): installs that were not undone */
static struct whorl__fiber *(*hook_current)(void);
static const char *(*hook_name)(const struct whorl__fiber *fiber);

/* One signal's disposition. */
struct fault {
    int number;
    bool taken;           /* M(install_lock): ours was put there, and not taken away by us */
    struct sigaction old; /* what ours passes on to */
};

static struct fault segv = {.number = SIGSEGV};
static struct fault bus = {.number = SIGBUS};

static void report(const struct whorl__fiber *fiber)
{
    const char *name = hook_name(fiber);
    char bytes[256];
    struct whorl__text line = {.bytes = bytes, .size = sizeof(bytes)};
    whorl__text_string(&line, "whorl: stack overflow in task \"");
    whorl__text_string(&line, name != NULL ? name : "?");
    whorl__text_string(&line, "\": ");
    whorl__text_number(&line, fiber->stack_bytes);
    whorl__text_string(&line, " bytes of stack, high-water mark ");
    whorl__text_number(&line, whorl__fiber_stack_used(fiber));
    whorl__text_string(&line, "; raise stack_bytes\n");
    const ssize_t written = write(STDERR_FILENO, bytes, line.length);
    (void)written; /* nobody is left to be told */
}

static bool is_overflow(const struct whorl__fiber *fiber, const siginfo_t *info)
{
    const uintptr_t address = (uintptr_t)info->si_addr;
    const uintptr_t low = (uintptr_t)fiber->stack_low;
    return address < low && address >= low - WHORL_STACK_GUARD;
}

static void restore_default(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(number, &action, NULL);
}

/* The kernel repeats a faulting access after the handler, so the default action needs no help; a
 * signal somebody sent has to be sent again. */
static void act_by_default(int number, bool is_fault)
{
    restore_default(number);
    if (!is_fault) {
        raise(number);
    }
}

static void pass_on(const struct sigaction *old, int number, siginfo_t *info, void *context)
{
    const bool is_fault = info->si_code > 0;
    if ((old->sa_flags & SA_SIGINFO) != 0) {
        old->sa_sigaction(number, info, context);
    } else if (old->sa_handler == SIG_DFL || (old->sa_handler == SIG_IGN && is_fault)) {
        act_by_default(number, is_fault);
    } else if (old->sa_handler != SIG_IGN) {
        old->sa_handler(number);
    }
}

static void handle(int number, siginfo_t *info, void *context)
{
    const struct whorl__fiber *fiber = info->si_code > 0 ? hook_current() : NULL;
    if (fiber != NULL && is_overflow(fiber, info)) {
        report(fiber);
        restore_default(SIGSEGV);
        restore_default(SIGBUS);
        abort();
    }
    pass_on(number == SIGSEGV ? &segv.old : &bus.old, number, info, context);
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handle;
}

static bool is_function(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 ||
           (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

static bool take(struct fault *fault)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction now;
    if (sigaction(fault->number, NULL, &now) != 0) {
        return false;
    }
    const bool may_call_ours = fault->taken && is_function(&now);
    if (is_ours(&now) || may_call_ours) {
        fault->taken = true;
        return true;
    }
    fault->old = now;
    sigemptyset(&action.sa_mask);
    fault->taken = sigaction(fault->number, &action, NULL) == 0;
    return fault->taken;
}

/* Whoever holds the address of `handle` may call it at any time from now on. */
static void stay_loaded(void)
{
    Dl_info info;
    if (dladdr((void *)(uintptr_t)handle, &info) != 0 && info.dli_fname != NULL) {
        (void)dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    }
}

static void give_back(struct fault *fault)
{
    struct sigaction now = {.sa_handler = SIG_DFL};
    if (!fault->taken) {
        return;
    }
    if (sigaction(fault->number, NULL, &now) == 0 && is_ours(&now)) {
        fault->taken = false;
        sigaction(fault->number, &fault->old, NULL);
    } else {
        stay_loaded();
    }
}

bool whorl__overflow_install(struct whorl__fiber *(*current)(void),
                             const char *(*name)(const struct whorl__fiber *fiber))
{
    bool both = true;
    WHORL_ASSERT(current != NULL);
    WHORL_ASSERT(name != NULL);
    pthread_mutex_lock(&install_lock);
    if (users++ == 0) {
        hook_current = current;
        hook_name = name;
        both = take(&segv);
        both &= take(&bus);
    }
    pthread_mutex_unlock(&install_lock);
    return both;
}

void whorl__overflow_uninstall(void)
{
    pthread_mutex_lock(&install_lock);
    WHORL_ASSERT(users > 0);
    if (--users == 0) {
        give_back(&segv);
        give_back(&bus);
    }
    pthread_mutex_unlock(&install_lock);
}

/* Another thread may have been half-way through; take() looks what is there. */
void whorl__overflow_forked(void)
{
    const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;
    install_lock = unlocked;
    users = 0;
}

int whorl__overflow_thread_start(void **ret_altstack)
{
    stack_t old;
    int error = whorl__os->signal_stack(NULL, &old);
    if (error != 0) {
        return error;
    }
    if ((old.ss_flags & SS_DISABLE) == 0) {
        *ret_altstack = NULL; /* a sanitizer's, or the program's: it wants it back unchanged */
        return 0;
    }
    void *base;
    error = whorl__os->map(ALTSTACK_BYTES, &base);
    if (error != 0) {
        return error;
    }
    const stack_t altstack = {.ss_sp = base, .ss_size = ALTSTACK_BYTES};
    error = whorl__os->signal_stack(&altstack, NULL);
    if (error != 0) {
        (void)whorl__os->unmap(base, ALTSTACK_BYTES);
        return error;
    }
    *ret_altstack = base;
    return 0;
}

void whorl__overflow_thread_stop(void *altstack)
{
    if (altstack == NULL) {
        return;
    }
    const stack_t none = {.ss_flags = SS_DISABLE};
    if (whorl__os->signal_stack(&none, NULL) == 0) { /* else it is still the kernel's: it stays */
        (void)whorl__os->unmap(altstack, ALTSTACK_BYTES);
    }
}
