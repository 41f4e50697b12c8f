/*
 * error.c - names and words for the errors that whorl returns.
 *
 * Owns:       nothing but constants.
 * Threads:    any; safe in a signal handler for the codes of WHORL_ERRORS.
 * Invariant:  a code stands in WHORL_ERRORS once; the compiler rejects a double case below.
 * Not chosen: strerror. It may return a buffer that the next call on another thread overwrites,
 *             and translates, so that a log would depend on who started the program.
 */
#include "base/error.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

struct words {
    const char *name;
    const char *text;
};

static struct words own_words_of(int code)
{
    switch (code) {
    case 0:
        return (struct words){"0", "success"};
#define WHORL__CASE(CODE, TEXT)                                                                    \
    case CODE:                                                                                     \
        return (struct words){#CODE, TEXT};
        WHORL_ERRORS(WHORL__CASE)
#undef WHORL__CASE
    default:
        return (struct words){NULL, NULL};
    }
}

/* The errno value of a code that may be negated; INT_MIN has no counterpart and names nothing. */
static int code_of(int error)
{
    return error >= 0 ? error : error == INT_MIN ? INT_MAX : -error;
}

const char *whorl_error_name(int error)
{
    const int code = code_of(error);
    const char *name = own_words_of(code).name;
    if (!name) {
        name = strerrorname_np(code);
    }
    return name ? name : "E?";
}

const char *whorl_error_text(int error)
{
    const int code = code_of(error);
    const char *text = own_words_of(code).text;
    if (!text) {
        text = strerrordesc_np(code);
    }
    return text ? text : "unknown error";
}

const char *whorl_strerror(int error)
{
    return whorl_error_text(error);
}
