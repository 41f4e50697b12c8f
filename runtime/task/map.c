/*
 * map.c - maps of keys and values: counted, looked up, made anew.
 *
 * Threads:    see map.h. The last reference frees: all that was done with a map happens before.
 */
#include "task/map.h"

#include "sys/os.h"

#include <errno.h>

/* ---- owners ---- */

void whorl__owner_ref(struct whorl__owner *owner)
{
    if (owner != NULL) {
        (void)whorl__add_u32(&owner->references, 1);
    }
}

void whorl__owner_unref(struct whorl__owner *owner)
{
    if (owner != NULL && whorl__add_u32(&owner->references, (uint32_t)-1) == 1) {
        whorl__plain_write(&owner->value); /* who still reads it races */
        owner->destroy(owner->value);
        whorl__os->free(owner);
    }
}

int whorl__owner_make(const struct whorl_local *key, void *value, struct whorl__owner **ret_owner)
{
    *ret_owner = NULL;
    if (key->destroy == NULL) {
        return 0;
    }
    struct whorl__owner *const owner = whorl__os->alloc(sizeof *owner);
    if (owner == NULL) {
        return -ENOMEM;
    }
    *owner = (struct whorl__owner){.references = 1, .destroy = key->destroy, .value = value};
    *ret_owner = owner;
    return 0;
}

/* ---- maps ---- */

static WHORL_COLD void map_free(struct whorl__map *map)
{
    whorl__plain_write(&map->count); /* who still reads it races */
    for (uint32_t i = 0; i < map->count; i++) {
        whorl__owner_unref(map->of[i].owner);
    }
    whorl__os->free(map);
}

void whorl__map_ref(struct whorl__map *map, uint32_t more)
{
    if (map != NULL) {
        (void)whorl__add_u32(&map->references, more);
    }
}

void whorl__map_unref(struct whorl__map *map, uint32_t fewer)
{
    if (map != NULL && whorl__add_u32(&map->references, -fewer) == fewer) {
        map_free(map);
    }
}

const struct whorl__binding *whorl__map_find(const struct whorl__map *map,
                                             const struct whorl_local *key)
{
    if (map != NULL) {
        whorl__plain_read(&map->count);
    }
    uint32_t low = 0;
    uint32_t high = map != NULL ? map->count : 0;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const struct whorl__binding *const binding = &map->of[middle];
        if (binding->key == key) {
            return binding;
        }
        if ((uintptr_t)binding->key < (uintptr_t)key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static void map_append(struct whorl__map *map, const struct whorl__binding *binding)
{
    whorl__owner_ref(binding->owner);
    map->owns |= binding->owner != NULL;
    map->of[map->count++] = *binding;
}

struct whorl__map *whorl__map_with(const struct whorl__map *old, const struct whorl_local *key,
                                   const struct whorl__binding *binding)
{
    const uint32_t count = old != NULL ? old->count : 0;
    struct whorl__map *const map = whorl__os->alloc(sizeof *map + (count + 1) * sizeof map->of[0]);
    if (map == NULL) {
        return NULL;
    }
    whorl__plain_write(&map->count);
    *map = (struct whorl__map){.references = 1};
    uint32_t next = 0;
    while (next < count && (uintptr_t)old->of[next].key < (uintptr_t)key) {
        map_append(map, &old->of[next++]);
    }
    next += next < count && old->of[next].key == key;
    if (binding->key != NULL) {
        map_append(map, binding);
    }
    while (next < count) {
        map_append(map, &old->of[next++]);
    }
    return map;
}
