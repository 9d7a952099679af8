/* The state of the process in three forms (daemon/status.h). Main thread. */
#include "daemon/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fansync/escape.h"
#include "fansync/log.h"
#include "fansync/synclog.h"

enum { RETRIES_TOLD = 50 };

/* ---- gathering ---- */

/* A line's numbers, summed over its senders. */
struct picture {
    const char *name;
    const char *server;
    struct queue_counters q;
    struct sender_status sum;
    unsigned connected;
    double lag; /* seconds; the age of the oldest action that is not confirmed */
};

static double seconds_since(int64_t ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return ns < 0 ? 0 : (double)((int64_t)t.tv_sec * 1000000000 + t.tv_nsec - ns) / 1e9;
}

static void add_sender(struct picture *p, const struct sender_status *s)
{
    struct engine_counters *c = &p->sum.counters;
    if (s->connected_since) {
        p->connected++;
        if (!p->sum.connected_since || s->connected_since < p->sum.connected_since)
            p->sum.connected_since = s->connected_since;
    }
    p->sum.batches += s->batches;
    p->sum.done += s->done;
    p->sum.failed += s->failed;
    p->sum.locked += s->locked;
    p->sum.reconnects += s->reconnects;
    p->sum.spilled += s->spilled;
    c->mailboxes += s->counters.mailboxes;
    c->mailboxes_sent += s->counters.mailboxes_sent;
    c->records_sent += s->counters.records_sent;
    c->messages_uploaded += s->counters.messages_uploaded;
    c->copybacks += s->counters.copybacks;
    c->conflicts += s->counters.conflicts;
    c->wire.commands += s->counters.wire.commands;
    c->wire.round_trips += s->counters.wire.round_trips;
    c->wire.bytes_out += s->counters.wire.bytes_out;
    c->wire.bytes_in += s->counters.wire.bytes_in;
    if (s->error[0])
        memcpy(p->sum.error, s->error, sizeof p->sum.error);
}

static struct picture look(struct line *l)
{
    struct picture p = {
        .name = l->channel.name ? l->channel.name : "", .server = l->channel.replica.session.server,
        .q = queue_counters(l->queue), .lag = seconds_since(queue_oldest_ns(l->queue)),
    };
    for (unsigned i = 0; i < l->o.connections; i++) {
        struct sender_status s = line_sender_status(l, i);
        add_sender(&p, &s);
    }
    return p;
}

struct number {
    const char *name; /* of JSON, and behind "fansync_" of metrics */
    const char *type;
    const char *help;
    double value;
};

enum { NUMBERS = 24 };

static size_t numbers_of(const struct picture *p, struct number *n)
{
    const struct engine_counters *c = &p->sum.counters;
    const struct number all[] = {
        { "connections", "gauge", "Connections to the replica that stand", p->connected },
        { "lag_seconds", "gauge", "Age of the oldest action that is not confirmed", p->lag },
        { "queued", "gauge", "Actions that wait", (double)p->q.queued },
        { "sending", "gauge", "Actions being carried out", (double)p->q.sending },
        { "retrying", "gauge", "Actions that failed or were locked and wait to be tried again", (double)p->q.deferred },
        { "records", "counter", "Records taken from logs", (double)p->q.pushed },
        { "merged", "counter", "Records that joined a waiting action", (double)(p->q.merged + p->q.covered) },
        { "confirmed", "counter", "Actions that the replica has confirmed", (double)p->q.confirmed },
        { "failed", "counter", "Tries of actions that failed", (double)p->sum.failed },
        { "locked", "counter", "Tries of actions that somebody else had locked", (double)p->sum.locked },
        { "spilled", "counter", "Waiting records written to the channel's own log", (double)p->sum.spilled },
        { "batches", "counter", "Batches", (double)p->sum.batches },
        { "connects", "counter", "Connections made", (double)p->sum.reconnects },
        { "mailboxes_compared", "counter", "Mailboxes compared", (double)c->mailboxes },
        { "mailboxes_sent", "counter", "Mailboxes sent", (double)c->mailboxes_sent },
        { "records_sent", "counter", "Message records sent", (double)c->records_sent },
        { "messages_uploaded", "counter", "Messages uploaded", (double)c->messages_uploaded },
        { "copybacks", "counter", "Mailboxes changed on the master", (double)c->copybacks },
        { "conflicts", "counter", "Mailboxes that would have to be changed on the master", (double)c->conflicts },
        { "commands", "counter", "Commands", (double)c->wire.commands },
        { "round_trips", "counter", "Round trips", (double)c->wire.round_trips },
        { "bytes_out", "counter", "Bytes sent", (double)c->wire.bytes_out },
        { "bytes_in", "counter", "Bytes received", (double)c->wire.bytes_in },
    };
    memcpy(n, all, sizeof all);
    return sizeof all / sizeof *all;
}

static void put_value(struct buf *b, double v)
{
    if (v == (double)(int64_t)v)
        buf_printf(b, "%" PRId64, (int64_t)v);
    else
        buf_printf(b, "%.3f", v);
}

/* ---- what fails ---- */

struct retries {
    struct buf *out;
    bool json;
    size_t n;
};

static void put_json_string(struct buf *b, struct slice s)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c < ' ' || c >= 127)
            buf_printf(b, "\\u%04x", c); /* bytes of a name that is not ASCII are told as such */
        else
            buf_addc(b, (char)c);
    }
    buf_addc(b, '"');
}

static void put_retry(void *ctx, const struct queue_view *v)
{
    struct retries *r = ctx;
    struct buf line = BUF_INIT;
    if (v->state != QUEUE_DEFERRED || r->n == RETRIES_TOLD || !synclog_format(&line, &v->action)) {
        buf_free(&line);
        return;
    }
    struct slice text = slice_of(buf_ptr(&line), buf_len(&line) - 1);
    if (r->json) {
        buf_adds(r->out, r->n ? ", {\"record\": " : "{\"record\": ");
        put_json_string(r->out, text);
        buf_printf(r->out, ", \"tries\": %u, \"age_seconds\": %.1f}", v->attempts, seconds_since(v->first_ns));
    } else {
        buf_adds(r->out, "    retry: ");
        escape_text(r->out, text, ESCAPE_ALL);
        buf_printf(r->out, " (%u tries, for %.0f s)\n", v->attempts, seconds_since(v->first_ns));
    }
    r->n++;
    buf_free(&line);
}

/* ---- text ---- */

static void put_since(struct buf *b, const struct picture *p)
{
    char when[32];
    time_t t = (time_t)p->sum.connected_since;
    struct tm tm;
    if (!p->connected) {
        buf_adds(b, "not connected");
        return;
    }
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
    buf_printf(b, "connected since %s", when);
}

static void text_line(struct buf *b, struct line *l)
{
    struct picture p = look(l);
    const struct engine_counters *c = &p.sum.counters;
    struct retries r = { b, false, 0 };
    buf_printf(b, "%s -> %s: ", *p.name ? p.name : "(default)", p.server);
    put_since(b, &p);
    buf_printf(b, "\n    lag %.1f s, queued %" PRIu64 ", sending %" PRIu64 ", retrying %" PRIu64 "\n", p.lag, p.q.queued,
               p.q.sending, p.q.deferred);
    buf_printf(b, "    records %" PRIu64 ", merged %" PRIu64 ", confirmed %" PRIu64 ", failed %" PRIu64 ", locked %" PRIu64
               ", spilled %" PRIu64 "\n", p.q.pushed, p.q.merged + p.q.covered, p.q.confirmed, p.sum.failed, p.sum.locked,
               p.sum.spilled);
    buf_printf(b, "    mailboxes sent %" PRIu64 ", messages %" PRIu64 ", bytes %" PRIu64 " out %" PRIu64 " in, round trips %"
               PRIu64 ", connects %" PRIu64 "\n", c->mailboxes_sent, c->messages_uploaded, c->wire.bytes_out,
               c->wire.bytes_in, c->wire.round_trips, p.sum.reconnects);
    queue_each(l->queue, put_retry, &r);
    if (p.sum.error[0]) {
        buf_adds(b, "    last error: ");
        escape_text(b, slice_str(p.sum.error), ESCAPE_ALL);
        buf_addc(b, '\n');
    }
}

static void text_logs(struct buf *b, struct tailing *t)
{
    struct tailing_status s;
    for (size_t i = 0; tailing_status(t, i, &s); i++)
        buf_printf(b, "%slog: records %" PRIu64 ", unconfirmed bytes %" PRIu64 ", oldest %.1f s, rejected %" PRIu64
                   ", foreign readers %" PRIu64 "\n", s.folder, s.stats.records, s.stats.bytes,
                   (double)s.stats.oldest_ms / 1000, s.stats.rejected, s.stats.foreign);
}

/* ---- JSON ---- */

static void json_line(struct buf *b, struct line *l)
{
    struct picture p = look(l);
    struct number n[NUMBERS];
    struct retries r = { b, true, 0 };
    size_t count = numbers_of(&p, n);
    buf_adds(b, "{\"channel\": ");
    put_json_string(b, slice_str(p.name));
    buf_adds(b, ", \"server\": ");
    put_json_string(b, slice_str(p.server));
    buf_printf(b, ", \"connected_since\": %" PRId64, p.sum.connected_since);
    for (size_t i = 0; i < count; i++) {
        buf_printf(b, ", \"%s\": ", n[i].name);
        put_value(b, n[i].value);
    }
    buf_adds(b, ", \"last_error\": ");
    put_json_string(b, slice_str(p.sum.error));
    buf_adds(b, ", \"retries\": [");
    queue_each(l->queue, put_retry, &r);
    buf_adds(b, "]}");
}

static void json_logs(struct buf *b, struct tailing *t)
{
    struct tailing_status s;
    for (size_t i = 0; tailing_status(t, i, &s); i++) {
        buf_adds(b, i ? ", {\"folder\": " : "{\"folder\": ");
        put_json_string(b, slice_str(s.folder));
        buf_printf(b, ", \"records\": %" PRIu64 ", \"unconfirmed_bytes\": %" PRIu64 ", \"oldest_seconds\": %.3f, "
                   "\"rejected\": %" PRIu64 ", \"truncations\": %" PRIu64 ", \"rotations\": %" PRIu64
                   ", \"foreign_readers\": %" PRIu64 "}", s.stats.records, s.stats.bytes,
                   (double)s.stats.oldest_ms / 1000, s.stats.rejected, s.stats.truncations, s.stats.rotations,
                   s.stats.foreign);
    }
}

/* ---- OpenMetrics ---- */

static void metrics_of(struct buf *b, struct line *const *lines, size_t n, size_t k)
{
    struct number number[NUMBERS];
    for (size_t i = 0; i < n; i++) {
        struct picture p = look(lines[i]);
        numbers_of(&p, number);
        const struct number *x = &number[k];
        bool counter = strcmp(x->type, "counter") == 0;
        if (i == 0)
            buf_printf(b, "# TYPE fansync_%s %s\n# HELP fansync_%s %s.\n", x->name, x->type, x->name, x->help);
        buf_printf(b, "fansync_%s%s{channel=", x->name, counter ? "_total" : "");
        put_json_string(b, slice_str(p.name));
        buf_adds(b, "} ");
        put_value(b, x->value);
        buf_addc(b, '\n');
    }
}

static void metrics(struct buf *b, struct line *const *lines, size_t n)
{
    struct number number[NUMBERS];
    struct picture none = { .name = "" };
    size_t count = numbers_of(&none, number);
    for (size_t k = 0; k < count; k++)
        metrics_of(b, lines, n, k);
    buf_adds(b, "# EOF\n");
}

/* ---- all ---- */

void status_write(struct buf *out, enum status_format format, struct line *const *lines, size_t n,
                  struct tailing *tailing)
{
    switch (format) {
    case STATUS_TEXT:
        for (size_t i = 0; i < n; i++)
            text_line(out, lines[i]);
        text_logs(out, tailing);
        break;
    case STATUS_JSON:
        buf_adds(out, "{\"channels\": [");
        for (size_t i = 0; i < n; i++) {
            if (i)
                buf_adds(out, ", ");
            json_line(out, lines[i]);
        }
        buf_adds(out, "], \"logs\": [");
        json_logs(out, tailing);
        buf_adds(out, "]}\n");
        break;
    case STATUS_METRICS:
        metrics(out, lines, n);
        break;
    }
}

void status_log(struct line *const *lines, size_t n, struct tailing *tailing)
{
    struct buf b = BUF_INIT;
    status_write(&b, STATUS_TEXT, lines, n, tailing);
    for (char *p = strtok(b.data ? b.data + b.start : NULL, "\n"); p; p = strtok(NULL, "\n"))
        log_msg(LOG_NOTICE, "status: %s", p + strspn(p, " "));
    buf_free(&b);
}
