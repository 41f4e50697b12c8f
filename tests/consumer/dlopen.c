/*
 * dlopen.c - loads the library, runs a runtime with it, closes it; ten times over.
 *
 *   dlopen PATH
 *
 * What must be as before, each time: the library is mapped no more; no thread, no descriptor, no
 * signal handler and no signal stack is left. Memory is compared to the byte between a late round
 * and the last, for other libraries keep something from the first ones; that takes a malloc without
 * caches (GLIBC_TUNABLES, in test_dlopen.sh).
 */
#define _GNU_SOURCE

#include <whorl.h>

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 10, SETTLED = 4, SIGNALS = 65 };

struct calls {
    int (*run)(whorl_body *body, void *arg, const struct whorl_options *options);
    int (*spawn)(whorl_body *body, void *arg, const struct whorl_attr *attr,
                 struct whorl_task **ret_task);
    int (*await)(struct whorl_task *task, void **ret_value);
    void (*unref)(struct whorl_task *task);
    int (*sleep)(int64_t duration_ns);
};

static struct calls calls;
static const char *file_name;

/* ---- what the library is used for ---- */

static int nap(void *arg)
{
    (void)arg;
    return calls.sleep(100 * WHORL_MICROSECOND);
}

static int main_task(void *arg)
{
    struct whorl_task *tasks[50];
    int error = 0;
    for (int i = 0; i < 50 && error == 0; i++) {
        error = calls.spawn(nap, arg, NULL, &tasks[i]);
    }
    for (int i = 0; i < 50 && error == 0; i++) {
        error = calls.await(tasks[i], NULL);
        calls.unref(tasks[i]);
    }
    return error;
}

static void *find(void *library, const char *name)
{
    void *const address = dlsym(library, name);
    if (address == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return address;
}

#define FIND(library, field, name)                                                                 \
    do {                                                                                           \
        void *const address_ = find(library, name);                                                \
        memcpy(&calls.field, &address_, sizeof calls.field);                                       \
    } while (0)

static void run_round(const char *path)
{
    const struct whorl_options options = {.loops = 3, .no_pin = 1};
    void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    FIND(library, run, "whorl_run");
    FIND(library, spawn, "whorl_spawn");
    FIND(library, await, "whorl_await");
    FIND(library, unref, "whorl_task_unref");
    FIND(library, sleep, "whorl_sleep");
    const int error = calls.run(main_task, NULL, &options);
    if (error != 0 || dlclose(library) != 0) {
        fprintf(stderr, "the runtime has ended with %d; %s\n", error, error == 0 ? dlerror() : "");
        exit(1);
    }
}

/* ---- what is there ---- */

struct world {
    int threads;
    int descriptors;
    int mappings; /* of the library's file */
    int maps;     /* all */
    size_t bytes; /* from malloc */
    struct sigaction handlers[SIGNALS];
    stack_t stack;
};

static int count_entries(const char *path)
{
    DIR *const folder = opendir(path);
    int count = 0;
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}

static void count_mappings(struct world *world)
{
    char line[512];
    FILE *const file = fopen("/proc/self/maps", "r");
    world->maps = world->mappings = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        world->maps++;
        world->mappings += strstr(line, file_name) != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void look(struct world *world)
{
    memset(world, 0, sizeof *world);
    malloc_trim(0);
    world->threads = count_entries("/proc/self/task");
    world->descriptors = count_entries("/proc/self/fd");
    world->bytes = mallinfo2().uordblks + mallinfo2().hblkhd;
    count_mappings(world);
    for (int number = 1; number < SIGNALS; number++) {
        (void)sigaction(number, NULL, &world->handlers[number]); /* EINVAL: libc's own */
    }
    (void)sigaltstack(NULL, &world->stack);
}

static int differ(const char *what, long now, long before)
{
    if (now != before) {
        fprintf(stderr, "left over: %s: %ld, before %ld\n", what, now, before);
    }
    return now != before;
}

/* A thread that was joined may be listed for a moment longer. */
static void wait_for_threads(int threads)
{
    for (int i = 0; i < 10000 && count_entries("/proc/self/task") > threads; i++) {
        usleep(1000);
    }
}

static int compare(const struct world *before)
{
    struct world now;
    wait_for_threads(before->threads);
    look(&now);
    int wrong = differ("threads", now.threads, before->threads) +
                differ("descriptors", now.descriptors, before->descriptors) +
                differ("mappings of the library", now.mappings, 0) +
                differ("signal stack", now.stack.ss_flags, before->stack.ss_flags);
    for (int number = 1; number < SIGNALS; number++) {
        wrong += differ("a signal's handler", (long)now.handlers[number].sa_handler,
                        (long)before->handlers[number].sa_handler);
    }
    return wrong;
}

int main(int argc, char **argv)
{
    struct world before;
    struct world settled;
    struct world after;
    int wrong = 0;
    if (argc != 2 || strchr(argv[1], '/') == NULL) {
        return 2;
    }
    file_name = strrchr(argv[1], '/') + 1;
    look(&before);
    for (int round = 0; round < ROUNDS && wrong == 0; round++) {
        run_round(argv[1]);
        wrong += compare(&before);
        if (round == SETTLED) {
            look(&settled);
        }
    }
    look(&after);
    wrong += differ("bytes allocated", (long)after.bytes, (long)settled.bytes);
    if (getenv("WHORL_UNDER_VALGRIND") == NULL) { /* whose own mappings are among them */
        wrong += differ("mappings", after.maps, settled.maps);
    }
    if (wrong == 0) {
        printf("loaded, used and closed %d times, nothing left\n", ROUNDS);
    }
    return wrong != 0;
}
