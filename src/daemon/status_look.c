/* What the status tells (daemon/status_look.h). */
#include "daemon/status_look.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fansync/clock.h"
#include "fansync/mem.h"
#include "fansync/synclog.h"

double seconds_since(int64_t ns)
{
    return (double)(clock_ns() - ns) / 1e9;
}

/* ---- the queue ---- */

/* What a walk through it finds. */
struct walk {
    struct picture *p;
    int64_t oldest, oldest_retry; /* -1: none */
};

static void make_older(int64_t *oldest, int64_t ns)
{
    if (*oldest < 0 || ns < *oldest)
        *oldest = ns;
}

static void retry_free(struct retry *r)
{
    buf_free(&r->record);
    buf_free(&r->why);
}

/* Among the oldest; the youngest of those that were there may have to go. */
static void keep_retry(struct picture *p, const struct queue_view *v)
{
    struct retry r = { v->first_ns, v->due_ns, v->attempts, BUF_INIT, BUF_INIT };
    if (p->told == RETRIES_TOLD && v->first_ns >= p->retry[RETRIES_TOLD - 1].first_ns)
        return;
    if (!synclog_format(&r.record, &v->action)) {
        buf_free(&r.record);
        return;
    }
    buf_add(&r.why, v->why.p, v->why.n);
    if (p->told == RETRIES_TOLD)
        retry_free(&p->retry[--p->told]);
    size_t i = p->told++;
    for (; i > 0 && p->retry[i - 1].first_ns > r.first_ns; i--)
        p->retry[i] = p->retry[i - 1];
    p->retry[i] = r;
}

static void walk_one(void *ctx, const struct queue_view *v)
{
    struct walk *w = ctx;
    make_older(v->attempts ? &w->oldest_retry : &w->oldest, v->first_ns);
    w->p->stuck += v->attempts >= STUCK_TRIES && v->last_try == QUEUE_TRY_FAILED;
    if (v->state != QUEUE_DEFERRED)
        return;
    w->p->retries++;
    keep_retry(w->p, v);
}

static void walk_queue(struct picture *p, struct line *l)
{
    struct walk w = { p, -1, -1 };
    queue_each(l->queue, walk_one, &w);
    p->lag = w.oldest < 0 ? 0 : seconds_since(w.oldest);
    p->oldest_retry = w.oldest_retry < 0 ? 0 : seconds_since(w.oldest_retry);
}

/* ---- the senders ---- */

static void add_counters(struct engine_counters *sum, const struct engine_counters *c)
{
    sum->mailboxes += c->mailboxes;
    sum->mailboxes_sent += c->mailboxes_sent;
    sum->records_sent += c->records_sent;
    sum->messages_uploaded += c->messages_uploaded;
    sum->copybacks += c->copybacks;
    sum->conflicts += c->conflicts;
    sum->wire.commands += c->wire.commands;
    sum->wire.round_trips += c->wire.round_trips;
    sum->wire.bytes_out += c->wire.bytes_out;
    sum->wire.bytes_in += c->wire.bytes_in;
}

static void add_error(struct sender_status *sum, const struct sender_status *s)
{
    if (!s->error[0] || s->error_time < sum->error_time)
        return;
    memcpy(sum->error, s->error, sizeof sum->error);
    sum->error_time = s->error_time;
    sum->error_over = s->error_over;
}

static void add_sender(struct picture *p, const struct sender_status *s)
{
    struct sender_status *sum = &p->sum;
    if (s->connected_since) {
        p->connected++;
        if (!sum->connected_since || s->connected_since < sum->connected_since)
            sum->connected_since = s->connected_since;
    }
    p->paused += s->state == SENDER_PAUSED;
    p->blocked += s->state == SENDER_BLOCKED;
    double quiet = s->quiet_since ? (double)(time(NULL) - s->quiet_since) : 0;
    if (quiet > p->waiting)
        p->waiting = quiet;
    sum->batches += s->batches;
    sum->failed += s->failed;
    sum->locked += s->locked;
    sum->reconnects += s->reconnects;
    sum->spilled += s->spilled;
    sum->pauses += s->pauses;
    add_counters(&sum->counters, &s->counters);
    add_error(sum, s);
}

void picture_take(struct picture *p, struct line *l)
{
    *p = (struct picture){
        .line = l, .name = l->channel.name ? l->channel.name : "", .server = l->channel.replica.session.server,
        .senders = l->o.connections,
    };
    p->q = queue_counters(l->queue);
    p->sender = mem_array(p->senders, sizeof *p->sender);
    for (unsigned i = 0; i < p->senders; i++) {
        p->sender[i] = line_sender_status(l, i);
        add_sender(p, &p->sender[i]);
    }
    walk_queue(p, l);
}

void picture_free(struct picture *p)
{
    for (size_t i = 0; i < p->told; i++)
        retry_free(&p->retry[i]);
    free(p->sender);
}

/* ---- figures ---- */

size_t figures_of_channel(const struct picture *p, struct figure *f)
{
    const struct engine_counters *c = &p->sum.counters;
    const struct figure all[] = {
        { "connections", "gauge", "Connections to the replica that stand", p->connected },
        { "connected_since", "gauge", "When the oldest of them was made, seconds of the epoch, 0 without one", (double)p->sum.connected_since },
        { "paused", "gauge", "Connections that wait because nothing can be carried out", p->paused },
        { "blocked", "gauge", "Connections that the replica refuses", p->blocked },
        { "waiting_seconds", "gauge", "How long the replica has not answered in the batch at hand", p->waiting },
        { "lag_seconds", "gauge", "Age of the oldest action that is not confirmed and has not failed", p->lag },
        { "oldest_retry_seconds", "gauge", "Age of the oldest action that has failed or was locked", p->oldest_retry },
        { "queued", "gauge", "Actions that wait", (double)p->q.queued },
        { "sending", "gauge", "Actions being carried out", (double)p->q.sending },
        { "retrying", "gauge", "Actions that are to be tried again at a later time", (double)p->q.deferred },
        { "stuck", "gauge", "Actions that have failed five times or more", (double)p->stuck },
        { "records", "counter", "Records taken from logs", (double)p->q.pushed },
        { "merged", "counter", "Records that joined a waiting action", (double)(p->q.merged + p->q.covered) },
        { "confirmed", "counter", "Actions that the replica has confirmed", (double)p->q.confirmed },
        { "failed", "counter", "Tries of actions that failed", (double)p->sum.failed },
        { "locked", "counter", "Tries of actions that somebody else had locked", (double)p->sum.locked },
        { "pauses", "counter", "How often nothing could be carried out", (double)p->sum.pauses },
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
    _Static_assert(sizeof all <= FIGURES_MOST * sizeof *all, "FIGURES_MOST");
    memcpy(f, all, sizeof all);
    return sizeof all / sizeof *all;
}

size_t figures_of_log(const struct tail_stats *s, struct figure *f)
{
    const struct figure all[] = {
        { "records", "counter", "Records read", (double)s->records },
        { "unread_bytes", "gauge", "Bytes that were not read yet", (double)s->unread },
        { "unconfirmed_bytes", "gauge", "Bytes that were read and are not settled", (double)s->bytes },
        { "oldest_seconds", "gauge", "Age of the oldest part that is not settled", (double)s->oldest_ms / 1000 },
        { "rejected", "counter", "Lines that are no records", (double)s->rejected },
        { "truncations", "counter", "How often it was emptied in place", (double)s->truncations },
        { "rotations", "counter", "How often it was moved aside", (double)s->rotations },
        { "foreign_readers", "counter", "How often another client moved it aside", (double)s->foreign },
    };
    memcpy(f, all, sizeof all);
    return sizeof all / sizeof *all;
}

/* ---- what needs an operator ---- */

static const char *told_name(const struct picture *p)
{
    return *p->name ? p->name : "(default)";
}

void faults_write(struct buf *out, const struct status_view *v, const struct picture *pictures)
{
    struct tailing_status log;
    if (v->faults)
        buf_add(out, buf_ptr(v->faults), buf_len(v->faults));
    for (size_t i = 0; i < v->n; i++) {
        const struct picture *p = &pictures[i];
        if (p->blocked)
            buf_printf(out, "channel %s: the replica refuses us: %s\n", told_name(p), p->sum.error);
        if (p->stuck)
            buf_printf(out, "channel %s: %" PRIu64 " records keep failing\n", told_name(p), p->stuck);
    }
    for (size_t i = 0; tailing_status(v->tailing, i, &log); i++)
        if (log.stats.fault[0])
            buf_printf(out, "%s: blocked: %s\n", log.folder, log.stats.fault);
}
