/*
 * debugging.c - debug mode: origins, tasks that never began, locks that are held over a wait.
 *
 * Owns:       runtime->debug, loop->bars.locks, the origin in a task's block.
 * Threads:    see debugging.h.
 * Invariant:  who does not use it pays for one test of runtime->debug at a spawn.
 * Not chosen: to find out by itself which locks a thread holds: the kernel lists robust mutexes
 *             only, and to interpose on pthread_mutex_lock is not for a library to do.
 */
#include "task/debugging.h"

#include "task/extra.h"
#include "task/future.h"
#include "task/park.h"

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
 * which is note_origin's. */
static int own_frames(void *const *frames, int count)
{
    const void *const own = object_of((const void *)(uintptr_t)whorl__debug_note_origin);
    const bool linked_in = own == object_of((const void *)getauxval(AT_PHDR));
    int first = 1;
    while (!linked_in && first < count && object_of(frames[first]) == own) {
        first++;
    }
    return first < count ? first : 1;
}

void whorl__debug_note_origin(struct whorl_task *task)
{
    void *frames[OWN_FRAMES_MAX + WHORL__ORIGIN_FRAMES];
    struct whorl__extra *const extra = whorl__extra(task);
    struct whorl__origin *const origin = extra == NULL ? NULL : whorl__os->alloc(sizeof *origin);
    if (origin == NULL) {
        return;
    }
    const int found = backtrace(frames, OWN_FRAMES_MAX + WHORL__ORIGIN_FRAMES);
    const int first = own_frames(frames, found);
    const int left = found > first ? found - first : 0;
    origin->count = left < WHORL__ORIGIN_FRAMES ? left : WHORL__ORIGIN_FRAMES;
    memcpy(origin->frames, frames + first, (size_t)origin->count * sizeof frames[0]);
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
    char **const names =
        origin != NULL ? backtrace_symbols(origin->frames, origin->count) : NULL;
    size_t used = 0;
    for (int i = 0; names != NULL && i < origin->count && used < bytes; i++) {
        const int more = snprintf(ret_text + used, bytes - used, "%s%s", i == 0 ? "" : " < ",
                                  names[i]);
        used += (size_t)more;
    }
    free(names);
    return used > 0;
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

int whorl_debug_lock_held(int change)
{
    struct whorl__loop *const here = whorl__loop_current();
    if (here == NULL || here->current == NULL) {
        return 0;
    }
    const int64_t sum = (int64_t)here->bars.locks + change;
    const bool counts = change <= 0 || whorl__debugs(here->runtime);
    if (counts) {
        whorl__loop_set_bars(here, (struct whorl__bars){.reporting = here->bars.reporting,
                                                        .locks = sum > 0 ? (unsigned)sum : 0});
    }
    return (int)here->bars.locks;
}

void whorl__debug_tell_of_locks(struct whorl_task *task)
{
    whorl__report(task->runtime,
                  &(struct whorl_report){.message = "a task waits while it holds a lock of the "
                                                    "program's; who wants it meanwhile blocks a "
                                                    "loop, perhaps for ever",
                                         .error = -EDEADLK,
                                         .task = task});
}
