/*
 * The engine of fansync/engine.h: items become units, units are taken through windows,
 * and what failed in company is tried again alone. Owns the session.
 */
#include "sync/unit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fansync/log.h"
#include "fansync/mem.h"

enum {
    WINDOW_UNITS = 64,
    TRIES = 3,       /* of one unit: in a window, then twice alone */
    POISON_TRIES = 8, /* the same when each try found another mailbox to set aside */
};

struct engine *engine_new(const struct engine_options *o)
{
    struct engine *e = mem_alloc(sizeof *e);
    e->o = *o;
    e->partitions.map = o->partition_map;
    cache_changes_init(&e->remembered);
    return e;
}

static void add_counters(struct session_counters *sum, const struct session_counters *c)
{
    sum->commands += c->commands;
    sum->round_trips += c->round_trips;
    sum->bytes_out += c->bytes_out;
    sum->bytes_in += c->bytes_in;
    sum->files += c->files;
    sum->file_bytes += c->file_bytes;
}

void engine_drop_session(struct engine *e)
{
    if (!e->session)
        return;
    add_counters(&e->closed, session_counters(e->session));
    if (session_fault(e->session))
        e->lost_by = session_fault(e->session)->kind;
    session_close(e->session);
    e->session = NULL;
    e->restart_due = false;
    engine_forget_staged(e);
}

void engine_free(struct engine *e)
{
    engine_drop_session(e);
    master_drop(e);
    arena_free(&e->staged_arena);
    partitions_free(&e->partitions);
    arena_free(&e->locks_arena);
    map_free(&e->told_sums);
    arena_free(&e->told_arena);
    cache_changes_free(&e->remembered);
    free(e);
}

struct engine_counters engine_counters(const struct engine *e)
{
    struct engine_counters c = e->counters;
    c.wire = e->closed;
    if (e->session)
        add_counters(&c.wire, session_counters(e->session));
    return c;
}

bool engine_stopping(const struct engine *e)
{
    return e->o.stop && *e->o.stop;
}

struct err *engine_denied(const struct engine *e)
{
    const char *user = e->o.authname ? e->o.authname : "the user that logs in";
    return err_new(ERR_AUTH, "%s: Permission denied: %s must be in the replica's admins", e->o.server, user);
}

bool engine_is_denied(struct engine *e, const struct err *err)
{
    if (err->kind != ERR_DENIED || !strstr(err->msg, "Permission denied"))
        return false;
    if (!e->denied) {
        struct err *told = engine_denied(e);
        log_msg(LOG_ERR, "SYNCERROR: %s", told->msg);
        err_free(told);
    }
    e->denied = true;
    return true;
}

void engine_skip(struct engine *e, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    e->counters.skipped++;
    log_msg(LOG_NOTICE, "SYNCNOTICE: skipped: %s", buf_cstr(&b));
    buf_free(&b);
}

/* ---- the session ---- */

struct greeting {
    struct engine *engine;
    unsigned enabled;
    struct err *err;
};

static void enabled(void *ctx, const struct answer *a)
{
    struct greeting *g = ctx;
    if (a->err && !g->err && engine_is_denied(g->engine, a->err))
        g->err = engine_denied(g->engine);
    if (a->err)
        return; /* a replica that does not know the command enables nothing */
    for (size_t i = 0; i < a->nlines; i++)
        for (const struct dlist *d = a->lines[i]->first; d; d = d->next) {
            if (slice_caseeqs(d->str, "SIEVE-MAILBOX"))
                g->enabled |= CAP_SIEVE_MAILBOX;
            if (slice_caseeqs(d->str, "REPLICATION-ARCHIVE"))
                g->enabled |= CAP_ARCHIVE;
        }
}

static void forced(void *ctx, const struct answer *a)
{
    struct greeting *g = ctx;
    if (a->err) {
        log_msg(LOG_ERR, "SYNCERROR: failed to enable force mode");
        err_free(g->err);
        g->err = err_wrap(err_copy(a->err), "the replica refuses force mode (-O)");
    }
}

/* A master before 3.6 has no #sieve mailboxes: its replica shall tell and take scripts. */
static struct err *wanted_capabilities(const struct engine *e, unsigned *out)
{
    bool mailboxes;
    TRY(store_has_sieve_mailboxes(e->o.store, &mailboxes));
    *out = session_capabilities(e->session) & ~(mailboxes ? 0u : CAP_SIEVE_MAILBOX);
    return NULL;
}

static struct err *enable(struct engine *e, struct greeting *g)
{
    unsigned offered;
    TRY(wanted_capabilities(e, &offered));
    bool archive = e->o.stage_to_archive && (offered & CAP_ARCHIVE);
    if (e->o.stage_to_archive && !archive)
        log_msg(LOG_NOTICE, "Destination doesn't support replication to archive");
    if ((offered & CAP_SIEVE_MAILBOX) || archive) {
        struct buf *b = session_begin(e->session, "APPLY CAPABILITIES", NULL, NULL, enabled, g);
        buf_addc(b, '(');
        if (offered & CAP_SIEVE_MAILBOX)
            dlist_item_str(b, slice_str("SIEVE-MAILBOX"));
        if (archive)
            dlist_item_str(b, slice_str("REPLICATION-ARCHIVE"));
        buf_addc(b, ')');
        TRY(session_end(e->session));
    }
    if (e->o.force) {
        buf_adds(session_begin(e->session, "APPLY FORCE", NULL, NULL, forced, g), "%()");
        TRY(session_end(e->session));
    }
    return session_outstanding(e->session) ? session_drain(e->session) : NULL;
}

static void say_enabled(const struct engine *e, unsigned on)
{
    unsigned bits = (on & CAP_SIEVE_MAILBOX ? 0x800u : 0) | (on & CAP_ARCHIVE ? 0x1000u : 0);
    if (bits)
        log_progress("ENABLE 0x%x", bits);
    if (e->o.stage_to_archive && (session_capabilities(e->session) & CAP_ARCHIVE) && !(on & CAP_ARCHIVE))
        log_msg(LOG_NOTICE, "Replication to archive requested but destination didn't enable it");
}

struct err *engine_session(struct engine *e)
{
    if (e->session && !session_dead(e->session))
        return NULL;
    engine_drop_session(e);
    TRY(e->o.connect(e->o.connect_ctx, &e->session));
    struct greeting g = { e, 0, NULL };
    e->denied = false;
    struct err *err = enable(e, &g);
    if (!err)
        err = g.err;
    else
        err_free(g.err);
    if (err) {
        engine_drop_session(e);
        return err;
    }
    e->sieve_mailbox = g.enabled & CAP_SIEVE_MAILBOX;
    e->long_thrid = session_capabilities(e->session) & CAP_LONG_THRID;
    say_enabled(e, g.enabled);
    return NULL;
}

struct err *engine_connect(struct engine *e)
{
    return engine_session(e);
}

bool engine_connected(const struct engine *e)
{
    return e->session && !session_dead(e->session);
}

bool engine_takes_sieve_mailboxes(const struct engine *e)
{
    return e->sieve_mailbox;
}

enum { PROBE_SECONDS = 10 }; /* for an answer that needs no work */

int engine_fd(const struct engine *e)
{
    return engine_connected(e) ? session_fd(e->session) : -1;
}

bool engine_look(struct engine *e)
{
    if (!e->session || session_look(e->session))
        return e->session != NULL;
    log_msg(LOG_INFO, "%s", session_fault(e->session)->msg);
    engine_drop_session(e);
    return false;
}

bool engine_probe(struct engine *e)
{
    if (engine_connected(e)) {
        int usual = session_set_timeout(e->session, PROBE_SECONDS);
        session_begin(e->session, "NOOP", NULL, NULL, NULL, NULL);
        struct err *err = session_end(e->session);
        if (!err)
            err = session_drain(e->session);
        err_free(err);
        session_set_timeout(e->session, usual);
    }
    if (engine_connected(e))
        return true;
    engine_drop_session(e);
    return false;
}

static void note_refusal(void *ctx, const struct answer *a)
{
    struct err **err = ctx;
    *err = err_copy(a->err);
}

struct err *engine_disconnect(struct engine *e)
{
    struct err *refusal = NULL, *err = NULL;
    if (engine_connected(e)) {
        session_begin(e->session, "RESTART", NULL, NULL, note_refusal, &refusal);
        err = session_end(e->session);
        if (!err)
            err = session_drain(e->session);
    }
    engine_drop_session(e);
    if (!err)
        return refusal;
    err_free(refusal);
    return err;
}

enum err_kind engine_lost_by(const struct engine *e)
{
    return e->lost_by;
}

/* ---- running ---- */

/* Items not yet begun; a postponed one is put back in front. One that has to wait for another of the run is
 * put at the end, once. */
struct queue {
    const struct engine_item *items;
    const struct engine_item **item;
    size_t head, n;
    bool *waited; /* parallel to items */
};

static struct queue queue_of(const struct engine_item *items, size_t n)
{
    struct queue q = { items, mem_array(2 * n, sizeof(struct engine_item *)), 0, n, mem_array(n, sizeof(bool)) };
    for (size_t i = 0; i < n; i++)
        q.item[i] = &items[i];
    return q;
}

static void free_queue(struct queue *q)
{
    free(q->item);
    free(q->waited);
}

/* True if the unit's turn comes again, when the others have moved what is in its way. */
static bool wait_for_others(struct queue *q, const struct unit *u)
{
    bool *waited = &q->waited[u->item - q->items];
    if (!u->err || u->err->kind != ERR_MOVED || !u->waits || *waited)
        return false;
    *waited = true;
    q->item[q->n++] = u->item;
    return true;
}

static size_t fill_window(struct engine *e, struct queue *q, struct unit *units)
{
    size_t n = 0;
    while (n < WINDOW_UNITS && q->head < q->n)
        units[n++] = (struct unit){ .engine = e, .item = q->item[q->head++] };
    return n;
}

static struct err *run_alone(struct engine *e, struct unit *u)
{
    size_t allowed = TRIES;
    while (u->err && u->retry && (size_t)u->attempt + 1 < allowed + u->poison.n + u->aside.n &&
           u->attempt < POISON_TRIES) {
        int attempt = u->attempt + 1;
        unit_free(u);
        u->attempt = attempt;
        TRY(window_run(e, u, 1));
    }
    return NULL;
}

static bool is_in_step(const struct work *w)
{
    return w->state == WORK_SAME || w->state == WORK_DONE;
}

/*
 * Which names the item's caller may not take for replicated. A name without a mailbox here is in
 * step if the unit as a whole came to its end; one that the unit did not get to is not.
 */
static void mark_failed(const struct unit *u)
{
    const struct engine_item *item = u->item;
    struct map works = MAP_INIT;
    bool any = false;
    for (size_t i = 0; i < u->nwork; i++)
        map_put(&works, u->work[i].entry->name, &u->work[i]);
    for (size_t i = 0; i < item->nnames; i++) {
        const struct work *w = map_get(&works, item->names[i]);
        item->failed[i] = w ? !is_in_step(w) : u->broken;
        any |= item->failed[i];
    }
    for (size_t i = 0; i < item->nnames && !any; i++)
        item->failed[i] = true;
    map_free(&works);
}

/* Not what comes and goes by itself. */
static bool is_worth_a_line(enum err_kind kind)
{
    return kind != ERR_LOCKED && kind != ERR_SKIPPED && kind != ERR_BYE;
}

/* Once an item, by how its last try ended. */
static void count(struct engine *e, const struct unit *u)
{
    struct engine_counters *c = &e->counters;
    uint64_t failed = 0;
    for (size_t i = 0; i < u->nwork; i++)
        failed += !is_in_step(&u->work[i]);
    if (failed == 0)
        failed = 1;
    c->users += (u->item->kind == ITEM_USER || u->item->kind == ITEM_META) && !u->absent;
    c->mailboxes += u->nwork;
    if (u->err && u->err->kind != ERR_LOCKED && u->err->kind != ERR_SKIPPED)
        c->failed += failed;
}

static void report(struct engine *e, struct unit *u, engine_done_fn done, void *ctx)
{
    if (u->err && u->err->kind == ERR_BYE)
        log_msg(LOG_NOTICE, "SYNCNOTICE: %s", u->err->msg);
    if (u->err && is_worth_a_line(u->err->kind)) {
        if (u->item->kind == ITEM_USER)
            log_msg(LOG_ERR, "IOERROR: user replication failed: error=<%s> userid=<" SLICE_FMT "> channel=<%s> "
                    "servername=<%s>", u->err->msg, SLICE_ARG(u->item->userid),
                    e->o.channel ? e->o.channel : "(null)", e->o.server);
        else
            log_msg(LOG_ERR, "IOERROR: replication failed: error=<%s> channel=<%s> servername=<%s>", u->err->msg,
                    e->o.channel ? e->o.channel : "(null)", e->o.server);
    }
    count(e, u);
    if (u->err && u->item->failed)
        mark_failed(u);
    if (u->item->absent && u->item->kind == ITEM_USER)
        *u->item->absent = u->absent;
    if (done)
        done(ctx, u->item, u->err);
}

static void end_unit(struct unit *u)
{
    unit_free(u);
    map_free(&u->poison);
    map_free(&u->aside);
    map_free(&u->mismatch);
    map_free(&u->roots);
    arena_free(&u->keep);
}

static struct err *settle(struct engine *e, struct queue *q, struct unit *units, size_t n, engine_done_fn done,
                          void *ctx)
{
    for (size_t k = n; k-- > 0;)
        if (units[k].postponed)
            q->item[--q->head] = units[k].item;
    for (size_t k = 0; k < n; k++) {
        struct unit *u = &units[k];
        if (u->postponed)
            continue;
        TRY(run_alone(e, u));
        if (!wait_for_others(q, u))
            report(e, u, done, ctx);
        unit_free(u);
    }
    return NULL;
}

/* ---- what the run concerns ---- */

static void learn_run(struct engine *e)
{
    static char mark;
    for (size_t i = 0; i < e->nrun; i++) {
        const struct engine_item *item = &e->run[i];
        if (item->kind == ITEM_USER)
            map_put(&e->run_users, item->userid, &mark);
        for (size_t k = 0; k < item->nnames; k++)
            map_put(&e->run_names, item->names[k], &mark);
    }
}

bool engine_runs(struct engine *e, struct slice name)
{
    struct arena a = ARENA_INIT;
    if (e->run_users.n + e->run_names.n == 0)
        learn_run(e);
    struct slice owner = names_userid_of_internal(&a, store_names(e->o.store), name);
    bool runs = map_get(&e->run_names, name) || (owner.n && map_get(&e->run_users, owner));
    arena_free(&a);
    return runs;
}

static void forget_run(struct engine *e)
{
    map_free(&e->run_users);
    map_free(&e->run_names);
    e->run = NULL;
    e->nrun = 0;
}

struct err *engine_run(struct engine *e, const struct engine_item *items, size_t n, engine_done_fn done,
                       void *ctx)
{
    e->run = items;
    e->nrun = n;
    struct queue q = queue_of(items, n);
    struct unit *units = mem_array(WINDOW_UNITS, sizeof *units);
    struct err *err = NULL;
    partitions_look(&e->partitions);
    while (!err && q.head < q.n) {
        size_t in_window = fill_window(e, &q, units);
        err = window_run(e, units, in_window);
        if (!err)
            err = settle(e, &q, units, in_window, done, ctx);
        for (size_t k = 0; k < in_window; k++)
            end_unit(&units[k]);
    }
    free(units);
    free_queue(&q);
    forget_run(e);
    return err;
}
