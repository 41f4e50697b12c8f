/*
 * locks.c - libwhorl-locks.so: stands in front of the program's locks and notes which tasks hold
 * which, for debug mode.
 *
 *   taken      the real call; then, if a task of a watching runtime runs here, a note of it
 *   given back the note is taken out; the real call; if that failed, the note is put back
 *   cond_wait  the note is out while the call waits
 *
 * A note is of a lock and a task: two tasks may have one of the same lock, as readers do. Without a
 * watcher each call costs one test more. Calls from inside the C library (flockfile, stdio) do not
 * come by here.
 *
 * Owns:       notes, watchers, the addresses of the real functions.
 * Threads:    any. table_lock is held for some instructions; the stack is walked without it, since
 *             the walk takes the loader's lock, which a thread that comes here may hold.
 * Invariant:  inside is set while this thread is in here: what the walk or the loader locks then
 *             goes straight to the real function, and so does a signal handler's.
 * Not chosen: a list of notes in thread-local memory: a task goes to another thread. To link with
 *             libwhorl: see sys/locks.h.
 */
#include "sys/locks.h"

#include "atomic/atomic.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#define EXPORT       __attribute__((visibility("default")))
#define NOTES_MAX    1024
#define BUCKETS      256
#define WATCHERS_MAX 8

/* Frames of our own at the innermost end, at most. */
#define OWN_FRAMES_MAX 4

/* ---- the real functions ---- */

#define REAL_FUNCTIONS(X)                                                                          \
    X(pthread_mutex_lock)                                                                          \
    X(pthread_mutex_trylock)                                                                       \
    X(pthread_mutex_timedlock)                                                                     \
    X(pthread_mutex_clocklock)                                                                     \
    X(pthread_mutex_unlock)                                                                        \
    X(pthread_mutex_destroy)                                                                       \
    X(pthread_cond_wait)                                                                           \
    X(pthread_cond_timedwait)                                                                      \
    X(pthread_cond_clockwait)                                                                      \
    X(pthread_rwlock_rdlock)                                                                       \
    X(pthread_rwlock_tryrdlock)                                                                    \
    X(pthread_rwlock_timedrdlock)                                                                  \
    X(pthread_rwlock_clockrdlock)                                                                  \
    X(pthread_rwlock_wrlock)                                                                       \
    X(pthread_rwlock_trywrlock)                                                                    \
    X(pthread_rwlock_timedwrlock)                                                                  \
    X(pthread_rwlock_clockwrlock)                                                                  \
    X(pthread_rwlock_unlock)                                                                       \
    X(pthread_rwlock_destroy)                                                                      \
    X(pthread_spin_lock)                                                                           \
    X(pthread_spin_trylock)                                                                        \
    X(pthread_spin_unlock)                                                                         \
    X(pthread_spin_destroy)                                                                        \
    X(mtx_lock)                                                                                    \
    X(mtx_trylock)                                                                                 \
    X(mtx_timedlock)                                                                               \
    X(mtx_unlock)                                                                                  \
    X(mtx_destroy)                                                                                 \
    X(cnd_wait)                                                                                    \
    X(cnd_timedwait)

#define INDEX(name) REAL_##name,
#define NAME(name)  #name,
enum { REAL_FUNCTIONS(INDEX) REAL_COUNT };
static const char *const names[] = {REAL_FUNCTIONS(NAME)};
static void *found[REAL_COUNT]; /* A */

static void *look_up(int index)
{
    void *const address = dlsym(RTLD_NEXT, names[index]);
    whorl__store_relaxed_ptr(&found[index], address); /* relaxed: whoever looks finds the same */
    return address;
}

static void *find(int index)
{
    void *address = whorl__load_relaxed_ptr(&found[index]); /* relaxed: as in look_up */
    if (WHORL_UNLIKELY(address == NULL)) {
        address = look_up(index);
        if (address == NULL) {
            fprintf(stderr, "libwhorl-locks.so: there is no %s behind it\n", names[index]);
            abort();
        }
    }
    return address;
}

/* ISO C has no conversion from an object's address to a function's; POSIX has. */
#define REAL(name) ((__typeof__(name) *)(uintptr_t)find(REAL_##name))

/* ---- notes and watchers, under table_lock ---- */

struct entry {
    struct whorl__locks_note note;
    struct entry *next; /* of its bucket, or free */
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[NOTES_MAX];
static struct entry *free_entries;
static int entries_used; /* the first so many were in use at some time */
static struct entry *buckets[BUCKETS];
static struct {
    const struct whorl__locks_watcher *watcher;
    int times;
} watchers[WATCHERS_MAX];

static uint32_t watched; /* A: how many watchers there are, for who comes by */
static __thread int inside __attribute__((tls_model("initial-exec")));

static void lock_table(void)
{
    (void)REAL(pthread_mutex_lock)(&table_lock);
}

static void unlock_table(void)
{
    (void)REAL(pthread_mutex_unlock)(&table_lock);
}

static struct entry **bucket_of(const void *lock)
{
    const uint64_t mixed = (uint64_t)(uintptr_t)lock * UINT64_C(0x9e3779b97f4a7c15);
    return &buckets[mixed >> 56];
}

static bool is_owner(const struct whorl__locks_note *note, const struct whorl__locks_owner *owner)
{
    return note->owner.task == owner->task && note->owner.serial == owner->serial;
}

/* The place that points to the owner's note; owner NULL: to that of anybody who has it alone. */
static struct entry **find_note(const void *lock, const struct whorl__locks_owner *owner)
{
    struct entry **at = bucket_of(lock);
    while (*at != NULL) {
        const struct whorl__locks_note *const note = &(*at)->note;
        if (note->lock == lock && (owner != NULL ? is_owner(note, owner) : !note->shared)) {
            return at;
        }
        at = &(*at)->next;
    }
    return NULL;
}

static struct entry *take_entry(void)
{
    struct entry *const entry = free_entries;
    if (entry != NULL) {
        free_entries = entry->next;
        return entry;
    }
    return entries_used < NOTES_MAX ? &entries[entries_used++] : NULL;
}

/* True: there is a note more. Without room nothing is noted. */
static bool add_note(const struct whorl__locks_note *note)
{
    struct entry **const present = find_note(note->lock, &note->owner);
    if (present != NULL) {
        (*present)->note.count++;
        return false;
    }
    struct entry *const entry = take_entry();
    if (entry == NULL) {
        return false;
    }
    struct entry **const bucket = bucket_of(note->lock);
    entry->note = *note;
    entry->note.count = 1;
    entry->next = *bucket;
    *bucket = entry;
    return true;
}

static void drop_note(struct entry **at)
{
    struct entry *const entry = *at;
    *at = entry->next;
    entry->next = free_entries;
    free_entries = entry;
}

/* ---- who runs here ---- */

struct here {
    const struct whorl__locks_watcher *watcher; /* NULL: no task, or nobody watches it */
    struct whorl__locks_owner owner;
};

/* Under table_lock. A watcher whose task runs here stays while it does. */
static struct here look_here(bool to_note)
{
    struct here here = {.watcher = NULL};
    for (int i = 0; i < WATCHERS_MAX && here.watcher == NULL; i++) {
        if (watchers[i].times > 0 && watchers[i].watcher->running(to_note, &here.owner)) {
            here.watcher = watchers[i].watcher;
        }
    }
    return here;
}

static bool is_here(const struct here *here, const struct whorl__locks_note *note)
{
    return here->watcher != NULL && is_owner(note, &here->owner);
}

/* True: go on, and call leave. errno is the program's. */
static bool enter(int *ret_errno)
{
    /* relaxed: who comes before the first watcher is not noted */
    if (WHORL_LIKELY(whorl__load_relaxed_u32(&watched) == 0) || inside != 0) {
        return false;
    }
    inside = 1;
    *ret_errno = *__errno_location();
    return true;
}

static void leave(int saved_errno)
{
    *__errno_location() = saved_errno;
    inside = 0;
}

/* From the program's call on. */
static void walk(struct whorl__locks_note *note, const void *caller)
{
    void *frames[OWN_FRAMES_MAX + WHORL__LOCKS_FRAMES];
    const int count = backtrace(frames, OWN_FRAMES_MAX + WHORL__LOCKS_FRAMES);
    int first = 0;
    while (first < count && frames[first] != caller) {
        first++;
    }
    first = first < count ? first : 0;
    note->frame_count = count - first < WHORL__LOCKS_FRAMES ? count - first : WHORL__LOCKS_FRAMES;
    memcpy(note->frames, frames + first, (size_t)note->frame_count * sizeof frames[0]);
}

static void tell(const struct here *here, int change)
{
    here->watcher->changed(change);
}

/* ---- what the calls do beside the real ones ---- */

static void note_taken(const void *lock, const char *kind, bool shared, const void *caller)
{
    int saved_errno;
    if (!enter(&saved_errno)) {
        return;
    }
    lock_table();
    const struct here here = look_here(true);
    unlock_table();
    if (here.watcher != NULL) {
        struct whorl__locks_note note = {
            .lock = lock, .kind = kind, .shared = shared, .owner = here.owner};
        walk(&note, caller);
        lock_table();
        const bool more = add_note(&note);
        unlock_table();
        if (more) {
            tell(&here, 1);
        }
    }
    leave(saved_errno);
}

/* The note of who gives the lock back: the task's own; else, of a lock that one has alone, whoever
 * has taken it. */
static struct whorl__locks_note take_out(const void *lock)
{
    struct whorl__locks_note out = {.lock = NULL};
    int saved_errno;
    bool gone = false;
    if (!enter(&saved_errno)) {
        return out;
    }
    lock_table();
    const struct here here = look_here(false);
    struct entry **at = here.watcher != NULL ? find_note(lock, &here.owner) : NULL;
    at = at != NULL ? at : find_note(lock, NULL);
    if (at != NULL) {
        out = (*at)->note;
        gone = --(*at)->note.count == 0;
        if (gone) {
            drop_note(at);
        }
    }
    unlock_table();
    if (gone && is_here(&here, &out)) {
        tell(&here, -1);
    }
    leave(saved_errno);
    return out;
}

static void put_back(const struct whorl__locks_note *note)
{
    int saved_errno;
    if (note->lock == NULL || !enter(&saved_errno)) {
        return;
    }
    lock_table();
    const struct here here = look_here(false);
    const bool more = add_note(note);
    unlock_table();
    if (more && is_here(&here, note)) {
        tell(&here, 1);
    }
    leave(saved_errno);
}

/* There is no such lock any more. */
static void forget(const void *lock)
{
    int saved_errno;
    int own = 0;
    if (!enter(&saved_errno)) {
        return;
    }
    lock_table();
    const struct here here = look_here(false);
    struct entry **at = bucket_of(lock);
    while (*at != NULL) {
        if ((*at)->note.lock == lock) {
            own += is_here(&here, &(*at)->note);
            drop_note(at);
        } else {
            at = &(*at)->next;
        }
    }
    unlock_table();
    if (own > 0) {
        tell(&here, -own);
    }
    leave(saved_errno);
}

/* ---- in front of the real calls ---- */

static int taken(int error, const void *lock, const char *kind, bool shared, const void *caller)
{
    if (error == 0 || error == EOWNERDEAD) {
        note_taken(lock, kind, shared, caller);
    }
    return error;
}

#define TAKE(name, type, kind, shared)                                                             \
    EXPORT int name(type *lock)                                                                    \
    {                                                                                              \
        return taken(REAL(name)(lock), (const void *)lock, kind, shared,                           \
                     __builtin_return_address(0));                                                 \
    }

#define TAKE_UNTIL(name, type, kind, shared)                                                       \
    EXPORT int name(type *restrict lock, const struct timespec *restrict until)                    \
    {                                                                                              \
        return taken(REAL(name)(lock, until), lock, kind, shared, __builtin_return_address(0));    \
    }

#define TAKE_BY_CLOCK(name, type, kind, shared)                                                    \
    EXPORT int name(type *restrict lock, clockid_t clock, const struct timespec *restrict until)   \
    {                                                                                              \
        return taken(REAL(name)(lock, clock, until), lock, kind, shared,                           \
                     __builtin_return_address(0));                                                 \
    }

#define GIVE(name, type)                                                                           \
    EXPORT int name(type *lock)                                                                    \
    {                                                                                              \
        const struct whorl__locks_note note = take_out((const void *)lock);                        \
        const int error = REAL(name)(lock);                                                        \
        if (error != 0) {                                                                          \
            put_back(&note);                                                                       \
        }                                                                                          \
        return error;                                                                              \
    }

#define DESTROY(name, type)                                                                        \
    EXPORT int name(type *lock)                                                                    \
    {                                                                                              \
        const int error = REAL(name)(lock);                                                        \
        if (error == 0) {                                                                          \
            forget((const void *)lock);                                                            \
        }                                                                                          \
        return error;                                                                              \
    }

/* A cond_wait has the mutex when it returns, whatever it returns. */
#define WAIT(name, params, args)                                                                   \
    EXPORT int name params                                                                         \
    {                                                                                              \
        const struct whorl__locks_note note = take_out(lock);                                      \
        const int error = REAL(name) args;                                                         \
        put_back(&note);                                                                           \
        return error;                                                                              \
    }

TAKE(pthread_mutex_lock, pthread_mutex_t, "mutex", false)
TAKE(pthread_mutex_trylock, pthread_mutex_t, "mutex", false)
TAKE_UNTIL(pthread_mutex_timedlock, pthread_mutex_t, "mutex", false)
TAKE_BY_CLOCK(pthread_mutex_clocklock, pthread_mutex_t, "mutex", false)
GIVE(pthread_mutex_unlock, pthread_mutex_t)
DESTROY(pthread_mutex_destroy, pthread_mutex_t)

WAIT(pthread_cond_wait, (pthread_cond_t *restrict cond, pthread_mutex_t *restrict lock),
     (cond, lock))
WAIT(pthread_cond_timedwait,
     (pthread_cond_t *restrict cond, pthread_mutex_t *restrict lock,
      const struct timespec *restrict until),
     (cond, lock, until))
WAIT(pthread_cond_clockwait,
     (pthread_cond_t *restrict cond, pthread_mutex_t *restrict lock, clockid_t clock,
      const struct timespec *restrict until),
     (cond, lock, clock, until))

TAKE(pthread_rwlock_rdlock, pthread_rwlock_t, "rwlock for reading", true)
TAKE(pthread_rwlock_tryrdlock, pthread_rwlock_t, "rwlock for reading", true)
TAKE_UNTIL(pthread_rwlock_timedrdlock, pthread_rwlock_t, "rwlock for reading", true)
TAKE_BY_CLOCK(pthread_rwlock_clockrdlock, pthread_rwlock_t, "rwlock for reading", true)
TAKE(pthread_rwlock_wrlock, pthread_rwlock_t, "rwlock for writing", false)
TAKE(pthread_rwlock_trywrlock, pthread_rwlock_t, "rwlock for writing", false)
TAKE_UNTIL(pthread_rwlock_timedwrlock, pthread_rwlock_t, "rwlock for writing", false)
TAKE_BY_CLOCK(pthread_rwlock_clockwrlock, pthread_rwlock_t, "rwlock for writing", false)
GIVE(pthread_rwlock_unlock, pthread_rwlock_t)
DESTROY(pthread_rwlock_destroy, pthread_rwlock_t)

TAKE(pthread_spin_lock, pthread_spinlock_t, "spin lock", false)
TAKE(pthread_spin_trylock, pthread_spinlock_t, "spin lock", false)
GIVE(pthread_spin_unlock, pthread_spinlock_t)
DESTROY(pthread_spin_destroy, pthread_spinlock_t)

TAKE(mtx_lock, mtx_t, "mtx", false)
TAKE(mtx_trylock, mtx_t, "mtx", false)
TAKE_UNTIL(mtx_timedlock, mtx_t, "mtx", false)
GIVE(mtx_unlock, mtx_t)
WAIT(cnd_wait, (cnd_t *cond, mtx_t *lock), (cond, lock))
WAIT(cnd_timedwait, (cnd_t *restrict cond, mtx_t *restrict lock,
                     const struct timespec *restrict until), (cond, lock, until))

EXPORT void mtx_destroy(mtx_t *lock)
{
    REAL(mtx_destroy)(lock);
    forget(lock);
}

/* ---- for runtimes ---- */

EXPORT whorl__locks_watch whorl_locks_watch;
EXPORT whorl__locks_unwatch whorl_locks_unwatch;
EXPORT whorl__locks_held whorl_locks_held;

bool whorl_locks_watch(const struct whorl__locks_watcher *watcher)
{
    int place = -1;
    if (watcher->version != WHORL__LOCKS_VERSION) {
        return false;
    }
    lock_table();
    for (int i = WATCHERS_MAX - 1; i >= 0; i--) {
        place = watchers[i].times == 0 ? i : place;
    }
    for (int i = 0; i < WATCHERS_MAX; i++) {
        place = watchers[i].times > 0 && watchers[i].watcher == watcher ? i : place;
    }
    if (place >= 0) {
        watchers[place].watcher = watcher;
        watchers[place].times++;
        whorl__add_relaxed_u32(&watched, 1); /* relaxed: see enter */
    }
    unlock_table();
    return place >= 0;
}

void whorl_locks_unwatch(const struct whorl__locks_watcher *watcher)
{
    lock_table();
    for (int i = 0; i < WATCHERS_MAX; i++) {
        if (watchers[i].times > 0 && watchers[i].watcher == watcher) {
            watchers[i].times--;
            whorl__add_relaxed_u32(&watched, (uint32_t)-1); /* relaxed: see enter */
        }
    }
    unlock_table();
}

int whorl_locks_held(const struct whorl__locks_owner *owner, struct whorl__locks_note *ret_notes,
                     int max)
{
    int count = 0;
    lock_table();
    for (int i = 0; i < BUCKETS; i++) {
        for (const struct entry *entry = buckets[i]; entry != NULL; entry = entry->next) {
            if (is_owner(&entry->note, owner)) {
                if (count < max) {
                    ret_notes[count] = entry->note;
                }
                count++;
            }
        }
    }
    unlock_table();
    return count;
}

/* ---- fork: the child has no tasks, and nobody in the table ---- */

static void before_fork(void)
{
    inside++; /* other handlers lock, too */
    lock_table();
}

static void after_fork(void)
{
    unlock_table();
    inside--;
}

static void after_fork_in_child(void)
{
    memset(buckets, 0, sizeof buckets);
    memset(watchers, 0, sizeof watchers);
    free_entries = NULL;
    entries_used = 0;
    whorl__store_relaxed_u32(&watched, 0); /* relaxed: it is alone */
    after_fork();
}

__attribute__((constructor)) static void start(void)
{
    for (int i = 0; i < REAL_COUNT; i++) {
        (void)look_up(i);
    }
    (void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
}
