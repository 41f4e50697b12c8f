/*
 * program_tasks.c - a random tree of tasks that spawn, gather, wait, cancel and time out.
 *
 * Every task that was spawned has its argument freed exactly once, begins at most once, ends as
 * often as it began, and its awaiters get what it returned or a reason not to.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define NODES_MAX    120
#define CHILDREN_MAX 4

struct node {
    unsigned begun;
    unsigned ended;
    unsigned freed;
    int result;
};

static struct {
    struct node nodes[NODES_MAX];
    unsigned count;
} world;

static int node_body(void *arg);

static void node_free(void *arg)
{
    ((struct node *)arg)->freed++;
}

/* NULL: the tree is large enough, or the runtime takes no more. */
static struct whorl_task *grow(void)
{
    const struct whorl_attr attr = {
        .arg_free = node_free,
        .pin = draw(6) == 0 ? WHORL_PIN((int)draw((unsigned)whorl_loop_count())) : 0,
        .name = draw(8) == 0 ? "named" : NULL,
        .flags = draw(4) == 0 ? WHORL_EAGER : 0,
    };
    if (world.count == NODES_MAX) {
        return NULL;
    }
    struct node *const node = &world.nodes[world.count++];
    struct whorl_task *const task = spawn_surely(node_body, node, &attr);
    if (task == NULL) {
        node->freed++; /* stays ours */
    }
    return task;
}

/* Any result that a child may have, or that an own cancel or deadline gives. */
static bool plausible(int error)
{
    return error == 0 || error == -ECANCELED || error == -ETIMEDOUT || error == -ENOENT ||
           error == -ENOMEM || error == -EAGAIN;
}

static void wait_for_one(struct whorl_task *task)
{
    int error = 0;
    switch (draw(5)) {
    case 0:
        error = whorl_await(task, NULL);
        break;
    case 1:
        error = whorl_join(task, whorl_after(draw(500) * WHORL_MICROSECOND), NULL);
        break;
    case 2:
        error = whorl_wait_for(task, draw(2000) * WHORL_MICROSECOND, NULL);
        expect(error == -ECANCELED || error == -ENOMEM || whorl_task_done(task));
        break;
    case 3:
        (void)whorl_cancel(task, "no more");
        error = whorl_await(task, NULL);
        break;
    default:
        error = whorl_task_result(task, NULL);
        break;
    }
    expect(plausible(error));
}

static void wait_for_all(struct whorl_task **tasks, unsigned count)
{
    struct whorl_result results[CHILDREN_MAX];
    const unsigned flags = draw(2) == 0 ? WHORL_GATHER_RETURN_EXCEPTIONS : 0;
    const int error = whorl_gather(tasks, count, flags, results);
    expect(plausible(error));
    for (unsigned i = 0; error == 0 && i < count; i++) {
        expect(whorl_task_done(tasks[i]));
        expect(plausible(results[i].error));
        expect(flags != 0 || results[i].error == 0);
    }
}

static void wait_within_a_timeout(struct whorl_task *task)
{
    struct whorl_timeout timeout;
    if (whorl_timeout_enter(&timeout, whorl_after(draw(1000) * WHORL_MICROSECOND)) != 0) {
        return;
    }
    int error = whorl_await(task, NULL);
    expect(plausible(error));
    error = whorl_timeout_exit(&timeout, error);
    expect(plausible(error));
}

static void raise_children(void)
{
    struct whorl_task *children[CHILDREN_MAX];
    const unsigned wanted = draw(CHILDREN_MAX + 1);
    unsigned count = 0;
    while (count < wanted && (children[count] = grow()) != NULL) {
        count++;
        dawdle();
    }
    if (count > 0 && draw(3) == 0) {
        wait_for_all(children, count);
    }
    for (unsigned i = 0; i < count; i++) {
        if (draw(4) == 0) {
            wait_within_a_timeout(children[i]);
        } else if (draw(4) != 0) {
            wait_for_one(children[i]);
        }
        whorl_task_unref(children[i]);
    }
}

static int node_body(void *arg)
{
    struct node *const node = arg;
    node->begun++;
    dawdle();
    if (draw(3) != 0) {
        raise_children();
    }
    const int slept = draw(3) == 0 ? whorl_sleep(draw(3000) * WHORL_MICROSECOND) : 0;
    expect(plausible(slept));
    node->ended++;
    return node->result = draw(5) == 0 ? -ENOENT : slept;
}

static int main_task(void *arg)
{
    (void)arg;
    memset(&world, 0, sizeof world);
    for (unsigned round = 0; round < 6; round++) {
        raise_children();
    }
    const int slept = draw(2) == 0 ? whorl_sleep(draw(20) * WHORL_MILLISECOND) : 0;
    expect(slept == 0 || slept == -ENOMEM);
    return 0;
}

/* After the runtime: nobody was forgotten. */
static int check_after(void)
{
    for (unsigned i = 0; i < world.count; i++) {
        const struct node *const node = &world.nodes[i];
        if (node->begun > 1 || node->begun != node->ended || node->freed != 1) {
            return -EPROTO;
        }
    }
    return 0;
}

const struct program program_tasks = {
    .name = "tasks", .body = main_task, .faults = ALL_FAULTS, .after = check_after};
