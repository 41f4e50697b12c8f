/*
 * why.c - why a task was asked to end: made up, noted, read, and put into words.
 *
 * Owns:       extra->note.
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

/* ---- notes ---- */

#define NOTE_BATCH 256

static void note_ref(struct whorl__note *note, uint32_t more)
{
    (void)whorl__add_u32(&note->references, more);
}

static void note_unref(struct whorl__note *note, uint32_t fewer)
{
    if (whorl__add_u32(&note->references, -fewer) == fewer) {
        whorl__plain_write(&note->why); /* who still reads it races */
        whorl__os->free(note);
    }
}

static struct whorl__note *note_new(const struct whorl_why *why)
{
    struct whorl__note *const note = whorl__os->alloc(sizeof *note);
    if (note != NULL) {
        whorl__plain_write(&note->why);
        *note = (struct whorl__note){.references = 1, .why = *why};
    }
    return note;
}

/* Makes it the one that the loop keeps, with the caller's reference. */
static void keep_note(struct whorl__loop *here, struct whorl__note *note)
{
    if (here->note != NULL) {
        note_unref(here->note, here->note_stock);
    }
    here->note = note;
    here->note_stock = 1;
}

/* Only if no task has passed it on: a chain of them is hardly ever the same twice. */
static bool says_the_same(const struct whorl_why *a, const struct whorl_why *b)
{
    return a->cause == b->cause && a->task == b->task && a->thread == b->thread &&
           a->message == b->message && a->block == b->block && (a->hops | b->hops) == 0 &&
           strcmp(a->name, b->name) == 0;
}

/* A note that says this, with a reference; one of its own if it is to be written to. */
static struct whorl__note *note_for(const struct whorl_why *why)
{
    struct whorl__loop *const here = whorl__loop_current();
    struct whorl__note *note;
    if (here == NULL || why->cause == WHORL_WHY_DEADLINE || why->hops > 0) {
        return note_new(why);
    }
    if (here->note == NULL || !says_the_same(&((struct whorl__note *)here->note)->why, why)) {
        note = note_new(why);
        if (note == NULL) {
            return NULL;
        }
        keep_note(here, note);
    }
    note = here->note;
    if (here->note_stock == 1) {
        note_ref(note, NOTE_BATCH);
        here->note_stock += NOTE_BATCH;
    }
    here->note_stock--;
    return note;
}

/* A loop where many tasks end that have the same one keeps it; others would have lost it soon. */
void whorl__note_release(struct whorl__note *note, struct whorl__loop *here)
{
    if (note == NULL) {
        return;
    }
    if (here != NULL && here->note == note) {
        here->note_stock++;
    } else if (here != NULL && whorl__load_relaxed_u32(&note->references) > 1) { /* relaxed: hint */
        keep_note(here, note);
    } else {
        note_unref(note, 1);
    }
}

void whorl__why_loop_fini(struct whorl__loop *loop)
{
    if (loop->note != NULL) {
        note_unref(loop->note, loop->note_stock);
    }
    loop->note = NULL;
}

/* ---- noted ---- */

/* A slot without a reference may have its next task meanwhile; that one has not what is asked for,
 * and nothing is noted. */
struct whorl__why_room whorl__why_room(struct whorl_task *task, const struct whorl_why *why)
{
    /* relaxed: a block is not looked into, and stays as long as the task */
    const uintptr_t tag = whorl__more_tag(whorl__load_relaxed_ptr(&task->more));
    return (struct whorl__why_room){
        .block = tag == WHORL__MORE_BLOCK ? NULL : whorl__extra_new(),
        .note = note_for(why),
    };
}

void whorl__why_room_free(struct whorl__why_room *room)
{
    whorl__os->free(room->block);
    whorl__note_release(room->note, whorl__loop_current());
}

void whorl__why_note_locked(struct whorl_task *task, const struct whorl_why *why,
                            struct whorl__why_room *room)
{
    struct whorl__extra *extra = whorl__extra_find(task);
    if (extra == NULL && room->block != NULL) {
        extra = whorl__extra_install_locked(task, room->block);
        room->block = NULL;
    }
    if (extra == NULL) {
        return;
    }
    if (room->note != NULL && why->cause == WHORL_WHY_DEADLINE) {
        room->note->why = *why; /* nobody else has it */
    }
    struct whorl__note *const before = extra->note;
    extra->note = room->note;
    room->note = before;
}

/* ---- read ---- */

void whorl__why_read_locked(struct whorl_task *task, struct whorl_why *ret_why)
{
    const struct whorl__extra *const extra = whorl__extra_find(task);
    if (extra != NULL && extra->note != NULL) {
        whorl__plain_read(&extra->note->why);
        *ret_why = extra->note->why;
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
