/*
 * An arena: memory for everything that lives as long as one piece of work (one
 * user's sync, one answer of the replica). Allocation is a pointer bump, release is
 * one call for all. Not thread-safe: an arena belongs to one thread at a time.
 * Running out of memory ends the process with a message (no caller can do better).
 */
#ifndef FANSYNC_ARENA_H
#define FANSYNC_ARENA_H

#include <stddef.h>
#include "fansync/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    char *next;
    char *end;
};

#define ARENA_INIT { NULL, NULL, NULL }

/* n zeroed bytes, aligned for any object; valid until arena_free or arena_reset. */
void *arena_alloc(struct arena *a, size_t n);

/* n zeroed objects of size bytes; ends the process when n * size overflows. */
void *arena_array(struct arena *a, size_t n, size_t size);

/* Room for one more element in an array that grows in the arena: if (n == *cap) doubles
 * *cap and copies. Returns the (possibly moved) array; the old one is waste until reset. */
void *arena_grow(struct arena *a, void *array, size_t n, size_t *cap, size_t size);

/* A copy of the bytes, followed by a NUL that is not counted. */
struct slice arena_dup(struct arena *a, struct slice s);
struct slice arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* arena_reset keeps one chunk for reuse, arena_free keeps nothing; both leave an
 * empty, usable arena. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

/* Bytes handed out and not yet reset: what a bound on memory is checked against. */
size_t arena_used(const struct arena *a);

#endif
