/*
 * quota.h - how many processors the control groups let this process use at once.
 */
#ifndef WHORL_SYS_QUOTA_H
#define WHORL_SYS_QUOTA_H

#include "base/compiler.h"

/*
 * The smallest CPU quota of the own control group and its ancestors, in whole processors, rounded
 * up; INT_MAX when there is none, or no control groups. Knows cgroup v1, v2 and both at once.
 * `root` stands before every path that is read; NULL is the real file system.
 * Returns 0, -EINVAL (a file does not hold what the kernel writes), -ENOMEM or what reading said.
 */
WHORL_MUST_USE int whorl__quota_cpus(const char *root, int *ret_cpus);

#endif
