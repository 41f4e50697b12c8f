/*
 * seat.h - where a call is made: on which loop, and with the turn of which strand.
 */
#ifndef WHORL_TASK_SEAT_H
#define WHORL_TASK_SEAT_H

#include "task/strand.h"

struct whorl__seat {
    struct whorl__loop *loop;     /* C: there while its runtime is */
    struct whorl__strand *strand; /* C: there until the call is over; NULL: in none */
    bool pinned;                  /* C: to the loop, whoever hands it the turn */
    bool is_member;               /* C: of the strand, which is not the runtime's own */
    bool takes_turns;             /* C: the strand is one that has a line */
};

/* One on seat->loop, pinned or not, is given a strand, or NULL. 0, or as whorl__strand_admit. */
WHORL_MUST_USE int whorl__seat_take(struct whorl__seat *seat, struct whorl__strand *strand);

/*
 * The call is ready. True: it has the turn, or needs none, and is to be sent to the loop that
 * seat_loop tells. False: it stands in line, and belongs to that: in_line is run when the turn
 * comes, or without it if that never does.
 */
WHORL_MUST_USE bool whorl__seat_is_free(const struct whorl__seat *seat,
                                        struct whorl__callback *call,
                                        void (*in_line)(struct whorl__callback *self, bool over));

/* Where it is to be made. `here`: the calling thread's loop, or NULL. */
static inline struct whorl__loop *whorl__seat_loop(const struct whorl__seat *seat,
                                                   struct whorl__loop *here)
{
    const bool moves = seat->takes_turns && !seat->pinned && here != NULL &&
                       here->runtime == seat->loop->runtime && here->runtime->stealing;
    return moves ? here : seat->loop;
}

/* A call is over that was ready: the turn goes on. `over`: at the end of the runtime, where those
 * that are in line go with it. The strand may be gone after. */
void whorl__seat_pass(const struct whorl__seat *seat, bool over);

/* A call is over that never was ready, or had not the turn. */
void whorl__seat_leave(const struct whorl__seat *seat);

#endif
