/*
 * atomic_model.h - the third back end of atomic.h: every operation is a call into a model checker.
 *
 * Chosen by WHORL_ATOMIC_BACKEND='"atomic/atomic_model.h"'. The checker is tests/model/engine; it
 * switches threads at each of these calls, and answers them as a machine with a weak memory might.
 *
 * Owns:       struct whorl__site, one static record for each place in the source that calls an
 *             operation, gathered by the linker in the section whorl_sites.
 * Threads:    the checker's, which are fibers of one thread of the system.
 * Invariant:  the operations are macros, so that a record names the line of the caller, and one
 *             place can be weakened while the program runs, without compiling it anew.
 *             ck's own swap and compare-and-swap have no order here, as on the processors where
 *             ck_pr gives them none; atomic/shim/ck_pr.h maps them to the _weak forms.
 * Not chosen: one record an operation, found by return address: inlining would merge them.
 */
#ifndef WHORL_ATOMIC_ATOMIC_MODEL_H
#define WHORL_ATOMIC_ATOMIC_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHORL__MODEL 1

enum whorl__site_op {
    WHORL__OP_LOAD,
    WHORL__OP_STORE,
    WHORL__OP_CAS,
    WHORL__OP_SWAP,
    WHORL__OP_ADD,
    WHORL__OP_OR,
    WHORL__OP_AND,
    WHORL__OP_FENCE,
    WHORL__OP_PLAIN_READ,
    WHORL__OP_PLAIN_WRITE,
    WHORL__OP_PLAIN_COPY,
};

/* The bits say what is ordered: acquire 1, release 2, and 4 for store before load. */
enum whorl__site_order {
    WHORL__ORDER_RELAXED = 0,
    WHORL__ORDER_ACQUIRE = 1,
    WHORL__ORDER_RELEASE = 2,
    WHORL__ORDER_ACQ_REL = 3,
    WHORL__ORDER_FULL = 7,
};

struct whorl__site {
    const char *file;     /* C */
    const char *function; /* C */
    const char *field;    /* C: the text of the argument */
    int line;             /* C */
    uint8_t op;           /* C */
    uint8_t order;        /* C: as written */
    uint8_t weakened;     /* 1 + the order it is run with instead; 0 = as written */
    uint8_t statistic;    /* C: no place to switch threads */
    uint32_t reached;     /* how often it was executed */
    uint32_t number;      /* the checker's */
};

#define WHORL__SITE_OF(OP, ORDER, TEXT, STATISTIC)                                                 \
    (__extension__({                                                                               \
        static struct whorl__site whorl__site_here                                                 \
            __attribute__((used, section("whorl_sites"), aligned(8))) = {                          \
                __FILE__, __func__,  TEXT, __LINE__, WHORL__OP_##OP, WHORL__ORDER_##ORDER,         \
                0,        STATISTIC, 0,    0};                                                     \
        &whorl__site_here;                                                                         \
    }))
#define WHORL__SITE(OP, ORDER, TEXT) WHORL__SITE_OF(OP, ORDER, TEXT, 0)

/* ---- the checker ---- */

uint64_t whorl__model_load(struct whorl__site *site, const void *field, unsigned bytes);
void whorl__model_store(struct whorl__site *site, void *field, unsigned bytes, uint64_t value);
uint64_t whorl__model_rmw(struct whorl__site *site, void *field, unsigned bytes, uint64_t operand);
bool whorl__model_cas(struct whorl__site *site, void *field, unsigned bytes, uint64_t *expected,
                      uint64_t desired);
void whorl__model_fence(struct whorl__site *site);
void whorl__model_pause(void);
void whorl__model_plain(struct whorl__site *site, const volatile void *field, unsigned bytes);

#define WHORL__DEFINE_MODEL(T, X)                                                                  \
    static inline T whorl__model_load_##X(struct whorl__site *site, T const *field)                \
    {                                                                                              \
        return (T)(uintptr_t)whorl__model_load(site, field, sizeof(T));                            \
    }                                                                                              \
    static inline void whorl__model_store_##X(struct whorl__site *site, T *field, T value)         \
    {                                                                                              \
        whorl__model_store(site, field, sizeof(T), (uint64_t)(uintptr_t)value);                    \
    }                                                                                              \
    static inline T whorl__model_rmw_##X(struct whorl__site *site, T *field, T operand)            \
    {                                                                                              \
        return (T)(uintptr_t)whorl__model_rmw(site, field, sizeof(T),                              \
                                              (uint64_t)(uintptr_t)operand);                       \
    }                                                                                              \
    static inline bool whorl__model_cas_value_##X(struct whorl__site *site, T *field, T *expected, \
                                                  T desired)                                       \
    {                                                                                              \
        uint64_t found = (uint64_t)(uintptr_t)*expected;                                           \
        const bool swapped =                                                                       \
            whorl__model_cas(site, field, sizeof(T), &found, (uint64_t)(uintptr_t)desired);        \
        *expected = (T)(uintptr_t)found;                                                           \
        return swapped;                                                                            \
    }                                                                                              \
    static inline bool whorl__model_cas_##X(struct whorl__site *site, T *field, T expected,        \
                                            T desired)                                             \
    {                                                                                              \
        return whorl__model_cas_value_##X(site, field, &expected, desired);                        \
    }

WHORL__DEFINE_MODEL(uint32_t, u32)
WHORL__DEFINE_MODEL(uint64_t, u64)
WHORL__DEFINE_MODEL(void *, ptr)
#undef WHORL__DEFINE_MODEL

/* ---- the operations ---- */

#define whorl__load_relaxed_u32(f)     whorl__model_load_u32(WHORL__SITE(LOAD, RELAXED, #f), f)
#define whorl__load_relaxed_u64(f)     whorl__model_load_u64(WHORL__SITE(LOAD, RELAXED, #f), f)
#define whorl__load_relaxed_ptr(f)     whorl__model_load_ptr(WHORL__SITE(LOAD, RELAXED, #f), f)
#define whorl__load_acquire_u32(f)     whorl__model_load_u32(WHORL__SITE(LOAD, ACQUIRE, #f), f)
#define whorl__load_acquire_u64(f)     whorl__model_load_u64(WHORL__SITE(LOAD, ACQUIRE, #f), f)
#define whorl__load_acquire_ptr(f)     whorl__model_load_ptr(WHORL__SITE(LOAD, ACQUIRE, #f), f)

#define whorl__store_relaxed_u32(f, v) whorl__model_store_u32(WHORL__SITE(STORE, RELAXED, #f), f, v)
#define whorl__store_relaxed_u64(f, v) whorl__model_store_u64(WHORL__SITE(STORE, RELAXED, #f), f, v)
#define whorl__store_relaxed_ptr(f, v) whorl__model_store_ptr(WHORL__SITE(STORE, RELAXED, #f), f, v)
#define whorl__store_release_u32(f, v) whorl__model_store_u32(WHORL__SITE(STORE, RELEASE, #f), f, v)
#define whorl__store_release_u64(f, v) whorl__model_store_u64(WHORL__SITE(STORE, RELEASE, #f), f, v)
#define whorl__store_release_ptr(f, v) whorl__model_store_ptr(WHORL__SITE(STORE, RELEASE, #f), f, v)

#define whorl__swap_u32(f, v)          whorl__model_rmw_u32(WHORL__SITE(SWAP, ACQ_REL, #f), f, v)
#define whorl__swap_u64(f, v)          whorl__model_rmw_u64(WHORL__SITE(SWAP, ACQ_REL, #f), f, v)
#define whorl__swap_ptr(f, v)          whorl__model_rmw_ptr(WHORL__SITE(SWAP, ACQ_REL, #f), f, v)
#define whorl__swap_weak_ptr(f, v)     whorl__model_rmw_ptr(WHORL__SITE(SWAP, RELAXED, #f), f, v)

#define whorl__add_u32(f, v)           whorl__model_rmw_u32(WHORL__SITE(ADD, ACQ_REL, #f), f, v)
#define whorl__add_u64(f, v)           whorl__model_rmw_u64(WHORL__SITE(ADD, ACQ_REL, #f), f, v)
#define whorl__add_relaxed_u32(f, v)                                                               \
    ((void)whorl__model_rmw_u32(WHORL__SITE_OF(ADD, RELAXED, #f, 1), f, v))
#define whorl__add_relaxed_u64(f, v)                                                               \
    ((void)whorl__model_rmw_u64(WHORL__SITE_OF(ADD, RELAXED, #f, 1), f, v))

/* atomic.h builds these out of others; here each call of them is one operation with its own site */
#define whorl__or_u32(f, v)  whorl__model_rmw_u32(WHORL__SITE(OR, ACQ_REL, #f), f, v)
#define whorl__or_u64(f, v)  whorl__model_rmw_u64(WHORL__SITE(OR, ACQ_REL, #f), f, v)
#define whorl__and_u32(f, v) whorl__model_rmw_u32(WHORL__SITE(AND, ACQ_REL, #f), f, v)
#define whorl__and_u64(f, v) whorl__model_rmw_u64(WHORL__SITE(AND, ACQ_REL, #f), f, v)

#define whorl__cas_value_u32(f, e, d)                                                              \
    whorl__model_cas_value_u32(WHORL__SITE(CAS, ACQ_REL, #f), f, e, d)
#define whorl__cas_value_u64(f, e, d)                                                              \
    whorl__model_cas_value_u64(WHORL__SITE(CAS, ACQ_REL, #f), f, e, d)
#define whorl__cas_value_ptr(f, e, d)                                                              \
    whorl__model_cas_value_ptr(WHORL__SITE(CAS, ACQ_REL, #f), f, e, d)
#define whorl__cas_u32(f, e, d) whorl__model_cas_u32(WHORL__SITE(CAS, ACQ_REL, #f), f, e, d)
#define whorl__cas_u64(f, e, d) whorl__model_cas_u64(WHORL__SITE(CAS, ACQ_REL, #f), f, e, d)
#define whorl__cas_ptr(f, e, d) whorl__model_cas_ptr(WHORL__SITE(CAS, ACQ_REL, #f), f, e, d)

/* what ck's headers compile to, with the orders that ck itself gives outside x86: none */
#define whorl__cas_weak_value_u32(f, e, d)                                                         \
    whorl__model_cas_value_u32(WHORL__SITE(CAS, RELAXED, #f), f, e, d)
#define whorl__cas_weak_value_ptr(f, e, d)                                                         \
    whorl__model_cas_value_ptr(WHORL__SITE(CAS, RELAXED, #f), f, e, d)
#define whorl__cas_weak_u32(f, e, d) whorl__model_cas_u32(WHORL__SITE(CAS, RELAXED, #f), f, e, d)
#define whorl__cas_weak_ptr(f, e, d) whorl__model_cas_ptr(WHORL__SITE(CAS, RELAXED, #f), f, e, d)

#define whorl__fence_acquire()       whorl__model_fence(WHORL__SITE(FENCE, ACQUIRE, ""))
#define whorl__fence_release()       whorl__model_fence(WHORL__SITE(FENCE, RELEASE, ""))
#define whorl__fence_full()          whorl__model_fence(WHORL__SITE(FENCE, FULL, ""))
#define whorl__fence_after_rmw()     whorl__model_fence(WHORL__SITE(FENCE, FULL, ""))
/* The compiler's back end has nothing weaker than this for it either. */
#define whorl__fence_load_store()    whorl__model_fence(WHORL__SITE(FENCE, ACQ_REL, ""))

#define whorl__pause()               whorl__model_pause()

/* ---- plain accesses to shared fields ---- */

#define whorl__plain_read(f)                                                                       \
    whorl__model_plain(WHORL__SITE(PLAIN_READ, RELAXED, #f), f, sizeof(*(f)))
#define whorl__plain_write(f)                                                                      \
    whorl__model_plain(WHORL__SITE(PLAIN_WRITE, RELAXED, #f), f, sizeof(*(f)))
#define whorl__plain_copy(f)                                                                       \
    whorl__model_plain(WHORL__SITE(PLAIN_COPY, RELAXED, #f), f, sizeof(*(f)))

#endif
