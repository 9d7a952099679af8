/*
 * The pipelined session of fansync/session.h: its life, its commands, and the pump that
 * moves bytes both ways. Called by the engine; belongs to one thread. Invariants: what is
 * read is handled before anything is waited for, so neither side ever waits for the other
 * to read first; what waits to be sent is bounded.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connect.h"
#include "fansync/mem.h"
#include "login.h"
#include "sasl.h"
#include "session_internal.h"
#include "tls.h"
#include "wait.h"

enum {
    SEND_EARLY = 64 * 1024, /* with so much to send, try, so that the replica has work */
    FAREWELL_SECONDS = 1,
};

struct err *session_library_init(void)
{
    TRY(tls_library_init());
    return sasl_library_init();
}

/* ---- life ---- */

static struct session *session_new(const struct session_options *o)
{
    struct session *s = mem_alloc(sizeof *s);
    s->options = *o;
    s->reader = dlist_reader_new();
    s->arena = (struct arena)ARENA_INIT;
    return s;
}

static void session_free(struct session *s)
{
    transport_close(&s->t);
    dlist_reader_free(s->reader);
    arena_free(&s->arena);
    sha1_free(s->sha);
    buf_free(&s->file_bytes);
    err_free(s->fault);
    free(s->lines);
    free(s->queue);
    free(s->peer);
    free(s);
}

/* c's socket and name are taken over. */
static struct err *open_over(const struct connection *c, const struct endpoint *ep, const struct session_options *o,
                             struct session **out)
{
    struct session *s = session_new(o);
    s->peer = c->peer;
    transport_init(&s->t, c->fd, o->stop);
    struct err *e = login_run(&s->t, ep, c, o, &s->capabilities);
    if (e) {
        session_free(s);
        return e;
    }
    /* The caller's strings need not live as long as the session. */
    s->options.server = s->options.port = s->options.authname = NULL;
    s->options.realm = s->options.password = s->options.mechs = NULL;
    s->t.trace = o->trace;
    s->t.bytes_in = s->t.bytes_out = 0;
    *out = s;
    return NULL;
}

struct err *session_open(const struct session_options *o, struct session **out)
{
    struct endpoint ep;
    struct connection c;
    TRY(endpoint_parse(&ep, o->server, o->port));
    struct err *e = endpoint_connect(&ep, o, &c);
    if (!e)
        e = open_over(&c, &ep, o, out);
    endpoint_clear(&ep);
    return e;
}

struct err *session_open_on(int fd, const char *peer, const struct session_options *o, struct session **out)
{
    const struct endpoint ep = { .is_path = true };
    const struct connection c = { .fd = fd, .local = true, .peer = mem_strdup(peer) };
    return open_over(&c, &ep, o, out);
}

unsigned session_capabilities(const struct session *s)
{
    return s->capabilities;
}

const char *session_peer(const struct session *s)
{
    return s->peer;
}

int session_set_timeout(struct session *s, int seconds)
{
    int before = s->options.timeout;
    s->options.timeout = seconds;
    return before;
}

int session_fd(const struct session *s)
{
    return s->t.fd;
}

bool session_look(struct session *s)
{
    if (!s->fault && s->outstanding == 0) {
        transport_step(&s->t, true);
        s->counters.bytes_in = s->t.bytes_in;
        session_receive(s);
    }
    return !s->fault;
}

bool session_dead(const struct session *s)
{
    return s->fault != NULL;
}

const struct err *session_fault(const struct session *s)
{
    return s->fault;
}

size_t session_outstanding(const struct session *s)
{
    return s->outstanding;
}

const struct session_counters *session_counters(const struct session *s)
{
    return &s->counters;
}

/* Reads and forgets until the replica closes: closing first would answer its last words
 * with a reset. */
static void await_end(struct session *s, int64_t deadline)
{
    shutdown(s->t.fd, SHUT_WR);
    while (!s->t.ended) {
        buf_clear(&s->t.in);
        bool moved = transport_step(&s->t, true);
        struct err *e = transport_pause(&s->t, moved, deadline);
        if (e) {
            err_free(e);
            return;
        }
    }
}

void session_close(struct session *s)
{
    if (!s)
        return;
    if (s->fault ? s->may_say_exit : session_in_step(s)) {
        int64_t deadline = wait_deadline(FAREWELL_SECONDS);
        s->t.stop = NULL; /* the farewell is part of stopping, and short */
        buf_adds(&s->t.out, "EXIT\r\n");
        err_free(transport_flush(&s->t, deadline));
        await_end(s, deadline);
    }
    session_free(s);
}

/* ---- pumping ---- */

bool session_in_step(const struct session *s)
{
    return !s->writing && !s->t.ended && transport_unsent(&s->t) == 0;
}

static bool satisfied(const struct session *s, size_t unsent, bool for_answers)
{
    return transport_unsent(&s->t) <= unsent && !(for_answers && s->outstanding > 0);
}

/* Everything is with the replica and only its answers are waited for: counted whether or
 * not they are there already, so that the number depends on the program alone. */
static void count_round_trip(struct session *s)
{
    if (transport_unsent(&s->t) > 0 || !s->written)
        return;
    s->counters.round_trips++;
    s->written = false;
}

struct err *session_pump(struct session *s, size_t unsent, bool for_answers)
{
    bounds_wait_begin(s);
    while (!s->fault) {
        bool moved = transport_step(&s->t, for_answers);
        s->counters.bytes_in = s->t.bytes_in;
        s->counters.bytes_out = s->t.bytes_out;
        if (for_answers)
            count_round_trip(s);
        session_receive(s);
        if (s->fault || satisfied(s, unsent, for_answers))
            break;
        if (s->options.tick)
            s->options.tick(s->options.tick_ctx, !moved);
        struct err *e = transport_pause(&s->t, moved, bounds_deadline(s));
        if (e)
            session_die(s, err_wrap(e, "%s", s->peer));
    }
    bounds_wait_end(s);
    return err_copy(s->fault);
}

struct err *session_keep_within_bounds(struct session *s)
{
    if (s->fault)
        return err_copy(s->fault);
    return transport_unsent(&s->t) < SEND_EARLY ? NULL : session_pump(s, SESSION_HIGH_WATER, false);
}

/* ---- commands ---- */

static struct command *enqueue(struct session *s)
{
    if (s->outstanding == s->queue_cap) {
        size_t cap = s->queue_cap ? s->queue_cap * 2 : 64;
        struct command *queue = mem_array(cap, sizeof *queue);
        for (size_t i = 0; i < s->outstanding; i++)
            queue[i] = s->queue[(s->head + i) % s->queue_cap];
        free(s->queue);
        s->queue = queue;
        s->queue_cap = cap;
        s->head = 0;
    }
    return &s->queue[(s->head + s->outstanding++) % s->queue_cap];
}

/* Of commands, without message files. */
static uint64_t bytes_written(const struct session *s)
{
    return s->t.bytes_out + buf_len(&s->t.out) - s->counters.file_bytes;
}

/* The command that is being written; NULL if it has been answered already. */
static struct command *youngest(struct session *s)
{
    return s->outstanding ? &s->queue[(s->head + s->outstanding - 1) % s->queue_cap] : NULL;
}

void session_allow(struct session *s, uint64_t bytes)
{
    struct command *c = youngest(s);
    assert(s->writing);
    if (c)
        c->most_bytes += bytes;
}

struct buf *session_begin(struct session *s, const char *verb, struct arena *arena,
                          const struct dlist_hooks *hooks, answer_fn fn, void *ctx)
{
    assert(!s->writing && !s->in_callback);
    s->writing = true;
    s->files = 0;
    if (s->fault) { /* written for nothing; session_end tells */
        buf_clear(&s->t.out);
        return &s->t.out;
    }
    struct command *c = enqueue(s);
    *c = (struct command){ .arena = arena, .fn = fn, .ctx = ctx, .has_hooks = hooks != NULL };
    strncpy(c->verb, verb, sizeof c->verb - 1);
    c->most_bytes = bounds_usual(verb);
    if (hooks)
        c->hooks = *hooks;
    s->written_before = bytes_written(s);
    if (s->outstanding == 1)
        bounds_begin(s);
    buf_adds(&s->t.out, verb);
    buf_addc(&s->t.out, ' ');
    s->begun = buf_len(&s->t.out);
    return &s->t.out;
}

struct err *session_flow(struct session *s)
{
    struct buf *out = &s->t.out;
    assert(s->writing && !s->in_callback);
    if (!s->fault && (buf_len(out) == s->begun || transport_unsent(&s->t) < SEND_EARLY))
        return NULL;
    /* The writers look at the last byte to see whether a blank is due: it stays. */
    char last = buf_len(out) > 0 ? out->data[--out->end] : ' ';
    s->begun = SIZE_MAX;
    struct err *e = session_keep_within_bounds(s);
    buf_addc(out, last);
    return e;
}

struct err *session_end(struct session *s)
{
    assert(s->writing);
    s->writing = false;
    if (s->fault)
        return err_copy(s->fault);
    /* No argument: a blank before the line's end would be a syntax error (§1.3). */
    if (buf_len(&s->t.out) == s->begun)
        s->t.out.end--;
    buf_adds(&s->t.out, "\r\n");
    struct command *c = youngest(s);
    if (c)
        c->most_bytes += bounds_of_length(c->verb, bytes_written(s) - s->written_before);
    s->written = true;
    s->counters.commands++;
    return session_keep_within_bounds(s);
}

struct err *session_drain(struct session *s)
{
    assert(!s->writing && !s->in_callback);
    if (s->fault)
        return err_copy(s->fault);
    if (s->outstanding == 0)
        return NULL;
    return session_pump(s, 0, true);
}
