/*
 * process.h - what another process costs: its CPU time as a whole, and that of its busiest thread.
 *
 * Threads:    one.
 * Not chosen: /proc/PID/stat, whose clock ticks 100 times a second; the CPU clock of the process
 *             and schedstat count nanoseconds.
 */
#ifndef WHORL_BENCH_PROCESS_H
#define WHORL_BENCH_PROCESS_H

#include "base/compiler.h"

#include <sys/types.h>

/* CPU time used so far by all threads of a process, 0 = this one. -ESRCH: no such process. */
int process_cpu_ns(pid_t pid, int64_t *ret_cpu_ns);

/*
 * CPU time of all processes since the machine began, but for niced ones and idle cores; in ticks of
 * the kernel's account, a hundredth of a second. 0: not known.
 */
int64_t process_machine_ns(void);

#define PROCESS_THREADS_MAX 1100

struct process_threads {
    int count;
    pid_t ids[PROCESS_THREADS_MAX];
    int64_t cpu_ns[PROCESS_THREADS_MAX];
};

/* The CPU time of each thread; none if the kernel keeps no such account. */
void process_read_threads(pid_t pid, struct process_threads *ret_threads);

/* The most that one thread used between two readings; 0 if nothing is known. */
int64_t process_busiest_ns(const struct process_threads *before,
                           const struct process_threads *after);

#endif
