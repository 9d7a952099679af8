/*
 * The hash table of fansync/map.h: linear probing over a power of two, at most two
 * thirds full. Entries are never removed.
 */
#include "fansync/map.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

#include "fansync/mem.h"

struct map_slot {
    struct slice key;
    uint64_t hash;
    void *value; /* NULL: empty */
};

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed[0] = (uint64_t)(uintptr_t)&seed; /* address space layout is random enough */
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 m = (u128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash_of(struct slice key)
{
    uint64_t h = seed[0] ^ key.n;
    const char *p = key.p;
    size_t n = key.n;
    while (n) {
        uint64_t w = 0;
        size_t take = n < sizeof w ? n : sizeof w;
        memcpy(&w, p, take);
        h = mix(h ^ w, seed[1] | 0x9e3779b97f4a7c15u);
        p += take;
        n -= take;
    }
    return mix(h, 0xbf58476d1ce4e5b9u);
}

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
    return m->cap ? find(m, key, hash_of(key))->value : NULL;
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
    pthread_once(&seed_once, make_seed);
    if (m->n * 3 >= m->cap * 2)
        grow(m);
    uint64_t hash = hash_of(key);
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
