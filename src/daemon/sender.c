/*
 * A sender: the thread of one connection (daemon/line.h). It takes what waits in its shard, runs
 * it as a batch, and settles every item:
 *
 *   confirmed           queue_done: its log segments may go
 *   locked by another   queue_defer: 1 s, doubling to a minute
 *   failed              queue_defer: 10 s, doubling to an hour (spec/operation.md B.2), or to a minute if
 *                       the replica blames itself for it
 *   failed with others  queue_defer, without counting the try, and the channel pauses (daemon/trouble.h)
 *   not tried           queue_put_back: the session was lost, or the process ends
 *
 * An item that waits keeps its record on disk. When a segment has to go although an item still
 * waits, the record is first written to the channel's own log (spill), so that at any moment
 * everything unconfirmed is in a file in Cyrus's format.
 *
 * A lost session is opened again after 1, 2, 4 ... seconds without progress, a connection that
 * cannot be made after 15, 30, 60 ... (§4.4, B.1).
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/account.h"
#include "daemon/line.h"
#include "daemon/trouble.h"
#include "fansync/clock.h"
#include "fansync/log.h"
#include "fansync/synclog.h"

enum {
    ITEMS = 512,         /* of a batch */
    LOOK_MS = 1000,      /* at the shutdown file, at least so often */
    IDLE_PROBE = 60,     /* seconds without use after which a session is asked whether it lives */
    LOCKED_MOST = 60,    /* seconds */
    FAILED_FIRST = 10,
    FAILED_MOST = 3600,
    AILING_MOST = 60,
    LIVED = 30, /* seconds */
};


/* What only the thread itself sees. */
struct work_place {
    struct sender *s;
    struct line *line;
    struct engine *engine;
    struct batch *batch;
    struct queue_item *items[ITEMS];
    struct batch_entry entries[ITEMS];
    int64_t next_batch;    /* not before */
    int64_t session_began;
    int64_t last_used;
    int64_t connect_wait;  /* seconds, of the last failure to connect; 0: none */
    int64_t lost_wait;     /* likewise of a session lost without progress */
    bool spill_failed;     /* the last one: told once */
    struct trouble trouble; /* what keeps all items from being carried out */
    bool connected_once;   /* a connection has been made, and not ended by ourselves since */
};

static bool is_closing(const struct work_place *p)
{
    return atomic_load(&p->line->closing) || *p->line->channel.o.connect.stop;
}

/* ---- status ---- */

static void set_state(struct work_place *p, enum sender_state state)
{
    account_state(p->s, state, 0, p->engine);
}

/* The session's: something moved, or the replica is waited for. */
static void tick(void *ctx, bool waits)
{
    const struct work_place *p = ctx;
    account_tick(p->s, waits, p->engine);
}

/* ---- waiting ---- */

static void clear_eventfd(int fd)
{
    eventfd_t ignored;
    eventfd_read(fd, &ignored);
}

/* Until a wake-up or until then (monotonic); queue, session: what else ends the wait, or -1. */
static void wait_until(struct work_place *p, int64_t until, int queue, int session)
{
    struct pollfd f[] = {
        { .fd = p->s->wake_fd, .events = POLLIN }, { .fd = queue, .events = POLLIN }, { .fd = session, .events = POLLIN },
    };
    int64_t left = (until - clock_ns() + 999999) / 1000000;
    if (left <= 0)
        return;
    if (poll(f, sizeof f / sizeof *f, left > LOOK_MS ? LOOK_MS : (int)left) > 0 && f[0].revents)
        clear_eventfd(p->s->wake_fd);
}

/* ---- spilling ---- */

struct spill {
    struct buf lines;
    size_t n;
};

static void take_line(void *ctx, const struct action *a)
{
    struct spill *s = ctx;
    s->n += synclog_format(&s->lines, a);
}

/* Puts the waiting actions of the slots into the channel's own log and lets go of the slots. */
static void spill_if_wanted(struct work_place *p)
{
    uint32_t slots = atomic_exchange(&p->s->want_spill, 0);
    struct spill s = { BUF_INIT, 0 };
    struct queue *q = p->line->queue;
    if (!slots)
        return;
    struct queue_waiting *w = queue_waiting(q, p->s->shard, slots, take_line, &s);
    struct err *err = s.n ? synclog_append(p->line->channel.log, buf_slice(&s.lines)) : NULL;
    if (err && !p->spill_failed)
        log_msg(LOG_ERR, "IOERROR: waiting records cannot be kept in another log, they stay where they are: %s", err->msg);
    p->spill_failed = err != NULL;
    queue_waiting_end(q, w, !err);
    if (!err && s.n) {
        log_msg(LOG_INFO, "%zu waiting records kept in %s", s.n, p->line->channel.log);
        account_spilled(p->s, s.n);
    }
    err_free(err);
    buf_free(&s.lines);
}

/* ---- the end ---- */

static void end_process(struct work_place *p, int status)
{
    int expected = 0;
    atomic_compare_exchange_strong(&p->line->exit_status, &expected, status);
    atomic_store(p->line->o.end_all, 1);
    line_end(p->line);
}

/* Looked at before anything is sent; the file goes, the log stays (§4.1). */
static bool is_told_to_end(struct work_place *p)
{
    const char *file = p->line->o.shutdown_file;
    if (!file || access(file, F_OK) < 0)
        return false;
    if (unlink(file) < 0 && errno != ENOENT)
        log_msg(LOG_ERR, "IOERROR: unlink failed: filename=<%s> syserror=<%s>", file, strerror(errno));
    end_process(p, 0);
    return true;
}

/* A wait during which everything but sending goes on. */
static void pause_for(struct work_place *p, int64_t seconds, enum sender_state state)
{
    int64_t until = clock_ns() + seconds * CLOCK_SECOND_NS;
    engine_rest(p->engine);
    account_state(p->s, state, time(NULL) + seconds, p->engine);
    while (!is_closing(p) && clock_ns() < until && !is_told_to_end(p)) {
        wait_until(p, until, -1, -1);
        spill_if_wanted(p);
    }
}

/* ---- connecting ---- */

/* The engine's connect function: one attempt. */
static struct err *connect_once(void *ctx, struct session **out)
{
    struct work_place *p = ctx;
    if (p->line->channel.o.connect.once && p->connected_once)
        return err_new(ERR_CONNECT, "the session was lost"); /* -o: not a second time */
    struct session_options o = p->line->channel.replica.session;
    o.tick = tick;
    o.tick_ctx = p;
    struct err *err = session_open(&o, out);
    if (!err) {
        p->connected_once = true;
        p->session_began = p->last_used = clock_ns();
    }
    return err;
}

static void cannot_connect(struct work_place *p, const struct err *err)
{
    const struct connector *c = &p->line->channel.replica;
    const char *server = c->session.server;
    account_error(p->s, err->msg);
    if (err->kind == ERR_INTERRUPTED)
        return;
    if (connect_is_final(c, err)) {
        end_process(p, 1);
        return;
    }
    p->connect_wait = connect_next_wait(p->connect_wait, c->maxwait);
    fprintf(stderr, "Can not connect to server '%s', retrying in %lld seconds\n", server, (long long)p->connect_wait);
    pause_for(p, p->connect_wait, err->kind == ERR_AUTH ? SENDER_BLOCKED : SENDER_WAITING);
}

/* -o: the channel ends with its session; a replica that said BYE is no error (B.1). */
static bool ends_with_session(struct work_place *p)
{
    if (!p->line->channel.replica.once)
        return false;
    end_process(p, engine_lost_by(p->engine) == ERR_BYE ? 0 : 1);
    return true;
}

static bool be_connected(struct work_place *p)
{
    if (engine_connected(p->engine)) {
        if (clock_ns() - p->last_used < IDLE_PROBE * CLOCK_SECOND_NS)
            return true;
        p->last_used = clock_ns();
        if (engine_probe(p->engine))
            return true;
        if (ends_with_session(p))
            return false;
    }
    set_state(p, SENDER_CONNECTING);
    struct err *err = engine_connect(p->engine);
    if (err) {
        cannot_connect(p, err);
        err_free(err);
        return false;
    }
    p->connect_wait = 0;
    account_connected(p->s);
    return true;
}

/* After a batch: what does it mean that the session is gone? */
static void look_at_session(struct work_place *p, bool progress)
{
    const struct connector *c = &p->line->channel.replica;
    if (progress)
        p->lost_wait = 0;
    if (engine_connected(p->engine) || is_closing(p))
        return;
    if (ends_with_session(p) || progress)
        return;
    p->lost_wait = p->lost_wait ? p->lost_wait * 2 : 1;
    if (c->maxwait > 0 && p->lost_wait > c->maxwait)
        p->lost_wait = c->maxwait;
    pause_for(p, p->lost_wait, SENDER_WAITING);
}

/* ---- a batch ---- */

static int64_t back_off(const struct queue_item *item, int64_t first, int64_t most)
{
    int64_t wait = first;
    for (unsigned i = 0; i < item->attempts && wait < most; i++)
        wait *= 2;
    return (wait > most ? most : wait) * CLOCK_SECOND_NS;
}

static void say_deferred(const struct action *a)
{
    struct buf b = BUF_INIT;
    if (synclog_format(&b, a))
        log_msg(LOG_INFO, "  Deferred: " SLICE_FMT, (int)buf_len(&b) - 1, buf_ptr(&b));
    buf_free(&b);
}

/* How long it waits; of what is common, until that pause is over. */
static int64_t wait_after_failure(const struct queue_item *item, const struct batch_entry *e, const struct verdict *v)
{
    if (!trouble_counts(v, e))
        return v->wait * CLOCK_SECOND_NS;
    return back_off(item, FAILED_FIRST, trouble_cause_of(e->kind) >= CAUSE_REPLICA ? AILING_MOST : FAILED_MOST);
}

static void fail(struct work_place *p, struct queue_item *item, const struct batch_entry *e, const struct verdict *v)
{
    enum trouble_cause cause = trouble_cause_of(e->kind);
    account_error(p->s, e->why);
    item->user = cause == CAUSE_ITEM ? NULL : &p->trouble.mark[cause];
    queue_defer(p->line->queue, item, clock_ns() + wait_after_failure(item, e, v),
                trouble_counts(v, e) ? QUEUE_TRY_FAILED : QUEUE_TRY_UNCOUNTED, e->why);
}

static void settle(struct work_place *p, size_t i, const struct verdict *v, struct account_sum *sum)
{
    struct queue *q = p->line->queue;
    struct queue_item *item = p->items[i];
    const struct batch_entry *e = &p->entries[i];
    bool tried = e->result != BATCH_PENDING && !(e->result == BATCH_FAILED && e->kind == ERR_BYE);
    switch (tried ? e->result : BATCH_PENDING) {
    case BATCH_DONE:
        sum->done++;
        item->user = NULL;
        queue_done(q, item);
        break;
    case BATCH_LOCKED:
        sum->locked++;
        say_deferred(&e->action);
        item->user = NULL;
        queue_defer(q, item, clock_ns() + back_off(item, 1, LOCKED_MOST), QUEUE_TRY_LOCKED, e->why);
        break;
    case BATCH_FAILED:
        sum->failed += trouble_counts(v, e);
        fail(p, item, e, v);
        break;
    case BATCH_PENDING:
        queue_put_back(q, item);
        break;
    }
}

/* Before they are settled: which marks do those bear that were done? One that was done shows that it is over. */
static void find_over(struct work_place *p, size_t n, const struct verdict *v, bool *over)
{
    for (int c = 0; c < CAUSES; c++)
        over[c] = v->over;
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < CAUSES; c++)
            over[c] |= p->entries[i].result == BATCH_DONE && p->items[i]->user == &p->trouble.mark[c];
}

static void lift(struct work_place *p, const bool *over)
{
    for (int c = 0; c < CAUSES; c++)
        if (over[c])
            queue_reschedule(p->line->queue, p->s->shard, &p->trouble.mark[c], clock_ns());
}

static void settle_all(struct work_place *p, size_t n, const struct verdict *v, struct account_sum *sum)
{
    bool over[CAUSES];
    find_over(p, n, v, over);
    for (size_t i = 0; i < n; i++)
        settle(p, i, v, sum);
    lift(p, over);
    if (v->over)
        log_msg(LOG_NOTICE, "what kept all records from being carried out is over");
}

static void pause_for_trouble(struct work_place *p, const struct verdict *v, const char *why)
{
    account_error(p->s, why);
    log_msg(LOG_ERR, "IOERROR: nothing can be carried out: waiting for %lld seconds: %s", (long long)v->wait, why);
    pause_for(p, v->wait, SENDER_PAUSED);
}

static void run_batch(struct work_place *p, size_t n)
{
    struct account_sum sum = { 0 };
    set_state(p, SENDER_SENDING);
    for (size_t i = 0; i < n; i++)
        p->entries[i] = (struct batch_entry){ .action = p->items[i]->action, .retry = p->items[i]->attempts > 0 };
    struct err *err = batch_run(p->batch, p->entries, n);
    struct verdict v = trouble_judge(&p->trouble, p->items, p->entries, n);
    settle_all(p, n, &v, &sum);
    p->last_used = clock_ns();
    account_batch(p->s, &sum, v.pause);
    if (sum.done > 0 && sum.failed == 0)
        account_over(p->s);
    set_state(p, SENDER_IDLE);
    if (err && err->kind != ERR_INTERRUPTED)
        account_error(p->s, err->msg);
    err_free(err);
    look_at_session(p, sum.done > 0 || v.pause);
    if (v.pause)
        pause_for_trouble(p, &v, p->entries[v.example].why);
}

/* ---- the loop ---- */

static bool session_is_over(struct work_place *p)
{
    int64_t limit = p->line->o.session_limit;
    if (limit <= 0 || clock_ns() - p->session_began <= limit * CLOCK_SECOND_NS)
        return false;
    struct err *err = engine_disconnect(p->engine);
    p->connected_once = false; /* it was not lost */
    if (err)
        log_msg(LOG_ERR, "sync_client RESTART failed: %s", err->msg);
    else
        log_msg(LOG_INFO, "sync_client RESTART succeeded");
    err_free(err);
    return true;
}

static void rest(struct work_place *p)
{
    int64_t due = queue_next_due(p->line->queue, p->s->shard);
    int64_t until = clock_ns() + LOOK_MS * (CLOCK_SECOND_NS / 1000);
    wait_until(p, due >= 0 && due < until ? due : until, queue_fd(p->line->queue, p->s->shard), engine_fd(p->engine));
    queue_clear(p->line->queue, p->s->shard);
    if (!engine_look(p->engine)) /* a session that lived for a while is made anew at once */
        look_at_session(p, clock_ns() - p->session_began >= LIVED * CLOCK_SECOND_NS);
}

static void step(struct work_place *p)
{
    spill_if_wanted(p);
    if (!be_connected(p) || is_told_to_end(p) || session_is_over(p))
        return;
    if (clock_ns() < p->next_batch) {
        set_state(p, SENDER_IDLE);
        wait_until(p, p->next_batch, -1, -1);
        return;
    }
    int64_t began = clock_ns();
    size_t n = queue_drain(p->line->queue, p->s->shard, began, p->items, ITEMS);
    if (n > 0) {
        p->next_batch = began + p->line->o.delay_ns;
        run_batch(p, n);
        return;
    }
    engine_rest(p->engine);
    set_state(p, SENDER_IDLE);
    rest(p);
}

void *sender_main(void *sender)
{
    struct sender *s = sender;
    struct work_place p = { .s = s, .line = s->line };
    queue_thread_begin();
    if (s->line->o.tagged)
        log_tag(s->line->channel.name ? s->line->channel.name : "");
    p.engine = channel_engine(&s->line->channel, connect_once, &p);
    p.batch = batch_new(p.engine, s->line->channel.store);
    while (!is_closing(&p))
        step(&p);
    set_state(&p, SENDER_ENDED);
    batch_free(p.batch);
    engine_free(p.engine);
    queue_thread_end();
    atomic_fetch_sub(&s->line->running, 1);
    eventfd_write(s->line->o.ended_fd, 1);
    return NULL;
}
