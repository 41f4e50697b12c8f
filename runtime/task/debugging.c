/*
 * debugging.c - debug mode: origins, tasks that never began, locks that are held over a wait or at
 * the end of a task.
 *
 * Owns:       runtime->debug, loop->bars.locks, the origin and the owned locks in a task's block.
 * Threads:    see debugging.h.
 * Invariant:  who does not use it pays for one test of runtime->debug at a spawn.
 * Not chosen: to find out by itself which locks a thread holds: the kernel lists robust mutexes
 *             only. To stand in front of pthread_mutex_lock is for a library of its own, which the
 *             program asks for: sys/locks.h.
 */
#include "task/debugging.h"

#include "task/extra.h"
#include "task/future.h"
#include "task/locks.h"
#include "task/park.h"

#include "base/text.h"
#include "sys/os.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

/* Our own frames at the beginning, which are left out where it can be told. */
#define OWN_FRAMES_MAX 6

/* ---- on and off ---- */

bool whorl__debug_wanted(int option)
{
    const char *const word = secure_getenv("WHORL_DEBUG");
    if (option != 0) {
        return option > 0;
    }
    return word != NULL && word[0] != '\0' && strcmp(word, "0") != 0;
}

int whorl_debug_set(int on)
{
    struct whorl__loop *const here = whorl__loop_here();
    if (here == NULL) {
        return whorl__error_outside();
    }
    if (on != 0) {
        whorl__locks_start(here->runtime);
    }
    whorl__store_relaxed_u32(&here->runtime->debug, on != 0); /* relaxed: see Threads */
    return 0;
}

int whorl_debug_get(void)
{
    const struct whorl__loop *const here = whorl__loop_here();
    return here == NULL ? whorl__error_outside() : whorl__debugs(here->runtime);
}

/* ---- where a task was made ---- */

/* The object whose code the address is in; NULL: none that the loader knows. */
static const void *object_of(const void *address)
{
    Dl_info info;
    return dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

/* As a shared library we know our own frames; linked into the program we do not, but for the first,
 * which is trace's. */
static int own_frames(void *const *frames, int count)
{
    const void *const own = object_of((const void *)(uintptr_t)whorl__debug_trace);
    const bool linked_in = own == object_of((const void *)getauxval(AT_PHDR));
    int first = 1;
    while (!linked_in && first < count && object_of(frames[first]) == own) {
        first++;
    }
    return first < count ? first : 1;
}

int whorl__debug_trace(void **ret_frames, int max)
{
    void *frames[OWN_FRAMES_MAX + WHORL__TRACE_FRAMES];
    const int found = backtrace(frames, OWN_FRAMES_MAX + WHORL__TRACE_FRAMES);
    const int first = own_frames(frames, found);
    const int left = found > first ? found - first : 0;
    const int count = left < max ? left : max;
    WHORL_ASSERT(max <= WHORL__TRACE_FRAMES);
    memcpy(ret_frames, frames + first, (size_t)count * sizeof frames[0]);
    return count;
}

/* Of "folder/file(function+0x12) [0x...]" the part from the file on. */
static const char *without_folder(const char *name)
{
    const char *const end = strchr(name, '(');
    const char *from = name;
    for (const char *at = name; end != NULL && at < end; at++) {
        from = *at == '/' ? at + 1 : from;
    }
    return from;
}

size_t whorl__debug_frames_text(void *const *frames, int count, char *ret_text, size_t bytes)
{
    char **const names = count > 0 ? backtrace_symbols(frames, count) : NULL;
    size_t used = 0;
    for (int i = 0; names != NULL && i < count && used < bytes; i++) {
        const int more = snprintf(ret_text + used, bytes - used, "%s%s", i == 0 ? "" : " < ",
                                  without_folder(names[i]));
        used += (size_t)more;
    }
    free(names);
    return used;
}

void whorl__debug_note_origin(struct whorl_task *task)
{
    struct whorl__extra *const extra = whorl__extra(task);
    struct whorl__origin *const origin = extra == NULL ? NULL : whorl__os->alloc(sizeof *origin);
    if (origin == NULL) {
        return;
    }
    origin->count = whorl__debug_trace(origin->frames, WHORL__ORIGIN_FRAMES);
    extra->origin = origin;
}

static const struct whorl__origin *origin_of(struct whorl_task *task)
{
    const struct whorl__extra *const extra = whorl__extra_find(task);
    return extra != NULL ? extra->origin : NULL;
}

int whorl_task_origin(struct whorl_task *task, void **ret_frames, int max)
{
    if (task == NULL || (ret_frames == NULL && max > 0)) {
        return -EINVAL;
    }
    if (whorl__task_is_inherited(task)) {
        return -ECHILD;
    }
    const struct whorl__origin *const origin = origin_of(task);
    for (int i = 0; origin != NULL && i < origin->count && i < max; i++) {
        ret_frames[i] = origin->frames[i];
    }
    return origin != NULL ? origin->count : 0;
}

bool whorl__debug_origin_text(struct whorl_task *task, char *ret_text, size_t bytes)
{
    const struct whorl__origin *const origin = origin_of(task);
    return origin != NULL &&
           whorl__debug_frames_text(origin->frames, origin->count, ret_text, bytes) > 0;
}

/* ---- a task that never began ---- */

void whorl__debug_tell_never_begun(struct whorl_task *task, int error)
{
    if (!whorl__debugs(task->runtime)) {
        return;
    }
    whorl__spin_lock(&task->lock);
    const bool leftover = task->shutdown_asked;
    whorl__spin_unlock(&task->lock);
    if (leftover || error != -ECANCELED) {
        whorl__report(task->runtime, &(struct whorl_report){.message = "a task was made and has "
                                                                       "never begun",
                                                            .error = error,
                                                            .task = task});
    }
}

/* ---- locks ---- */

/* Those of a task that has ended are nobody's. */
static struct whorl__bars bars_of(const struct whorl__loop *here, struct whorl_task *task)
{
    struct whorl__bars bars = here->bars;
    const uint64_t serial = whorl__load_relaxed_u64(&task->serial); /* relaxed: its own number */
    if (bars.holder != serial) {
        bars.locks = 0;
        bars.noted = 0;
        bars.holder = serial;
    }
    return bars;
}

static unsigned sum_of(unsigned count, int change)
{
    const int64_t sum = (int64_t)count + change;
    return sum > 0 ? (unsigned)sum : 0;
}

int whorl_debug_lock_held(int change)
{
    struct whorl__loop *const here = whorl__loop_current();
    if (here == NULL || here->current == NULL) {
        return 0;
    }
    struct whorl__bars bars = bars_of(here, here->current);
    if (change <= 0 || whorl__debugs(here->runtime)) {
        bars.locks = sum_of(bars.locks, change);
    }
    whorl__loop_set_bars(here, bars);
    return (int)bars.locks;
}

void whorl__debug_locks_noted(int change)
{
    struct whorl__loop *const here = whorl__loop_current();
    struct whorl__bars bars = bars_of(here, here->current);
    bars.noted = sum_of(bars.noted, change);
    whorl__loop_set_bars(here, bars);
}

void whorl__debug_tell_of_locks(struct whorl_task *task)
{
    struct whorl__bars bars = bars_of(task->loop, task);
    if (bars.locks > 0) {
        whorl__report(task->runtime,
                      &(struct whorl_report){.message = WHORL__WAITS_WITH_A_LOCK,
                                             .error = -EDEADLK,
                                             .task = task});
    }
    if (bars.noted > 0 && !whorl__locks_tell(task)) {
        bars.noted = 0; /* others have given them back */
    }
    whorl__loop_set_bars(task->loop, bars);
}

/* ---- locks that know their owner ---- */

void whorl__debug_lock_owned(struct whorl_task *task, void *lock)
{
    struct whorl__extra *const extra = whorl__debugs(task->runtime) ? whorl__extra(task) : NULL;
    if (extra == NULL) {
        return;
    }
    /* relaxed, all: its own; a dump shows what it finds */
    const uint64_t count = whorl__load_relaxed_u64(&extra->owned_count);
    whorl__store_relaxed_u64(&extra->owned_count, count + 1);
    for (unsigned i = 0; i < WHORL__OWNED_MAX; i++) {
        if (whorl__load_relaxed_ptr(&extra->owned[i]) == NULL) {
            whorl__store_relaxed_ptr(&extra->owned[i], lock);
            break;
        }
    }
}

/* How many of those that it owns are known by their address. */
static unsigned owned_known(const struct whorl__extra *extra)
{
    unsigned known = 0;
    for (unsigned i = 0; i < WHORL__OWNED_MAX; i++) {
        known += whorl__load_relaxed_ptr((void **)&extra->owned[i]) != NULL; /* relaxed: as above */
    }
    return known;
}

void whorl__debug_lock_given(struct whorl_task *task, const void *lock)
{
    struct whorl__extra *const extra = whorl__extra_find(task);
    if (extra == NULL) {
        return;
    }
    /* relaxed, all: as above */
    const uint64_t count = whorl__load_relaxed_u64(&extra->owned_count);
    bool counted = count > owned_known(extra); /* it may be one of the others */
    for (unsigned i = 0; i < WHORL__OWNED_MAX; i++) {
        if (whorl__load_relaxed_ptr(&extra->owned[i]) == lock) {
            whorl__store_relaxed_ptr(&extra->owned[i], NULL);
            counted = true;
            break;
        }
    }
    whorl__store_relaxed_u64(&extra->owned_count, counted ? count - 1 : count);
}

void whorl__debug_tell_of_owned(struct whorl_task *task)
{
    const struct whorl__extra *const extra = whorl__extra_find(task);
    char room[WHORL__OWNED_MAX * 24 + 120];
    struct whorl__text text = {.bytes = room, .size = sizeof room - 1};
    /* relaxed, both: its own */
    const uint64_t count =
        extra != NULL ? whorl__load_relaxed_u64((uint64_t *)&extra->owned_count) : 0;
    if (count == 0) {
        return;
    }
    whorl__text_string(&text, "a task has ended and owns locks, which nobody can release: ");
    whorl__text_number(&text, count);
    for (unsigned i = 0; i < WHORL__OWNED_MAX; i++) {
        const void *const lock = whorl__load_relaxed_ptr((void **)&extra->owned[i]);
        if (lock != NULL) {
            whorl__text_string(&text, ", at ");
            whorl__text_hex(&text, (uint64_t)(uintptr_t)lock);
        }
    }
    room[text.length] = '\0';
    whorl__report(task->runtime,
                  &(struct whorl_report){.message = room, .error = -EDEADLK, .task = task});
}
