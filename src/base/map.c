/*
 * The hash table of fansync/map.h: linear probing over a power of two, at most two
 * thirds full. Entries are never removed.
 */
#include "fansync/map.h"

#include <stdint.h>
#include <stdlib.h>

#include "fansync/hash.h"
#include "fansync/mem.h"

struct map_slot {
    struct slice key;
    uint64_t hash;
    void *value; /* NULL: empty */
};

static struct map_slot *find(const struct map *m, struct slice key, uint64_t hash)
{
    size_t i = (size_t)hash & (m->cap - 1);
    for (;; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (!s->value || (s->hash == hash && slice_eq(s->key, key)))
            return s;
    }
}

void *map_get(const struct map *m, struct slice key)
{
    return m->cap ? find(m, key, hash_bytes(0, key))->value : NULL;
}

static void grow(struct map *m)
{
    struct map bigger = { NULL, m->cap ? m->cap * 2 : 16, m->n };
    bigger.slots = mem_array(bigger.cap, sizeof *bigger.slots);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value)
            *find(&bigger, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    *m = bigger;
}

bool map_put(struct map *m, struct slice key, void *value)
{
    if (m->n * 3 >= m->cap * 2)
        grow(m);
    uint64_t hash = hash_bytes(0, key);
    struct map_slot *s = find(m, key, hash);
    bool is_new = !s->value;
    if (is_new) {
        s->key = key;
        s->hash = hash;
        m->n++;
    }
    s->value = value;
    return is_new;
}

void map_each(const struct map *m, void (*fn)(void *ctx, struct slice key, void *value), void *ctx)
{
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value)
            fn(ctx, m->slots[i].key, m->slots[i].value);
}

void map_free(struct map *m)
{
    free(m->slots);
    *m = (struct map)MAP_INIT;
}
