/*
 * A hash table from bytes to a pointer (open addressing, grows, keeps no order).
 * Keys are borrowed: their bytes must outlive the table. One thread at a time.
 * The hash is seeded per process, so that names chosen by users cannot make it slow.
 */
#ifndef FANSYNC_MAP_H
#define FANSYNC_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include "fansync/slice.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t cap; /* power of two, or 0 */
    size_t n;
};

#define MAP_INIT { NULL, 0, 0 }

/* The value stored under key, or NULL. */
void *map_get(const struct map *m, struct slice key);
/* Stores value (not NULL) under key; true if the key was new, else the value is
 * replaced and the first key's bytes stay in use. */
bool map_put(struct map *m, struct slice key, void *value);
/* Calls fn for every entry, in no order; fn must not change the table. */
void map_each(const struct map *m, void (*fn)(void *ctx, struct slice key, void *value), void *ctx);
void map_free(struct map *m);

#endif
