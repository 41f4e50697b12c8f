/*
 * queue.c - items from those who put to those who get.
 *
 * A line with three ranks: who gets, who puts, who joins. All of it is under the line's lock.
 *
 *   put     an item more; the first who gets is granted it
 *   take    an item less; the first who puts is granted the room
 *   done    the last one: all who join are granted
 *   shut    all who put are granted, and look again; who gets, once there is nothing left
 *
 * Who is granted looks again when he runs, for two orders:
 *
 *   strict   asyncio's: a grant is only a wake-up. An item is for whoever takes it first; who
 *            finds none stands in line again, at the end (QUE-11).
 *   other    a grant is a reservation: `reserved` counts items (room) that are somebody's. Who
 *            comes in between sees only the rest; who does not want his gives it to the next.
 *
 *   losing order, without the count             ours
 *   A: get: waits                               the same
 *   B: put: A is granted                        B: put: A is granted, an item is reserved
 *   C: get: takes it, again and again           C: get: none that is free: stands behind A
 *   A: runs, finds none, waits; and so on       A: runs, takes it
 *
 * Which of the two is decided by the runtime of who waits. Where both share a queue, an item that
 * was reserved may be taken by one who does not look at that; who misses it stands in line again.
 * A shutdown leaves reservations as they are. While items are left, and all of them are somebody's,
 * who gets stands in line as before: what another gives up is his. Who takes the last one tells all
 * who stand there, and they get -ESHUTDOWN. In strict order nobody stands there after it.
 *
 *   losing order, were all of them told at once   ours
 *   B: put: A is granted; shutdown                 the same
 *   C: get: none that is free: -ESHUTDOWN          C: get: none that is free: stands behind A
 *   A: is cancelled, gives its item up             A: is cancelled: C is granted the item
 *   nobody has it, and C was told there is none
 *
 * Items lie in a ring; of a LIFO queue only its end is used, a priority queue has a heap in it.
 * More room is allocated without the lock, and then looked at anew.
 *
 * Owns:       struct queue, which is the program's struct whorl_queue.
 * Threads:    any.
 * Invariant:  reserved <= granted of the rank. More items (room) than are reserved means that
 *             nobody stands in line for them who reserves. Shut: nobody stands in line for room,
 *             nor for items if there are none.
 * Pairs:      K3 of line.h: put - the get that has the item; task_done - join.
 * Not chosen: handing the item itself to who was granted. What a priority queue gives is decided
 *             when it is taken; and one who is cancelled would have to put it back where it was.
 */
#include "sync/queue.h"

#include "base/bug.h"
#include "sys/os.h"
#include "task/park.h"

#include "whorl.h"

#include <errno.h>
#include <string.h>

enum { SMALL = 8 };

enum rank { GET, PUT, JOIN, RANKS };

struct queue {
    uint32_t kind;                 /* C */
    uint32_t max;                  /* C: 0: no limit */
    whorl_queue_compare *compare;  /* C */
    void (*item_free)(void *item); /* C */
    struct whorl__line line;
    bool shut;                     /* M(line) */
    size_t unfinished;             /* M(line): were put, and are not done */
    void **more;                   /* M(line): the items; NULL: they are in small */
    size_t capacity;               /* M(line): of more; a power of two */
    size_t first;                  /* M(line): where the oldest is; 0 but for FIFO */
    size_t count;                  /* M(line) */
    struct whorl__rank ranks[RANKS];
    size_t reserved[2];            /* M(line): of items, of room */
    void *small[SMALL];            /* M(line) */
};

WHORL_STATIC(sizeof(struct queue) <= sizeof(struct whorl_queue), "it fits");
WHORL_STATIC(offsetof(struct queue, line) == offsetof(struct whorl_queue, opaque),
             "a static one is empty");
WHORL_STATIC((SMALL & (SMALL - 1)) == 0, "a power of two");

static struct queue *queue_of(struct whorl_queue *queue)
{
    return (struct queue *)(void *)queue;
}

/* ---- items ---- */

static size_t capacity_of(const struct queue *queue)
{
    return queue->more != NULL ? queue->capacity : SMALL;
}

static void **place(struct queue *queue, size_t index)
{
    void **const items = queue->more != NULL ? queue->more : queue->small;
    return &items[(queue->first + index) & (capacity_of(queue) - 1)];
}

static void swap(void **a, void **b)
{
    void *const item = *a;
    *a = *b;
    *b = item;
}

static bool is_less(struct queue *queue, size_t a, size_t b)
{
    return queue->compare(*place(queue, a), *place(queue, b)) < 0;
}

static WHORL_NOINLINE void sift_up(struct queue *queue, size_t index)
{
    while (index > 0 && is_less(queue, index, (index - 1) / 2)) {
        swap(place(queue, index), place(queue, (index - 1) / 2));
        index = (index - 1) / 2;
    }
}

static WHORL_NOINLINE void sift_down(struct queue *queue)
{
    size_t index = 0;
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= queue->count) {
            return;
        }
        child += child + 1 < queue->count && is_less(queue, child + 1, child);
        if (!is_less(queue, child, index)) {
            return;
        }
        swap(place(queue, index), place(queue, child));
        index = child;
    }
}

static void push(struct queue *queue, void *item)
{
    WHORL_ASSERT(queue->count < capacity_of(queue));
    *place(queue, queue->count++) = item;
    if (WHORL_UNLIKELY(queue->kind == WHORL_QUEUE_PRIORITY)) {
        sift_up(queue, queue->count - 1);
    }
}

static void *pop(struct queue *queue)
{
    WHORL_ASSERT(queue->count > 0);
    queue->count--;
    if (queue->kind == WHORL_QUEUE_LIFO) {
        return *place(queue, queue->count);
    }
    void *const item = *place(queue, 0);
    if (queue->kind == WHORL_QUEUE_PRIORITY) {
        *place(queue, 0) = *place(queue, queue->count);
        sift_down(queue);
    } else {
        queue->first = (queue->first + 1) & (capacity_of(queue) - 1);
    }
    return item;
}

/* Into a bigger block, which becomes the queue's; the old one is for the caller to free. */
static void **move_items(struct queue *queue, void **block, size_t capacity)
{
    void **const old = queue->more;
    for (size_t i = 0; i < queue->count; i++) {
        block[i] = *place(queue, i);
    }
    queue->more = block;
    queue->capacity = capacity;
    queue->first = 0;
    return old;
}

/* Room for one more item: without the lock meanwhile, so all is to be looked at anew. */
static WHORL_NOINLINE int grow(struct queue *queue, uint32_t *word)
{
    const size_t had = capacity_of(queue);
    whorl__line_unlock(&queue->line, *word);
    void **block = whorl__os->alloc(2 * had * sizeof *block);
    *word = whorl__line_lock(&queue->line);
    if (block == NULL) {
        return -ENOMEM;
    }
    if (capacity_of(queue) == had) {
        block = move_items(queue, block, 2 * had);
    }
    whorl__line_unlock(&queue->line, *word);
    whorl__os->free(block);
    *word = whorl__line_lock(&queue->line);
    return 0;
}

/* ---- what there is to give ---- */

static size_t room_of(const struct queue *queue)
{
    if (queue->max == 0) {
        return SIZE_MAX;
    }
    return queue->count < queue->max ? queue->max - queue->count : 0;
}

/* Items, or room. */
static size_t stock_of(const struct queue *queue, enum rank rank)
{
    return rank == GET ? queue->count : room_of(queue);
}

/* Whether it keeps to asyncio's order, in which nothing is reserved. */
static bool is_strict(const struct whorl_task *task)
{
    return task != NULL && !task->runtime->stealing && !WHORL__BUG(QUEUE_KEEPS_ITEMS);
}

static bool has_some(const struct whorl__queue_use *use)
{
    const struct queue *const queue = use->queue;
    const size_t stock = stock_of(queue, use->rank);
    const bool all_are_free = use->reserved || is_strict(use->task);
    return stock > (all_are_free ? 0 : queue->reserved[use->rank]);
}

/* There may be something more: the first in the rank is granted it. */
static void grant_next(struct queue *queue, enum rank rank, struct whorl__told *told)
{
    struct whorl__stander *const first = whorl__rank_first(&queue->ranks[rank]);
    if (first == NULL) {
        return;
    }
    if (!is_strict(first->task)) {
        if (stock_of(queue, rank) <= queue->reserved[rank]) {
            return;
        }
        whorl_container_of(first, struct whorl__queue_use, stander)->reserved = true;
        queue->reserved[rank]++;
    }
    whorl__rank_grant(&queue->ranks[rank], first, told);
}

/* What was reserved for it is so no more: it takes it now, or does not want it. */
static void unreserve(struct whorl__queue_use *use)
{
    if (use->reserved) {
        WHORL_ASSERT(use->queue->reserved[use->rank] > 0);
        use->queue->reserved[use->rank]--;
        use->reserved = false;
    }
}

/* It was granted, and goes without: for the next one, as in asyncio. */
static void pass_on(struct whorl__queue_use *use)
{
    unreserve(use);
    if (stock_of(use->queue, use->rank) > 0) {
        grant_next(use->queue, use->rank, &use->told);
    }
}

/*
 * It is shut: who waits for an item is to look again, and to go: all, if there is none; else those
 * who reserve nothing. The others have their turn when those before them have had theirs.
 */
static WHORL_NOINLINE void end_getting_locked(struct queue *queue, struct whorl__told *told)
{
    struct whorl__rank *const rank = &queue->ranks[GET];
    if (queue->count == 0) {
        (void)whorl__rank_grant_all(rank, SIZE_MAX, told);
        return;
    }
    for (struct whorl__stander *first = whorl__rank_first(rank);
         first != NULL && is_strict(first->task); first = whorl__rank_first(rank)) {
        whorl__rank_grant(rank, first, told);
    }
}

/* So many items are done. */
static void finish_locked(struct queue *queue, size_t items, struct whorl__told *told)
{
    queue->unfinished -= items < queue->unfinished ? items : queue->unfinished;
    if (queue->unfinished == 0) {
        (void)whorl__rank_grant_all(&queue->ranks[JOIN], SIZE_MAX, told);
    }
}

/* ---- get and put, without waiting ---- */

/* 0; -EAGAIN: it would have to wait; -ESHUTDOWN: nothing is there, nor will be. */
WHORL_ALWAYS_INLINE int get_locked(struct whorl__queue_use *use)
{
    struct queue *const queue = use->queue;
    if (!has_some(use)) {
        return queue->shut && queue->count == 0 ? -ESHUTDOWN : -EAGAIN;
    }
    unreserve(use);
    use->item = pop(queue);
    if (WHORL_UNLIKELY(queue->shut)) {
        end_getting_locked(queue, &use->told);
    }
    if (WHORL__BUG(QUEUE_COUNTS_GETS)) {
        finish_locked(queue, 1, &use->told);
    }
    grant_next(queue, PUT, &use->told);
    return 0;
}

/* As get; -ENOMEM. */
WHORL_ALWAYS_INLINE int put_locked(struct whorl__queue_use *use)
{
    struct queue *const queue = use->queue;
    int error = 0;
    while (error == 0) {
        if (queue->shut && !WHORL__BUG(QUEUE_TAKES_ON)) {
            return -ESHUTDOWN;
        }
        if (!has_some(use)) {
            return -EAGAIN;
        }
        if (queue->count < capacity_of(queue)) {
            break;
        }
        error = grow(queue, &use->word);
    }
    if (error == 0) {
        unreserve(use);
        push(queue, use->item);
        queue->unfinished++;
        grant_next(queue, GET, &use->told);
    }
    return error;
}

WHORL_ALWAYS_INLINE int try_locked(struct whorl__queue_use *use)
{
    return use->rank == GET ? get_locked(use) : put_locked(use);
}

static WHORL_NOINLINE int try_again_locked(struct whorl__queue_use *use)
{
    return try_locked(use);
}

static int try_use(struct whorl__queue_use *use)
{
    const int wrong = whorl__line_check(&use->queue->line, 0);
    if (wrong != 0) {
        return wrong;
    }
    use->word = whorl__line_lock(&use->queue->line);
    const int error = try_again_locked(use);
    whorl__line_unlock(&use->queue->line, use->word);
    whorl__tell(&use->told);
    return error;
}

/* ---- and with ---- */

/* A wait begins. With a deadline it does so without the lock, for it locks the timers: then all is
 * to be looked at anew. -EAGAIN: it is to stand in line now. */
WHORL_ALWAYS_INLINE int begin_wait_locked(struct whorl__queue_use *use, int64_t deadline_ns)
{
    struct queue *const queue = use->queue;
    const enum whorl__line_kind kind =
        use->rank == GET ? WHORL__SYNC_QUEUE_GET : WHORL__SYNC_QUEUE_PUT;
    if (deadline_ns == WHORL_NEVER && use->task != NULL) {
        whorl__stander_begin_task(&use->stander, use->task, queue, kind);
        return -EAGAIN;
    }
    whorl__line_unlock(&queue->line, use->word);
    const int error = whorl__stander_begin(&use->stander, queue, kind, deadline_ns);
    use->word = whorl__line_lock(&queue->line);
    return error != 0 ? error : try_again_locked(use);
}

/* Stands in line once; then looks again. Inline, as what calls it: see whorl__park_here. */
WHORL_ALWAYS_INLINE int wait_locked(struct whorl__queue_use *use, int64_t deadline_ns)
{
    struct whorl__line *const line = &use->queue->line;
    int error = begin_wait_locked(use, deadline_ns);
    if (error != -EAGAIN) {
        return error;
    }
    whorl__line_stand(line, &use->word, &use->queue->ranks[use->rank], &use->stander);
    error = whorl__line_wait(line, &use->word, &use->stander);
    const bool granted = use->stander.granted;
    whorl__line_leave(line, &use->word, &use->stander);
    if (error == 0) {
        error = try_again_locked(use);
    }
    if (granted && error != 0 && error != -EAGAIN && !WHORL__BUG(QUEUE_LOSES_AN_ITEM)) {
        pass_on(use);
    }
    unreserve(use);
    return error;
}

WHORL_ALWAYS_INLINE int use_once(struct whorl__queue_use *use, int64_t deadline_ns)
{
    use->word = whorl__line_lock(&use->queue->line);
    int error = try_locked(use);
    if (error == -EAGAIN) {
        use->stander.begun = false;
        error = wait_locked(use, deadline_ns);
        whorl__line_unlock(&use->queue->line, use->word);
        (void)whorl__stander_end(&use->stander);
    } else {
        whorl__line_unlock(&use->queue->line, use->word);
    }
    whorl__tell(&use->told);
    return error;
}

/* Who puts where there always is room does not. */
static bool may_wait(const struct whorl__queue_use *use)
{
    return use->rank == GET || use->queue->max != 0;
}

WHORL_ALWAYS_INLINE int use_until(struct whorl__queue_use *use, int64_t deadline_ns)
{
    int error = may_wait(use) ? whorl__spend_sync() : 0;
    if (error == 0) {
        error = whorl__line_check(&use->queue->line, 0);
    }
    if (error != 0) {
        return error;
    }
    do {
        error = use_once(use, deadline_ns);
    } while (error == -EAGAIN);
    return error;
}

/* Not the rest: it is written when it waits. */
static void begin(struct whorl__queue_use *use, struct whorl_queue *queue, enum rank rank,
                  void *item)
{
    use->queue = queue_of(queue);
    use->rank = rank;
    use->item = item;
    use->task = whorl__task_current();
    use->reserved = false;
    use->told = (struct whorl__told){{0}};
}

WHORL_ALWAYS_INLINE int put(struct whorl_queue *queue, void *item, int64_t deadline_ns)
{
    struct whorl__queue_use use;
    if (WHORL_UNLIKELY(queue == NULL)) {
        return -EINVAL;
    }
    begin(&use, queue, PUT, item);
    return use_until(&use, deadline_ns);
}

int whorl_queue_put_until(struct whorl_queue *queue, void *item, int64_t deadline_ns)
{
    return put(queue, item, deadline_ns);
}

int whorl_queue_put(struct whorl_queue *queue, void *item)
{
    return put(queue, item, WHORL_NEVER);
}

int whorl_queue_try_put(struct whorl_queue *queue, void *item)
{
    struct whorl__queue_use use;
    begin(&use, queue, PUT, item);
    return queue == NULL ? -EINVAL : try_use(&use);
}

/* The item, if there is one. */
static int give_item(const struct whorl__queue_use *use, int error, void **ret_item)
{
    if (error == 0) {
        *ret_item = use->item;
    }
    return error;
}

WHORL_ALWAYS_INLINE int get(struct whorl_queue *queue, int64_t deadline_ns, void **ret_item)
{
    struct whorl__queue_use use;
    if (WHORL_UNLIKELY(queue == NULL || ret_item == NULL)) {
        return -EINVAL;
    }
    begin(&use, queue, GET, NULL);
    return give_item(&use, use_until(&use, deadline_ns), ret_item);
}

int whorl_queue_get_until(struct whorl_queue *queue, int64_t deadline_ns, void **ret_item)
{
    return get(queue, deadline_ns, ret_item);
}

int whorl_queue_get(struct whorl_queue *queue, void **ret_item)
{
    return get(queue, WHORL_NEVER, ret_item);
}

int whorl_queue_try_get(struct whorl_queue *queue, void **ret_item)
{
    struct whorl__queue_use use;
    begin(&use, queue, GET, NULL);
    return queue == NULL || ret_item == NULL ? -EINVAL
                                             : give_item(&use, try_use(&use), ret_item);
}

/* ---- for select.c ---- */

int whorl__queue_use_begin(struct whorl__queue_use *use, struct whorl_queue *queue, bool gets,
                           void *item)
{
    begin(use, queue, gets ? GET : PUT, item);
    return whorl__line_check(&use->queue->line, 0);
}

struct whorl__line *whorl__queue_line(const struct whorl__queue_use *use,
                                      struct whorl__rank **ret_rank)
{
    *ret_rank = &use->queue->ranks[use->rank];
    return &use->queue->line;
}

int whorl__queue_try_locked(struct whorl__queue_use *use)
{
    const int error = try_again_locked(use);
    if (error == -EAGAIN) {
        unreserve(use); /* another has taken it: nothing is there */
    }
    return error;
}

void whorl__queue_pass_on_locked(struct whorl__queue_use *use)
{
    pass_on(use);
}

/* ---- done ---- */

int whorl_queue_task_done(struct whorl_queue *opaque)
{
    struct whorl__told told = {{0}};
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct queue *const queue = queue_of(opaque);
    const int error = whorl__line_check(&queue->line, 0);
    if (error != 0) {
        return error;
    }
    const uint32_t word = whorl__line_lock(&queue->line);
    const bool any = queue->unfinished > 0;
    if (any) {
        finish_locked(queue, 1, &told);
    }
    whorl__line_unlock(&queue->line, word);
    whorl__tell(&told);
    return any ? 0 : -EOVERFLOW;
}

static bool all_are_done(void *primitive, uint32_t *word)
{
    (void)word;
    return ((const struct queue *)primitive)->unfinished == 0;
}

/* All were done when it was granted: that is enough, whatever was put since (QUE-17). */
static bool go_on(void *primitive, uint32_t *word, struct whorl__told *told)
{
    (void)told;
    return !WHORL__BUG(QUEUE_JOINS_ANEW) || all_are_done(primitive, word);
}

static void leave_alone(void *primitive, uint32_t *word, bool granted, struct whorl__told *told)
{
    (void)primitive, (void)word, (void)granted, (void)told;
}

static const struct whorl__line_rules joining = {
    .kind = WHORL__SYNC_QUEUE_JOIN,
    .enter = all_are_done,
    .take = go_on,
    .give_up = leave_alone,
};

static bool is_done(struct queue *queue)
{
    const uint32_t word = whorl__line_lock(&queue->line);
    const bool done = queue->unfinished == 0;
    whorl__line_unlock(&queue->line, word);
    return done;
}

int whorl_queue_join_until(struct whorl_queue *opaque, int64_t deadline_ns)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct queue *const queue = queue_of(opaque);
    int error = whorl__spend_sync();
    if (error == 0) {
        error = whorl__line_check(&queue->line, 0);
    }
    if (error != 0 || is_done(queue)) {
        return error;
    }
    return whorl__line_pass(queue, &queue->line, &queue->ranks[JOIN], &joining, deadline_ns);
}

int whorl_queue_join(struct whorl_queue *queue)
{
    return whorl_queue_join_until(queue, WHORL_NEVER);
}

/* ---- its end ---- */

/* Items that nobody will get, and where they lie: a queue of which only that is filled in. */
static void take_all_locked(struct queue *queue, struct queue *ret_left)
{
    *ret_left = (struct queue){.kind = WHORL_QUEUE_FIFO,
                               .item_free = queue->item_free,
                               .more = queue->more,
                               .capacity = queue->capacity,
                               .first = queue->first,
                               .count = queue->count};
    memcpy(ret_left->small, queue->small, sizeof queue->small);
    queue->more = NULL;
    queue->first = 0;
    queue->count = 0;
}

static void free_all(struct queue *left)
{
    while (left->count > 0) {
        void *const item = pop(left);
        if (left->item_free != NULL) {
            left->item_free(item);
        }
    }
    whorl__os->free(left->more);
}

int whorl_queue_shutdown(struct whorl_queue *opaque, bool immediate)
{
    struct whorl__told told = {{0}};
    struct queue left = {.count = 0};
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct queue *const queue = queue_of(opaque);
    const int error = whorl__line_check(&queue->line, 0);
    if (error != 0) {
        return error;
    }
    const uint32_t word = whorl__line_lock(&queue->line);
    queue->shut = true;
    if (immediate || WHORL__BUG(QUEUE_DROPS_ALL)) {
        take_all_locked(queue, &left);
        finish_locked(queue, left.count, &told);
    }
    end_getting_locked(queue, &told);
    (void)whorl__rank_grant_all(&queue->ranks[PUT], SIZE_MAX, &told);
    whorl__line_unlock(&queue->line, word);
    whorl__tell(&told);
    free_all(&left);
    return 0;
}

int whorl_queue_destroy(struct whorl_queue *opaque)
{
    struct queue left;
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct queue *const queue = queue_of(opaque);
    const struct whorl__line_end end = {queue, "queue", queue->ranks, RANKS, 0};
    const int error = whorl__line_destroy(&queue->line, &end);
    if (error == 0) {
        take_all_locked(queue, &left);
        free_all(&left);
    }
    return error;
}

int whorl_queue_init(struct whorl_queue *opaque, enum whorl_queue_kind kind, int64_t max,
                     whorl_queue_compare *compare)
{
    if (opaque == NULL || (unsigned)kind > WHORL_QUEUE_PRIORITY || max > UINT32_MAX ||
        (kind == WHORL_QUEUE_PRIORITY) != (compare != NULL)) {
        return -EINVAL;
    }
    struct queue *const queue = queue_of(opaque);
    *queue = (struct queue){
        .kind = (uint32_t)kind, .max = max > 0 ? (uint32_t)max : 0, .compare = compare};
    whorl__line_init(&queue->line, 0);
    return 0;
}

/* ---- looking ---- */

/* How many items, and how much room. False: none of either. */
static bool look(struct whorl_queue *opaque, size_t *ret_count, size_t *ret_room)
{
    if (opaque == NULL || whorl__line_check(&queue_of(opaque)->line, 0) != 0) {
        return false;
    }
    struct queue *const queue = queue_of(opaque);
    const uint32_t word = whorl__line_lock(&queue->line);
    *ret_count = queue->count;
    *ret_room = room_of(queue);
    whorl__line_unlock(&queue->line, word);
    return true;
}

size_t whorl_queue_size(struct whorl_queue *queue)
{
    size_t count;
    size_t room;
    return look(queue, &count, &room) ? count : 0;
}

bool whorl_queue_empty(struct whorl_queue *queue)
{
    return whorl_queue_size(queue) == 0;
}

bool whorl_queue_full(struct whorl_queue *queue)
{
    size_t count;
    size_t room;
    return look(queue, &count, &room) && room == 0;
}
