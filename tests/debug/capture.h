/*
 * capture.h - a dump taken into memory, and its lines.
 */
#ifndef WHORL_TESTS_DEBUG_CAPTURE_H
#define WHORL_TESTS_DEBUG_CAPTURE_H

#include "support/play.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATIENCE_NS (20 * WHORL_SECOND)

struct capture {
    char *text; /* 0-ended; freed by capture_drop */
    size_t bytes;
};

static inline int capture_open(void)
{
    const int fd = memfd_create("capture", MFD_CLOEXEC);
    must(fd >= 0 ? 0 : -ENOSYS);
    return fd;
}

/* What was written to fd, from its beginning; closes it. */
static inline struct capture capture_close(int fd)
{
    struct capture capture = {.bytes = (size_t)lseek(fd, 0, SEEK_END)};
    capture.text = malloc(capture.bytes + 1);
    must(capture.text != NULL ? 0 : -ENOMEM);
    must(pread(fd, capture.text, capture.bytes, 0) == (ssize_t)capture.bytes ? 0 : -EIO);
    capture.text[capture.bytes] = '\0';
    close(fd);
    return capture;
}

static inline void capture_drop(struct capture *capture)
{
    free(capture->text);
    *capture = (struct capture){NULL, 0};
}

static inline struct capture capture_dump(void)
{
    const int fd = capture_open();
    must(whorl_dump(fd));
    return capture_close(fd);
}

/* Dumps until one has `words` in it. */
static inline struct capture capture_dump_with(const char *words)
{
    const int64_t end_ns = whorl_after(PATIENCE_NS);
    for (;;) {
        struct capture capture = capture_dump();
        if (strstr(capture.text, words) != NULL || whorl_now() > end_ns) {
            return capture;
        }
        capture_drop(&capture);
        usleep(1000);
    }
}

/* Copies the line that begins with `start` and has `words` in it. False: there is none. */
static inline bool capture_line(const struct capture *capture, const char *start, const char *words,
                                char line[1024])
{
    for (const char *at = capture->text; *at != '\0'; at += strcspn(at, "\n"), at += *at != '\0') {
        snprintf(line, 1024, "%.*s ", (int)strcspn(at, "\n"), at);
        if (strncmp(line, start, strlen(start)) == 0 && strstr(line, words) != NULL) {
            return true;
        }
    }
    line[0] = '\0';
    return false;
}

/* Asserts that the task of that name has all these words, each with its key, one blank between. */
static inline void assert_task(const struct capture *capture, const char *name, const char *words)
{
    char line[1024];
    char wanted[64];
    char word[128];
    snprintf(wanted, sizeof wanted, " name=\"%s\" ", name);
    if (!capture_line(capture, "task=", wanted, line)) {
        fail_msg("no task %s in:\n%s", name, capture->text);
    }
    while (*words != '\0') {
        const size_t length = strcspn(words, " ");
        snprintf(word, sizeof word, " %.*s ", (int)length, words);
        if (strstr(line, word) == NULL) {
            fail_msg("no%sin: %s", word, line);
        }
        words += length + (words[length] == ' ');
    }
}

/* The number behind ` key=` in that task's line; in thousandths where it has decimals. */
static inline long long task_number(const struct capture *capture, const char *name,
                                    const char *key)
{
    char line[1024];
    char wanted[64];
    snprintf(wanted, sizeof wanted, " name=\"%s\" ", name);
    assert_true(capture_line(capture, "task=", wanted, line));
    snprintf(wanted, sizeof wanted, " %s=", key);
    const char *const at = strstr(line, wanted);
    if (at == NULL) {
        fail_msg("no %s in: %s", key, line);
        return -1;
    }
    const double number = strtod(at + strlen(wanted), NULL);
    return (long long)(strcspn(at + 1, ". ") < strcspn(at + 1, " ") ? number * 1000 : number);
}

#endif
