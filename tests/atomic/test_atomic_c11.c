/*
 * All of test_atomic.c over the compiler's built-ins, whatever back end this build has chosen.
 */
#ifndef WHORL_ATOMIC_C11
#    define WHORL_ATOMIC_C11
#endif

#include "test_atomic.c"
