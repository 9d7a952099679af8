/*
 * Copyback: what has to change on the master after both sides did, told to the master's own
 * sync_server (spec/store.md §8.5, spec/algorithm.md §7.7). Called by the full comparison, for
 * one mailbox at a time; no lock of the store is held but the owner's sync lock.
 *
 * The order makes every step safe to repeat after a crash at any point:
 *   1. messages are fetched from the replica and staged with the master's server
 *   2. one MAILBOX changes the master, if it is still what the plan was made from (SINCE_*)
 *   3. the originals are expunged on the replica
 *   4. an ordinary update brings the replica what the master has now
 * Cut off after 2, the next comparison finds the copies and goes on with 3. CHANGED means that
 * somebody changed the mailbox meanwhile, CHECKSUM that the server made something else of it
 * than planned: both times the master is read again and the plan made anew.
 */
#include "sync/unit.h"

#include <time.h>

#include "fansync/log.h"
#include "sync/command.h"
#include "sync/fetch.h"

enum { PLANS = 5 };

static void note_fault(void *ctx, const struct answer *a)
{
    struct err **fault = ctx;
    if (a->err && !*fault)
        *fault = err_copy(a->err);
}

/* What the master's server still has to be told of goes out and is answered. */
static struct err *settle(struct session *s, struct err **fault)
{
    struct err *err = session_drain(s);
    if (err) {
        err_free(*fault);
        *fault = NULL;
    }
    return err;
}

/* ---- messages that get another uid: the server links them from the mailbox itself ---- */

static void note_missing(void *ctx, const struct answer *a)
{
    struct err **fault = ctx;
    note_fault(ctx, a);
    for (size_t i = 0; i < a->nlines && !*fault; i++)
        if (slice_caseeqs(a->lines[i]->key, "MISSING") && a->lines[i]->first)
            *fault = err_new(ERR_CHANGED, "the master's server does not find a message that needs a new uid");
}

static struct err *reserve_own(struct work *w, const struct mend *m)
{
    struct session *s = w->unit->engine->master;
    struct err *fault = NULL;
    size_t n = 0;
    for (size_t k = 0; k < m->nmessages; k++)
        n += !m->messages[k].from_replica;
    if (n == 0)
        return NULL;
    struct buf *b = session_begin(s, "APPLY RESERVE", NULL, NULL, note_missing, &fault);
    buf_adds(b, "%(");
    dlist_put_str(b, "PARTITION", w->m->entry.partition);
    dlist_put_list(b, "MBOXNAME");
    dlist_item_str(b, w->entry->name);
    buf_adds(b, ")");
    dlist_put_list(b, "GUID");
    for (size_t k = 0; k < m->nmessages; k++)
        if (!m->messages[k].from_replica)
            dlist_item_guid(b, &m->rec.guid[m->messages[k].i]);
    buf_adds(b, "))");
    TRY(session_end(s));
    TRY(settle(s, &fault));
    return fault;
}

/* ---- the change itself ---- */

/* In the form of the master's own server, which the stored one shows; else the version of the index does. */
static uint32_t own_annot_crc(const struct work *w, const struct sync_crcs *c)
{
    bool tells = w->computed.annot != w->computed.annot_long;
    if (tells && w->m->sync_crc_annot == w->computed.annot)
        return c->annot;
    if (tells && w->m->sync_crc_annot == w->computed.annot_long)
        return c->annot_long;
    return sync_crc_annot(c, w->m->minor >= 20);
}

/* Every value of the mailbox is echoed: what is left out would be deleted. */
static struct err *apply_mailbox(struct work *w, const struct mend *m)
{
    struct session *s = w->unit->engine->master;
    const struct replica_mailbox self = {
        .highestmodseq = w->m->highestmodseq, .sync_crc = w->m->sync_crc, .sync_crc_annot = w->m->sync_crc_annot,
        .xconvmodseq = w->m->xconvmodseq,
    };
    struct mailbox_command c = {
        .m = &m->m, .rec = &m->rec, .type = w->type, .partition = w->m->entry.partition, .r = &self,
        .have = { 0, 0 }, .part = { true, m->m.last_uid, m->m.highestmodseq }, .guard = true,
        .sync_crc = m->crc.basic, .sync_crc_annot = own_annot_crc(w, &m->crc),
    };
    struct err *fault = NULL;
    uint64_t nrecords;
    struct buf *b = session_begin(s, "APPLY MAILBOX", NULL, NULL, note_fault, &fault);
    TRY(mailbox_command_write(s, b, &c, &nrecords));
    TRY(session_end(s));
    session_begin(s, "RESTART", NULL, NULL, NULL, NULL); /* forget what is staged */
    TRY(session_end(s));
    TRY(settle(s, &fault));
    return fault;
}

/* A server makes the mailbox that a command names before it looks at SINCE_*: one that was deleted
 * while messages were on their way would come back, and then with all that the replica has. */
static struct err *check_still_there(const struct work *w)
{
    struct mbentry e;
    bool found;
    TRY(store_lookup(w->unit->engine->o.store, &w->unit->arena, w->entry->name, &e, &found));
    if (found && mbentry_is_live(&e) && slice_eq(e.uniqueid, w->entry->uniqueid))
        return NULL;
    return err_new(ERR_CHANGED, "deleted or renamed meanwhile");
}

static struct err *tell_master(struct work *w, const struct mend *m)
{
    uint32_t twice = mend_double(m);
    if (twice) /* the server would take both, and one's flags would be lost */
        return err_new(ERR_BAD_PARAMETERS, "two records of uid %u for one mailbox: a fault of this program, nothing is sent",
                       twice);
    log_progress("COPYBACK " SLICE_FMT, SLICE_ARG(w->entry->name));
    TRY(reserve_own(w, m));
    TRY(check_still_there(w));
    return apply_mailbox(w, m);
}

/* ---- sums ---- */

struct err *copyback_recalculate(struct work *w)
{
    struct mend m = { .m = *w->m, .crc = w->computed };
    struct err *err = w->entry->kind == 'f' ? master_enable_sieve(w->unit->engine) : NULL;
    if (!err)
        err = tell_master(w, &m);
    if (session_dead(w->unit->engine->master))
        master_drop(w->unit->engine);
    return err;
}

/* ---- what the replica may say ---- */

struct err *copyback_fence(struct work *w)
{
    uint64_t floor;
    TRY(store_owner_modseq(w->unit->engine->o.store, w->entry->name, &floor));
    return diff_fence(w->m, w->r, &w->replica_records, floor, (int64_t)time(NULL));
}

/* ---- plans ---- */

struct attempt {
    struct work *work;
    struct compare_result rows;
    struct mend mend;
    bool changed; /* the master took a plan */
};

/* Makes a plan from what both sides hold; *fault if it cannot be made. */
static struct err *make_plan(struct attempt *t, struct err **fault)
{
    struct work *w = t->work;
    struct unit *u = w->unit;
    uint64_t floor;
    TRY(detail_ask(w, &t->rows));
    if (w->state == WORK_FAILED)
        return NULL;
    *fault = store_owner_modseq(u->engine->o.store, w->entry->name, &floor);
    if (!*fault && !diff_mend(&u->arena, w->m, &w->rec, w->r, &w->replica_records, &t->rows, &w->details, floor,
                              (int64_t)time(NULL), &t->mend))
        *fault = err_new(ERR_CHANGED, "the replica changed while its records were compared");
    return NULL;
}

static bool may_be_planned_again(const struct err *fault)
{
    return fault->kind == ERR_CHANGED || fault->kind == ERR_CHECKSUM;
}

/* One plan, carried out on the master. *again: the master has to be looked at anew. */
static struct err *try_plan(struct attempt *t, bool *again, struct err **fault)
{
    struct work *w = t->work;
    *again = false;
    TRY(make_plan(t, fault));
    if (*fault || w->state == WORK_FAILED || !t->mend.needed)
        return NULL;
    if (!master_session(w->unit->engine)) {
        *fault = compare_conflict(w, &t->rows, false, NULL);
        return NULL;
    }
    if (w->entry->kind == 'f')
        *fault = master_enable_sieve(w->unit->engine);
    if (!*fault)
        TRY(fetch_to_master(w, &t->mend, fault));
    if (!*fault)
        *fault = tell_master(w, &t->mend);
    if (!*fault) {
        t->changed = true;
        return NULL;
    }
    if (session_dead(w->unit->engine->master))
        master_drop(w->unit->engine);
    *again = may_be_planned_again(*fault);
    t->changed |= (*fault)->kind == ERR_CHECKSUM; /* and perhaps for good (§8.5) */
    return NULL;
}

static struct err *look_again(struct attempt *t)
{
    struct work *w = t->work;
    struct err *err = compare_load_all(w);
    if (!err)
        t->rows = diff_compare(&w->unit->arena, w->m, &w->rec, w->r, &w->replica_records);
    return err;
}

static void report_change(struct attempt *t)
{
    struct engine *e = t->work->unit->engine;
    if (!t->changed)
        return;
    e->counters.copybacks++;
    log_msg(LOG_NOTICE, "SYNCNOTICE: changed on the master after changes on the replica: mailbox=<" SLICE_FMT
            "> records=<%zu> expunged_there=<%zu>", SLICE_ARG(t->work->entry->name), t->mend.rec.n, t->mend.nexpunge);
    if (e->o.changed_master)
        e->o.changed_master(e->o.changed_master_ctx, t->work->entry->name);
}

/* The master has everything: now the replica. */
static struct err *finish(struct attempt *t)
{
    struct work *w = t->work;
    report_change(t);
    struct err *err = compare_load_all(w);
    if (err) {
        work_fail(w, err);
        return NULL;
    }
    return compare_update(w, &t->rows, t->mend.expunge, t->mend.nexpunge);
}

struct err *copyback_run(struct work *w, struct compare_result c)
{
    struct attempt t = { .work = w, .rows = c };
    struct err *fault = NULL;
    bool again = true;
    for (int plan = 0; plan < PLANS && again; plan++) {
        if (fault) {
            err_free(fault);
            fault = look_again(&t);
            if (fault)
                break;
        }
        TRY(try_plan(&t, &again, &fault));
    }
    if (w->state == WORK_FAILED) {
        err_free(fault);
        return NULL;
    }
    if (!fault)
        return finish(&t);
    work_fail(w, fault->kind == ERR_CONFLICT ? fault : err_wrap(fault, "copyback to the master"));
    return NULL;
}
