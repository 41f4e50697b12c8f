/*
 * program_descriptors.c - descriptors that are closed while others use them, and whose numbers come
 * back at once for something else.
 *
 * Each pair of sockets carries one byte over and over, its mark. Readers, writers and closers work
 * on the pairs without asking each other, as a careless program would: what a call moves is of the
 * pair that was behind the number when the call began, or the call is refused.
 */
#include "sim/program.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define PLACES_MAX 6
#define USERS_MAX  14
#define ROUNDS     10

static struct {
    struct place {
        int fds[2];
        unsigned char mark; /* changes with every pair */
        bool being_replaced;
    } places[PLACES_MAX];
    unsigned place_count;
    unsigned char next_mark;
    unsigned reopened;
} world;

static int open_place(struct place *place)
{
    int fds[2];
    int error = whorl_sim_pair(fds);
    if (error != 0) {
        return error;
    }
    for (unsigned i = 0; i < 2; i++) {
        do {
            error = whorl_fd_adopt(fds[i]);
        } while (error == -ENOMEM);
        expect(error == 0);
    }
    place->fds[0] = fds[0];
    place->fds[1] = fds[1];
    place->mark = ++world.next_mark;
    return 0;
}

static void open_surely(struct place *place)
{
    int error;
    do {
        error = open_place(place);
        expect(error == 0 || bad_luck(error));
    } while (error != 0);
}

static int64_t some_deadline(void)
{
    return draw(3) == 0 ? whorl_after(draw(400) * WHORL_MICROSECOND)
                        : whorl_after(20 * WHORL_MILLISECOND);
}

/* Between looking up the number and the call nobody else goes on: the deadline comes first. */
static void read_from(const struct place *place)
{
    unsigned char bytes[8];
    const int64_t deadline_ns = some_deadline();
    const unsigned char mark = place->mark;
    const ssize_t got = whorl_read_until(place->fds[draw(2)], bytes, sizeof bytes, deadline_ns);
    expect(got >= 0 || bad_luck((int)got));
    for (ssize_t i = 0; i < got; i++) {
        expect(bytes[i] == mark);
    }
}

static void write_to(const struct place *place)
{
    unsigned char bytes[8];
    const size_t count = 1 + draw(sizeof bytes);
    const int64_t deadline_ns = some_deadline();
    memset(bytes, place->mark, sizeof bytes);
    const ssize_t put = whorl_write_until(place->fds[draw(2)], bytes, count, deadline_ns);
    expect(put >= 0 || bad_luck((int)put));
}

static void wait_on(const struct place *place)
{
    const int64_t deadline_ns = some_deadline();
    const int ready = whorl_fd_wait_until(place->fds[draw(2)], POLLIN, deadline_ns);
    expect(ready >= 0 || bad_luck(ready));
}

static void replace(struct place *place)
{
    if (place->being_replaced) {
        return;
    }
    const int fds[2] = {place->fds[0], place->fds[1]};
    place->being_replaced = true;
    for (unsigned i = 0; i < 2; i++) {
        place->fds[i] = -1; /* before the number can be somebody else's */
        expect(whorl_close(fds[i]) == 0);
        dawdle();
    }
    open_surely(place);
    place->being_replaced = false;
    world.reopened++;
}

static int use(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct place *const place = &world.places[draw(world.place_count)];
        switch (draw(8)) {
        case 0:
            replace(place);
            break;
        case 1:
            wait_on(place);
            break;
        case 2:
        case 3:
        case 4:
            write_to(place);
            break;
        default:
            read_from(place);
            break;
        }
        dawdle();
    }
    return 0;
}

/* Without a deadline: only the close can end it. */
static int wait_until_closed(void *arg)
{
    char byte;
    const ssize_t got = whorl_read(*(const int *)arg, &byte, 1);
    expect(got == -EBADF);
    return 0;
}

static void close_under_a_reader(void)
{
    struct place place = {.fds = {-1, -1}};
    open_surely(&place);
    const int fd = place.fds[0];
    struct whorl_task *const reader = spawn_surely(wait_until_closed, &place.fds[0], NULL);
    dawdle();
    expect(whorl_close(fd) == 0);
    expect(whorl_await(reader, NULL) == 0);
    whorl_task_unref(reader);
    expect(whorl_close(place.fds[1]) == 0);
}

static int main_task(void *arg)
{
    struct whorl_task *tasks[USERS_MAX] = {NULL};
    (void)arg;
    memset(&world, 0, sizeof world);
    world.place_count = 1 + draw(PLACES_MAX);
    for (unsigned i = 0; i < world.place_count; i++) {
        open_surely(&world.places[i]);
    }
    const unsigned users = 2 + draw(USERS_MAX - 1);
    for (unsigned i = 0; i < users; i++) {
        tasks[i] = spawn_surely(use, NULL, NULL);
    }
    if (draw(3) == 0) {
        (void)whorl_cancel(tasks[draw(users)], NULL);
    }
    for (unsigned i = 0; i < users; i++) {
        const int error = whorl_await(tasks[i], NULL);
        expect(error == 0 || error == -ECANCELED || error == -ENOMEM);
        whorl_task_unref(tasks[i]);
    }
    for (unsigned i = 0; i < world.place_count; i++) {
        expect(whorl_close(world.places[i].fds[0]) == 0);
        expect(whorl_close(world.places[i].fds[1]) == 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        close_under_a_reader();
    }
    return 0;
}

const struct program program_descriptors = {
    .name = "descriptors",
    .body = main_task,
    .faults = ALL_FAULTS & ~(UINT32_C(1) << WHORL_SIM_NO_MEMORY),
};
