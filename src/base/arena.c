/*
 * The bump allocator of fansync/arena.h: a list of chunks, the newest first. Chunks
 * double in size up to a limit, so that a small piece of work stays small and a large
 * one needs few of them.
 */
#include "fansync/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fansync/mem.h"

enum { FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* of data */
    alignas(max_align_t) char data[];
};

static void add_chunk(struct arena *a, size_t need)
{
    size_t size = a->chunks ? a->chunks->size * 2 : FIRST_CHUNK;
    if (size > LARGEST_CHUNK)
        size = LARGEST_CHUNK;
    if (size < need)
        size = need;
    if (size > SIZE_MAX - sizeof(struct arena_chunk))
        mem_overflow();
    struct arena_chunk *c = malloc(sizeof *c + size);
    if (!c)
        mem_overflow();
    c->older = a->chunks;
    c->size = size;
    a->chunks = c;
    a->next = c->data;
    a->end = c->data + size;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    if (n > SIZE_MAX - align)
        mem_overflow();
    n = (n + align - 1) / align * align;
    if ((size_t)(a->end - a->next) < n || !a->chunks)
        add_chunk(a, n);
    void *p = a->next;
    a->next += n;
    return memset(p, 0, n);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        mem_overflow();
    return arena_alloc(a, bytes);
}

void *arena_grow(struct arena *a, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t want = *cap ? *cap * 2 : 8;
    void *bigger = arena_array(a, want, size);
    if (n)
        memcpy(bigger, array, n * size);
    *cap = want;
    return bigger;
}

struct slice arena_dup(struct arena *a, struct slice s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    return slice_of(p, s.n);
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    size_t len = n > 0 ? (size_t)n : 0;
    char *p = arena_alloc(a, len + 1);
    vsnprintf(p, len + 1, fmt, again);
    va_end(again);
    return slice_of(p, len);
}

static void free_chunks(struct arena_chunk *c)
{
    while (c) {
        struct arena_chunk *older = c->older;
        free(c);
        c = older;
    }
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = a->chunks;
    if (!keep)
        return;
    free_chunks(keep->older);
    keep->older = NULL;
    a->next = keep->data;
    a->end = keep->data + keep->size;
}

void arena_free(struct arena *a)
{
    free_chunks(a->chunks);
    *a = (struct arena)ARENA_INIT;
}

size_t arena_used(const struct arena *a)
{
    size_t n = 0;
    for (const struct arena_chunk *c = a->chunks; c; c = c->older)
        n += c->size;
    return n - (size_t)(a->end - a->next);
}
