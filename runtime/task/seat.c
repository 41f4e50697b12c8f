/*
 * seat.c - where a call is made: on which loop, and with the turn of which strand.
 *
 *   asked for ---ready---> IN LINE ---the turn---> in the loop's list, with the turn ---> RUN
 *       |                     |                       ^            |                      |
 *       |                     |      nobody has it    |            | the end              |
 *       |----ready------------|-----------------------+            v                      v
 *       v                     v                                  pass(over)             pass
 *     leave                 leave
 *   (cancelled, dropped)  (the end)
 *
 * A call is in the strand of who asked for it, or in the one of its attributes: a member from then
 * on until it is over. So the strand has to be there as long, and who destroys it is told. The
 * runtime's own strand is there as long as its loops, and has no such members: what outlives the
 * runtime, a done callback on a future, must not touch it.
 *
 * A call that waits for its turn is in the strand's line, as an item like a task; its run function
 * is then the one that sends it to a loop (in_line). Without a pin that is the loop that hands the
 * turn on, where loops share tasks: another one may be held by a task for long.
 *
 * The end of the runtime drops what is in the loops' lists and inboxes. What has the turn there
 * drops those in line first, one after the other: none of them is sent to a loop that is gone.
 *
 * Owns:       struct whorl__seat, a part of what task/callback.c makes.
 * Threads:    any; pass by the thread that has run the call, or ends the loops.
 * Invariant:  the turn is had from is_free or in_line until pass, once each.
 * Pairs:      T1 of sched/strand.c.
 * Not chosen: to ask for the turn when the loop comes to the call. Nobody would have the turn while
 *             the call waits for a busy loop, but a task spawned after it would run before it.
 */
#include "task/seat.h"

int whorl__seat_take(struct whorl__seat *seat, struct whorl__strand *strand)
{
    struct whorl__runtime *const runtime = seat->loop->runtime;
    seat->strand = strand;
    seat->is_member = strand != NULL && strand != &runtime->strand;
    seat->takes_turns = strand != NULL && whorl__strand_takes_turns(runtime);
    return seat->is_member ? whorl__strand_admit(strand, runtime) : 0;
}

bool whorl__seat_is_free(const struct whorl__seat *seat, struct whorl__callback *call,
                         void (*in_line)(struct whorl__callback *self, bool over))
{
    void (*const run)(struct whorl__callback *self, bool over) = call->run;
    if (WHORL_LIKELY(!seat->takes_turns)) {
        return true;
    }
    whorl__plain_write(call);
    call->item.fiber = NULL;
    call->item.body = NULL;
    call->run = in_line;
    if (!whorl__strand_enter_slow(seat->strand, &call->item)) {
        return false;
    }
    call->run = run;
    return true;
}

/* No task of the runtime is left, and no thread of its loops. */
static WHORL_COLD void drop_line(struct whorl__strand *strand)
{
    struct whorl__item *item;
    while ((item = whorl__strand_take(strand)) != NULL) {
        WHORL_ASSERT(whorl__item_is_call(item));
        struct whorl__callback *const call = whorl__call_of_item(item);
        call->run(call, true);
    }
}

void whorl__seat_pass(const struct whorl__seat *seat, bool over)
{
    if (WHORL_UNLIKELY(over) && seat->takes_turns) {
        drop_line(seat->strand);
    }
    if (seat->is_member) {
        whorl__strand_out(seat->strand, seat->takes_turns);
    } else if (seat->takes_turns) {
        whorl__strand_leave(seat->strand);
    }
}

void whorl__seat_leave(const struct whorl__seat *seat)
{
    if (seat->is_member) {
        whorl__strand_drop(seat->strand);
    }
}
