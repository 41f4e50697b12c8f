/*
 * test_footprint.c - what a runtime shows of itself in a process; and that it leaves nothing there.
 */
#include "support/play.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* ---- names of threads ---- */

struct sight {
    int loops;
    int named;     /* of whorl-0 ... whorl-(loops - 1), how many were seen */
    int monitors;  /* whorl-monitor */
    int strangers; /* other names that begin with whorl */
};

static bool read_comm(const char *thread, char *ret_name, int name_max)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", thread);
    FILE *const file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    const bool read = fgets(ret_name, name_max, file) != NULL;
    fclose(file);
    ret_name[strcspn(ret_name, "\n")] = '\0';
    return read;
}

static void take_down(struct sight *sight, const char *name)
{
    char expected[32];
    for (int i = 0; i < sight->loops; i++) {
        snprintf(expected, sizeof expected, "whorl-%d", i);
        if (strcmp(name, expected) == 0) {
            sight->named++;
            return;
        }
    }
    if (strcmp(name, "whorl-monitor") == 0) {
        sight->monitors++;
    } else if (strncmp(name, "whorl", 5) == 0) {
        sight->strangers++;
    }
}

static void look(struct sight *sight)
{
    DIR *const threads = opendir("/proc/self/task");
    struct dirent *entry;
    char name[32];
    sight->named = sight->monitors = sight->strangers = 0;
    while (threads != NULL && (entry = readdir(threads)) != NULL) {
        if (entry->d_name[0] != '.' && read_comm(entry->d_name, name, sizeof name)) {
            take_down(sight, name);
        }
    }
    if (threads != NULL) {
        closedir(threads);
    }
}

/* A thread names itself when it runs, so the others may be a moment late. */
static int look_until_all_are_there(void *arg)
{
    struct sight *const sight = arg;
    const int64_t deadline_ns = whorl_after(10 * WHORL_SECOND);
    do {
        look(sight);
        must(whorl_sleep(WHORL_MILLISECOND));
    } while ((sight->named < sight->loops || sight->monitors < 1) && whorl_now() < deadline_ns);
    return 0;
}

static int run_and_look(struct sight *sight)
{
    /* The name of a test program may begin with whorl; a thread's that the test started may not. */
    const struct whorl_options options = {.loops = sight->loops, .no_pin = 1};
    return whorl_run(look_until_all_are_there, sight, &options);
}

static void test_every_thread_has_a_name(void **state)
{
    /* What top, perf and gdb show: each loop by its number, and the monitor; no more, no less. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops++) {
        struct sight sight = {.loops = loops};
        assert_int_equal(run_and_look(&sight), 0);
        assert_int_equal(sight.named, loops);
        assert_int_equal(sight.monitors, 1);
        assert_int_equal(sight.strangers, 0);
    }
}

static int count_threads(void *arg)
{
    struct sight sight = {.loops = 3};
    must(look_until_all_are_there(&sight));
    *(int *)arg = count_own("task");
    return 0;
}

static void test_there_are_no_threads_but_those_with_names(void **state)
{
    /* So a thread that somebody adds gets one, or fails here. */
    (void)state;
    const struct whorl_options options = {.loops = 3, .no_pin = 1};
    int inside = 0;
    assert_int_equal(play(3, count_threads, &inside), 0); /* a sanitizer's own has begun by now */
    const int before = count_own("task");
    assert_int_equal(whorl_run(count_threads, &inside, &options), 0);
    assert_int_equal(inside, before + 3 + 1);
}

/* ---- signals ---- */

static void handle_nothing(int number)
{
    (void)number;
}

static void handle_on_top(int number)
{
    (void)number;
}

static void handle_details(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
}

static void handler_of(int number, struct sigaction *ret_action)
{
    assert_int_equal(sigaction(number, NULL, ret_action), 0);
}

/* Whether all 64 are as they were. */
static void assert_handlers_are(const struct sigaction before[65])
{
    for (int number = 1; number <= 64; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) == 0) {
            assert_ptr_equal(now.sa_handler, before[number].sa_handler);
            assert_int_equal(now.sa_flags, before[number].sa_flags);
        }
    }
}

static void take_handlers(struct sigaction ret_before[65])
{
    memset(ret_before, 0, 65 * sizeof *ret_before);
    for (int number = 1; number <= 64; number++) {
        (void)sigaction(number, NULL, &ret_before[number]); /* EINVAL: the C library's own */
    }
}

static int notice_handlers(void *arg)
{
    struct sigaction *const action = arg;
    return sigaction(SIGSEGV, NULL, action) != 0 ? -errno : whorl_yield();
}

static void assert_run_leaves_handlers(void)
{
    struct sigaction before[65];
    struct sigaction inside;
    stack_t stack_before;
    stack_t stack_after;
    take_handlers(before);
    assert_int_equal(sigaltstack(NULL, &stack_before), 0);
    assert_int_equal(play(2, notice_handlers, &inside), 0);
    assert_ptr_not_equal(inside.sa_handler, before[SIGSEGV].sa_handler); /* there was something */
    assert_handlers_are(before);
    assert_int_equal(sigaltstack(NULL, &stack_after), 0);
    assert_ptr_equal(stack_after.ss_sp, stack_before.ss_sp);
    assert_int_equal(stack_after.ss_flags, stack_before.ss_flags);
}

static void test_signal_handlers_are_as_before(void **state)
{
    /* The default, an old handler, a detailed one: each comes back, with its flags. */
    (void)state;
    const struct sigaction actions[] = {
        {.sa_handler = SIG_DFL},
        {.sa_handler = handle_nothing, .sa_flags = SA_RESTART},
        {.sa_sigaction = handle_details, .sa_flags = SA_SIGINFO | SA_NODEFER},
    };
    struct sigaction old;
    handler_of(SIGSEGV, &old);
    assert_run_leaves_handlers();
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        assert_int_equal(sigaction(SIGSEGV, &actions[i], NULL), 0);
        assert_run_leaves_handlers();
    }
    assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);
}

static int put_handler_on_top(void *arg)
{
    const struct sigaction action = {.sa_handler = handle_on_top};
    return sigaction(SIGSEGV, &action, arg) != 0 ? -errno : whorl_yield();
}

static void test_a_handler_put_over_ours_stays(void **state)
{
    /* It may call ours, so ours is neither put over it again nor pulled away beneath it. */
    (void)state;
    struct sigaction old;
    struct sigaction ours;
    struct sigaction now;
    handler_of(SIGSEGV, &old);
    assert_int_equal(play(1, put_handler_on_top, &ours), 0);
    handler_of(SIGSEGV, &now);
    assert_ptr_equal(now.sa_handler, handle_on_top);
    assert_int_equal(play(1, notice_handlers, &now), 0);
    assert_ptr_equal(now.sa_handler, handle_on_top);
    assert_int_equal(sigaction(SIGSEGV, &ours, NULL), 0); /* it has given way */
    assert_int_equal(play(1, notice_handlers, &now), 0);
    assert_ptr_equal(now.sa_sigaction, ours.sa_sigaction);
    handler_of(SIGSEGV, &now);
    assert_ptr_equal(now.sa_handler, old.sa_handler);
}

static int run_inner(void *arg)
{
    *(int *)arg = whorl_yield();
    return 0;
}

struct nested {
    struct sigaction inside;
    int inner;
};

/* A thread of the program starts a second runtime while the first lives; its end takes nothing. */
static void *run_second(void *arg)
{
    const struct whorl_options options = {.loops = 1, .no_pin = 1};
    must(whorl_run(run_inner, arg, &options));
    return NULL;
}

static int outlive_second(void *arg)
{
    struct nested *const nested = arg;
    pthread_t thread;
    must(pthread_create(&thread, NULL, run_second, &nested->inner));
    must(pthread_join(thread, NULL));
    return notice_handlers(&nested->inside);
}

static void test_handlers_stay_until_the_last_runtime_ends(void **state)
{
    /* Overflows of the first runtime's tasks are still reported when a second one has ended. */
    (void)state;
    struct sigaction before[65];
    struct nested nested = {.inner = UNSET};
    take_handlers(before);
    assert_int_equal(play(2, outlive_second, &nested), 0);
    assert_int_equal(nested.inner, 0);
    assert_ptr_not_equal(nested.inside.sa_handler, before[SIGSEGV].sa_handler);
    assert_handlers_are(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_thread_has_a_name),
        cmocka_unit_test(test_there_are_no_threads_but_those_with_names),
        cmocka_unit_test(test_signal_handlers_are_as_before),
        cmocka_unit_test(test_a_handler_put_over_ours_stays),
        cmocka_unit_test(test_handlers_stay_until_the_last_runtime_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
