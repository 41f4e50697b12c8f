/*
 * line.c - standing in line for a primitive: see line.h.
 *
 * Threads:    any.
 * Pairs:      K3 of line.h.
 */
#include "sync/line.h"

#include "base/bug.h"
#include "base/text.h"
#include "sys/fork.h"
#include "sys/os.h"
#include "task/cancel.h"
#include "task/future.h"
#include "task/park.h"

#include <errno.h>
#include <stdio.h>

#define LOCKED  WHORL__LINE_LOCKED
#define WAITERS WHORL__LINE_WAITERS
#define DEAD    WHORL__LINE_DEAD

/* ---- the lock ---- */

static WHORL_COLD void wait_a_little(unsigned *spins)
{
    if (++*spins % 64 == 0) {
        whorl__os->yield(); /* the holder may have been preempted */
    } else {
        whorl__pause();
    }
}

uint32_t whorl__line_lock_slow(struct whorl__line *line)
{
    unsigned spins = 0;
    for (;;) {
        const uint32_t old = whorl__load_relaxed_u32(&line->word); /* relaxed: the cas checks */
        if (!(old & LOCKED) && whorl__cas_u32(&line->word, old, old | LOCKED)) { /* pairs K3 */
            whorl__plain_write(&line->inside); /* stands for all that the lock protects */
            return old;
        }
        wait_a_little(&spins);
    }
}

void whorl__line_init(struct whorl__line *line, uint32_t word)
{
    *line = (struct whorl__line){.word = word, .generation = whorl__fork_generation};
}

/*
 * In a child of fork only. One that the child uses itself has the child's generation before its
 * word changes, so the word is read first.
 */
WHORL_COLD int whorl__line_check_inherited(struct whorl__line *line, uint32_t busy)
{
    const uint32_t word = whorl__load_acquire_u32(&line->word); /* acquire, pairs K3 */
    /* relaxed, both: any of the child's threads writes the same */
    if (!whorl__fork_inherited(whorl__load_relaxed_u32(&line->generation))) {
        return 0;
    }
    if (word & (LOCKED | WAITERS | busy)) {
        return -ECHILD;
    }
    whorl__store_relaxed_u32(&line->generation, whorl__fork_generation);
    return 0;
}

/* ---- who stands there ---- */

/* Only the loop that runs it can tell: elsewhere it may be about to park. Mostly it is parked. */
bool whorl__stander_is_leaving(const struct whorl__stander *stander)
{
    struct whorl_task *const task = stander->task;
    /* relaxed: of a task of this thread, which writes it; of another one it is not believed */
    if (task == NULL || stander->selects || task->runtime->stealing ||
        whorl__state_phase(whorl__load_relaxed_u64(&task->word)) == WHORL__PARKED) {
        return false;
    }
    struct whorl__loop *const here = whorl__loop_current();
    /* relaxed: as above */
    return here != NULL && task->runtime == here->runtime &&
           whorl__load_relaxed_ptr((void **)(void *)&task->loop) == here;
}

struct whorl__stander *whorl__rank_head(struct whorl__rank *rank)
{
    if (rank->waiters.next == NULL || whorl__list_is_empty(&rank->waiters)) {
        return NULL;
    }
    struct whorl__stander *const head = whorl__stander_of(rank->waiters.next);
    whorl__plain_read(&head->link);
    return head;
}

struct whorl__stander *whorl__rank_first_slow(struct whorl__rank *rank)
{
    whorl__list_for_each(link, &rank->waiters)
    {
        struct whorl__stander *const stander = whorl__stander_of(link);
        whorl__plain_read(&stander->link);
        if (!whorl__stander_is_leaving(stander)) {
            return stander;
        }
    }
    return NULL;
}

bool whorl__rank_is_before(struct whorl__rank *rank)
{
    return rank->granted > 0 || whorl__rank_first(rank) != NULL;
}

void whorl__rank_grant(struct whorl__rank *rank, struct whorl__stander *stander,
                       struct whorl__told *told)
{
    struct whorl_task *const task = stander->task;
    WHORL_ASSERT(!stander->granted && stander->rank == rank);
    whorl__plain_write(&stander->link);
    whorl__list_remove(&stander->link);
    stander->granted = true;
    rank->granted++;
    if (task == NULL) {
        whorl__store_relaxed_u32(stander->signal, 1); /* relaxed: it takes the lock, too */
        (void)whorl__os->futex_wake(stander->signal, 1);
    } else if (whorl__state_wake(&task->word, whorl__handle_epoch(stander->handle)) ==
               WHORL__WAKE_TAKEN) {
        whorl__fifo_push(&told->tasks, &task->ready);
    }
}

size_t whorl__rank_grant_all(struct whorl__rank *rank, size_t max, struct whorl__told *told)
{
    size_t count = 0;
    if (rank->waiters.next == NULL) {
        return 0;
    }
    whorl__list_for_each_safe(link, &rank->waiters)
    {
        struct whorl__stander *const stander = whorl__stander_of(link);
        if (count == max) {
            break;
        }
        if (!whorl__stander_is_leaving(stander)) {
            whorl__rank_grant(rank, stander, told);
            count++;
        }
    }
    return count;
}

void whorl__tell_all(struct whorl__told *told)
{
    struct whorl__fifo_node *node;
    while ((node = whorl__fifo_pop(&told->tasks)) != NULL) {
        whorl__sched_submit_behind(whorl__task_of_ready(node));
    }
}

/* ---- a wait ---- */

static int begin_wait(struct whorl__stander *stander)
{
    struct whorl_task *const task = stander->task;
    if (task != NULL) {
        stander->fresh = whorl__park_begin(task);
        if (whorl__stander_is_timed(stander)) {
            const int error =
                whorl__park_timer(task, &stander->timer, stander->fresh, stander->deadline_ns);
            if (error != 0) {
                return error;
            }
        }
    }
    stander->begun = true;
    return 0;
}

int whorl__stander_begin(struct whorl__stander *stander, const void *what,
                         enum whorl__line_kind kind, int64_t deadline_ns)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL && whorl__loop_current() != NULL) {
        return -EPERM;
    }
    whorl__stander_fill(stander, task, whorl__park_on_sync(what, kind), deadline_ns);
    stander->waits_on |= deadline_ns != WHORL_NEVER ? WHORL__PARK_TIMED : 0;
    return begin_wait(stander);
}

int whorl__stander_park_thread(struct whorl__stander *stander)
{
    bool late = false;
    /* relaxed: what it is told stands under the lock */
    while (!late && whorl__load_relaxed_u32(&stander->thread_word) == 0) {
        late = whorl__os->futex_wait(&stander->thread_word, 0, stander->deadline_ns) == -ETIMEDOUT;
    }
    stander->begun = false;
    return late ? -ETIMEDOUT : 0;
}

void whorl__line_stand_again(struct whorl__stander *stander)
{
    struct whorl__rank *const rank = stander->rank;
    WHORL_ASSERT(stander->granted && rank->granted > 0);
    stander->granted = false;
    whorl__store_relaxed_u32(&stander->thread_word, 0); /* relaxed: under the lock, as its store */
    rank->granted--;
    whorl__list_push_front(&rank->waiters, &stander->link);
}

/*
 * A wait that ended for no reason of its own (a cancel that was withdrawn) is begun again; its
 * place in line stays. Meanwhile it may be granted what it stands there for.
 */
int whorl__line_wait_again(struct whorl__line *line, uint32_t *word,
                           struct whorl__stander *stander, int result)
{
    while (result == 0 && !stander->granted) {
        if (!stander->begun) {
            whorl__line_unlock(line, *word);
            result = begin_wait(stander);
            *word = whorl__line_lock(line);
            if (result != 0 || stander->granted) {
                break;
            }
        }
        result = whorl__line_park(line, word, stander);
    }
    if (stander->granted && result != -ECANCELED) {
        result = 0;
    }
    whorl__plain_read(&stander->link);
    return result;
}

void whorl__line_step_aside(struct whorl__stander *stander)
{
    if (!stander->granted) {
        whorl__list_remove(&stander->link);
        stander->granted = true;
        stander->rank->granted++;
    }
}

/* ---- the way through ---- */

/* One on his way, under the lock but where he waits. */
struct passage {
    void *primitive;
    struct whorl__line *line;
    struct whorl__rank *rank;
    const struct whorl__line_rules *rules;
    struct whorl__stander stander;
    struct whorl__told told;
    uint32_t word;
};

static int stand_and_wait(struct passage *passage)
{
    const struct whorl__line_rules *const rules = passage->rules;
    struct whorl__stander *const stander = &passage->stander;
    int error;
    whorl__line_stand(passage->line, &passage->word, passage->rank, stander);
    while ((error = whorl__line_wait(passage->line, &passage->word, stander)) == 0) {
        if (rules->take(passage->primitive, &passage->word, &passage->told)) {
            break;
        }
        whorl__line_stand_again(stander);
    }
    const bool granted = stander->granted;
    whorl__line_leave(passage->line, &passage->word, stander);
    if (error != 0) {
        rules->give_up(passage->primitive, &passage->word, granted, &passage->told);
    }
    return error;
}

int whorl__line_pass(void *primitive, struct whorl__line *line, struct whorl__rank *rank,
                     const struct whorl__line_rules *rules, int64_t deadline_ns)
{
    struct passage passage; /* the rest is written when it waits */
    passage.primitive = primitive;
    passage.line = line;
    passage.rank = rank;
    passage.rules = rules;
    passage.told = (struct whorl__told){{0}};
    int error = whorl__stander_begin(&passage.stander, primitive, rules->kind, deadline_ns);
    if (error != 0) {
        return error;
    }
    passage.word = whorl__line_lock(line);
    if (!rules->enter(primitive, &passage.word)) {
        error = stand_and_wait(&passage);
    }
    whorl__line_unlock(line, passage.word);
    whorl__tell(&passage.told);
    (void)whorl__stander_end(&passage.stander);
    return error;
}

/* ---- the end of a line ---- */

enum { NAMED_MAX = 4 };

/* The first of those who stand there, each with a reference; a thread is NULL. */
struct named {
    struct whorl_task *tasks[NAMED_MAX];
    unsigned named;
    size_t count;
    size_t granted;
};

static void find_names_locked(struct whorl__rank *rank, struct named *named)
{
    named->granted += rank->granted;
    if (rank->waiters.next == NULL) {
        return;
    }
    whorl__list_for_each(link, &rank->waiters)
    {
        struct whorl_task *const task = whorl__stander_of(link)->task;
        if (named->count++ < NAMED_MAX) {
            named->tasks[named->named++] = task;
            (void)whorl_future_ref(task != NULL ? &task->future : NULL);
        }
    }
}

static void put_names(struct whorl__text *text, const struct named *named)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    for (unsigned i = 0; i < named->named; i++) {
        whorl__text_string(text, i == 0 ? ": " : ", ");
        if (named->tasks[i] == NULL) {
            whorl__text_string(text, "a thread");
        } else {
            whorl__task_copy_name(named->tasks[i], name, sizeof name);
            whorl__text_quoted(text, name);
            whorl_task_unref(named->tasks[i]);
        }
    }
}

/* To the exception handler of the caller's runtime; without one, to standard error. */
void whorl__line_report_use(const char *message)
{
    struct whorl__loop *const here = whorl__loop_current();
    const struct whorl_report report = {
        .message = message, .error = -EBUSY, .loop = -1, .task = whorl__task_current()};
    if (here != NULL) {
        whorl__report(here->runtime, &report);
    } else {
        (void)whorl_exception_handler_default(&report);
    }
}

static void tell_of_use(const struct whorl__line_end *end, const struct named *named)
{
    char room[NAMED_MAX * (WHORL_TASK_NAME_MAX + 4) + 160];
    struct whorl__text text = {.bytes = room, .size = sizeof room - 1};
    whorl__text_string(&text, "the ");
    whorl__text_string(&text, end->name);
    whorl__text_char(&text, ' ');
    whorl__text_hex(&text, (uint64_t)(uintptr_t)end->primitive);
    whorl__text_string(&text, " was to be destroyed; still in it are ");
    whorl__text_number(&text, named->count);
    whorl__text_string(&text, " that wait");
    put_names(&text, named);
    if (named->named < named->count) {
        whorl__text_string(&text, ", ...");
    }
    if (named->granted > 0) {
        whorl__text_string(&text, "; and on their way out: ");
        whorl__text_number(&text, named->granted);
    }
    room[text.length] = '\0';
    whorl__line_report_use(room);
}

int whorl__line_destroy(struct whorl__line *line, const struct whorl__line_end *end)
{
    struct named named = {.count = 0};
    const int error = whorl__line_check(line, end->busy);
    if (error != 0) {
        return error;
    }
    const uint32_t word = whorl__line_lock(line);
    const bool used = (word & (WAITERS | end->busy | DEAD)) != 0;
    for (size_t i = 0; i < end->rank_count; i++) {
        find_names_locked(&end->ranks[i], &named);
    }
    whorl__line_unlock(line, used ? word : word | DEAD);
    if (!used) {
        return 0;
    }
    if (word & WAITERS) {
        tell_of_use(end, &named);
    }
    return word & DEAD ? -EINVAL : -EBUSY;
}
