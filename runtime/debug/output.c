/*
 * output.c - from text to a descriptor or to bytes.
 *
 * Owns:       see output.h.
 * Threads:    see output.h.
 */
#include "debug/output.h"

#include "sched/roster.h"
#include "sys/os.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STRING(x)  #x
#define VERSION(x) STRING(x)

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        const struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
        const ssize_t put = whorl__os_linux.writev_quiet(fd, &part, 1);
        if (put <= 0) {
            return put < 0 ? (int)put : -EIO;
        }
        bytes += put;
        count -= (size_t)put;
    }
    return 0;
}

static void copy_some(struct whorl__output *output)
{
    const size_t room =
        output->total + 1 < output->copy_bytes ? output->copy_bytes - 1 - output->total : 0;
    const size_t count = output->text.length < room ? output->text.length : room;
    if (count > 0) {
        memcpy(output->copy + output->total, output->chunk, count);
    }
}

static void flush(struct whorl__text *text)
{
    struct whorl__output *const output = whorl_container_of(text, struct whorl__output, text);
    if (output->copy_bytes > 0) {
        copy_some(output);
    } else if (output->fd >= 0 && output->error == 0) {
        output->error = write_all(output->fd, output->chunk, text->length);
    }
    output->total += text->length;
    text->length = 0;
}

static void begin(struct whorl__output *output)
{
    output->text = (struct whorl__text){
        .bytes = output->chunk, .size = sizeof output->chunk, .full = flush};
    output->fd = -1;
    output->error = 0;
    output->copy = NULL;
    output->copy_bytes = 0;
    output->total = 0;
}

void whorl__output_to_fd(struct whorl__output *output, int fd)
{
    begin(output);
    output->fd = fd;
    output->error = fd < 0 ? -EBADF : 0;
}

void whorl__output_to_bytes(struct whorl__output *output, char *copy, size_t bytes)
{
    begin(output);
    output->copy = copy;
    output->copy_bytes = bytes;
}

int whorl__output_end(struct whorl__output *output)
{
    flush(&output->text);
    if (output->copy_bytes > 0) {
        const size_t last = output->copy_bytes - 1;
        output->copy[output->total < last ? output->total : last] = '\0';
    }
    return output->error;
}

static unsigned count_runtimes(void)
{
    unsigned count = 0;
    struct whorl__runtime *runtime = NULL;
    while ((runtime = whorl__roster_next(runtime)) != NULL) {
        count++;
    }
    return count;
}

void whorl__output_heading(struct whorl__output *output, const char *what)
{
    struct whorl__text *const text = &output->text;
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now); /* it exists, and cannot fail */
    whorl__text_string(text, "whorl " VERSION(WHORL_VERSION_MAJOR) "." VERSION(
                                 WHORL_VERSION_MINOR) "." VERSION(WHORL_VERSION_PATCH) " ");
    whorl__text_string(text, what);
    whorl__text_string(text, " time=");
    whorl__text_moment(text, now.tv_sec, now.tv_nsec);
    whorl__text_string(text, " pid=");
    whorl__text_number(text, (uint64_t)getpid());
    whorl__text_string(text, " runtimes=");
    whorl__text_number(text, count_runtimes());
}
