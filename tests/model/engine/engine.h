/*
 * engine.h - what the checker's files know of each other.
 *
 *   main.c        options, the loop over models and modes, what is printed
 *   search.c      where choices come from: a seed, a depth-first search, a list to repeat
 *   run.c         one execution: threads as fibers, the scheduling point, blocking, failing
 *   memory.c      what loads, stores, read-modify-writes and fences do, mode by mode
 *   race.c        marked plain accesses against happens-before
 *   heap.c        model_alloc and model_free
 *   sites.c       the places in the source, their names, weakening one of them
 *   outcomes.c    the results of all executions, against the expected ones
 *   trace.c       the interleaving of an execution, in columns
 *   os.c          the kernel, the clock and the thread-locals that a model sees
 *
 * Owns:       struct engine, the only state; there is one execution at a time.
 * Threads:    one of the system. "Thread" in these files is a model's, a fiber.
 * Invariant:  everything that may differ between two executions of a model goes through
 *             search_choose. The same answers give the same execution, to the last step.
 */
#ifndef WHORL_TESTS_MODEL_ENGINE_H
#define WHORL_TESTS_MODEL_ENGINE_H

#include "base/random.h"
#include "fiber/fiber.h"
#include "model/model.h"

#include <setjmp.h>

#define MODEL_VERSION       "0.1.0-m1" /* of seeds: another engine reads a seed another way */
#define MODEL_HISTORY       16         /* stores a location that a load can look back over */
#define MODEL_LOCATIONS_MAX 512
#define MODEL_PENDING_MAX   8 /* stores in a buffer */
#define MODEL_COPIES_MAX    16
#define MODEL_CHOICES_MAX   (1U << 16)
#define MODEL_STEPS_DEFAULT 4000U
#define MODEL_MAIN          MODEL_THREADS_MAX /* the "thread" of setup and finish */
#define MODEL_CLOCKS        8
#define MODEL_STACK_BYTES   ((size_t)128 << 10)

WHORL_STATIC(MODEL_MAIN < MODEL_CLOCKS, "a clock has a place for each thread and for setup");

/* ---- happens-before: a vector clock, 64 bytes at most ---- */

struct model_clock {
    uint32_t at[MODEL_CLOCKS];
};

static inline void clock_join(struct model_clock *clock, const struct model_clock *other)
{
    for (unsigned i = 0; i < MODEL_CLOCKS; i++) {
        clock->at[i] = clock->at[i] > other->at[i] ? clock->at[i] : other->at[i];
    }
}

/* ---- memory ---- */

/* What a message tells about other locations: the times below which nothing may be read. Lies in
 * the engine's pool; locations beyond count are unknown to it. */
struct model_view {
    uint32_t offset;
    uint32_t count;
};

struct model_store {
    uint64_t value;
    uint32_t time;            /* its place in the location's order */
    uint8_t thread;           /* who stored it */
    bool read_by_next;        /* a read-modify-write stands right behind it */
    struct model_view view;   /* c11: what who acquires it must see */
    struct model_clock clock; /* what who acquires it happens after */
};

struct model_location {
    char *address;
    unsigned bytes;
    bool atomic;          /* accessed by an operation; else only marked plain accesses were seen */
    bool marked;          /* has marked plain accesses */
    bool copied;          /* by marked copies that counted */
    uint32_t stores;      /* so far, by operations */
    const char *name;     /* the text of the first site that touched it */
    unsigned store_count; /* in history; 1 but for c11 */
    struct model_store history[MODEL_HISTORY]; /* oldest first */
    /* the clock of each thread's last access, and where it was: marked reads and writes, stores
     * and loads by an operation, copies that were kept */
    uint32_t read_at[MODEL_CLOCKS];
    uint32_t written_at[MODEL_CLOCKS];
    uint32_t stored_at[MODEL_CLOCKS];
    uint32_t loaded_at[MODEL_CLOCKS];
    uint32_t copied_at[MODEL_CLOCKS];
    const struct whorl__site *read_site[MODEL_CLOCKS];
    const struct whorl__site *written_site[MODEL_CLOCKS];
    const struct whorl__site *stored_site[MODEL_CLOCKS];
    const struct whorl__site *loaded_site[MODEL_CLOCKS];
    const struct whorl__site *copied_site[MODEL_CLOCKS];
};

/* A load whose value counts only if the thread's next compare-and-swap succeeds. */
struct model_copy {
    const struct whorl__site *site;
    unsigned location;
    uint32_t at;     /* the thread's clock */
    uint32_t stores; /* to the location, before */
};

/* A store in a buffer. It leaves once no entry with a sequence below `after` is in front of it. */
struct model_pending {
    unsigned location;
    uint64_t value;
    uint32_t sequence;
    uint32_t after;
    struct model_clock clock;
};

/* ---- threads ---- */

enum model_thread_state { MODEL_READY, MODEL_BLOCKED, MODEL_ENDED };

struct model_thread {
    struct whorl__fiber fiber;
    unsigned index;
    enum model_thread_state state;
    bool fresh;   /* was chosen, and has not done its first operation yet */
    bool yielded; /* lets others go first */
    bool spins;   /* has yielded, and stored nothing since */
    bool (*ready)(void *arg);
    void *ready_arg;
    uint32_t priority;
    struct whorl__worker *worker; /* sys/tls.h, as the next three */
    void **context_at;
    void *work;
    int saved_errno;

    struct model_clock now;      /* what it happens after */
    struct model_clock acquired; /* of messages read without acquire; an acquire fence joins it */
    struct model_clock released; /* now, at the last release fence */

    unsigned copy_count;
    struct model_copy copies[MODEL_COPIES_MAX];

    unsigned pending_count;
    uint32_t sequence_next;
    uint32_t fence_sequence; /* entries below it leave before those that follow */
    struct model_pending pending[MODEL_PENDING_MAX];

    uint32_t view[MODEL_LOCATIONS_MAX]; /* c11: no older store may be read */
    uint32_t view_acquired[MODEL_LOCATIONS_MAX];
    struct model_view view_released;
};

/* ---- the choices of one execution ---- */

enum model_search { MODEL_RANDOM, MODEL_EXHAUSTIVE, MODEL_REPEAT };

enum model_choice {
    MODEL_CHOOSE_THREAD, /* which runs */
    MODEL_CHOOSE_FLUSH,  /* whether another's store leaves its buffer first */
    MODEL_CHOOSE_HOLD,   /* whether stores stay in the buffer of a thread that is left */
    MODEL_CHOOSE_STORE,  /* which store a load returns */
    MODEL_CHOOSE_PLACE,  /* before which later store a store goes */
    MODEL_CHOOSE_VALUE,  /* model_choose */
};

struct model_decision {
    uint16_t picked;
    uint16_t allowed; /* how many the depth-first search may try here */
};

struct engine {
    const struct model *model;
    enum model_mode mode;
    enum model_search search;
    void *state;
    size_t state_room;

    /* one execution */
    struct model_thread *current;
    bool alone; /* setup or finish: no switching */
    unsigned steps;
    unsigned steps_max;
    unsigned thread_count;
    struct model_thread threads[MODEL_MAIN + 1];
    struct whorl__fiber host;
    sigjmp_buf crash;
    bool failed;
    char failure[512];
    int64_t clock_ns;

    /* memory */
    unsigned location_count;
    struct model_location locations[MODEL_LOCATIONS_MAX];
    uint32_t fence_view[MODEL_LOCATIONS_MAX]; /* c11: what full fences have passed on */
    uint32_t *view_pool;
    uint32_t view_pool_used;

    /* choices */
    unsigned decision_count;
    unsigned given_count; /* of decisions: come from the list, the rest is 0 */
    struct model_decision decisions[MODEL_CHOICES_MAX];
    unsigned budget; /* what is left for choices that cost */
    struct whorl__random random;
    bool pct;
    unsigned stickiness;   /* of 8 */
    unsigned flush_chance; /* of 256, as the two below */
    unsigned hold_chance;
    unsigned stale_chance;
    unsigned change_count;
    unsigned change_at[8];
    unsigned usual_steps; /* of an undisturbed execution */

    bool tracing;
};

extern struct engine engine;

/* search.c */
void search_begin_seed(uint64_t seed);
void search_begin_exhaustive(unsigned bound);
bool search_next_exhaustive(unsigned bound); /* false: all were tried */
void search_begin_repeat(void);
/* The first `free_count` answers cost nothing; 0 is what an undisturbed execution does. */
unsigned search_choose(enum model_choice kind, unsigned free_count, unsigned costly_count);
/* What a seeded search wants of `count` threads; the first is the current one if it can go on. */
unsigned search_prefer(struct model_thread *const *threads, unsigned count, bool current_first);
unsigned search_answer(unsigned wanted, unsigned free_count, unsigned costly_count);

/* run.c */
bool run_execution(void); /* false: it failed, as engine.failure says */
_Noreturn void run_fail(const char *format, ...) WHORL_PRINTF(1, 2);
void run_point(void); /* before an operation: others may run first */
bool run_prepare(const struct model *model, enum model_mode mode);
void run_release(void);

/* memory.c */
void memory_reset(void);
void memory_thread_start(struct model_thread *thread);
void memory_join_all(struct model_thread *thread);
struct model_location *memory_locate(const struct whorl__site *site, const void *field,
                                     unsigned bytes);
bool memory_flush_some(void); /* a store of any buffer; false: all are empty */
void memory_flush_all(struct model_thread *thread);
void memory_show(struct model_thread *thread); /* its buffer, in front of memory */
void memory_hide(struct model_thread *thread);

/* race.c */
void race_check_atomic(const struct whorl__site *site, struct model_location *location);
void race_check_free(const char *block, size_t bytes);
void race_end_copies(bool kept); /* the current thread's, by a compare-and-swap */

/* heap.c */
void heap_reset(void);
void heap_check_access(const struct whorl__site *site, const void *address, unsigned bytes);
void heap_check_leaks(void);
/* "block 3 + 8", "state + 16"; false: neither. */
bool heap_describe(uint64_t address, char *ret_text, size_t bytes_max);

/* sites.c */
void sites_number(void);
const char *sites_order_name(unsigned order);
const char *sites_op_name(unsigned op);
const char *sites_short_file(const char *file);
void sites_list(void);
bool sites_weaken(const char *text); /* KEY or KEY:KIND; false, with a message: no such thing */
bool sites_mutant_reached(void);

/* trace.c */
enum model_mark {
    MODEL_MARK_NONE,
    MODEL_MARK_STALE,
    MODEL_MARK_BUFFERED,
    MODEL_MARK_FORWARDED,
    MODEL_MARK_FAILED,
    MODEL_MARK_INSERTED
};
void trace_reset(void);
void trace_operation(const struct whorl__site *site, const struct model_location *location,
                     uint64_t read, uint64_t written, enum model_mark mark, unsigned detail);
void trace_flush(const struct model_thread *owner, const struct model_location *location,
                 uint64_t value);
void trace_text(const char *text);
void trace_print(void);
void trace_forget_names(void);
bool trace_name(const void *address, char *ret_text, size_t bytes_max);

/* outcomes.c */
void outcomes_reset(void);
const char *outcomes_missing(size_t *ret_length);

/* os.c */
void os_reset(void);

#endif
