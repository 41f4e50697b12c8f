/*
 * program_clock.c - a clock that stands while a loop has something to do, and jumps to the next
 * deadline when it would sleep.
 *
 * Threads:    the one loop of a runtime moves it; the thread that waits for the end may read it.
 */
#include "differential/program_language.h"

#include "atomic/atomic.h"
#include "sys/os.h"

#include <errno.h>

#define PATIENCE_NS WHORL_MILLISECOND

static struct whorl__os table;
static uint64_t clock_ns;

static int64_t now_ns(void)
{
    return (int64_t)whorl__load_relaxed_u64(&clock_ns); /* relaxed: a figure */
}

/* A wait without end is for another thread, which starts or stops the runtime: a real one. */
static int epoll_wait_or_jump(int epoll_fd, struct epoll_event *ret_events, int events_max,
                              int64_t timeout_ns)
{
    if (timeout_ns < 0) {
        return whorl__os_linux.epoll_wait(epoll_fd, ret_events, events_max, timeout_ns);
    }
    const int found = whorl__os_linux.epoll_wait(epoll_fd, ret_events, events_max, 0);
    if (found == 0 && timeout_ns > 0) {
        /* relaxed: one writer */
        whorl__store_relaxed_u64(&clock_ns, (uint64_t)(now_ns() + timeout_ns));
    }
    return found;
}

/* Its deadline is of our clock: look again soon. */
static int futex_wait_a_while(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    const int64_t soon_ns = whorl__os_linux.now_ns() + PATIENCE_NS;
    return whorl__os_linux.futex_wait(word, expected,
                                      deadline_ns == WHORL_NEVER ? WHORL_NEVER : soon_ns);
}

void program_clock_install(void)
{
    table = whorl__os_linux;
    table.now_ns = now_ns;
    table.epoll_wait = epoll_wait_or_jump;
    table.futex_wait = futex_wait_a_while;
    clock_ns = (uint64_t)whorl__os_linux.now_ns();
    whorl__os = &table;
}
