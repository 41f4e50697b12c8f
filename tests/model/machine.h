/*
 * machine.h - the parts of a real machine that a whole whorl_run asks for and that a model has no
 * use for: hwloc, signal stacks, the unwinder. Two cores that share a cache; nothing is bound.
 *
 * Owns:       nothing; machine.c defines the functions of sys/topology.h, fiber/overflow.h and
 *             sched/culprit.h, and the linker takes the first definition it meets.
 */
#ifndef WHORL_TESTS_MODEL_MACHINE_H
#define WHORL_TESTS_MODEL_MACHINE_H

/* Called in setup: that is what makes the linker take machine.c. */
void machine_begin(void);

#endif
