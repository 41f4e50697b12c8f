/*
 * sim.h - a whole runtime on one thread, with a clock of its own: one seed is one run.
 *
 * whorl_sim_run does what whorl_run does, with the same code, but its loops are not threads of the
 * system. They take turns on the calling thread, in an order drawn from the seed; time passes only
 * as far as somebody waits for it; sockets, pipes and pollers are played; calls fail, are late or
 * do half of their work as often as the options say. A test that fails once in a million runs
 * fails for a seed, and with that seed again, every time, under a debugger too.
 *
 * The order changes at calls into the system (all that wait, read, write, or ask for the time are
 * such calls) and where a task waits: not between two plain loads or stores.
 *
 * While it runs the process has no other runtime, and no other thread may call whorl; a thread that
 * is no loop is played by whorl_sim_thread_start. What a task calls past whorl (read, sleep, rand,
 * the real clock) is not played, and makes two runs of a seed differ.
 *
 * The guide is docs/guide/simulation.md.
 */
#ifndef WHORL_SIM_H
#define WHORL_SIM_H

#include "whorl/api.h"
#include "whorl/runtime.h"

#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

/* What can go wrong. Each has a rate: how many of a million occasions. */
enum whorl_sim_fault {
    WHORL_SIM_SLOW,          /* a call takes up to 1 ms */
    WHORL_SIM_SHORT,         /* a read or write moves less than it could */
    WHORL_SIM_INTERRUPT,     /* a wait ends for no reason */
    WHORL_SIM_AGAIN,         /* readiness that is none; a socket without room for a moment */
    WHORL_SIM_NO_MEMORY,     /* an allocation, a mapping or a call of the kernel finds no memory */
    WHORL_SIM_NO_DESCRIPTOR, /* no descriptor left, in the process or in the system */
    WHORL_SIM_LATE,          /* a thread that is woken runs up to 5 ms later */
    WHORL_SIM_STALL,         /* a thread loses its core for up to 5 ms, at a call */
    WHORL_SIM_RESET,         /* of connections: dropped by the network, within 20 ms */
    WHORL_SIM_FAULTS         /* how many there are */
};

#define WHORL_SIM_SEED_TEXT_MAX 48   /* bytes of a seed as text, with the final 0 */
#define WHORL_SIM_VERDICT_MAX   2048 /* bytes of a verdict, with the final 0 */

/* What came of a run. */
struct whorl_sim_report {
    uint64_t seed;
    char seed_text[WHORL_SIM_SEED_TEXT_MAX]; /* for whorl_sim_seed_parse and WHORL_SIM_SEED */
    int failed;                              /* non-zero: the verdict says why */
    int result;                              /* what whorl_run returned, if not failed */
    uint64_t steps;                          /* calls into the system */
    uint64_t switches;                       /* times that another thread went on */
    int64_t ns;                              /* how much time passed */
    uint64_t hash;                           /* of all that happened: the same for the same seed */
    uint64_t faults[WHORL_SIM_FAULTS];       /* how often each was played */
    char verdict[WHORL_SIM_VERDICT_MAX];     /* "" if not failed */
    uint64_t reserved[8];
};

/* Zeroed options are the defaults; reserved words as in struct whorl_options. */
struct whorl_sim_options {
    struct whorl_options runtime; /* as for whorl_run, but loops 0: 4; topology NULL: 2 packages */
    uint32_t faults[WHORL_SIM_FAULTS]; /* of a million; 0: never */
    int swarm;            /* non-zero: each seed leaves about half of the kinds of faults out */
    int faults_at_start;  /* non-zero: also before the main task has begun */
    int64_t latency_ns;   /* what is sent arrives within; 0: 200 us */
    size_t buffer_bytes;  /* what a connection holds in each direction; 0: 16 KiB */
    int descriptors_max;  /* 0: 1024 */
    uint64_t steps_max;   /* more are a failure; 0: 10 million */
    int64_t ns_max;       /* as much time; 0: an hour */
    int abort_on_failure; /* non-zero: abort() in the place where it failed, for a debugger */
    int quiet;            /* non-zero: nothing is printed; the report says it all */
    struct whorl_sim_report *report; /* NULL, or where to put it */
    /* NULL, or gets each event as a line. It may not call whorl. */
    void (*trace)(void *trace_arg, const char *line);
    void *trace_arg;
    uint64_t reserved[8]; /* 0 */
};

/*
 * whorl_sim_run - run body(arg) as the main task of a simulated runtime.
 *
 *   seed     the run; any number
 *   options  NULL for the defaults; not kept
 *
 * At each call into the system the run is examined: every ready task is in exactly one place, none
 * is current twice, no loop sleeps over its own work, work that others may take is not left lying
 * while loops sleep, the counts of searching, sleeping and stuck loops are right. A run in which
 * nobody can go on, or that exceeds its steps or its time, has failed; so has one that leaves
 * memory, a mapping or a descriptor behind. A failure is printed with its seed and the last events,
 * unless `quiet`.
 *
 * Returns what whorl_run would: the body's result, or why nothing was started. -ENOTRECOVERABLE:
 * the run failed; what its tasks had allocated elsewhere is lost. -EBUSY: a runtime lives, or
 * another simulation runs. -EINVAL (body NULL, a rate above a million, a negative
 * number, a reserved word that is not zero), -ENOMEM.
 *
 * From:    a plain thread, in a process without a runtime
 * Waits:   no: time is played           Cancellation point: no      Allocates: yes
 * Model:   none in asyncio; FoundationDB's simulation, TigerBeetle's VOPR
 * Since:   0.1, experimental            Source: runtime/sim/run.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_sim_run(uint64_t seed,
                                              const struct whorl_sim_options *options,
                                              whorl_body *body, void *arg);

/*
 * whorl_sim_explore - run seeds first, first + 1, ... until one fails.
 *
 *   count      how many; with the environment variable WHORL_SIM_SEED, that one seed alone is run
 *   ret_tried  how many were run; written in any case; may be NULL
 *
 * A run fails as whorl_sim_run says, or by returning an error: let body return 0 for a run that is
 * fine. Returns 0, the failed run's result (the report is that run's), or -EINVAL, -ESTALE: what
 * WHORL_SIM_SEED holds is refused, see whorl_sim_seed_parse; this is printed.
 *
 * From:    a plain thread, in a process without a runtime
 * Waits:   no                           Cancellation point: no      Allocates: yes
 * Since:   0.1, experimental            Source: runtime/sim/run.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_sim_explore(uint64_t first, uint64_t count,
                                                  const struct whorl_sim_options *options,
                                                  whorl_body *body, void *arg,
                                                  uint64_t *ret_tried);

/*
 * whorl_sim_seed_format, whorl_sim_seed_parse - a seed as text, with the version it is good for:
 * another version draws another run from the same number.
 *
 * parse: 0, -EINVAL (no such text), -ESTALE (a seed of another version). A bare number, decimal or
 * with 0x, is taken as one of this version. format always fits WHORL_SIM_SEED_TEXT_MAX.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, experimental            Source: runtime/sim/report.c
 */
WHORL_API void whorl_sim_seed_format(uint64_t seed, char ret_text[WHORL_SIM_SEED_TEXT_MAX]);
WHORL_API WHORL_WARN_UNUSED int whorl_sim_seed_parse(const char *text, uint64_t *ret_seed);

/*
 * For the program under simulation. Outside one they return -EPERM, 0 for random.
 */

/* The next number of a sequence that belongs to the run: programs drawn from the seed. */
WHORL_API uint64_t whorl_sim_random(void);

/* The caller computes for so long: its loop is stuck meanwhile, and others go on. 0, -EPERM. */
WHORL_API int whorl_sim_stall(int64_t duration_ns);

/* The caller's thread sleeps in the system for so long, as by nanosleep: the way for a simulated
 * thread to wait; in a task it blocks the loop. 0, -EPERM. */
WHORL_API int whorl_sim_block(int64_t duration_ns);

/* The run has failed, for a reason of the program's own. Returns outside a simulation only. */
WHORL_API void whorl_sim_fail(const char *verdict);

/* A line in the trace, and in the hash; cut at 39 bytes. Keep addresses out of it. */
WHORL_API void whorl_sim_note(const char *text);

/* A connected pair of stream sockets, and a pipe (read end first): plain descriptors, to be given
 * to whorl_fd_adopt. 0, -EMFILE, -ENFILE, -EPERM. */
WHORL_API WHORL_WARN_UNUSED int whorl_sim_pair(int ret_fds[2]);
WHORL_API WHORL_WARN_UNUSED int whorl_sim_pipe(int ret_fds[2]);

/* The network drops the connection that fd is an end of: both ends get -ECONNRESET. 0, -EBADF,
 * -ENOTCONN, -EPERM. */
WHORL_API int whorl_sim_reset(int fd);

struct whorl_sim_thread;

/*
 * whorl_sim_thread_start, whorl_sim_thread_join - a thread that is no loop: it may spawn, await,
 * cancel and complete as any plain thread does.
 *
 * start: 0, -EAGAIN (no more threads), -EPERM. join, once a thread: what its body returned, or
 * -EPERM; the caller's thread blocks until then, in a task its loop with it. A thread that nobody
 * joins is waited for when the main task has ended.
 *
 * From:    a task; a simulated thread
 * Waits:   join blocks the thread       Cancellation point: no      Allocates: a stack
 * Since:   0.1, experimental            Source: runtime/sim/run.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_sim_thread_start(whorl_body *body, void *arg,
                                                       struct whorl_sim_thread **ret_thread);
WHORL_API int whorl_sim_thread_join(struct whorl_sim_thread *thread);

WHORL_END

#endif
