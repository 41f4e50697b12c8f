/*
 * program_sync.c - locks, semaphores, read-write locks, events, conditions, barriers, queues and
 * what is done once, used by tasks and plain threads while tasks are cancelled and run out of time.
 *
 * A room is one of these, with its own users; a seed opens some of the rooms at once. Each user has
 * a number of things to do and tries each until it has succeeded: a cancel, a deadline, a lack of
 * memory only ends a call. After a while it becomes calm: nobody is cancelled any more, and waits
 * have no deadline. So whatever was granted and lost leaves somebody waiting while nothing is due,
 * and that is a deadlock, which the simulation finds.
 *
 * On the way: one at a time in a section, readers or one writer, not more in than there are units;
 * an item is got once, a producer's in their order; what is done once is done once; a barrier lets
 * nobody through before so many have come. In the end nobody is in any of them, units and items are
 * as many as were given, and each number of a barrier's round was given as often as the others.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define USERS_MAX   6  /* of a room */
#define ALL_MAX     32 /* of all rooms */
#define ROOMS_MAX   5
#define TIMES_MAX   6  /* that a user does his thing */
#define PARTIES_MAX 3

enum room {
    ROOM_LOCK,
    ROOM_UNFAIR_LOCK,
    ROOM_OWNED_LOCK,
    ROOM_SEMAPHORE,
    ROOM_UNFAIR_SEMAPHORE,
    ROOM_RWLOCK,
    ROOM_ONCE,
    ROOM_EVENT,
    ROOM_CONDITION,
    ROOM_BARRIER,
    ROOM_QUEUE,
    ROOM_LIFO,
    ROOM_PRIORITY,
    ROOM_SHUTDOWN,
    ROOMS
};

struct item {
    unsigned producer;
    unsigned number; /* of that producer's, from 1 */
    unsigned got;
};

struct user {
    enum room room;
    unsigned number; /* in its room */
    unsigned times;
    struct whorl_task *task; /* NULL: a plain thread */
    struct whorl_sim_thread *thread;
    bool began;
    bool ended;
};

/* What stands in a queue's room; each of the three kinds, and one that is shut, has its own. */
struct goods {
    struct whorl_queue queue;
    struct item items[USERS_MAX][TIMES_MAX];
    unsigned last[USERS_MAX][USERS_MAX]; /* that a consumer got, of a producer */
    unsigned to_get;
    unsigned put;
    unsigned got;
    unsigned freed;
    bool is_fifo;
    bool is_sorted;
    bool shut;     /* or about to be */
    bool was_shut; /* the shutdown has returned */
    bool drops;    /* what is left in it */
};

static struct {
    struct user users[ALL_MAX];
    unsigned user_count;
    bool cancels; /* this seed's users cancel each other */
    bool hurries; /* and have deadlines */
    bool calm;
    struct whorl_lock locks[3];
    struct whorl_semaphore semaphores[2];
    struct whorl_rwlock rwlock;
    struct whorl_once once;
    struct whorl_event event;
    struct whorl_condition condition;
    struct whorl_barrier barrier;
    struct goods goods[4];
    unsigned inside[ROOMS];
    unsigned takers[ROOMS]; /* that have not gone */
    unsigned units[2];
    unsigned writers;
    bool once_done;
    unsigned credits;
    unsigned to_take;
    unsigned parties;
    unsigned came;
    unsigned passed[PARTIES_MAX];
    unsigned failed; /* calls that had come and did not pass */
    bool over;       /* the barrier's */
} world;

/* ---- what any user does ---- */

static bool in_task(void)
{
    return whorl_task_current() != NULL;
}

static void cancel(const struct user *user)
{
    if (world.cancels && user->task != NULL && user->began && !user->ended) {
        (void)whorl_cancel(user->task, "never mind");
    }
}

static void cancel_somebody(void)
{
    cancel(&world.users[draw(world.user_count)]);
}

/* One who takes what was given just now in that room, perhaps. */
static void cancel_taker(enum room room)
{
    const unsigned first = draw(world.user_count);
    for (unsigned i = 0; i < world.user_count && !world.calm; i++) {
        const struct user *const user = &world.users[(first + i) % world.user_count];
        if (user->room == room && user->number % 2 == 1) {
            cancel(user);
            return;
        }
    }
}

/* A moment, with whatever the caller holds; a cancel that comes here is over. */
static void stay(void)
{
    if (draw(6) == 0 && !world.calm) {
        cancel_somebody(); /* whom it has just let in, perhaps */
    }
    if (in_task()) {
        (void)dawdle();
    } else if (draw(2) == 0) {
        expect(whorl_sim_block(draw(100) * WHORL_MICROSECOND) == 0);
    }
}

static int64_t some_deadline(void)
{
    return world.hurries && !world.calm && draw(3) == 0
               ? whorl_after((int64_t)draw(400) * WHORL_MICROSECOND)
               : WHORL_NEVER;
}

/* Whether to try without waiting. */
static bool only_tries(void)
{
    return draw(6) == 0 && !world.calm;
}

/* Whether a call has done what it should; else its error is one that it may have, and it is to be
 * tried again. */
static bool succeeded(int error)
{
    if (error < 0) {
        expect(error == -ECANCELED || error == -ETIMEDOUT || error == -ENOMEM ||
               error == -EAGAIN);
        while (in_task() && whorl_uncancel(whorl_task_current()) > 0) {
        }
        stay();
    }
    return error >= 0;
}

/*
 * Those who take share tickets, one for each thing that is given. Whoever is cancelled may give his
 * back and go, if another one is left who takes: then what he was granted is for that one. True: he
 * has gone.
 */
static bool has_ticket(struct user *user, unsigned *tickets)
{
    const bool any = *tickets > 0;
    *tickets -= any;
    world.takers[user->room] -= !any;
    user->times = any; /* then once more */
    return any;
}

static bool leaves(struct user *user, int error, unsigned *tickets)
{
    const bool goes =
        error == -ECANCELED && world.takers[user->room] > 1 && draw(2) == 0;
    *tickets += goes;
    world.takers[user->room] -= goes;
    user->times = goes ? 0 : user->times;
    return goes;
}

/* ---- locks, semaphores ---- */

static bool acquire(struct whorl_lock *lock)
{
    return succeeded(only_tries() ? whorl_lock_try_acquire(lock)
                                  : whorl_lock_acquire_until(lock, some_deadline()));
}

static void use_lock(struct user *user)
{
    struct whorl_lock *const lock = &world.locks[user->room - ROOM_LOCK];
    while (!acquire(lock)) {
    }
    expect(world.inside[user->room]++ == 0);
    stay();
    world.inside[user->room]--;
    expect(whorl_lock_locked(lock));
    expect(whorl_lock_release(lock) == 0);
}

static bool take_unit(struct whorl_semaphore *semaphore)
{
    return succeeded(only_tries() ? whorl_semaphore_try_acquire(semaphore)
                                  : whorl_semaphore_acquire_until(semaphore, some_deadline()));
}

static void use_unit(struct user *user)
{
    const unsigned which = user->room - ROOM_SEMAPHORE;
    while (!take_unit(&world.semaphores[which])) {
    }
    expect(world.inside[user->room]++ < world.units[which]);
    stay();
    world.inside[user->room]--;
    expect(whorl_semaphore_release(&world.semaphores[which]) == 0);
}

static void read_one(void)
{
    while (!succeeded(whorl_rwlock_acquire_read_until(&world.rwlock, some_deadline()))) {
    }
    expect(world.writers == 0);
    world.inside[ROOM_RWLOCK]++;
    stay();
    world.inside[ROOM_RWLOCK]--;
    expect(world.writers == 0);
    expect(whorl_rwlock_release_read(&world.rwlock) == 0);
}

static void write_one(void)
{
    while (!succeeded(whorl_rwlock_acquire_write_until(&world.rwlock, some_deadline()))) {
    }
    expect(world.writers++ == 0 && world.inside[ROOM_RWLOCK] == 0);
    stay();
    expect(world.writers-- == 1 && world.inside[ROOM_RWLOCK] == 0);
    expect(whorl_rwlock_release_write(&world.rwlock) == 0);
}

static void use_rwlock(struct user *user)
{
    if ((user->number + user->times) % 3 == 0) {
        write_one();
    } else {
        read_one();
    }
}

/* ---- once: it fails now and then, and is tried by the next ---- */

static int do_once(void *arg)
{
    (void)arg;
    expect(!world.once_done && world.inside[ROOM_ONCE]++ == 0);
    stay();
    world.inside[ROOM_ONCE]--;
    if (draw(3) != 0) {
        return -EAGAIN;
    }
    world.once_done = true;
    return 0;
}

static void use_once(struct user *user)
{
    (void)user;
    while (!succeeded(whorl_once_run(&world.once, do_once, NULL))) {
    }
    expect(world.once_done && whorl_once_done(&world.once));
}

/* ---- an event: the first user sets it again and again, and in the end for good ---- */

static void set_events(void)
{
    for (unsigned i = draw(TIMES_MAX); i > 0; i--) {
        stay();
        expect(whorl_event_set(&world.event) == 0);
        expect(whorl_event_clear(&world.event) == 0);
    }
    expect(whorl_event_set(&world.event) == 0);
}

static void use_event(struct user *user)
{
    if (user->number == 0) {
        set_events();
    } else {
        while (!succeeded(whorl_event_wait_until(&world.event, some_deadline()))) {
        }
    }
}

/* ---- a condition: users of even number give, the others take as many as are given ---- */

static int has_credit(void *arg)
{
    (void)arg;
    expect(world.inside[ROOM_CONDITION] == 1);
    return (int)world.credits;
}

/* Around each moment in which the condition's lock is held; a wait gives it away, too. */
static void lock_condition(void)
{
    while (!acquire(whorl_condition_lock(&world.condition))) {
    }
    expect(world.inside[ROOM_CONDITION]++ == 0);
}

static void unlock_condition(void)
{
    expect(world.inside[ROOM_CONDITION]-- == 1);
    expect(whorl_lock_release(whorl_condition_lock(&world.condition)) == 0);
}

static void give_credit(void)
{
    lock_condition();
    world.credits++;
    stay();
    expect(whorl_condition_notify(&world.condition, 1) == 0);
    cancel_taker(ROOM_CONDITION);
    unlock_condition();
}

/* The predicate looks with the lock held, and so does who returns; in between nobody may be. */
static int wait_for_credit(void)
{
    int got = has_credit(NULL);
    while (got == 0) {
        world.inside[ROOM_CONDITION]--;
        const int error = whorl_condition_wait_until(&world.condition, some_deadline());
        expect(world.inside[ROOM_CONDITION]++ == 0);
        got = error != 0 ? error : has_credit(NULL);
    }
    return got;
}

static int take_credit(void)
{
    lock_condition();
    const int got = only_tries() ? has_credit(NULL) : wait_for_credit();
    world.credits -= got > 0;
    unlock_condition();
    return got != 0 ? got : -EAGAIN;
}

static void use_condition(struct user *user)
{
    if (user->number % 2 == 0) {
        give_credit();
    } else if (has_ticket(user, &world.to_take)) {
        int got;
        do {
            got = take_credit();
        } while (!succeeded(got) && !leaves(user, got, &world.to_take));
    }
}

/* ---- a barrier: as many users as parties; whoever is done with his rounds ends it ---- */

/* A reset that comes after the end undoes it. */
static void change_barrier(int (*change)(struct whorl_barrier *barrier))
{
    while (!succeeded(change(&world.barrier))) {
    }
    while (world.over && !whorl_barrier_broken(&world.barrier)) {
        (void)succeeded(whorl_barrier_abort(&world.barrier));
    }
}

static bool meet(void)
{
    unsigned index = PARTIES_MAX;
    world.came++;
    const int error = whorl_barrier_wait_until(&world.barrier, some_deadline(), &index);
    if (error == 0) {
        expect(index < world.parties);
        world.passed[index]++;
        expect(world.passed[index] * world.parties <= world.came);
        return true;
    }
    world.failed++;
    if (error != -ENOTRECOVERABLE) {
        return succeeded(error);
    }
    if (whorl_barrier_broken(&world.barrier)) {
        change_barrier(whorl_barrier_reset);
    }
    stay();
    return world.over;
}

/* Now and then somebody breaks it; who meets that mends it. */
static void use_barrier(struct user *user)
{
    (void)user;
    if (draw(8) == 0) {
        change_barrier(draw(2) == 0 ? whorl_barrier_abort : whorl_barrier_reset);
    }
    while (!meet()) {
    }
}

static void end_barrier(void)
{
    world.over = true;
    change_barrier(whorl_barrier_abort);
}

/* ---- queues: users of even number put, the others get as many as are put ---- */

static int compare_items(const void *a, const void *b)
{
    const struct item *const left = a;
    const struct item *const right = b;
    return (left->number > right->number) - (left->number < right->number);
}

static struct goods *goods_of(const struct user *user)
{
    return &world.goods[user->room - ROOM_QUEUE];
}

/* Whether it is put, or will not be: it is shut. */
static bool put_one(struct goods *goods, struct item *item)
{
    const bool was_shut = goods->was_shut;
    const int error = only_tries()
                          ? whorl_queue_try_put(&goods->queue, item)
                          : whorl_queue_put_until(&goods->queue, item, some_deadline());
    if (error == -ESHUTDOWN) {
        expect(goods->shut);
        return true;
    }
    expect(error != 0 || !was_shut);
    goods->put += error == 0;
    return succeeded(error);
}

static void note_item(struct goods *goods, unsigned consumer, struct item *item)
{
    unsigned *const last = &goods->last[consumer][item->producer];
    expect(item->got++ == 0);
    expect(!goods->is_fifo || item->number > *last);
    *last = item->number;
    goods->got++;
}

static int get_one(struct goods *goods, unsigned consumer)
{
    void *item = NULL;
    const int error = only_tries()
                          ? whorl_queue_try_get(&goods->queue, &item)
                          : whorl_queue_get_until(&goods->queue, some_deadline(), &item);
    if (error == -ESHUTDOWN) {
        expect(goods->shut);
        return 0;
    }
    if (error == 0) {
        note_item(goods, consumer, item);
        stay();
        expect(whorl_queue_task_done(&goods->queue) == 0);
    }
    return error;
}

static void use_queue(struct user *user)
{
    struct goods *const goods = goods_of(user);
    if (user->number % 2 == 0) {
        struct item *const item = &goods->items[user->number][user->times];
        *item = (struct item){.producer = user->number, .number = TIMES_MAX - user->times};
        while (!put_one(goods, item)) {
        }
        cancel_taker(user->room);
    } else if (user->room == ROOM_SHUTDOWN || has_ticket(user, &goods->to_get)) {
        int error;
        do {
            error = get_one(goods, user->number);
        } while (!succeeded(error) && !leaves(user, error, &goods->to_get));
    }
}

static void free_item(void *item)
{
    (void)item;
    world.goods[ROOM_SHUTDOWN - ROOM_QUEUE].freed++;
}

/* By each who is done. */
static void shut(struct user *user)
{
    struct goods *const goods = goods_of(user);
    const bool drops = draw(2) == 0;
    goods->shut = true;
    goods->drops |= drops;
    expect(whorl_queue_shutdown(&goods->queue, drops) == 0);
    goods->was_shut = true;
}

/* All that was put is got in the end, and said to be done. */
static void join_queue(struct user *user)
{
    while (!succeeded(whorl_queue_join_until(&goods_of(user)->queue, some_deadline()))) {
    }
}

/* ---- users ---- */

static void (*const uses[ROOMS])(struct user *user) = {
    [ROOM_LOCK] = use_lock,
    [ROOM_UNFAIR_LOCK] = use_lock,
    [ROOM_OWNED_LOCK] = use_lock,
    [ROOM_SEMAPHORE] = use_unit,
    [ROOM_UNFAIR_SEMAPHORE] = use_unit,
    [ROOM_RWLOCK] = use_rwlock,
    [ROOM_ONCE] = use_once,
    [ROOM_EVENT] = use_event,
    [ROOM_CONDITION] = use_condition,
    [ROOM_BARRIER] = use_barrier,
    [ROOM_QUEUE] = use_queue,
    [ROOM_LIFO] = use_queue,
    [ROOM_PRIORITY] = use_queue,
    [ROOM_SHUTDOWN] = use_queue,
};

static int be_user(void *arg)
{
    struct user *const user = arg;
    user->began = true;
    while (user->times > 0) {
        user->times--;
        uses[user->room](user);
        stay();
    }
    if (user->room == ROOM_BARRIER) {
        end_barrier();
    } else if (user->room == ROOM_SHUTDOWN) {
        shut(user);
    } else if (user->room >= ROOM_QUEUE) {
        join_queue(user);
    }
    user->ended = true;
    return 0;
}

static void drop_task(struct user *user)
{
    struct whorl_task *const task = user->task;
    user->task = NULL; /* nobody cancels it any more */
    whorl_task_unref(task);
}

/* Until it has begun: one that finds no memory for its stack ends without. */
static void start_task(struct user *user)
{
    user->task = spawn_surely(be_user, user, NULL);
    while (!user->began) {
        if (whorl_task_done(user->task)) {
            expect(whorl_await(user->task, NULL) == -ENOMEM);
            drop_task(user);
            user->task = spawn_surely(be_user, user, NULL);
        }
        (void)whorl_yield();
    }
}

static void enter(enum room room, unsigned number, unsigned times)
{
    struct user *const user = &world.users[world.user_count++];
    const bool shares = room == ROOM_CONDITION || room >= ROOM_QUEUE;
    const bool gives = number % 2 == 0;
    *user = (struct user){.room = room, .number = number, .times = times};
    world.takers[room] += shares && !gives;
    if (gives && room == ROOM_CONDITION) {
        world.to_take += times;
    } else if (gives && room >= ROOM_QUEUE) {
        goods_of(user)->to_get += times;
    }
}

static void open_room(enum room room)
{
    const unsigned users = room == ROOM_BARRIER ? world.parties : 2 + draw(USERS_MAX - 1);
    for (unsigned i = 0; i < users; i++) {
        enter(room, i, 1 + draw(TIMES_MAX - 1));
    }
}

/* ---- the run ---- */

static void make_all(void)
{
    static const unsigned flags[] = {0, WHORL_LOCK_UNFAIR, WHORL_LOCK_OWNED};
    static const enum whorl_queue_kind kinds[] = {WHORL_QUEUE_FIFO, WHORL_QUEUE_LIFO,
                                                  WHORL_QUEUE_PRIORITY, WHORL_QUEUE_FIFO};
    for (unsigned i = 0; i < 3; i++) {
        expect(whorl_lock_init(&world.locks[i], flags[i]) == 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        world.units[i] = 1 + draw(2);
        expect(whorl_semaphore_init(&world.semaphores[i], world.units[i],
                                    WHORL_SEMAPHORE_BOUNDED |
                                        (i == 1 ? WHORL_SEMAPHORE_UNFAIR : 0)) == 0);
    }
    expect(whorl_rwlock_init(&world.rwlock) == 0 && whorl_once_init(&world.once) == 0);
    expect(whorl_event_init(&world.event) == 0);
    expect(whorl_condition_init(&world.condition, NULL) == 0);
    world.parties = 1 + draw(PARTIES_MAX);
    expect(whorl_barrier_init(&world.barrier, world.parties) == 0);
    for (unsigned i = 0; i < 4; i++) {
        struct goods *const goods = &world.goods[i];
        goods->is_fifo = kinds[i] == WHORL_QUEUE_FIFO;
        goods->is_sorted = kinds[i] == WHORL_QUEUE_PRIORITY;
        expect(whorl_queue_init(&goods->queue, kinds[i], draw(4),
                                goods->is_sorted ? compare_items : NULL) == 0);
    }
    world.goods[ROOM_SHUTDOWN - ROOM_QUEUE].queue.item_free = free_item;
}

static void start_all(void)
{
    for (unsigned i = 0; i < world.user_count; i++) {
        struct user *const user = &world.users[i];
        if (draw(6) == 0) {
            expect(whorl_sim_thread_start(be_user, user, &user->thread) == 0);
        } else {
            start_task(user);
        }
    }
}

static void disturb(void)
{
    for (unsigned rounds = draw(60); rounds > 0; rounds--) {
        cancel_somebody();
        if (draw(2) == 0) {
            (void)whorl_yield();
        } else {
            (void)whorl_sleep((int64_t)(1 + draw(200)) * WHORL_MICROSECOND);
        }
    }
    world.calm = true;
}

/* First the tasks, which the loops are left to meanwhile. A cancel may come at the very end of one,
 * from before it was calm. */
static void see_off(void)
{
    for (unsigned i = 0; i < world.user_count; i++) {
        const struct user *const user = &world.users[i];
        if (user->task != NULL) {
            const int error = whorl_await(user->task, NULL);
            expect(error == 0 || error == -ECANCELED);
        }
    }
    for (unsigned i = 0; i < world.user_count; i++) {
        struct user *const user = &world.users[i];
        if (user->task == NULL) {
            expect(whorl_sim_thread_join(user->thread) == 0);
        }
    }
    for (unsigned i = 0; i < world.user_count; i++) {
        if (world.users[i].task != NULL) {
            drop_task(&world.users[i]);
        }
    }
}

/* What is left is got by nobody else; of a priority queue the lowest first. */
static void end_goods(struct goods *goods)
{
    void *item = NULL;
    unsigned before = 0;
    while (whorl_queue_try_get(&goods->queue, &item) == 0) {
        expect(!goods->is_sorted || ((struct item *)item)->number >= before);
        before = ((struct item *)item)->number;
        note_item(goods, 0, item);
        expect(whorl_queue_task_done(&goods->queue) == 0);
    }
    expect(goods->put == goods->got + goods->freed);
    expect(goods->drops || goods->freed == 0);
    expect(whorl_queue_join(&goods->queue) == 0);
    expect(whorl_queue_destroy(&goods->queue) == 0);
}

/* A round that filled gave each number once; who was cancelled at its end did not say his. */
static void check_rounds(void)
{
    unsigned most = 0, sum = 0;
    for (unsigned i = 0; i < world.parties; i++) {
        most = world.passed[i] > most ? world.passed[i] : most;
        sum += world.passed[i];
    }
    expect(most * world.parties <= sum + world.failed);
    expect(sum + world.failed == world.came);
}

static void end_all(void)
{
    for (unsigned i = 0; i < 3; i++) {
        expect(whorl_lock_destroy(&world.locks[i]) == 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        expect(whorl_semaphore_value(&world.semaphores[i]) == world.units[i]);
        expect(whorl_semaphore_release(&world.semaphores[i]) == -EOVERFLOW);
        expect(whorl_semaphore_destroy(&world.semaphores[i]) == 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        end_goods(&world.goods[i]);
    }
    check_rounds();
    expect(world.credits == 0 && world.to_take == 0);
    expect(whorl_rwlock_destroy(&world.rwlock) == 0 && whorl_once_destroy(&world.once) == 0);
    expect(whorl_event_destroy(&world.event) == 0);
    expect(whorl_condition_destroy(&world.condition) == 0);
    expect(whorl_barrier_destroy(&world.barrier) == 0);
}

static int main_task(void *arg)
{
    (void)arg;
    memset(&world, 0, sizeof world);
    make_all();
    world.cancels = draw(4) != 0;
    world.hurries = draw(2) == 0;
    const unsigned first = draw(ROOMS);
    const unsigned rooms = 1 + draw(ROOMS_MAX);
    for (unsigned i = 0; i < rooms; i++) {
        open_room((enum room)((first + i * 3) % ROOMS));
    }
    start_all();
    disturb();
    see_off();
    end_all();
    return 0;
}

const struct program program_sync = {.name = "sync", .body = main_task, .faults = ALL_FAULTS};
