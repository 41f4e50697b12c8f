/*
 * error.h - the errors that whorl returns, by name and in words.
 *
 * Every call that can fail returns 0 or a count on success and a negated errno value on failure:
 * -ECANCELED, never -1 with a code elsewhere. What whorl itself means by each is said here once;
 * errors of the kernel that are not in this list are passed on as they are.
 */
#ifndef WHORL_ERROR_H
#define WHORL_ERROR_H

#include "whorl/api.h"

#include <errno.h>

WHORL_BEGIN

/* X(code, text) for each error that whorl gives a meaning of its own. */
#define WHORL_ERRORS(X)                                                                            \
    X(EINVAL, "an argument is out of its range, or options contradict each other")                 \
    X(ENOMEM, "there is no memory left, or no room for another stack")                             \
    X(EAGAIN, "it would have to wait, and was asked not to; or a limit of the system is reached")  \
    X(EPERM, "the caller may not do this: it does not own it, or is not on the right thread")      \
    X(EDEADLK, "the caller would wait for itself")                                                 \
    X(ECANCELED, "cancelled")                                                                      \
    X(EINTR, "interrupted by SIGINT")                                                              \
    X(ETIMEDOUT, "the deadline has passed")                                                        \
    X(EBADF, "the descriptor or handle is closed")                                                 \
    X(EBUSY, "somebody else uses it at this moment")                                               \
    X(EPIPE, "the other side has closed its end")                                                  \
    X(ESHUTDOWN, "it was shut down: a queue that takes no more, a runtime that ends")              \
    X(ECHILD, "the runtime stayed behind in the parent, and this process is a child made by fork") \
    X(EALREADY, "it was done or begun before")                                                     \
    X(EINPROGRESS, "it was begun and is not finished")                                             \
    X(ECONNRESET, "the other side has dropped the connection")                                     \
    X(ECONNREFUSED, "nobody listens there")                                                        \
    X(EADDRINUSE, "the address is in use")                                                         \
    X(EMSGSIZE, "the message does not fit")                                                        \
    X(EOVERFLOW, "a number or a buffer would exceed its limit")                                    \
    X(EMFILE, "this process has no descriptor left")                                               \
    X(ENFILE, "the system has no descriptor left")                                                 \
    X(ENOENT, "there is no such thing")                                                            \
    X(ENOSYS, "this kernel or build cannot do it")                                                 \
    X(EOPNOTSUPP, "this kind of object cannot do it")                                              \
    X(ENODATA, "there are no more items")                                                          \
    X(EPROTO, "a generator has yielded where it should end")                                       \
    X(EXDEV, "it belongs to another runtime")                                                      \
    X(ENOSPC, "the system has no room for more: a device is full, or a limit is reached")          \
    X(ENAMETOOLONG, "the name is longer than it may be")                                           \
    X(EACCES, "the system does not allow it")                                                      \
    X(ESRCH, "there is no such task, loop or runtime")                                             \
    X(EEXIST, "there is one already")                                                              \
    X(ENOTCONN, "it is not connected")                                                             \
    X(ENETUNREACH, "no way leads to that network")                                                 \
    X(ESTALE, "the run differs from the one that it repeats")                                      \
    X(ENOTRECOVERABLE, "it was left in a state from which there is no way on")                     \
    X(EIO, "the device failed")

/*
 * All take a code as it was returned (-ECANCELED) or as errno holds it (ECANCELED), and return a
 * constant string that is never NULL. From anywhere, any thread; neither waits nor allocates.
 */

/* "ECANCELED"; "0" for 0; "E?" for what no system header names. */
WHORL_API const char *whorl_error_name(int error);

/* "cancelled"; the C library's words where whorl has none of its own; "success" for 0. */
WHORL_API const char *whorl_error_text(int error);

/* The same as whorl_error_text, by the name that POSIX has for it; but it takes either sign, never
 * translates, and any thread may call it. */
WHORL_API const char *whorl_strerror(int error);

WHORL_END

#endif
