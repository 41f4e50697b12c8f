/*
 * trial.h - programs in which one call into the system fails: n-th call by n-th call, error by
 * error, until a run no longer makes that many.
 *
 * After each run: whorl_run has returned what it should; the error was told by the very public call
 * in which it happened, to the task that made it, or was made good there; every other call of every
 * other task has succeeded; blocks, mappings, descriptors and threads are as before; the log says
 * what it should. A program makes each public call through TRY, which makes it again if the failure
 * was told: so the object it was made on must still be good, and no byte be lost.
 *
 * Threads:    trial_sweep by the test; the rest by tasks and by plain threads of a program.
 */
#ifndef WHORL_TESTS_SUPPORT_TRIAL_H
#define WHORL_TESTS_SUPPORT_TRIAL_H

#include "support/faults.h"
#include "whorl.h"

#include <stdbool.h>
#include <stddef.h>

/* Kinds of public calls, by what may go wrong in them. */
enum trial_call {
    TRIAL_PLAIN,  /* nothing: yield, await, cancel, set_result, close ... */
    TRIAL_TIMED,  /* it arms a timer: sleep, join with a deadline, timeout_enter */
    TRIAL_TIMED_SHORT, /* as that, and its time may be over in the call: why is noted then */
    TRIAL_FUTURE, /* future_new, gather, gather_start: one block */
    TRIAL_SPAWN,
    TRIAL_LISTEN,
    TRIAL_PORT,
    TRIAL_ACCEPT,
    TRIAL_CONNECT,
    TRIAL_READ,
    TRIAL_WRITE,
    TRIAL_SHUTDOWN,
    TRIAL_CLOSE_UNTIL,
    TRIAL_ADOPT,
    TRIAL_FD_WAIT
};

/* Makes a call until it is not the ordered failure that ended it; what it returned then. `wanted`
 * is what it returns when all is well; TRY takes any result that is no error. */
#define TRY_FOR(call, wanted, expression)                                                          \
    (__extension__({                                                                               \
        long try_got_;                                                                             \
        do {                                                                                       \
            try_got_ = (long)(expression);                                                         \
        } while (trial_again(call, try_got_, wanted, #expression, __FILE__, __LINE__));            \
        try_got_;                                                                                  \
    }))
#define TRIAL_ANY             123456789L
#define TRY(call, expression) TRY_FOR(call, TRIAL_ANY, expression)

/* True: the ordered failure was told, rightly; once more. Records what is not right. */
bool trial_again(enum trial_call call, long got, long wanted, const char *text, const char *file,
                 int line);

/* A task of a program; zeroed but for these. */
struct trial_child {
    whorl_body *body;
    void *arg;
    int pin;
    size_t stack_bytes;

    /* the rest belongs to trial_begin and trial_finish */
    struct whorl_task *task;
    uint32_t begun; /* A */
    uint32_t freed; /* A: calls of arg_free */
    uint32_t spawned;
};

/* Returns when it has begun: a task that gets no stack ends with -ENOMEM, and another is made. */
void trial_begin(struct trial_child *child);
/* True once, if the ordered failure is that a loop could not make a task's stack: for who has a
 * task that ended with -ENOMEM, and has made it without the two above. */
bool trial_lost_a_stack(void);
/* Awaits it. What its body returned. */
int trial_finish(struct trial_child *child);

/* A program. */
struct trial {
    const char *name;
    whorl_body *body;
    int loops;
    enum whorl_mode mode;
    unsigned system; /* enum faults_system */
    bool pinned;
    bool names_culprits; /* a stall is 1 ms, and after 2 ms it is named */
};

/* Every failure there is, in calls of that phase, in each program in turn. Prints a line an entry.
 * Asserts, beside the above, that no entry was left out. */
void trial_sweep(const struct trial *trials, size_t count, enum faults_phase phase);

/* How many lines of the log name a culprit, in the present run. */
uint32_t trial_culprits(void);

#endif
