/*
 * The byte stream to a replica: socket, TLS around it, deflate around that
 * (spec/wire.md §1.6), with non-blocking reads and writes. Callers append to `out` and
 * consume from `in`; transport_step moves bytes both ways. Belongs to one thread.
 *
 * A SASL security layer would have its place between TLS and deflate; login asks for
 * mechanisms without one.
 */
#ifndef FANSYNC_WIRE_TRANSPORT_H
#define FANSYNC_WIRE_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fansync/buf.h"
#include "fansync/err.h"

struct tls_layer;
struct deflate_layer;

struct transport {
    int fd;
    const atomic_int *stop;
    struct buf out; /* to be sent, plain */
    struct buf in;  /* received, plain */
    bool ended;     /* nothing more will arrive */
    struct err *why; /* what ended it, unless that was an ordinary end of file */
    bool trace;      /* every plain byte to stderr */
    uint64_t bytes_out, bytes_in; /* plain */
    /* private */
    bool eof, more;      /* the socket has ended; bytes are still to be inflated */
    struct buf wire_out; /* encoded, for the socket */
    struct buf wire_in;  /* to be inflated */
    struct buf scratch;  /* deflated, to be encrypted */
    struct tls_layer *tls;
    struct deflate_layer *deflate;
};

/* Takes fd over. */
void transport_init(struct transport *t, int fd, const atomic_int *stop);
void transport_close(struct transport *t);

/* Bytes that wait to be sent. */
size_t transport_unsent(const struct transport *t);

/* Sends and receives what is possible without waiting; true if bytes moved. flush:
 * nothing more will be written for now, so deflate must not keep anything back. A lost
 * connection sets ended once everything received is in `in`. */
bool transport_step(struct transport *t, bool flush);
/* Waits until a step is worth while; the deadline passing ends the transport. */
struct err *transport_wait(struct transport *t, int64_t deadline);
/* Between two steps, of which the last one moved bytes or did not: waits if it did not. Whatever
 * flows, the signal to end is heeded, and the deadline passing ends the transport. */
struct err *transport_pause(struct transport *t, bool moved, int64_t deadline);
/* Steps and pauses until everything is sent, or the transport has ended. */
struct err *transport_flush(struct transport *t, int64_t deadline);
/* The reason why it ended, for messages. */
const char *transport_reason(const struct transport *t);

/* Both require that nothing is unsent. The handshake's errors are ERR_PROTOCOL and
 * ERR_INTERRUPTED. */
struct err *transport_start_tls(struct transport *t, int64_t deadline);
void transport_start_deflate(struct transport *t);

#endif
