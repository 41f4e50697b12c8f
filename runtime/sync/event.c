/*
 * event.c - a flag, and all who wait for it.
 *
 * The word: what a line has, and SET.
 *
 *   set    takes all who stand there off the line, in order, under its lock: they are granted, and
 *          go on whatever becomes of the flag (EVT-3). Who comes after a clear stands in the same
 *          line, and was not there: nobody is woken by a set that came before him (MT-10).
 *
 *   losing order, were they only woken         ours
 *   set:    SET; wakes A                       set:   SET; A is GRANTED
 *   clear:  SET goes                           clear: the same
 *   A:      not set: waits again, for ever     A:     was granted: returns
 *
 * Nothing is reserved for those who were told: the flag is there for all.
 *
 * Owns:       struct event, which is the program's struct whorl_event.
 * Threads:    any.
 * Pairs:      K3 of line.h: set - is_set, and the wait that finds it set.
 */
#include "sync/select.h"

#include "base/bug.h"
#include "task/park.h"

#include "whorl.h"

#include <errno.h>

#define SET (UINT32_C(1) << WHORL__LINE_SHIFT)

struct event {
    struct whorl__line line; /* its word has SET */
    struct whorl__rank rank;
};

WHORL_STATIC(sizeof(struct event) <= sizeof(struct whorl_event), "it fits");

static struct event *event_of(struct whorl_event *event)
{
    return (struct event *)(void *)event;
}

/* ---- waiting ---- */

static bool enter_locked(void *primitive, uint32_t *word)
{
    (void)primitive;
    return (*word & SET) != 0;
}

static bool take_locked(void *primitive, uint32_t *word, struct whorl__told *told)
{
    (void)primitive, (void)told;
    return !WHORL__BUG(EVENT_LOOKS_AGAIN) || (*word & SET) != 0;
}

static void give_up_locked(void *primitive, uint32_t *word, bool granted,
                           struct whorl__told *told)
{
    (void)primitive, (void)word, (void)granted, (void)told;
}

static const struct whorl__line_rules rules = {
    .kind = WHORL__SYNC_EVENT,
    .enter = enter_locked,
    .take = take_locked,
    .give_up = give_up_locked,
};

bool whorl_event_is_set(const struct whorl_event *opaque)
{
    if (opaque == NULL) {
        return false;
    }
    const struct event *const event = (const struct event *)(const void *)opaque;
    return (whorl__load_acquire_u32(&event->line.word) & SET) != 0; /* acquire, pairs K3 */
}

int whorl_event_wait_until(struct whorl_event *opaque, int64_t deadline_ns)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct event *const event = event_of(opaque);
    int error = whorl__spend_sync();
    if (error == 0) {
        error = whorl__line_check(&event->line, 0);
    }
    if (error != 0 || whorl_event_is_set(opaque)) {
        return error;
    }
    return whorl__line_pass(event, &event->line, &event->rank, &rules, deadline_ns);
}

int whorl_event_wait(struct whorl_event *event)
{
    return whorl_event_wait_until(event, WHORL_NEVER);
}

/* ---- the flag ---- */

static void set_slow(struct event *event)
{
    struct whorl__told told = {{0}};
    const uint32_t word = whorl__line_lock(&event->line);
    if (!(word & SET)) {
        const size_t count = WHORL__BUG(EVENT_WAKES_ONE) ? 1 : SIZE_MAX;
        (void)whorl__rank_grant_all(&event->rank, count, &told);
    }
    whorl__line_unlock(&event->line, word | SET);
    whorl__tell(&told);
}

/* Also one that is set is swapped: what this caller did before is seen as well. */
int whorl_event_set(struct whorl_event *opaque)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct event *const event = event_of(opaque);
    const int error = whorl__line_check(&event->line, 0);
    if (error != 0) {
        return error;
    }
    uint32_t old = whorl__load_relaxed_u32(&event->line.word); /* relaxed: the cas checks */
    while (!(old & WHORL__LINE_COMMON)) {
        if (whorl__cas_value_u32(&event->line.word, &old, old | SET)) { /* pairs K3 */
            return 0;
        }
    }
    set_slow(event);
    return 0;
}

int whorl_event_clear(struct whorl_event *opaque)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct event *const event = event_of(opaque);
    const int error = whorl__line_check(&event->line, 0);
    if (error == 0) {
        whorl__line_unlock(&event->line, whorl__line_lock(&event->line) & ~SET);
    }
    return error;
}

/* ---- for select.c ---- */

int whorl__event_place(struct whorl_event *opaque, struct whorl__line_place *ret_place)
{
    struct event *const event = event_of(opaque);
    *ret_place = (struct whorl__line_place){event, &event->line, &event->rank, &rules};
    return whorl__line_check(&event->line, 0);
}

/* ---- its beginning and end ---- */

int whorl_event_init(struct whorl_event *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    *event_of(opaque) = (struct event){.line.word = 0};
    whorl__line_init(&event_of(opaque)->line, 0);
    return 0;
}

int whorl_event_destroy(struct whorl_event *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct event *const event = event_of(opaque);
    const struct whorl__line_end end = {event, "event", &event->rank, 1, 0};
    return whorl__line_destroy(&event->line, &end);
}
