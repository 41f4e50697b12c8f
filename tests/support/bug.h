/*
 * bug.h - which of the bugs of base/bug.h is in, in a build that lets it be chosen: one whose
 * WHORL__BUG_CHOSEN is the variable whorl__bug, as tests/support/build_seeded.sh makes.
 */
#ifndef WHORL_TESTS_SUPPORT_BUG_H
#define WHORL_TESTS_SUPPORT_BUG_H

#include <stdbool.h>

/* All there are, one a line: name, row, what is wrong. */
void bug_list(void);

/* From here on it is in; false: there is none of that name, or the build has none. */
bool bug_choose(const char *name);

#endif
