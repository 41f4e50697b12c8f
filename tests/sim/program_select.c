/*
 * program_select.c - tasks that wait for the first of several: items, room, a lock, a unit, an
 * event, each other's ends, a time; beside others that take the same alone, and are cancelled.
 *
 * What must hold: exactly one case is done. So one at a time has the lock, two have units; an item
 * is got once, and those of one who puts in their order; what was put and not got is there in the
 * end. A queue may be shut down under all of that.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define QUEUES 3
#define CROWD  8
#define STEPS  10
#define UNITS  2
#define CASES  (WHORL_SELECT_SMALL + 3) /* also more than have room without an allocation */

struct trader {
    unsigned number;
    uintptr_t last[QUEUES][CROWD]; /* of each who puts: the number of the item got last */
};

static struct {
    struct whorl_queue queues[QUEUES];
    struct whorl_lock lock;
    struct whorl_semaphore semaphore;
    struct whorl_event event;
    bool shut[QUEUES];
    uintptr_t put[QUEUES][CROWD];
    uintptr_t got[QUEUES][CROWD];
    int in_lock;
    int units;
    unsigned done;
    struct whorl_task *tasks[CROWD];
    struct trader traders[CROWD];
} world;

/* ---- what one has, for a while ---- */

static void linger(void)
{
    for (unsigned i = draw(4); i > 0; i--) {
        (void)whorl_now(); /* a call of the system's lets every other thread go on */
    }
}

static int hold_lock(void)
{
    expect(world.in_lock++ == 0);
    linger();
    const int error = dawdle();
    expect(world.in_lock-- == 1);
    expect(whorl_lock_release(&world.lock) == 0);
    return error;
}

static int hold_unit(void)
{
    expect(world.units++ < UNITS);
    linger();
    const int error = dawdle();
    expect(world.units-- > 0);
    expect(whorl_semaphore_release(&world.semaphore) == 0);
    return error;
}

static void *next_item(const struct trader *trader, unsigned queue)
{
    return (void *)((world.put[queue][trader->number] + 1) * CROWD + trader->number);
}

static void receive(struct trader *trader, unsigned queue, const void *item)
{
    const uintptr_t producer = (uintptr_t)item % CROWD;
    const uintptr_t number = (uintptr_t)item / CROWD;
    expect(number > trader->last[queue][producer]);
    trader->last[queue][producer] = number;
    world.got[queue][producer]++;
}

/* ---- one select ---- */

static struct whorl_select_case any_case(const struct trader *trader)
{
    const unsigned queue = draw(QUEUES);
    const unsigned other = draw(CROWD);
    struct whorl_queue *const of = &world.queues[queue];
    switch (draw(7)) {
    case 0:
    case 1:
        return (struct whorl_select_case)WHORL_CASE_GET(of);
    case 2:
    case 3:
        return (struct whorl_select_case)WHORL_CASE_PUT(of, next_item(trader, queue));
    case 4:
        return (struct whorl_select_case)WHORL_CASE_LOCK(&world.lock);
    case 5:
        return (struct whorl_select_case)WHORL_CASE_SEMAPHORE(&world.semaphore);
    default:
        break;
    }
    if (other == trader->number || world.tasks[other] == NULL) {
        return (struct whorl_select_case)WHORL_CASE_EVENT(&world.event);
    }
    return (struct whorl_select_case)WHORL_CASE_DONE(whorl_task_future(world.tasks[other]));
}

static void count_item(struct trader *trader, const struct whorl_select_case *chosen)
{
    const unsigned queue = (unsigned)((const struct whorl_queue *)chosen->of - world.queues);
    if (chosen->error != 0) {
        expect(chosen->error == -ESHUTDOWN && world.shut[queue]);
    } else if (chosen->kind == WHORL_SELECT_GET) {
        receive(trader, queue, chosen->item);
    } else {
        world.put[queue][trader->number]++;
    }
}

static int go_on_with(struct trader *trader, const struct whorl_select_case *chosen)
{
    switch (chosen->kind) {
    case WHORL_SELECT_GET:
    case WHORL_SELECT_PUT:
        count_item(trader, chosen);
        return 0;
    case WHORL_SELECT_LOCK:
        return hold_lock();
    case WHORL_SELECT_SEMAPHORE:
        return hold_unit();
    case WHORL_SELECT_DONE:
        expect(whorl_future_done(chosen->of));
        return 0;
    case WHORL_SELECT_TIME:
        expect(whorl_now() >= chosen->time_ns);
        return 0;
    default:
        expect(chosen->kind == WHORL_SELECT_EVENT);
        return 0;
    }
}

static int select_one(struct trader *trader)
{
    struct whorl_select_case cases[CASES];
    const unsigned count = 1 + draw(CASES);
    cases[0] = (struct whorl_select_case)WHORL_CASE_TIME(
        whorl_after((int64_t)draw(3) * WHORL_MILLISECOND));
    for (unsigned i = 1; i < count; i++) {
        cases[i] = any_case(trader);
    }
    const int chosen = draw(4) ? whorl_select(cases, count) : whorl_select_try(cases, count);
    if (chosen < 0) {
        return chosen == -EAGAIN ? 0 : chosen;
    }
    world.done++;
    return go_on_with(trader, &cases[chosen]);
}

/* ---- alone ---- */

static int get_one(struct trader *trader, unsigned queue)
{
    void *item;
    const int64_t deadline_ns = whorl_after(WHORL_MILLISECOND);
    const int error = whorl_queue_get_until(&world.queues[queue], deadline_ns, &item);
    if (error == 0) {
        receive(trader, queue, item);
    }
    return error == -ETIMEDOUT || error == -ESHUTDOWN ? 0 : error;
}

static int put_one(struct trader *trader, unsigned queue)
{
    const int error = whorl_queue_try_put(&world.queues[queue], next_item(trader, queue));
    world.put[queue][trader->number] += error == 0;
    return error == -EAGAIN || error == -ESHUTDOWN ? 0 : error;
}

static int lock_alone(void)
{
    const int error = whorl_lock_acquire_until(&world.lock, whorl_after(WHORL_MILLISECOND));
    return error == 0 ? hold_lock() : error == -ETIMEDOUT ? 0 : error;
}

static int step(struct trader *trader)
{
    const unsigned queue = draw(QUEUES);
    switch (draw(12)) {
    case 0:
        return get_one(trader, queue);
    case 1:
    case 2:
        return put_one(trader, queue);
    case 3:
        return lock_alone();
    case 4:
        return draw(2) ? whorl_event_set(&world.event) : whorl_event_clear(&world.event);
    case 5:
        if (draw(8) == 0) {
            world.shut[queue] = true;
            expect(whorl_queue_shutdown(&world.queues[queue], false) == 0);
        }
        return dawdle();
    default:
        return select_one(trader);
    }
}

static int trade(void *arg)
{
    struct trader *const trader = arg;
    int error = 0;
    for (unsigned i = 0; i < STEPS && error == 0; i++) {
        error = step(trader);
        expect(error == 0 || bad_luck(error));
    }
    return error;
}

/* ---- all of it ---- */

static void open_world(void)
{
    memset(&world, 0, sizeof world);
    for (unsigned i = 0; i < QUEUES; i++) {
        expect(whorl_queue_init(&world.queues[i], WHORL_QUEUE_FIFO, 1 + (int64_t)draw(3), NULL) ==
               0);
    }
    expect(whorl_semaphore_init(&world.semaphore, UNITS, WHORL_SEMAPHORE_BOUNDED) == 0);
}

/* What is left in a queue counts as got. */
static void close_queue(unsigned queue)
{
    struct trader last = {.number = 0};
    void *item;
    while (whorl_queue_try_get(&world.queues[queue], &item) == 0) {
        receive(&last, queue, item);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        expect(world.got[queue][i] == world.put[queue][i]);
    }
    expect(whorl_queue_destroy(&world.queues[queue]) == 0);
}

static void close_world(void)
{
    for (unsigned i = 0; i < QUEUES; i++) {
        close_queue(i);
    }
    expect(whorl_semaphore_value(&world.semaphore) == UNITS);
    expect(whorl_semaphore_destroy(&world.semaphore) == 0);
    expect(whorl_lock_destroy(&world.lock) == 0);
    expect(whorl_event_destroy(&world.event) == 0);
}

static int main_task(void *arg)
{
    const unsigned count = 2 + draw(CROWD - 1);
    (void)arg;
    open_world();
    for (unsigned i = 0; i < count; i++) {
        world.traders[i].number = i;
        world.tasks[i] = spawn_surely(trade, &world.traders[i], NULL);
    }
    for (unsigned i = draw(4); i > 0; i--) {
        (void)whorl_cancel(world.tasks[draw(count)], NULL);
        (void)dawdle();
    }
    for (unsigned i = 0; i < count; i++) {
        const int error = whorl_await(world.tasks[i], NULL);
        expect(error == 0 || bad_luck(error));
    }
    for (unsigned i = 0; i < count; i++) {
        whorl_task_unref(world.tasks[i]); /* others may have watched it */
    }
    close_world();
    return 0;
}

const struct program program_select = {
    .name = "select",
    .body = main_task,
    .faults = ALL_FAULTS,
};
