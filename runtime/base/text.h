/*
 * text.h - words and numbers put one behind the other, without the C library.
 *
 * For signal handlers and dumps: nothing here allocates, locks, or asks for locale or time zone.
 *
 * Owns:       nothing; the bytes are the caller's.
 * Threads:    one at a time; and within a signal handler.
 * Invariant:  length <= size. When the bytes are full, `full` takes them away (length := 0);
 *             without it, what does not fit is left out.
 * Not chosen: snprintf. POSIX does not count it among what a signal handler may call, and it may
 *             allocate.
 */
#ifndef WHORL_BASE_TEXT_H
#define WHORL_BASE_TEXT_H

#include "base/compiler.h"

struct whorl__text {
    char *bytes;
    size_t size;
    size_t length;
    void (*full)(struct whorl__text *self); /* may be NULL */
};

void whorl__text_char(struct whorl__text *text, char character);
void whorl__text_string(struct whorl__text *text, const char *string);

/* With everything that would end a quoted word or a line written as \xNN, and quotes around. */
void whorl__text_quoted(struct whorl__text *text, const char *string);

void whorl__text_number(struct whorl__text *text, uint64_t number);
void whorl__text_hex(struct whorl__text *text, uint64_t number); /* with 0x */

/* At least `digits` of them, with zeros in front. */
void whorl__text_digits(struct whorl__text *text, uint64_t number, unsigned digits);

/* In columns: with blanks behind a word and in front of a number, up to `width`. */
void whorl__text_word_column(struct whorl__text *text, const char *word, unsigned width);
void whorl__text_number_column(struct whorl__text *text, uint64_t number, unsigned width);

/* Seconds with three decimals, and an s; negative ones with their sign. */
void whorl__text_seconds(struct whorl__text *text, int64_t duration_ns);

/* A moment of CLOCK_REALTIME in UTC: 2026-11-21T08:30:44.123Z. From 1970 on. */
void whorl__text_moment(struct whorl__text *text, int64_t seconds, int64_t nanoseconds);

#endif
