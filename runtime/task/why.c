/*
 * why.c - why a task was asked to end: made up, noted, read, and put into words.
 *
 * Owns:       extra->why.
 * Threads:    see why.h.
 * Not chosen: a reference on who has asked: a task that has long ended would be kept by those it
 *             has cancelled. A list of all requests: the newest says what the message says.
 */
#include "task/why.h"

#include "task/future.h"

#include "base/text.h"
#include "sys/os.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

WHORL_STATIC(sizeof(struct whorl_why) == 296, "what stands in it takes of its reserved words");

/* ---- made up ---- */

void whorl__why_name_locked(struct whorl_task *task, uint64_t *ret_number,
                            char ret_name[WHORL_TASK_NAME_MAX + 1])
{
    *ret_number = whorl__load_relaxed_u64(&task->serial); /* relaxed: a number */
    ret_name[0] = '\0';
    if (task->named) {
        memcpy(ret_name, task->name, WHORL_TASK_NAME_MAX + 1);
    }
}

void whorl__why_asked(struct whorl_why *why)
{
    struct whorl__loop *const here = whorl__loop_current();
    struct whorl_task *const self = here != NULL ? here->current : NULL;
    *why = (struct whorl_why){.cause = here != NULL ? WHORL_WHY_CALLBACK : WHORL_WHY_THREAD};
    if (self != NULL) {
        why->cause = WHORL_WHY_TASK;
        whorl__spin_lock(&self->lock);
        whorl__why_name_locked(self, &why->task, why->name);
        whorl__spin_unlock(&self->lock);
    } else if (here == NULL) {
        why->thread = (uint32_t)whorl__os->thread_id();
    }
}

void whorl__why_add_hop(struct whorl_why *why, uint64_t task, const char *name)
{
    if (why->hops < WHORL_WHY_HOPS) {
        struct whorl_why_hop *const hop = &why->hop[why->hops];
        hop->task = task;
        memcpy(hop->name, name, strlen(name) + 1);
    }
    why->hops++;
}

void whorl__why_passed_on(struct whorl_why *why, struct whorl_task *task)
{
    struct whorl_why_hop hop;
    whorl__spin_lock(&task->lock);
    whorl__why_read_locked(task, why);
    whorl__why_name_locked(task, &hop.task, hop.name);
    whorl__spin_unlock(&task->lock);
    whorl__why_add_hop(why, hop.task, hop.name);
}

/* ---- noted ---- */

/* A slot without a reference may have its next task meanwhile; that one has not what is asked for,
 * and nothing is noted. */
struct whorl__extra *whorl__why_room(struct whorl_task *task)
{
    /* relaxed: a block is not looked into, and stays as long as the task */
    const uintptr_t tag = whorl__more_tag(whorl__load_relaxed_ptr(&task->more));
    return tag == WHORL__MORE_BLOCK ? NULL : whorl__extra_new();
}

void whorl__why_note_locked(struct whorl_task *task, const struct whorl_why *why,
                            struct whorl__extra **room)
{
    struct whorl__extra *extra = whorl__extra_find(task);
    if (extra == NULL && *room != NULL) {
        extra = whorl__extra_install_locked(task, *room);
        *room = NULL;
    }
    if (extra != NULL) {
        extra->why = *why;
    }
}

/* ---- read ---- */

void whorl__why_read_locked(struct whorl_task *task, struct whorl_why *ret_why)
{
    const struct whorl__extra *const extra = whorl__extra_find(task);
    if (extra != NULL && extra->why.cause != WHORL_WHY_NONE) {
        *ret_why = extra->why;
    } else {
        *ret_why = (struct whorl_why){.cause = task->asked ? WHORL_WHY_UNKNOWN : WHORL_WHY_NONE};
    }
    ret_why->requests = task->requests;
}

static void read_why(struct whorl_task *task, struct whorl_why *ret_why)
{
    whorl__spin_lock(&task->lock);
    whorl__why_read_locked(task, ret_why);
    whorl__spin_unlock(&task->lock);
}

static void make_up_name(uint64_t number, char name[WHORL_TASK_NAME_MAX + 1])
{
    if (number != 0 && name[0] == '\0') {
        snprintf(name, WHORL_TASK_NAME_MAX + 1, "Task-%llu", (unsigned long long)number);
    }
}

int whorl_task_why(struct whorl_task *task, struct whorl_why *ret_why)
{
    if (task == NULL || ret_why == NULL) {
        return -EINVAL;
    }
    if (whorl__task_is_inherited(task)) {
        return -ECHILD;
    }
    read_why(task, ret_why);
    make_up_name(ret_why->task, ret_why->name);
    for (unsigned i = 0; i < ret_why->hops && i < WHORL_WHY_HOPS; i++) {
        make_up_name(ret_why->hop[i].task, ret_why->hop[i].name);
    }
    return 0;
}

/* ---- in words ---- */

static void put_task(struct whorl__text *text, uint64_t number, const char *name)
{
    whorl__text_string(text, "task ");
    whorl__text_number(text, number);
    if (name[0] != '\0') {
        whorl__text_char(text, ' ');
        whorl__text_quoted(text, name);
    }
}

static void put_cause(struct whorl__text *text, const struct whorl_why *why)
{
    switch (why->cause) {
    case WHORL_WHY_NONE:
        whorl__text_string(text, "nobody");
        break;
    case WHORL_WHY_TASK:
        put_task(text, why->task, why->name);
        break;
    case WHORL_WHY_CALLBACK:
        whorl__text_string(text, "a callback");
        break;
    case WHORL_WHY_THREAD:
        whorl__text_string(text, "thread ");
        whorl__text_number(text, why->thread);
        break;
    case WHORL_WHY_DEADLINE:
        whorl__text_string(text, "a deadline of ");
        put_task(text, why->task, why->name);
        break;
    case WHORL_WHY_GROUP:
        whorl__text_string(text, "a group that failed, by ");
        put_task(text, why->task, why->name);
        break;
    case WHORL_WHY_SHUTDOWN:
        whorl__text_string(text, "the end of the runtime");
        break;
    case WHORL_WHY_UNKNOWN:
    default:
        whorl__text_string(text, "not noted");
        break;
    }
}

static void put_hops(struct whorl__text *text, const struct whorl_why *why)
{
    const unsigned shown = why->hops < WHORL_WHY_HOPS ? why->hops : WHORL_WHY_HOPS;
    for (unsigned i = 0; i < shown; i++) {
        whorl__text_string(text, i == 0 ? "; through " : ", ");
        if (why->hop[i].task != 0) {
            put_task(text, why->hop[i].task, why->hop[i].name);
        } else {
            whorl__text_string(text, "a gather");
        }
    }
    if (shown < why->hops) {
        whorl__text_string(text, ", ...");
    }
}

static void put_why(struct whorl__text *text, const struct whorl_why *why)
{
    put_cause(text, why);
    put_hops(text, why);
    if (why->message != NULL) {
        whorl__text_string(text, "; message ");
        whorl__text_quoted(text, why->message);
    }
    if (why->cause != WHORL_WHY_NONE && why->requests == 0) {
        whorl__text_string(text, "; taken back");
    }
}

/* What snprintf would have kept, and how long all of it is. */
struct cut {
    struct whorl__text text;
    char *copy;
    size_t bytes;
    size_t total;
    char chunk[64];
};

static void keep(struct whorl__text *text)
{
    struct cut *const cut = whorl_container_of(text, struct cut, text);
    const size_t room = cut->bytes > cut->total ? cut->bytes - cut->total : 0;
    const size_t fits = text->length < room ? text->length : room;
    if (fits > 0) {
        memcpy(cut->copy + cut->total, text->bytes, fits);
    }
    cut->total += text->length;
    text->length = 0;
}

int whorl_why_print(const struct whorl_why *why, char *ret_text, size_t bytes)
{
    if (why == NULL || (ret_text == NULL && bytes > 0)) {
        return -EINVAL;
    }
    struct cut cut = {.copy = ret_text, .bytes = bytes > 0 ? bytes - 1 : 0};
    cut.text = (struct whorl__text){.bytes = cut.chunk, .size = sizeof cut.chunk, .full = keep};
    put_why(&cut.text, why);
    keep(&cut.text);
    if (bytes > 0) {
        ret_text[cut.total < cut.bytes ? cut.total : cut.bytes] = '\0';
    }
    return cut.total < INT_MAX ? (int)cut.total : INT_MAX;
}

bool whorl__why_text(struct whorl_task *task, char *ret_text, size_t bytes)
{
    struct whorl_why why;
    read_why(task, &why);
    return why.cause != WHORL_WHY_NONE && whorl_why_print(&why, ret_text, bytes) > 0;
}
