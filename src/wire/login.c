/*
 * The opening of a session (spec/wire.md §1.2-1.6), strictly one line asked and one
 * answered: here, and only here, nothing may be sent ahead. Called from session_open; one
 * thread for each session. Invariant: a password never goes in the clear to a replica
 * that offers STARTTLS, and nothing read before the handshake is believed after it.
 */
#include "login.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fansync/log.h"
#include "sasl.h"
#include "wait.h"

enum {
    MAX_LINE = 64 * 1024,
    MOST_BYTES = 256 * 1024, /* of a whole login */
};

struct login {
    struct transport *t;
    const struct endpoint *ep;
    const struct connection *c;
    const struct session_options *o;
    unsigned caps;
    struct buf mechs; /* advertised */
    struct buf line;  /* the last one read, without line end */
    size_t read;      /* bytes of all lines so far */
};

/* ---- lines ---- */

static bool take_line(struct login *l)
{
    struct slice in = buf_slice(&l->t->in);
    const char *lf = in.n ? memchr(in.p, '\n', in.n) : NULL;
    if (!lf)
        return false;
    size_t n = (size_t)(lf - in.p);
    buf_clear(&l->line);
    buf_add(&l->line, in.p, n > 0 && in.p[n - 1] == '\r' ? n - 1 : n);
    buf_cstr(&l->line); /* makes room for the NUL now: slices of the line stay valid whoever asks for it */
    buf_consume(&l->t->in, n + 1);
    l->read += n + 1;
    return true;
}

static struct err *read_line(struct login *l, const char *waiting_for, int64_t deadline)
{
    while (!take_line(l)) {
        if (buf_len(&l->t->in) > MAX_LINE)
            return err_new(ERR_CONNECT, "%s: %s: a line without end", l->c->peer, waiting_for);
        if (l->t->ended)
            return err_new(ERR_CONNECT, "%s: %s: %s", l->c->peer, waiting_for, transport_reason(l->t));
        bool moved = transport_step(l->t, true);
        TRY(transport_pause(l->t, moved, deadline));
    }
    if (l->read > MOST_BYTES)
        return err_new(ERR_CONNECT, "%s: %s: more than %d bytes before the session is open", l->c->peer, waiting_for,
                       MOST_BYTES);
    return NULL;
}

/* name: of the command, for messages (line may hold a password). */
static struct err *ask(struct login *l, const char *name, const char *line, int64_t deadline)
{
    buf_adds(&l->t->out, line);
    buf_adds(&l->t->out, "\r\n");
    return read_line(l, name, deadline);
}

/* What follows the first word of the line read. */
static const char *line_text(struct login *l)
{
    const char *line = buf_cstr(&l->line);
    const char *blank = strchr(line, ' ');
    return blank ? blank + 1 : line;
}

static bool line_says(struct login *l, const char *word)
{
    size_t n = strlen(word);
    struct slice line = buf_slice(&l->line);
    return line.n >= n && strncasecmp(line.p, word, n) == 0 && (line.n == n || line.p[n] == ' ');
}

static int64_t phase(const struct login *l)
{
    return wait_deadline(l->o->connect_timeout);
}

/* ---- greeting ---- */

static void add_capability(struct login *l, struct slice words)
{
    const char *blank = words.n ? memchr(words.p, ' ', words.n) : NULL;
    size_t n = blank ? (size_t)(blank - words.p) : words.n;
    struct slice name = slice_of(words.p, n);
    struct slice rest = blank ? slice_of(blank + 1, words.n - n - 1) : slice_of("", 0);
    if (slice_caseeqs(name, "SASL")) {
        buf_clear(&l->mechs);
        buf_add(&l->mechs, rest.p, rest.n);
    } else if (slice_caseeqs(name, "STARTTLS")) {
        l->caps |= CAP_STARTTLS;
    } else if (slice_caseeqs(name, "COMPRESS") && slice_caseeqs(rest, "DEFLATE")) {
        l->caps |= CAP_COMPRESS;
    } else if (slice_caseeqs(name, "SIEVE-MAILBOX")) {
        l->caps |= CAP_SIEVE_MAILBOX;
    } else if (slice_caseeqs(name, "REPLICATION-ARCHIVE")) {
        l->caps |= CAP_ARCHIVE;
    } else if (slice_caseeqs(name, "UNMAILBOX-ID")) {
        l->caps |= CAP_UNMAILBOX_ID;
    }
}

/* "* OK HOST Cyrus sync server 3.12.1-Debian-..." */
static void note_version(struct login *l)
{
    static const char words[] = "Cyrus sync server ";
    unsigned major, minor;
    const char *at = strstr(buf_cstr(&l->line), words);
    if (!at || sscanf(at + sizeof words - 1, "%u.%u", &major, &minor) != 2)
        return;
    if (major > 3 || (major == 3 && minor >= 13))
        l->caps |= CAP_LONG_THRID;
    if (major < 3 || (major == 3 && minor < 6))
        l->caps |= CAP_BEFORE_3_6;
}

/* imapd greets with its capabilities in brackets, or at least with its name. */
static bool is_imap_greeting(struct login *l)
{
    const char *line = buf_cstr(&l->line);
    if (strstr(line, "sync server") || l->caps || buf_len(&l->mechs) > 0)
        return false;
    return line_says(l, "* PREAUTH") || strstr(line, "[CAPABILITY") || strstr(line, " IMAP4") ||
           strstr(line, " IMAP ");
}

/* Lines up to "* OK"; whatever an earlier greeting said is forgotten. */
static struct err *read_greeting(struct login *l)
{
    int64_t deadline = phase(l);
    l->caps = 0;
    buf_clear(&l->mechs);
    for (;;) {
        TRY(read_line(l, "greeting", deadline));
        struct slice line = buf_slice(&l->line);
        bool final = line_says(l, "* OK");
        if ((final || !slice_starts(line, "* ") || line_says(l, "* PREAUTH")) && is_imap_greeting(l))
            return err_new(ERR_CONNECT,
                           "%s: this port speaks IMAP: replication over IMAP is not available in this "
                           "version, use the replica's csync port", l->c->peer);
        if (final) {
            note_version(l);
            return NULL;
        }
        if (!slice_starts(line, "* ") || line_says(l, "* BYE") || slice_starts(line, "* Fatal"))
            return err_new(ERR_CONNECT, "%s: greeting: " SLICE_FMT, l->c->peer, SLICE_ARG(line));
        add_capability(l, slice_of(line.p + 2, line.n - 2));
    }
}

/* ---- TLS ---- */

static struct err *handshake(struct login *l)
{
    struct err *e = transport_start_tls(l->t, phase(l));
    if (e && e->kind != ERR_INTERRUPTED)
        e->kind = ERR_CONNECT;
    if (e)
        return err_wrap(e, "%s", l->c->peer);
    log_msg(LOG_NOTICE, "%s: the TLS certificate of the replica is not verified", l->c->peer);
    return NULL;
}

static struct err *start_tls(struct login *l)
{
    TRY(ask(l, "STARTTLS", "STARTTLS", phase(l)));
    if (!line_says(l, "OK"))
        return err_new(ERR_CONNECT, "%s: STARTTLS refused: %s", l->c->peer, buf_cstr(&l->line));
    if (buf_len(&l->t->in) > 0) /* somebody in between may have put it there */
        return err_new(ERR_CONNECT, "%s: unencrypted data behind the answer to STARTTLS", l->c->peer);
    TRY(handshake(l));
    return read_greeting(l);
}

/* ---- AUTHENTICATE ---- */

static bool has_word(const char *list, struct slice word)
{
    while (*list) {
        size_t n = strcspn(list, " ");
        if (n == word.n && strncasecmp(list, word.p, n) == 0)
            return true;
        list += n + strspn(list + n, " ");
    }
    return false;
}

/* The advertised mechanisms that the options allow. */
static void usable_mechs(struct login *l, struct buf *out)
{
    for (const char *p = buf_cstr(&l->mechs); *p;) {
        size_t n = strcspn(p, " ");
        struct slice word = slice_of(p, n);
        if (n > 0 && (!l->o->mechs || !*l->o->mechs || has_word(l->o->mechs, word))) {
            if (buf_len(out) > 0)
                buf_addc(out, ' ');
            buf_add(out, p, n);
        }
        p += n + strspn(p + n, " ");
    }
}

static struct err *not_authenticated(const char *reason)
{
    return err_new(ERR_AUTH, "couldn't authenticate to backend server: %s", reason);
}

/* The mechanism failed on our side: "*" ends the exchange (spec/wire.md §1.5). */
static struct err *cancel(struct login *l, struct err *why, int64_t deadline)
{
    err_free(ask(l, "AUTHENTICATE", "*", deadline));
    struct err *e = not_authenticated(why->msg);
    err_free(why);
    return e;
}

static struct err *answer_challenges(struct login *l, struct sasl_exchange *x, int64_t deadline)
{
    struct buf response = BUF_INIT;
    struct err *e = NULL;
    while (!e && line_says(l, "+")) {
        struct slice line = buf_slice(&l->line);
        struct slice challenge = line.n > 2 ? slice_of(line.p + 2, line.n - 2) : slice_of("", 0);
        buf_clear(&response);
        e = sasl_exchange_step(x, challenge, &response);
        if (e)
            e = cancel(l, e, deadline);
        else
            e = ask(l, "AUTHENTICATE", buf_cstr(&response), deadline);
    }
    buf_free(&response);
    return e;
}

static struct err *authenticate_with(struct login *l, struct sasl_exchange *x, const char *mechs)
{
    struct buf initial = BUF_INIT;
    const char *mech;
    int64_t deadline = phase(l);
    struct err *e = sasl_exchange_start(x, mechs, &mech, &initial);
    if (e) {
        struct err *told = not_authenticated(e->msg);
        err_free(e);
        buf_free(&initial);
        return told;
    }
    struct buf *out = &l->t->out;
    buf_printf(out, "AUTHENTICATE %s", mech);
    if (buf_len(&initial) > 0) {
        buf_addc(out, ' ');
        buf_add(out, buf_ptr(&initial), buf_len(&initial));
    }
    buf_free(&initial);
    TRY(ask(l, "AUTHENTICATE", "", deadline));
    TRY(answer_challenges(l, x, deadline));
    if (line_says(l, "OK"))
        return NULL;
    if (line_says(l, "NO") || line_says(l, "BAD"))
        return not_authenticated(line_text(l));
    return err_new(ERR_CONNECT, "%s: AUTHENTICATE: %s", l->c->peer, buf_cstr(&l->line));
}

static struct err *authenticate(struct login *l)
{
    struct buf mechs = BUF_INIT;
    struct sasl_exchange *x;
    struct err *e;
    usable_mechs(l, &mechs);
    if (buf_len(&mechs) == 0) {
        if (l->o->mechs && *l->o->mechs)
            log_msg(LOG_INFO, "%s did not offer %s", l->c->peer, l->o->mechs);
        e = not_authenticated("no mechanism available");
    } else if (!(e = sasl_exchange_new(l->o, l->ep->host, &x))) {
        e = authenticate_with(l, x, buf_cstr(&mechs));
        sasl_exchange_free(x);
    }
    buf_free(&mechs);
    return e;
}

/* ---- COMPRESS ---- */

static bool wants_compression(const struct login *l)
{
    switch (l->o->compress) {
    case COMPRESS_OFF: return false;
    case COMPRESS_AUTO: return (l->caps & CAP_COMPRESS) && !l->c->local;
    case COMPRESS_ON: return (l->caps & CAP_COMPRESS) != 0;
    case COMPRESS_REQUIRE: return true; /* under TLS it is taken though not offered (§1.6) */
    }
    return false;
}

static struct err *compress(struct login *l)
{
    if (!wants_compression(l))
        return NULL;
    TRY(ask(l, "COMPRESS", "COMPRESS DEFLATE", phase(l)));
    if (line_says(l, "OK")) {
        transport_start_deflate(l->t);
        return NULL;
    }
    if (line_says(l, "BYE"))
        return err_new(ERR_CONNECT, "%s: %s", l->c->peer, buf_cstr(&l->line));
    if (l->o->compress == COMPRESS_REQUIRE)
        return err_new(ERR_NOTSUPPORTED, "Failed to enable compression to server '%s'", l->o->server);
    log_msg(LOG_NOTICE, "Failed to enable compression, continuing uncompressed");
    return NULL;
}

/* ---- all of it ---- */

static struct err *run(struct login *l)
{
    if (l->ep->tls)
        TRY(handshake(l));
    TRY(read_greeting(l));
    if (l->ep->is_path) /* connecting was the login: §1.10 */
        return compress(l);
    if ((l->caps & CAP_STARTTLS) && !l->ep->tls)
        TRY(start_tls(l));
    if (!l->ep->noauth)
        TRY(authenticate(l));
    return compress(l);
}

struct err *login_run(struct transport *t, const struct endpoint *ep, const struct connection *c,
                      const struct session_options *o, unsigned *capabilities)
{
    struct login l = { .t = t, .ep = ep, .c = c, .o = o, .mechs = BUF_INIT, .line = BUF_INIT };
    struct err *e = run(&l);
    *capabilities = l.caps;
    buf_free(&l.mechs);
    buf_free(&l.line);
    return e;
}
