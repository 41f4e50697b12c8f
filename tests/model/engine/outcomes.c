/*
 * outcomes.c - which results the executions of a model had, against those that are expected.
 *
 * Owns:       the set of results seen in one mode.
 * Invariant:  a result that is not expected fails its own execution, so that it comes with an
 *             interleaving; one that is expected and was not seen fails the search as a whole.
 */
#include "model/engine/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { OUTCOMES_MAX = 64, OUTCOME_BYTES = 40 };

static char seen[OUTCOMES_MAX][OUTCOME_BYTES];
static unsigned seen_count;

void outcomes_reset(void)
{
    seen_count = 0;
}

static bool is_seen(const char *text, size_t length)
{
    for (unsigned i = 0; i < seen_count; i++) {
        if (strlen(seen[i]) == length && memcmp(seen[i], text, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_in(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length) {
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0)) {
            return true;
        }
    }
    return false;
}

void model_outcome(const char *format, ...)
{
    char text[OUTCOME_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    trace_text(text);
    if (!is_seen(text, strlen(text)) && seen_count < OUTCOMES_MAX) {
        memcpy(seen[seen_count++], text, sizeof(text));
    }
    const char *const expected = engine.model->outcomes[engine.mode];
    if (expected != NULL && !is_in(expected, text)) {
        run_fail("the outcome %s is not among those expected: %s", text, expected);
    }
}

/* The first expected result that no execution had; NULL: all were seen. */
const char *outcomes_missing(size_t *ret_length)
{
    const char *word = engine.model->outcomes[engine.mode];
    while (word != NULL && *word != 0) {
        const size_t length = strcspn(word, " ");
        if (!is_seen(word, length)) {
            *ret_length = length;
            return word;
        }
        word += length;
        word += strspn(word, " ");
    }
    return NULL;
}
