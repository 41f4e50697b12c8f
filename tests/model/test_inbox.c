/*
 * The inbox: lockfree/inbox.c, pair B1. Pushers, a taker, a rescuer who takes as well, and nodes
 * that are pushed again at once.
 *
 * Every node comes out once, seen whole, in the order of its pusher; and for every batch that was
 * taken exactly one push said that the inbox had been empty: the one that must wake the loop.
 */
#include "model/model.h"

#include "lockfree/inbox.h"

enum { PUSHERS = 3, EACH = 2, NODES = PUSHERS * EACH, PAYLOAD = 7 };

struct item {
    struct whorl__inbox_node node;
    uint32_t payload;
    unsigned pusher;
    unsigned serial;
    unsigned taken; /* how often */
};

struct state {
    struct whorl__inbox inbox;
    struct item items[NODES];
    unsigned edges[PUSHERS];   /* pushes that found it empty */
    unsigned batches[PUSHERS]; /* takes that found something */
};

static void push(struct state *state, unsigned pusher, struct item *item)
{
    whorl__plain_write(&item->payload);
    item->payload = PAYLOAD;
    state->edges[pusher] += whorl__inbox_push(&state->inbox, &item->node);
}

static void push_each(struct state *state, unsigned pusher, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct item *const item = &state->items[pusher * EACH + i];
        item->pusher = pusher;
        item->serial = i;
        push(state, pusher, item);
    }
}

static struct item *item_of(struct whorl__inbox_node *node)
{
    return whorl_container_of(node, struct item, node);
}

/* Returns the first item, still linked to the others. */
static struct item *take(struct state *state, unsigned taker)
{
    unsigned count;
    unsigned found = 0;
    struct item *last_of[PUSHERS] = {NULL};
    struct whorl__inbox_node *const first = whorl__inbox_take_all(&state->inbox, &count);
    for (struct whorl__inbox_node *node = first; node != NULL; node = node->next) {
        struct item *const item = item_of(node);
        whorl__plain_read(&item->payload);
        MODEL_CHECK(item->payload == PAYLOAD);
        const struct item *const before = last_of[item->pusher];
        MODEL_CHECK(before == NULL || before->serial < item->serial);
        last_of[item->pusher] = item;
        item->taken++;
        found++;
    }
    MODEL_CHECK(found == count);
    state->batches[taker] += count > 0;
    return first != NULL ? item_of(first) : NULL;
}

/* What is left counts as one more batch. */
static void check_edges(struct state *state)
{
    unsigned edges = 0;
    unsigned batches = 0;
    (void)take(state, 0);
    MODEL_CHECK(whorl__inbox_is_empty(&state->inbox));
    for (unsigned i = 0; i < PUSHERS; i++) {
        edges += state->edges[i];
        batches += state->batches[i];
    }
    MODEL_CHECK(edges == batches);
}

static void check_taken(struct state *state, unsigned first, unsigned count, unsigned times)
{
    for (unsigned i = first; i < first + count; i++) {
        MODEL_CHECK(state->items[i].taken == times);
    }
}

static void set_up(void *pointer)
{
    struct state *const state = pointer;
    whorl__inbox_init(&state->inbox);
}

/* ---- two pushers and a taker ---- */

static void pushers(void *pointer, unsigned thread)
{
    if (thread < 2) {
        push_each(pointer, thread, EACH);
    } else {
        (void)take(pointer, 2);
        (void)take(pointer, 2);
    }
}

static void four_taken(void *pointer)
{
    check_edges(pointer);
    check_taken(pointer, 0, 2 * EACH, 1);
}

/* ---- three pushers of one node each ---- */

static void crowd(void *pointer, unsigned thread)
{
    if (thread < PUSHERS) {
        push_each(pointer, thread, 1);
    } else {
        (void)take(pointer, 0);
    }
}

static void three_taken(void *pointer)
{
    struct state *const state = pointer;
    check_edges(state);
    for (unsigned i = 0; i < PUSHERS; i++) {
        check_taken(state, i * EACH, 1, 1);
    }
}

/* ---- the head that a pusher has read is taken, and pushed again under its eyes ---- */

static void reuse(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        push_each(state, 0, EACH);
        return;
    }
    push_each(state, 1, 1);
    struct item *const first = take(state, 1);
    struct item *const again = first != NULL && first->pusher == 1 ? first : NULL;
    if (again != NULL) {
        again->serial = EACH; /* behind what this pusher has in there, which is nothing */
        push(state, 1, again);
        (void)take(state, 1);
    }
}

static void taken_again(void *pointer)
{
    struct state *const state = pointer;
    check_edges(state);
    check_taken(state, 0, EACH, 1);
    const struct item *const again = &state->items[EACH];
    MODEL_CHECK(again->taken == (again->serial == EACH ? 2 : 1));
}

/* ---- the loop and a rescuer take at the same time ---- */

static void rescuer(void *pointer, unsigned thread)
{
    if (thread == 0) {
        push_each(pointer, 0, EACH);
    } else {
        (void)take(pointer, thread);
    }
}

static void two_taken(void *pointer)
{
    check_edges(pointer);
    check_taken(pointer, 0, EACH, 1);
}

#define INBOX(NAME, ABOUT, THREADS, BODY, FINISH, BOUND, SCHEDULES)                                \
    {                                                                                              \
        .name = "inbox/" NAME, .about = ABOUT, .threads = THREADS,                                 \
        .state_bytes = sizeof(struct state), .setup = set_up, .body = BODY, .finish = FINISH,      \
        .preemptions = BOUND, .schedules = SCHEDULES                                               \
    }

static const struct model models[] = {
    INBOX("two-pushers", "two push twice, one takes twice", 3, pushers, four_taken, 3, 5000),
    INBOX("three-pushers", "three push once, one takes", 4, crowd, three_taken, 3, 5000),
    INBOX("reuse", "a head is taken and pushed again below a pusher that has read it", 2, reuse,
          taken_again, MODEL_UNBOUNDED, 5000),
    INBOX("rescuer", "two take at once", 3, rescuer, two_taken, 4, 5000),
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
