/*
 * bug.c - see bug.h.
 */
#include "support/bug.h"

#include "base/bug.h"

#include <stdio.h>
#include <string.h>

int whorl__bug;

#define ABOUT(name, row, what) {#name, row, what},

static const struct {
    const char *name;
    const char *row;
    const char *what;
} bugs[] = {WHORL__BUGS(ABOUT)};

void bug_list(void)
{
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        printf("%s %s %s\n", bugs[i].name, bugs[i].row, bugs[i].what);
    }
}

bool bug_choose(const char *name)
{
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        if (strcmp(bugs[i].name, name) == 0) {
            whorl__bug = (int)i + 1;
        }
    }
    return whorl__bug != WHORL__BUG_NONE && whorl__bug == (int)WHORL__BUG_CHOSEN;
}
