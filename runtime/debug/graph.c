/*
 * graph.c - the awaiters of a future, theirs, and so on, up to those whom nobody awaits.
 *
 *   nodes     every step so far: visited ones, and those on the way, linked as a stack by `next`
 *   found     the awaiters of one future: who is on its list, and who waits for a task without
 *             being there (behind.h)
 *
 * Each node has a reference on its future, so that an address stands for one future during the
 * walk. A future that was visited before is shown and not followed again: so a circle ends, and
 * the walk takes as many steps as there are awaits.
 *
 * Owns:       struct walk, on the caller's stack; its arrays.
 * Threads:    any. One lock at a time: a future's, a task's.
 */
#include "debug/behind.h"
#include "debug/dump.h"

#include "sched/sched.h"
#include "sys/os.h"
#include "sys/tls.h"
#include "task/future.h"
#include "task/park.h"

#include <errno.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE    SIZE_MAX
#define FRAMES_MAX 32
#define ROOM_MIN   16

struct node {
    struct whorl_future *future; /* with a reference; NULL: none that can be awaited */
    size_t parent;               /* whom it awaits */
    size_t next;                 /* of those that were not visited yet */
    uint32_t level;
    bool visited;
};

struct walk {
    struct node *nodes;
    size_t node_count;
    size_t nodes_max;
    struct whorl_future **found;
    size_t found_count;
    size_t found_max;
    size_t first; /* to be visited next */
};

/* Room for `more` behind what is there; keeps the first bytes_used. */
static int grow(void **array, size_t *max, size_t count, size_t more, size_t item_bytes)
{
    const size_t wanted = count + more;
    if (wanted <= *max) {
        return 0;
    }
    const size_t new_max = wanted * 2 < ROOM_MIN ? ROOM_MIN : wanted * 2;
    void *const grown = whorl__os->alloc(new_max * item_bytes);
    if (grown == NULL) {
        return -ENOMEM;
    }
    if (count > 0) {
        memcpy(grown, *array, count * item_bytes);
    }
    whorl__os->free(*array);
    *array = grown;
    *max = new_max;
    return 0;
}

/* Takes over a reference, for which there is room. */
static void push(struct walk *walk, struct whorl_future *future, size_t parent, uint32_t level)
{
    WHORL_ASSERT(walk->node_count < walk->nodes_max);
    walk->nodes[walk->node_count] =
        (struct node){.future = future, .parent = parent, .next = walk->first, .level = level};
    walk->first = walk->node_count++;
}

static void drop_found(struct walk *walk)
{
    for (size_t i = 0; i < walk->found_count; i++) {
        whorl_future_unref(walk->found[i]);
    }
    walk->found_count = 0;
}

static int grow_found(struct walk *walk, size_t more)
{
    return grow((void **)&walk->found, &walk->found_max, walk->found_count, more,
                sizeof(struct whorl_future *));
}

/* Those on its list, all at one moment, however many there are. */
static int find_on_list(struct walk *walk, struct whorl_future *future)
{
    for (;;) {
        const size_t count = whorl__future_awaiters(future, walk->found, walk->found_max);
        walk->found_count = count < walk->found_max ? count : walk->found_max;
        if (count <= walk->found_max) {
            return 0;
        }
        drop_found(walk);
        const int error = grow_found(walk, count);
        if (error != 0) {
            return error;
        }
    }
}

/* Who was on the list a moment ago is there already. */
static int add_found(struct whorl_future *awaiter, void *arg)
{
    struct walk *const walk = arg;
    for (size_t i = 0; i < walk->found_count; i++) {
        if (walk->found[i] == awaiter) {
            whorl_future_unref(awaiter);
            return 0;
        }
    }
    const int error = grow_found(walk, 1);
    if (error != 0) {
        whorl_future_unref(awaiter);
        return error;
    }
    walk->found[walk->found_count++] = awaiter;
    return 0;
}

static int find_awaiters(struct walk *walk, struct whorl_future *future)
{
    const int error = find_on_list(walk, future);
    return error == 0 && future->kind == WHORL__FUTURE_TASK
               ? whorl__behind_visit_all(whorl__task_of_future(future), add_found, walk)
               : error;
}

/* Pushes the awaiters of a node, so that the first of them is the next one. */
static int follow(struct walk *walk, size_t index)
{
    struct whorl_future *const future = walk->nodes[index].future;
    const uint32_t level = walk->nodes[index].level;
    if (future == NULL || whorl__future_is_inherited(future)) {
        return 0;
    }
    int error = find_awaiters(walk, future);
    if (error == 0) {
        error = grow((void **)&walk->nodes, &walk->nodes_max, walk->node_count, walk->found_count,
                     sizeof(struct node));
    }
    if (error != 0) {
        drop_found(walk);
        return error;
    }
    for (size_t i = walk->found_count; i > 0; i--) {
        push(walk, walk->found[i - 1], index, level + 1);
    }
    walk->found_count = 0; /* the nodes have the references */
    return 0;
}

static bool is_on_the_way(const struct walk *walk, size_t index)
{
    const struct whorl_future *const future = walk->nodes[index].future;
    for (size_t at = walk->nodes[index].parent; at != NOWHERE; at = walk->nodes[at].parent) {
        if (walk->nodes[at].future == future) {
            return true;
        }
    }
    return false;
}

static bool was_visited(const struct walk *walk, const struct whorl_future *future)
{
    for (size_t i = 0; i < walk->node_count; i++) {
        if (walk->nodes[i].visited && walk->nodes[i].future == future) {
            return true;
        }
    }
    return false;
}

static struct whorl_graph_step describe(const struct walk *walk, size_t index)
{
    const struct node *const node = &walk->nodes[index];
    struct whorl_graph_step step = {.kind = WHORL_GRAPH_OTHER, .level = node->level};
    if (node->future == NULL) {
        return step;
    }
    step.kind = WHORL_GRAPH_FUTURE;
    step.future = node->future;
    step.id = (uint64_t)(uintptr_t)node->future;
    step.again = was_visited(walk, node->future);
    step.circle = is_on_the_way(walk, index);
    if (node->future->kind == WHORL__FUTURE_TASK) {
        step.kind = WHORL_GRAPH_TASK;
        step.task = whorl__task_of_future(node->future);
        step.id = whorl__load_relaxed_u64(&step.task->serial); /* relaxed: a number, kept by us */
    }
    return step;
}

/* The next step. *ret_level: how far it is. */
static int visit_next(struct walk *walk, uint32_t levels_max, whorl_graph_visit *visit, void *arg)
{
    const size_t index = walk->first;
    const struct whorl_graph_step step = describe(walk, index);
    walk->first = walk->nodes[index].next;
    walk->nodes[index].visited = true;
    const int answer = visit(&step, arg);
    if (answer != 0 || step.again || step.level >= levels_max) {
        return answer;
    }
    return follow(walk, index);
}

static void end_walk(struct walk *walk)
{
    for (size_t i = 0; i < walk->node_count; i++) {
        whorl_future_unref(walk->nodes[i].future);
    }
    whorl__os->free(walk->nodes);
    whorl__os->free(walk->found);
}

int whorl_graph_walk(struct whorl_future *future, uint32_t levels_max, whorl_graph_visit *visit,
                     void *arg)
{
    struct walk walk = {.first = NOWHERE};
    struct whorl_task *const self = whorl__task_current();
    if (visit == NULL) {
        return -EINVAL;
    }
    if (future == NULL && self == NULL) {
        return whorl__error_outside();
    }
    int error = grow((void **)&walk.nodes, &walk.nodes_max, 0, 1, sizeof(struct node));
    if (error == 0) {
        push(&walk, whorl_future_ref(future != NULL ? future : &self->future), NOWHERE, 0);
    }
    while (error == 0 && walk.first != NOWHERE) {
        error = visit_next(&walk, levels_max, visit, arg);
    }
    end_walk(&walk);
    return error;
}

/* ---- as text ---- */

struct print {
    struct whorl__output output;
    const void *caller; /* where whorl_graph_print returns to */
};

static void put_indent(struct whorl__text *text, uint32_t level)
{
    for (uint32_t i = 0; i < level; i++) {
        whorl__text_string(text, "  ");
    }
}

static void put_future(struct whorl__output *output, const struct whorl_graph_step *step)
{
    static const char *const words[] = {
        [WHORL__FUTURE_PLAIN] = "future=",
        [WHORL__FUTURE_TASK] = "task=",
        [WHORL__FUTURE_GATHER] = "gather=",
        [WHORL__FUTURE_SHIELD] = "shield=",
    };
    const bool done = whorl__future_is_done(step->future);
    whorl__text_string(&output->text, words[step->future->kind]);
    whorl__text_hex(&output->text, step->id);
    whorl__text_string(&output->text, done ? " state=done" : " state=pending");
}

/* The calls that the current task is in, from the one that asks on. */
static void put_calls(struct print *print)
{
    void *frames[FRAMES_MAX];
    const int count = backtrace(frames, FRAMES_MAX);
    char **const names = count > 0 ? backtrace_symbols(frames, count) : NULL;
    int first = 0;
    while (first < count - 1 && frames[first] != print->caller) {
        first++;
    }
    for (int i = first; names != NULL && i < count; i++) {
        whorl__text_string(&print->output.text, "  in ");
        whorl__text_string(&print->output.text, names[i]);
        whorl__text_char(&print->output.text, '\n');
    }
    free(names);
}

static int print_step(const struct whorl_graph_step *step, void *arg)
{
    struct print *const print = arg;
    struct whorl__text *const text = &print->output.text;
    put_indent(text, step->level);
    switch (step->kind) {
    case WHORL_GRAPH_TASK:
        whorl__dump_task(&print->output, step->task);
        break;
    case WHORL_GRAPH_FUTURE:
        put_future(&print->output, step);
        break;
    case WHORL_GRAPH_OTHER:
        whorl__text_string(text, "other");
        break;
    }
    whorl__text_string(text, step->circle ? " circle=yes" : step->again ? " again=yes" : "");
    whorl__text_char(text, '\n');
    if (step->level == 0 && step->task != NULL && step->task == whorl__task_current()) {
        put_calls(print);
    }
    return print->output.error;
}

int whorl_graph_print(struct whorl_future *future, uint32_t levels_max, int fd)
{
    const int saved_errno = whorl__tls_errno();
    struct print print = {.caller = __builtin_return_address(0)};
    whorl__output_to_fd(&print.output, fd);
    const int walked = whorl_graph_walk(future, levels_max, print_step, &print);
    const int written = whorl__output_end(&print.output);
    whorl__tls_set_errno(saved_errno);
    return walked != 0 ? walked : written;
}
