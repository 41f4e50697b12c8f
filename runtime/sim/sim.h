/*
 * sim.h - a runtime on one thread: what the files of this folder share.
 *
 *   threads.c   simulated threads, which of them goes on, the clock, the trace
 *   memory.c    allocations and mappings, counted
 *   file.c      descriptors, eventfds, epoll
 *   stream.c    bytes under way between two ends
 *   socket.c    sockets: addresses, connecting, accepting
 *   table.c     the table of sys/os.h over all these
 *   check.c     what must hold at each call
 *   report.c    seeds as text, verdicts, the trace as lines
 *   run.c       one run, and many
 *
 * Owns:       struct whorl__sim; at most one lives, whorl__sim points to it.
 * Threads:    the one that called whorl_sim_run, the carrier. "Thread" below means a simulated one.
 * Invariant:  nothing here looks at an address to decide anything, nor at the real time: the same
 *             seed must draw the same run wherever memory lies.
 *             memory calls (alloc, map ...) never let another thread go on: the runtime makes them
 *             under its locks. All other calls do, before and after what they do.
 * Not chosen: a second implementation of the scheduler over virtual time: it would prove itself.
 *             Threads of the system, one of which is let run at a time: two thousand times slower
 *             a switch, and what the kernel keeps a thread cannot be counted.
 */
#ifndef WHORL_SIM_SIM_H
#define WHORL_SIM_SIM_H

#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "fiber/fiber.h"
#include "sys/os.h"
#include "whorl.h"

#include <pthread.h>
#include <stdbool.h>

/* Raised whenever a seed may draw another run than before. */
#define WHORL__SIM_FORMAT 1

#define WHORL__SIM_EVENTS_KEPT 1024
#define WHORL__SIM_NOTE_MAX    39

/* X(CODE, name): the calls, and what else stands in the trace. */
#define WHORL__SIM_CALLS(X)                                                                        \
    X(NONE, "nothing")                                                                             \
    X(NOW, "now")                                                                                  \
    X(START, "thread_start")                                                                       \
    X(JOIN, "thread_join")                                                                         \
    X(ID, "thread_id")                                                                             \
    X(CPU, "thread_cpu")                                                                           \
    X(SIGNAL, "thread_signal")                                                                     \
    X(YIELD, "yield")                                                                              \
    X(FUTEX_WAIT, "futex_wait")                                                                    \
    X(FUTEX_WAKE, "futex_wake")                                                                    \
    X(EPOLL_CREATE, "epoll_create")                                                                \
    X(EPOLL_CTL, "epoll_ctl")                                                                      \
    X(EPOLL_WAIT, "epoll_wait")                                                                    \
    X(EVENTFD, "eventfd")                                                                          \
    X(POLL, "poll")                                                                                \
    X(READ, "read")                                                                                \
    X(WRITE, "write")                                                                              \
    X(CLOSE, "close")                                                                              \
    X(DUP, "dup")                                                                                  \
    X(NONBLOCK, "set_nonblocking")                                                                 \
    X(READ_FILE, "read_file")                                                                      \
    X(UNLINK, "unlink")                                                                            \
    X(SOCKET, "socket")                                                                            \
    X(BIND, "bind")                                                                                \
    X(LISTEN, "listen")                                                                            \
    X(ACCEPT, "accept")                                                                            \
    X(CONNECT, "connect")                                                                          \
    X(RECV, "recv")                                                                                \
    X(SEND, "send")                                                                                \
    X(SHUTDOWN, "shutdown")                                                                        \
    X(OPTION, "sockopt")                                                                           \
    X(NAME, "getname")                                                                             \
    X(PAIR, "pair")                                                                                \
    X(STALL, "stall")                                                                              \
    X(BLOCK, "block")                                                                              \
    X(MEMORY, "no memory for")                                                                     \
    X(NOTE, "note")                                                                                \
    X(END, "thread ends")

#define WHORL__SIM_CALL_CODE(code, name) WHORL__SIM_##code,
enum whorl__sim_call { WHORL__SIM_CALLS(WHORL__SIM_CALL_CODE) WHORL__SIM_CALL_COUNT };
#undef WHORL__SIM_CALL_CODE

/* One line of the trace. */
struct whorl__sim_event {
    uint64_t step;
    int64_t now_ns;
    unsigned thread;
    int64_t task; /* the slot of the task that runs there; -1: none */
    enum whorl__sim_call call;
    int64_t about;  /* mostly a descriptor */
    int64_t result;
    char note[WHORL__SIM_NOTE_MAX + 1];
};

enum whorl__sim_thread_state { WHORL__SIM_READY, WHORL__SIM_WAITING, WHORL__SIM_ENDED };

struct whorl_sim_thread {
    unsigned number;
    enum whorl__sim_thread_state state;
    int64_t due_ns;      /* READY: not before; WAITING: not after, INT64_MAX for ever */
    const void *waits_on; /* WAITING: a futex word, a file, a thread; NULL: only for the time */
    bool timed_out;
    bool slow;           /* the seed lets it go on less often */
    bool joined;
    enum whorl__sim_call call; /* what it is in */
    int64_t call_about;
    int64_t told_ns;  /* the time as it knows it */
    int64_t sleeps_until_ns; /* in epoll_wait: by that time */
    int64_t cpu_ns;
    int64_t computes_since_ns; /* in a stall that the program asked for; 0: not so */
    struct whorl__worker *worker; /* its thread-locals while it does not run */
    void **context_at;
    void *work;
    int saved_errno;
    struct whorl__fiber *fiber;   /* its own stack; NULL once that was given back */
    struct whorl__fiber *at;      /* where it goes on: context, or fiber before it has begun */
    struct whorl__fiber context;  /* of whatever ran on it: itself, or a task */
    void *(*body)(void *arg);
    void *arg;
    void *result;
};

/* Something of the kernel's that happens later: embedded at the front of a block of own(). */
struct whorl__sim_timer {
    struct whorl__heap_node node;
    void (*fire)(struct whorl__sim_timer *timer);
};

struct whorl__sim_file;
struct whorl__runtime;

struct whorl__sim {
    const struct whorl__os *real;
    pthread_t carrier;
    struct whorl_sim_options options;
    struct whorl_sim_report report; /* counts as it goes */
    whorl_body *body;
    void *arg;

    struct whorl__random schedule; /* who goes on, and when */
    struct whorl__random kernel;   /* delays, pieces */
    struct whorl__random luck;     /* faults */
    struct whorl__random program;  /* whorl_sim_random */
    uint32_t rates[WHORL_SIM_FAULTS];
    uint32_t switch_chance; /* of 64 */

    int64_t now_ns;
    struct whorl__heap timers;
    struct whorl__list owned; /* blocks of own() */

    struct whorl__stacks *stacks;
    struct whorl__fibers fibers;
    struct whorl__fiber controller;
    struct whorl_sim_thread **threads; /* by number */
    unsigned thread_count;
    unsigned thread_room;
    struct whorl_sim_thread **live; /* those not ended, in order */
    unsigned live_count;
    struct whorl_sim_thread *current; /* NULL: the controller */
    bool armed;    /* the main task has begun: faults are played */
    bool watching; /* the handlers of fatal signals are ours */
    bool runtime_seen;
    bool runtime_ended;
    bool finished;
    unsigned hold; /* no switch and no check while above 0 */

    struct whorl__sim_event events[WHORL__SIM_EVENTS_KEPT];
    uint64_t event_count;

    void *blocks; /* memory.c: a tree */
    uint64_t block_serial;
    uint64_t block_count;

    struct whorl__sim_file **files; /* by descriptor */
    int file_room;
    int file_count;
    struct whorl__list sockets; /* in the order of their making */
    uint16_t next_port;

    struct whorl__runtime *runtime; /* check.c: NULL while no loop runs */
    unsigned workers;
    uint32_t *seen; /* by slot: the check that has seen the task in a place */
    uint32_t seen_room;
    uint32_t seen_round;
    int64_t idle_since_ns; /* work lies about and loops sleep; INT64_MAX: not so */
};

/* Bugs of a kernel, for the tests of the simulation itself: each must be found. One in PLANT_RATE
 * occasions goes wrong. */
enum whorl__sim_plant {
    WHORL__SIM_SOUND,
    WHORL__SIM_LOSE_WAKE,  /* a write to an eventfd that no poller hears of */
    WHORL__SIM_LOSE_EDGE,  /* bytes arrive, and no poller hears of it */
    WHORL__SIM_LOSE_SPACE, /* room is made, and no poller hears of it */
    WHORL__SIM_LOSE_FUTEX, /* a futex is woken, and its waiters are not */
    WHORL__SIM_LOSE_BYTE,  /* a byte is lost under way */
    WHORL__SIM_EARLY_END,  /* a read of TCP gives less than there is */
};
#define WHORL__SIM_PLANT_RATE 8

extern enum whorl__sim_plant whorl__sim_plant;
extern struct whorl__sim *whorl__sim;
extern const struct whorl__os whorl__sim_table;

/* ---- threads.c ---- */

/* 0 or -EAGAIN. */
WHORL_MUST_USE int whorl__sim_thread_new(void *(*body)(void *arg), void *arg,
                                         struct whorl_sim_thread **ret_thread);
/* From the controller: returns when the run is finished or has failed. */
void whorl__sim_go(struct whorl_sim_thread *first);
_Noreturn void whorl__sim_leave(void);
/* Ends all that is left: of a run that has failed, threads in the middle of something. */
void whorl__sim_threads_destroy(void);

/* Around the effect of each call: others may go on in both. leave returns its argument. */
void whorl__sim_call(enum whorl__sim_call call, int64_t about);
int64_t whorl__sim_done(int64_t result);
/* Within a call. False: the deadline passed. */
bool whorl__sim_wait(const void *on, int64_t deadline_ns);
unsigned whorl__sim_wake(const void *on, unsigned count_max);
/* Another thread goes on, if any can. */
void whorl__sim_give_way(void);
bool whorl__sim_fault(enum whorl_sim_fault kind);
bool whorl__sim_goes_wrong(enum whorl__sim_plant plant);
void whorl__sim_note_event(enum whorl__sim_call call, int64_t about, int64_t result,
                           const char *note);

/* The block that starts with timer is freed after it has fired. */
void whorl__sim_later(struct whorl__sim_timer *timer, int64_t delay_ns);
int64_t whorl__sim_latency(void);

/* ---- memory.c ---- */

/* Memory of the simulation itself: zeroed, never NULL, freed with it at the latest. */
void *whorl__sim_own(size_t bytes);
void whorl__sim_disown(void *block);
void whorl__sim_disown_all(void);

void *whorl__sim_alloc(size_t bytes);
void whorl__sim_free(void *block);
int whorl__sim_map(size_t bytes, void **ret_base);
int whorl__sim_unmap(void *base, size_t bytes);
int whorl__sim_protect(void *base, size_t bytes, int protection);
int whorl__sim_advise(void *base, size_t bytes, int advice);
/* Frees what is left; the oldest of it is described, "" if there is none. */
uint64_t whorl__sim_memory_sweep(char *ret_text, size_t text_max);

/* ---- file.c ---- */

enum whorl__sim_kind { WHORL__SIM_FILE_EPOLL, WHORL__SIM_FILE_EVENT, WHORL__SIM_FILE_SOCKET };

struct whorl__sim_file {
    enum whorl__sim_kind kind;
    unsigned references;      /* descriptors */
    struct whorl__list watches; /* of epolls on this file */
};

WHORL_MUST_USE int whorl__sim_fd_new(struct whorl__sim_file *file);
/* -EMFILE, -ENFILE or 0: whether so many are to be had. */
WHORL_MUST_USE int whorl__sim_fd_room(int count);
struct whorl__sim_file *whorl__sim_fd_file(int fd);
int whorl__sim_fd_close(int fd);
int whorl__sim_fd_dup(int fd);
void whorl__sim_fds_close_all(void);
void whorl__sim_file_init(struct whorl__sim_file *file, enum whorl__sim_kind kind);

/* Something has changed: whoever watches for `events` is told; 0: everybody. */
void whorl__sim_file_notify(struct whorl__sim_file *file, uint32_t events);
uint32_t whorl__sim_file_ready(struct whorl__sim_file *file);

int whorl__sim_eventfd_new(void);
ssize_t whorl__sim_eventfd_read(struct whorl__sim_file *file, void *ret_bytes, size_t bytes_max);
ssize_t whorl__sim_eventfd_write(struct whorl__sim_file *file, const void *bytes, size_t count);
bool whorl__sim_fd_is_eventfd(int64_t fd);

int whorl__sim_epoll_new(void);
int whorl__sim_epoll_ctl(int epoll_fd, int operation, int fd, const struct epoll_event *event);
int whorl__sim_epoll_wait(int epoll_fd, struct epoll_event *ret_events, int events_max,
                          int64_t timeout_ns);

/* ---- socket.c ---- */

struct whorl__sim_socket;

struct whorl__sim_socket *whorl__sim_socket_of(int fd, int *ret_error);
uint32_t whorl__sim_socket_ready(struct whorl__sim_file *file);
void whorl__sim_socket_close(struct whorl__sim_file *file);
int whorl__sim_socket_new(int domain, int type, int protocol);
int whorl__sim_socket_bind(int fd, const struct sockaddr *address, socklen_t address_bytes);
int whorl__sim_socket_listen(int fd, int backlog);
int whorl__sim_socket_accept(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_bytes);
int whorl__sim_socket_connect(int fd, const struct sockaddr *address, socklen_t address_bytes);
ssize_t whorl__sim_socket_recv(int fd, void *ret_bytes, size_t bytes_max, int flags);
ssize_t whorl__sim_socket_send(int fd, const struct iovec *parts, size_t part_count);
int whorl__sim_socket_shutdown(int fd, int how);
int whorl__sim_socket_get(int fd, int level, int option, void *ret_value, socklen_t *ret_bytes);
int whorl__sim_socket_set(int fd, int level, int option, const void *value, socklen_t bytes);
int whorl__sim_socket_name(int fd, bool of_peer, struct sockaddr *ret_address,
                           socklen_t *ret_bytes);
int whorl__sim_socket_pair(int ret_fds[2], bool is_pipe);
int whorl__sim_socket_reset(int fd);

/* ---- check.c ---- */

void whorl__sim_check(void);
/* The thread-local worker of the thread that runs may have changed. */
void whorl__sim_note_worker(void);
/* The slot of the task that the running thread runs; -1: none. */
int64_t whorl__sim_task_here(void);

/* ---- report.c ---- */

/* The run has failed: never returns. */
_Noreturn void whorl__sim_fail(const char *format, ...) WHORL_PRINTF(1, 2);
_Noreturn void whorl__sim_deadlock(void);
/* The same after the end, when there is nothing to leave. */
void whorl__sim_verdict(const char *format, ...) WHORL_PRINTF(1, 2);
void whorl__sim_print_failure(void);
/* The process is about to end: what can still be told. */
void whorl__sim_print_crash(void);
void whorl__sim_format_event(const struct whorl__sim_event *event, char *ret_line,
                             size_t line_max);

#endif
