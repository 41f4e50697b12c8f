/*
 * test_fork.c - a child of fork is refused what its parent's runtime would have to do, never hangs,
 * and can run a runtime of its own.
 *
 * Children are made by a task and by a plain thread, at the worst moment there is: every lock that
 * a call could want is held, as if by a thread that did not come along. A child checks by itself,
 * says on stderr what was wrong, and its exit code counts that. An alarm ends one that hangs.
 * test_every_call.sh sees to it that every public function is called here.
 */
#include "support/child.h"
#include "support/play.h"

#include "sched/strand.h"
#include "task/future.h"
#include "sync/line.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A sanitizer would rather end the child than let it start threads. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

#define HANG_S 60

/* ---- in a child ---- */

static int wrong; /* in a child: how many answers were not as they should be */

static void expect_at(int line, const char *call, long got, long wanted)
{
    if (got != wanted) {
        fprintf(stderr, "in the child, line %d: %s is %ld, not %ld\n", line, call, got, wanted);
        wrong++;
    }
}

#define EXPECT(call, wanted) expect_at(__LINE__, #call, (long)(call), (long)(wanted))
#define REFUSED(call)        EXPECT(call, -ECHILD)

/* ---- making one ---- */

struct child {
    void (*body)(void *arg);
    void *arg;
    bool exits; /* by exit(3), with all that runs then */
};

static _Noreturn void be_child(const struct child *child)
{
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(HANG_S);
    child->body(child->arg);
    if (child->exits) {
        exit(wrong);
    }
    _exit(wrong);
}

static int end_of(pid_t child)
{
    int status = -1;
    pid_t ended;
    do {
        ended = waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    return ended == child ? status : -1;
}

/* The child's status as waitpid gives it: 0 if all was as it should be. From anywhere. */
static int run_child(const struct child *child)
{
    const pid_t pid = fork();
    if (pid == 0) {
        be_child(child);
    }
    return pid < 0 ? -1 : end_of(pid);
}

/* ---- when to make one ---- */

/* R, S and so on, as proc(5) has them; S too for a thread that has just gone. */
static char state_of(const char *thread)
{
    char path[64];
    char line[128] = {0};
    (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", thread);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 'S';
    }
    const ssize_t length = read(fd, line, sizeof line - 1);
    close(fd);
    const char *const name_end = length > 0 ? strrchr(line, ')') : NULL;
    return name_end != NULL ? name_end[2] : 'S';
}

static bool all_others_sleep(void)
{
    char self[24];
    (void)snprintf(self, sizeof self, "%d", gettid());
    DIR *const threads = opendir("/proc/self/task");
    assert_non_null(threads);
    bool all = true;
    const struct dirent *entry;
    while ((entry = readdir(threads)) != NULL) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, self) != 0) {
            all &= state_of(entry->d_name) == 'S';
        }
    }
    closedir(threads);
    return all;
}

/*
 * A thread that is only starting, or frees what it has just used, may hold a lock of the allocator:
 * libc's are made good in a child, those of a sanitizer are not. A thread that sleeps has none.
 */
static void wait_until_all_others_sleep(void)
{
    for (int looks = 0; looks < 10000 && !all_others_sleep(); looks++) {
        usleep(1000); /* our loop stands still, too */
    }
}

/* ---- what a child inherits ---- */

static int ends[2]; /* a pipe that nobody of whorl's knows */
static bool children_start_threads;

struct estate {
    struct whorl_task *sleeper;  /* parked; its locks are held */
    struct whorl_task *unnamed;  /* as the sleeper */
    struct whorl_task *finished; /* done, 0, value &ends */
    struct whorl_future *pending;
    struct whorl_future *gather; /* of pending */
    struct whorl_completed *completed; /* of pending */
    struct whorl_future *shield; /* of pending */
    struct whorl_future *done;   /* value &wrong */
    struct whorl_context *context;
    struct whorl_executor *executor; /* has one thread, idle; its lock is held */
    struct whorl_handle *timer;  /* an hour away */
    struct whorl_generator *generator; /* waits in its yield */
    struct whorl_timeout *open;  /* of the task that forks; NULL: a thread forks */
    struct whorl_group *group;   /* as open */
    struct whorl_shield *section; /* as open */
    int listener;
    void (*after)(struct estate *estate); /* in the child, when all was refused */
    bool exits;
    int status; /* of the child */
};

static void take_locks(const struct estate *estate)
{
    struct whorl__runtime *const runtime = estate->sleeper->runtime;
    whorl__spin_lock(&estate->sleeper->lock);
    whorl__spin_lock(&estate->unnamed->lock);
    whorl__spin_lock(&runtime->slots.lock);
    whorl__spin_lock(&runtime->shared.lock);
    whorl__spin_lock(&runtime->idle.lock);
    whorl__spin_lock(&runtime->halt.lock);
    whorl__spin_lock(&runtime->records.lock);
    whorl__spin_lock((struct whorl__spinlock *)(void *)estate->executor); /* its first field */
    whorl__spin_lock(&runtime->generators.lock);
    (void)whorl__or_u32(&estate->sleeper->future.word, WHORL__FUTURE_LOCKED);
    (void)whorl__or_u32(&estate->pending->word, WHORL__FUTURE_LOCKED);
    (void)whorl__or_u32(&estate->done->word, WHORL__FUTURE_LOCKED);
    (void)whorl__or_u32(&estate->gather->word, WHORL__FUTURE_LOCKED);
    (void)whorl__or_u32(&estate->shield->word, WHORL__FUTURE_LOCKED);
}

static void unlock_future(struct whorl_future *future)
{
    const uint32_t word = whorl__load_relaxed_u32(&future->word); /* relaxed: locked by us */
    whorl__store_release_u32(&future->word, word & ~WHORL__FUTURE_LOCKED); /* pairs its lock */
}

static void give_locks(const struct estate *estate)
{
    struct whorl__runtime *const runtime = estate->sleeper->runtime;
    unlock_future(estate->shield);
    unlock_future(estate->gather);
    unlock_future(estate->done);
    unlock_future(estate->pending);
    unlock_future(&estate->sleeper->future);
    whorl__spin_unlock((struct whorl__spinlock *)(void *)estate->executor);
    whorl__spin_unlock(&runtime->generators.lock);
    whorl__spin_unlock(&runtime->records.lock);
    whorl__spin_unlock(&runtime->halt.lock);
    whorl__spin_unlock(&runtime->idle.lock);
    whorl__spin_unlock(&runtime->shared.lock);
    whorl__spin_unlock(&runtime->slots.lock);
    whorl__spin_unlock(&estate->unnamed->lock);
    whorl__spin_unlock(&estate->sleeper->lock);
}

/* ---- what is refused ---- */

static int never_run(void *arg)
{
    (void)arg;
    wrong++;
    return 0;
}

static void check_calls_of_a_task(void)
{
    struct whorl_timeout timeout;
    struct whorl_group group;
    struct whorl_stats stats;
    struct whorl_shield shield;
    struct whorl_attempt attempt = {.body = never_run};
    struct whorl_task *task = NULL;
    size_t winner;
    REFUSED(whorl_spawn(never_run, NULL, NULL, &task));
    EXPECT(task == NULL, true);
    REFUSED(whorl_yield());
    REFUSED(whorl_sleep(0));
    REFUSED(whorl_sleep(WHORL_SECOND));
    REFUSED(whorl_sleep_until(WHORL_NEVER));
    REFUSED(whorl_return(NULL));
    REFUSED(whorl_timeout_enter(&timeout, whorl_after(0)));
    REFUSED(whorl_group_begin(&group));
    REFUSED(whorl_shield_begin(&shield));
    REFUSED(whorl_staggered_race(&attempt, 1, 0, &winner));
    REFUSED(whorl_loop_count());
    REFUSED(whorl_loop_current());
    REFUSED(whorl_stats(-1, &stats));
    EXPECT(whorl_task_current() == NULL, true);
    EXPECT(whorl_cancel_message() == NULL, true);
}

static void check_calls_on_descriptors(int listener)
{
    char byte = 'x';
    const struct iovec part = {.iov_base = &byte, .iov_len = 1};
    REFUSED(whorl_tcp_listen("127.0.0.1", 0, 0, 0));
    REFUSED(whorl_unix_listen("@whorl-test-fork", 0));
    REFUSED(whorl_tcp_connect("127.0.0.1", 1));
    REFUSED(whorl_tcp_connect_until("127.0.0.1", 1, WHORL_NEVER));
    REFUSED(whorl_unix_connect("@whorl-test-fork"));
    REFUSED(whorl_unix_connect_until("@whorl-test-fork", WHORL_NEVER));
    REFUSED(whorl_socket_port(listener));
    REFUSED(whorl_accept(listener));
    REFUSED(whorl_accept_until(listener, WHORL_NEVER));
    REFUSED(whorl_read(ends[0], &byte, 1));
    REFUSED(whorl_read_until(ends[0], &byte, 1, WHORL_NEVER));
    REFUSED(whorl_write(ends[1], &byte, 1));
    REFUSED(whorl_write_until(ends[1], &byte, 1, WHORL_NEVER));
    REFUSED(whorl_writev(ends[1], &part, 1));
    REFUSED(whorl_writev_until(ends[1], &part, 1, WHORL_NEVER));
    REFUSED(whorl_shutdown(listener, SHUT_WR));
    REFUSED(whorl_shutdown_until(listener, SHUT_WR, WHORL_NEVER));
    REFUSED(whorl_close(listener));
    REFUSED(whorl_close_until(listener, WHORL_NEVER));
    REFUSED(whorl_fd_adopt(ends[0]));
    REFUSED(whorl_fd_wait(ends[0], POLLIN));
    REFUSED(whorl_fd_wait_until(ends[0], POLLIN, WHORL_NEVER));
    REFUSED(whorl_fd_loop(listener));
    EXPECT(fcntl(listener, F_GETFD) >= 0, true);
}

static void check_tasks(struct whorl_task *sleeper, struct whorl_task *finished)
{
    struct whorl_task **all = NULL;
    size_t count = 0;
    void *value = NULL;
    REFUSED(whorl_spawn_remote(sleeper, never_run, NULL, NULL, NULL));
    REFUSED(whorl_all_tasks(sleeper, &all, &count));
    REFUSED(whorl_all_tasks(NULL, &all, &count));
    EXPECT(all == NULL && count == 0, true);
    whorl_all_tasks_free(NULL, 0);
    const struct whorl_spawning spawning = {.body = never_run, .where = sleeper->runtime};
    whorl_task_factory *factory = NULL;
    REFUSED(whorl_task_factory_set(NULL, NULL));
    REFUSED(whorl_task_factory_get(&factory, NULL));
    REFUSED(whorl_task_factory_eager(NULL, &spawning, NULL));
    REFUSED(whorl_task_make(&spawning, NULL));
    REFUSED(whorl_await(sleeper, &value));
    REFUSED(whorl_join(sleeper, WHORL_NEVER, &value));
    REFUSED(whorl_wait_for(sleeper, WHORL_SECOND, &value));
    REFUSED(whorl_task_result(sleeper, &value));
    struct whorl_why why;
    REFUSED(whorl_task_why(sleeper, &why));
    EXPECT(whorl_why_print(&(struct whorl_why){.cause = WHORL_WHY_NONE}, NULL, 0), 6);
    REFUSED(whorl_task_cancelling(sleeper));
    REFUSED(whorl_uncancel(sleeper));
    REFUSED(whorl_gather(&sleeper, 1, 0, NULL));
    EXPECT(whorl_cancel(sleeper, "no"), false);
    EXPECT(whorl_task_done(sleeper), false);
    EXPECT(whorl_task_cancelled(sleeper), false);
    EXPECT(value == NULL, true);
    whorl_task_set_name(sleeper, "renamed");
    EXPECT(strcmp(whorl_task_name(sleeper), "sleeper"), 0);
    REFUSED(whorl_task_origin(sleeper, NULL, 0));
    EXPECT(whorl_task_body(sleeper) != NULL, true);
    EXPECT(whorl_task_arg(sleeper) == sleeper->arg, true);
    EXPECT(whorl_task_ref(sleeper) == sleeper, true);
    whorl_task_detach(sleeper);
    EXPECT(whorl_task_future(sleeper) != NULL, true);
    whorl_task_unref(sleeper);
    whorl_task_unref(sleeper);
    EXPECT(whorl_task_done(finished), true);
    EXPECT(whorl_await(finished, &value), 0);
    EXPECT(value == &ends, true);
    EXPECT(whorl_join(finished, 0, NULL), 0);
    EXPECT(whorl_task_result(finished, NULL), 0);
    EXPECT(whorl_gather(&finished, 1, 0, NULL), 0);
    whorl_task_unref(finished);
}

static void not_called(struct whorl_future *future, void *arg)
{
    (void)future;
    (void)arg;
    abort();
}

static void not_called_either(void *arg)
{
    (void)arg;
    abort();
}

static void check_callbacks(const struct estate *estate)
{
    REFUSED(whorl_call_soon(not_called_either, NULL, NULL, NULL));
    REFUSED(whorl_call_soon_threadsafe(estate->sleeper, not_called_either, NULL, NULL, NULL));
    REFUSED(whorl_call_later(0, not_called_either, NULL, NULL, NULL));
    REFUSED(whorl_call_at(0, not_called_either, NULL, NULL, NULL));
    EXPECT(whorl_handle_cancelled(estate->timer), false);
    EXPECT(whorl_handle_when(estate->timer) > 0, true);
    struct whorl_context *context = NULL;
    REFUSED(whorl_handle_context(estate->timer, &context));
    EXPECT(context == NULL, true);
    EXPECT(whorl_handle_cancel(estate->timer), false);
    whorl_handle_unref(estate->timer);
    whorl_handle_unref(estate->timer);
}

static void check_futures(const struct estate *estate)
{
    struct whorl_future *const inherited[] = {estate->pending, estate->gather, estate->shield};
    struct whorl_future *gather = NULL;
    struct whorl_completed *completed = NULL;
    struct whorl_future *shield = NULL;
    size_t index = 7;
    void *value = NULL;
    for (int i = 0; i < 3; i++) {
        REFUSED(whorl_future_await(inherited[i], &value));
        REFUSED(whorl_future_join(inherited[i], whorl_after(0), &value));
        REFUSED(whorl_future_wait_for(inherited[i], WHORL_SECOND, &value));
        REFUSED(whorl_future_result(inherited[i], &value));
        REFUSED(whorl_gather_start(&inherited[i], 1, 0, &gather));
        REFUSED(whorl_wait(&inherited[i], 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL));
        REFUSED(whorl_first_of(&inherited[i], 1, WHORL_NEVER, &index));
        REFUSED(whorl_as_completed(&inherited[i], 1, WHORL_NEVER, &completed));
        REFUSED(whorl_shield(inherited[i], &shield));
        REFUSED(whorl_future_add_done_callback(inherited[i], not_called, NULL));
        EXPECT(whorl_future_remove_done_callback(inherited[i], not_called, NULL), 0);
        EXPECT(whorl_future_cancel(inherited[i], NULL), false);
        EXPECT(whorl_future_done(inherited[i]), false);
        EXPECT(whorl_future_cancelled(inherited[i]), false);
        EXPECT(whorl_future_cancel_message(inherited[i]) == NULL, true);
        EXPECT(whorl_future_ref(inherited[i]) == inherited[i], true);
        whorl_future_unref(inherited[i]);
        whorl_future_unref(inherited[i]);
    }
    REFUSED(whorl_future_set_result(estate->pending, NULL));
    REFUSED(whorl_future_set_error(estate->pending, -EIO));
    EXPECT(whorl_future_set_result(estate->gather, NULL), -EPERM);
    REFUSED(whorl_completed_next(estate->completed, &index));
    REFUSED(whorl_future_add_to_awaited_by(estate->pending, estate->gather));
    REFUSED(whorl_future_discard_from_awaited_by(estate->pending, estate->gather));
    REFUSED(whorl_iterator_next(whorl_completed_iterator(estate->completed), NULL));
    whorl_completed_free(estate->completed);
    EXPECT(value == NULL && gather == NULL && completed == NULL && index == 7, true);
    EXPECT(shield == NULL, true);
    EXPECT(whorl_future_done(estate->done), true);
    EXPECT(whorl_future_await(estate->done, &value), 0);
    EXPECT(value == &wrong, true);
    EXPECT(whorl_future_result(estate->done, NULL), 0);
    EXPECT(whorl_wait(&estate->done, 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL), 1);
    EXPECT(whorl_first_of(&estate->done, 1, WHORL_NEVER, &index), 0);
    EXPECT(whorl_as_completed(&estate->done, 1, WHORL_NEVER, &completed), 0);
    EXPECT(whorl_completed_next(completed, &index), 0);
    whorl_completed_free(completed);
    EXPECT(whorl_shield(estate->done, &shield), 0);
    EXPECT(shield == estate->done, true);
    EXPECT(whorl_gather_start(&estate->done, 1, 0, &gather), 0);
    EXPECT(whorl_future_await(gather, NULL), 0);
    whorl_future_unref(gather);
    whorl_future_unref(estate->done);
}

static void check_open_timeout(struct whorl_timeout *timeout)
{
    EXPECT(whorl_timeout_when(timeout), WHORL_NEVER);
    EXPECT(whorl_timeout_expired(timeout), false);
    REFUSED(whorl_timeout_reschedule(timeout, whorl_after(0)));
    REFUSED(whorl_timeout_exit(timeout, 0));
}

static void check_open_group(struct whorl_group *group)
{
    struct whorl_errors *errors = NULL;
    const char *name = "";
    REFUSED(whorl_group_spawn(group, never_run, NULL, NULL, NULL));
    whorl_group_cancel(group);
    REFUSED(whorl_group_end(group, 0, &errors));
    EXPECT(errors == NULL, true);
    EXPECT(whorl_errors_count(errors), 0);
    EXPECT(whorl_errors_get(errors, 0, &name), 0);
    EXPECT(whorl_errors_find(errors, -EIO), false);
    whorl_errors_free(errors);
}

/* Whoever asks from outside sees that there is no runtime here, nor a simulation. */
/* It is refused in every way but for its number; what is NULL is refused as in the parent. */
static void check_inherited_runtime(struct whorl_runtime *runtime, struct whorl_future *pending)
{
    struct whorl_runtime *made = NULL;
    struct whorl_task *task = NULL;
    REFUSED(whorl_runtime_run(runtime, never_run, NULL));
    REFUSED(whorl_runtime_run_with(runtime, never_run, NULL, NULL));
    REFUSED(whorl_runtime_run_until(runtime, pending, NULL));
    REFUSED(whorl_runtime_run_forever(runtime));
    REFUSED(whorl_runtime_stop(runtime));
    REFUSED(whorl_runtime_stop(NULL));
    REFUSED(whorl_runtime_state(runtime));
    EXPECT(whorl_loop_begin(runtime), -EINVAL); /* it has threads */
    EXPECT(whorl_loop_step(runtime, 0), -EINVAL);
    EXPECT(whorl_loop_next(runtime, NULL), -EINVAL);
    EXPECT(whorl_loop_end(runtime), -EINVAL);
    REFUSED(whorl_runtime_spawn(runtime, never_run, NULL, NULL, &task));
    REFUSED(whorl_runtime_close(runtime));
    REFUSED(whorl_runtime_free(runtime));
    EXPECT(whorl_runtime_id(runtime) > 0, true);
    EXPECT(whorl_runtime_new(&(struct whorl_options){.loops = -1}, &made), -EINVAL);
}

static void check_reports(void)
{
    const struct whorl_report report = {.loop = -1};
    whorl_exception_handler *handler = NULL;
    REFUSED(whorl_exception_handler_set(NULL, NULL));
    REFUSED(whorl_exception_handler_get(&handler, NULL));
    REFUSED(whorl_debug_set(1));
    REFUSED(whorl_debug_get());
    EXPECT(whorl_debug_lock_held(1), 0);
    REFUSED(whorl_exception_handler_call(&report));
    EXPECT(whorl_exception_handler_default(&report), -EINVAL);
}

static int count_step(const struct whorl_graph_step *step, void *arg)
{
    (void)step;
    *(int *)arg += 1;
    return 0;
}

static void check_calls_about_runtimes(void)
{
    struct whorl_stats stats;
    int steps = 0;
    uint64_t ids[2];
    char text[256];
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    EXPECT(whorl_runtimes(ids, 2), 0);
    EXPECT(whorl_runtime_current(), 0);
    EXPECT(whorl_stats_of(0, -1, &stats), -ESRCH);
    EXPECT(whorl_stats_of(1, -1, &stats), -ESRCH);
    EXPECT(whorl_stats_print(WHORL_STATS_TEXT, text, sizeof text) >= 0, true);
    EXPECT(whorl_stats_write(WHORL_STATS_PROMETHEUS, null), 0);
    EXPECT(whorl_dump(null), 0);
    REFUSED(whorl_graph_walk(NULL, WHORL_GRAPH_ALL, count_step, &steps));
    REFUSED(whorl_graph_print(NULL, WHORL_GRAPH_ALL, null));
    close(null);
}

static void check_calls_of_a_simulation(void)
{
    struct whorl_sim_thread *thread = NULL;
    int fds[2];
    EXPECT(whorl_sim_random(), 0);
    EXPECT(whorl_sim_stall(1), -EPERM);
    EXPECT(whorl_sim_block(1), -EPERM);
    EXPECT(whorl_sim_pair(fds), -EPERM);
    EXPECT(whorl_sim_pipe(fds), -EPERM);
    EXPECT(whorl_sim_reset(ends[0]), -EPERM);
    EXPECT(whorl_sim_thread_start(never_run, NULL, &thread), -EPERM);
    EXPECT(whorl_sim_thread_join(NULL), -EPERM);
    whorl_sim_note("outside");
    whorl_sim_fail("outside");
}

static int no_locals(void *arg)
{
    (void)arg;
    static const struct whorl_local key = {.initial = &wrong};
    struct whorl_local_token token;
    EXPECT(whorl_local_get(&key) == &wrong, true);
    EXPECT(whorl_local_set(&key, ends, &token), 0);
    EXPECT(whorl_local_get(&key) == ends, true);
    EXPECT(whorl_local_reset(&token), 0);
    whorl_local_forget(&token);
    return whorl_local_get(&key) == &wrong ? 1 : 0;
}

/* The parent's contexts are refused, the child's own work. */
static void check_contexts(const struct estate *estate)
{
    static const struct whorl_local key = {.initial = &wrong};
    struct whorl_context *context = NULL;
    REFUSED(whorl_task_context(estate->sleeper, &context));
    REFUSED(whorl_local_set(&key, ends, NULL));
    REFUSED(whorl_context_run(estate->context, never_run, NULL));
    EXPECT(whorl_context_get(estate->context, &key) == &wrong, true);
    EXPECT(whorl_context_ref(estate->context) == estate->context, true);
    whorl_context_unref(estate->context);
    EXPECT(context == NULL, true);
    EXPECT(whorl_context_copy(&context), 0);
    EXPECT(whorl_context_run(context, no_locals, NULL), 1);
    whorl_context_unref(context);
    EXPECT(whorl_context_new(&context), 0);
    whorl_context_unref(context);
}

static void check_executor(struct whorl_executor *executor)
{
    struct whorl_executor_stats stats;
    struct whorl_future *future = NULL;
    REFUSED(whorl_to_thread(never_run, NULL, NULL, NULL));
    REFUSED(whorl_executor_submit(executor, never_run, NULL, NULL, &future));
    REFUSED(whorl_executor_submit(NULL, never_run, NULL, NULL, &future));
    REFUSED(whorl_executor_set_default(executor));
    REFUSED(whorl_executor_shutdown(executor, 0, WHORL_NEVER));
    REFUSED(whorl_executor_shutdown_default(WHORL_NEVER));
    REFUSED(whorl_executor_stats(executor, &stats));
    EXPECT(future == NULL, true);
    whorl_executor_free(executor);
}

static int hand_over(void *arg)
{
    return whorl_return(arg);
}

/* One that the child makes has threads. */
static void check_own_executor(void)
{
    struct whorl_executor *executor = NULL;
    struct whorl_future *future = NULL;
    void *value = NULL;
    EXPECT(whorl_executor_new(NULL, &executor), 0);
    EXPECT(whorl_executor_submit(executor, hand_over, &wrong, NULL, &future), 0);
    EXPECT(whorl_future_await(future, &value), 0);
    EXPECT(value == &wrong, true);
    EXPECT(whorl_executor_shutdown(executor, 0, WHORL_NEVER), 0);
    whorl_future_unref(future);
    whorl_executor_free(executor);
}

/* What needs no runtime works. */
static int never_asked(struct whorl_iterator *self, void **ret_item)
{
    (void)self, (void)ret_item;
    return -EXDEV;
}

static int pass_error_on(void *arg, int error)
{
    (void)arg;
    return error;
}

static int enter_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

/* They need no runtime; what they call is refused or not. */
static void check_exit_stacks(const struct estate *estate)
{
    struct whorl_exit_stack stack = {0};
    struct whorl_exit_stack other = {0};
    struct whorl_generator *none = NULL;
    EXPECT(whorl_exit_stack_push(&stack, pass_error_on, NULL), 0);
    EXPECT(whorl_exit_stack_enter(&stack, enter_nothing, pass_error_on, NULL), 0);
    EXPECT(whorl_exit_stack_defer(&stack, do_nothing, NULL), 0);
    whorl_exit_stack_move(&other, &stack);
    EXPECT(whorl_exit_stack_close(&other, -EIO, NULL), -EIO);
    EXPECT(whorl_exit_stack_closing(&stack, estate->generator), 0);
    REFUSED(whorl_exit_stack_close(&stack, 0, NULL));
    whorl_exit_stack_leave(&stack);
    whorl_generator_leave(&none);
}

static void check_generators(const struct estate *estate)
{
    struct whorl_iterator iterator = {.next = never_asked};
    struct whorl_generator *generators[] = {estate->generator, NULL};
    EXPECT(whorl_generator_new(never_run, NULL, NULL, &generators[1]), 0);
    for (size_t i = 0; i < 2; i++) {
        REFUSED(whorl_generator_next(generators[i], NULL));
        REFUSED(whorl_generator_send(generators[i], NULL, NULL));
        REFUSED(whorl_generator_throw(generators[i], -EIO, NULL));
        REFUSED(whorl_generator_close(generators[i]));
        EXPECT(strcmp(whorl_generator_name(generators[i]), "generator"), 0);
        EXPECT(whorl_generator_ref(generators[i]) == generators[i], true);
        EXPECT(whorl_generator_iterator(generators[i]) != NULL, true);
        whorl_generator_unref(generators[i]);
        whorl_generator_unref(generators[i]); /* the last one */
    }
    REFUSED(whorl_generator_yield(NULL, NULL));
    REFUSED(whorl_generators_close());
    EXPECT(whorl_iterator_next(&iterator, NULL), -EXDEV);
    EXPECT(whorl_iterator_close(&iterator), 0);
}

/* ---- locks and their like ---- */

struct tools {
    struct whorl_lock lock;
    struct whorl_semaphore semaphore;
    struct whorl_event event;
    struct whorl_condition condition;
    struct whorl_barrier barrier;
    struct whorl_queue queue;
    struct whorl_rwlock rwlock;
    struct whorl_once once;
    struct whorl_strand strand;
};

#define TOOLS                                                                                      \
    {WHORL_LOCK_INIT, WHORL_SEMAPHORE_INIT(1), WHORL_EVENT_INIT, WHORL_CONDITION_INIT,             \
     WHORL_BARRIER_INIT(1), WHORL_QUEUE_INIT(1), WHORL_RWLOCK_INIT, WHORL_ONCE_INIT,            \
     WHORL_STRAND_INIT}

static struct tools used = TOOLS;    /* somebody is in the middle of each when the process forks */
static struct tools unused = TOOLS;

/* As a thread has them that does not come along. */
static void turn_tools(void)
{
    (void)whorl__or_u32((uint32_t *)(void *)used.lock.opaque, WHORL__LINE_LOCKED);
    (void)whorl__or_u32(&used.semaphore.word, WHORL__LINE_LOCKED);
    (void)whorl__or_u64(used.strand.opaque, WHORL__STRAND_MEMBER);
    (void)whorl__or_u32((uint32_t *)(void *)used.event.opaque, WHORL__LINE_LOCKED);
    (void)whorl__or_u32((uint32_t *)(void *)used.condition.opaque, WHORL__LINE_LOCKED);
    (void)whorl__or_u32((uint32_t *)(void *)used.queue.opaque, WHORL__LINE_LOCKED);
    (void)whorl__or_u32((uint32_t *)(void *)used.rwlock.opaque, WHORL__LINE_LOCKED);
    (void)whorl__or_u32((uint32_t *)(void *)used.once.opaque, WHORL__LINE_LOCKED);
    (void)whorl__or_u32((uint32_t *)(void *)used.barrier.changed.own_lock.opaque,
                        WHORL__LINE_LOCKED);
}

static void return_tools(void)
{
    used = (struct tools)TOOLS;
}

static void check_used_locks(void)
{
    REFUSED(whorl_lock_acquire(&used.lock));
    REFUSED(whorl_lock_acquire_until(&used.lock, whorl_after(0)));
    REFUSED(whorl_lock_try_acquire(&used.lock));
    REFUSED(whorl_lock_release(&used.lock));
    REFUSED(whorl_lock_destroy(&used.lock));
    EXPECT(whorl_lock_locked(&used.lock), false);
    EXPECT(whorl_lock_owner(&used.lock) != NULL, false);
    whorl_lock_leave(&(struct whorl_lock *){&used.lock}); /* does nothing */
    REFUSED(whorl_semaphore_acquire(&used.semaphore));
    REFUSED(whorl_semaphore_acquire_until(&used.semaphore, whorl_after(0)));
    REFUSED(whorl_semaphore_try_acquire(&used.semaphore));
    REFUSED(whorl_semaphore_release(&used.semaphore));
    REFUSED(whorl_semaphore_destroy(&used.semaphore));
    whorl_semaphore_leave(&(struct whorl_semaphore *){&used.semaphore});
    EXPECT(whorl_semaphore_locked(&used.semaphore), true);
    EXPECT(whorl_semaphore_value(&used.semaphore), 1);
}

static int always(void *arg)
{
    (void)arg;
    return 7;
}

static void check_other_used_tools(void)
{
    REFUSED(whorl_event_wait(&used.event));
    REFUSED(whorl_event_wait_until(&used.event, whorl_after(0)));
    REFUSED(whorl_event_set(&used.event));
    REFUSED(whorl_event_clear(&used.event));
    REFUSED(whorl_event_destroy(&used.event));
    EXPECT(whorl_event_is_set(&used.event), false);
    REFUSED(whorl_condition_wait(&used.condition));
    REFUSED(whorl_condition_wait_until(&used.condition, whorl_after(0)));
    REFUSED(whorl_condition_notify(&used.condition, 1));
    REFUSED(whorl_condition_notify_all(&used.condition));
    REFUSED(whorl_condition_destroy(&used.condition));
    EXPECT(whorl_condition_wait_for(&used.condition, always, NULL, WHORL_NEVER), 7);
    REFUSED(whorl_barrier_wait(&used.barrier, NULL));
    REFUSED(whorl_barrier_wait_until(&used.barrier, whorl_after(0), NULL));
    REFUSED(whorl_barrier_reset(&used.barrier));
    REFUSED(whorl_barrier_abort(&used.barrier));
    REFUSED(whorl_barrier_destroy(&used.barrier));
    EXPECT(whorl_barrier_parties(&used.barrier), 1);
    EXPECT(whorl_barrier_n_waiting(&used.barrier), 0);
    EXPECT(whorl_barrier_broken(&used.barrier), false);
}

static void check_used_queue(void)
{
    void *item;
    REFUSED(whorl_queue_put(&used.queue, NULL));
    REFUSED(whorl_queue_put_until(&used.queue, NULL, whorl_after(0)));
    REFUSED(whorl_queue_try_put(&used.queue, NULL));
    REFUSED(whorl_queue_get(&used.queue, &item));
    REFUSED(whorl_queue_get_until(&used.queue, whorl_after(0), &item));
    REFUSED(whorl_queue_try_get(&used.queue, &item));
    REFUSED(whorl_queue_task_done(&used.queue));
    REFUSED(whorl_queue_join(&used.queue));
    REFUSED(whorl_queue_join_until(&used.queue, whorl_after(0)));
    REFUSED(whorl_queue_shutdown(&used.queue, true));
    REFUSED(whorl_queue_destroy(&used.queue));
    EXPECT(whorl_queue_size(&used.queue), 0);
    EXPECT(whorl_queue_empty(&used.queue), true);
    EXPECT(whorl_queue_full(&used.queue), false);
}

static void check_used_rwlock(void)
{
    REFUSED(whorl_rwlock_acquire_read(&used.rwlock));
    REFUSED(whorl_rwlock_acquire_read_until(&used.rwlock, whorl_after(0)));
    REFUSED(whorl_rwlock_try_acquire_read(&used.rwlock));
    REFUSED(whorl_rwlock_acquire_write(&used.rwlock));
    REFUSED(whorl_rwlock_acquire_write_until(&used.rwlock, whorl_after(0)));
    REFUSED(whorl_rwlock_try_acquire_write(&used.rwlock));
    REFUSED(whorl_rwlock_release_read(&used.rwlock));
    REFUSED(whorl_rwlock_release_write(&used.rwlock));
    REFUSED(whorl_rwlock_destroy(&used.rwlock));
    whorl_rwlock_leave_read(&(struct whorl_rwlock *){&used.rwlock});
    whorl_rwlock_leave_write(&(struct whorl_rwlock *){&used.rwlock});
    REFUSED(whorl_once_run(&used.once, hand_over, NULL));
    REFUSED(whorl_once_destroy(&used.once));
    REFUSED(whorl_strand_destroy(&used.strand));
    REFUSED(whorl_strand_enter(&used.strand));
    REFUSED(whorl_strand_run(&used.strand, NULL, always, NULL));
    REFUSED(whorl_strand_join(&used.strand, WHORL_NEVER));
    EXPECT(whorl_strand_current() == NULL, true);
    EXPECT(whorl_once_done(&used.once), false);
}

/* Each thing that may be in a case. */
static void check_used_cases(struct whorl_future *pending)
{
    struct whorl_select_case cases[] = {
        WHORL_CASE_GET(&used.queue), WHORL_CASE_PUT(&used.queue, NULL), WHORL_CASE_DONE(pending),
        WHORL_CASE_EVENT(&used.event), WHORL_CASE_LOCK(&used.lock),
        WHORL_CASE_SEMAPHORE(&used.semaphore)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        REFUSED(whorl_select(&cases[i], 1));
        REFUSED(whorl_select_until(&cases[i], 1, whorl_after(0)));
        REFUSED(whorl_select_try(&cases[i], 1));
        EXPECT(cases[i].error, -ECHILD);
    }
}

/* Of what is the child's own. */
static void check_cases(struct tools *tools)
{
    struct whorl_select_case cases[] = {WHORL_CASE_GET(&tools->queue), WHORL_CASE_NEVER};
    EXPECT(whorl_select_until(cases, 2, whorl_after(0)), -ETIMEDOUT);
    cases[1] = (struct whorl_select_case)WHORL_CASE_LOCK(&tools->lock);
    EXPECT(whorl_select(cases, 2), 1);
    EXPECT(whorl_select_try(cases, 2), -EAGAIN);
    EXPECT(whorl_lock_release(&tools->lock), 0);
}

static int work(void *arg)
{
    (void)arg;
    return 0;
}

static void check_rwlock(struct tools *tools)
{
    EXPECT(whorl_rwlock_acquire_read(&tools->rwlock), 0);
    EXPECT(whorl_rwlock_acquire_write_until(&tools->rwlock, whorl_after(0)), -ETIMEDOUT);
    EXPECT(whorl_rwlock_release_read(&tools->rwlock), 0);
    EXPECT(whorl_rwlock_acquire_write(&tools->rwlock), 0);
    EXPECT(whorl_rwlock_release_write(&tools->rwlock), 0);
    EXPECT(whorl_rwlock_destroy(&tools->rwlock), 0);
    EXPECT(whorl_once_run(&tools->once, work, NULL), 0);
    EXPECT(whorl_once_done(&tools->once), true);
    EXPECT(whorl_once_destroy(&tools->once), 0);
    EXPECT(whorl_strand_join(&tools->strand, WHORL_NEVER), 0);
    EXPECT(whorl_strand_destroy(&tools->strand), 0);
}

static void check_queue(struct whorl_queue *queue)
{
    void *item = NULL;
    EXPECT(whorl_queue_put(queue, &wrong), 0);
    EXPECT(whorl_queue_put_until(queue, NULL, whorl_after(0)), -ETIMEDOUT);
    EXPECT(whorl_queue_try_put(queue, NULL), -EAGAIN);
    EXPECT(whorl_queue_get(queue, &item), 0);
    EXPECT(item == &wrong, true);
    EXPECT(whorl_queue_task_done(queue), 0);
    EXPECT(whorl_queue_join(queue), 0);
    EXPECT(whorl_queue_shutdown(queue, false), 0);
    EXPECT(whorl_queue_destroy(queue), 0);
}

/* What nobody used when the process forked is the child's as well as the parent's. */
static void check_tools(struct tools *tools)
{
    check_cases(tools);
    EXPECT(whorl_lock_acquire(&tools->lock), 0);
    EXPECT(whorl_lock_acquire_until(&tools->lock, whorl_after(0)), -ETIMEDOUT);
    EXPECT(whorl_lock_release(&tools->lock), 0);
    EXPECT(whorl_semaphore_acquire(&tools->semaphore), 0);
    EXPECT(whorl_semaphore_try_acquire(&tools->semaphore), -EAGAIN);
    EXPECT(whorl_semaphore_release(&tools->semaphore), 0);
    EXPECT(whorl_event_wait_until(&tools->event, whorl_after(0)), -ETIMEDOUT);
    EXPECT(whorl_event_set(&tools->event), 0);
    EXPECT(whorl_event_wait(&tools->event), 0);
    EXPECT(whorl_lock_acquire(whorl_condition_lock(&tools->condition)), 0);
    EXPECT(whorl_condition_wait_until(&tools->condition, whorl_after(0)), -ETIMEDOUT);
    EXPECT(whorl_condition_notify(&tools->condition, 1), 0);
    EXPECT(whorl_lock_release(whorl_condition_lock(&tools->condition)), 0);
    EXPECT(whorl_barrier_wait(&tools->barrier, NULL), 0);
    EXPECT(whorl_lock_destroy(&tools->lock), 0);
    EXPECT(whorl_semaphore_destroy(&tools->semaphore), 0);
    EXPECT(whorl_event_destroy(&tools->event), 0);
    EXPECT(whorl_condition_destroy(&tools->condition), 0);
    EXPECT(whorl_barrier_destroy(&tools->barrier), 0);
    check_queue(&tools->queue);
    check_rwlock(tools);
}

static void check_new_tools(void)
{
    struct tools fresh;
    EXPECT(whorl_lock_init(&fresh.lock, 0), 0);
    EXPECT(whorl_semaphore_init(&fresh.semaphore, 1, 0), 0);
    EXPECT(whorl_event_init(&fresh.event), 0);
    EXPECT(whorl_condition_init(&fresh.condition, NULL), 0);
    EXPECT(whorl_barrier_init(&fresh.barrier, 1), 0);
    EXPECT(whorl_rwlock_init(&fresh.rwlock), 0);
    EXPECT(whorl_once_init(&fresh.once), 0);
    EXPECT(whorl_strand_init(&fresh.strand), 0);
    EXPECT(whorl_queue_init(&fresh.queue, WHORL_QUEUE_FIFO, 1, NULL), 0);
    check_tools(&fresh);
}

static void check_the_rest(void)
{
    struct whorl_future *future = NULL;
    EXPECT(strcmp(whorl_error_name(-ECHILD), "ECHILD"), 0);
    EXPECT(strlen(whorl_error_text(-ECHILD)) > 0, true);
    EXPECT(strlen(whorl_strerror(-ECHILD)) > 0, true);
    EXPECT(whorl_now() > 0 && whorl_after(1) > 0, true);
    EXPECT(whorl_future_new(&future), 0);
    EXPECT(whorl_future_join(future, whorl_after(0), NULL), -ETIMEDOUT);
    EXPECT(whorl_future_set_result(future, NULL), 0);
    EXPECT(whorl_future_await(future, NULL), 0);
    EXPECT(whorl_blocking_begin("child"), 0);
    EXPECT(whorl_blocking_end(), 0);
    whorl_future_unref(future);
}

static void check_all(void *arg)
{
    struct estate *const estate = arg;
    check_calls_of_a_task();
    check_calls_on_descriptors(estate->listener);
    check_tasks(estate->sleeper, estate->finished);
    check_futures(estate);
    check_callbacks(estate);
    if (estate->open != NULL) {
        check_open_timeout(estate->open);
        check_open_group(estate->group);
        whorl_shield_end(estate->section); /* does nothing */
    }
    EXPECT(strcmp(whorl_task_name(estate->unnamed), ""), 0);
    check_inherited_runtime((struct whorl_runtime *)(void *)estate->sleeper->runtime,
                            estate->pending);
    check_reports();
    check_contexts(estate);
    check_generators(estate);
    check_exit_stacks(estate);
    check_calls_about_runtimes();
    check_calls_of_a_simulation();
    check_executor(estate->executor);
    if (children_start_threads) {
        check_own_executor();
    }
    check_used_locks();
    check_other_used_tools();
    check_used_queue();
    check_used_rwlock();
    check_used_cases(estate->pending);
    check_tools(&unused);
    check_new_tools();
    check_the_rest();
    if (estate->after != NULL) {
        estate->after(estate);
    }
}

/* ---- the parent ---- */

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return whorl_sleep_until(WHORL_NEVER);
}

static int end_with_value(void *arg)
{
    return whorl_return(arg);
}

static int yield_once(void *arg)
{
    return whorl_generator_yield(arg, NULL);
}

/* From a task or a thread, which plays all that did not come along with its locks held. */
static void fork_in(struct estate *estate)
{
    wait_until_all_others_sleep();
    take_locks(estate);
    turn_tools();
    estate->status = run_child(
        &(struct child){.body = check_all, .arg = estate, .exits = estate->exits});
    return_tools();
    give_locks(estate);
}

static void *fork_in_thread(void *arg)
{
    fork_in(arg);
    return NULL;
}

static int make_estate(struct estate *estate)
{
    const struct whorl_attr named = {.name = "sleeper"};
    must(whorl_spawn(sleep_for_ever, NULL, &named, &estate->sleeper));
    estate->unnamed = start(sleep_for_ever, NULL);
    estate->finished = start(end_with_value, &ends);
    must(whorl_await(estate->finished, NULL));
    estate->pending = new_future();
    estate->done = new_future();
    must(whorl_future_set_result(estate->done, &wrong));
    must(whorl_gather_start(&estate->pending, 1, 0, &estate->gather));
    must(whorl_context_new(&estate->context));
    must(whorl_as_completed(&estate->pending, 1, WHORL_NEVER, &estate->completed));
    must(whorl_shield(estate->pending, &estate->shield));
    must(whorl_executor_new(NULL, &estate->executor));
    must(whorl_executor_submit(estate->executor, hand_over, NULL, NULL, NULL));
    must(whorl_call_later(3600 * WHORL_SECOND, not_called_either, NULL, NULL, &estate->timer));
    must(whorl_generator_new(yield_once, NULL, NULL, &estate->generator));
    must(whorl_generator_next(estate->generator, NULL));
    estate->listener = whorl_tcp_listen("127.0.0.1", 0, 0, 0);
    return estate->listener < 0 ? estate->listener : whorl_sleep(WHORL_MILLISECOND);
}

/* All that the child was refused still works here. */
static int use_estate_up(struct estate *estate)
{
    void *value;
    must(whorl_future_set_result(estate->pending, &ends));
    must(whorl_future_await(estate->gather, &value));
    size_t index;
    must(whorl_completed_next(estate->completed, &index));
    whorl_completed_free(estate->completed);
    const int port = whorl_socket_port(estate->listener);
    const int fd = whorl_tcp_connect("127.0.0.1", port);
    const int peer = whorl_accept(estate->listener);
    char byte = 'x';
    const bool talks = whorl_write(fd, &byte, 1) == 1 && whorl_read(peer, &byte, 1) == 1;
    (void)whorl_close(fd);
    (void)whorl_close(peer);
    (void)whorl_close(estate->listener);
    const bool asked = whorl_cancel(estate->sleeper, NULL) && whorl_cancel(estate->unnamed, NULL);
    const bool ended = finish(estate->sleeper) == -ECANCELED &&
                       finish(estate->unnamed) == -ECANCELED && finish(estate->finished) == 0;
    must(whorl_generator_close(estate->generator));
    whorl_generator_unref(estate->generator);
    whorl_context_unref(estate->context);
    const bool disarmed = whorl_handle_cancel(estate->timer);
    whorl_handle_unref(estate->timer);
    whorl_future_unref(estate->gather);
    whorl_future_unref(estate->shield);
    whorl_future_unref(estate->pending);
    whorl_future_unref(estate->done);
    const int still = whorl_executor_submit(estate->executor, hand_over, NULL, NULL, NULL);
    must(whorl_executor_shutdown(estate->executor, 0, WHORL_NEVER));
    whorl_executor_free(estate->executor);
    return still == 0 && talks && asked && ended && disarmed ? 0 : -EPROTO;
}

static int fork_from_task(void *arg)
{
    struct estate *const estate = arg;
    struct whorl_timeout timeout;
    struct whorl_group group;
    struct whorl_shield section;
    must(make_estate(estate));
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(whorl_group_begin(&group));
    estate->open = &timeout;
    estate->group = &group;
    must(whorl_shield_begin(&section));
    estate->section = &section;
    fork_in(estate);
    whorl_shield_end(&section);
    must(whorl_group_end(&group, 0, NULL));
    must(whorl_timeout_exit(&timeout, 0));
    return use_estate_up(estate);
}

static int fork_from_thread(void *arg)
{
    struct estate *const estate = arg;
    pthread_t thread;
    must(make_estate(estate));
    must(pthread_create(&thread, NULL, fork_in_thread, estate));
    must(pthread_join(thread, NULL));
    return use_estate_up(estate);
}

static void assert_fork_is_survived(int loops, whorl_body *body, struct estate estate)
{
    children_start_threads = child_can_start_threads();
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(play(loops, body, &estate), 0);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(estate.status, 0);
}

static void test_loop_22_child_of_a_task_is_refused_everything_at_once(void **state)
{
    /* -ECHILD from each call that the parent's runtime would have to answer, with its locks held */
    (void)state;
    assert_fork_is_survived(1, fork_from_task, (struct estate){0});
    assert_fork_is_survived(2, fork_from_task, (struct estate){0});
}

static void test_child_of_a_thread_is_refused_everything_at_once(void **state)
{
    /* The same for a thread that the program made, while the runtime runs elsewhere. */
    (void)state;
    assert_fork_is_survived(1, fork_from_thread, (struct estate){0});
    assert_fork_is_survived(2, fork_from_thread, (struct estate){0});
}

/* ---- a runtime of its own ---- */

static int read_one(void *arg)
{
    char byte;
    return whorl_read(*(int *)arg, &byte, 1) == 1 ? 0 : -EPROTO;
}

/* Tasks, timers and sockets; what is inherited stays refused, what it adopts is its own. */
static int live(void *arg)
{
    struct estate *const estate = arg;
    const struct whorl_attr elsewhere = {.pin = WHORL_PIN(1)};
    struct whorl_task *reader;
    EXPECT(whorl_loop_count(), 2);
    EXPECT(whorl_sleep(WHORL_MILLISECOND), 0);
    int listener = whorl_tcp_listen("127.0.0.1", 0, 0, 0);
    const int fd = whorl_tcp_connect("127.0.0.1", whorl_socket_port(listener));
    int peer = whorl_accept(listener);
    EXPECT(listener >= 0 && fd >= 0 && peer >= 0, true);
    EXPECT(whorl_spawn(read_one, &peer, &elsewhere, &reader), 0);
    EXPECT(whorl_write(fd, "x", 1), 1);
    EXPECT(finish(reader), 0);
    EXPECT(whorl_close(fd) + whorl_close(peer) + whorl_close(listener), 0);
    REFUSED(whorl_await(estate->sleeper, NULL));
    REFUSED(whorl_future_await(estate->pending, NULL));
    REFUSED(whorl_spawn_remote(estate->sleeper, never_run, NULL, NULL, NULL));
    EXPECT(whorl_future_await(estate->done, NULL), 0);
    EXPECT(whorl_accept(estate->listener), -EBADF);
    EXPECT(whorl_run(never_run, NULL, NULL), -EBUSY);
    return -ENOTTY;
}

/* Also one that is played. */
static void simulate(void)
{
    char text[WHORL_SIM_SEED_TEXT_MAX];
    uint64_t seed = 0;
    whorl_sim_seed_format(7, text);
    EXPECT(whorl_sim_seed_parse(text, &seed), 0);
    EXPECT(whorl_sim_run(seed, NULL, end_with_value, NULL), 0);
    EXPECT(whorl_sim_explore(1, 2, NULL, end_with_value, NULL, &seed), 0);
    EXPECT(seed, 2);
    EXPECT(whorl_test_simulate("played", end_with_value, NULL, 1), 0);
    EXPECT(whorl_test_run("run", end_with_value, NULL), 0);
}

static void run_own(struct estate *estate)
{
    const struct whorl_options options = {.loops = 2, .no_pin = 1};
    EXPECT(whorl_run(live, estate, &options), -ENOTTY);
    EXPECT(whorl_run(live, estate, &options), -ENOTTY);
    simulate();
    REFUSED(whorl_yield());
}

static void skip_unless_children_start_threads(void)
{
    if (!child_can_start_threads()) {
        skip();
    }
}

static void test_loop_22_child_runs_a_runtime_of_its_own(void **state)
{
    /* Twice in a row, with loops, timers, sockets; by a child of a task, and of a thread. */
    (void)state;
    skip_unless_children_start_threads();
    assert_fork_is_survived(2, fork_from_task, (struct estate){.after = run_own});
    assert_fork_is_survived(2, fork_from_thread, (struct estate){.after = run_own});
}

static void test_child_exits_in_the_ordinary_way(void **state)
{
    /* exit(3) from the stack of a task that is not there any more: atexit, stdio and all. */
    (void)state;
#if defined(WHORL_ASAN)
    skip(); /* its leak check knows no stack of a thread that did not come along */
#endif
    assert_fork_is_survived(2, fork_from_task, (struct estate){.exits = true});
    assert_fork_is_survived(2, fork_from_thread, (struct estate){.exits = true, .after = run_own});
}

/* ---- what the forking thread was ---- */

struct before {
    cpu_set_t affinity;
    int loops;
    int status;
};

static int count_loops(void *arg)
{
    *(int *)arg = whorl_loop_count();
    return 0;
}

static void check_self(void *arg)
{
    const struct before *const before = arg;
    cpu_set_t affinity;
    char comm[32] = "";
    int loops = 0;
    EXPECT(sched_getaffinity(0, sizeof affinity, &affinity), 0);
    EXPECT(CPU_EQUAL(&affinity, &before->affinity), true);
    EXPECT(whorl_run(count_loops, &loops, NULL), 0);
    EXPECT(loops, before->loops);
    EXPECT(pthread_getname_np(pthread_self(), comm, sizeof comm), 0);
    EXPECT(strncmp(comm, program_invocation_short_name, 15), 0);
}

static int fork_pinned(void *arg)
{
    struct before *const before = arg;
    before->loops = whorl_loop_count();
    wait_until_all_others_sleep();
    before->status = run_child(&(struct child){.body = check_self, .arg = before});
    return 0;
}

static void test_child_of_a_loop_is_neither_pinned_nor_named_after_it(void **state)
{
    /* Or it would believe that the machine has one core, and ps would call it whorl-0. */
    (void)state;
    skip_unless_children_start_threads();
    struct before before;
    assert_int_equal(sched_getaffinity(0, sizeof before.affinity, &before.affinity), 0);
    assert_int_equal(whorl_run(fork_pinned, &before, NULL), 0);
    assert_int_equal(before.status, 0);
}

/* ---- others wait, and no lock is held ---- */

static struct tools waited_for = TOOLS;

static int wait_at_barrier(void *index)
{
    return whorl_barrier_wait(&waited_for.barrier, index);
}

static int wait_for_change(void *arg)
{
    (void)arg;
    must(whorl_lock_acquire(whorl_condition_lock(&waited_for.condition)));
    const int error = whorl_condition_wait(&waited_for.condition);
    must(whorl_lock_release(whorl_condition_lock(&waited_for.condition)));
    return error;
}

/* The lock of each is free: what shows that somebody waits is in another word. */
static void check_waited_for(void *arg)
{
    struct whorl_lock *const lock = whorl_condition_lock(&waited_for.condition);
    (void)arg;
    REFUSED(whorl_barrier_wait_until(&waited_for.barrier, whorl_after(0), NULL));
    REFUSED(whorl_barrier_wait(&waited_for.barrier, NULL));
    REFUSED(whorl_barrier_reset(&waited_for.barrier));
    REFUSED(whorl_barrier_abort(&waited_for.barrier));
    REFUSED(whorl_barrier_destroy(&waited_for.barrier));
    EXPECT(whorl_lock_acquire(lock), 0);
    REFUSED(whorl_condition_wait(&waited_for.condition));
    REFUSED(whorl_condition_notify_all(&waited_for.condition));
    EXPECT(whorl_lock_release(lock), 0);
    REFUSED(whorl_condition_destroy(&waited_for.condition));
}

static int fork_beside_waiters(void *arg)
{
    int *const status = arg;
    struct whorl_task *waiters[3];
    waited_for = (struct tools)TOOLS;
    must(whorl_barrier_init(&waited_for.barrier, 3));
    waiters[0] = start(wait_at_barrier, NULL);
    waiters[1] = start(wait_at_barrier, NULL);
    waiters[2] = start(wait_for_change, NULL);
    settle();
    wait_until_all_others_sleep();
    *status = run_child(&(struct child){.body = check_waited_for});
    must(whorl_barrier_wait(&waited_for.barrier, NULL));
    (void)whorl_cancel(waiters[2], NULL);
    must(finish(waiters[0]));
    must(finish(waiters[1]));
    return finish(waiters[2]);
}

static void test_child_is_refused_what_others_wait_at_without_a_lock(void **state)
{
    /* It must neither count those who did not come along nor walk along their stacks. */
    (void)state;
    int status = -1;
    assert_int_equal(play(1, fork_beside_waiters, &status), -ECANCELED);
    assert_int_equal(status, 0);
    assert_int_equal(play(2, fork_beside_waiters, &status), -ECANCELED);
    assert_int_equal(status, 0);
}

/* ---- a body that returns ---- */

struct returned {
    int status;
    char text[512];
};

static void read_all(int fd, char *text, size_t room)
{
    size_t length = 0;
    ssize_t got;
    while ((got = read(fd, text + length, room - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
}

static int fork_and_return(void *arg)
{
    struct returned *const returned = arg;
    const struct rlimit no_core = {0, 0};
    int pipe_ends[2];
    must(pipe(pipe_ends));
    const pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(HANG_S);
        dup2(pipe_ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        return 0;
    }
    close(pipe_ends[1]);
    read_all(pipe_ends[0], returned->text, sizeof returned->text);
    close(pipe_ends[0]);
    returned->status = end_of(pid);
    return 0;
}

static void test_body_that_returns_in_a_child_is_told_to_exit(void **state)
{
    /* Its loop is not there to take it back: said in words, not by a hang. */
    (void)state;
    struct returned returned = {0};
    assert_int_equal(play(2, fork_and_return, &returned), 0);
    assert_true(WIFSIGNALED(returned.status));
    assert_int_equal(WTERMSIG(returned.status), SIGABRT);
    assert_non_null(strstr(returned.text, "a body has returned in a child of fork"));
}

/* ---- in the middle of everything ---- */

#define FORKS 20

struct turmoil {
    uint32_t stop; /* A */
    int bad;
};

static int do_little(void *arg)
{
    (void)arg;
    const int error = whorl_sleep(0);
    return error != 0 ? error : whorl_sleep(1);
}

static int do_much(void *arg)
{
    struct turmoil *const turmoil = arg;
    while (whorl__load_acquire_u32(&turmoil->stop) == 0) { /* acquire, pairs the test's */
        struct whorl_task *tasks[8];
        for (int i = 0; i < 8; i++) {
            tasks[i] = start(do_little, NULL);
        }
        must(whorl_gather(tasks, 8, 0, NULL));
        for (int i = 0; i < 8; i++) {
            whorl_task_unref(tasks[i]);
        }
    }
    return 0;
}

static void *run_long(void *arg)
{
    const struct whorl_options options = {.loops = 2, .no_pin = 1};
    must(whorl_run(do_much, arg, &options));
    return NULL;
}

/* Starts and stops all the time: forks come while a topology is read, or handlers are set. */
static void *run_often(void *arg)
{
    struct turmoil *const turmoil = arg;
    const struct whorl_options options = {.loops = 1, .no_pin = 1};
    while (whorl__load_acquire_u32(&turmoil->stop) == 0) { /* acquire, pairs the test's */
        must(whorl_run(do_little, NULL, &options));
    }
    return NULL;
}

static void run_short(void *arg)
{
    const struct whorl_options options = {.loops = 2, .no_pin = 1};
    (void)arg;
    EXPECT(whorl_run(do_little, NULL, &options), 0);
}

static void test_forks_in_the_middle_of_everything(void **state)
{
    /* Runtimes run, start and stop on other threads; each child then runs one of its own. */
    (void)state;
#if defined(WHORL_ASAN)
    skip(); /* another thread may hold a lock of its allocator, which knows nothing of fork */
#endif
    skip_unless_children_start_threads();
    struct turmoil turmoil = {0};
    pthread_t threads[2];
    const char *const scale = getenv("WHORL_TEST_SCALE");
    const int forks = FORKS * (scale != NULL && atoi(scale) > 0 ? atoi(scale) : 1);
    assert_int_equal(pthread_create(&threads[0], NULL, run_long, &turmoil), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, run_often, &turmoil), 0);
    for (int i = 0; i < forks; i++) {
        turmoil.bad += run_child(&(struct child){.body = run_short}) != 0;
    }
    whorl__store_release_u32(&turmoil.stop, 1); /* pairs the loops above */
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    assert_int_equal(turmoil.bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_22_child_of_a_task_is_refused_everything_at_once),
        cmocka_unit_test(test_child_of_a_thread_is_refused_everything_at_once),
        cmocka_unit_test(test_loop_22_child_runs_a_runtime_of_its_own),
        cmocka_unit_test(test_child_exits_in_the_ordinary_way),
        cmocka_unit_test(test_child_of_a_loop_is_neither_pinned_nor_named_after_it),
        cmocka_unit_test(test_child_is_refused_what_others_wait_at_without_a_lock),
        cmocka_unit_test(test_body_that_returns_in_a_child_is_told_to_exit),
        cmocka_unit_test(test_forks_in_the_middle_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
