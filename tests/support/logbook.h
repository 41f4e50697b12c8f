/*
 * logbook.h - keeps what a runtime has logged: the log of its options, for a test to look into.
 */
#ifndef WHORL_TESTS_SUPPORT_LOGBOOK_H
#define WHORL_TESTS_SUPPORT_LOGBOOK_H

#include "lockfree/spinlock.h"

#include <stdio.h>
#include <string.h>

/* What the runtime has logged. */
struct logbook {
    struct whorl__spinlock lock;
    uint32_t lines;  /* A: M(lock) to write */
    char text[8192]; /* M(lock) */
};

static inline void logbook_write(void *arg, const char *line)
{
    struct logbook *const logbook = arg;
    whorl__spin_lock(&logbook->lock);
    const size_t used = strlen(logbook->text);
    snprintf(logbook->text + used, sizeof logbook->text - used, "%s\n", line);
    whorl__add_u32(&logbook->lines, 1);
    whorl__spin_unlock(&logbook->lock);
}

static inline unsigned logbook_count(struct logbook *logbook, const char *words)
{
    unsigned count = 0;
    whorl__spin_lock(&logbook->lock);
    for (const char *at = logbook->text; (at = strstr(at, words)) != NULL; at += strlen(words)) {
        count++;
    }
    whorl__spin_unlock(&logbook->lock);
    return count;
}

#endif
