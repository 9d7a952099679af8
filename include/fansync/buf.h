/*
 * A growing byte buffer with a read end: bytes are appended behind and consumed in
 * front. Belongs to one thread. Running out of memory ends the process.
 */
#ifndef FANSYNC_BUF_H
#define FANSYNC_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include "fansync/slice.h"

struct buf {
    char *data;
    size_t start; /* first byte not yet consumed */
    size_t end;   /* one behind the last byte */
    size_t cap;
};

#define BUF_INIT { NULL, 0, 0, 0 }

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

static inline const char *buf_ptr(const struct buf *b)
{
    return b->data ? b->data + b->start : NULL; /* no arithmetic on NULL */
}

/* The unconsumed bytes; valid until the buffer is changed. */
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(buf_ptr(b), buf_len(b));
}

/* Makes room for n more bytes and returns where they go; follow with buf_added. */
char *buf_reserve(struct buf *b, size_t n);
static inline void buf_added(struct buf *b, size_t n)
{
    b->end += n;
}

void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *cstr);
void buf_addc(struct buf *b, char c);
void buf_add_u64(struct buf *b, unsigned long long v); /* decimal */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Drops n bytes in front (n <= buf_len). */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b);
void buf_free(struct buf *b);

/* A NUL-terminated view of the unconsumed bytes. */
const char *buf_cstr(struct buf *b);

#endif
