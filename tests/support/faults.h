/*
 * faults.h - a table over whorl__os_linux in which calls fail by order: that entry, the n-th call
 * in that phase, that errno; and the balance of what was taken and given back.
 *
 *      faults_install();
 *      faults_order(&(struct faults_order){.entry = FAULTS_map, .error = -ENOMEM, .first = 3});
 *      ... whorl_run ...
 *      faults_remove();
 *
 * Threads:    install and remove while no runtime lives; everything else by any thread.
 */
#ifndef WHORL_TESTS_SUPPORT_FAULTS_H
#define WHORL_TESTS_SUPPORT_FAULTS_H

#include "sys/os.h"

#include <stdbool.h>
#include <stdint.h>

/* Every entry of struct whorl__os; faults.c refuses to compile when one is missing. */
/* clang-format off */
#define FAULTS_ENTRIES(X)                                                                          \
    X(alloc) X(free) X(map) X(unmap) X(protect) X(advise)                                          \
    X(now_ns)                                                                                      \
    X(thread_start) X(thread_start_quiet) X(thread_join) X(thread_detach)                          \
    X(thread_id) X(thread_cpu_ns) X(thread_signal)                                                 \
    X(yield) X(signal_stack)                                                                       \
    X(futex_wait) X(futex_wake)                                                                    \
    X(epoll_create) X(epoll_ctl) X(epoll_wait) X(eventfd) X(poll)                                  \
    X(read) X(write) X(writev) X(writev_quiet) X(close) X(dup) X(set_nonblocking)                  \
    X(read_file) X(unlink)                                                                         \
    X(socket) X(bind) X(listen) X(accept) X(connect) X(recv) X(send) X(sendmsg) X(shutdown)        \
    X(getsockopt) X(setsockopt) X(getsockname) X(getpeername)
/* clang-format on */

#define FAULTS_NAME(entry) FAULTS_##entry,
enum faults_entry { FAULTS_ENTRIES(FAULTS_NAME) FAULTS_ENTRY_COUNT };
#undef FAULTS_NAME

const char *faults_name(enum faults_entry entry);

/* Where in the life of a runtime a call is made; whoever tests says when the next phase begins. */
enum faults_phase { FAULTS_START, FAULTS_SERVICE, FAULTS_STOP, FAULTS_PHASE_COUNT };
#define FAULTS_ANY_PHASE FAULTS_PHASE_COUNT

enum faults_way {
    FAULTS_REFUSED, /* not done; returns error, which may be 0: a futex that wakes for no reason */
    FAULTS_DONE,    /* done, and an error returned all the same: what close may do */
    FAULTS_SHORT,   /* one byte of many */
};

/* Details of signal_stack. */
enum { FAULTS_STACK_ASKED = 1, FAULTS_STACK_GIVEN, FAULTS_STACK_TAKEN };

/* What fails. */
struct faults_order {
    enum faults_entry entry;
    enum faults_phase phase; /* calls of that phase count; FAULTS_ANY_PHASE: all */
    enum faults_way way;
    int error;      /* negative errno */
    int detail;     /* only calls with that: operation of epoll_ctl, option, advice; 0: any */
    uint32_t first; /* the first call that fails, from 1 */
    uint32_t count; /* how many do; 0: one */
};

void faults_install(void);
void faults_remove(void);
/* To put a call of one's own into the table. */
struct whorl__os *faults_table(void);

/* From now on this, and nothing that was ordered before; NULL: nothing fails. Counts from 0. */
void faults_order(const struct faults_order *order);
void faults_enter(enum faults_phase phase);

/* What the system is like, beside the order: bits. Of no runtime yet; until the next install. */
enum faults_system {
    FAULTS_OLD_KERNEL = 1,   /* advise knows no guard markers, as before Linux 6.13 */
    FAULTS_SLOW_CONNECT = 2, /* connect to TCP has to be waited for */
    FAULTS_TWO_THREADS = 4   /* a third thread is refused: -EAGAIN */
};
void faults_pretend(unsigned system);

/* ---- what became of the order ---- */

/* How many calls were made to fail by the present order. */
uint32_t faults_hits(void);
/* Who made the first of them: a task, a thread without one, or a loop between two tasks. */
const void *faults_victim(void);
/* The same for the caller, to compare; and what stands for a loop between two tasks. */
const void *faults_me(void);
extern const char faults_loop[];

/* ---- figures; install resets them ---- */

uint32_t faults_calls(enum faults_phase phase, enum faults_entry entry);
int faults_blocks(void); /* allocated and not freed */
int faults_maps(void);   /* mapped and not unmapped */
/* Unmaps what an order kept from being unmapped; how many mappings those were. */
int faults_unmap_refused(void);

#endif
