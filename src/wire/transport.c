/*
 * The stream of transport.h. Going out: out -> deflate -> TLS -> wire_out -> socket;
 * coming in: socket -> TLS -> wire_in -> inflate -> in. Called by login and session;
 * one thread for each transport. Invariants: it never writes without being ready to
 * read, so two full socket buffers cannot deadlock (design, invariant 5), and each
 * buffer it fills itself is bounded.
 */
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "deflate.h"
#include "fansync/clock.h"
#include "fansync/escape.h"
#include "tls.h"
#include "wait.h"

enum {
    ENCODE_PIECE = 32 * 1024,
    WIRE_OUT_MARK = 64 * 1024, /* encode more only below this */
    RECV_PIECE = 64 * 1024,
    IN_LIMIT = 256 * 1024, /* receive more only below this */
    OUT_LIMIT = 1024 * 1024, /* of TLS's own answers to a peer that does not read them */
};

void transport_init(struct transport *t, int fd, const atomic_int *stop)
{
    *t = (struct transport){ .fd = fd, .stop = stop };
}

void transport_close(struct transport *t)
{
    if (t->fd >= 0)
        close(t->fd);
    tls_free(t->tls);
    deflate_free(t->deflate);
    buf_free(&t->out);
    buf_free(&t->in);
    buf_free(&t->wire_out);
    buf_free(&t->wire_in);
    buf_free(&t->scratch);
    err_free(t->why);
    *t = (struct transport){ .fd = -1 };
}

size_t transport_unsent(const struct transport *t)
{
    return buf_len(&t->out) + buf_len(&t->wire_out);
}

const char *transport_reason(const struct transport *t)
{
    return t->why ? t->why->msg : "end of file reached";
}

/* The first reason is the one that is kept. */
static void ended_by(struct transport *t, struct err *why)
{
    if (t->why)
        err_free(why);
    else
        t->why = why;
    t->eof = true;
    t->more = false;
}

/* One piece of the conversation as stock's -v -v shows it (spec/operation.md §1.9). */
static void trace_piece(const struct transport *t, char mark, const char *p, size_t n)
{
    struct buf b = BUF_INIT;
    if (!t->trace || n == 0)
        return;
    buf_printf(&b, "%c%lld%c", mark, (long long)time(NULL), mark);
    if (isatty(STDERR_FILENO)) /* else the very bytes, as stock has them */
        escape_text(&b, slice_of(p, n), ESCAPE_LINES);
    else
        buf_add(&b, p, n);
    fwrite(buf_ptr(&b), 1, buf_len(&b), stderr);
    buf_free(&b);
}

static void out_taken(struct transport *t, size_t n)
{
    trace_piece(t, '>', buf_ptr(&t->out), n);
    t->bytes_out += n;
    buf_consume(&t->out, n);
}

/* ---- out ---- */

/* Nothing can be sent any more, but what the replica said before, a BYE perhaps, is
 * still to be read: the reading side finds the end for itself. */
static void write_failed(struct transport *t, struct err *why)
{
    if (t->why)
        err_free(why);
    else
        t->why = why;
    buf_clear(&t->out);
    buf_clear(&t->wire_out);
}

static size_t send_from(struct transport *t, struct buf *b)
{
    ssize_t n;
    if (t->why || buf_len(b) == 0) {
        if (t->why)
            buf_clear(b);
        return 0;
    }
    do
        n = send(t->fd, buf_ptr(b), buf_len(b), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return (size_t)n;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        write_failed(t, err_errno("write"));
    return 0;
}

static bool send_wire_out(struct transport *t)
{
    size_t n = send_from(t, &t->wire_out);
    buf_consume(&t->wire_out, n);
    return n > 0;
}

/* Encodes a piece of out; false when there was nothing to encode. */
static bool encode_piece(struct transport *t, bool flush)
{
    size_t n = buf_len(&t->out) < ENCODE_PIECE ? buf_len(&t->out) : ENCODE_PIECE;
    bool last = n == buf_len(&t->out);
    struct slice plain = slice_of(n ? buf_ptr(&t->out) : "", n);
    if (t->deflate) {
        bool sync = flush && last;
        if (n == 0 && !(sync && deflate_holds_back(t->deflate)))
            return false;
        struct buf *to = t->tls ? &t->scratch : &t->wire_out;
        deflate_encode(t->deflate, plain.p, plain.n, sync, to);
        plain = buf_slice(&t->scratch);
    } else if (n == 0) {
        return false;
    }
    if (t->tls) {
        struct err *e = tls_encrypt(t->tls, plain.p, plain.n, &t->wire_out);
        if (e)
            write_failed(t, e);
    }
    buf_clear(&t->scratch);
    if (buf_len(&t->out) > 0)
        out_taken(t, n);
    return true;
}

static bool send_step(struct transport *t, bool flush)
{
    bool moved = false, again;
    do {
        again = false;
        if (!t->tls && !t->deflate) {
            size_t n = send_from(t, &t->out);
            out_taken(t, n);
            again = n > 0 && buf_len(&t->out) > 0;
            moved = moved || n > 0;
            continue;
        }
        while (buf_len(&t->wire_out) < WIRE_OUT_MARK && encode_piece(t, flush))
            again = true;
        bool sent = send_wire_out(t);
        moved = moved || sent;
        again = again && sent;
    } while (again);
    return moved;
}

/* ---- in ---- */

/* Where bytes from the socket go first; TLS has a buffer of its own. */
static struct buf *receiving(struct transport *t)
{
    return t->deflate ? &t->wire_in : &t->in;
}

static void decrypt(struct transport *t, const char *p, size_t n)
{
    bool closed = false;
    tls_received(t->tls, p, n);
    struct err *e = tls_decrypt(t->tls, receiving(t), &t->wire_out, &closed);
    if (!e && buf_len(&t->wire_out) > OUT_LIMIT)
        e = err_new(ERR_PROTOCOL, "TLS: the peer asks for answers and does not read them");
    if (e)
        ended_by(t, e);
    else if (closed)
        t->eof = true;
}

static size_t receive(struct transport *t)
{
    ssize_t n;
    struct buf *to = t->tls ? &t->scratch : receiving(t);
    char *p = buf_reserve(to, RECV_PIECE);
    do
        n = recv(t->fd, p, RECV_PIECE, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0) {
        if (n < 0)
            ended_by(t, err_errno("read"));
        t->eof = true;
        return 0;
    }
    if (t->tls)
        decrypt(t, p, (size_t)n);
    else
        buf_added(to, (size_t)n);
    return (size_t)n;
}

static bool receive_step(struct transport *t)
{
    size_t before = buf_len(&t->in), got = 0;
    if (!t->eof && before < IN_LIMIT && buf_len(&t->wire_in) < IN_LIMIT)
        got = receive(t);
    if (t->deflate && (t->more || buf_len(&t->wire_in) > 0)) {
        struct err *e = deflate_decode(t->deflate, &t->wire_in, &t->in, IN_LIMIT, &t->more);
        if (e)
            ended_by(t, e);
    }
    size_t fresh = buf_len(&t->in) - before;
    if (fresh > 0)
        trace_piece(t, '<', buf_ptr(&t->in) + before, fresh);
    t->bytes_in += fresh;
    t->ended = t->eof && !t->more;
    return got > 0 || fresh > 0;
}

bool transport_step(struct transport *t, bool flush)
{
    bool sent = send_step(t, flush);
    bool received = receive_step(t);
    return sent || received;
}

struct err *transport_wait(struct transport *t, int64_t deadline)
{
    bool ready;
    if (t->ended || t->more)
        return NULL;
    short events = (short)(POLLIN | (transport_unsent(t) > 0 ? POLLOUT : 0));
    TRY(wait_ready(t->fd, events, deadline, t->stop, &ready));
    if (!ready) {
        ended_by(t, err_new(ERR_PROTOCOL, "idle for too long"));
        t->ended = true;
    }
    return NULL;
}

struct err *transport_pause(struct transport *t, bool moved, int64_t deadline)
{
    if (!moved)
        return transport_wait(t, deadline);
    if (t->stop && *t->stop)
        return err_new(ERR_INTERRUPTED, "interrupted by a signal");
    if (!t->ended && clock_ms() >= deadline) {
        ended_by(t, err_new(ERR_PROTOCOL, "too slow: the time for this is over, though bytes still come"));
        t->ended = true;
    }
    return NULL;
}

struct err *transport_flush(struct transport *t, int64_t deadline)
{
    for (;;) {
        bool moved = transport_step(t, true);
        if (t->ended || transport_unsent(t) == 0)
            return NULL;
        TRY(transport_pause(t, moved, deadline));
    }
}

/* ---- layers ---- */

static struct err *handshake(struct transport *t, struct tls_layer *l, int64_t deadline)
{
    bool done = false;
    for (;;) {
        TRY(tls_handshake(l, &t->wire_out, &done));
        while (send_wire_out(t))
            ;
        if (done)
            return NULL;
        TRY(transport_wait(t, deadline));
        if (!t->ended && receive(t) > 0) {
            tls_received(l, buf_ptr(&t->in), buf_len(&t->in));
            buf_clear(&t->in);
        }
        if (t->eof)
            return err_new(ERR_PROTOCOL, "TLS handshake: %s", transport_reason(t));
    }
}

struct err *transport_start_tls(struct transport *t, int64_t deadline)
{
    struct tls_layer *l = tls_new();
    struct err *e = handshake(t, l, deadline);
    if (e) {
        tls_free(l);
        return e;
    }
    t->tls = l;
    decrypt(t, "", 0); /* the replica's greeting may have come with the end of the handshake */
    return NULL;
}

void transport_start_deflate(struct transport *t)
{
    t->deflate = deflate_new();
}
