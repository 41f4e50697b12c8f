/*
 * tell.h - a test tells on how many loops it runs.
 *
 * With WHORL_TELL_LOOPS in the environment a line "[ LOOPS    ] 4" is printed for each run, which
 * the conformance report reads (tests/conformance/report). By the macro it is so for every run in
 * a file that includes this.
 */
#ifndef WHORL_TESTS_SUPPORT_TELL_H
#define WHORL_TESTS_SUPPORT_TELL_H

#include "whorl.h"

/* As whorl_run. */
int run_and_tell(whorl_body *body, void *arg, const struct whorl_options *options);
#define whorl_run run_and_tell

/* For a test that starts loops by other means; 0: as many as the machine has, nothing is told. */
void tell_loops(int loops);

#endif
