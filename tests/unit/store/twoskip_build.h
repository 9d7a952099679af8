/*
 * A twoskip writer for tests (spec/store.md §3.3), small and slow: it makes the bytes that
 * Cyrus would, transaction by transaction, so that a test can also stop in the middle.
 */
#ifndef TEST_TWOSKIP_BUILD_H
#define TEST_TWOSKIP_BUILD_H

#include "../test.h"

#include "fansync/buf.h"
#include "fansync/guid.h"
#include "fansync/slice.h"

#define TS_DUMMY 64

struct twoskip {
    struct buf file;
    uint64_t count;
    uint64_t committed; /* size */
    int (*cmp)(struct slice, struct slice);
};

static inline char *ts_at(struct twoskip *t, uint64_t off)
{
    return t->file.data + off;
}

static inline void ts_put(char *p, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, v >>= 8)
        p[i] = (char)(v & 0xff);
}

static inline uint64_t ts_num(const char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

static inline void ts_header(struct twoskip *t, uint64_t current_size, uint32_t flags)
{
    char *p = ts_at(t, 0);
    memcpy(p, "\xa1\x02\x8b\x0dtwoskip file\0\0\0", 20);
    t->committed = current_size;
    ts_put(p + 20, 1, 4);
    ts_put(p + 24, 1, 8);
    ts_put(p + 32, t->count, 8);
    ts_put(p + 40, 336, 8);
    ts_put(p + 48, current_size, 8);
    ts_put(p + 56, flags, 4);
    ts_put(p + 60, crc32_add(0, p, 60), 4);
}

/* Short lengths only. */
static inline unsigned ts_level(struct twoskip *t, uint64_t off)
{
    return (unsigned char)*ts_at(t, off + 1);
}
static inline uint64_t ts_ptr(struct twoskip *t, uint64_t off, unsigned slot)
{
    return ts_num(ts_at(t, off + 8 + 8 * slot), 8);
}
static inline void ts_set_ptr(struct twoskip *t, uint64_t off, unsigned slot, uint64_t v)
{
    uint64_t crc_at = 8 + 8 * (ts_level(t, off) + 1);
    ts_put(ts_at(t, off + 8 + 8 * slot), v, 8);
    ts_put(ts_at(t, off + crc_at), crc32_add(0, ts_at(t, off), crc_at), 4);
}
static inline struct slice ts_key(struct twoskip *t, uint64_t off)
{
    return slice_of(ts_at(t, off + 8 + 8 * (ts_level(t, off) + 1) + 8), ts_num(ts_at(t, off + 2), 2));
}
static inline uint64_t ts_next(struct twoskip *t, uint64_t off)
{
    uint64_t a = ts_ptr(t, off, 0), b = ts_ptr(t, off, 1), next = a > b ? a : b;
    while (next && *ts_at(t, next) == '-')
        next = ts_ptr(t, next, 0);
    return next;
}
/* Overwrites the slot that the last committed state does not use. */
static inline void ts_set_next(struct twoskip *t, uint64_t off, uint64_t v)
{
    uint64_t a = ts_ptr(t, off, 0), b = ts_ptr(t, off, 1);
    ts_set_ptr(t, off, a >= t->committed || (b < t->committed && a < b) ? 0 : 1, v);
}

static inline uint64_t ts_append(struct twoskip *t, char type, unsigned level, struct slice key,
                                 struct slice value)
{
    uint64_t off = buf_len(&t->file);
    size_t head = 8 + 8 * (level + 1) + 8, tail = (key.n + value.n + 7) & ~(size_t)7;
    char *p = buf_reserve(&t->file, head + tail);
    memset(p, 0, head + tail);
    p[0] = type;
    p[1] = (char)level;
    ts_put(p + 2, key.n, 2);
    ts_put(p + 4, value.n, 4);
    if (key.n)
        memcpy(p + head, key.p, key.n);
    if (value.n)
        memcpy(p + head + key.n, value.p, value.n);
    if (tail)
        ts_put(p + head - 4, crc32_add(0, p + head, tail), 4);
    buf_added(&t->file, head + tail);
    ts_set_ptr(t, off, 0, 0);
    return off;
}

static inline void ts_init(struct twoskip *t)
{
    *t = (struct twoskip){ .cmp = slice_cmp };
    memset(buf_reserve(&t->file, 64), 0, 64);
    buf_added(&t->file, 64);
    ts_append(t, '=', 31, slice_of("", 0), slice_of("", 0));
    ts_header(t, 336, 0);
}

static inline void ts_commit(struct twoskip *t, uint64_t began)
{
    uint64_t off = ts_append(t, '$', 0, slice_of("", 0), slice_of("", 0));
    ts_set_ptr(t, off, 0, began);
    ts_header(t, buf_len(&t->file), 0);
}

/* The last record on a level (0: level 0) whose key is below key. */
static inline uint64_t ts_before(struct twoskip *t, unsigned level, struct slice key)
{
    uint64_t off = TS_DUMMY, next;
    while ((next = level ? ts_ptr(t, off, level + 1) : ts_next(t, off)) && t->cmp(ts_key(t, next), key) < 0)
        off = next;
    return off;
}

/* Without COMMIT and header. */
static inline uint64_t ts_add_bytes_open(struct twoskip *t, struct slice k, struct slice value, unsigned level)
{
    uint64_t off = ts_append(t, '+', level, k, value);
    uint64_t before = ts_before(t, 0, k);
    ts_set_ptr(t, off, 0, ts_next(t, before));
    ts_set_next(t, before, off);
    for (unsigned n = 1; n < level; n++) {
        before = ts_before(t, n, k);
        ts_set_ptr(t, off, n + 1, ts_ptr(t, before, n + 1));
        ts_set_ptr(t, before, n + 1, off);
    }
    t->count++;
    return off;
}

static inline uint64_t ts_add_open(struct twoskip *t, const char *key, const char *value, unsigned level)
{
    return ts_add_bytes_open(t, slice_str(key), slice_str(value), level);
}

static inline uint64_t ts_delete_open(struct twoskip *t, const char *key)
{
    struct slice k = slice_str(key);
    uint64_t before = ts_before(t, 0, k), old = ts_next(t, before);
    uint64_t off = ts_append(t, '-', 0, slice_of("", 0), slice_of("", 0));
    ts_set_ptr(t, off, 0, ts_next(t, old));
    ts_set_next(t, before, off);
    for (unsigned n = 1; n < ts_level(t, old); n++)
        ts_set_ptr(t, ts_before(t, n, k), n + 1, ts_ptr(t, old, n + 1));
    t->count--;
    return off;
}

static inline void ts_add(struct twoskip *t, const char *key, const char *value, unsigned level)
{
    uint64_t began = buf_len(&t->file);
    ts_add_open(t, key, value, level);
    ts_commit(t, began);
}

static inline void ts_delete(struct twoskip *t, const char *key)
{
    uint64_t began = buf_len(&t->file);
    ts_delete_open(t, key);
    ts_commit(t, began);
}

#endif
