/*
 * trial.c - see trial.h.
 */
#include "support/trial.h"

#include "support/net.h"
#include "support/play.h"

#include "atomic/atomic.h"
#include "base/compiler.h"
#include "base/random.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define WATCHDOG_S   50
#define COUNTED_RUNS 4
#define FIRST_TRIES  8 /* of a first call that a run may happen not to make */

#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102
#endif

/* ---- what may fail, and how ---- */

struct way {
    enum faults_entry entry;
    int detail;
    enum faults_way way;
    int error;
};

/*
 * What Linux documents for each call, with arguments as whorl passes them: no EFAULT for pointers
 * that are good, no EBADF for a number that is open. Ways of one entry and detail stand together.
 * SHORT and the error 0 are no errors, and happen all the same.
 */
static const struct way ways[] = {
    {FAULTS_alloc, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_map, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_map, 0, FAULTS_REFUSED, -EAGAIN},   /* all memory is locked, and that is limited */
    {FAULTS_unmap, 0, FAULTS_REFUSED, -ENOMEM}, /* too many mappings */
    {FAULTS_protect, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_protect, 0, FAULTS_REFUSED, -EACCES},
    {FAULTS_advise, MADV_GUARD_INSTALL, FAULTS_REFUSED, -EINVAL},
    {FAULTS_advise, MADV_GUARD_INSTALL, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_advise, MADV_GUARD_INSTALL, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_advise, MADV_DONTNEED, FAULTS_REFUSED, -EINVAL},
    {FAULTS_advise, MADV_DONTNEED, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_thread_start, 0, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_thread_start, 0, FAULTS_REFUSED, -EPERM},
    {FAULTS_thread_start, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_thread_join, 0, FAULTS_DONE, -ESRCH},
    {FAULTS_thread_join, 0, FAULTS_DONE, -EINVAL},
    {FAULTS_thread_cpu_ns, 0, FAULTS_REFUSED, -ESRCH},
    {FAULTS_thread_cpu_ns, 0, FAULTS_REFUSED, -ENOENT},
    {FAULTS_thread_signal, 0, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_thread_signal, 0, FAULTS_REFUSED, -ESRCH},
    {FAULTS_signal_stack, FAULTS_STACK_ASKED, FAULTS_REFUSED, -EPERM}, /* by a filter only */
    {FAULTS_signal_stack, FAULTS_STACK_GIVEN, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_signal_stack, FAULTS_STACK_GIVEN, FAULTS_REFUSED, -EPERM},
    {FAULTS_signal_stack, FAULTS_STACK_TAKEN, FAULTS_REFUSED, -EPERM},
    {FAULTS_futex_wait, 0, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_futex_wait, 0, FAULTS_REFUSED, -EINTR},
    {FAULTS_futex_wait, 0, FAULTS_REFUSED, 0},
    {FAULTS_futex_wake, 0, FAULTS_DONE, -EFAULT}, /* the waiter has gone, and its page with it */
    {FAULTS_epoll_create, 0, FAULTS_REFUSED, -EMFILE},
    {FAULTS_epoll_create, 0, FAULTS_REFUSED, -ENFILE},
    {FAULTS_epoll_create, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_epoll_ctl, EPOLL_CTL_ADD, FAULTS_REFUSED, -ENOSPC},
    {FAULTS_epoll_ctl, EPOLL_CTL_ADD, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_epoll_ctl, EPOLL_CTL_DEL, FAULTS_DONE, -ENOENT},
    {FAULTS_epoll_ctl, EPOLL_CTL_DEL, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_epoll_wait, 0, FAULTS_REFUSED, -EINTR},
    {FAULTS_epoll_wait, 0, FAULTS_REFUSED, 0},
    {FAULTS_eventfd, 0, FAULTS_REFUSED, -EMFILE},
    {FAULTS_eventfd, 0, FAULTS_REFUSED, -ENFILE},
    {FAULTS_eventfd, 0, FAULTS_REFUSED, -ENODEV},
    {FAULTS_eventfd, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_poll, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_poll, 0, FAULTS_REFUSED, -EINVAL}, /* the limit of open files is 0 */
    {FAULTS_read, 0, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_read, 0, FAULTS_SHORT, 0},
    {FAULTS_read, 0, FAULTS_REFUSED, -EIO},
    {FAULTS_read, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_read, 0, FAULTS_REFUSED, -ENOBUFS},
    {FAULTS_read, 0, FAULTS_REFUSED, -EHOSTUNREACH}, /* an ICMP error; the stream goes on */
    {FAULTS_write, EFAULT, FAULTS_REFUSED, -EINTR},
    {FAULTS_write, EFAULT, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_writev_quiet, 0, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_writev_quiet, 0, FAULTS_SHORT, 0},
    {FAULTS_writev_quiet, 0, FAULTS_REFUSED, -EIO},
    {FAULTS_writev_quiet, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_close, 0, FAULTS_DONE, -EIO},
    {FAULTS_close, 0, FAULTS_DONE, -ENOSPC},
    {FAULTS_close, 0, FAULTS_DONE, -EDQUOT},
    {FAULTS_dup, 0, FAULTS_REFUSED, -EMFILE},
    {FAULTS_set_nonblocking, 0, FAULTS_REFUSED, -EPERM},
    {FAULTS_set_nonblocking, 0, FAULTS_REFUSED, -EACCES},
    {FAULTS_read_file, 0, FAULTS_REFUSED, -ENOENT},
    {FAULTS_read_file, 0, FAULTS_REFUSED, -EACCES},
    {FAULTS_read_file, 0, FAULTS_REFUSED, -EMFILE},
    {FAULTS_read_file, 0, FAULTS_REFUSED, -EIO},
    {FAULTS_read_file, 0, FAULTS_SHORT, 0},
    {FAULTS_socket, 0, FAULTS_REFUSED, -EMFILE},
    {FAULTS_socket, 0, FAULTS_REFUSED, -ENFILE},
    {FAULTS_socket, 0, FAULTS_REFUSED, -ENOBUFS},
    {FAULTS_socket, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_socket, 0, FAULTS_REFUSED, -EACCES},
    {FAULTS_socket, 0, FAULTS_REFUSED, -EAFNOSUPPORT},
    {FAULTS_bind, 0, FAULTS_REFUSED, -EADDRINUSE},
    {FAULTS_bind, 0, FAULTS_REFUSED, -EADDRNOTAVAIL},
    {FAULTS_bind, 0, FAULTS_REFUSED, -EACCES},
    {FAULTS_bind, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_listen, 0, FAULTS_REFUSED, -EADDRINUSE},
    {FAULTS_listen, 0, FAULTS_REFUSED, -EOPNOTSUPP},
    {FAULTS_accept, 0, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_accept, 0, FAULTS_REFUSED, -ECONNABORTED},
    {FAULTS_accept, 0, FAULTS_REFUSED, -EPROTO},
    {FAULTS_accept, 0, FAULTS_REFUSED, -EPERM},
    {FAULTS_accept, 0, FAULTS_REFUSED, -ENETDOWN},
    {FAULTS_accept, 0, FAULTS_REFUSED, -EHOSTUNREACH},
    {FAULTS_accept, 0, FAULTS_REFUSED, -EMFILE},
    {FAULTS_accept, 0, FAULTS_REFUSED, -ENFILE},
    {FAULTS_accept, 0, FAULTS_REFUSED, -ENOBUFS},
    {FAULTS_accept, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_accept, 0, FAULTS_REFUSED, -EINVAL}, /* it does not listen */
    {FAULTS_accept, 0, FAULTS_REFUSED, -EOPNOTSUPP},
    {FAULTS_connect, 0, FAULTS_REFUSED, -ECONNREFUSED},
    {FAULTS_connect, 0, FAULTS_REFUSED, -ENETUNREACH},
    {FAULTS_connect, 0, FAULTS_REFUSED, -ETIMEDOUT},
    {FAULTS_connect, 0, FAULTS_REFUSED, -EADDRNOTAVAIL},
    {FAULTS_connect, 0, FAULTS_REFUSED, -EACCES},
    {FAULTS_connect, 1, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_connect, 1, FAULTS_DONE, -EINPROGRESS}, /* or interrupted */
    {FAULTS_send, 0, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_send, 0, FAULTS_SHORT, 0},
    {FAULTS_send, 0, FAULTS_REFUSED, -ENOBUFS},
    {FAULTS_send, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_send, 0, FAULTS_REFUSED, -EHOSTUNREACH},
    {FAULTS_sendmsg, 0, FAULTS_REFUSED, -EAGAIN},
    {FAULTS_sendmsg, 0, FAULTS_SHORT, 0},
    {FAULTS_sendmsg, 0, FAULTS_REFUSED, -ENOBUFS},
    {FAULTS_sendmsg, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_shutdown, 0, FAULTS_REFUSED, -ENOTCONN},
    {FAULTS_getsockopt, 0, FAULTS_REFUSED, -ENOBUFS},
    {FAULTS_getsockopt, 0, FAULTS_REFUSED, -ENOPROTOOPT},
    {FAULTS_setsockopt, 0, FAULTS_REFUSED, -ENOMEM},
    {FAULTS_setsockopt, 0, FAULTS_REFUSED, -ENOPROTOOPT},
    {FAULTS_getsockname, 0, FAULTS_REFUSED, -ENOBUFS},
};

enum { WAY_COUNT = sizeof ways / sizeof ways[0] };

/* In which phases an entry must have failed at least once, or why it never does. */
struct duty {
    bool due[FAULTS_PHASE_COUNT];
    const char *never; /* it must then not be among the ways */
    bool unused;       /* and this one must not even be called while nothing fails */
    bool elsewhere;    /* not due in the other phases: another test has it */
};

#define IN_START   .due[FAULTS_START] = true
#define IN_SERVICE .due[FAULTS_SERVICE] = true
#define IN_STOP    .due[FAULTS_STOP] = true
#define UNUSED     .never = "whorl does not call it", .unused = true

/* ASan gives each thread a signal stack of its own; what is not ours is not taken away. A loop that
 * begins late asks for its own when the main task runs already: that belongs to the start. */
#if defined(WHORL_ASAN)
#    define OWN_STACK_IN_STOP .elsewhere = true
#else
#    define OWN_STACK_IN_STOP IN_STOP, .elsewhere = true
#endif

static const struct duty duties[FAULTS_ENTRY_COUNT] = {
    [FAULTS_alloc] = {IN_START, IN_SERVICE, IN_STOP},
    [FAULTS_free] = {.never = "it returns nothing"},
    [FAULTS_map] = {IN_START, IN_SERVICE},
    [FAULTS_unmap] = {IN_START, IN_STOP},
    [FAULTS_protect] = {IN_START, IN_SERVICE},
    [FAULTS_advise] = {IN_START, IN_SERVICE},
    [FAULTS_now_ns] = {.never = "the clock is always there; it returns a time"},
    [FAULTS_thread_start] = {IN_START},
    [FAULTS_thread_start_quiet] = {.never = "of an executor: api/test_executor.c", .unused = true},
    [FAULTS_thread_detach] = {.never = "it returns nothing", .unused = true},
    [FAULTS_thread_join] = {IN_START, IN_STOP},
    [FAULTS_thread_id] = {.never = "gettid has no errors"},
    [FAULTS_thread_cpu_ns] = {IN_SERVICE},
    [FAULTS_thread_signal] = {IN_SERVICE},
    [FAULTS_signal_stack] = {IN_START, OWN_STACK_IN_STOP},
    [FAULTS_yield] = {.never = "it returns nothing"},
    [FAULTS_futex_wait] = {IN_START, IN_SERVICE, IN_STOP},
    [FAULTS_futex_wake] = {IN_SERVICE, IN_STOP},
    [FAULTS_epoll_create] = {IN_START},
    [FAULTS_epoll_ctl] = {IN_START, IN_SERVICE, IN_STOP},
    [FAULTS_epoll_wait] = {IN_START, IN_SERVICE, IN_STOP},
    [FAULTS_eventfd] = {IN_START},
    [FAULTS_poll] = {IN_SERVICE, IN_STOP},
    [FAULTS_read] = {IN_SERVICE, IN_STOP},
    [FAULTS_write] = {IN_START, .elsewhere = true}, /* of a wake-up: test_outside.c */
    [FAULTS_writev] = {UNUSED},
    [FAULTS_writev_quiet] = {IN_SERVICE, IN_STOP},
    [FAULTS_close] = {IN_START, IN_SERVICE, IN_STOP},
    [FAULTS_dup] = {IN_SERVICE, IN_STOP},
    [FAULTS_set_nonblocking] = {IN_SERVICE},
    [FAULTS_read_file] = {IN_START, IN_SERVICE},
    [FAULTS_unlink] = {.never = "called only where something else has failed", .unused = true},
    [FAULTS_socket] = {IN_SERVICE, IN_STOP},
    [FAULTS_bind] = {IN_SERVICE},
    [FAULTS_listen] = {IN_SERVICE},
    [FAULTS_accept] = {IN_SERVICE, IN_STOP},
    [FAULTS_connect] = {IN_SERVICE, IN_STOP},
    [FAULTS_recv] = {UNUSED},
    [FAULTS_send] = {IN_SERVICE, IN_STOP},
    [FAULTS_sendmsg] = {IN_SERVICE, IN_STOP},
    [FAULTS_shutdown] = {IN_SERVICE, IN_STOP},
    [FAULTS_getsockopt] = {IN_SERVICE, IN_STOP},
    [FAULTS_setsockopt] = {IN_SERVICE, IN_STOP},
    [FAULTS_getsockname] = {IN_SERVICE},
    [FAULTS_getpeername] = {UNUSED},
};

/* ---- what a public call does about it ---- */

enum verdict {
    SURVIVES, /* made good inside: as if nothing had been */
    FAILS,    /* tells the error */
    EITHER    /* depends on what the call was needed for */
};

struct rule {
    enum faults_entry entry;
    enum trial_call call;
    enum verdict verdict;
};

/* Whatever stands nowhere here survives. */
static const struct rule rules[] = {
    {FAULTS_alloc, TRIAL_TIMED, FAILS},
    {FAULTS_alloc, TRIAL_TIMED_SHORT, EITHER},
    {FAULTS_alloc, TRIAL_FUTURE, FAILS},
    {FAULTS_alloc, TRIAL_LISTEN, FAILS},
    {FAULTS_alloc, TRIAL_CONNECT, FAILS},
    {FAULTS_alloc, TRIAL_READ, FAILS},
    {FAULTS_alloc, TRIAL_WRITE, FAILS},
    {FAULTS_alloc, TRIAL_ADOPT, FAILS},
    {FAULTS_alloc, TRIAL_FD_WAIT, FAILS},
    {FAULTS_alloc, TRIAL_CLOSE_UNTIL, FAILS},
    {FAULTS_map, TRIAL_SPAWN, FAILS},
    {FAULTS_epoll_ctl, TRIAL_ACCEPT, EITHER}, /* survives where it would only have moved */
    {FAULTS_epoll_ctl, TRIAL_CONNECT, EITHER},
    {FAULTS_epoll_ctl, TRIAL_READ, EITHER},
    {FAULTS_epoll_ctl, TRIAL_WRITE, EITHER},
    {FAULTS_epoll_ctl, TRIAL_ADOPT, EITHER},
    {FAULTS_epoll_ctl, TRIAL_FD_WAIT, EITHER},
    {FAULTS_epoll_ctl, TRIAL_CLOSE_UNTIL, EITHER},
    {FAULTS_poll, TRIAL_FD_WAIT, FAILS},
    {FAULTS_read, TRIAL_READ, FAILS},
    {FAULTS_read, TRIAL_CLOSE_UNTIL, EITHER}, /* tells a shortage, which kept it from waiting */
    {FAULTS_writev_quiet, TRIAL_WRITE, FAILS},
    {FAULTS_send, TRIAL_WRITE, FAILS},
    {FAULTS_sendmsg, TRIAL_WRITE, FAILS},
    {FAULTS_dup, TRIAL_FD_WAIT, FAILS},
    {FAULTS_set_nonblocking, TRIAL_ADOPT, FAILS},
    {FAULTS_socket, TRIAL_LISTEN, FAILS},
    {FAULTS_socket, TRIAL_CONNECT, FAILS},
    {FAULTS_setsockopt, TRIAL_LISTEN, EITHER}, /* survives without TCP_NODELAY */
    {FAULTS_bind, TRIAL_LISTEN, FAILS},
    {FAULTS_listen, TRIAL_LISTEN, FAILS},
    {FAULTS_getsockname, TRIAL_PORT, FAILS},
    {FAULTS_accept, TRIAL_ACCEPT, FAILS},
    {FAULTS_connect, TRIAL_CONNECT, FAILS},
    {FAULTS_getsockopt, TRIAL_CONNECT, FAILS},
    {FAULTS_shutdown, TRIAL_SHUTDOWN, FAILS},
};

static bool is_passed_over_by_accept(int error)
{
    return error != -EINVAL && error != -EOPNOTSUPP;
}

static enum verdict judge(const struct faults_order *order, enum trial_call call)
{
    if (order->way != FAULTS_REFUSED || order->error == -EAGAIN) {
        if (order->entry != FAULTS_map && order->entry != FAULTS_epoll_ctl) {
            return SURVIVES;
        }
    }
    if (order->entry == FAULTS_epoll_ctl && order->detail == EPOLL_CTL_DEL) {
        return SURVIVES;
    }
    if (order->entry == FAULTS_accept && is_passed_over_by_accept(order->error)) {
        return SURVIVES;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].entry == order->entry && rules[i].call == call) {
            return rules[i].verdict;
        }
    }
    return SURVIVES;
}

/* The error as a public call tells it: who has no room for a task or its stack says so. */
static int told_as(const struct faults_order *order)
{
    return order->entry == FAULTS_map ? -ENOMEM : order->error;
}

/* ---- one run ---- */

static struct {
    const struct trial *trial;
    struct faults_order order;
    bool ordered;
    pthread_t main_thread;
    uint32_t judged;         /* A: the failure was seen by the public call it happened in */
    uint32_t told;           /* A: and told */
    uint32_t bodies;         /* A: times the main body began */
    uint32_t culprits;       /* A: lines that name one */
    uint32_t altstack_lines; /* A */
    uint32_t accept_lines;   /* A */
    uint32_t strange_lines;  /* A */
} now;

static char watchdog_text[256];

static void describe(char *text, size_t text_max)
{
    snprintf(text, text_max, "program %s, call %u of %s in phase %d, way %d, %s", now.trial->name,
             now.order.first, now.ordered ? faults_name(now.order.entry) : "nothing",
             (int)now.order.phase, (int)now.order.way, whorl_error_name(now.order.error));
}

static void bark(int signal)
{
    (void)signal;
    const ssize_t written = write(STDERR_FILENO, watchdog_text, strlen(watchdog_text));
    (void)written;
    abort();
}

static void start_watchdog(void)
{
    char text[200];
    describe(text, sizeof text);
    snprintf(watchdog_text, sizeof watchdog_text, "this run does not end: %s\n", text);
    (void)signal(SIGALRM, bark);
    (void)alarm(WATCHDOG_S);
}

static void take_line(void *arg, const char *line)
{
    (void)arg;
    if (strstr(line, "has held loop") != NULL) {
        (void)whorl__add_u32(&now.culprits, 1);
    } else if (strstr(line, "cannot report stack overflows") != NULL) {
        (void)whorl__add_u32(&now.altstack_lines, 1);
    } else if (strncmp(line, "whorl: accept:", 14) == 0) {
        (void)whorl__add_u32(&now.accept_lines, 1);
    } else if (strncmp(line, "whorl:   #", 10) != 0) {
        fprintf(stderr, "a line nobody expects: %s\n", line);
        (void)whorl__add_u32(&now.strange_lines, 1);
    }
}

uint32_t trial_culprits(void)
{
    return whorl__load_acquire_u32(&now.culprits);
}

/* True once: the caller is where the failure happened, and has not been asked about it before. */
static bool claim(const void *victim)
{
    return now.ordered && faults_hits() > 0 && faults_victim() == victim &&
           whorl__cas_u32(&now.judged, 0, 1);
}

static bool is_success(long got, long wanted)
{
    return wanted == TRIAL_ANY ? got >= 0 : got == wanted;
}

/* The others may wait for ever for who went wrong: there is no way to end the run. */
static void give_up(long got, long wanted, const char *text, const char *file, int line)
{
    char order[200];
    describe(order, sizeof order);
    (void)net_expect_equal(got, wanted, text, file, line);
    fprintf(stderr, "in a run with: %s\n", order);
    abort();
}

bool trial_again(enum trial_call call, long got, long wanted, const char *text, const char *file,
                 int line)
{
    if (!claim(faults_me())) {
        if (!is_success(got, wanted)) {
            give_up(got, wanted == TRIAL_ANY ? 0 : wanted, text, file, line);
        }
        return false;
    }
    const enum verdict verdict = judge(&now.order, call);
    if (got == told_as(&now.order) && verdict != SURVIVES) {
        (void)whorl__add_u32(&now.told, 1);
        return call != TRIAL_CLOSE_UNTIL; /* closed in any case */
    }
    const bool cut_short = call == TRIAL_WRITE && got > 0; /* what was written is told first */
    if (verdict == FAILS && !cut_short) {
        give_up(got, told_as(&now.order), text, file, line);
    } else if (!is_success(got, wanted) && !cut_short) {
        give_up(got, wanted == TRIAL_ANY ? 0 : wanted, text, file, line);
    }
    return false;
}

/* ---- tasks ---- */

static int run_child(void *arg)
{
    struct trial_child *const child = arg;
    (void)whorl__add_u32(&child->begun, 1);
    return child->body(child->arg);
}

static void free_child(void *arg)
{
    struct trial_child *const child = arg;
    (void)whorl__add_u32(&child->freed, 1);
}

/* No stack: only by what a loop needs to make one. */
static bool may_lack_a_stack(void)
{
    const enum faults_entry entry = now.order.entry;
    return entry == FAULTS_alloc || entry == FAULTS_map || entry == FAULTS_protect;
}

bool trial_lost_a_stack(void)
{
    if (!may_lack_a_stack() || !claim(faults_loop)) {
        return false;
    }
    (void)whorl__add_u32(&now.told, 1);
    return true;
}

static void spawn_child(struct trial_child *child)
{
    const struct whorl_attr attr = {
        .pin = child->pin, .stack_bytes = child->stack_bytes, .arg_free = free_child};
    (void)TRY(TRIAL_SPAWN, whorl_spawn(run_child, child, &attr, &child->task));
    child->spawned++;
}

static bool is_done(struct trial_child *child)
{
    return whorl_task_done(child->task);
}

void trial_begin(struct trial_child *child)
{
    spawn_child(child);
    for (;;) {
        while (whorl__load_acquire_u32(&child->begun) == 0 && !is_done(child)) {
            (void)TRY(TRIAL_PLAIN, whorl_yield());
        }
        if (whorl__load_acquire_u32(&child->begun) > 0) {
            return;
        }
        NET_EXPECT_EQUAL(whorl_task_result(child->task, NULL), -ENOMEM);
        NET_EXPECT(trial_lost_a_stack());
        NET_EXPECT_EQUAL(whorl__load_acquire_u32(&child->freed), child->spawned);
        whorl_task_unref(child->task);
        spawn_child(child);
    }
}

int trial_finish(struct trial_child *child)
{
    const int error = whorl_await(child->task, NULL);
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&child->begun), 1);
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&child->freed), child->spawned);
    whorl_task_unref(child->task);
    return error;
}

/* ---- a run, and what must be so after it ---- */

enum { MAIN_RESULT = -EXDEV };

static int main_body(void *arg)
{
    const struct trial *const trial = arg;
    (void)whorl__add_u32(&now.bodies, 1);
    faults_enter(FAULTS_SERVICE);
    NET_EXPECT_EQUAL(trial->body(NULL), 0);
    faults_enter(FAULTS_STOP);
    return MAIN_RESULT;
}

static struct whorl_options options_of(const struct trial *trial)
{
    return (struct whorl_options){
        .loops = trial->loops,
        .mode = trial->mode,
        .no_pin = !trial->pinned,
        .stall_ns = trial->names_culprits ? WHORL_MILLISECOND : 0,
        .report_ns = trial->names_culprits ? 2 * WHORL_MILLISECOND : WHORL_NEVER,
        .log = take_line,
    };
}

/* What no start can do without. */
static bool is_vital(enum faults_entry entry)
{
    return entry == FAULTS_thread_start || entry == FAULTS_epoll_create ||
           entry == FAULTS_epoll_ctl;
}

/* A start that fails undoes itself: whorl_run tells the error, and no body has run. */
static void check_start(int error)
{
    const bool failed = whorl__load_acquire_u32(&now.bodies) == 0;
    if (!failed) {
        NET_EXPECT_EQUAL(error, MAIN_RESULT);
        NET_EXPECT(
            !(now.order.phase == FAULTS_START && faults_hits() > 0 && is_vital(now.order.entry)));
        return;
    }
    if (now.trial->system & FAULTS_TWO_THREADS && error == -EAGAIN) {
        return;
    }
    NET_EXPECT(now.ordered && now.order.phase == FAULTS_START && faults_hits() > 0);
    NET_EXPECT(error == now.order.error || (may_lack_a_stack() && error == -ENOMEM));
    now.told++;
}

static bool lacks_a_signal_stack(void)
{
    const void *const victim = faults_victim();
    const bool by_a_thread = victim != NULL && victim != faults_loop &&
                             victim != (const void *)(uintptr_t)now.main_thread;
    const bool asked =
        now.order.entry == FAULTS_signal_stack && now.order.detail != FAULTS_STACK_TAKEN;
    const bool mapped = now.order.entry == FAULTS_map && now.judged == 0;
    return now.ordered && by_a_thread && (asked || mapped);
}

/* A loop without a signal stack says so; so does a server out of descriptors. */
static void check_log(void)
{
    NET_EXPECT_EQUAL(now.altstack_lines, lacks_a_signal_stack());
    NET_EXPECT(now.accept_lines == 0 || faults_hits() > 0);
    NET_EXPECT_EQUAL(now.strange_lines, 0);
    NET_EXPECT(now.culprits == 0 || now.trial->names_culprits);
}

static void check_balance(int fds, int threads)
{
    const bool keeps = now.ordered && now.order.entry == FAULTS_unmap && faults_hits() > 0;
    const bool keeps_stack = now.ordered && now.order.entry == FAULTS_signal_stack &&
                             now.order.detail == FAULTS_STACK_TAKEN && faults_hits() > 0;
    NET_EXPECT_EQUAL(faults_unmap_refused(), keeps);
    NET_EXPECT_EQUAL(faults_blocks(), 0);
    NET_EXPECT_EQUAL(faults_maps(), keeps_stack); /* 64 KiB that the kernel may still use */
    NET_EXPECT_EQUAL(count_own("fd"), fds);
    NET_EXPECT(comes_down_to("task", threads));
}

/* True: it came to the failure. */
static bool run(const struct trial *trial, const struct faults_order *order)
{
    static int threads; /* of a process at rest; a sanitizer starts one of its own at the first */
    const struct whorl_options options = options_of(trial);
    const int fds = count_own("fd");
    memset(&now, 0, sizeof now);
    now.trial = trial;
    now.main_thread = pthread_self();
    if (order != NULL) {
        now.order = *order;
        now.ordered = true;
    }
    start_watchdog();
    faults_install();
    faults_pretend(trial->system);
    faults_order(order);
    const int error = whorl_run(main_body, (void *)(uintptr_t)trial, &options);
    const bool hit = faults_hits() > 0;
    threads = threads == 0 ? count_own("task") : threads;
    check_start(error);
    check_log();
    check_balance(fds, threads);
    faults_remove();
    (void)alarm(0);
    if (net_take_failures() != 0) {
        char text[200];
        describe(text, sizeof text);
        fail_msg("in a run with: %s", text);
    }
    return hit;
}

/* ---- all of them ---- */

static struct {
    uint32_t hits[FAULTS_ENTRY_COUNT];
    uint32_t told[FAULTS_ENTRY_COUNT];
    uint32_t calls[FAULTS_ENTRY_COUNT]; /* in runs where nothing fails */
    bool all;                           /* each way at each call, instead of by turns */
    struct whorl__random random;
} sweep;

static bool is_sibling(const struct way *a, const struct way *b)
{
    return a->entry == b->entry && a->detail == b->detail;
}

static bool try_way(const struct trial *trial, enum faults_phase phase, const struct way *way,
                    uint32_t n)
{
    const struct faults_order order = {.entry = way->entry,
                                       .detail = way->detail,
                                       .way = way->way,
                                       .error = way->error,
                                       .phase = phase,
                                       .first = n};
    const bool hit = run(trial, &order);
    sweep.hits[way->entry] += hit;
    sweep.told[way->entry] += now.told > 0;
    return hit;
}

/* Few calls: each. Many: farther and farther apart, and not the same ones each time. */
static uint32_t next_call(uint32_t n)
{
    const uint32_t dense = sweep.all ? 40 : 6;
    return n < dense ? n + 1 : n + 1 + whorl__random_below(&sweep.random, n);
}

/* The ways of one entry and detail, by turns: so all of them come up over calls and programs. */
static void try_group(const struct trial *trial, enum faults_phase phase, size_t first,
                      size_t count)
{
    uint32_t turn = whorl__random_below(&sweep.random, (uint32_t)count);
    uint32_t misses = 0;
    for (uint32_t n = 1;; turn++) {
        bool hit = false;
        const size_t tries = sweep.all ? count : 1;
        for (size_t i = 0; i < tries; i++) {
            hit |= try_way(trial, phase, &ways[first + (turn + i) % count], n);
        }
        if (!hit && (n > 1 || ++misses == FIRST_TRIES)) {
            return;
        }
        n = hit ? next_call(n) : n;
    }
}

/* Loops run at chance: what is called in each of these runs is called in nearly all. */
static void count_calls(const struct trial *trial, enum faults_phase phase,
                        uint32_t ret_calls[FAULTS_ENTRY_COUNT])
{
    for (int i = 0; i < COUNTED_RUNS; i++) {
        (void)run(trial, NULL);
        for (int entry = 0; entry < FAULTS_ENTRY_COUNT; entry++) {
            const uint32_t calls = faults_calls(phase, (enum faults_entry)entry);
            ret_calls[entry] = i == 0 || calls < ret_calls[entry] ? calls : ret_calls[entry];
        }
    }
}

static void try_program(const struct trial *trial, enum faults_phase phase)
{
    uint32_t calls[FAULTS_ENTRY_COUNT];
    count_calls(trial, phase, calls);
    for (int entry = 0; entry < FAULTS_ENTRY_COUNT; entry++) {
        sweep.calls[entry] += calls[entry];
    }
    for (size_t first = 0, count; first < WAY_COUNT; first += count) {
        count = 1;
        while (first + count < WAY_COUNT && is_sibling(&ways[first], &ways[first + count])) {
            count++;
        }
        if (calls[ways[first].entry] > 0) {
            try_group(trial, phase, first, count);
        }
    }
}

/* ---- the account ---- */

static bool has_ways(enum faults_entry entry)
{
    for (size_t i = 0; i < WAY_COUNT; i++) {
        if (ways[i].entry == entry) {
            return true;
        }
    }
    return false;
}

static void print_account(enum faults_entry entry, enum faults_phase phase)
{
    static const char *const phases[] = {"start-up", "service", "shut-down"};
    const struct duty *const duty = &duties[entry];
    if (sweep.hits[entry] > 0) {
        printf("%-16s failed %u times in %s: %u told, %u made good\n", faults_name(entry),
               sweep.hits[entry], phases[phase], sweep.told[entry],
               sweep.hits[entry] - sweep.told[entry]);
    } else if (duty->never != NULL) {
        printf("%-16s never fails: %s\n", faults_name(entry), duty->never);
    } else {
        printf("%-16s is not called in %s\n", faults_name(entry), phases[phase]);
    }
}

static void check_account(enum faults_phase phase)
{
    unsigned missing = 0;
    for (int i = 0; i < FAULTS_ENTRY_COUNT; i++) {
        const enum faults_entry entry = (enum faults_entry)i;
        const struct duty *const duty = &duties[entry];
        const bool has_duty =
            duty->due[FAULTS_START] || duty->due[FAULTS_SERVICE] || duty->due[FAULTS_STOP];
        const bool listed = has_duty != (duty->never != NULL) && has_duty == has_ways(entry);
        const bool left_out = duty->due[phase] && sweep.hits[entry] == 0;
        const bool late = duty->unused && sweep.calls[entry] > 0;
        const bool unasked =
            has_duty && !duty->elsewhere && sweep.calls[entry] > 0 && sweep.hits[entry] == 0;
        print_account(entry, phase);
        if (!listed || left_out || late || unasked) {
            fprintf(stderr, "%s: %s\n", faults_name(entry),
                    !listed ? "its ways to fail and its duty do not agree"
                    : late  ? "is said not to be used, and is"
                            : "was never made to fail");
            missing++;
        }
    }
    assert_int_equal(missing, 0);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *const text = getenv(variable);
    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

void trial_sweep(const struct trial *trials, size_t count, enum faults_phase phase)
{
    const uint64_t seed = number_from("WHORL_TEST_SEED", (uint64_t)whorl_now());
    memset(&sweep, 0, sizeof sweep);
    sweep.all = number_from("WHORL_TEST_SCALE", 1) > 1;
    whorl__random_init(&sweep.random, seed);
    printf("WHORL_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < count; i++) {
        try_program(&trials[i], phase);
    }
    check_account(phase);
}
