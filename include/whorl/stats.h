/*
 * stats.h - counters of a loop, and of the runtime: their sum.
 */
#ifndef WHORL_STATS_H
#define WHORL_STATS_H

#include "whorl/api.h"

#include <stdint.h>

WHORL_BEGIN

/* All since the start. Read without stopping anybody: each is right, of its own moment. */
struct whorl_stats {
    uint64_t turns;        /* turns of the loop */
    uint64_t runs;         /* times a task was switched to */
    uint64_t spawned;      /* tasks made here */
    uint64_t ended;        /* tasks that ended here */
    uint64_t steals_tried; /* looks into another loop's queue */
    uint64_t steals;       /* of these, those that took something */
    uint64_t stolen;       /* tasks taken by them */
    uint64_t migrations;   /* tasks that went on here and had been suspended elsewhere */
    uint64_t overflows;    /* times the ring was full */
    uint64_t polls;        /* times the poller was asked */
    uint64_t events;       /* readiness events it gave */
    uint64_t sleeps;       /* times the loop slept */
    uint64_t wakes;        /* times it woke another loop */
    uint64_t timers;       /* timers that fired */
    uint64_t rescues;      /* times it served the poller of a stuck loop */
    uint64_t rescued;      /* events it found there */
    uint64_t moves;        /* descriptors that came here because their task did */
    uint64_t stalls;       /* times this loop was found stuck in one task */
    uint64_t missed_wakes; /* wake-ups that only the alarm found: must read 0 */
    uint64_t reserved[13]; /* 0: counters to come */
};

/*
 * Of one loop, or of all for loop = -1. 0, -EPERM outside a task, -EINVAL: no such loop.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/debug/stats.c
 */
WHORL_API int whorl_stats(int loop, struct whorl_stats *ret_stats);

WHORL_END

#endif
