/*
 * Raw deflate as a filter between buffers (spec/wire.md §1.6). Belongs to one thread.
 */
#ifndef FANSYNC_WIRE_DEFLATE_H
#define FANSYNC_WIRE_DEFLATE_H

#include <stdbool.h>

#include "fansync/buf.h"
#include "fansync/err.h"

struct deflate_layer;

struct deflate_layer *deflate_new(void);
void deflate_free(struct deflate_layer *l);

/* Compresses p[0..n), n <= 1 GiB; flush makes all that was given so far readable for the peer. */
void deflate_encode(struct deflate_layer *l, const void *p, size_t n, bool flush, struct buf *out);
/* Whether something was given that no flush has followed. */
bool deflate_holds_back(const struct deflate_layer *l);
/* Expands from in, until in is used up or plain has limit bytes; *more: because of the
 * limit, call again when plain has been consumed. */
struct err *deflate_decode(struct deflate_layer *l, struct buf *in, struct buf *plain, size_t limit,
                           bool *more);

#endif
