/* The state of the process in its forms (daemon/status.h). Main thread. */
#include "daemon/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/status_look.h"
#include "fansync/escape.h"
#include "fansync/log.h"
#include "fansync/mem.h"

static void put_value(struct buf *b, double v)
{
    if (v == (double)(int64_t)v)
        buf_printf(b, "%" PRId64, (int64_t)v);
    else
        buf_printf(b, "%.3f", v);
}

/* Takes the next line of a text off it; false at its end. */
static bool next_line(struct slice *text, struct slice *line)
{
    const char *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
    if (!end)
        return false;
    *line = slice_of(text->p, (size_t)(end - text->p));
    *text = slice_of(end + 1, text->n - line->n - 1);
    return true;
}

/* A record, without the end of its line. */
static struct slice record_of(const struct retry *r)
{
    return slice_of(buf_ptr(&r->record), buf_len(&r->record) - 1);
}

/* ---- text ---- */

static void put_time(struct buf *b, int64_t when)
{
    char text[32];
    time_t t = (time_t)when;
    struct tm tm;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
    buf_adds(b, text);
}

static void put_at(struct buf *b, const char *before, int64_t when)
{
    if (!when)
        return;
    buf_adds(b, before);
    put_time(b, when);
}

static void put_why(struct buf *b, const struct sender_status *s)
{
    buf_adds(b, ": ");
    escape_text(b, slice_str(s->error), ESCAPE_ALL);
}

static void text_state(struct buf *b, const struct sender_status *s)
{
    if (s->state == SENDER_SENDING && s->quiet_since) {
        put_at(b, "waiting for the replica since ", s->quiet_since);
        put_at(b, ", sending since ", s->since);
        return;
    }
    buf_adds(b, sender_state_name(s->state));
    put_at(b, s->until ? " until " : " since ", s->until ? s->until : s->since);
    if (s->state == SENDER_PAUSED || s->state == SENDER_BLOCKED)
        put_why(b, s);
}

static void text_head(struct buf *b, const struct picture *p)
{
    buf_printf(b, "%s -> %s: ", *p->name ? p->name : "(default)", p->server);
    if (p->connected)
        put_at(b, "connected since ", p->sum.connected_since);
    else
        buf_adds(b, "not connected");
    for (unsigned i = 0; i < p->senders; i++) {
        if (p->senders > 1)
            buf_printf(b, "\n    connection %u", i + 1);
        buf_adds(b, p->senders > 1 ? ": " : ", ");
        text_state(b, &p->sender[i]);
    }
    buf_addc(b, '\n');
}

static void text_numbers(struct buf *b, const struct picture *p)
{
    const struct engine_counters *c = &p->sum.counters;
    buf_printf(b, "    lag %.1f s, queued %" PRIu64 ", sending %" PRIu64 ", retrying %" PRIu64 " (oldest %.0f s)\n", p->lag,
               p->q.queued, p->q.sending, p->q.deferred, p->oldest_retry);
    buf_printf(b, "    records %" PRIu64 ", merged %" PRIu64 ", confirmed %" PRIu64 ", failed %" PRIu64 ", locked %" PRIu64
               ", spilled %" PRIu64 "\n", p->q.pushed, p->q.merged + p->q.covered, p->q.confirmed, p->sum.failed, p->sum.locked,
               p->sum.spilled);
    buf_printf(b, "    mailboxes sent %" PRIu64 ", messages %" PRIu64 ", bytes %" PRIu64 " out %" PRIu64 " in, round trips %"
               PRIu64 ", connects %" PRIu64 "\n", c->mailboxes_sent, c->messages_uploaded, c->wire.bytes_out,
               c->wire.bytes_in, c->wire.round_trips, p->sum.reconnects);
}

static void text_retries(struct buf *b, const struct picture *p)
{
    for (size_t i = 0; i < p->told; i++) {
        const struct retry *r = &p->retry[i];
        double left = -seconds_since(r->due_ns);
        buf_adds(b, "    retry: ");
        escape_text(b, record_of(r), ESCAPE_ALL);
        buf_printf(b, " (%u tries, for %.0f s, next in %.0f s): ", r->tries, seconds_since(r->first_ns), left > 0 ? left : 0);
        escape_text(b, buf_slice(&r->why), ESCAPE_ALL);
        buf_addc(b, '\n');
    }
    if (p->retries > p->told)
        buf_printf(b, "    and %" PRIu64 " more\n", p->retries - p->told);
}

static void text_channel(struct buf *b, const struct picture *p)
{
    text_head(b, p);
    text_numbers(b, p);
    text_retries(b, p);
    if (!p->sum.error[0])
        return;
    put_at(b, "    last error, at ", p->sum.error_time);
    buf_adds(b, p->sum.error_over ? ", over: " : ": ");
    escape_text(b, slice_str(p->sum.error), ESCAPE_ALL);
    buf_addc(b, '\n');
}

static void text_logs(struct buf *b, struct tailing *t)
{
    struct tailing_status s;
    for (size_t i = 0; tailing_status(t, i, &s); i++)
        buf_printf(b, "%slog: records %" PRIu64 ", unread bytes %" PRIu64 ", unconfirmed bytes %" PRIu64
                   ", oldest %.1f s, rejected %" PRIu64 ", foreign readers %" PRIu64 "\n", s.folder, s.stats.records,
                   s.stats.unread, s.stats.bytes, (double)s.stats.oldest_ms / 1000, s.stats.rejected, s.stats.foreign);
}

static void text(struct buf *b, const struct status_view *v, const struct picture *p, struct slice faults)
{
    struct slice line;
    for (size_t i = 0; i < v->n; i++)
        text_channel(b, &p[i]);
    text_logs(b, v->tailing);
    while (next_line(&faults, &line)) {
        buf_adds(b, "NEEDS AN OPERATOR: ");
        escape_text(b, line, ESCAPE_ALL);
        buf_addc(b, '\n');
    }
}

/* ---- JSON ---- */

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

static void json_member(struct buf *b, const char *name, struct slice value)
{
    buf_printf(b, ", \"%s\": ", name);
    put_json_string(b, value);
}

static void json_figures(struct buf *b, const struct figure *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, ", \"%s\": ", f[i].name);
        put_value(b, f[i].value);
    }
}

static void json_senders(struct buf *b, const struct picture *p)
{
    buf_adds(b, ", \"states\": [");
    for (unsigned i = 0; i < p->senders; i++) {
        const struct sender_status *s = &p->sender[i];
        bool waits = s->state == SENDER_SENDING && s->quiet_since;
        buf_printf(b, "%s{\"state\": \"%s\", \"since\": %" PRId64 ", \"until\": %" PRId64, i ? ", " : "",
                   waits ? "waiting for the replica" : sender_state_name(s->state), waits ? s->quiet_since : s->since, s->until);
        json_member(b, "why", slice_str(s->state == SENDER_PAUSED || s->state == SENDER_BLOCKED ? s->error : ""));
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void json_retries(struct buf *b, const struct picture *p)
{
    buf_printf(b, ", \"more_retries\": %" PRIu64 ", \"retries\": [", p->retries - p->told);
    for (size_t i = 0; i < p->told; i++) {
        const struct retry *r = &p->retry[i];
        double left = -seconds_since(r->due_ns);
        buf_adds(b, i ? ", {\"record\": " : "{\"record\": ");
        put_json_string(b, record_of(r));
        buf_printf(b, ", \"tries\": %u, \"age_seconds\": %.1f, \"next_seconds\": %.1f", r->tries,
                   seconds_since(r->first_ns), left > 0 ? left : 0);
        json_member(b, "why", buf_slice(&r->why));
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void json_channel(struct buf *b, const struct picture *p)
{
    struct figure f[FIGURES_MOST];
    size_t n = figures_of_channel(p, f);
    buf_adds(b, "{\"channel\": ");
    put_json_string(b, slice_str(p->name));
    json_member(b, "server", slice_str(p->server));
    json_figures(b, f, n);
    json_senders(b, p);
    json_member(b, "last_error", slice_str(p->sum.error));
    buf_printf(b, ", \"last_error_time\": %" PRId64 ", \"last_error_over\": %s", p->sum.error_time,
               p->sum.error_over ? "true" : "false");
    json_retries(b, p);
    buf_addc(b, '}');
}

static void json_logs(struct buf *b, struct tailing *t)
{
    struct tailing_status s;
    struct figure f[FIGURES_MOST];
    for (size_t i = 0; tailing_status(t, i, &s); i++) {
        buf_adds(b, i ? ", {\"folder\": " : "{\"folder\": ");
        put_json_string(b, slice_str(s.folder));
        json_member(b, "fault", slice_str(s.stats.fault));
        json_figures(b, f, figures_of_log(&s.stats, f));
        buf_addc(b, '}');
    }
}

static void json(struct buf *b, const struct status_view *v, const struct picture *p, struct slice faults)
{
    struct slice line;
    buf_adds(b, "{\"channels\": [");
    for (size_t i = 0; i < v->n; i++) {
        if (i)
            buf_adds(b, ", ");
        json_channel(b, &p[i]);
    }
    buf_adds(b, "], \"logs\": [");
    json_logs(b, v->tailing);
    buf_adds(b, "], \"faults\": [");
    for (bool first = true; next_line(&faults, &line); first = false) {
        buf_adds(b, first ? "" : ", ");
        put_json_string(b, line);
    }
    buf_adds(b, "]}\n");
}

/* ---- OpenMetrics ---- */

/* One source of figures: a channel or a log. */
struct measured {
    const char *label;
    struct figure f[FIGURES_MOST];
};

static void put_label(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "{%s=\"", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '"')
            buf_addc(b, '\\');
        if (*p == '\n')
            buf_adds(b, "\\n");
        else
            buf_addc(b, *p);
    }
    buf_adds(b, "\"} ");
}

static void metrics_of(struct buf *b, const char *prefix, const char *label, const struct measured *m, size_t n, size_t figures)
{
    for (size_t k = 0; k < figures && n > 0; k++) {
        const struct figure *x = &m[0].f[k];
        buf_printf(b, "# TYPE %s%s %s\n# HELP %s%s %s.\n", prefix, x->name, x->type, prefix, x->name, x->help);
        for (size_t i = 0; i < n; i++) {
            buf_printf(b, "%s%s%s", prefix, x->name, strcmp(x->type, "counter") == 0 ? "_total" : "");
            put_label(b, label, m[i].label);
            put_value(b, m[i].f[k].value);
            buf_addc(b, '\n');
        }
    }
}

static void metrics_of_logs(struct buf *b, struct tailing *t)
{
    struct measured *m = NULL;
    size_t n = 0, cap = 0, figures = 0;
    struct tailing_status s;
    for (; tailing_status(t, n, &s); n++) {
        m = mem_grow(m, n, &cap, sizeof *m);
        m[n].label = s.folder;
        figures = figures_of_log(&s.stats, m[n].f);
    }
    metrics_of(b, "fansync_log_", "folder", m, n, figures);
    free(m);
}

static void metrics(struct buf *b, const struct status_view *v, const struct picture *p, struct slice faults)
{
    struct measured *m = mem_array(v->n ? v->n : 1, sizeof *m);
    struct slice line;
    size_t figures = 0, n = 0;
    for (size_t i = 0; i < v->n; i++) {
        m[i].label = p[i].name;
        figures = figures_of_channel(&p[i], m[i].f);
    }
    metrics_of(b, "fansync_", "channel", m, v->n, figures);
    free(m);
    metrics_of_logs(b, v->tailing);
    while (next_line(&faults, &line))
        n++;
    buf_printf(b, "# TYPE fansync_faults gauge\n# HELP fansync_faults What needs an operator.\nfansync_faults %zu\n# EOF\n", n);
}

/* ---- all ---- */

void status_write(struct buf *out, enum status_format format, const struct status_view *v)
{
    struct picture *p = mem_array(v->n ? v->n : 1, sizeof *p);
    struct buf faults = BUF_INIT;
    for (size_t i = 0; i < v->n; i++)
        picture_take(&p[i], v->lines[i]);
    faults_write(&faults, v, p);
    switch (format) {
    case STATUS_TEXT:
        text(out, v, p, buf_slice(&faults));
        break;
    case STATUS_JSON:
        json(out, v, p, buf_slice(&faults));
        break;
    case STATUS_METRICS:
        metrics(out, v, p, buf_slice(&faults));
        break;
    case STATUS_FAULTS:
        buf_printf(out, "faults\n");
        buf_add(out, buf_ptr(&faults), buf_len(&faults));
        break;
    }
    for (size_t i = 0; i < v->n; i++)
        picture_free(&p[i]);
    buf_free(&faults);
    free(p);
}

void status_log(const struct status_view *v)
{
    struct buf b = BUF_INIT;
    struct slice all, line;
    status_write(&b, STATUS_TEXT, v);
    for (all = buf_slice(&b); next_line(&all, &line);)
        log_msg(LOG_NOTICE, "status: " SLICE_FMT, SLICE_ARG(line));
    buf_free(&b);
}
