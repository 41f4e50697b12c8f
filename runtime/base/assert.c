/*
 * assert.c - the last words of a process whose invariant broke.
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void (*whorl__check_hook)(void);

void whorl__check_failed(const char *expression, const char *file, int line,
                         const char *explanation)
{
    fprintf(stderr, "whorl: %s:%d: check failed: %s (%s)\n", file, line, expression, explanation);
    if (whorl__check_hook != NULL) {
        whorl__check_hook();
    }
    abort();
}
