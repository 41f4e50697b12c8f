/*
 * map.h - which value each key has: what a context word leads to. Never written once it is seen.
 *
 * Owns:       struct whorl__map, struct whorl__owner.
 * Threads:    any; what is counted is counted atomically, the rest is constant.
 * Invariant:  bindings stand in the order of their keys' addresses, one a key. A value with
 *             `destroy` has an owner, which counts the maps and tokens it is in, and goes with the
 *             last of them.
 * Not chosen: a hash array mapped trie, as CPython has: it is faster from some tens of keys on.
 */
#ifndef WHORL_TASK_MAP_H
#define WHORL_TASK_MAP_H

#include "atomic/atomic.h"
#include "whorl.h"

struct whorl__owner {
    uint32_t references;          /* A: maps and tokens that have the value */
    void (*destroy)(void *value); /* C */
    void *value;                  /* C */
};

struct whorl__binding {
    const struct whorl_local *key;
    void *value;
    struct whorl__owner *owner; /* NULL: nobody minds what becomes of the value */
};

struct whorl__map {
    uint32_t references; /* A */
    uint32_t count;      /* C, and so is all that follows */
    bool owns;           /* some binding has an owner */
    struct whorl__binding of[];
};

/* Owners and maps may be NULL: then there is nothing to count. */
void whorl__owner_ref(struct whorl__owner *owner);
void whorl__owner_unref(struct whorl__owner *owner);
void whorl__map_ref(struct whorl__map *map, uint32_t more);
void whorl__map_unref(struct whorl__map *map, uint32_t fewer);

/* NULL, for a key whose values nobody destroys. 0 or -ENOMEM. */
WHORL_MUST_USE int whorl__owner_make(const struct whorl_local *key, void *value,
                                     struct whorl__owner **ret_owner);

/* NULL: the key has no value there. */
const struct whorl__binding *whorl__map_find(const struct whorl__map *map,
                                             const struct whorl_local *key);

/* `old` with the binding, or, if that has no key, without `key`; NULL: out of memory. */
struct whorl__map *whorl__map_with(const struct whorl__map *old, const struct whorl_local *key,
                                   const struct whorl__binding *binding);

#endif
