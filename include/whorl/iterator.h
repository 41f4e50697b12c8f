/*
 * iterator.h - something that gives one item a call, whatever it is made of.
 *
 *      void *item;
 *      int error;
 *      while ((error = whorl_iterator_next(items, &item)) == 0) {
 *          use(item);
 *      }
 *      if (error != -ENODATA) ...                       // it failed; -ENODATA is only the end
 *
 * A generator is one (generator.h: whorl_generator_iterator). A program makes its own by a struct
 * that begins with a struct whorl_iterator.
 */
#ifndef WHORL_ITERATOR_H
#define WHORL_ITERATOR_H

#include "whorl/api.h"

#include <stdint.h>

WHORL_BEGIN

/* Filled by who makes it; reserved words: as in struct whorl_options. */
struct whorl_iterator {
    /* Gives the next item; may wait. 0, or -ENODATA once there are no more, or -errno. */
    int (*next)(struct whorl_iterator *self, void **ret_item);
    /* No more items are wanted; may wait. 0 or -errno. NULL: there is nothing to do. */
    int (*close)(struct whorl_iterator *self);
    uint64_t reserved[2]; /* 0 */
};

/*
 * whorl_iterator_next - the next item.
 *
 *   ret_item  written on success only; may be NULL
 *
 * Returns 0, -ENODATA (there are no more), -EINVAL (it is NULL, or has no next), or what the
 * iterator's own function returns.
 *
 * From:    as the iterator says         Thread-safe: as the iterator says
 * Waits:   as the iterator says         Cancellation point: if it waits
 * Allocates: as the iterator says
 * Model:   anext, __anext__; -ENODATA is StopAsyncIteration
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_iterator_next(struct whorl_iterator *iterator,
                                                    void **ret_item);

/*
 * whorl_iterator_close - no more items are wanted. Returns 0, or what its own function returns.
 *
 * From:    as the iterator says         Thread-safe: as the iterator says
 * Waits:   as the iterator says         Cancellation point: if it waits
 * Allocates: as the iterator says
 * Model:   aclose
 * Since:   0.1, stable                  Source: runtime/task/generator.c
 */
WHORL_API int whorl_iterator_close(struct whorl_iterator *iterator);

WHORL_END

#endif
