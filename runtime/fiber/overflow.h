/*
 * overflow.h - a stack overflow is reported by name before the process ends.
 *
 * Owns:       the process's handlers for SIGSEGV and SIGBUS, from the first install to the last
 *             uninstall: a runtime that is over leaves nothing behind.
 * Threads:    install, uninstall from any; thread_start and thread_stop by each thread that runs
 *             fibers, since a handler needs a stack of its own when the fiber's is used up.
 * Invariant:  a fault that is not a fiber's overflow goes to the handler that was there before.
 * Not chosen: growing the stack in the handler: other threads may hold pointers into it, and pages
 *             committed on touch already make a generous stack_bytes cheap.
 */
#ifndef WHORL_FIBER_OVERFLOW_H
#define WHORL_FIBER_OVERFLOW_H

#include "base/compiler.h"

#include <stdbool.h>

struct whorl__fiber;

/*
 * `current` gives the fiber the calling thread runs, or NULL; `name` what to call it. Both are
 * called inside the signal handler. The first of several installs counts, and the last uninstall
 * puts back what was there before; unless somebody has put a handler over ours, and may call it: a
 * library that was loaded by dlopen then stays loaded. False: a handler was refused (by a filter of
 * system calls); an overflow then ends the process without a word.
 */
WHORL_MUST_USE bool whorl__overflow_install(struct whorl__fiber *(*current)(void),
                                            const char *(*name)(const struct whorl__fiber *fiber));
void whorl__overflow_uninstall(void);

/* In the child of a fork: nobody else is there, and no runtime is. The handlers stay till later. */
void whorl__overflow_forked(void);

/* Gives the calling thread a signal stack; one that has its own keeps it, *ret_altstack is NULL. */
WHORL_MUST_USE int whorl__overflow_thread_start(void **ret_altstack);
void whorl__overflow_thread_stop(void *altstack);

#endif
