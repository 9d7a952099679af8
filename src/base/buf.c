/*
 * The byte buffer of fansync/buf.h. Consumed bytes in front are reclaimed when room is
 * needed, so a buffer used as a queue does not creep.
 */
#include "fansync/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fansync/mem.h"

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->cap - b->end >= n)
        return b->data + b->end;
    size_t len = buf_len(b);
    if (b->start > 0 && b->start >= len) {
        memcpy(b->data, b->data + b->start, len);
        b->start = 0;
        b->end = len;
        if (b->cap - b->end >= n)
            return b->data + b->end;
    }
    if (n > SIZE_MAX / 2 - b->end)
        mem_overflow();
    size_t cap = b->cap ? b->cap : 256;
    while (cap < b->end + n)
        cap *= 2;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
    return b->data + b->end;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(buf_reserve(b, n), p, n);
    buf_added(b, n);
}

void buf_adds(struct buf *b, const char *cstr)
{
    buf_add(b, cstr, strlen(cstr));
}

void buf_addc(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    buf_added(b, 1);
}

void buf_add_u64(struct buf *b, unsigned long long v)
{
    char digits[24];
    size_t i = sizeof digits;
    do {
        digits[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_add(b, digits + i, sizeof digits - i);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        vsnprintf(buf_reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
        buf_added(b, (size_t)n);
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void buf_clear(struct buf *b)
{
    b->start = b->end = 0;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf)BUF_INIT;
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return b->data + b->start;
}
