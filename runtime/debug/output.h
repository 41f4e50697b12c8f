/*
 * output.h - where a dump goes: a descriptor, or bytes of the caller's.
 *
 *      struct whorl__output output;
 *      whorl__output_to_fd(&output, fd);
 *      whorl__text_string(&output.text, "words");
 *      return whorl__output_end(&output);
 *
 * Owns:       struct whorl__output, on the stack of who writes; about half a KiB.
 * Threads:    one at a time; also in a signal handler.
 * Invariant:  after the first failed write nothing more is written.
 */
#ifndef WHORL_DEBUG_OUTPUT_H
#define WHORL_DEBUG_OUTPUT_H

#include "base/text.h"

#include <sys/types.h>

#define WHORL__OUTPUT_CHUNK 512

struct whorl__output {
    struct whorl__text text;
    int fd;      /* -1: to `copy` */
    int error;   /* of the first write that failed */
    char *copy;
    size_t copy_bytes;
    size_t total; /* what was put out, written or not */
    char chunk[WHORL__OUTPUT_CHUNK];
};

/*
 * A write to a pipe without a reader raises no signal. The kernel is asked directly, not through
 * whorl__os: a dump of a simulation goes to a real descriptor.
 */
void whorl__output_to_fd(struct whorl__output *output, int fd);

/* As snprintf: cut off to fit, and 0-ended, unless bytes is 0. */
void whorl__output_to_bytes(struct whorl__output *output, char *copy, size_t bytes);

/* What is left goes out. 0 or the -errno of the first write that failed. */
int whorl__output_end(struct whorl__output *output);

/* The common first line: what, of which process, when, of how many runtimes. */
void whorl__output_heading(struct whorl__output *output, const char *what);

#endif
