/*
 * menagerie.c - for test_gdb.sh: tasks that park, run, wait for their turn and have ended, each in
 * functions of known names; then everything_is_in_place() is called by a plain thread.
 *
 * With `abort` it aborts there. With `old-guards` the guards of stacks are made as before Linux
 * 6.13: gdb 13 cannot read past one of the newer kind, and its gcore leaves out what follows.
 */
#include "support/child.h"

#include <whorl.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GUARD_INSTALL 102 /* what madvise is asked for */

static volatile int finished;
static volatile int carving;
static int wells[2];
static struct whorl_task *tasks[8];
static bool aborts;

static void must(int error)
{
    if (error != 0) {
        fprintf(stderr, "menagerie: %s\n", whorl_error_text(error));
        exit(1);
    }
}

static int sleep_in_the_cellar(void *years)
{
    const int result = whorl_sleep(*(int64_t *)years * WHORL_SECOND);
    return result;
}

static int read_from_the_well(void *fd)
{
    char drop;
    return (int)whorl_read(*(int *)fd, &drop, 1);
}

static int await_the_mason(void *mason)
{
    return whorl_await(*(struct whorl_task **)mason, NULL);
}

static int gather_the_guests(void *guests)
{
    return whorl_gather(guests, 2, 0, NULL);
}

static int stand_at_the_gate(void *gate)
{
    return whorl_barrier_wait(gate, NULL);
}

static void carve_stone(void)
{
    carving = 1;
    while (!finished) {
    }
}

static int be_a_mason(void *arg)
{
    (void)arg;
    carve_stone();
    return 0;
}

static int wait_for_a_turn(void *arg)
{
    (void)arg;
    return 0;
}

static int end_early(void *arg)
{
    (void)arg;
    return 0;
}

__attribute__((noinline)) void everything_is_in_place(void);
void everything_is_in_place(void)
{
    if (aborts) {
        abort();
    }
}

/* How many tasks are parked, as a dump tells. */
static int count_parked(void)
{
    char text[16384];
    int ends[2];
    must(pipe(ends));
    must(whorl_dump(ends[1]));
    const ssize_t got = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    close(ends[1]);
    text[got > 0 ? got : 0] = '\0';
    const char *const sums = strstr(text, "\ntasks=");
    const char *const parked = sums != NULL ? strstr(sums, " parked=") : NULL;
    return parked != NULL ? atoi(parked + strlen(" parked=")) : -1;
}

static void *wait_until_all_are_there(void *arg)
{
    while (!carving || count_parked() != 6) {
        usleep(1000);
    }
    everything_is_in_place();
    finished = 1;
    return arg;
}

static void spawn(int index, whorl_body *body, void *arg, const char *name, int loop)
{
    const struct whorl_attr attr = {.name = name, .pin = WHORL_PIN(loop)};
    must(whorl_spawn(body, arg, &attr, &tasks[index]));
}

static int keep_house(void *arg)
{
    static int64_t years = 1000000;
    static struct whorl_barrier gate = WHORL_BARRIER_INIT(2);
    pthread_t thread;
    (void)arg;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, wells));
    must(whorl_fd_adopt(wells[0]));
    spawn(0, sleep_in_the_cellar, &years, "cellar", 0);
    spawn(1, read_from_the_well, &wells[0], "well", 0);
    spawn(5, end_early, NULL, "early", 0);
    must(whorl_await(tasks[5], NULL));
    spawn(2, be_a_mason, NULL, "mason", 1);
    while (!carving) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    spawn(3, await_the_mason, &tasks[2], "patron", 0);
    spawn(4, gather_the_guests, tasks, "host", 0);
    spawn(6, wait_for_a_turn, NULL, "turn", 1);
    spawn(7, stand_at_the_gate, &gate, "pilgrim", 0);
    must(-pthread_create(&thread, NULL, wait_until_all_are_there, NULL));
    must(whorl_await(tasks[2], NULL));
    must(-pthread_join(thread, NULL));
    for (int i = 0; i < 8; i++) {
        (void)whorl_cancel(tasks[i], NULL);
        (void)whorl_join(tasks[i], WHORL_NEVER, NULL);
    }
    for (int i = 0; i < 8; i++) {
        whorl_task_unref(tasks[i]); /* not before: the patron may be on its way out of its await */
    }
    close(wells[1]);
    return whorl_close(wells[0]);
}

int main(int argc, char **argv)
{
    const struct whorl_options options = {.loops = 2, .no_pin = 1, .report_ns = WHORL_NEVER};
    aborts = argc > 1 && strcmp(argv[1], "abort") == 0;
    if (argc > 1 && !aborts && !child_refuse_with(SYS_madvise, 2, GUARD_INSTALL, EINVAL)) {
        fputs("menagerie: no system call filters here\n", stderr);
    }
    must(whorl_run(keep_house, NULL, &options));
    puts("at home");
    return 0;
}
