/*
 * instrument.h - what the sanitizers and valgrind are told about fibers; nothing in a plain build.
 *
 * Owns:       struct whorl__instrument, the tools' handles inside a fiber.
 * Threads:    whoever runs or owns the fiber at the moment.
 * Invariant:  leave() is the last thing before the stack is changed, arrive() the first after.
 *             A fiber that never ran has no TSan fiber: destroying one that never ran crashes.
 *             The handles live as long as the suspended context, over many tasks; gcc's TSan dies
 *             above 8128 of them, so they are made at the first switch and freed with the context.
 * Not chosen: TSan's no_sync flag. What the fibers of one loop do is ordered by their thread, and
 *             without that order every plain field of the loop would be reported.
 */
#ifndef WHORL_FIBER_INSTRUMENT_H
#define WHORL_FIBER_INSTRUMENT_H

#include "base/compiler.h"

#if defined(WHORL_ASAN)
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#    include <sanitizer/lsan_interface.h>
#endif
#if defined(WHORL_TSAN)
#    include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#    include <valgrind/valgrind.h>
#else
#    define VALGRIND_STACK_REGISTER(low, high) 0U
#    define VALGRIND_STACK_DEREGISTER(id)      ((void)(id))
#    define RUNNING_ON_VALGRIND                0
#endif

struct whorl__instrument {
    unsigned valgrind_id; /* C: of the stack */
#if defined(WHORL_ASAN)
    void *fake_stack;     /* R: ASan's shadow frames while the fiber is suspended */
    const void *asan_low; /* C: the stack's bounds as ASan is told them */
    size_t asan_bytes;    /* C */
#endif
#if defined(WHORL_TSAN)
    void *tsan; /* R: NULL until the first switch to the fiber */
#endif
};

#if defined(WHORL_ASAN)

/*
 * The bounds of the stack that the caller is on, which need not be its thread's own: a simulated
 * thread is a fiber. ASan knows them and tells them to who arrives from there, so it is told of a
 * visit to nowhere, which never happens.
 */
__attribute__((no_sanitize_address)) static inline void
whorl__asan_host(struct whorl__instrument *host)
{
    void *mine = NULL;
    char nowhere = 0;
    __sanitizer_start_switch_fiber(&mine, &nowhere, sizeof nowhere);
    __sanitizer_finish_switch_fiber(NULL, &host->asan_low, &host->asan_bytes);
    __sanitizer_start_switch_fiber(NULL, host->asan_low, host->asan_bytes);
    __sanitizer_finish_switch_fiber(mine, NULL, NULL);
    host->fake_stack = NULL;
}

static inline void whorl__asan_stack(struct whorl__instrument *fiber, void *low, size_t bytes)
{
    fiber->fake_stack = NULL;
    fiber->asan_low = low;
    fiber->asan_bytes = bytes;
    __lsan_register_root_region(low, bytes); /* what only a parked task points to is no leak */
}

static inline void whorl__asan_leave(struct whorl__instrument *from,
                                     const struct whorl__instrument *to)
{
    __sanitizer_start_switch_fiber(&from->fake_stack, to->asan_low, to->asan_bytes);
}

static inline void whorl__asan_arrive(struct whorl__instrument *self)
{
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
}

/*
 * Frees the fake stack of a context that is dropped half-way through its entry. ASan frees one only
 * when it is left for good, so it is told of a visit to the fiber which never happens.
 */
__attribute__((no_sanitize_address)) static inline void
whorl__asan_reset(struct whorl__instrument *fiber)
{
    void *mine = NULL;
    const void *my_low = NULL;
    size_t my_bytes = 0;
    __sanitizer_start_switch_fiber(&mine, fiber->asan_low, fiber->asan_bytes);
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &my_low, &my_bytes);
    __sanitizer_start_switch_fiber(NULL, my_low, my_bytes);
    __sanitizer_finish_switch_fiber(mine, NULL, NULL);
    fiber->fake_stack = NULL;
    __asan_unpoison_memory_region(fiber->asan_low, fiber->asan_bytes);
}

static inline void whorl__asan_unmap(struct whorl__instrument *fiber)
{
    __lsan_unregister_root_region(fiber->asan_low, fiber->asan_bytes);
}

#else

static inline void whorl__asan_host(struct whorl__instrument *host)
{
    (void)host;
}

static inline void whorl__asan_stack(struct whorl__instrument *fiber, void *low, size_t bytes)
{
    (void)fiber, (void)low, (void)bytes;
}

static inline void whorl__asan_leave(struct whorl__instrument *from,
                                     const struct whorl__instrument *to)
{
    (void)from, (void)to;
}

static inline void whorl__asan_arrive(struct whorl__instrument *self)
{
    (void)self;
}

static inline void whorl__asan_reset(struct whorl__instrument *fiber)
{
    (void)fiber;
}

static inline void whorl__asan_unmap(struct whorl__instrument *fiber)
{
    (void)fiber;
}

#endif

#if defined(WHORL_TSAN)

static inline void whorl__tsan_host(struct whorl__instrument *host)
{
    host->tsan = __tsan_get_current_fiber();
}

WHORL_ALWAYS_INLINE void whorl__tsan_leave(struct whorl__instrument *to)
{
    if (to->tsan == NULL) {
        to->tsan = __tsan_create_fiber(0);
    }
    __tsan_switch_to_fiber(to->tsan, 0);
}

static inline void whorl__tsan_reset(struct whorl__instrument *fiber)
{
    if (fiber->tsan != NULL) {
        __tsan_destroy_fiber(fiber->tsan);
        fiber->tsan = NULL;
    }
}

#else

static inline void whorl__tsan_host(struct whorl__instrument *host)
{
    (void)host;
}

WHORL_ALWAYS_INLINE void whorl__tsan_leave(struct whorl__instrument *to)
{
    (void)to;
}

static inline void whorl__tsan_reset(struct whorl__instrument *fiber)
{
    (void)fiber;
}

#endif

/* The context that runs now is about to be left: a thread's own, or what stands in for one. */
static inline void whorl__instrument_host(struct whorl__instrument *host)
{
    whorl__asan_host(host);
    whorl__tsan_host(host);
}

/* A stack was mapped for a fiber; `fiber` is zeroed memory. */
static inline void whorl__instrument_stack(struct whorl__instrument *fiber, char *low, size_t bytes)
{
    fiber->valgrind_id = VALGRIND_STACK_REGISTER(low, low + bytes);
    whorl__asan_stack(fiber, low, bytes);
}

WHORL_ALWAYS_INLINE void whorl__instrument_leave(struct whorl__instrument *from,
                                           struct whorl__instrument *to)
{
    whorl__asan_leave(from, to);
    whorl__tsan_leave(to);
}

static inline void whorl__instrument_arrive(struct whorl__instrument *self)
{
    whorl__asan_arrive(self);
}

/* The suspended context of `fiber` is dropped; its stack stays. */
static inline void whorl__instrument_reset(struct whorl__instrument *fiber)
{
    whorl__asan_reset(fiber);
    whorl__tsan_reset(fiber);
}

/* The stack is about to be unmapped; the context was reset before. */
static inline void whorl__instrument_unmap(struct whorl__instrument *fiber)
{
    VALGRIND_STACK_DEREGISTER(fiber->valgrind_id);
    whorl__asan_unmap(fiber);
}

#endif
