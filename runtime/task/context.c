/*
 * context.c - maps that never change, and who points to which.
 *
 *   word of a task         --> map { key, value ... }           its own: set makes a new map
 *   word of a callback     --> map                              the same map may be anybody's
 *   word, tagged           --> struct whorl_context --> map     shared: set changes it for all
 *
 * A map is never written once it is seen (task/map.h). To copy a context is to take one reference;
 * to set is to make a new map and to point to that.
 *
 * Owns:       struct whorl_context; the words of tasks; the stock of each loop.
 * Threads:    a task's own word is changed by the task, under its lock, and read by it without.
 *             Others read it under the lock, to copy it or to make it a shared one. A shared
 *             context has a lock of its own.
 * Invariant:  who has made a task's own map into a shared context leaves the context a reference on
 *             that map (first): the task may be reading it, without a lock, at that moment.
 *
 *                 without `first`                           ours
 *                 task:    reads its word: map M
 *                 another: makes it shared: context -> M
 *                 a third: sets in that context, frees M    sets; M stays while the context does,
 *                 task:    reads M                          and the task has the context
 *
 * Pairs:      X3  share_word: the context's fields, word := context (release) - the task, which
 *                 reads its word without the lock (acquire).
 *
 * Stock: a loop that spawns many tasks with the same map, or in the same shared context, takes
 * references a batch at a time, and tasks that end there give theirs back to it: no locked
 * operation each. Not where there are owners: the end of a map that holds some is something that a
 * program sees. A shared context may get one later: then what a loop has at hand of it goes back
 * when its turn is over; anyway when it sleeps, and when whorl_context_unref is called there.
 */
#include "task/context.h"

#include "task/future.h"
#include "task/map.h"
#include "task/park.h"

#include "sys/os.h"

#include <errno.h>

#define STOCK_BATCH 256

struct whorl_context {
    uint32_t references; /* A */
    uint32_t generation; /* C: sys/fork.h */
    uint32_t entered;    /* A: in a whorl_context_run */
    uint32_t owns;       /* A: M(lock) to write: it has had a map that owns */
    const void *id;      /* C: itself, or what had it alone before it could be shared: of tokens */
    struct whorl__spinlock lock;
    struct whorl__map *map;   /* M(lock) */
    struct whorl__map *first; /* C: what a task may still be reading */
};

/* ---- shared contexts ---- */

static struct whorl_context *shared_of(void *word)
{
    return whorl__more_tag(word) == WHORL__MORE_SHARED ? whorl__more_untagged(word) : NULL;
}

/* Its map, with a reference. */
static struct whorl__map *context_map(struct whorl_context *context)
{
    whorl__plain_read(&context->generation);
    whorl__spin_lock(&context->lock);
    whorl__plain_read(&context->map);
    struct whorl__map *const map = context->map;
    whorl__map_ref(map, 1);
    whorl__spin_unlock(&context->lock);
    return map;
}

static struct whorl_context *context_make(void)
{
    struct whorl_context *const context = whorl__os->alloc(sizeof *context);
    if (context != NULL) {
        whorl__plain_write(&context->generation);
        *context = (struct whorl_context){
            .references = 1, .generation = whorl__fork_generation, .id = context};
    }
    return context;
}

/* With the caller's reference. */
static void take_map(struct whorl_context *context, struct whorl__map *map)
{
    context->map = map;
    if (map != NULL && map->owns) {
        whorl__store_relaxed_u32(&context->owns, 1); /* relaxed: a loop sees it in some turn */
    }
}

static void context_ref(struct whorl_context *context, uint32_t more)
{
    (void)whorl__add_u32(&context->references, more);
}

static void context_unref(struct whorl_context *context, uint32_t fewer)
{
    if (whorl__add_u32(&context->references, -fewer) != fewer) {
        return;
    }
    whorl__plain_write(&context->generation); /* who still looks at it races */
    whorl__map_unref(context->map, 1);
    whorl__map_unref(context->first, 1);
    whorl__os->free(context);
}

static bool is_inherited(const struct whorl_context *context)
{
    return whorl__fork_inherited(context->generation);
}

/* ---- words ---- */

/* Of a task: its own to read, everybody's under its lock. */
static void **word_at(struct whorl_task *task)
{
    struct whorl__extra *const extra = whorl__extra_find(task);
    return extra != NULL ? &extra->context : &task->more;
}

/* Where the caller's stands; NULL: a plain thread, which has none. *ret_task: if it is a task's. */
static void **find_word(struct whorl_task **ret_task)
{
    struct whorl__loop *const loop = whorl__loop_current();
    *ret_task = loop != NULL ? loop->current : NULL;
    if (*ret_task != NULL) {
        return word_at(*ret_task);
    }
    return loop != NULL ? loop->context_at : whorl__tls_context_at();
}

/* Somebody may have given the task its block since `at` was found. */
static void *read_word(void **at)
{
    /* acquire, pairs X2 and X3 */
    void *const word = at != NULL ? whorl__load_acquire_ptr(at) : NULL;
    if (WHORL_UNLIKELY(whorl__more_tag(word) == WHORL__MORE_BLOCK)) {
        const struct whorl__extra *const extra = whorl__more_untagged(word);
        whorl__plain_read(&extra->task); /* X2 */
        return whorl__load_acquire_ptr(&extra->context); /* acquire, pairs X3 */
    }
    return word;
}

/* The map behind a word, with a reference. */
static struct whorl__map *map_of(void *word)
{
    struct whorl_context *const shared = shared_of(word);
    if (shared != NULL) {
        return context_map(shared);
    }
    whorl__map_ref(word, 1);
    return word;
}

/* What a key's value is behind a word that nobody takes away meanwhile. */
static void *value_of(void *word, const struct whorl_local *key)
{
    struct whorl_context *const shared = shared_of(word);
    struct whorl__map *const map = shared != NULL ? context_map(shared) : word;
    const struct whorl__binding *const binding = whorl__map_find(map, key);
    void *const value = binding != NULL ? binding->value : key->initial;
    if (shared != NULL) {
        whorl__map_unref(map, 1);
    }
    return value;
}

/* ---- copying, with the loop's stock ---- */

static void word_ref(void *word, uint32_t more)
{
    struct whorl_context *const shared = shared_of(word);
    if (shared != NULL) {
        context_ref(shared, more);
    } else {
        whorl__map_ref(word, more);
    }
}

static void word_unref(void *word, uint32_t fewer)
{
    struct whorl_context *const shared = shared_of(word);
    if (shared != NULL) {
        context_unref(shared, fewer);
    } else {
        whorl__map_unref(word, fewer);
    }
}

static void stock_drop(struct whorl__loop *loop)
{
    void *const word = loop->stock_word;
    const uint32_t count = loop->stock;
    loop->stock = 0; /* first: the last of them may call what a program has set */
    loop->stock_word = NULL;
    if (count > 0) {
        word_unref(word, count);
    }
}

static bool owns(void *word)
{
    struct whorl_context *const shared = shared_of(word);
    if (shared == NULL) {
        return ((const struct whorl__map *)word)->owns;
    }
    return whorl__load_relaxed_u32(&shared->owns) != 0; /* relaxed: seen late, it is seen */
}

/* A word that is wanted once only is not worth it. */
static WHORL_COLD void stock_refill(struct whorl__loop *loop, void *word)
{
    const bool again = loop->stock_wanted == word;
    loop->stock_wanted = word;
    if (again && !owns(word)) {
        stock_drop(loop);
        word_ref(word, STOCK_BATCH);
        loop->stock_word = word;
        loop->stock = STOCK_BATCH;
    }
}

/* The word, with a reference for a task that `here` makes. */
static void *stock_word(struct whorl__loop *here, void *word)
{
    if (word != NULL && !whorl__stock_take(here, word)) {
        word_ref(word, 1);
        stock_refill(here, word);
    }
    return word;
}

/* The map of a shared one, with a reference for a task that `here` makes. */
static void *stock_map(struct whorl__loop *here, struct whorl_context *shared)
{
    whorl__plain_read(&shared->generation);
    whorl__spin_lock(&shared->lock);
    whorl__plain_read(&shared->map);
    struct whorl__map *const map = shared->map;
    const bool counted = map == NULL || whorl__stock_take(here, map);
    if (!counted) {
        whorl__map_ref(map, 1);
    }
    whorl__spin_unlock(&shared->lock);
    if (!counted) {
        stock_refill(here, map);
    }
    return map;
}

void *whorl__context_inherit(struct whorl__loop *here, struct whorl_task *creator)
{
    if (here == NULL || creator == NULL) {
        return whorl__context_capture();
    }
    void *const word = read_word(word_at(creator));
    struct whorl_context *const shared = shared_of(word);
    return shared != NULL ? stock_map(here, shared) : stock_word(here, word);
}

void *whorl__context_capture(void)
{
    struct whorl_task *task;
    return map_of(read_word(find_word(&task)));
}

void *whorl__context_share(struct whorl_context *context)
{
    return whorl__more_tagged(whorl_context_ref(context), WHORL__MORE_SHARED);
}

void *whorl__context_lease(struct whorl__loop *here, struct whorl_context *context)
{
    return here != NULL ? stock_word(here, whorl__more_tagged(context, WHORL__MORE_SHARED))
                        : whorl__context_share(context);
}

void whorl__context_release(void *word, struct whorl__loop *here)
{
    if (word != NULL && (here == NULL || !whorl__stock_give(here, word))) {
        word_unref(word, 1);
    }
}

void whorl__context_review_lease(struct whorl__loop *loop, bool sleeps)
{
    if (sleeps || owns(loop->stock_word)) {
        stock_drop(loop);
    }
}

void whorl__context_loop_fini(struct whorl__loop *loop)
{
    stock_drop(loop);
}

/* ---- setting ---- */

/* Puts `next` in place of `old` if that is still what stands there. */
static bool put_word(struct whorl_task *task, void **at, void *old, void *next)
{
    if (task == NULL) { /* a callback's, or a thread's: nobody else knows of it */
        *at = next;
        return true;
    }
    whorl__spin_lock(&task->lock);
    void **const now_at = word_at(task);
    const bool same = whorl__load_relaxed_ptr(now_at) == old; /* relaxed: M(lock) */
    if (same) {
        whorl__store_relaxed_ptr(now_at, next); /* relaxed: only the task reads it unlocked */
    }
    whorl__spin_unlock(&task->lock);
    return same;
}

static bool put_map(struct whorl_context *context, const struct whorl__map *old,
                    struct whorl__map *next)
{
    whorl__spin_lock(&context->lock);
    whorl__plain_write(&context->map);
    const bool same = context->map == old;
    if (same) {
        take_map(context, next);
    }
    whorl__spin_unlock(&context->lock);
    return same;
}

/* One try: 0, -ENOMEM, or -EAGAIN: what stood there has been changed meanwhile. */
static int try_change(struct whorl_task *task, void **at, void *word, const struct whorl_local *key,
                      const struct whorl__binding *binding, struct whorl__binding *ret_old)
{
    struct whorl_context *const shared = shared_of(word);
    struct whorl__map *const old = map_of(word);
    struct whorl__map *const next = whorl__map_with(old, key, binding);
    int error = -ENOMEM;
    if (next != NULL) {
        const bool put =
            shared != NULL ? put_map(shared, old, next) : put_word(task, at, word, next);
        error = put ? 0 : -EAGAIN;
        whorl__map_unref(put ? old : next,
                         1); /* what stood there had one reference for standing there */
    }
    if (error == 0) {
        const struct whorl__binding *const was = whorl__map_find(old, key);
        *ret_old = was != NULL ? *was : (struct whorl__binding){0};
        whorl__owner_ref(ret_old->owner);
    }
    whorl__map_unref(old, 1);
    return error;
}

/* binding->key NULL: takes the key's away. *ret_old has a reference on its owner. */
static int change(const struct whorl_local *key, const struct whorl__binding *binding,
                  struct whorl__binding *ret_old)
{
    int error;
    do {
        struct whorl_task *task;
        void **const at = find_word(&task);
        if (at == NULL) {
            return whorl__error_outside();
        }
        error = try_change(task, at, read_word(at), key, binding, ret_old);
    } while (error == -EAGAIN);
    return error;
}

/* ---- tokens ---- */

struct token {
    const struct whorl_local *key;
    struct whorl__binding old; /* with a reference on its owner */
    uint64_t made_in;
    bool live;
};

WHORL_STATIC(sizeof(struct token) <= sizeof(struct whorl_local_token), "it fits");

/* Which context the caller is in: that of its task, or a shared one, or that of its callback. */
static uint64_t context_id(void)
{
    struct whorl_task *task;
    void **const at = find_word(&task);
    const struct whorl_context *const shared = shared_of(read_word(at));
    const void *const own = task != NULL ? (void *)task : (void *)at;
    return (uint64_t)(uintptr_t)(shared != NULL ? shared->id : own);
}

static struct token *token_of(struct whorl_local_token *token)
{
    return (struct token *)(void *)token;
}

void whorl_local_forget(struct whorl_local_token *opaque)
{
    if (opaque == NULL) {
        return;
    }
    struct token *const token = token_of(opaque);
    if (token->live) {
        token->live = false;
        whorl__owner_unref(token->old.owner);
    }
}

int whorl_local_reset(struct whorl_local_token *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct token *const token = token_of(opaque);
    struct whorl__binding replaced;
    if (!token->live) {
        return -EALREADY;
    }
    if (token->made_in != context_id()) {
        return -EINVAL;
    }
    const int error = change(token->key, &token->old, &replaced);
    if (error == 0) {
        whorl__owner_unref(replaced.owner);
        whorl_local_forget(opaque);
    }
    return error;
}

/* ---- public: values ---- */

int whorl_local_set(const struct whorl_local *key, void *value, struct whorl_local_token *ret_token)
{
    struct whorl__binding old;
    struct whorl__binding binding = {.key = key, .value = value};
    if (key == NULL || (key->reserved[0] | key->reserved[1]) != 0) {
        return -EINVAL;
    }
    int error = whorl__owner_make(key, value, &binding.owner);
    if (error != 0) {
        return error;
    }
    error = change(key, &binding, &old);
    if (error != 0) {
        whorl__os->free(binding.owner); /* the value stays the caller's */
        return error;
    }
    whorl__owner_unref(binding.owner);
    if (ret_token == NULL) {
        whorl__owner_unref(old.owner);
    } else {
        *token_of(ret_token) =
            (struct token){.key = key, .old = old, .made_in = context_id(), .live = true};
    }
    return 0;
}

void *whorl_local_get(const struct whorl_local *key)
{
    if (key == NULL) {
        return NULL;
    }
    struct whorl_task *task;
    return value_of(read_word(find_word(&task)), key);
}

/* ---- public: contexts ---- */

int whorl_context_new(struct whorl_context **ret_context)
{
    if (ret_context == NULL) {
        return -EINVAL;
    }
    struct whorl_context *const context = whorl__fork_watch() == 0 ? context_make() : NULL;
    if (context == NULL) {
        return -ENOMEM;
    }
    *ret_context = context;
    return 0;
}

int whorl_context_copy(struct whorl_context **ret_context)
{
    if (ret_context == NULL) {
        return -EINVAL;
    }
    struct whorl_context *context;
    const int error = whorl_context_new(&context);
    if (error == 0) {
        take_map(context, whorl__context_capture());
        *ret_context = context;
    }
    return error;
}

struct whorl_context *whorl_context_ref(struct whorl_context *context)
{
    if (context == NULL) {
        return NULL;
    }
    context_ref(context, 1);
    return context;
}

void whorl_context_unref(struct whorl_context *context)
{
    if (context == NULL) {
        return;
    }
    struct whorl__loop *const here = whorl__loop_current();
    if (here != NULL && shared_of(here->stock_word) == context) {
        stock_drop(here); /* the caller's own keeps it till the next line */
    }
    context_unref(context, 1);
}

void *whorl_context_get(struct whorl_context *context, const struct whorl_local *key)
{
    if (context == NULL || key == NULL) {
        return NULL;
    }
    if (is_inherited(context)) {
        return key->initial; /* whoever holds its lock is not here */
    }
    return value_of(whorl__more_tagged(context, WHORL__MORE_SHARED), key);
}

/* The caller's word while a context is entered; returns the one that stood there. */
static void *swap_word(struct whorl_task *task, void *next)
{
    void *old;
    do {
        old = read_word(word_at(task));
    } while (!put_word(task, word_at(task), old, next));
    return old;
}

static int run_in_task(struct whorl_task *task, void *word, whorl_body *body, void *arg)
{
    void *const before = swap_word(task, word);
    const int result = body(arg);
    (void)swap_word(task, before);
    return result;
}

/* The word is on the stack of a callback or a thread, which do not leave theirs meanwhile. */
static void **swap_place(void **at)
{
    struct whorl__loop *const loop = whorl__loop_current();
    void **const before = loop != NULL ? loop->context_at : whorl__tls_context_at();
    if (loop != NULL) {
        loop->context_at = at;
    } else {
        whorl__tls_set_context_at(at);
    }
    return before;
}

static int run_outside(void *word, whorl_body *body, void *arg)
{
    void *mine = word;
    void **const before = swap_place(&mine);
    const int result = body(arg);
    (void)swap_place(before);
    return result;
}

void whorl__context_call(void **word, void (*function)(void *arg), void *arg)
{
    void **const before = swap_place(word);
    function(arg);
    (void)swap_place(before);
}

/* Of any task, by who keeps it. */
static struct whorl__map *copy_of(struct whorl_task *task)
{
    whorl__spin_lock(&task->lock);
    void *const word = whorl__load_relaxed_ptr(word_at(task)); /* relaxed: M(lock) */
    struct whorl_context *const shared = shared_of(word);
    if (shared != NULL) {
        (void)whorl_context_ref(shared);
    } else {
        whorl__map_ref(word, 1);
    }
    whorl__spin_unlock(&task->lock);
    if (shared == NULL) {
        return word;
    }
    struct whorl__map *const map = context_map(shared);
    whorl_context_unref(shared);
    return map;
}

int whorl__context_call_in(struct whorl_task *task, whorl_body *body, void *arg)
{
    struct whorl_task *self;
    (void)find_word(&self);
    void *word = copy_of(task);
    int result;
    if (self != NULL) {
        void *const before = swap_word(self, word);
        result = body(arg);
        word = swap_word(self, before);
    } else {
        void **const before = swap_place(&word);
        result = body(arg);
        (void)swap_place(before);
    }
    whorl__context_release(word, NULL);
    return result;
}

int whorl_context_run(struct whorl_context *context, whorl_body *body, void *arg)
{
    struct whorl_task *task;
    if (context == NULL || body == NULL) {
        return -EINVAL;
    }
    if (is_inherited(context)) {
        return -ECHILD;
    }
    if (shared_of(read_word(find_word(&task))) == context ||
        whorl__swap_u32(&context->entered, 1) != 0) {
        return -EBUSY;
    }
    void *const word = whorl__context_share(context);
    const int result =
        task != NULL ? run_in_task(task, word, body, arg) : run_outside(word, body, arg);
    whorl__store_relaxed_u32(&context->entered, 0); /* relaxed: it protects nothing */
    whorl__context_release(word, NULL);
    return result;
}

/* Its own map becomes a context that others can have, too. By who alone may change the word. */
static struct whorl_context *share_word(void **at, const void *owner, struct whorl_context *fresh)
{
    void *const word = whorl__load_relaxed_ptr(at); /* relaxed: see above */
    struct whorl_context *const shared = shared_of(word);
    if (shared != NULL) {
        return shared;
    }
    fresh->id = owner;
    take_map(fresh, word);
    fresh->first = word;
    whorl__map_ref(word, 1);
    /* release, pairs X3 with read_word */
    whorl__store_release_ptr(at, whorl__more_tagged(fresh, WHORL__MORE_SHARED));
    return fresh;
}

int whorl__context_of_word(void **word, struct whorl_context **ret_context)
{
    struct whorl_context *const fresh = context_make();
    if (fresh == NULL) {
        return -ENOMEM;
    }
    struct whorl_context *const shared = whorl_context_ref(share_word(word, word, fresh));
    if (shared != fresh) {
        whorl_context_unref(fresh);
    }
    *ret_context = shared;
    return 0;
}

int whorl_task_context(struct whorl_task *task, struct whorl_context **ret_context)
{
    if (task == NULL || ret_context == NULL) {
        return -EINVAL;
    }
    if (whorl__task_is_inherited(task)) {
        return -ECHILD;
    }
    struct whorl_context *const fresh = context_make();
    if (fresh == NULL) {
        return -ENOMEM;
    }
    whorl__spin_lock(&task->lock);
    struct whorl_context *const shared = whorl_context_ref(share_word(word_at(task), task, fresh));
    whorl__spin_unlock(&task->lock);
    if (shared != fresh) {
        whorl_context_unref(fresh);
    }
    *ret_context = shared;
    return 0;
}
