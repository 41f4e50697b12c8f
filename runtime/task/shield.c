/*
 * shield.c - a future that follows another one and is cancelled in its place.
 *
 *   inner done  -->  takes `inner` out of the shield, completes the shield as inner ended
 *   cancel      -->  completes the shield, takes `inner` out of it, calls the waiter off
 *
 * Both may happen at once. Who takes the pointer out, by a swap, owns the shield's reference on
 * inner; without that the one who cancels could look for his waiter in a future that is gone:
 *
 *   losing order                                ours
 *   cancel:  reads inner                        cancel:  swaps inner out: it is his
 *   inner's: calls follow, which drops inner    inner's: calls follow, which finds NULL
 *   cancel:  locks a future that was freed      cancel:  calls off in vain, drops inner
 *
 * A shielded section is something else: a scope of the task, and all of it stands in cancel.c.
 *
 * Owns:       struct shield: the future and the waiter on inner, in one block with two references,
 *             the caller's and the waiter's.
 * Threads:    any.
 * Pairs:      H1  shield->inner: a swap on both sides.
 */
#include "task/cancel.h"
#include "task/future.h"
#include "task/park.h"

#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>

struct shield {
    struct whorl__free_future head; /* first: a shield is a future */
    struct whorl__waiter waiter;    /* on inner */
    void *inner;                    /* A: H1: struct whorl_future, with a reference */
};

static struct shield *shield_of(struct whorl_future *future)
{
    WHORL_ASSERT(future->kind == WHORL__FUTURE_SHIELD);
    return whorl_container_of(future, struct shield, head.future);
}

/* inner is done; it may be gone unless the swap gives it, with the shield's reference. */
static void follow(struct whorl__waiter *waiter)
{
    struct shield *const shield = whorl_container_of(waiter, struct shield, waiter);
    struct whorl_future *const inner = whorl__swap_ptr(&shield->inner, NULL); /* pairs H1 */
    if (inner != NULL) {
        const bool cancelled = whorl_future_cancelled(inner);
        whorl__plain_read(&inner->error); /* F1 */
        const struct whorl__outcome outcome = {
            .error =
                WHORL__BUG(SHIELD_HIDES_AN_ERROR) && inner->error != 0 ? -ECANCELED : inner->error,
            .value = inner->value,
            .cancelled = cancelled,
            .message = cancelled ? NULL : inner->message, /* it is the shield that is cancelled */
        };
        (void)whorl__future_complete(&shield->head.future, &outcome);
        whorl__future_look(inner);
        whorl_future_unref(inner);
    }
    whorl_future_unref(&shield->head.future);
}

bool whorl__shield_cancel(struct whorl_future *future, const struct whorl__outcome *outcome)
{
    struct shield *const shield = shield_of(future);
    if (!whorl__future_complete(future, outcome)) {
        return false;
    }
    struct whorl_future *const inner = whorl__swap_ptr(&shield->inner, NULL); /* pairs H1 */
    if (inner != NULL) {
        if (WHORL__BUG(SHIELD_CANCELS_THE_INNER)) {
            (void)whorl_future_cancel(inner, NULL);
        }
        if (whorl__future_call_off(inner, &shield->waiter)) {
            whorl_future_unref(future); /* the waiter's; the caller has his own */
        }
        whorl_future_unref(inner);
    }
    return true;
}

int whorl_shield(struct whorl_future *inner, struct whorl_future **ret_shield)
{
    if (inner == NULL || ret_shield == NULL) {
        return -EINVAL;
    }
    if (whorl__future_is_done(inner)) {
        *ret_shield = whorl_future_ref(inner);
        return 0;
    }
    if (whorl__future_is_inherited(inner)) {
        return -ECHILD;
    }
    struct shield *const shield = whorl__os->alloc(sizeof *shield);
    if (shield == NULL || whorl__fork_watch() != 0) {
        whorl__os->free(shield);
        return -ENOMEM;
    }
    *shield = (struct shield){.waiter.callback = follow};
    shield->waiter.awaiter = &shield->head.future;
    whorl__future_init(&shield->head.future, WHORL__FUTURE_SHIELD, 2);
    shield->head.generation = whorl__fork_generation;
    shield->inner = whorl_future_ref(inner);
    *ret_shield = &shield->head.future;
    if (!whorl__future_call_when_done(inner, &shield->waiter)) {
        follow(&shield->waiter);
    }
    return 0;
}

/* ---- sections ---- */

WHORL_STATIC(sizeof(struct whorl__section) <= sizeof(struct whorl_shield), "it is large enough");

static struct whorl__section *section_of(struct whorl_shield *shield)
{
    return (struct whorl__section *)(void *)shield->opaque;
}

int whorl_shield_begin(struct whorl_shield *shield)
{
    if (shield == NULL) {
        return -EINVAL;
    }
    struct whorl_task *const task = whorl__task_current();
    struct whorl__section *const section = section_of(shield);
    if (task == NULL) {
        *section = (struct whorl__section){.message = NULL}; /* so that its end is told of */
        return whorl__error_outside();
    }
    if (whorl__cancel_scope_is_own(task, &section->scope)) {
        return -EALREADY;
    }
    whorl__cancel_section_enter(task, section);
    return 0;
}

void whorl_shield_end(struct whorl_shield *shield)
{
    if (shield == NULL) {
        return;
    }
    struct whorl__section *const section = section_of(shield);
    struct whorl_task *const task = section->scope.task;
    if (!whorl__scope_is_inherited(&section->scope)) {
        whorl__cancel_scope_check(&section->scope, "whorl_shield_end");
        whorl__cancel_section_leave(task, section);
        whorl__plain_write(&section->message); /* it goes: who still looks at it races */
    }
}
