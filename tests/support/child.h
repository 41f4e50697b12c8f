/*
 * child.h - tests that change their process: in a child, with system calls that are refused.
 *
 * A refusal is a seccomp filter, so the code under test meets it where it would meet an old kernel
 * or a container: in the kernel. It holds for the calling thread and for those that it starts.
 */
#ifndef WHORL_TESTS_SUPPORT_CHILD_H
#define WHORL_TESTS_SUPPORT_CHILD_H

#include "base/compiler.h"

#include <stdbool.h>

/* What a body returns that cannot be asked on this system. The test then skips. */
enum { CHILD_CANNOT = 99 };

/* Whether a sanitizer is in the process: it makes system calls of its own, and may die where they
 * are refused. */
#if defined(WHORL_ASAN) || defined(WHORL_TSAN)
#    define CHILD_IS_SANITIZED true
#else
#    define CHILD_IS_SANITIZED false
#endif

/* Whether a child of a process with threads can start some itself. Under qemu-user it cannot: the
 * emulator still holds the parent's, and gives up. */
bool child_can_start_threads(void);

/* Runs the body in a child process, whose damage stays there. What the body returns, 0 to 255;
 * -SIGINT, say, when it ended by a signal. */
int child_run(int (*body)(void));

/* As above, and asserts that it is 0; skips the test when it is CHILD_CANNOT. */
void child_expect_success(int (*body)(void));

/* Makes the system call `number` fail with `error` from now on. False: no filters here, as under
 * qemu-user. */
bool child_refuse(int number, int error);

/* As above, only when argument `argument` (0 to 5) has `value` in its lower half. */
bool child_refuse_with(int number, unsigned argument, unsigned value, int error);

#endif
