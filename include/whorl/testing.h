/*
 * testing.h - tests whose body is a task, for any framework: each in a runtime of its own, at one
 * loop and at several.
 *
 *      static int test_sum(void *arg) { ... return sum == 3 ? 0 : -EPROTO; }
 *
 *      assert_int_equal(whorl_test_run("sum", test_sum, NULL), 0);                     // cmocka
 *      assert_int_equal(whorl_test_simulate("sum", test_sum, NULL, 100), 0);
 *
 * A framework's own assertions are for behind the call: most of them leave by longjmp, which no
 * task may do. In the body, return what went wrong, or write it down.
 */
#ifndef WHORL_TESTING_H
#define WHORL_TESTING_H

#include "whorl/api.h"
#include "whorl/task.h"

#include <stdint.h>

WHORL_BEGIN

/*
 * whorl_test_run - run a test in a runtime with one loop, then in one with four, in debug mode.
 *
 *   name  for what is printed
 *   body  the main task, each time; 0 if all was well
 *
 * A test fails by what its body returns; and by a report that its runtime has made, such as of a
 * failure that nobody has looked at. That goes to the log as well.
 *
 * Returns 0, what failed first (which is also told on standard error, with the number of loops), or
 * -ENOTRECOVERABLE (something was reported). -EINVAL (a NULL), and as whorl_run.
 *
 * From:    a plain thread               Thread-safe: yes
 * Waits:   the thread, until both have ended         Cancellation point: no      Allocates: yes
 * Model:   unittest.IsolatedAsyncioTestCase
 * Since:   0.1, experimental            Source: runtime/sim/testing.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_test_run(const char *name, whorl_body *body, void *arg);

/*
 * whorl_test_simulate - the same on a played machine, whose clock costs no time, in many orders.
 *
 *   seeds  how many for each number of loops, at least one; with the environment variable
 *          WHORL_SIM_SEED, that one alone
 *
 * In debug mode, too. The seed of a failure is told. Returns as whorl_test_run, and as
 * whorl_sim_explore.
 *
 * From:    a plain thread, in a process without a runtime       Thread-safe: yes
 * Waits:   no: time is played           Cancellation point: no      Allocates: yes
 * Model:   none in asyncio
 * Since:   0.1, experimental            Source: runtime/sim/testing.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_test_simulate(const char *name, whorl_body *body, void *arg,
                                                    uint64_t seeds);

WHORL_END

#endif
