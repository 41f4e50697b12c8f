/*
 * process.c - what another process costs: see process.h.
 */
#include "support/process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int process_cpu_ns(pid_t pid, int64_t *ret_cpu_ns)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used)) {
        return -ESRCH;
    }
    *ret_cpu_ns = (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
    return 0;
}

int64_t process_machine_ns(void)
{
    FILE *file = fopen("/proc/stat", "re");
    int64_t user, system, irq, softirq, steal;
    if (!file) {
        return 0;
    }
    const int fields =
        fscanf(file, "cpu %" SCNd64 " %*d %" SCNd64 " %*d %*d %" SCNd64 " %" SCNd64 " %" SCNd64,
               &user, &system, &irq, &softirq, &steal);
    fclose(file);
    return fields == 5
               ? (user + system + irq + softirq + steal) * (1000000000 / sysconf(_SC_CLK_TCK))
               : 0;
}

/* The first number in schedstat is the time on a core; -1: the thread is gone. */
static int64_t thread_cpu_ns(pid_t pid, const char *thread)
{
    char path[64];
    int64_t cpu_ns;
    snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", (int)pid, thread);
    FILE *file = fopen(path, "re");
    if (!file) {
        return -1;
    }
    const int fields = fscanf(file, "%" SCNd64, &cpu_ns);
    fclose(file);
    return fields == 1 ? cpu_ns : -1;
}

void process_read_threads(pid_t pid, struct process_threads *ret_threads)
{
    char path[32];
    const struct dirent *entry;
    ret_threads->count = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (!threads) {
        return;
    }
    while ((entry = readdir(threads)) != NULL && ret_threads->count < PROCESS_THREADS_MAX) {
        const int64_t cpu_ns = entry->d_name[0] == '.' ? -1 : thread_cpu_ns(pid, entry->d_name);
        if (cpu_ns >= 0) {
            ret_threads->ids[ret_threads->count] = (pid_t)strtol(entry->d_name, NULL, 10);
            ret_threads->cpu_ns[ret_threads->count++] = cpu_ns;
        }
    }
    closedir(threads);
}

static int64_t cpu_ns_of(const struct process_threads *threads, pid_t id)
{
    for (int i = 0; i < threads->count; i++) {
        if (threads->ids[i] == id) {
            return threads->cpu_ns[i];
        }
    }
    return 0; /* it began after the reading */
}

int64_t process_busiest_ns(const struct process_threads *before,
                           const struct process_threads *after)
{
    int64_t most_ns = 0;
    for (int i = 0; i < after->count; i++) {
        const int64_t used_ns = after->cpu_ns[i] - cpu_ns_of(before, after->ids[i]);
        most_ns = used_ns > most_ns ? used_ns : most_ns;
    }
    return most_ns;
}
