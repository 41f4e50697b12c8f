/*
 * sched.h - many loops: the runtime they share, and what the files of this folder offer each other.
 *
 * Owns:       struct whorl__runtime.
 * Threads:    field by field.
 *
 *   submit.c   a task is ready: where it goes
 *   strand.c   tasks and calls that never run at the same time: who has the turn
 *   idle.c     which loops search, which sleep, whom to wake: the lost wake-up argument
 *   halt.c     all loops stop after a pass, until the next run
 *   steal.c    looking for work elsewhere
 *   alarm.c    a wake-up was lost: found late, and counted
 *   rescue.c   a loop is stuck in one task: others serve its sockets, the culprit is named
 *   worker.c   a loop's thread: the turn
 *   run.c      one task after another: which is next, its step, what comes of it
 *   drop.c     a reference of a task is given back
 *   report.c   what no call can tell its caller: the exception handler
 *   unseen.c   a failure that nobody has looked at
 *   atend.c    what else there is to be done at the end
 */
#ifndef WHORL_SCHED_SCHED_H
#define WHORL_SCHED_SCHED_H

#include "loop/loop.h"
#include "sched/atend.h"
#include "sched/report.h"
#include "sys/fork.h"
#include "sys/topology.h"

/* idle.c */
struct whorl__idle {
    uint32_t word; /* A: searching (0-15), sleeping (16-31) */
    struct whorl__spinlock lock;
    uint64_t sleepers[WHORL_LOOPS_MAX / 64]; /* M(idle) */
};

/* The shared queue: from foreign threads, and from rings that were full. */
struct whorl__shared {
    struct whorl__spinlock lock WHORL_ALIGNED(WHORL_CACHE_LINE);
    struct whorl__fifo tasks; /* M(shared) */
    uint32_t count;           /* A: M(shared) to write; read as a hint, and in the idle protocol */
};

/* strand.c: the program's struct whorl_strand. A zeroed one is good: nobody is in it. */
struct whorl__strand {
    uint64_t word;               /* A: drawn in strand.c */
    struct whorl__spinlock lock;
    uint32_t generation;         /* A: sys/fork.h */
    struct whorl__fifo ready;    /* M(strand): tasks and calls that wait for the turn */
    void *joined;                /* M(strand): struct whorl_future, once JOINED is set */
};

/* rescue.c */
struct whorl__monitor {
    pthread_t thread;      /* C */
    uint32_t state;        /* A: futex; see rescue.c */
    uint32_t stuck_count;  /* A: loops marked stuck */
    void *samples;         /* L: the monitor's */
};

/* Bits of runtime->stop. */
#define WHORL__STOP_LEAVE UINT32_C(1) /* all tasks are done; loops leave */
#define WHORL__STOP_ASKED UINT32_C(2) /* loops are held after their pass; halt.c */

/* halt.c */
struct whorl__halt {
    struct whorl__spinlock lock;
    unsigned held;           /* M(halt): loops whose pass is over, and which wait for a run */
    bool closed;             /* M(halt): the runtime is being closed: nothing is held any more */
    struct whorl__list runs; /* M(halt): those that are under way */
    uint32_t go;             /* A: futex: M(halt) to raise: those that were held go on */
    uint32_t halts;          /* A: futex: M(halt) to raise: all are held, or will not be */
    uint32_t all;            /* A: M(halt) to write: all are held; a sample */
};

/* Somebody who waits until a main has ended, a future is done, or all are held. On the stack. */
struct whorl__run {
    struct whorl__list link; /* M(halt) */
    uint32_t *word;          /* C: futex: 1: look again; in the frame of who waits */
    bool has_main;           /* C: it waits for a task that the end of the runtime cancels */
    int fate;                /* M(halt): 0, -EINPROGRESS, -ESHUTDOWN */
};

/* task/executor.c: what the runtime has of them. */
struct whorl__executors {
    struct whorl__spinlock lock;
    struct whorl_executor *chosen; /* M(executors): the default one; NULL: none was used */
    struct whorl_executor *owned;  /* M(executors): all, to be shut down at the end */
    bool closed;                   /* M(executors): no default one any more */
    struct whorl__at_end at_end;   /* registered with the first of them */
};

/* task/reaper.c */
struct whorl__generators {
    struct whorl__spinlock lock;
    struct whorl__list begun;    /* M(generators): not over, and nobody has taken them to close */
    struct whorl__list lost;     /* M(generators): the same, and nobody refers to them */
    bool closed;                 /* M(generators): no more begin */
    struct whorl__at_end at_end; /* C */
};

/* task/factory.c */
struct whorl__factory {
    uint32_t there; /* A: M(factory) to write: there is one */
    struct whorl__spinlock lock;
    whorl_task_factory *function; /* M(factory); NULL: tasks are made plainly */
    void *arg;                    /* M(factory) */
};

struct whorl__runtime {
    whorl__cxx_here *cxx_here;  /* C: of the C++ runtime; NULL without */
    uint32_t generation;        /* C: of the process it was started in; sys/fork.h */
    unsigned loop_count;        /* C */
    struct whorl__loop **loops; /* C */
    bool stealing;              /* C: fast order: rings, hot slots; else each loop is strict */
    bool shares;                /* C: and other loops, which may take what one has, and serve it */
    bool inlines;               /* C: and begin where they are awaited; task/inline.c */
    unsigned stack_class;       /* C: the size of a task without one of its own, rounded up */
    int64_t stall_ns;           /* C: WHORL_NEVER: no watch */
    int64_t report_ns;          /* C */
    int64_t end_round_ns;       /* C: WHORL_NEVER: one round, and no word */
    int end_rounds;             /* C: 0: no limit */
    int dump_signal;            /* C: 0: none */
    bool handle_sigint;         /* C */
    bool stranded;              /* C: tasks that begin in no other one begin in `strand` */
    struct whorl__strand strand; /* of the runtime's own */
    bool stepped;               /* C: its loop has no thread; runtime/step.c */
    uint32_t driver;            /* A: stepped: the thread that has begun; 0: none */
    void *driver_stack;         /* that thread's: what overflow.h gave it */
    uint32_t debug;             /* A: 1: debug mode; task/debugging.h */
    struct whorl_context *main_context; /* C: of all its mains; NULL: there is one main only */
    bool pin;                   /* C */
    struct whorl__topology *topology;          /* C */
    void (*log)(void *log_arg, const char *line); /* C */
    void *log_arg;              /* C */
    void *locks;                /* A: struct whorl__locks, in debug mode; task/locks.c */
    struct whorl__reporter reporter;
    struct whorl__at_ends at_ends;
    struct whorl__generators generators;
    uint32_t unpinned_told;     /* A: a loop that could not be pinned has been named */
    struct whorl__stacks *stacks;
    struct whorl__records records;
    struct whorl__slots slots;
    /* C: the task layer's: ends a task that could not get a stack. */
    void (*abandon)(struct whorl_task *task, int error);
    /* C: as above: gives back what a task had beside its slot. `here` as in drop_on, or NULL. */
    void (*clear)(struct whorl_task *task, struct whorl__loop *here);
    /* C: as above: whether a lease goes on, whorl__stock_is_lease. By the loop itself. */
    void (*review_lease)(struct whorl__loop *loop, bool sleeps);
    /* C: as above: where the task was made, in debug mode; false: it is not known. */
    bool (*origin_text)(struct whorl_task *task, char *ret_text, size_t bytes);
    /* C: as above: why it was asked to end; false: nobody did. */
    bool (*why_text)(struct whorl_task *task, char *ret_text, size_t bytes);
    /* C: as above: body(arg) in a copy of the task's context. By who has a reference. */
    int (*call_in)(struct whorl_task *task, whorl_body *body, void *arg);

    struct whorl__idle idle WHORL_ALIGNED(WHORL_CACHE_LINE);
    struct whorl__shared shared;
    struct whorl__monitor monitor;
    uint64_t place_next WHORL_ALIGNED(WHORL_CACHE_LINE); /* A: strict: where foreign spawns go */
    uint64_t foreign_made; /* A: tasks spawned by foreign threads */
    uint64_t scopes_made;  /* A: serials of timeouts that loops have drawn */
    uint32_t guests;       /* A: foreign threads inside submit */
    uint32_t ending;       /* A: it is being closed; no new tasks */
    uint32_t ended_word;   /* A: futex: raised when a task ends while ending */
    uint32_t stop;         /* A: bits WHORL__STOP_ */
    struct whorl__halt halt;
    uint32_t life;         /* A: futex: open, closing, closed; runner.c */
    struct whorl__factory factory;
    uint32_t visitors;     /* A: who looks into it from outside; roster.c */
    struct whorl__executors executors;
    uint64_t id;           /* C: counts the runtimes of the process */
    void *next_older;      /* A: struct whorl__runtime */
};

/* submit.c */

/* A task the caller holds is ready: from a loop of its runtime, or from any other thread. */
void whorl__sched_submit(struct whorl_task *task);
/* The same for a task that only gives way: behind all that is ready. By the loop that holds it. It
 * has the turn of its strand, here and in the next. */
void whorl__sched_requeue(struct whorl__loop *loop, struct whorl_task *task);
/* A task or a call has got the turn of its strand from who gave it up. A task is next, if nobody is
 * already; a call is told, and knows where it is made. */
void whorl__sched_hand_over(struct whorl__item *item);
/* What is in the loop's hot slot goes to its ring; who could take it from there is not told. */
void whorl__sched_give_hot(struct whorl__loop *loop);
/* A new task: behind what is ready, never in the hot slot. `here`: the calling thread's loop if it
 * is one of the task's runtime, else NULL. */
void whorl__sched_submit_new(struct whorl__loop *here, struct whorl_task *task);
/* The same with one of `here` that has no attributes, and no strand. */
void whorl__sched_submit_plain(struct whorl__loop *here, struct whorl_task *task);
/* A new task that is open, of this epoch: to the ring of `here`, which is fast. */
void whorl__sched_submit_open(struct whorl__loop *here, struct whorl_task *task, uint32_t epoch);
/* As submit, but behind what is ready: for one of several that became ready together. */
void whorl__sched_submit_behind(struct whorl_task *task);
/* Ends the wait that handle names, if it still is one. From anywhere. */
void whorl__sched_wake(struct whorl__runtime *runtime, whorl__handle handle);
/* The same for all that a poll found, which counts as one occasion to wake another loop. */
void whorl__sched_wake_polled(struct whorl__loop *loop, const struct whorl__poll_result *result);
/* The oldest tasks of the shared queue: a fair share of them goes to the loop's ring, the first is
 * returned; NULL if there are none. */
struct whorl_task *whorl__sched_take_shared(struct whorl__loop *loop);

/*
 * A thread that is no loop of the runtime is about to use it, by way of a task that it keeps.
 * False: the runtime is ending, and only the guest's own count may be touched. Leave in either
 * case.
 */
WHORL_MUST_USE bool whorl__guest_enter(struct whorl__runtime *runtime);
void whorl__guest_leave(struct whorl__runtime *runtime);

/* idle.c */

bool whorl__idle_search_begin(struct whorl__runtime *runtime);
/* Returns true if the caller was the last searcher. */
bool whorl__idle_search_end(struct whorl__runtime *runtime);
/* Work was published: wakes a sleeping loop to search for it, unless somebody searches already. */
void whorl__idle_notify(struct whorl__loop *from, struct whorl__runtime *runtime);
/* Announces that the loop sleeps, no longer searches; returns false if it must not, since there is
 * work to be found. */
WHORL_MUST_USE bool whorl__idle_sleep_begin(struct whorl__loop *loop);
/* Awake again; sets loop->searching if somebody woke it to search. */
void whorl__idle_sleep_end(struct whorl__loop *loop);
/* Whether a loop searches, or was woken to: a hint. */
bool whorl__idle_someone_searches(const struct whorl__runtime *runtime);
/* Whether every loop sleeps: a hint. */
bool whorl__idle_all_sleep(struct whorl__runtime *runtime);

/* halt.c */

void whorl__halt_init(struct whorl__halt *halt);
/* Every loop is to be held after its pass. Any thread, a signal handler too; as a guest. */
void whorl__halt_ask(struct whorl__runtime *runtime);
/* The loop's pass is over, and it was seen that somebody has asked. False: that was withdrawn; else
 * a run has begun since. */
bool whorl__halt_hold(struct whorl__loop *loop);
/* Until no halt is under way. Plain threads, as those that follow. */
void whorl__halt_settle(struct whorl__runtime *runtime);
/* A run begins: loops that are held go on. 0, or -ESHUTDOWN: it is not under way. */
WHORL_MUST_USE int whorl__halt_run_begin(struct whorl__runtime *runtime, struct whorl__run *run);
/* It is over: 0, -EINPROGRESS: it was stopped, and all loops are held; -ESHUTDOWN: closed. */
int whorl__halt_run_end(struct whorl__runtime *runtime, struct whorl__run *run);
/* For a runtime that is driven by steps: whether somebody has asked, which is answered thereby. */
bool whorl__halt_answer(struct whorl__runtime *runtime);
/* The runtime is ending and takes no more guests: all that are held go on, and none is any more. */
void whorl__halt_lift(struct whorl__runtime *runtime);

/* steal.c */

struct whorl_task *whorl__steal(struct whorl__loop *loop);
bool whorl__steal_something_there(struct whorl__loop *loop);

/* alarm.c */

/* What the monitor knows of a loop that sleeps over work; zeroed: nothing. */
struct whorl__alarm {
    uint64_t turns;   /* of the loop when it was seen first */
    int64_t since_ns; /* and when that was; 0: it was not */
};

/* Looks whether a wake-up was lost; if so for long, counts it and wakes. True: it may be so. */
bool whorl__alarm_look(struct whorl__loop *loop, struct whorl__alarm *alarm, int64_t now_ns);

/* rescue.c */

WHORL_MUST_USE int whorl__monitor_start(struct whorl__runtime *runtime);
void whorl__monitor_stop(struct whorl__runtime *runtime);
/* A loop leaves its sleep: the monitor watches again. */
void whorl__monitor_nudge(struct whorl__runtime *runtime);
/* The loop's task has come back: it is stuck no longer, and in no section. Its own thread. */
void whorl__rescue_unstuck(struct whorl__loop *loop);
/* The loop's task is about to block; `name` is for reports. The loop's own thread. */
void whorl__rescue_enter_section(struct whorl__loop *loop, const char *name);
/* False: its task is in none. */
WHORL_MUST_USE bool whorl__rescue_leave_section(struct whorl__loop *loop);
/* The name of the section that its task is in, or NULL. The loop's own thread; others: a sample. */
const char *whorl__rescue_section(const struct whorl__loop *loop);
/* A loop is stuck, and nobody serves it; the caller could. Its own thread. */
bool whorl__rescue_is_wanted(struct whorl__loop *loop);
/* Serves stuck loops, those this loop watches and those nobody does. */
void whorl__rescue_serve_slow(struct whorl__loop *loop);

static inline void whorl__rescue_serve(struct whorl__loop *loop)
{
    /* relaxed: rescue.c, C1 */
    if (WHORL_UNLIKELY(whorl__load_relaxed_u32(&loop->runtime->monitor.stuck_count) > 0 ||
                       loop->watching > 0)) {
        whorl__rescue_serve_slow(loop);
    }
}

/* The first deadline among the loops this one serves; WHORL_NEVER if none. */
int64_t whorl__rescue_next_deadline_slow(const struct whorl__loop *loop);

static inline int64_t whorl__rescue_next_deadline(const struct whorl__loop *loop)
{
    return WHORL_LIKELY(loop->watching == 0) ? WHORL_NEVER : whorl__rescue_next_deadline_slow(loop);
}

void whorl__log(struct whorl__runtime *runtime, const char *format, ...) WHORL_PRINTF(2, 3);

/* worker.c */

void *whorl__worker_main(void *loop);
/* The calling thread is to drive the loop by steps, and no longer. */
void whorl__worker_attach(struct whorl__loop *loop);
void whorl__worker_detach(struct whorl__loop *loop);
/* One pass: a poll that waits up to limit_ns while nothing is ready (WHORL_NEVER: for ever), then
 * the batch. By the thread that is attached; the loop keeps strict order. */
void whorl__worker_step(struct whorl__loop *loop, int64_t limit_ns);
/* Tells the first `count` loops to leave, once no task is left. */
void whorl__workers_stop(struct whorl__runtime *runtime, unsigned count);

/* run.c */

/* What a turn is to take, about; the budget follows. */
#define WHORL__TURN_NS (100 * WHORL_MICROSECOND)

/* Strict order: exactly what is ready now; what becomes ready meanwhile waits for the next turn. */
void whorl__sched_run_batch(struct whorl__loop *loop);
/* As many as the budget says, while there are any. Returns how many. */
unsigned whorl__sched_run_ready(struct whorl__loop *loop);
/* Runs a task that the loop holds until it leaves its stack, and sees to what comes of it; or a
 * call. The heart of a turn, for who drives a loop by hand. */
void whorl__sched_run(struct whorl__loop *loop, struct whorl__item *item);
/* A task only, by the task that runs, or by a callback; one of its loop that has not begun: until
 * that leaves its stack for the first time. The caller stays where it is. */
void whorl__sched_run_nested(struct whorl__loop *loop, struct whorl_task *task);
/* The same where the running task, of a fast loop, awaits it and has no bars. */
void whorl__sched_run_awaited(struct whorl__loop *loop, struct whorl_task *child);
/* Whether the turn has time for one more task that begins where it is awaited. */
WHORL_MUST_USE bool whorl__sched_may_begin(struct whorl__loop *loop);

/* drop.c */

/* The runtime's reference of a task, or anyone's, is given back. */
void whorl__sched_drop(struct whorl_task *task);
/* The same by the loop itself. */
void whorl__sched_drop_on(struct whorl__loop *here, struct whorl_task *task);

#endif
