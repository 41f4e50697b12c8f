/*
 * once.c - something that is done once.
 *
 * The word: what a line has, BUSY and DONE.
 *
 *   0 --run--> BUSY --it worked--> DONE, and all who wait are granted
 *   ^            |
 *   +--it failed-+  and the first who waits is granted: he tries
 *
 * Who has passed the line either finds DONE, or has made it BUSY himself, for DONE is set by nobody
 * else then. Who was granted and finds it BUSY (somebody came in between and tries) stands again.
 *
 * Owns:       struct once, which is the program's struct whorl_once.
 * Threads:    any.
 * Pairs:      K3 of line.h: the body, then DONE (release) - is_done (acquire).
 */
#include "sync/line.h"

#include "whorl.h"

#include <errno.h>

#define BUSY (UINT32_C(1) << WHORL__LINE_SHIFT)
#define DONE (BUSY << 1)

struct once {
    struct whorl__line line; /* its word has BUSY and DONE */
    struct whorl__rank rank;
};

WHORL_STATIC(sizeof(struct once) <= sizeof(struct whorl_once), "it fits");

static struct once *once_of(struct whorl_once *once)
{
    return (struct once *)(void *)once;
}

static bool is_done(const struct once *once)
{
    return (whorl__load_acquire_u32(&once->line.word) & DONE) != 0; /* acquire, pairs K3 */
}

/* ---- under the line's lock ---- */

/* Nothing more to wait for: it is done, or the caller does it. */
static bool enter_locked(void *primitive, uint32_t *word)
{
    (void)primitive;
    if (*word & BUSY) {
        return false;
    }
    if (!(*word & DONE)) {
        *word |= BUSY;
    }
    return true;
}

static bool take_locked(void *primitive, uint32_t *word, struct whorl__told *told)
{
    (void)told;
    return enter_locked(primitive, word);
}

static void give_up_locked(void *primitive, uint32_t *word, bool granted,
                           struct whorl__told *told)
{
    struct once *const once = primitive;
    if (granted && !(*word & (BUSY | DONE))) {
        (void)whorl__rank_grant_all(&once->rank, 1, told);
    }
}

static const struct whorl__line_rules rules = {
    .kind = WHORL__SYNC_ONCE,
    .enter = enter_locked,
    .take = take_locked,
    .give_up = give_up_locked,
};

/* ---- doing it ---- */

static void end(struct once *once, bool worked)
{
    struct whorl__told told = {{0}};
    const uint32_t word = whorl__line_lock(&once->line) & ~BUSY;
    (void)whorl__rank_grant_all(&once->rank, worked ? SIZE_MAX : 1, &told);
    whorl__line_unlock(&once->line, worked ? word | DONE : word);
    whorl__tell(&told);
}

int whorl_once_run(struct whorl_once *opaque, whorl_body *body, void *arg)
{
    if (opaque == NULL || body == NULL) {
        return -EINVAL;
    }
    struct once *const once = once_of(opaque);
    int error = whorl__line_check(&once->line, BUSY);
    if (error != 0 || is_done(once)) {
        return error;
    }
    uint32_t word = whorl__line_lock(&once->line);
    const bool entered = enter_locked(once, &word);
    whorl__line_unlock(&once->line, word);
    if (!entered) {
        error = whorl__line_pass(once, &once->line, &once->rank, &rules, WHORL_NEVER);
    }
    if (error == 0 && !is_done(once)) {
        error = body(arg);
        end(once, error == 0);
    }
    return error;
}

bool whorl_once_done(const struct whorl_once *once)
{
    return once != NULL && is_done((const struct once *)(const void *)once);
}

/* ---- its beginning and end ---- */

int whorl_once_init(struct whorl_once *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct once *const once = once_of(opaque);
    *once = (struct once){.line.word = 0};
    whorl__line_init(&once->line, 0);
    return 0;
}

int whorl_once_destroy(struct whorl_once *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct once *const once = once_of(opaque);
    const struct whorl__line_end end = {once, "once", &once->rank, 1, BUSY};
    return whorl__line_destroy(&once->line, &end);
}
