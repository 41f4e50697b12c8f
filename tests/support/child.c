/*
 * child.c - a process for one test, and filters that refuse its system calls.
 */
#include "support/child.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

int child_run(int (*body)(void))
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        _exit(body());
    }
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void child_expect_success(int (*body)(void))
{
    const int code = child_run(body);
    if (code == CHILD_CANNOT) {
        skip();
    }
    assert_int_equal(code, 0);
}

static void *do_nothing(void *arg)
{
    return arg;
}

static void *wait_for_signal(void *arg)
{
    pause();
    return arg;
}

static int start_thread(void)
{
    pthread_t thread;
    alarm(5); /* qemu may stay instead of giving up */
    return pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0;
}

bool child_can_start_threads(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_signal, NULL), 0);
    const bool can = child_run(start_thread) == 0;
    pthread_cancel(thread);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return can;
}

static bool install(const struct sock_filter *program, size_t count)
{
    const struct sock_fprog filter = {(unsigned short)count, (struct sock_filter *)program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool child_refuse(int number, int error)
{
    const struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install(program, sizeof program / sizeof program[0]);
}

bool child_refuse_with(int number, unsigned argument, unsigned value, int error)
{
    const uint32_t place =
        (uint32_t)(offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
    const struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place), /* both processors are little-endian */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install(program, sizeof program / sizeof program[0]);
}
