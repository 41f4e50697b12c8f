/*
 * yardstick.h - two costs that nothing here can go below: a compare-and-swap and a bare switch.
 *
 * Times of different machines cannot be compared, ratios to these can. They are measured in the
 * same run as what they are compared with.
 *
 * Threads:    one.
 */
#ifndef WHORL_BENCH_YARDSTICK_H
#define WHORL_BENCH_YARDSTICK_H

/* One locked compare-and-swap that succeeds, on a line in this core's cache, in ns. */
double yardstick_cas_ns(long count);

/*
 * One switch in a ring of fibers, in ns: put the running fiber at the end of a queue, take the
 * first, switch to it. The same switch and the same kind of stacks as a task has, and no more.
 */
double yardstick_switch_ns(int fibers, long count);

#endif
