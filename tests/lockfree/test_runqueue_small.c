/*
 * All of test_runqueue.c again on a ring of four slots, where every operation meets a border: full,
 * empty and wrapped are one step apart, and the owner reuses a slot while a thief still reads it.
 */
#define WHORL_RUNQUEUE_SLOTS 4

#include "lockfree/runqueue.c"

#include "test_runqueue.c"
