/*
 * play.c - see play.h.
 */
#include "support/play.h"

#include "sched/sched.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define PATIENCE_NS (10 * WHORL_SECOND)

int count_own(const char *folder)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/self/%s", folder);
    DIR *const entries = opendir(path);
    if (entries == NULL) {
        return -1;
    }
    while (readdir(entries) != NULL) {
        count++;
    }
    closedir(entries);
    return count;
}

static void *tell_number(void *arg)
{
    *(pid_t *)arg = gettid();
    return NULL;
}

/* A thread that was joined stays in the kernel's list for a moment. */
static void wait_until_unlisted(pid_t thread)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d", thread);
    while (access(path, F_OK) == 0) {
        sched_yield();
    }
}

/* The first thread of a process makes a sanitizer start one of its own, which then stays. */
static int count_threads(void)
{
    static bool had_one;
    pthread_t thread;
    pid_t number;
    if (!had_one && pthread_create(&thread, NULL, tell_number, &number) == 0) {
        (void)pthread_join(thread, NULL);
        wait_until_unlisted(number);
        had_one = true;
    }
    return count_own("task");
}

bool comes_down_to(const char *folder, int count)
{
    const int64_t deadline_ns = whorl_after(PATIENCE_NS);
    while (count_own(folder) > count) {
        if (whorl_now() > deadline_ns) {
            return false;
        }
        sched_yield();
    }
    return true;
}

int play(int loops, whorl_body *body, void *arg)
{
    const struct whorl_options options = {.loops = loops, .no_pin = 1};
    const int threads = count_threads();
    const int descriptors = count_own("fd");
    const int error = whorl_run(body, arg, &options);
    assert_int_equal(count_own("fd"), descriptors);
    assert_true(comes_down_to("task", threads));
    return error;
}

struct at_home {
    whorl_body *body;
    void *arg;
};

static int go_home(void *arg)
{
    const struct at_home *const home = arg;
    const struct whorl_attr attr = {.pin = WHORL_PIN(whorl_loop_count() - 1)};
    struct whorl_task *task;
    must(whorl_spawn(home->body, home->arg, &attr, &task));
    return finish(task);
}

int play_at_home(int loops, whorl_body *body, void *arg)
{
    struct at_home home = {body, arg};
    return play(loops, go_home, &home);
}

void must_at(int error, const char *file, int line)
{
    if (error != 0) {
        fprintf(stderr, "%s:%d: unexpected %s\n", file, line, whorl_error_name(error));
        abort();
    }
}

struct whorl_future *new_future(void)
{
    struct whorl_future *future = NULL;
    must(whorl_future_new(&future));
    return future;
}

struct whorl_task *start(whorl_body *body, void *arg)
{
    struct whorl_task *task = NULL;
    must(whorl_spawn(body, arg, NULL, &task));
    return task;
}

int finish(struct whorl_task *task)
{
    const int error = whorl_await(task, NULL);
    whorl_task_unref(task);
    return error;
}

struct whorl_task *start_here(whorl_body *body, void *arg)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(whorl_loop_current())};
    struct whorl_task *task = NULL;
    must(whorl_spawn(body, arg, whorl_loop_count() > 1 ? &attr : NULL, &task));
    return task;
}

/* Whether no task but the caller could run, and a sum over all words: since epochs only rise, two
 * quiet looks with the same sum mean that nothing ran between them, and nothing was woken. */
static bool is_quiet(uint64_t *sum)
{
    struct whorl_task *const self = whorl_task_current();
    struct whorl__slots *const slots = &self->runtime->slots;
    bool quiet = true;
    *sum = 0;
    for (uint32_t i = 0; i < whorl__slots_count(slots); i++) {
        struct whorl_task *const task = whorl__slot_at(slots, i);
        if (task != self) {
            const uint64_t word = whorl__load_acquire_u64(&task->word); /* acquire: for the test */
            quiet = quiet && whorl__state_phase(word) != WHORL__LIVE;
            *sum += word;
        }
    }
    return quiet;
}

/* The longest chain of events in these tests needs fewer passes of one loop than this. */
enum { PASSES_ENOUGH = 8 };

void settle(void)
{
    const int64_t deadline_ns = whorl_after(PATIENCE_NS);
    uint64_t before = 0;
    uint64_t now = 0;
    bool was_quiet = false;
    bool settled = false;
    for (int pass = 0; pass < PASSES_ENOUGH || !settled; pass++) {
        must(whorl_now() < deadline_ns ? whorl_yield() : -ETIMEDOUT);
        const bool quiet = is_quiet(&now);
        settled = whorl_loop_count() == 1 || (quiet && was_quiet && now == before);
        was_quiet = quiet;
        before = now;
    }
}

int wait_for_ever(void)
{
    return whorl_sleep_until(WHORL_NEVER);
}

void note(struct journal *journal, char letter)
{
    const size_t length = strlen(journal->text);
    must(length + 1 < sizeof journal->text ? 0 : -EOVERFLOW);
    journal->text[length] = letter;
}

int sit(void *arg)
{
    struct sitter *const sitter = arg;
    sitter->ran = true;
    if (sitter->begun != NULL) {
        must(whorl_future_set_result(sitter->begun, NULL));
    }
    sitter->got = sitter->gate != NULL ? whorl_future_await(sitter->gate, NULL) : wait_for_ever();
    sitter->message = whorl_cancel_message();
    must(whorl_return(sitter->value));
    return sitter->answer == PASS_ON ? sitter->got : sitter->answer;
}
