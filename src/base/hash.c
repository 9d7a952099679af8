/*
 * The hash of fansync/hash.h: multiply and fold, eight bytes at a time.
 */
#include "fansync/hash.h"

#include <pthread.h>
#include <sys/random.h>

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

uint64_t hash_bytes(uint64_t begin, struct slice s)
{
    pthread_once(&seed_once, make_seed);
    uint64_t h = seed[0] ^ begin ^ s.n;
    const char *p = s.p;
    size_t n = s.n;
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
