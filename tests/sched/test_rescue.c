/*
 * test_rescue.c - a loop is stuck in one task: its sockets, timers and queues are served meanwhile.
 *
 * A blocker, pinned to a loop, holds it and ends only when it sees that what depends on that loop
 * has happened: so a test that passes has had its echoes, timers and tasks before the blocker gave
 * the loop back, however slow the machine is. A client on a thread of its own, which whorl knows
 * nothing of, begins to talk once all blockers hold their loops.
 */
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#define STUCK_MAX 2
#define EXCHANGES 4 /* fewer than a descriptor needs to move to another loop */

struct scene {
    int stuck;           /* how many loops are held: 0, 1, ... */
    whorl_body *blocker; /* holds one; arg: struct post */
    uint32_t blocking;   /* A: blockers that hold their loop */
    uint32_t served;     /* A: echoes the client has got back */
    uint32_t wanted;     /* as many as that end the blockers */
    uint32_t saw;        /* A: blockers that saw what they waited for */
    struct whorl_stats stats;
    int error;
    sem_t start;
};

/* A stuck loop's part of the scene. */
struct post {
    struct scene *scene;
    int loop;
    int ours;    /* the end of the socket pair that whorl serves */
    int client;  /* the other end */
    int pipe[2]; /* the echo task tells a blocker that sleeps in the kernel */
    int home;    /* the loop whose poller watches `ours` */
    int echoes;  /* answered by the echo task */
    struct whorl_task *tasks[2];
};

/* ---- tasks ---- */

static void hold(struct post *post)
{
    struct scene *const scene = post->scene;
    mark(&scene->blocking);
    if (level_of(&scene->blocking) == (uint32_t)scene->stuck) {
        sem_post(&scene->start);
    }
}

static int compute(void *arg)
{
    struct post *const post = arg;
    hold(post);
    if (compute_until(&post->scene->served, post->scene->wanted)) {
        mark(&post->scene->saw);
    }
    return 0;
}

static int sleep_in_kernel(void *arg)
{
    struct post *const post = arg;
    char byte;
    struct pollfd waiting = {.fd = post->pipe[0], .events = POLLIN};
    hold(post);
    if (poll(&waiting, 1, (int)(BOUND_NS / WHORL_MILLISECOND)) == 1 &&
        read(post->pipe[0], &byte, 1) == 1) {
        mark(&post->scene->saw);
    }
    return 0;
}

/* Its first wait makes the loop it is pinned to the descriptor's home. */
static int settle(void *arg)
{
    struct post *const post = arg;
    const int ready = whorl_fd_wait_until(post->ours, POLLIN, whorl_now());
    post->home = whorl_fd_loop(post->ours);
    return ready == -ETIMEDOUT ? 0 : -EPROTO;
}

static int echo(void *arg)
{
    struct post *const post = arg;
    char byte;
    while (post->echoes < EXCHANGES && whorl_read(post->ours, &byte, 1) == 1 &&
           whorl_write(post->ours, &byte, 1) == 1) {
        post->echoes++;
    }
    const ssize_t told = write(post->pipe[1], "!", 1);
    return told == 1 && post->echoes == EXCHANGES ? 0 : -EIO;
}

static int spawn_and_settle(struct post *post)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(post->loop)};
    struct whorl_task *task;
    int error = whorl_fd_adopt(post->ours);
    if (error == 0) {
        error = whorl_spawn(settle, post, &attr, &task);
    }
    if (error == 0) {
        error = whorl_await(task, NULL);
        whorl_task_unref(task);
    }
    return error;
}

static int serve_posts(struct post *posts, int count)
{
    int error = 0;
    for (int i = 0; i < count && error == 0; i++) {
        error = spawn_and_settle(&posts[i]);
    }
    for (int i = 0; i < count && error == 0; i++) {
        error = whorl_spawn(echo, &posts[i], NULL, &posts[i].tasks[0]);
    }
    for (int i = 0; i < count && error == 0; i++) {
        const struct whorl_attr attr = {.pin = WHORL_PIN(posts[i].loop), .name = "blocker"};
        error = whorl_spawn(posts[i].scene->blocker, &posts[i], &attr, &posts[i].tasks[1]);
    }
    for (int i = 0; i < 2 * count && error == 0; i++) {
        error = whorl_await(posts[i / 2].tasks[i % 2], NULL);
        whorl_task_unref(posts[i / 2].tasks[i % 2]);
    }
    return error;
}

static int main_of_echo(void *arg)
{
    struct post *const posts = arg;
    struct scene *const scene = posts->scene;
    const int error = serve_posts(posts, scene->stuck);
    for (int i = 0; i < scene->stuck; i++) {
        (void)whorl_close(posts[i].ours);
    }
    (void)whorl_stats(-1, &scene->stats);
    return error;
}

/* ---- the client ---- */

static bool exchange(const struct post *post, char byte)
{
    char answer = 0;
    return send(post->client, &byte, 1, MSG_NOSIGNAL) == 1 &&
           recv(post->client, &answer, 1, 0) == 1 && answer == byte;
}

static void *client_main(void *arg)
{
    struct post *const posts = arg;
    struct scene *const scene = posts->scene;
    sem_wait(&scene->start);
    for (int round = 0; round < EXCHANGES; round++) {
        for (int i = 0; i < scene->stuck; i++) {
            if (exchange(&posts[i], (char)('a' + round))) {
                mark(&scene->served);
            }
        }
    }
    return NULL;
}

/* ---- the scene ---- */

static void open_post(struct post *post, struct scene *scene, int loop)
{
    const struct timeval bound = {.tv_sec = BOUND_NS / WHORL_SECOND};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound), 0);
    *post = (struct post){.scene = scene, .loop = loop, .ours = ends[0], .client = ends[1]};
    assert_int_equal(pipe(post->pipe), 0);
}

static void close_post(struct post *post)
{
    (void)close(post->client);
    (void)close(post->pipe[0]);
    (void)close(post->pipe[1]);
}

/* Holds the first `stuck` of `loops` by `blocker`, and lets a client talk to a socket of each. */
static void play_echo(int loops, int stuck, whorl_body *blocker)
{
    struct logbook logbook = {0};
    struct scene scene = {.stuck = stuck, .blocker = blocker};
    struct post posts[STUCK_MAX];
    pthread_t client;
    const struct whorl_options options = stealing_options(loops, &logbook);
    scene.wanted = (uint32_t)(EXCHANGES * stuck);
    assert_int_equal(sem_init(&scene.start, 0, 0), 0);
    for (int i = 0; i < stuck; i++) {
        open_post(&posts[i], &scene, i);
    }
    assert_int_equal(pthread_create(&client, NULL, client_main, posts), 0);
    scene.error = whorl_run(main_of_echo, posts, &options);
    sem_post(&scene.start); /* where the blockers never came to it */
    assert_int_equal(pthread_join(client, NULL), 0);
    for (int i = 0; i < stuck; i++) {
        close_post(&posts[i]);
        assert_int_equal(posts[i].home, i);
        assert_int_equal(posts[i].echoes, EXCHANGES);
    }
    assert_int_equal(scene.error, 0);
    assert_int_equal(scene.served, scene.wanted);
    assert_int_equal(scene.saw, stuck);
    assert_true(scene.stats.stalls >= (uint64_t)stuck);
    assert_true(scene.stats.rescued > 0);
    assert_string_equal(logbook.text, "");
}

/* ---- sockets ---- */

static void test_mt_27_loop_computes_its_connection_is_answered_meanwhile(void **state)
{
    /* The promise of the README: a task that computes slows down itself only. */
    (void)state;
    play_echo(2, 1, compute);
}

static void test_rescue_task_sleeps_in_kernel_served_task_frees_it(void **state)
{
    /* A task blocked in poll(2) waits for a task whose socket its own loop watches: without help
     * both wait for ever. */
    (void)state;
    play_echo(2, 1, sleep_in_kernel);
}

static void test_rescue_two_of_three_loops_are_stuck_third_serves_both(void **state)
{
    /* One watcher for several loops, and blockers that began one after the other. */
    (void)state;
    play_echo(3, 2, compute);
}

static void test_rescue_two_blocked_in_kernel_third_serves_both(void **state)
{
    /* As before, with threads that use no processor: the monitor must not go by processor time. */
    (void)state;
    play_echo(3, 2, sleep_in_kernel);
}

/* ---- loops that are stuck by turns ---- */

struct turns {
    struct scene scene;
    struct post posts[2];
    uint32_t first_answered;  /* A */
    uint32_t second_holds;    /* A */
    uint32_t second_answered; /* A */
    bool saw[2];
    struct whorl_task *second;
};

static int hold_first(void *arg)
{
    struct turns *const turns = arg;
    mark(&turns->scene.blocking);
    turns->saw[0] = compute_until(&turns->second_holds, 1);
    return 0;
}

static int hold_second(void *arg)
{
    struct turns *const turns = arg;
    mark(&turns->second_holds);
    turns->saw[1] = compute_until(&turns->second_answered, 1);
    return 0;
}

/* Served by loop 1 while loop 0 is held: so loop 1 has the other's epoll inside its own. */
static int answer_first(void *arg)
{
    struct turns *const turns = arg;
    const struct whorl_attr attr = {.pin = WHORL_PIN(1), .name = "second blocker"};
    char byte;
    if (whorl_read(turns->posts[0].ours, &byte, 1) != 1) {
        return -EIO;
    }
    return whorl_spawn(hold_second, turns, &attr, &turns->second);
}

static int answer_second(void *arg)
{
    struct turns *const turns = arg;
    char byte;
    if (whorl_read(turns->posts[1].ours, &byte, 1) != 1) {
        return -EIO;
    }
    mark(&turns->second_answered);
    return 0;
}

static void *client_of_turns(void *arg)
{
    struct turns *const turns = arg;
    (void)compute_until(&turns->scene.blocking, 1);
    (void)send(turns->posts[0].client, "1", 1, MSG_NOSIGNAL);
    (void)compute_until(&turns->second_holds, 1);
    (void)send(turns->posts[1].client, "2", 1, MSG_NOSIGNAL);
    return NULL;
}

static int main_of_turns(void *arg)
{
    struct turns *const turns = arg;
    const struct whorl_attr attr = {.pin = WHORL_PIN(0), .name = "first blocker"};
    struct whorl_task *tasks[3];
    int error = spawn_and_settle(&turns->posts[0]);
    error = error != 0 ? error : spawn_and_settle(&turns->posts[1]);
    error = error != 0 ? error : whorl_spawn(answer_first, turns, NULL, &tasks[0]);
    error = error != 0 ? error : whorl_spawn(answer_second, turns, NULL, &tasks[1]);
    error = error != 0 ? error : whorl_spawn(hold_first, turns, &attr, &tasks[2]);
    for (int i = 0; i < 3 && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    if (error == 0) {
        error = whorl_await(turns->second, NULL);
        whorl_task_unref(turns->second);
    }
    (void)whorl_close(turns->posts[0].ours);
    (void)whorl_close(turns->posts[1].ours);
    return error;
}

static void test_rescue_watcher_gets_stuck_itself_freed_loop_serves_it(void **state)
{
    /* The watcher still has the freed loop's epoll inside its own, and the kernel refuses to nest
     * them the other way round: the freed loop must serve it all the same. */
    (void)state;
    struct logbook logbook = {0};
    struct turns turns = {0};
    pthread_t client;
    const struct whorl_options options = stealing_options(2, &logbook);
    open_post(&turns.posts[0], &turns.scene, 0);
    open_post(&turns.posts[1], &turns.scene, 1);
    assert_int_equal(pthread_create(&client, NULL, client_of_turns, &turns), 0);
    assert_int_equal(whorl_run(main_of_turns, &turns, &options), 0);
    assert_int_equal(pthread_join(client, NULL), 0);
    close_post(&turns.posts[0]);
    close_post(&turns.posts[1]);
    assert_true(turns.saw[0]);
    assert_true(turns.saw[1]);
}

/* ---- timers and queues ---- */

struct captive {
    int loop;          /* where the victim was when its blocker came */
    uint32_t ready;    /* A: the victim is about to wait */
    uint32_t blocking; /* A */
    uint32_t happened; /* A: the victim ran */
    bool saw;
    bool while_blocked;
    int loop_after;
    struct whorl_future *future;
};

static int hold_until_happened(void *arg)
{
    struct captive *const captive = arg;
    mark(&captive->blocking);
    captive->saw = compute_until(&captive->happened, 1);
    return 0;
}

/* Again and again, until a sleep was begun after the blocker was in place and ended under it. */
static int sleep_on_stuck_loop(void *arg)
{
    struct captive *const captive = arg;
    captive->loop = whorl_loop_current();
    mark(&captive->ready);
    int error = whorl_sleep(100 * WHORL_MILLISECOND);
    captive->while_blocked = level_of(&captive->blocking) == 1;
    mark(&captive->happened);
    return error;
}

static int main_of_timer(void *arg)
{
    struct captive *const captive = arg;
    struct whorl_task *tasks[2];
    int error = whorl_spawn(sleep_on_stuck_loop, captive, NULL, &tasks[0]);
    if (error != 0 || !yield_until(&captive->ready, 1)) {
        return -EPROTO;
    }
    const struct whorl_attr attr = {.pin = WHORL_PIN(captive->loop)};
    error = whorl_spawn(hold_until_happened, captive, &attr, &tasks[1]);
    for (int i = 0; i < 2 && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static void test_rescue_timer_of_stuck_loop_fires(void **state)
{
    /* Nobody but the watcher looks at its heap, and the watcher must sleep no longer than that. */
    (void)state;
    struct captive captive = {0};
    const struct whorl_options options = stealing_options(2, NULL);
    assert_int_equal(whorl_run(main_of_timer, &captive, &options), 0);
    assert_true(captive.while_blocked);
    assert_true(captive.saw);
}

static int wait_for_future(void *arg)
{
    struct captive *const captive = arg;
    mark(&captive->ready);
    const int error = whorl_future_await(captive->future, NULL);
    captive->loop_after = whorl_loop_current();
    mark(&captive->happened);
    return error;
}

/* The waiter it wakes goes to its loop's hot slot; then it never gives way. */
static int wake_and_hold(void *arg)
{
    struct captive *const captive = arg;
    captive->loop = whorl_loop_current();
    const int error = whorl_future_set_result(captive->future, NULL);
    captive->saw = compute_until(&captive->happened, 1);
    return error;
}

static int main_of_hot(void *arg)
{
    struct captive *const captive = arg;
    struct whorl_task *tasks[2];
    int error = whorl_spawn(wait_for_future, captive, NULL, &tasks[0]);
    if (error != 0 || !yield_until(&captive->ready, 1)) {
        return -EPROTO;
    }
    error = whorl_spawn(wake_and_hold, captive, NULL, &tasks[1]);
    for (int i = 0; i < 2 && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static void test_rescue_hot_slot_of_stuck_loop_is_taken(void **state)
{
    /* What stands there is the loop's own next task, and nobody was told of it. */
    (void)state;
    struct captive captive = {0};
    const struct whorl_options options = stealing_options(2, NULL);
    assert_int_equal(whorl_future_new(&captive.future), 0);
    assert_int_equal(whorl_run(main_of_hot, &captive, &options), 0);
    whorl_future_unref(captive.future);
    assert_true(captive.saw);
    assert_int_not_equal(captive.loop_after, captive.loop);
}

/* ---- pinned tasks ---- */

struct pinned {
    uint32_t blocking; /* A */
    uint32_t others;   /* A: free tasks that ran meanwhile */
    uint32_t ran;      /* A: the pinned one did */
    bool too_early;
    bool saw;
    int loop;
};

static int hold_until_others(void *arg)
{
    struct pinned *const pinned = arg;
    mark(&pinned->blocking);
    pinned->saw = compute_until(&pinned->others, 3);
    pinned->too_early = level_of(&pinned->ran) != 0;
    return 0;
}

static int run_pinned(void *arg)
{
    struct pinned *const pinned = arg;
    pinned->loop = whorl_loop_current();
    mark(&pinned->ran);
    return 0;
}

static int run_free(void *arg)
{
    struct pinned *const pinned = arg;
    mark(&pinned->others);
    return 0;
}

static int main_of_pinned(void *arg)
{
    struct pinned *const pinned = arg;
    const struct whorl_attr here = {.pin = WHORL_PIN(1)};
    struct whorl_task *tasks[2];
    int error = whorl_spawn(hold_until_others, pinned, &here, &tasks[0]);
    if (error != 0 || !yield_until(&pinned->blocking, 1)) {
        return -EPROTO;
    }
    error = whorl_spawn(run_pinned, pinned, &here, &tasks[1]);
    for (int i = 0; i < 3 && error == 0; i++) {
        error = whorl_spawn(run_free, pinned, NULL, NULL);
    }
    for (int i = 0; i < 2 && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static void test_rescue_pinned_task_waits_for_its_loop_and_then_runs(void **state)
{
    /* A pin is a promise to the user's code; only what is free goes elsewhere. */
    (void)state;
    struct pinned pinned = {.loop = -1};
    const struct whorl_options options = stealing_options(2, NULL);
    assert_int_equal(whorl_run(main_of_pinned, &pinned, &options), 0);
    assert_true(pinned.saw);
    assert_false(pinned.too_early);
    assert_int_equal(pinned.loop, 1);
    assert_int_equal(pinned.ran, 1);
}

/* ---- who is named ---- */

struct naming {
    struct logbook logbook;
    int64_t report_ns;
    bool named;
};

/* Holds its loop until it has been named, and for some reports longer. */
static int hold_until_named(void *arg)
{
    struct naming *const naming = arg;
    naming->named = compute_until(&naming->logbook.lines, 1);
    const int64_t end_ns = whorl_after(5 * naming->report_ns);
    while (whorl_now() < end_ns) {
        whorl__pause();
    }
    return 0;
}

static int main_of_naming(void *arg)
{
    const struct whorl_attr attr = {.name = "number-cruncher"};
    struct whorl_task *task;
    int error = whorl_spawn(hold_until_named, arg, &attr, &task);
    if (error == 0) {
        error = whorl_await(task, NULL);
        whorl_task_unref(task);
    }
    return error;
}

static void name_once(int loops)
{
    struct naming naming = {.report_ns = 20 * WHORL_MILLISECOND};
    struct whorl_options options = stealing_options(loops, &naming.logbook);
    options.mode = WHORL_MODE_AUTO;
    options.report_ns = naming.report_ns;
    assert_int_equal(whorl_run(main_of_naming, &naming, &options), 0);
    assert_true(naming.named);
    assert_int_equal(logbook_count(&naming.logbook, "\"number-cruncher\""), 1);
}

static void test_mt_27_culprit_of_two_loops_is_named_exactly_once(void **state)
{
    /* One line in a log that nobody wants to be flooded. */
    (void)state;
    name_once(2);
}

static void test_rescue_culprit_of_single_loop_is_named_exactly_once(void **state)
{
    /* Nobody can help a single loop, but its owner wants to know. */
    (void)state;
    name_once(1);
}

/* Lives longer than the report time, but never holds its loop for long. */
static int give_way_often(void *arg)
{
    const int64_t *const live_ns = arg;
    const int64_t end_ns = whorl_after(*live_ns);
    while (whorl_now() < end_ns) {
        if (whorl_yield() != 0) {
            return -EPROTO;
        }
    }
    return 0;
}

static void test_rescue_nothing_stalls_nobody_is_named(void **state)
{
    /* The clock runs per run of a task, not per task. */
    (void)state;
    struct logbook logbook = {0};
    int64_t live_ns = 700 * WHORL_MILLISECOND;
    struct whorl_options options = stealing_options(2, &logbook);
    options.report_ns = 500 * WHORL_MILLISECOND;
    assert_int_equal(whorl_run(give_way_often, &live_ns, &options), 0);
    assert_string_equal(logbook.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt_27_loop_computes_its_connection_is_answered_meanwhile),
        cmocka_unit_test(test_rescue_task_sleeps_in_kernel_served_task_frees_it),
        cmocka_unit_test(test_rescue_two_of_three_loops_are_stuck_third_serves_both),
        cmocka_unit_test(test_rescue_two_blocked_in_kernel_third_serves_both),
        cmocka_unit_test(test_rescue_watcher_gets_stuck_itself_freed_loop_serves_it),
        cmocka_unit_test(test_rescue_timer_of_stuck_loop_fires),
        cmocka_unit_test(test_rescue_hot_slot_of_stuck_loop_is_taken),
        cmocka_unit_test(test_rescue_pinned_task_waits_for_its_loop_and_then_runs),
        cmocka_unit_test(test_mt_27_culprit_of_two_loops_is_named_exactly_once),
        cmocka_unit_test(test_rescue_culprit_of_single_loop_is_named_exactly_once),
        cmocka_unit_test(test_rescue_nothing_stalls_nobody_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
