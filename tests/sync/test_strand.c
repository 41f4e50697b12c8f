/*
 * Strands: row MT-7 of asyncio's semantics; at one loop they change nothing of the order, at
 * several never two tasks of one run at the same time. What the tasks of a strand share here is
 * plain: in a build with TSan that is the proof that they take turns, and that each sees what the
 * last has done.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <stdio.h>

enum { LOOPS_MANY = 64 };

static int no_failure(void *arg)
{
    (void)arg;
    return 0;
}

static void at_many_loops(whorl_body *body)
{
    at_all_loops(body);
    at_loops(LOOPS_MANY, body);
}

static struct whorl_task *start_in(struct whorl_strand *strand, whorl_body *body, void *arg)
{
    const struct whorl_attr attr = {.strand = strand};
    struct whorl_task *task;
    must(whorl_spawn(body, arg, &attr, &task));
    return task;
}

static void end_strand(struct whorl_strand *strand)
{
    EXPECT_IS(whorl_strand_destroy(strand), 0);
}

/* ---- one at a time ---- */

enum { MEMBERS = 12, ROUNDS = 200 };

struct shared {
    struct whorl_strand strand;
    int inside; /* all plain: in turn */
    long sum;
    int done;
    struct whorl_lock lock;
    struct whorl_queue queue;
    struct whorl_future *gate;
};

static void section(struct shared *shared)
{
    EXPECT_IS(shared->inside++, 0);
    shared->sum++;
    EXPECT(whorl_strand_current() == &shared->strand);
    EXPECT_IS(--shared->inside, 0);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int child(void *arg)
{
    section(arg);
    return whorl_yield();
}

/* Every way to wait, in turn. */
static int wait_somehow(struct shared *shared, int round)
{
    void *item;
    struct whorl_task *task;
    switch (round % 8) {
    case 0:
        return whorl_sleep(round % 16 == 0 ? 1000 : 0);
    case 1:
        task = start(child, shared);
        return finish(task);
    case 2:
        must(whorl_lock_acquire(&shared->lock));
        must(whorl_yield());
        return whorl_lock_release(&shared->lock);
    case 3:
        must(whorl_queue_try_put(&shared->queue, shared));
        return whorl_queue_get(&shared->queue, &item);
    case 4:
        return finish(start_in(NULL, child, shared));
    case 5:
        return whorl_strand_run(NULL, NULL, nothing, NULL);
    default:
        return whorl_yield();
    }
}

static int member(void *arg)
{
    struct shared *const shared = arg;
    for (int i = 0; i < ROUNDS; i++) {
        section(shared);
        must(wait_somehow(shared, i));
    }
    section(shared);
    shared->done++;
    return 0;
}

static int exclude(void *arg)
{
    struct shared shared = {
        WHORL_STRAND_INIT, 0, 0, 0, WHORL_LOCK_INIT, WHORL_QUEUE_INIT(0), NULL};
    struct whorl_task *tasks[MEMBERS];
    (void)arg;
    for (int i = 0; i < MEMBERS; i++) {
        tasks[i] = start_in(&shared.strand, member, &shared);
    }
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(shared.done, MEMBERS);
    end_strand(&shared.strand);
    return 0;
}

static void test_mt_7_never_two_tasks_of_a_strand_at_once(void **state)
{
    (void)state;
    at_many_loops(exclude);
}

static int exclude_on_isolated_loops(void *arg)
{
    struct shared *const shared = arg;
    struct whorl_task *tasks[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) {
        const struct whorl_attr attr = {.strand = &shared->strand, .pin = WHORL_PIN(i % 3)};
        must(whorl_spawn(member, shared, &attr, &tasks[i]));
    }
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    return 0;
}

static void exclude_in_mode(enum whorl_mode mode)
{
    struct shared shared = {
        WHORL_STRAND_INIT, 0, 0, 0, WHORL_LOCK_INIT, WHORL_QUEUE_INIT(0), NULL};
    const struct whorl_options options = {.loops = 3, .mode = mode};
    assert_int_equal(whorl_run(exclude_on_isolated_loops, &shared, &options), 0);
    assert_int_equal(shared.done, MEMBERS);
    assert_int_equal(whorl_strand_destroy(&shared.strand), 0);
}

static void test_mt_7_tasks_pinned_to_several_loops_take_turns(void **state)
{
    (void)state;
    exclude_in_mode(WHORL_MODE_STEALING);
    exclude_in_mode(WHORL_MODE_ISOLATED);
    at_no_loop(no_failure);
}

/* ---- in which order ---- */

struct runner {
    struct shared *shared;
    struct whorl_future *gate;
    int place;
};

static int wait_and_note(void *arg)
{
    struct runner *const runner = arg;
    EXPECT_IS(whorl_future_await(runner->gate, NULL), 0);
    runner->place = runner->shared->done++;
    return 0;
}

static int note_place(void *arg)
{
    struct runner *const runner = arg;
    runner->place = runner->shared->done++;
    return 0;
}

enum { RUNNERS = 9 };

/* In the strand: nobody else of it runs before this task waits. */
static int order(void *arg)
{
    struct shared *const shared = arg;
    struct runner runners[RUNNERS];
    struct whorl_task *tasks[RUNNERS];
    for (int i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){.shared = shared, .gate = new_future(), .place = -1};
        tasks[i] = start(wait_and_note, &runners[i]);
    }
    settle();
    for (int i = 0; i < RUNNERS; i++) { /* 0 4 8 3 7 2 6 1 5 */
        must(whorl_future_set_result(runners[i * 4 % RUNNERS].gate, NULL));
    }
    EXPECT_IS(shared->done, 0);
    for (int i = 0; i < RUNNERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    for (int i = 0; i < RUNNERS; i++) {
        EXPECT_IS(runners[i * 4 % RUNNERS].place, i);
        whorl_future_unref(runners[i].gate);
    }
    for (int i = 0; i < RUNNERS; i++) {
        tasks[i] = start(note_place, &runners[i]);
    }
    EXPECT_IS(shared->done, RUNNERS);
    for (int i = 0; i < RUNNERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
        EXPECT_IS(runners[i].place, RUNNERS + i);
    }
    return 0;
}

static int run_order(void *arg)
{
    struct shared shared = {.strand = WHORL_STRAND_INIT};
    (void)arg;
    EXPECT_IS(whorl_strand_run(&shared.strand, NULL, order, &shared), 0);
    end_strand(&shared.strand);
    return 0;
}

static void test_mt_7_who_is_ready_first_runs_first(void **state)
{
    (void)state;
    at_many_loops(run_order);
    at_fast_loop(run_order);
}

/* ---- one loop: asyncio's order ---- */

struct walker {
    struct journal *journal;
    char letter;
    struct whorl_strand *strand;
    int rounds;
};

static int walk(void *arg)
{
    struct walker *const walker = arg;
    for (int i = 0; i < walker->rounds; i++) {
        note(walker->journal, walker->letter);
        must(i % 3 == 2 ? whorl_sleep(0) : whorl_yield());
    }
    return 0;
}

static void play_walk(bool strands, struct journal *journal)
{
    static struct whorl_strand first, second;
    struct whorl_strand *const in[] = {&first, NULL, &second, &first, &second, NULL};
    struct walker walkers[6];
    struct whorl_task *tasks[6];
    must(whorl_strand_init(&first));
    must(whorl_strand_init(&second));
    for (int i = 0; i < 6; i++) {
        walkers[i] = (struct walker){journal, (char)('a' + i), NULL, 3 + i % 3};
        tasks[i] = start_in(strands ? in[i] : NULL, walk, &walkers[i]);
    }
    for (int i = 0; i < 6; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
}

static int compare_orders(void *arg)
{
    struct journal plain = {.text = ""}, stranded = {.text = ""};
    (void)arg;
    play_walk(false, &plain);
    play_walk(true, &stranded);
    EXPECT_IS(strcmp(plain.text, stranded.text), 0);
    EXPECT(strlen(plain.text) > 20);
    return 0;
}

static void test_mt_7_with_one_loop_the_order_is_that_without_strands(void **state)
{
    (void)state;
    at_one_loop(compare_orders);
}

/* ---- who is in it ---- */

struct where {
    struct whorl_strand *wanted;
    struct whorl_strand *other;
};

static int is_there(void *arg)
{
    struct where *const where = arg;
    EXPECT(whorl_strand_current() == where->wanted);
    return 0;
}

static int is_nowhere(void *arg)
{
    (void)arg;
    EXPECT(whorl_strand_current() == NULL);
    return 0;
}

static int spawn_all_ways(void *arg)
{
    struct where *const where = arg;
    const struct whorl_attr none = {.flags = WHORL_NO_STRAND};
    struct where other = {.wanted = where->other};
    struct whorl_task *task;
    (void)is_there(arg);
    EXPECT_IS(finish(start(is_there, where)), 0);
    EXPECT_IS(finish(start_in(where->other, is_there, &other)), 0);
    must(whorl_spawn(is_nowhere, NULL, &none, &task));
    EXPECT_IS(finish(task), 0);
    must(whorl_spawn_remote(whorl_task_current(), is_there, where, NULL, &task));
    EXPECT_IS(finish(task), 0);
    return 0;
}

static int inherit(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT, other = WHORL_STRAND_INIT;
    struct where where = {&strand, &other};
    const struct whorl_attr both = {.strand = &strand, .flags = WHORL_NO_STRAND};
    (void)arg;
    EXPECT(whorl_strand_current() == NULL);
    EXPECT_IS(finish(start_in(&strand, spawn_all_ways, &where)), 0);
    EXPECT_IS(whorl_spawn(nothing, NULL, &both, NULL), -EINVAL);
    end_strand(&strand);
    end_strand(&other);
    return 0;
}

static void test_mt_7_what_a_task_spawns_is_in_its_strand(void **state)
{
    (void)state;
    at_all_loops(inherit);
}

/* ---- one's own turn is given up ---- */

static int set_gate(void *arg)
{
    struct shared *const shared = arg;
    EXPECT_IS(shared->inside, 1);
    shared->inside = 2;
    return whorl_future_set_result(shared->gate, NULL);
}

static int wait_for_gate(void *arg)
{
    return whorl_future_await(((struct shared *)arg)->gate, NULL);
}

/* Each needs the turn of the strand while this one waits in another, or in the strand itself. */
static int wait_in_another(void *arg)
{
    struct shared *const shared = arg;
    struct whorl_strand other = WHORL_STRAND_INIT;
    for (int i = 0; i < 20; i++) {
        shared->gate = new_future();
        shared->inside = 1;
        struct whorl_task *const task = start(set_gate, shared);
        EXPECT_IS(i % 2 ? whorl_strand_run(&other, NULL, wait_for_gate, shared)
                        : whorl_future_await(shared->gate, NULL),
                  0);
        EXPECT_IS(shared->inside, 2);
        EXPECT_IS(finish(task), 0);
        whorl_future_unref(shared->gate);
    }
    end_strand(&other);
    return 0;
}

static int give_up(void *arg)
{
    struct shared shared = {.strand = WHORL_STRAND_INIT};
    (void)arg;
    EXPECT_IS(finish(start_in(&shared.strand, wait_in_another, &shared)), 0);
    end_strand(&shared.strand);
    return 0;
}

static void test_mt_7_a_wait_gives_the_turn_up_and_takes_it_again(void **state)
{
    (void)state;
    at_all_loops(give_up);
}

/* ---- run this in strand s ---- */

static int answer(void *arg)
{
    struct where *const where = arg;
    (void)is_there(where);
    must(whorl_yield());
    (void)is_there(where);
    return -ENODATA;
}

static int run_from_a_strand(void *arg)
{
    struct where *const where = arg;
    struct where back = {.wanted = where->other};
    EXPECT_IS(whorl_strand_run(where->wanted, NULL, answer, where), -ENODATA);
    EXPECT(whorl_strand_current() == where->other);
    EXPECT_IS(whorl_strand_run(where->other, NULL, answer, &back), -ENODATA); /* simply called */
    return 0;
}

static int run_in_strand_run(void *arg)
{
    struct where *const where = arg;
    struct where other = {where->other, where->wanted};
    EXPECT_IS(whorl_strand_run(where->other, NULL, run_from_a_strand, where), 0);
    EXPECT(whorl_strand_current() == where->wanted);
    EXPECT_IS(whorl_strand_run(where->other, NULL, answer, &other), -ENODATA);
    return 0;
}

static int run_near(void *arg)
{
    struct where *const where = arg;
    EXPECT_IS(whorl_strand_run(where->wanted, NULL, answer, where), -EPERM);
    return 0;
}

struct remote {
    struct where where;
    struct whorl_task *near;
};

static int run_from_a_thread(void *arg)
{
    struct remote *const remote = arg;
    for (int i = 0; i < 20; i++) {
        EXPECT_IS(whorl_strand_run(remote->where.wanted, remote->near, answer, &remote->where),
                  -ENODATA);
    }
    EXPECT_IS(whorl_strand_run(NULL, remote->near, is_nowhere, NULL), 0);
    EXPECT(whorl_strand_current() == NULL);
    return run_near(&remote->where);
}

static void run_in_callback(void *arg)
{
    struct remote *const remote = arg;
    EXPECT_IS(whorl_strand_run(remote->where.wanted, NULL, answer, arg), -EPERM);
    EXPECT_IS(whorl_strand_run(remote->where.wanted, remote->near, answer, arg), -EPERM);
    EXPECT_IS(whorl_strand_enter(remote->where.wanted), -EPERM);
}

static int run_from_everywhere(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT, other = WHORL_STRAND_INIT;
    struct remote remote = {{&strand, &other}, whorl_task_current()};
    struct beside beside;
    (void)arg;
    EXPECT_IS(whorl_strand_run(&strand, NULL, answer, &remote.where), -ENODATA);
    EXPECT(whorl_strand_current() == NULL);
    EXPECT_IS(finish(start_in(&other, run_from_a_strand, &remote.where)), 0);
    EXPECT_IS(finish(start_in(&strand, run_in_strand_run, &remote.where)), 0);
    beside_start(&beside, run_from_a_thread, &remote);
    EXPECT_IS(whorl_strand_run(&strand, NULL, answer, &remote.where), -ENODATA);
    EXPECT_IS(beside_finish(&beside), 0);
    must(whorl_call_soon(run_in_callback, &remote, NULL, NULL));
    settle();
    EXPECT_IS(whorl_strand_run(&strand, NULL, NULL, NULL), -EINVAL);
    EXPECT_IS(whorl_strand_run(NULL, NULL, is_nowhere, NULL), 0);
    end_strand(&strand);
    end_strand(&other);
    return 0;
}

static void test_mt_7_run_in_a_strand_from_anywhere(void **state)
{
    (void)state;
    at_all_loops(run_from_everywhere);
    assert_int_equal(whorl_strand_run(NULL, NULL, nothing, NULL), -EPERM);
}

/* ---- entering ---- */

static int enter_and_out(void *arg)
{
    struct shared *const shared = arg;
    for (int i = 0; i < ROUNDS; i++) {
        must(whorl_strand_enter(&shared->strand));
        section(shared);
        must(whorl_strand_enter(&shared->strand)); /* it is in it */
        section(shared);
        must(i % 2 ? 0 : whorl_yield());
        section(shared);
        must(whorl_strand_enter(NULL));
        EXPECT(whorl_strand_current() == NULL);
    }
    must(whorl_strand_enter(&shared->strand));
    shared->done++;
    return 0;
}

static int enter(void *arg)
{
    struct shared shared = {.strand = WHORL_STRAND_INIT};
    struct whorl_task *tasks[MEMBERS];
    (void)arg;
    for (int i = 0; i < MEMBERS; i++) {
        tasks[i] = start(enter_and_out, &shared);
    }
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(shared.done, MEMBERS);
    EXPECT_IS(shared.sum, 3L * MEMBERS * ROUNDS);
    EXPECT_IS(whorl_strand_enter(NULL), 0);
    end_strand(&shared.strand);
    return 0;
}

static void test_mt_7_a_task_enters_a_strand_and_goes_out(void **state)
{
    (void)state;
    at_many_loops(enter);
}

/* ---- cancel, timeouts, groups across strands ---- */

static void count_free(void *arg)
{
    ((struct shared *)arg)->done++;
}

static int never(void *arg)
{
    (void)arg;
    EXPECT(false);
    return 0;
}

/* With the turn: what it cancels waits for it. */
static int cancel_in_line(void *arg)
{
    struct shared *const shared = arg;
    const struct whorl_attr attr = {.arg_free = count_free};
    struct whorl_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        must(whorl_spawn(never, shared, &attr, &tasks[i]));
        EXPECT(whorl_cancel(tasks[i], "too late"));
    }
    for (int i = 0; i < 4; i++) {
        EXPECT_IS(finish(tasks[i]), -ECANCELED);
    }
    EXPECT_IS(shared->done, 4);
    return 0;
}

static int time_out(void *arg)
{
    struct whorl_timeout timeout;
    (void)arg;
    must(whorl_timeout_enter(&timeout, whorl_after(1000)));
    const int error = wait_for_ever();
    EXPECT_IS(whorl_timeout_exit(&timeout, error), -ETIMEDOUT);
    return 0;
}

static int fail_soon(void *arg)
{
    (void)arg;
    must(whorl_yield());
    return -EIO;
}

static int wait_on(void *arg)
{
    (void)arg;
    return wait_for_ever();
}

static int group_across(void *arg)
{
    struct where *const where = arg;
    struct whorl_group group;
    const struct whorl_attr other = {.strand = where->other};
    const struct whorl_attr none = {.flags = WHORL_NO_STRAND};
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, wait_on, NULL, NULL, NULL));
    must(whorl_group_spawn(&group, wait_on, NULL, &none, NULL));
    must(whorl_group_spawn(&group, wait_on, NULL, &other, NULL));
    must(whorl_group_spawn(&group, fail_soon, NULL, &other, NULL));
    EXPECT_IS(whorl_group_end(&group, 0, NULL), -EIO);
    EXPECT(whorl_strand_current() == where->wanted);
    return 0;
}

static int gather_across(void *arg)
{
    struct where *const where = arg;
    struct where other = {.wanted = where->other};
    struct whorl_task *const tasks[] = {start(is_there, where),
                                        start_in(where->other, answer, &other)};
    struct whorl_result results[2];
    EXPECT_IS(whorl_gather(tasks, 2, WHORL_GATHER_RETURN_EXCEPTIONS, results), 0);
    EXPECT_IS(results[1].error, -ENODATA);
    EXPECT_IS(finish(tasks[0]), 0);
    EXPECT_IS(finish(tasks[1]), -ENODATA);
    return 0;
}

/* Cancelled while it runs in another strand: the wait there gets it. */
static int run_and_be_cancelled(void *arg)
{
    struct where *const where = arg;
    EXPECT_IS(whorl_strand_run(where->other, NULL, wait_on, NULL), -ECANCELED);
    EXPECT(whorl_strand_current() == where->wanted);
    return -ECANCELED;
}

static int cancel_across(void *arg)
{
    struct whorl_task *const task = start(run_and_be_cancelled, arg);
    must(whorl_yield());
    EXPECT(whorl_cancel(task, NULL));
    EXPECT_IS(finish(task), -ECANCELED);
    return 0;
}

static int cross(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT, other = WHORL_STRAND_INIT;
    struct where where = {&strand, &other};
    struct shared shared = {.strand = WHORL_STRAND_INIT};
    (void)arg;
    EXPECT_IS(finish(start_in(&shared.strand, cancel_in_line, &shared)), 0);
    EXPECT_IS(finish(start_in(&strand, time_out, NULL)), 0);
    EXPECT_IS(finish(start_in(&strand, group_across, &where)), 0);
    EXPECT_IS(finish(start_in(&strand, gather_across, &where)), 0);
    EXPECT_IS(finish(start_in(&strand, cancel_across, &where)), 0);
    end_strand(&shared.strand);
    end_strand(&strand);
    end_strand(&other);
    return 0;
}

static void test_mt_7_cancel_timeouts_groups_work_across_strands(void **state)
{
    (void)state;
    at_many_loops(cross);
}

/* ---- at once ---- */

static int begin_and_wait(void *arg)
{
    struct shared *const shared = arg;
    shared->done++;
    EXPECT(whorl_strand_current() != NULL);
    must(whorl_yield());
    shared->done++;
    return 0;
}

static int begin_and_end(void *arg)
{
    ((struct shared *)arg)->done++;
    return 0;
}

static int spawn_eagerly(void *arg)
{
    struct shared *const shared = arg;
    const struct whorl_attr eager = {.flags = WHORL_EAGER};
    struct whorl_task *first, *second;
    for (int i = 0; i < 50; i++) {
        shared->done = 0;
        must(whorl_spawn(begin_and_wait, shared, &eager, &first));
        EXPECT_IS(shared->done, 1);
        must(whorl_spawn(begin_and_end, shared, &eager, &second));
        EXPECT_IS(shared->done, 2); /* the first one has not gone on: this task has the turn */
        EXPECT_IS(finish(first), 0);
        EXPECT_IS(shared->done, 3);
        EXPECT_IS(finish(second), 0);
    }
    return 0;
}

static int note_inside(void *arg)
{
    section(arg);
    return whorl_yield();
}

static int begin_in_another(void *arg)
{
    struct shared *const shared = arg;
    const struct whorl_attr eager = {.flags = WHORL_EAGER, .strand = &shared->strand};
    struct whorl_task *tasks[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) {
        must(whorl_spawn(note_inside, shared, &eager, &tasks[i]));
    }
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    return 0;
}

static int begin_at_once(void *arg)
{
    struct shared shared = {.strand = WHORL_STRAND_INIT}, other = {.strand = WHORL_STRAND_INIT};
    struct whorl_task *tasks[3];
    (void)arg;
    EXPECT_IS(finish(start_in(&shared.strand, spawn_eagerly, &shared)), 0);
    for (int i = 0; i < 3; i++) {
        tasks[i] = start_in(&shared.strand, begin_in_another, &other);
    }
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    end_strand(&shared.strand);
    end_strand(&other.strand);
    return 0;
}

static void test_mt_7_an_eager_task_of_the_same_strand_begins_at_once(void **state)
{
    (void)state;
    at_many_loops(begin_at_once);
}

/* ---- generators, exit stacks ---- */

static int make_items(void *arg)
{
    struct shared *const shared = arg;
    for (int i = 0; i < 3; i++) {
        section(shared);
        must(whorl_yield());
        section(shared);
        must(whorl_generator_yield(shared, NULL));
    }
    return 0;
}

static int at_exit(void *arg, int error)
{
    section(arg);
    must(whorl_yield());
    section(arg);
    return error;
}

static int use_items(void *arg)
{
    struct shared *const shared = arg;
    struct whorl_exit_stack stack = {0};
    struct whorl_generator *items;
    void *item;
    int count = 0;
    must(whorl_exit_stack_push(&stack, at_exit, shared));
    must(whorl_generator_new(make_items, shared, NULL, &items));
    while (whorl_generator_next(items, &item) == 0) {
        section(shared);
        count++;
    }
    EXPECT_IS(count, 3);
    EXPECT_IS(whorl_generator_close(items), 0);
    whorl_generator_unref(items);
    EXPECT_IS(whorl_exit_stack_close(&stack, 0, NULL), 0);
    return 0;
}

static int generate(void *arg)
{
    struct shared shared = {.strand = WHORL_STRAND_INIT};
    struct whorl_task *tasks[MEMBERS];
    (void)arg;
    for (int i = 0; i < MEMBERS; i++) {
        tasks[i] = start_in(&shared.strand, use_items, &shared);
    }
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    end_strand(&shared.strand);
    return 0;
}

static void test_mt_7_generators_and_exits_run_in_the_strand(void **state)
{
    (void)state;
    at_all_loops(generate);
}

/* ---- others are not kept waiting ---- */

struct busy {
    struct whorl_strand strand;
    uint32_t stop; /* A */
};

static int run_on(void *arg)
{
    struct busy *const busy = arg;
    while (!whorl__load_acquire_u32(&busy->stop)) { /* acquire, pairs stop_them */
        must(whorl_yield());
    }
    return 0;
}

static int stop_them(void *arg)
{
    whorl__store_release_u32(&((struct busy *)arg)->stop, 1); /* release, pairs run_on */
    return 0;
}

static int keep_busy(void *arg)
{
    struct busy busy = {.strand = WHORL_STRAND_INIT};
    const struct whorl_attr member_here = {.strand = &busy.strand, .pin = WHORL_PIN(0)};
    const struct whorl_attr member_anywhere = {.strand = &busy.strand};
    const struct whorl_attr here = {.pin = WHORL_PIN(0)};
    struct whorl_task *tasks[5];
    (void)arg;
    for (int i = 0; i < 4; i++) {
        must(whorl_spawn(run_on, &busy, i % 2 ? &member_here : &member_anywhere, &tasks[i]));
    }
    must(whorl_yield());
    must(whorl_spawn(stop_them, &busy, &here, &tasks[4]));
    for (int i = 0; i < 5; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    end_strand(&busy.strand);
    return 0;
}

static void test_mt_7_a_busy_strand_lets_others_run(void **state)
{
    (void)state;
    at_all_loops(keep_busy);
}

/* ---- until nobody is in it ---- */

static int join_own(void *arg)
{
    EXPECT_IS(whorl_strand_join(arg, WHORL_NEVER), -EDEADLK);
    return 0;
}

static int leave_after(void *arg)
{
    struct shared *const shared = arg;
    (void)whorl_future_join(shared->gate, WHORL_NEVER, NULL);
    shared->done++;
    return 0;
}

static int join_it(void *arg)
{
    struct shared *const shared = arg;
    EXPECT_IS(whorl_strand_join(&shared->strand, WHORL_NEVER), 0);
    EXPECT_IS(shared->done, 3); /* plain */
    return 0;
}

static int join(void *arg)
{
    struct shared shared = {.strand = WHORL_STRAND_INIT, .gate = new_future()};
    struct whorl_task *tasks[5];
    struct beside beside;
    (void)arg;
    EXPECT_IS(whorl_strand_join(&shared.strand, WHORL_NEVER), 0);
    EXPECT_IS(finish(start_in(&shared.strand, join_own, &shared.strand)), 0);
    for (int i = 0; i < 3; i++) {
        tasks[i] = start_in(&shared.strand, leave_after, &shared);
    }
    tasks[3] = start(join_it, &shared);
    tasks[4] = start(join_it, &shared);
    beside_start(&beside, join_it, &shared);
    EXPECT_IS(whorl_strand_join(&shared.strand, whorl_after(1000)), -ETIMEDOUT);
    must(whorl_yield());
    must(whorl_future_set_result(shared.gate, NULL));
    EXPECT_IS(whorl_strand_join(&shared.strand, WHORL_NEVER), 0);
    for (int i = 0; i < 5; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&beside), 0);
    end_strand(&shared.strand);
    whorl_future_unref(shared.gate);
    return 0;
}

static void test_mt_7_wait_until_nobody_is_in_it(void **state)
{
    (void)state;
    at_all_loops(join);
    assert_int_equal(whorl_strand_join(NULL, WHORL_NEVER), -EINVAL);
}

/* ---- misuse ---- */

static char told[512];

static int hear(void *arg, const struct whorl_report *report)
{
    (void)arg;
    snprintf(told, sizeof told, "%s", report->message);
    return 0;
}

static int destroy_in_use(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    const struct whorl_attr first = {.strand = &strand, .name = "first"};
    const struct whorl_attr second = {.strand = &strand, .name = "second"};
    struct whorl_task *tasks[2];
    (void)arg;
    told[0] = '\0';
    must(whorl_exception_handler_set(hear, NULL));
    must(whorl_spawn(wait_on, NULL, &first, &tasks[0]));
    must(whorl_spawn(wait_on, NULL, &second, &tasks[1]));
    EXPECT_IS(whorl_strand_destroy(&strand), -EBUSY);
    EXPECT(strstr(told, "still in it are 2: ") != NULL);
    EXPECT(strstr(told, "\"first\"") != NULL && strstr(told, "\"second\"") != NULL);
    for (int i = 0; i < 2; i++) {
        (void)whorl_cancel(tasks[i], NULL);
        EXPECT_IS(finish(tasks[i]), -ECANCELED);
    }
    end_strand(&strand);
    EXPECT_IS(whorl_strand_destroy(&strand), -EINVAL);
    EXPECT_IS(whorl_spawn(nothing, NULL, &first, NULL), -EINVAL);
    EXPECT_IS(whorl_strand_enter(&strand), -EINVAL);
    EXPECT_IS(whorl_strand_run(&strand, NULL, nothing, NULL), -EINVAL);
    EXPECT_IS(whorl_strand_run(&strand, whorl_task_current(), nothing, NULL), -EINVAL);
    EXPECT_IS(whorl_strand_join(&strand, WHORL_NEVER), -EINVAL);
    EXPECT_IS(whorl_strand_init(&strand), 0);
    EXPECT_IS(finish(start_in(&strand, nothing, NULL)), 0);
    end_strand(&strand);
    return 0;
}

static void test_mt_7_destroy_in_use_is_refused_and_names_who_is_in_it(void **state)
{
    (void)state;
    at_all_loops(destroy_in_use);
    assert_int_equal(whorl_strand_destroy(NULL), -EINVAL);
    assert_int_equal(whorl_strand_init(NULL), -EINVAL);
    assert_null(whorl_strand_current());
}

/* ---- several runtimes, and the end of one ---- */

static int use_elsewhere(void *arg)
{
    const struct whorl_attr attr = {.strand = arg};
    EXPECT_IS(whorl_spawn(nothing, NULL, &attr, NULL), -EXDEV);
    EXPECT_IS(whorl_strand_enter(arg), -EXDEV);
    EXPECT_IS(whorl_strand_run(arg, NULL, nothing, NULL), -EXDEV);
    return 0;
}

static int run_second_runtime(void *arg)
{
    const struct whorl_options options = {.loops = 2};
    return whorl_run(use_elsewhere, arg, &options);
}

static int use_in_two(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    struct beside beside;
    (void)arg;
    must(whorl_strand_enter(&strand));
    beside_start(&beside, run_second_runtime, &strand);
    EXPECT_IS(beside_finish(&beside), 0);
    must(whorl_strand_enter(NULL));
    end_strand(&strand);
    return 0;
}

static void test_mt_7_a_strand_is_of_one_runtime_at_a_time(void **state)
{
    (void)state;
    at_all_loops(use_in_two);
}

static int sit_in_line(void *arg)
{
    (void)arg;
    return wait_for_ever();
}

/* Its main ends with the turn, some of the others have never begun. */
static int leave_them(void *arg)
{
    must(whorl_strand_enter(arg));
    for (int i = 0; i < MEMBERS; i++) {
        must(whorl_spawn(sit_in_line, NULL, NULL, NULL));
        must(i == MEMBERS / 2 ? whorl_yield() : 0);
    }
    return 0;
}

static void test_mt_7_the_end_of_the_runtime_ends_who_is_in_it(void **state)
{
    static struct whorl_strand strand = WHORL_STRAND_INIT;
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops++) {
        assert_int_equal(play(loops, leave_them, &strand), 0);
        assert_int_equal(whorl_strand_join(&strand, WHORL_NEVER), 0);
    }
    assert_int_equal(whorl_strand_destroy(&strand), 0);
}

/* ---- a section that blocks ---- */

static int block(void *arg)
{
    struct shared *const shared = arg;
    for (int i = 0; i < 5; i++) {
        must(whorl_blocking_begin("test"));
        section(shared);
        whorl_blocking_end();
        section(shared);
        must(whorl_yield());
    }
    return 0;
}

static int block_in_turn(void *arg)
{
    struct shared shared = {.strand = WHORL_STRAND_INIT};
    struct whorl_task *tasks[MEMBERS];
    (void)arg;
    for (int i = 0; i < MEMBERS; i++) {
        tasks[i] = start_in(&shared.strand, block, &shared);
    }
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    end_strand(&shared.strand);
    return 0;
}

static void test_mt_7_who_blocks_keeps_the_turn(void **state)
{
    (void)state;
    at_all_loops(block_in_turn);
}

/* ---- all of a runtime's ---- */

struct town {
    int inside; /* plain */
    int sum;
    struct whorl_strand *strand;
    struct whorl_task *near;
};

static int live(void *arg)
{
    struct town *const town = arg;
    EXPECT(whorl_strand_current() == town->strand);
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_IS(town->inside++, 0);
        town->sum++;
        EXPECT_IS(--town->inside, 0);
        must(whorl_yield());
    }
    return 0;
}

static int come_from_outside(void *arg)
{
    struct town *const town = arg;
    struct whorl_task *task;
    must(whorl_spawn_remote(town->near, live, town, NULL, &task));
    EXPECT_IS(whorl_await(task, NULL), 0);
    whorl_task_unref(task);
    return 0;
}

static int found_town(void *arg)
{
    struct town town = {.strand = whorl_strand_current(), .near = whorl_task_current()};
    const struct whorl_attr none = {.flags = WHORL_NO_STRAND};
    struct whorl_task *tasks[MEMBERS], *outside;
    struct beside beside;
    (void)arg;
    EXPECT(town.strand != NULL);
    must(whorl_spawn(is_nowhere, NULL, &none, &outside));
    for (int i = 0; i < MEMBERS; i++) {
        tasks[i] = start(live, &town);
    }
    beside_start(&beside, come_from_outside, &town);
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&beside), 0);
    EXPECT_IS(finish(outside), 0);
    EXPECT_IS(town.sum, (MEMBERS + 1) * ROUNDS);
    return 0;
}

static void test_mt_7_an_option_puts_all_tasks_into_one_strand(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops++) {
        const struct whorl_options options = {.loops = loops, .flags = WHORL_STRANDED};
        assert_int_equal(whorl_run(found_town, NULL, &options), 0);
    }
    at_no_loop(no_failure);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt_7_never_two_tasks_of_a_strand_at_once),
        cmocka_unit_test(test_mt_7_tasks_pinned_to_several_loops_take_turns),
        cmocka_unit_test(test_mt_7_who_is_ready_first_runs_first),
        cmocka_unit_test(test_mt_7_with_one_loop_the_order_is_that_without_strands),
        cmocka_unit_test(test_mt_7_what_a_task_spawns_is_in_its_strand),
        cmocka_unit_test(test_mt_7_a_wait_gives_the_turn_up_and_takes_it_again),
        cmocka_unit_test(test_mt_7_run_in_a_strand_from_anywhere),
        cmocka_unit_test(test_mt_7_a_task_enters_a_strand_and_goes_out),
        cmocka_unit_test(test_mt_7_cancel_timeouts_groups_work_across_strands),
        cmocka_unit_test(test_mt_7_an_eager_task_of_the_same_strand_begins_at_once),
        cmocka_unit_test(test_mt_7_generators_and_exits_run_in_the_strand),
        cmocka_unit_test(test_mt_7_a_busy_strand_lets_others_run),
        cmocka_unit_test(test_mt_7_wait_until_nobody_is_in_it),
        cmocka_unit_test(test_mt_7_destroy_in_use_is_refused_and_names_who_is_in_it),
        cmocka_unit_test(test_mt_7_a_strand_is_of_one_runtime_at_a_time),
        cmocka_unit_test(test_mt_7_the_end_of_the_runtime_ends_who_is_in_it),
        cmocka_unit_test(test_mt_7_who_blocks_keeps_the_turn),
        cmocka_unit_test(test_mt_7_an_option_puts_all_tasks_into_one_strand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
