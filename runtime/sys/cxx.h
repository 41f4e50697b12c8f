/*
 * cxx.h - what the C++ runtime keeps for a thread that ought to be kept for a task.
 *
 * A catch block that waits may go on upon another thread, and meanwhile other tasks throw and catch
 * on this one. What is being caught is a list that the C++ runtime hangs on the thread:
 *
 *   without us                                ours
 *   task A, loop 0: catch (a), waits          leaves: takes the list off the thread, keeps it
 *   task B, loop 0: `throw;` rethrows a       finds no exception, as it should
 *   task A, loop 1: leaves its catch block,   resumes: hangs its list on thread 1
 *                   pops a list without a
 *
 * Owns:       nothing: the record is the C++ runtime's, as the Itanium C++ ABI lays it down.
 * Threads:    each its own record.
 * Invariant:  while no task runs, a loop's record is empty.
 */
#ifndef WHORL_SYS_CXX_H
#define WHORL_SYS_CXX_H

#include "base/compiler.h"

#include <stdbool.h>

/* __cxa_eh_globals */
struct whorl__cxx {
    void *caught;      /* exceptions being handled, innermost first */
    unsigned uncaught; /* thrown, and not caught yet: destructors run */
};

/* The function that gives the calling thread's record; NULL in a process without C++. */
typedef struct whorl__cxx *whorl__cxx_here(void);
whorl__cxx_here *whorl__cxx_find(void);

static inline bool whorl__cxx_holds(const struct whorl__cxx *cxx)
{
    return cxx != NULL && (cxx->caught != NULL || cxx->uncaught != 0);
}

#endif
