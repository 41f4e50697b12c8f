/*
 * test_graph.c - who awaits whom: as a walk, as text, and in a dump.
 *
 * A walk is kept as a line of words: "0:leaf 1:middle 2:future 3:main". Behind a name ~ says that
 * it was visited before, @ that it waits for itself.
 */
#include "capture.h"

#include "support/faults.h"
#include "support/mark.h"

#include "state/task.h"

#include <errno.h>
#include <pthread.h>

struct seen {
    char text[2048];
    int steps;
    int stop_at; /* the step whose visit ends the walk; 0: none does */
};

static int see(const struct whorl_graph_step *step, void *arg)
{
    static const char *const others[] = {"task", "future", "other"};
    struct seen *const seen = arg;
    const size_t length = strlen(seen->text);
    snprintf(seen->text + length, sizeof seen->text - length, "%s%u:%s%s%s",
             length > 0 ? " " : "", step->level,
             step->task != NULL ? whorl_task_name(step->task) : others[step->kind],
             step->again ? "~" : "", step->circle ? "@" : "");
    return ++seen->steps == seen->stop_at ? -EXDEV : 0;
}

static struct seen walk(struct whorl_future *future, uint32_t levels_max)
{
    struct seen seen = {.text = ""};
    must(whorl_graph_walk(future, levels_max, see, &seen));
    return seen;
}

static struct whorl_task *start_named(whorl_body *body, void *arg, const char *name)
{
    const struct whorl_attr attr = {.name = name};
    struct whorl_task *task = NULL;
    must(whorl_spawn(body, arg, &attr, &task));
    return task;
}

static int await_future(void *future)
{
    return whorl_future_await(future, NULL);
}

static int await_task(void *task)
{
    return whorl_await(*(struct whorl_task **)task, NULL);
}

static int await_briefly(void *arg)
{
    (void)arg;
    return whorl_yield();
}

/* At one loop, two, and four. */
static void check_at_loops(whorl_body *body, void (*check)(const struct seen *seen),
                           struct seen *seen)
{
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        memset(seen, 0, 4 * sizeof *seen);
        assert_int_equal(play(loops, body, seen), 0);
        check(seen);
    }
}

/* ---- a future and who awaits it ---- */

static int awaiters_come_and_go(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_future *const future = new_future();
    seen[0] = walk(future, WHORL_GRAPH_ALL);
    struct whorl_task *const first = start_named(await_future, future, "first");
    settle();
    struct whorl_task *const second = start_named(await_future, future, "second");
    settle();
    seen[1] = walk(future, WHORL_GRAPH_ALL);
    must(whorl_future_set_result(future, NULL));
    must(finish(first));
    must(finish(second));
    seen[2] = walk(future, WHORL_GRAPH_ALL);
    whorl_future_unref(future);
    return 0;
}

static void check_awaiters(const struct seen *seen)
{
    assert_string_equal(seen[0].text, "0:future");
    assert_string_equal(seen[1].text, "0:future 1:first 1:second");
    assert_string_equal(seen[2].text, "0:future");
}

static void test_ins_1_future_knows_its_awaiters_until_they_resume(void **state)
{
    (void)state;
    struct seen seen[4];
    check_at_loops(awaiters_come_and_go, check_awaiters, seen);
}

/* ---- awaits of the program's own ---- */

/* A request that `client` waits for, and that hangs on `answer`. */
static int tell_of_an_await(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_future *const answer = new_future();
    struct whorl_future *const request = new_future();
    struct whorl_task *const client = start_named(await_future, request, "client");
    settle();
    must(whorl_future_add_to_awaited_by(answer, request));
    must(whorl_future_add_to_awaited_by(answer, request));
    must(whorl_future_add_to_awaited_by(answer, whorl_task_future(client)));
    seen[0] = walk(answer, WHORL_GRAPH_ALL);
    must(whorl_future_discard_from_awaited_by(answer, whorl_task_future(client)));
    must(whorl_future_discard_from_awaited_by(answer, answer));
    seen[1] = walk(answer, WHORL_GRAPH_ALL);
    must(whorl_future_set_result(answer, NULL));
    seen[2] = walk(answer, WHORL_GRAPH_ALL);
    must(whorl_future_add_to_awaited_by(answer, request)); /* which nobody awaits any more */
    seen[3] = walk(answer, WHORL_GRAPH_ALL);
    must(whorl_future_set_result(request, NULL));
    must(finish(client));
    struct whorl_future *const dropped = new_future();
    must(whorl_future_add_to_awaited_by(dropped, request));
    whorl_future_unref(request);
    whorl_future_unref(dropped); /* it has the last reference of request */
    whorl_future_unref(answer);
    return 0;
}

static void check_told(const struct seen *seen)
{
    assert_string_equal(seen[0].text, "0:future 1:future 2:client 1:client~");
    assert_string_equal(seen[1].text, "0:future 1:future 2:client");
    assert_string_equal(seen[2].text, "0:future");
    assert_string_equal(seen[3].text, "0:future");
}

static void test_ins_1_program_tells_of_awaits_of_its_own(void **state)
{
    /* future_add_to_awaited_by and future_discard_from_awaited_by. */
    (void)state;
    struct seen seen[4];
    check_at_loops(tell_of_an_await, check_told, seen);
}

struct edges {
    struct whorl_future *future;
    struct whorl_future *awaiter;
    uint32_t stop; /* A */
};

static void *tell_and_untell(void *arg)
{
    struct edges *const edges = arg;
    while (level_of(&edges->stop) == 0) {
        must(whorl_future_add_to_awaited_by(edges->future, edges->awaiter));
        must(whorl_future_discard_from_awaited_by(edges->future, edges->awaiter));
    }
    return NULL;
}

static int walk_meanwhile(void *arg)
{
    struct edges *const edges = arg;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        must(pthread_create(&threads[i], NULL, tell_and_untell, edges));
    }
    for (int i = 0; i < 500; i++) {
        (void)walk(edges->future, WHORL_GRAPH_ALL);
        must(whorl_yield());
    }
    must(whorl_future_set_result(edges->future, NULL)); /* while they are at it */
    mark(&edges->stop);
    for (int i = 0; i < 2; i++) {
        must(pthread_join(threads[i], NULL));
    }
    (void)walk(edges->future, WHORL_GRAPH_ALL);
    return 0;
}

static void test_awaits_told_by_threads_while_the_future_ends(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct edges edges = {.future = new_future(), .awaiter = new_future()};
        assert_int_equal(play(loops, walk_meanwhile, &edges), 0);
        assert_int_equal(walk(edges.future, WHORL_GRAPH_ALL).steps, 1);
        whorl_future_unref(edges.future);
        whorl_future_unref(edges.awaiter);
    }
}

/* ---- those who wait for many ---- */

/* The graph of the current task, once everybody else waits. The thread that runs all this may stand
 * behind main. */
static int look_at_self(void *seen)
{
    settle();
    *(struct seen *)seen = walk(NULL, 2);
    return 0;
}

static int gather_one(void *seen)
{
    struct whorl_task *const child = start_named(look_at_self, seen, "child");
    must(whorl_gather(&child, 1, 0, NULL));
    whorl_task_unref(child);
    return 0;
}

static int group_one(void *seen)
{
    const struct whorl_attr attr = {.name = "child"};
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, look_at_self, seen, &attr, NULL));
    return whorl_group_end(&group, 0, NULL);
}

static int wait_one(void *seen)
{
    struct whorl_task *const child = start_named(look_at_self, seen, "child");
    struct whorl_future *const future = whorl_task_future(child);
    must(whorl_wait(&future, 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL) == 1 ? 0 : -EPROTO);
    whorl_task_unref(child);
    return 0;
}

static int shield_one(void *seen)
{
    struct whorl_task *const child = start_named(look_at_self, seen, "child");
    struct whorl_future *shield = NULL;
    must(whorl_shield(whorl_task_future(child), &shield));
    must(whorl_future_await(shield, NULL));
    whorl_future_unref(shield);
    whorl_task_unref(child);
    return 0;
}

static int wait_for_many(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const waits = start_named(wait_one, &seen[2], "waits");
    must(finish(waits));
    struct whorl_task *const shields = start_here(shield_one, &seen[3]);
    whorl_task_set_name(shields, "shields");
    must(finish(shields));
    struct whorl_task *const gathers = start_named(gather_one, &seen[0], "gathers");
    must(finish(gathers));
    struct whorl_task *const groups = start_named(group_one, &seen[1], "groups");
    must(finish(groups));
    return 0;
}

static void check_many(const struct seen *seen)
{
    assert_string_equal(seen[0].text, "0:child 1:future 2:gathers");
    assert_string_equal(seen[1].text, "0:child 1:groups 2:main");
    assert_string_equal(seen[2].text, "0:child 1:waits 2:main");
    assert_string_equal(seen[3].text, "0:child 1:future 2:shields");
}

static void test_ins_2_who_waits_for_many_is_the_awaiter_of_each(void **state)
{
    (void)state;
    struct seen seen[4];
    check_at_loops(wait_for_many, check_many, seen);
}

/* ---- up to the roots ---- */

static int await_gather_of(void *task)
{
    return whorl_gather(task, 1, 0, NULL);
}

/* leaf <- middle <- a gather <- top, and main, which only looks. */
static int look_at_chain(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_future *const gate = new_future();
    struct whorl_task *leaf = start_named(await_future, gate, "leaf");
    struct whorl_task *middle = start_named(await_task, &leaf, "middle");
    struct whorl_task *top = start_named(await_gather_of, &middle, "top");
    settle();
    for (uint32_t i = 0; i < 3; i++) {
        seen[i] = walk(whorl_task_future(leaf), i * 2);
    }
    seen[3].stop_at = 2;
    must(whorl_graph_walk(whorl_task_future(leaf), WHORL_GRAPH_ALL, see, &seen[3]) == -EXDEV
             ? 0 : -EPROTO);
    must(whorl_future_set_result(gate, NULL));
    must(finish(top));
    must(finish(middle));
    must(finish(leaf));
    whorl_future_unref(gate);
    return 0;
}

static void check_chain(const struct seen *seen)
{
    assert_string_equal(seen[0].text, "0:leaf");
    assert_string_equal(seen[1].text, "0:leaf 1:middle 2:future");
    assert_string_equal(seen[2].text, "0:leaf 1:middle 2:future 3:top");
    assert_string_equal(seen[3].text, "0:leaf 1:middle");
}

static void test_ins_3_and_5_graph_goes_up_to_the_roots_or_a_level(void **state)
{
    (void)state;
    struct seen seen[4];
    check_at_loops(look_at_chain, check_chain, seen);
}

/* ---- locks ---- */

/* Has the first lock and waits at the gate; then it wants the second one, too. */
struct holder {
    struct whorl_lock *first;
    struct whorl_future *gate;
    struct whorl_lock *second;
};

static int hold_and_want(void *arg)
{
    struct holder *const holder = arg;
    int error = whorl_lock_acquire(holder->first);
    if (error != 0) {
        return error;
    }
    error = holder->gate != NULL ? whorl_future_await(holder->gate, NULL) : 0;
    if (error == 0 && holder->second != NULL) {
        error = whorl_lock_acquire(holder->second);
        if (error == 0) {
            must(whorl_lock_release(holder->second));
        }
    }
    must(whorl_lock_release(holder->first));
    return error;
}

static int stand_in_line(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_lock lock;
    must(whorl_lock_init(&lock, WHORL_LOCK_OWNED));
    struct holder holder = {&lock, new_future(), NULL};
    struct holder waiter = {&lock, NULL, NULL};
    struct whorl_task *const holds = start_named(hold_and_want, &holder, "holder");
    settle();
    struct whorl_task *waits = start_named(hold_and_want, &waiter, "waiter");
    struct whorl_task *const watches = start_named(await_task, &waits, "watcher");
    settle();
    seen[0] = walk(whorl_task_future(holds), WHORL_GRAPH_ALL);
    seen[1] = walk(whorl_task_future(holds), 0);
    must(whorl_future_set_result(holder.gate, NULL));
    must(finish(watches));
    must(finish(waits));
    seen[2] = walk(whorl_task_future(holds), WHORL_GRAPH_ALL);
    must(finish(holds));
    whorl_future_unref(holder.gate);
    must(whorl_lock_destroy(&lock));
    return 0;
}

static int stand_in_line_of_who_is_known(void *arg)
{
    must(whorl_debug_set(1));
    return stand_in_line(arg);
}

static void check_line(const struct seen *seen)
{
    assert_string_equal(seen[0].text, "0:holder 1:waiter 2:watcher");
    assert_string_equal(seen[1].text, "0:holder");
    assert_string_equal(seen[2].text, "0:holder");
}

/* Who owns what is known in debug mode only. */
static void check_no_line(const struct seen *seen)
{
    assert_string_equal(seen[0].text, "0:holder");
}

static void test_graph_who_stands_in_line_for_a_lock_is_behind_its_owner(void **state)
{
    (void)state;
    struct seen seen[4];
    check_at_loops(stand_in_line_of_who_is_known, check_line, seen);
    check_at_loops(stand_in_line, check_no_line, seen);
}

/* Each has a lock, and wants the other's. */
static int wait_in_a_circle(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_lock a;
    struct whorl_lock b;
    must(whorl_debug_set(1));
    must(whorl_lock_init(&a, WHORL_LOCK_OWNED));
    must(whorl_lock_init(&b, WHORL_LOCK_OWNED));
    struct whorl_future *const gate = new_future();
    struct holder left = {&a, gate, &b};
    struct holder right = {&b, gate, &a};
    struct whorl_task *const one = start_named(hold_and_want, &left, "one");
    struct whorl_task *const other = start_named(hold_and_want, &right, "other");
    settle();
    must(whorl_future_set_result(gate, NULL));
    settle();
    seen[0] = walk(whorl_task_future(one), WHORL_GRAPH_ALL);
    seen[1] = walk(whorl_task_future(other), WHORL_GRAPH_ALL);
    must(whorl_cancel(one, "the knot is cut") ? 0 : -EPROTO);
    must(finish(other));
    must(finish(one) == -ECANCELED ? 0 : -EPROTO);
    whorl_future_unref(gate);
    return 0;
}

static void check_circle(const struct seen *seen)
{
    assert_string_equal(seen[0].text, "0:one 1:other 2:one~@");
    assert_string_equal(seen[1].text, "0:other 1:one 2:other~@");
}

static void test_graph_locks_that_are_wanted_in_a_circle_show_it(void **state)
{
    (void)state;
    struct seen seen[4];
    check_at_loops(wait_in_a_circle, check_circle, seen);
}

/* ---- as text ---- */


static struct capture print_graph(struct whorl_future *future)
{
    const int fd = capture_open();
    must(whorl_graph_print(future, WHORL_GRAPH_ALL, fd));
    return capture_close(fd);
}

struct texts {
    struct capture leaf;
    struct capture self;
    uintptr_t caller; /* the function in which self was asked for */
};

static __attribute__((noinline)) int print_self(void *arg)
{
    struct texts *const texts = arg;
    settle();
    texts->self = print_graph(NULL);
    texts->caller = (uintptr_t)print_graph;
    return 0;
}

static int print_chain(void *arg)
{
    struct texts *const texts = arg;
    struct whorl_future *const gate = new_future();
    struct whorl_task *leaf = start_named(await_future, gate, "leaf");
    struct whorl_task *middle = start_named(await_task, &leaf, "middle");
    struct whorl_task *top = start_named(await_gather_of, &middle, "top");
    settle();
    texts->leaf = print_graph(whorl_task_future(leaf));
    must(whorl_future_set_result(gate, NULL));
    must(finish(top));
    must(finish(middle));
    must(finish(leaf));
    must(finish(start_named(print_self, texts, "self")));
    whorl_future_unref(gate);
    return 0;
}

static void assert_line(const struct capture *capture, const char *start, const char *words)
{
    char line[1024];
    if (!capture_line(capture, start, words, line)) {
        fail_msg("no line %s...%s in:\n%s", start, words, capture->text);
    }
}

/* The address in brackets at the end of the first line that begins so. */
static uintptr_t first_address(const struct capture *capture, const char *start)
{
    const char *const line = strstr(capture->text, start);
    const char *const bracket = line != NULL ? strchr(line, '[') : NULL;
    return bracket != NULL ? (uintptr_t)strtoull(bracket + 1, NULL, 16) : 0;
}

static void test_ins_4_graph_of_the_current_task_begins_at_the_call(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct texts texts;
        assert_int_equal(play(loops, print_chain, &texts), 0);
        assert_line(&texts.leaf, "task=", "name=\"leaf\" ");
        assert_line(&texts.leaf, "  task=", "name=\"middle\" ");
        assert_line(&texts.leaf, "    gather=", " state=pending ");
        assert_line(&texts.leaf, "      task=", "name=\"top\" ");
        assert_null(strstr(texts.leaf.text, "  in ")); /* the calls of another are gdb's */
        assert_line(&texts.self, "task=", "name=\"self\" ");
        assert_line(&texts.self, "  task=", "name=\"main\" ");
        const uintptr_t called_from = first_address(&texts.self, "\n  in ");
        assert_in_range(called_from, texts.caller, texts.caller + 4096);
        capture_drop(&texts.leaf);
        capture_drop(&texts.self);
    }
}

static int ask_in_vain(void *arg)
{
    struct seen seen = {.text = ""};
    *(int *)arg = whorl_graph_walk(NULL, WHORL_GRAPH_ALL, NULL, &seen);
    return 0;
}

static void test_ins_6_there_is_no_graph_of_the_current_task_outside_one(void **state)
{
    (void)state;
    struct seen seen = {.text = ""};
    struct whorl_future *const future = new_future();
    assert_int_equal(whorl_graph_walk(NULL, WHORL_GRAPH_ALL, see, &seen), -EPERM);
    assert_int_equal(whorl_graph_print(NULL, WHORL_GRAPH_ALL, -1), -EPERM);
    assert_int_equal(seen.steps, 0);
    assert_int_equal(whorl_graph_walk(future, WHORL_GRAPH_ALL, see, &seen), 0);
    assert_string_equal(seen.text, "0:future");
    assert_int_equal(whorl_graph_print(future, WHORL_GRAPH_ALL, -1), -EBADF);
    whorl_future_unref(future);
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int error = UNSET;
        assert_int_equal(play(loops, ask_in_vain, &error), 0);
        assert_int_equal(error, -EINVAL); /* a visit of NULL */
    }
}

/* ---- from the roots ---- */

struct pair {
    struct seen seen;
    struct capture dump;
    struct capture text;
    char awaits[64]; /* what both have in their line */
};

static int look_at_pair(void *arg)
{
    struct pair *const pair = arg;
    struct whorl_future *const gate = new_future();
    struct whorl_task *shared = start_named(await_future, gate, "shared");
    struct whorl_task *one = start_named(await_task, &shared, "one");
    settle();
    struct whorl_task *two = start_named(await_task, &shared, "two");
    settle();
    pair->seen = walk(whorl_task_future(shared), WHORL_GRAPH_ALL);
    pair->dump = capture_dump();
    snprintf(pair->awaits, sizeof pair->awaits, "on=task:%llu",
             (unsigned long long)whorl__load_relaxed_u64(&shared->serial));
    must(whorl_future_set_result(gate, NULL));
    must(finish(one));
    must(finish(two));
    must(finish(shared));
    whorl_future_unref(gate);
    return 0;
}

static void test_ins_7_and_8_task_that_two_await_stands_under_both(void **state)
{
    /* One row a task; the roots are those whom nobody awaits. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pair pair = {.dump = {NULL, 0}};
        assert_int_equal(play(loops, look_at_pair, &pair), 0);
        assert_string_equal(pair.seen.text, "0:shared 1:one 1:two");
        assert_task(&pair.dump, "one", "state=parked awaited=no waits=future");
        assert_task(&pair.dump, "one", pair.awaits);
        assert_task(&pair.dump, "two", "state=parked awaited=no waits=future");
        assert_task(&pair.dump, "two", pair.awaits);
        assert_task(&pair.dump, "shared", "state=parked awaited=yes");
        assert_in_range(task_number(&pair.dump, "shared", "loop"), 0, loops - 1);
        assert_non_null(strstr(pair.dump.text, "\ntasks=4 "));
        capture_drop(&pair.dump);
    }
}

/* ---- circles ---- */

static int look_at_circle(void *arg)
{
    struct pair *const pair = arg;
    struct whorl_task *tasks[2];
    const struct whorl_attr hen = {.name = "hen", .pin = WHORL_PIN(whorl_loop_current())};
    const struct whorl_attr egg = {.name = "egg", .pin = WHORL_PIN(whorl_loop_current())};
    must(whorl_spawn(await_task, &tasks[1], &hen, &tasks[0])); /* neither begins before the wait */
    must(whorl_spawn(await_task, &tasks[0], &egg, &tasks[1]));
    settle();
    struct whorl_task *const third = start_named(await_task, &tasks[0], "third");
    settle();
    pair->seen = walk(whorl_task_future(tasks[0]), WHORL_GRAPH_ALL);
    pair->text = print_graph(whorl_task_future(tasks[0]));
    pair->dump = capture_dump();
    (void)whorl_cancel(tasks[0], NULL);
    (void)finish(third);
    (void)finish(tasks[0]);
    (void)finish(tasks[1]);
    return 0;
}

static void test_ins_9_and_12_circle_of_awaits_is_told_and_ends(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pair pair = {.dump = {NULL, 0}};
        assert_int_equal(play(loops, look_at_circle, &pair), 0);
        assert_string_equal(pair.seen.text, "0:hen 1:egg 2:hen~@ 1:third");
        assert_line(&pair.text, "    task=", "name=\"hen\" ");
        assert_non_null(strstr(pair.text.text, " circle=yes\n"));
        assert_task(&pair.dump, "hen", "awaited=yes waits=future");
        assert_task(&pair.dump, "egg", "awaited=yes waits=future");
        assert_task(&pair.dump, "third", "awaited=no waits=future");
        capture_drop(&pair.dump);
        capture_drop(&pair.text);
    }
}

/* ---- a task's own line ---- */

static int look_at_cancelled(void *arg)
{
    struct pair *const pair = arg;
    const struct whorl_attr attr = {.name = "asked", .pin = WHORL_PIN(whorl_loop_current())};
    struct whorl_task *task = NULL;
    must(whorl_spawn(await_briefly, NULL, &attr, &task)); /* it cannot begin before the wait */
    (void)whorl_cancel(task, "no more");
    pair->text = print_graph(whorl_task_future(task));
    must(finish(task) == -ECANCELED ? 0 : -EPROTO);
    return 0;
}

static void test_ins_11_line_of_a_task_shows_a_request_not_delivered_yet(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pair pair = {.dump = {NULL, 0}};
        assert_int_equal(play(loops, look_at_cancelled, &pair), 0);
        assert_task(&pair.text, "asked",
                    "state=ready cancel=pending requests=1 stack=none awaited=no");
        assert_non_null(strstr(pair.text.text, " message=\"no more\" "));
        assert_non_null(strstr(pair.text.text, " body="));
        capture_drop(&pair.text);
    }
}

/* ---- threads, and many ---- */

static void *block_on(void *future)
{
    must(whorl_future_await(future, NULL));
    return NULL;
}

static void test_graph_shows_a_thread_that_blocks(void **state)
{
    (void)state;
    struct whorl_future *const future = new_future();
    const int64_t end_ns = whorl_after(PATIENCE_NS);
    pthread_t thread;
    must(pthread_create(&thread, NULL, block_on, future));
    struct seen seen = walk(future, WHORL_GRAPH_ALL);
    while (seen.steps == 1 && whorl_now() < end_ns) {
        usleep(1000);
        seen = walk(future, WHORL_GRAPH_ALL);
    }
    assert_string_equal(seen.text, "0:future 1:other");
    must(whorl_future_set_result(future, NULL));
    must(pthread_join(thread, NULL));
    whorl_future_unref(future);
}

static int tell_without_memory(void *arg)
{
    int *const told = arg;
    struct whorl_future *const future = new_future();
    struct whorl_future *const awaiter = new_future();
    faults_order(&(struct faults_order){.entry = FAULTS_alloc, .phase = FAULTS_ANY_PHASE,
                                        .error = -ENOMEM, .first = 1});
    told[0] = whorl_future_add_to_awaited_by(future, awaiter);
    faults_order(NULL);
    told[1] = walk(future, WHORL_GRAPH_ALL).steps;
    whorl_future_unref(awaiter);
    whorl_future_unref(future);
    return 0;
}

static void test_await_that_is_told_without_memory_is_not_there(void **state)
{
    (void)state;
    int told[2] = {UNSET, UNSET};
    faults_install();
    assert_int_equal(play(1, tell_without_memory, told), 0);
    faults_remove();
    assert_int_equal(told[0], -ENOMEM);
    assert_int_equal(told[1], 1);
}

#define CROWD 40

static int look_at_crowd(void *arg)
{
    int *const steps = arg;
    struct whorl_future *const gate = new_future();
    struct whorl_task *tasks[CROWD];
    for (int i = 0; i < CROWD; i++) {
        tasks[i] = start(await_future, gate);
    }
    settle();
    steps[0] = walk(gate, WHORL_GRAPH_ALL).steps;
    for (uint32_t i = 1; i < 4; i++) { /* each allocation of a walk fails in turn */
        struct seen seen = {.text = ""};
        faults_order(&(struct faults_order){.entry = FAULTS_alloc, .phase = FAULTS_ANY_PHASE,
                                            .error = -ENOMEM, .first = i});
        steps[i] = whorl_graph_walk(gate, WHORL_GRAPH_ALL, see, &seen);
    }
    faults_order(NULL);
    must(whorl_future_set_result(gate, NULL));
    for (int i = 0; i < CROWD; i++) {
        must(finish(tasks[i]));
    }
    whorl_future_unref(gate);
    return 0;
}

static void test_graph_of_a_crowd_is_whole_or_out_of_memory(void **state)
{
    (void)state;
    int steps[4];
    faults_install();
    assert_int_equal(play(1, look_at_crowd, steps), 0);
    faults_remove();
    assert_int_equal(steps[0], CROWD + 1);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(steps[i], -ENOMEM);
    }
}

/* ---- while everything moves ---- */

struct hurry {
    uint32_t stop; /* A */
    struct whorl_future *shared;
    uint64_t steps;
};

/* Awaits that begin and end all the time: the looker's future is one of them, a gather another. */
static int bustle(void *arg)
{
    struct hurry *const hurry = arg;
    while (whorl__load_acquire_u32(&hurry->stop) == 0) { /* acquire, pairs mark */
        struct whorl_task *tasks[2] = {start(await_briefly, NULL), start(await_briefly, NULL)};
        (void)whorl_future_join(hurry->shared, whorl_after(10 * WHORL_MICROSECOND), NULL);
        (void)whorl_gather(tasks, 2, 0, NULL);
        whorl_task_unref(tasks[0]);
        whorl_task_unref(tasks[1]);
    }
    return 0;
}

static int count_steps(const struct whorl_graph_step *step, void *arg)
{
    *(uint64_t *)arg += step->level > 0;
    return 0;
}

static void *look_on(void *arg)
{
    struct hurry *const hurry = arg;
    const int64_t end_ns = whorl_after(PATIENCE_NS);
    for (int i = 0; (i < 500 || hurry->steps == 0) && whorl_now() < end_ns; i++) {
        must(whorl_graph_walk(hurry->shared, WHORL_GRAPH_ALL, count_steps, &hurry->steps));
    }
    mark(&hurry->stop);
    return NULL;
}

static int hurry_main(void *arg)
{
    struct hurry *const hurry = arg;
    struct whorl_task *tasks[4];
    pthread_t thread;
    hurry->shared = new_future();
    must(pthread_create(&thread, NULL, look_on, hurry));
    for (int i = 0; i < 4; i++) {
        tasks[i] = start(bustle, hurry);
    }
    for (int i = 0; i < 4; i++) {
        must(finish(tasks[i]));
    }
    must(pthread_join(thread, NULL));
    whorl_future_unref(hurry->shared);
    return 0;
}

static void test_graph_from_a_thread_while_awaits_come_and_go(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct hurry hurry = {.stop = 0};
        assert_int_equal(play(loops, hurry_main, &hurry), 0);
        assert_true(hurry.steps > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ins_1_future_knows_its_awaiters_until_they_resume),
        cmocka_unit_test(test_ins_1_program_tells_of_awaits_of_its_own),
        cmocka_unit_test(test_awaits_told_by_threads_while_the_future_ends),
        cmocka_unit_test(test_ins_2_who_waits_for_many_is_the_awaiter_of_each),
        cmocka_unit_test(test_ins_3_and_5_graph_goes_up_to_the_roots_or_a_level),
        cmocka_unit_test(test_graph_who_stands_in_line_for_a_lock_is_behind_its_owner),
        cmocka_unit_test(test_graph_locks_that_are_wanted_in_a_circle_show_it),
        cmocka_unit_test(test_ins_4_graph_of_the_current_task_begins_at_the_call),
        cmocka_unit_test(test_ins_6_there_is_no_graph_of_the_current_task_outside_one),
        cmocka_unit_test(test_ins_7_and_8_task_that_two_await_stands_under_both),
        cmocka_unit_test(test_ins_9_and_12_circle_of_awaits_is_told_and_ends),
        cmocka_unit_test(test_ins_11_line_of_a_task_shows_a_request_not_delivered_yet),
        cmocka_unit_test(test_graph_shows_a_thread_that_blocks),
        cmocka_unit_test(test_await_that_is_told_without_memory_is_not_there),
        cmocka_unit_test(test_graph_of_a_crowd_is_whole_or_out_of_memory),
        cmocka_unit_test(test_graph_from_a_thread_while_awaits_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
