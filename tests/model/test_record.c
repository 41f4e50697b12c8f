/*
 * test_record.c - the record of a descriptor between tasks, pollers and whoever closes it.
 *
 * The guarantees are those of poll/record.h and poll/poller.h:
 *   tick  an edge that comes between EAGAIN and the wait is not lost
 *   R1    a task that begins to wait and one that closes: not both miss
 *   R2    who was woken by an event sees it
 *   users the number stays in the kernel's table while a call is inside; the last one closes it
 *   two pollers may deliver events of one record, and one of an earlier life: readiness is a hint
 *   MOVING a change of poller loses nothing, and only one at a time changes it
 *
 * The first models drive the record by hand, so that few steps lie between two operations: a wait
 * is a handle in a slot, a task is a model thread that is blocked until its handle came out. The
 * last ones are whole: tasks in whorl_read and whorl_close on real loops.
 *
 * Able to fail, each of these alone:
 *   poll/record.h  the acquire of enter's cas, either half of leave's add (users); the release of
 *                  wait's cas, with which the handle is handed over (R1); find's acquire
 *   poll/record.c  either half of evict's swap (R1); the release with which adopt opens, or with
 *                  which a chunk is published
 */
#include "model/kernel.h"
#include "model/model.h"
#include "model/stage.h"

#include "io/wait.h"
#include "poll/poller.h"

#include <errno.h>
#include <string.h>

#define WAITS 24

struct desk {
    struct kernel kernel;
    struct whorl__records records;
    struct whorl__poller pollers[2];
    struct whorl__poll_result results[2];
    int fd;
    unsigned file;
    unsigned next_file;   /* of the number's second life; 0 = not there yet */
    bool woken[WAITS];    /* by handle */
    unsigned waits;       /* handles given out */
    unsigned pollers_off; /* threads that watch may leave */
    unsigned closes;
    int got;              /* bytes, by the first life's reader */
    int next_got;
    int error;
};

/* ---- a desk: one descriptor, watched by poller 0 ---- */

static struct whorl__record *record_of(struct desk *desk)
{
    return whorl__record_find(&desk->records, desk->fd);
}

static void begin(struct desk *desk)
{
    kernel_begin(&desk->kernel);
    MODEL_CHECK(whorl__records_init(&desk->records) == 0);
    MODEL_CHECK(whorl__poller_init(&desk->pollers[0]) == 0);
    MODEL_CHECK(whorl__poller_init(&desk->pollers[1]) == 0);
    desk->fd = kernel_open_stream();
    desk->file = kernel_file_of(desk->fd);
    MODEL_CHECK(whorl__record_adopt(&desk->records, desk->fd, WHORL__TCP) == 0);
    MODEL_CHECK(whorl__poller_add(&desk->pollers[0], record_of(desk)) == 0);
    record_of(desk)->home = 1;
}

static void set_up(void *state)
{
    begin(state);
}

static void end(struct desk *desk)
{
    whorl__poller_fini(&desk->pollers[0]);
    whorl__poller_fini(&desk->pollers[1]);
    whorl__records_fini(&desk->records);
    kernel_end(&desk->kernel);
}

/* ---- handles ---- */

static whorl__handle new_handle(struct desk *desk)
{
    MODEL_CHECK(desk->waits + 1 < WAITS);
    return ++desk->waits;
}

static void wake(struct desk *desk, whorl__handle handle)
{
    MODEL_CHECK(handle > 0 && handle < WAITS);
    desk->woken[handle] = true;
}

static bool is_woken(void *flag)
{
    return *(const bool *)flag;
}

/* ---- a caller ---- */

/* The last call out: off the poller, CLOSED, and only then the number. */
static void retire(struct desk *desk, struct whorl__record *record)
{
    whorl__poller_remove(&desk->pollers[0], record);
    whorl__record_closed(record);
    desk->closes++;
    (void)whorl__os->close(record->fd);
}

static void leave(struct desk *desk, struct whorl__record *record)
{
    if (whorl__record_leave(record)) {
        retire(desk, record);
    }
}

/* One byte if there is one, as io/stream.c tries. Within a call the number is nobody else's. */
static ssize_t try_read(struct whorl__record *record, unsigned file)
{
    char byte;
    const uint64_t seen = whorl__record_seen(record, WHORL__IN);
    if (!(seen & WHORL__SLOT_READY)) {
        return -EAGAIN;
    }
    const ssize_t got = whorl__os->read(record->fd, &byte, 1);
    whorl__plain_read(&record->kind); /* after the call, whose order is none of ours */
    MODEL_CHECK(kernel_file_of(record->fd) == file);
    if (got == -EAGAIN) {
        whorl__record_clear(record, WHORL__IN, seen);
    }
    return got;
}

/* Parks until somebody hands the handle out; now and then a deadline comes first. */
static int wait_for_event(struct desk *desk, struct whorl__record *record, bool impatient)
{
    const whorl__handle handle = new_handle(desk);
    const int error = whorl__record_wait(record, WHORL__IN, handle);
    if (error != 0) {
        return error;
    }
    if (!impatient || model_choose(2) == 0) {
        model_block_until(is_woken, &desk->woken[handle]);
    }
    (void)whorl__record_wait_end(record, WHORL__IN, handle);
    return whorl__record_is_closing(record) ? -EBADF : 0;
}

/* Reads one byte: 1; 0 at the end; or -EBADF. Enters and leaves. */
static int read_one(struct desk *desk, unsigned file, bool impatient)
{
    struct whorl__record *const record = record_of(desk);
    int error = whorl__record_enter(record);
    if (error != 0) {
        return error;
    }
    ssize_t got = -EAGAIN;
    while (error == 0 && (got = try_read(record, file)) == -EAGAIN) {
        error = wait_for_event(desk, record, impatient);
        impatient = false;
        if (error == -EAGAIN) {
            error = 0;
        }
    }
    leave(desk, record);
    return error != 0 ? error : (int)got;
}

static int close_it(struct desk *desk)
{
    struct whorl__record *const record = record_of(desk);
    whorl__handle woken[2];
    int error = whorl__record_enter(record);
    if (error != 0) {
        return error;
    }
    error = whorl__record_close(record, woken);
    for (int i = 0; error == 0 && i < 2; i++) {
        if (woken[i] != 0) {
            wake(desk, woken[i]);
        }
    }
    leave(desk, record);
    return error;
}

/* ---- pollers ---- */

static void hand_out(struct desk *desk, const struct whorl__poll_result *result)
{
    for (unsigned i = 0; i < result->woken_count; i++) {
        wake(desk, result->woken[i]);
    }
}

/* Sleeps in a poller, again and again, until it is told to leave. */
static void watch(struct desk *desk, unsigned poller, unsigned result)
{
    while (desk->pollers_off == 0) {
        whorl__poller_poll(&desk->pollers[poller], -1, &desk->results[result]);
        hand_out(desk, &desk->results[result]);
    }
}

/* Looks, as who serves a stuck loop: a wake-up that it takes is passed on. */
static void look(struct desk *desk, unsigned poller, unsigned result)
{
    whorl__poller_poll(&desk->pollers[poller], 0, &desk->results[result]);
    if (desk->results[result].wake_taken) {
        whorl__poller_wake(&desk->pollers[poller]);
    }
    hand_out(desk, &desk->results[result]);
}

static void send_off(struct desk *desk)
{
    desk->pollers_off = 1;
    whorl__poller_wake(&desk->pollers[0]);
    whorl__poller_wake(&desk->pollers[1]);
}

/* ---- the tick ---- */

static void read_two(struct desk *desk, bool impatient)
{
    for (int i = 0; i < 2; i++) {
        desk->got += read_one(desk, desk->file, impatient);
    }
    send_off(desk);
}

static void send_two(struct desk *desk)
{
    MODEL_CHECK(kernel_peer_send(desk->file));
    MODEL_CHECK(kernel_peer_send(desk->file));
}

static void tick_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    switch (thread) {
    case 0:
        read_two(desk, false);
        break;
    case 1:
        watch(desk, 0, 0);
        break;
    default:
        send_two(desk);
    }
}

/* The same with a deadline before the wake-up, and a second thread that looks into the poller. */
static void two_pollers_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    switch (thread) {
    case 0:
        read_two(desk, true);
        break;
    case 1:
        watch(desk, 0, 0);
        break;
    case 2:
        look(desk, 0, 1);
        look(desk, 0, 1);
        break;
    default:
        send_two(desk);
    }
}

static void all_read(void *state)
{
    struct desk *const desk = state;
    MODEL_CHECK(desk->got == 2);
    MODEL_CHECK(close_it(desk) == 0);
    end(desk);
}

/* ---- close ---- */

static void close_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    if (thread == 0) {
        desk->got = read_one(desk, desk->file, false);
    } else {
        desk->error = close_it(desk);
    }
}

static void close_with_events_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    switch (thread) {
    case 0:
        desk->got = read_one(desk, desk->file, false);
        break;
    case 1:
        desk->error = close_it(desk);
        break;
    case 2:
        look(desk, 0, 0);
        look(desk, 0, 0);
        break;
    default:
        (void)kernel_peer_send(desk->file);
    }
}

/* Nobody sent: the reader was told that it is closed. */
static void closed_once(void *state)
{
    struct desk *const desk = state;
    MODEL_CHECK(desk->got == -EBADF || desk->got == 1);
    MODEL_CHECK(desk->error == 0);
    MODEL_CHECK(desk->closes == 1);
    end(desk);
}

/* Two that close: one of them does. */
static void close_twice_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    const int error = close_it(desk);
    MODEL_CHECK(error == 0 || error == -EBADF);
    if (error != 0) {
        desk->error++;
    }
    (void)thread;
}

static void closed_by_one(void *state)
{
    struct desk *const desk = state;
    MODEL_CHECK(desk->error == 1);
    MODEL_CHECK(desk->closes == 1);
    end(desk);
}

/* ---- reuse of the number ---- */

static bool next_is_there(void *arg)
{
    const struct desk *const desk = arg;
    return desk->next_file != 0 || desk->pollers_off != 0;
}

/* Closes the first life, and if the number is free then, opens and reads the second. */
static void reopen(struct desk *desk)
{
    MODEL_CHECK(close_it(desk) == 0);
    const int fd = kernel_open_stream();
    if (fd == desk->fd) {
        const unsigned file = kernel_file_of(fd);
        MODEL_CHECK(whorl__record_adopt(&desk->records, fd, WHORL__SOCKET) == 0);
        MODEL_CHECK(whorl__poller_add(&desk->pollers[0], record_of(desk)) == 0);
        desk->next_file = file;
        desk->next_got = read_one(desk, file, false);
        MODEL_CHECK(desk->next_got == 1);
        MODEL_CHECK(close_it(desk) == 0);
    } else { /* the reader is still inside: the number is not free */
        MODEL_CHECK(whorl__os->close(fd) == 0);
    }
    send_off(desk);
}

/* A caller that came in during the first life reads there or not at all. */
static void read_first_life(struct desk *desk)
{
    struct whorl__record *const record = record_of(desk);
    if (whorl__record_enter(record) != 0) {
        return;
    }
    if (kernel_file_of(desk->fd) == desk->file && try_read(record, desk->file) == -EAGAIN &&
        wait_for_event(desk, record, false) == 0) {
        (void)try_read(record, desk->file);
    }
    leave(desk, record);
}

static void reuse_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    switch (thread) {
    case 0:
        reopen(desk);
        break;
    case 1:
        watch(desk, 0, 0);
        break;
    default:
        (void)kernel_peer_send(desk->file);
        model_block_until(next_is_there, desk);
        if (desk->next_file != 0) {
            (void)kernel_peer_send(desk->next_file);
        }
    }
}

static void reuse_with_caller_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    if (thread < 3) {
        reuse_body(state, thread);
    } else {
        read_first_life(desk);
    }
}

static void reused(void *state)
{
    struct desk *const desk = state;
    MODEL_CHECK(desk->closes == (desk->next_file != 0 ? 2U : 1U));
    end(desk);
}

/* Two that adopt one number: one of them does, and neither hurts the other. A call that comes at
 * the same time is refused, or sees what was adopted. */
static void set_up_unadopted(void *state)
{
    struct desk *const desk = state;
    begin(desk);
    MODEL_CHECK(close_it(desk) == 0);
    desk->fd = kernel_open_stream();
    desk->closes = 0;
}

static void call_early(struct desk *desk)
{
    struct whorl__record *const record = record_of(desk);
    if (whorl__record_enter(record) == 0) {
        whorl__plain_read(&record->kind);
        MODEL_CHECK(record->kind == WHORL__SOCKET);
        MODEL_CHECK(whorl__record_wait(record, WHORL__IN, new_handle(desk)) == -EAGAIN);
        MODEL_CHECK(!whorl__record_leave(record));
    }
}

static void adopt_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    if (thread == 2) {
        call_early(desk);
        return;
    }
    const int error = whorl__record_adopt(&desk->records, desk->fd, WHORL__SOCKET);
    MODEL_CHECK(error == 0 || error == -EEXIST);
    if (error == 0) {
        desk->got++;
    }
}

static void adopted_once(void *state)
{
    struct desk *const desk = state;
    MODEL_CHECK(desk->got == 1);
    MODEL_CHECK(close_it(desk) == 0);
    end(desk);
}

/* ---- the table ---- */

/* Two numbers of one chunk that is not there yet. */
static void set_up_table(void *state)
{
    struct desk *const desk = state;
    kernel_begin(&desk->kernel);
    MODEL_CHECK(whorl__records_init(&desk->records) == 0);
}

static void table_body(void *state, unsigned thread)
{
    struct desk *const desk = state;
    const int fd = 1 + (int)thread;
    if (thread < 2) {
        MODEL_CHECK(whorl__record_adopt(&desk->records, fd, WHORL__TCP) == 0);
    }
    struct whorl__record *const record = whorl__record_find(&desk->records, 1);
    if (record != NULL && whorl__record_enter(record) == 0) {
        MODEL_CHECK(record->fd == 1);
        MODEL_CHECK(!whorl__record_leave(record));
    }
}

static void end_table(void *state)
{
    struct desk *const desk = state;
    for (int fd = 1; fd < 3; fd++) {
        struct whorl__record *const record = whorl__record_find(&desk->records, fd);
        MODEL_CHECK(record->fd == fd && record->state == (WHORL__RECORD_LIFE | WHORL__RECORD_OPEN));
    }
    whorl__records_fini(&desk->records);
    kernel_end(&desk->kernel);
}

/* ---- whole calls, on real loops ---- */

struct hall {
    struct stage stage;
    struct whorl_task *second; /* submitted by the first */
    int fd;
    unsigned file;
    int got[2];
    unsigned done; /* bodies; the second ends it */
};

static void begin_hall(struct hall *hall)
{
    stage_begin(&hall->stage, 2, STAGE_STEALING);
    hall->fd = kernel_open_stream();
    hall->file = kernel_file_of(hall->fd);
    MODEL_CHECK(whorl__record_adopt(&hall->stage.runtime.records, hall->fd, WHORL__TCP) == 0);
}

/* The last of the two tasks ends it all. */
static int leave_hall(struct hall *hall)
{
    if (++hall->done == 2) {
        stage_stop(&hall->stage);
    }
    return 0;
}

static int read_byte(struct hall *hall)
{
    char byte;
    return (int)whorl_read(hall->fd, &byte, 1);
}

/* Pinned to loop 0, whose poller then watches. */
static int read_at_home(void *arg)
{
    struct hall *const hall = arg;
    hall->got[0] = read_byte(hall);
    stage_submit(&hall->stage, hall->second);
    return leave_hall(hall);
}

/* Pinned to loop 1: its wait takes the descriptor along. */
static int read_abroad(void *arg)
{
    struct hall *const hall = arg;
    hall->got[1] = read_byte(hall);
    MODEL_CHECK(kernel_watchers_of(hall->fd) <= 1); /* 0: both bytes were there already */
    MODEL_CHECK(whorl_close(hall->fd) == 0);
    return leave_hall(hall);
}

static void set_up_move(void *state)
{
    struct hall *const hall = state;
    begin_hall(hall);
    struct whorl_task *const first = stage_add(&hall->stage, read_at_home, hall);
    first->pin = 1;
    whorl__loop_push_bound(&hall->stage.loops[0], first);
    hall->second = stage_add(&hall->stage, read_abroad, hall);
    hall->second->pin = 2;
}

static void move_body(void *state, unsigned thread)
{
    struct hall *const hall = state;
    if (thread < 2) {
        stage_work(&hall->stage, thread);
    } else {
        MODEL_CHECK(kernel_peer_send(hall->file));
        MODEL_CHECK(kernel_peer_send(hall->file));
    }
}

static void both_got(void *state)
{
    struct hall *const hall = state;
    MODEL_CHECK(hall->got[0] == 1);
    MODEL_CHECK(hall->got[1] == 1);
    stage_end(&hall->stage);
}

/* A reader and one that closes, each on a loop of its own. */
static int read_or_be_told(void *arg)
{
    struct hall *const hall = arg;
    hall->got[0] = read_byte(hall);
    MODEL_CHECK(hall->got[0] == -EBADF);
    return leave_hall(hall);
}

static int close_under_reader(void *arg)
{
    struct hall *const hall = arg;
    MODEL_CHECK(whorl_close(hall->fd) == 0);
    return leave_hall(hall);
}

static void set_up_two(struct hall *hall, whorl_body *first_body, whorl_body *second_body)
{
    begin_hall(hall);
    whorl_body *const bodies[] = {first_body, second_body};
    for (int i = 0; i < 2; i++) {
        struct whorl_task *const task = stage_add(&hall->stage, bodies[i], hall);
        task->pin = i + 1;
        task->loop = &hall->stage.loops[i];
        whorl__loop_push_bound(task->loop, task);
    }
}

static void set_up_reader_and_closer(void *state)
{
    set_up_two(state, read_or_be_told, close_under_reader);
}

static void work(void *state, unsigned thread)
{
    struct hall *const hall = state;
    stage_work(&hall->stage, thread);
}

static void all_ran(void *state)
{
    struct hall *const hall = state;
    MODEL_CHECK(hall->stage.ran[0] && hall->stage.ran[1]);
    stage_end(&hall->stage);
}

/* The first waits of two directions, on two loops: one of them adds it to a poller, once. */
static int wait_for_room(void *arg)
{
    struct hall *const hall = arg;
    struct whorl__call call;
    MODEL_CHECK(whorl__call_begin(&call, hall->fd) == 0);
    MODEL_CHECK(whorl__call_wait(&call, WHORL__OUT, WHORL_NEVER) == 0);
    whorl__call_end(&call);
    hall->got[1] = 1;
    return leave_hall(hall);
}

static int read_and_stop(void *arg)
{
    struct hall *const hall = arg;
    hall->got[0] = read_byte(hall);
    return leave_hall(hall);
}

static void set_up_first_waits(void *state)
{
    set_up_two(state, read_and_stop, wait_for_room);
}

static void first_waits_body(void *state, unsigned thread)
{
    struct hall *const hall = state;
    if (thread < 2) {
        stage_work(&hall->stage, thread);
    } else {
        MODEL_CHECK(kernel_peer_send(hall->file));
    }
}

static void close_and_end(void *state)
{
    struct hall *const hall = state;
    MODEL_CHECK(hall->got[0] == 1);
    MODEL_CHECK(kernel_watchers_of(hall->fd) == 1);
    MODEL_CHECK(whorl__os->close(hall->fd) == 0);
    stage_end(&hall->stage);
}

#define DESK(SETUP, BODY, FINISH)                                                                  \
    .state_bytes = sizeof(struct desk), .setup = (SETUP), .body = (BODY), .finish = (FINISH)
#define HALL(SETUP, BODY, FINISH)                                                                  \
    .state_bytes = sizeof(struct hall), .setup = (SETUP), .body = (BODY), .finish = (FINISH)

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "record/edge-against-eagain", .threads = 3, .preemptions = 2, .schedules = 8000,
         .about = "bytes arrive between EAGAIN and the wait: none is waited for in vain (tick, R2)",
         DESK(set_up, tick_body, all_read)},
        {.name = "record/two-pollers", .threads = 4, .preemptions = 1, .schedules = 6000,
         .about = "two threads take events of one poller; a deadline ends the first wait",
         DESK(set_up, two_pollers_body, all_read)},
        {.name = "record/close-against-wait", .threads = 2, .preemptions = 3, .schedules = 8000,
         .about = "a task begins to wait while another closes: it is told (R1)",
         DESK(set_up, close_body, closed_once)},
        {.name = "record/close-against-event", .threads = 4, .preemptions = 2, .schedules = 6000,
         .about = "the same, while a poller delivers",
         DESK(set_up, close_with_events_body, closed_once)},
        {.name = "record/close-twice", .threads = 2, .preemptions = 3, .schedules = 2000,
         .about = "two that close: one does, the other is refused; the last one out frees it",
         DESK(set_up, close_twice_body, closed_by_one)},
        {.name = "record/reuse", .threads = 3, .preemptions = 2, .schedules = 6000,
         .about = "the number's next life begins while a poller holds an event of the last",
         DESK(set_up, reuse_body, reused)},
        {.name = "record/reuse-with-caller", .threads = 4, .preemptions = 1, .schedules = 6000,
         .about = "the same with a call inside the first life: the number stays taken till it left",
         DESK(set_up, reuse_with_caller_body, reused)},
        {.name = "record/adopt-twice", .threads = 3, .preemptions = 2, .schedules = 6000,
         .about = "two that adopt one number: one gets it",
         DESK(set_up_unadopted, adopt_body, adopted_once)},
        {.name = "record/first-of-chunk", .threads = 3, .preemptions = 2, .schedules = 4000,
         .about = "two numbers of a part of the table that is not made yet, and a call on one",
         DESK(set_up_table, table_body, end_table)},
        {.name = "record/move", .threads = 3, .preemptions = 1, .schedules = 3000,
         .about = "tasks in whorl_read: the second waits on the other loop and takes it along",
         HALL(set_up_move, move_body, both_got)},
        {.name = "record/close-under-reader", .threads = 2, .preemptions = 2, .schedules = 4000,
         .about = "whorl_close on one loop while whorl_read begins on the other",
         HALL(set_up_reader_and_closer, work, all_ran)},
        {.name = "record/first-waits", .threads = 3, .preemptions = 1, .schedules = 3000,
         .about = "both directions wait for the first time at once: it is watched once (MOVING)",
         HALL(set_up_first_waits, first_waits_body, close_and_end)},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
