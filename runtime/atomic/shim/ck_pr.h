/*
 * ck_pr.h - a replacement of ConcurrencyKit's header of this name, standing on atomic.h.
 *
 * Put runtime/atomic/shim before the system's folders on the include path, and the system's
 * <ck_ring.h> and <ck_stack.h> compile unchanged over whatever back end atomic.h has: the built-ins
 * that ThreadSanitizer understands, or a simulated machine.
 *
 * Owns:       nothing.
 * Threads:    any.
 * Invariant:  as faithful as it can be: an access here is relaxed and a fence is a fence, so a
 *             missing fence in ck stays missing. ThreadSanitizer ignores fences; for it alone loads
 *             acquire and stores release. Read-modify-writes are acquire and release, stronger
 *             than ck's own outside x86, for atomic.h has no weaker ones; but under the model
 *             checker they are relaxed. There all of these are macros, so that the checker sees
 *             the lines of ck's own headers. And there a store fence is nothing: it orders stores
 *             alone, for which C11 has no fence, and whorl may not lean on it.
 * Not chosen: CK_USE_CC_BUILTINS. Its loads and stores are plain volatile accesses, which
 *             ThreadSanitizer takes for races.
 */
#ifndef CK_PR_H
#define CK_PR_H

#define WHORL_ATOMIC_CK_PR_SHIM 1

#include "atomic/atomic.h"

#include <ck_cc.h>
#include <ck_limits.h>
#include <ck_md.h>
#include <ck_stdbool.h>
#include <ck_stdint.h>

#if defined(WHORL__MODEL)

#define ck_pr_load_ptr(field)                whorl__load_relaxed_ptr((void *const *)(field))
#define ck_pr_store_ptr(field, value)        whorl__store_relaxed_ptr((void **)(field), value)
#define ck_pr_store_ptr_unsafe               ck_pr_store_ptr
#define ck_pr_fas_ptr(field, value)          whorl__swap_weak_ptr((void **)(field), value)
#define ck_pr_cas_ptr(field, e, d)           whorl__cas_weak_ptr((void **)(field), e, d)
#define ck_pr_load_uint(field)               whorl__load_relaxed_u32(field)
#define ck_pr_store_uint(field, value)       whorl__store_relaxed_u32(field, value)
#define ck_pr_cas_uint(field, e, d)          whorl__cas_weak_u32(field, e, d)
#define ck_pr_fence_load()                   whorl__fence_acquire()
#define ck_pr_fence_store()                  ((void)0)
#define ck_pr_fence_store_atomic()           ((void)0)
#define ck_pr_fence_load_store()             whorl__fence_load_store()
#define ck_pr_fence_store_load()             whorl__fence_full()
#define ck_pr_fence_memory()                 whorl__fence_full()
#define ck_pr_fence_acquire()                whorl__fence_acquire()
#define ck_pr_fence_release()                whorl__fence_release()
#define ck_pr_stall()                        whorl__pause()
#define ck_pr_barrier()                      __asm__ __volatile__("" : : : "memory")

#define ck_pr_cas_ptr_value(field, e, d, ret_found)                                                \
    (__extension__({                                                                               \
        void *shim_expected = (e);                                                                 \
        const bool shim_swapped =                                                                  \
            whorl__cas_weak_value_ptr((void **)(field), &shim_expected, d);                        \
        *(void **)(ret_found) = shim_expected;                                                     \
        shim_swapped;                                                                              \
    }))
#define ck_pr_cas_uint_value(field, e, d, ret_found)                                               \
    (__extension__({                                                                               \
        unsigned shim_expected = (e);                                                              \
        const bool shim_swapped = whorl__cas_weak_value_u32(field, &shim_expected, d);             \
        *(ret_found) = shim_expected;                                                              \
        shim_swapped;                                                                              \
    }))

#else

#if defined(WHORL_TSAN)
#    define WHORL__SHIM_LOAD(X)  whorl__load_acquire_##X
#    define WHORL__SHIM_STORE(X) whorl__store_release_##X
#else
#    define WHORL__SHIM_LOAD(X)  whorl__load_relaxed_##X
#    define WHORL__SHIM_STORE(X) whorl__store_relaxed_##X
#endif

/* ---- pointers; ck passes the address of a pointer of any type as a plain void * ---- */

CK_CC_INLINE static void *ck_pr_load_ptr(const void *field)
{
    return WHORL__SHIM_LOAD(ptr)((void *const *)field);
}

CK_CC_INLINE static void ck_pr_store_ptr(void *field, const void *value)
{
    WHORL__SHIM_STORE(ptr)((void **)field, CK_CC_DECONST_PTR(value));
}

#define ck_pr_store_ptr_unsafe ck_pr_store_ptr

CK_CC_INLINE static void *ck_pr_fas_ptr(void *field, void *value)
{
    return whorl__swap_ptr((void **)field, value);
}

CK_CC_INLINE static bool ck_pr_cas_ptr_value(void *field, void *expected, void *desired,
                                             void *ret_found)
{
    const bool swapped = whorl__cas_value_ptr((void **)field, &expected, desired);
    *(void **)ret_found = expected;
    return swapped;
}

CK_CC_INLINE static bool ck_pr_cas_ptr(void *field, void *expected, void *desired)
{
    return whorl__cas_ptr((void **)field, expected, desired);
}

/* ---- unsigned int ---- */

CK_CC_INLINE static unsigned int ck_pr_load_uint(const unsigned int *field)
{
    return WHORL__SHIM_LOAD(u32)(field);
}

CK_CC_INLINE static void ck_pr_store_uint(unsigned int *field, unsigned int value)
{
    WHORL__SHIM_STORE(u32)(field, value);
}

CK_CC_INLINE static bool ck_pr_cas_uint_value(unsigned int *field, unsigned int expected,
                                              unsigned int desired, unsigned int *ret_found)
{
    const bool swapped = whorl__cas_value_u32(field, &expected, desired);
    *ret_found = expected;
    return swapped;
}

CK_CC_INLINE static bool ck_pr_cas_uint(unsigned int *field, unsigned int expected,
                                        unsigned int desired)
{
    return whorl__cas_u32(field, expected, desired);
}

/* ---- fences ---- */

#define WHORL__SHIM_FENCE(NAME, FENCE)                                                             \
    CK_CC_INLINE static void ck_pr_fence_##NAME(void)                                              \
    {                                                                                              \
        FENCE();                                                                                   \
    }

WHORL__SHIM_FENCE(load, whorl__fence_acquire)
WHORL__SHIM_FENCE(store, whorl__fence_release)
WHORL__SHIM_FENCE(store_atomic, whorl__fence_release)
WHORL__SHIM_FENCE(load_store, whorl__fence_load_store)
WHORL__SHIM_FENCE(store_load, whorl__fence_full)
WHORL__SHIM_FENCE(memory, whorl__fence_full)
WHORL__SHIM_FENCE(acquire, whorl__fence_acquire)
WHORL__SHIM_FENCE(release, whorl__fence_release)
#undef WHORL__SHIM_FENCE

CK_CC_INLINE static void ck_pr_stall(void)
{
    whorl__pause();
}

CK_CC_INLINE static void ck_pr_barrier(void)
{
    __asm__ __volatile__("" : : : "memory");
}

#undef WHORL__SHIM_LOAD
#undef WHORL__SHIM_STORE

#endif /* !WHORL__MODEL */

#endif
