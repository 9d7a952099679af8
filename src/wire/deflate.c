/*
 * The deflate layer on zlib: one raw stream each way for the whole session, never
 * finished. Level 1, because the replica's disk and not the ratio is what is waited for.
 * Called by the transport; one thread for each layer. Invariant: expanding is bounded,
 * so a small hostile packet cannot fill the memory.
 */
#include "deflate.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "fansync/mem.h"

enum { RAW_WINDOW = -15, LEVEL = 1, MEMORY = 8, PIECE = 16384 };

struct deflate_layer {
    z_stream out;
    z_stream in;
    bool held; /* given to out and not flushed */
};

struct deflate_layer *deflate_new(void)
{
    struct deflate_layer *l = mem_alloc(sizeof *l);
    if (deflateInit2(&l->out, LEVEL, Z_DEFLATED, RAW_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK ||
        inflateInit2(&l->in, RAW_WINDOW) != Z_OK)
        mem_overflow();
    return l;
}

void deflate_free(struct deflate_layer *l)
{
    if (!l)
        return;
    deflateEnd(&l->out);
    inflateEnd(&l->in);
    free(l);
}

void deflate_encode(struct deflate_layer *l, const void *p, size_t n, bool flush, struct buf *out)
{
    l->held = l->held || n > 0;
    if (!l->held)
        return;
    z_stream *z = &l->out;
    z->next_in = (Bytef *)(uintptr_t)p; /* zlib does not write there */
    z->avail_in = (uInt)n;
    do {
        z->next_out = (Bytef *)buf_reserve(out, PIECE);
        z->avail_out = PIECE;
        (void)deflate(z, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH); /* Z_BUF_ERROR: nothing left to do */
        buf_added(out, PIECE - z->avail_out);
    } while (z->avail_out == 0);
    if (flush)
        l->held = false;
}

bool deflate_holds_back(const struct deflate_layer *l)
{
    return l->held;
}

struct err *deflate_decode(struct deflate_layer *l, struct buf *in, struct buf *plain, size_t limit,
                           bool *more)
{
    z_stream *z = &l->in;
    *more = false;
    for (;;) {
        if (buf_len(plain) >= limit) {
            *more = true;
            return NULL;
        }
        size_t given = buf_len(in) < PIECE ? buf_len(in) : PIECE;
        buf_reserve(in, 1); /* never a null pointer, not even for no bytes */
        z->next_in = (Bytef *)(in->data + in->start);
        z->avail_in = (uInt)given;
        z->next_out = (Bytef *)buf_reserve(plain, PIECE);
        z->avail_out = PIECE;
        int rc = inflate(z, Z_SYNC_FLUSH);
        size_t made = PIECE - z->avail_out;
        buf_consume(in, given - z->avail_in);
        buf_added(plain, made);
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return err_new(ERR_PROTOCOL, "broken compressed data");
        if (made < PIECE && buf_len(in) == 0)
            return NULL;
    }
}
