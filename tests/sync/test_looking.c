/*
 * What dumps say of a task that waits for something of this folder: which kind, and which one.
 */
#include "sync/program_sync.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct tools {
    struct whorl_lock lock;
    struct whorl_semaphore semaphore;
    struct whorl_event event;
    struct whorl_condition condition;
    struct whorl_queue empty;
    struct whorl_queue full;
    struct whorl_rwlock written; /* somebody has it to write */
    struct whorl_rwlock read;
    struct whorl_once once;
    struct whorl_barrier barrier;
    struct whorl_select_case cases[2];
};

static int wait_for_lock(void *arg)
{
    return whorl_lock_acquire(&((struct tools *)arg)->lock);
}

static int wait_for_semaphore(void *arg)
{
    return whorl_semaphore_acquire_until(&((struct tools *)arg)->semaphore,
                                         whorl_after(3600 * WHORL_SECOND));
}

static int wait_for_event(void *arg)
{
    return whorl_event_wait(&((struct tools *)arg)->event);
}

static int wait_for_condition(void *arg)
{
    struct tools *const tools = arg;
    must(whorl_lock_acquire(whorl_condition_lock(&tools->condition)));
    return whorl_condition_wait(&tools->condition);
}

static int wait_for_item(void *arg)
{
    void *item;
    return whorl_queue_get(&((struct tools *)arg)->empty, &item);
}

static int wait_for_room(void *arg)
{
    return whorl_queue_put(&((struct tools *)arg)->full, NULL);
}

static int wait_for_done(void *arg)
{
    return whorl_queue_join(&((struct tools *)arg)->full);
}

static int wait_to_read(void *arg)
{
    return whorl_rwlock_acquire_read(&((struct tools *)arg)->written);
}

static int wait_to_write(void *arg)
{
    return whorl_rwlock_acquire_write(&((struct tools *)arg)->read);
}

/* One of them is in it, and the other one waits for him. */
static int wait_for_once(void *arg)
{
    return whorl_once_run(&((struct tools *)arg)->once, wait_for_event, arg);
}

static int wait_for_others(void *arg)
{
    return whorl_barrier_wait(&((struct tools *)arg)->barrier, NULL);
}

static int wait_for_one_of(void *arg)
{
    struct tools *const tools = arg;
    return whorl_select(tools->cases, 2);
}

static void dump(char *text, size_t bytes)
{
    const int fd = memfd_create("dump", 0);
    must(whorl_dump(fd));
    const ssize_t got = pread(fd, text, bytes - 1, 0);
    EXPECT(got > 0);
    text[got > 0 ? got : 0] = '\0';
    close(fd);
}

static void expect_wait(const char *text, const char *kind, const void *what)
{
    char words[96];
    snprintf(words, sizeof words, "waits=%s on=0x%llx ", kind,
             (unsigned long long)(uintptr_t)what);
    if (strstr(text, words) == NULL) {
        fprintf(stderr, "no %s in:\n%s", words, text);
        EXPECT(false);
    }
}

static int look(void *arg)
{
    static whorl_body *const bodies[] = {wait_for_lock, wait_for_semaphore, wait_for_event,
                                         wait_for_condition, wait_for_item, wait_for_room,
                                         wait_for_done, wait_to_read, wait_to_write,
                                         wait_for_once, wait_for_once, wait_for_others,
                                         wait_for_one_of};
    enum { COUNT = sizeof bodies / sizeof *bodies };
    struct tools tools = {WHORL_LOCK_INIT, WHORL_SEMAPHORE_INIT(0), WHORL_EVENT_INIT,
                          WHORL_CONDITION_INIT, WHORL_QUEUE_INIT(1), WHORL_QUEUE_INIT(1),
                          WHORL_RWLOCK_INIT, WHORL_RWLOCK_INIT, WHORL_ONCE_INIT,
                          WHORL_BARRIER_INIT(2),
                          {WHORL_CASE_GET(&tools.empty), WHORL_CASE_LOCK(&tools.lock)}};
    struct whorl_task *tasks[COUNT];
    char text[16384];
    (void)arg;
    must(whorl_lock_acquire(&tools.lock));
    must(whorl_queue_try_put(&tools.full, NULL));
    must(whorl_rwlock_acquire_write(&tools.written));
    must(whorl_rwlock_acquire_read(&tools.read));
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = start(bodies[i], &tools);
    }
    settle();
    dump(text, sizeof text);
    expect_wait(text, "lock", &tools.lock);
    expect_wait(text, "semaphore", &tools.semaphore);
    expect_wait(text, "event", &tools.event);
    expect_wait(text, "condition", &tools.condition);
    expect_wait(text, "queue-get", &tools.empty);
    expect_wait(text, "queue-put", &tools.full);
    expect_wait(text, "queue-join", &tools.full);
    expect_wait(text, "rwlock-read", &tools.written);
    expect_wait(text, "rwlock-write", &tools.read);
    expect_wait(text, "once", &tools.once);
    expect_wait(text, "barrier", &tools.barrier);
    expect_wait(text, "select", tools.cases);
    EXPECT(strstr(text, "deadline=") != NULL);
    for (int i = 0; i < COUNT; i++) {
        (void)whorl_cancel(tasks[i], NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        EXPECT_IS(finish(tasks[i]), -ECANCELED);
    }
    return 0;
}

static void test_a_dump_says_which_one_a_task_waits_for(void **state)
{
    (void)state;
    at_all_loops(look);
}

/* ---- what a refused destroy reports ---- */

static char told[512];

static int keep_report(void *arg, const struct whorl_report *report)
{
    (void)arg;
    snprintf(told, sizeof told, "%s", report->message);
    return 0;
}

static void expect_told(int error, const char *kind, const void *what)
{
    char words[96];
    EXPECT_IS(error, -EBUSY);
    snprintf(words, sizeof words, "the %s 0x%llx ", kind, (unsigned long long)(uintptr_t)what);
    if (strncmp(told, words, strlen(words)) != 0) {
        fprintf(stderr, "not \"%s\", but: %s\n", words, told);
        EXPECT(false);
    }
    told[0] = '\0';
}

static int destroy_all(void *arg)
{
    static whorl_body *const bodies[] = {wait_for_lock, wait_for_semaphore, wait_for_event,
                                         wait_for_condition, wait_for_item, wait_for_room,
                                         wait_to_read, wait_to_write, wait_for_once,
                                         wait_for_once, wait_for_others};
    enum { COUNT = sizeof bodies / sizeof *bodies };
    /* Zeroed is as good as initialised. */
    struct tools tools = {.full = WHORL_QUEUE_INIT(1), .barrier = WHORL_BARRIER_INIT(2)};
    struct whorl_task *tasks[COUNT];
    (void)arg;
    must(whorl_exception_handler_set(keep_report, NULL));
    must(whorl_lock_acquire(&tools.lock));
    must(whorl_queue_try_put(&tools.full, NULL));
    must(whorl_rwlock_acquire_write(&tools.written));
    must(whorl_rwlock_acquire_read(&tools.read));
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = start(bodies[i], &tools);
    }
    settle();
    expect_told(whorl_lock_destroy(&tools.lock), "lock", &tools.lock);
    expect_told(whorl_semaphore_destroy(&tools.semaphore), "semaphore", &tools.semaphore);
    expect_told(whorl_event_destroy(&tools.event), "event", &tools.event);
    expect_told(whorl_condition_destroy(&tools.condition), "condition", &tools.condition);
    expect_told(whorl_queue_destroy(&tools.empty), "queue", &tools.empty);
    expect_told(whorl_queue_destroy(&tools.full), "queue", &tools.full);
    expect_told(whorl_rwlock_destroy(&tools.written), "read-write lock", &tools.written);
    expect_told(whorl_rwlock_destroy(&tools.read), "read-write lock", &tools.read);
    expect_told(whorl_once_destroy(&tools.once), "once", &tools.once);
    expect_told(whorl_barrier_destroy(&tools.barrier), "barrier", &tools.barrier);
    for (int i = 0; i < COUNT; i++) {
        (void)whorl_cancel(tasks[i], NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        (void)finish(tasks[i]);
    }
    return 0;
}

static void test_a_refused_destroy_names_what_was_to_go(void **state)
{
    (void)state;
    at_all_loops(destroy_all);
}

static int stand_by(void *arg)
{
    (void)arg;
    return 0;
}

/* With the turn: the other one is ready, and stands in line. At one loop nobody does. */
static int look_with_the_turn(void *arg)
{
    static struct whorl_strand strand = WHORL_STRAND_INIT;
    char text[16384];
    (void)arg;
    must(whorl_strand_enter(&strand));
    struct whorl_task *const task = start(stand_by, NULL);
    dump(text, sizeof text);
    if (whorl_loop_count() > 1) {
        expect_wait(text, "strand", &strand);
        EXPECT(strstr(text, "state=ready") != NULL);
    } else {
        EXPECT(strstr(text, "waits=strand") == NULL);
    }
    EXPECT_IS(finish(task), 0);
    dump(text, sizeof text);
    EXPECT(strstr(text, "waits=strand") == NULL);
    must(whorl_strand_enter(NULL));
    return 0;
}

static void test_a_dump_says_whose_turn_a_ready_task_waits_for(void **state)
{
    (void)state;
    at_all_loops(look_with_the_turn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_dump_says_which_one_a_task_waits_for),
        cmocka_unit_test(test_a_refused_destroy_names_what_was_to_go),
        cmocka_unit_test(test_a_dump_says_whose_turn_a_ready_task_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
