/*
 * Answers of the replica (spec/wire.md §3): untagged lines into trees, the final line
 * into an error kind, and the ways in which a session ends. Called by the session's pump;
 * one thread for each session. Invariants: the n-th final line belongs to the n-th
 * command; every outstanding command hears of the end exactly once, in order.
 */
#include <stdlib.h>
#include <string.h>

#include "fansync/log.h"
#include "fansync/mem.h"
#include "session_internal.h"

enum {
    MAX_LINE = 64 * 1024,
    MAX_ELEMENT = 64 * 1024 * 1024, /* an annotation or script; files are apart */
};

static const char fatal_text[] = "* Fatal error";

struct command *session_oldest(const struct session *s)
{
    return &s->queue[s->head];
}

static const char *oldest_verb(const struct session *s)
{
    return s->outstanding > 0 ? session_oldest(s)->verb : "none";
}

/* ---- handing answers out ---- */

/* The oldest command is answered. err is borrowed. */
static void deliver(struct session *s, struct err *err, bool unknown)
{
    struct command c = *session_oldest(s);
    struct answer a = { .err = err, .unknown = unknown, .lines = s->lines, .nlines = s->nlines };
    bounds_end(s);
    s->head = (s->head + 1) % s->queue_cap;
    s->outstanding--;
    if (c.fn) {
        s->in_callback = true;
        c.fn(c.ctx, &a);
        s->in_callback = false;
    }
    s->nlines = 0;
    s->state = ANSWER_LINE;
    if (!c.arena)
        arena_reset(&s->arena);
    if (s->outstanding > 0)
        bounds_begin(s);
}

void session_die(struct session *s, struct err *fault)
{
    if (s->fault) {
        err_free(fault);
        return;
    }
    s->fault = fault;
    s->may_say_exit = fault->kind == ERR_INTERRUPTED && session_in_step(s);
    s->nlines = 0;
    while (s->outstanding > 0)
        deliver(s, s->fault, true);
    buf_clear(&s->t.in);
    buf_clear(&s->t.out);
}

static void die_of_bad_response(struct session *s, const char *word, const char *text)
{
    log_msg(LOG_ERR, "IOERROR: received bad response: command=<%s> response=<%s> errmsg=<%s>", oldest_verb(s),
            word, text);
    session_die(s, err_new(ERR_PROTOCOL, "%s: bad response to %s: %s %s", s->peer, oldest_verb(s), word, text));
}

static void die_of_end(struct session *s)
{
    const char *why = transport_reason(&s->t);
    const char *verb = oldest_verb(s);
    enum err_kind kind = s->t.why ? s->t.why->kind : ERR_PROTOCOL;
    if (s->outstanding == 0) { /* the replica tired of an idle session, perhaps */
        session_die(s, err_new(kind, "%s: connection lost: %s", s->peer, why));
        return;
    }
    if (s->state != ANSWER_LINE || s->nlines > 0 || buf_len(&s->t.in) > 0) {
        die_of_bad_response(s, "*", why);
        return;
    }
    /* NOOP asks whether the replica is still there: an answer either way. */
    if (strcmp(verb, "NOOP") != 0)
        log_msg(LOG_ERR, "IOERROR: zero length response: command=<%s> prot_error=<%s>", verb, why);
    session_die(s, err_new(kind, "%s: no response to %s: %s", s->peer, verb, why));
}

/* ---- final lines ---- */

static enum err_kind kind_of_no(struct slice text)
{
    static const struct {
        const char *token;
        enum err_kind kind;
    } tokens[] = {
        { "IMAP_INVALID_USER", ERR_INVALID_USER },
        { "IMAP_MAILBOX_NONEXISTENT", ERR_NONEXISTENT },
        { "IMAP_MAILBOX_LOCKED", ERR_LOCKED },
        { "IMAP_MAILBOX_MOVED", ERR_MOVED },
        { "IMAP_MAILBOX_NOTSUPPORTED", ERR_NOTSUPPORTED },
        { "IMAP_SYNC_CHECKSUM", ERR_CHECKSUM },
        { "IMAP_SYNC_CHANGED", ERR_CHANGED },
        { "IMAP_SYNC_BADSIEVE", ERR_BADSIEVE },
        { "IMAP_PROTOCOL_ERROR", ERR_PROTOCOL },
        { "IMAP_PROTOCOL_BAD_PARAMETERS", ERR_BAD_PARAMETERS },
        { "IMAP_PERMISSION_DENIED", ERR_DENIED },
        { "IMAP_IOERROR", ERR_AILING },
        { "IMAP_SYS_ERROR", ERR_AILING },
        { "IMAP_QUOTA_EXCEEDED", ERR_AILING },
        { "IMAP_AGAIN", ERR_AILING },
    };
    const char *blank = text.n ? memchr(text.p, ' ', text.n) : NULL;
    struct slice token = slice_of(text.p, blank ? (size_t)(blank - text.p) : text.n);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if (slice_eqs(token, tokens[i].token))
            return tokens[i].kind;
    return slice_starts(text, "System I/O error") ? ERR_AILING : ERR_DENIED;
}

/* Capabilities are asked for by trying: a refusal there is an answer. */
static bool is_probe(const struct command *c)
{
    return strcmp(c->verb, "APPLY CAPABILITIES") == 0;
}

/* "Not there" and "changed meanwhile" are part of the normal course of things. */
static bool worth_a_line(const struct command *c, enum err_kind kind)
{
    return kind != ERR_NONEXISTENT && kind != ERR_CHANGED && !(is_probe(c) && kind == ERR_PROTOCOL);
}

static void answer_no(struct session *s, struct slice text)
{
    const struct command *c = session_oldest(s);
    enum err_kind kind = kind_of_no(text);
    if (worth_a_line(c, kind))
        log_msg(LOG_ERR, "%s received NO response: " SLICE_FMT, c->verb, SLICE_ARG(text));
    struct err *e = err_new(kind, "%s: %s received NO response: " SLICE_FMT, s->peer, c->verb, SLICE_ARG(text));
    deliver(s, e, false);
    err_free(e);
}

/* The command itself is known to be refused; what follows may be out of step. */
static void answer_bad(struct session *s, struct slice text)
{
    struct command *c = session_oldest(s);
    struct err *e = err_new(ERR_PROTOCOL, "%s: %s received BAD response: " SLICE_FMT, s->peer, c->verb,
                            SLICE_ARG(text));
    if (is_probe(c)) {
        deliver(s, e, false);
        err_free(e);
        return;
    }
    log_msg(LOG_ERR, "IOERROR: received bad response: command=<%s> response=<BAD> errmsg=<" SLICE_FMT ">", c->verb,
            SLICE_ARG(text));
    deliver(s, e, false);
    session_die(s, e);
}

static void final_line(struct session *s, struct slice line)
{
    const char *blank = line.n ? memchr(line.p, ' ', line.n) : NULL;
    size_t n = blank ? (size_t)(blank - line.p) : line.n;
    struct slice word = slice_of(line.p, n);
    struct slice text = blank ? slice_of(blank + 1, line.n - n - 1) : slice_of("", 0);
    char shown[64];
    if (slice_caseeqs(word, "BYE")) {
        session_die(s, err_new(ERR_BYE, "%s: BYE " SLICE_FMT, s->peer, SLICE_ARG(text)));
    } else if (s->outstanding > 0 && blank && slice_caseeqs(word, "OK")) {
        deliver(s, NULL, false);
    } else if (s->outstanding > 0 && blank && slice_caseeqs(word, "NO")) {
        answer_no(s, text);
    } else if (s->outstanding > 0 && blank && slice_caseeqs(word, "BAD")) {
        answer_bad(s, text);
    } else {
        struct buf b = BUF_INIT;
        size_t some = n < sizeof shown - 1 ? n : sizeof shown - 1;
        memcpy(shown, word.p, some);
        shown[some] = '\0';
        buf_add(&b, text.p, text.n);
        die_of_bad_response(s, shown, buf_cstr(&b));
        buf_free(&b);
    }
}

static void fatal_line(struct session *s, struct slice line)
{
    struct slice text = slice_of(line.p + 2, line.n - 2);
    log_msg(LOG_ERR, "IOERROR: received bad response: command=<%s> response=<*> errmsg=<" SLICE_FMT ">",
            oldest_verb(s), SLICE_ARG(text));
    session_die(s, err_new(ERR_PROTOCOL, "%s: in answer to %s: " SLICE_FMT, s->peer, oldest_verb(s),
                           SLICE_ARG(text)));
}

/* ---- bytes ---- */

static void take(struct session *s, size_t n)
{
    buf_consume(&s->t.in, n);
    bounds_took(s, n);
}

/* A whole line in front of the buffer, without its end; *consume with it. */
static bool whole_line(struct session *s, struct slice *line, size_t *consume)
{
    struct slice in = buf_slice(&s->t.in);
    const char *lf = memchr(in.p, '\n', in.n);
    if (!lf) {
        if (in.n > MAX_LINE)
            die_of_bad_response(s, "?", "a line without end");
        return false;
    }
    *line = slice_of(in.p, (size_t)(lf - in.p));
    *consume = line->n + 1;
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

static struct err *refuse_file(void *ctx, const struct dlist *file, const void *p, size_t n)
{
    (void)ctx;
    (void)file;
    (void)p;
    (void)n;
    return err_new(ERR_PROTOCOL, "a file that was not asked for");
}

static void begin_untagged(struct session *s)
{
    struct command *c = s->outstanding > 0 ? session_oldest(s) : NULL;
    if (!c) {
        die_of_bad_response(s, "*", "unasked");
        return;
    }
    struct dlist_hooks hooks = c->has_hooks ? c->hooks : (struct dlist_hooks){ 0 };
    if (!hooks.file)
        hooks.file = refuse_file;
    take(s, 2);
    dlist_reader_begin(s->reader, c->arena ? c->arena : &s->arena, &hooks, true,
                       c->most_bytes < MAX_ELEMENT ? (size_t)c->most_bytes : MAX_ELEMENT);
    s->state = ANSWER_UNTAGGED;
}

/* How many of the first bytes agree with text; *differs if then one does not. */
static bool may_become(struct slice in, const char *text, bool *whole)
{
    size_t n = strlen(text);
    *whole = in.n >= n;
    return memcmp(in.p, text, in.n < n ? in.n : n) == 0;
}

/* At the beginning of a line; false if more bytes are needed to go on. */
static bool line_begins(struct session *s)
{
    struct slice in = buf_slice(&s->t.in), line;
    bool whole;
    size_t consume;
    bool fatal = may_become(in, fatal_text, &whole);
    if (fatal && !whole)
        return false;
    if (!fatal && slice_starts(in, "* ")) {
        begin_untagged(s);
        return true;
    }
    if (!whole_line(s, &line, &consume))
        return false;
    char *copy = mem_strndup(line.p, line.n); /* the buffer is cleared when the session ends */
    take(s, consume);
    if (fatal)
        fatal_line(s, slice_of(copy, line.n));
    else
        final_line(s, slice_of(copy, line.n));
    free(copy);
    return true;
}

static void untagged_bytes(struct session *s)
{
    size_t used;
    enum dlist_status status;
    s->in_callback = true; /* of a hook */
    struct err *e = dlist_reader_feed(s->reader, buf_ptr(&s->t.in), buf_len(&s->t.in), &used, &status);
    s->in_callback = false;
    if (e && e->kind == ERR_PROTOCOL) {
        die_of_bad_response(s, "*", e->msg);
        err_free(e);
        return;
    }
    if (e) { /* a hook's: the rest of the answer is not wanted */
        session_die(s, err_wrap(e, "%s: answer to %s", s->peer, oldest_verb(s)));
        return;
    }
    take(s, used);
    if (status == DLIST_MORE)
        return;
    s->lines = mem_grow(s->lines, s->nlines, &s->lines_cap, sizeof *s->lines);
    s->lines[s->nlines++] = dlist_reader_result(s->reader);
    s->state = ANSWER_LINE_END;
}

/* Only the line's end may follow the value. */
static bool line_ends(struct session *s)
{
    struct slice in = buf_slice(&s->t.in);
    size_t n = in.p[0] == '\r' ? 1 : 0;
    if (n == in.n)
        return false;
    if (in.p[n] != '\n') {
        die_of_bad_response(s, "*", "bytes behind the end of a value");
        return true;
    }
    take(s, n + 1);
    s->state = ANSWER_LINE;
    return true;
}

static void check_bounds(struct session *s)
{
    struct err *e = s->fault ? NULL : bounds_check(s);
    if (e)
        die_of_bad_response(s, "*", e->msg);
    err_free(e);
}

void session_receive(struct session *s)
{
    bool going = true;
    while (going && !s->fault && buf_len(&s->t.in) > 0) {
        switch (s->state) {
        case ANSWER_LINE: going = line_begins(s); break;
        case ANSWER_UNTAGGED: untagged_bytes(s); break;
        case ANSWER_LINE_END: going = line_ends(s); break;
        }
    }
    check_bounds(s);
    if (!s->fault && s->t.ended)
        die_of_end(s);
}
