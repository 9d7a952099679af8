/*
 * The full comparison of a mailbox (spec/algorithm.md §7): the replica's records are asked for,
 * streamed into a compact array, and compared with all of the master's.
 *
 * What needs no change on the master is mended here: messages that the master expunged and has
 * forgotten since are expunged on the replica, and an ordinary update follows. The rest is
 * copyback's (copyback.c) or, with -O, forced on the replica. Where neither can be, it is a
 * conflict: the mailbox stays as it is on both sides, and its error says which messages
 * are concerned.
 */
#include "sync/unit.h"

#include "fansync/log.h"
#include "fansync/sync_crc.h"
#include "sync/state.h"

/* ---- asking ---- */

/* thrid is written in 16 digits, and counted here without leading zeros, as in sync_crcs.annot. */
static uint32_t wire_annotation_crc(uint32_t uid, struct slice entry, struct slice userid, struct slice value)
{
    if (userid.n == 0 && slice_eqs(entry, "/vendor/cmu/cyrus-imapd/thrid"))
        while (value.n > 1 && value.p[0] == '0')
            value = slice_of(value.p + 1, value.n - 1);
    return sync_crc_annotation(uid, entry, userid, value);
}

static bool read_annotations(const struct dlist *item, struct replica_record *r)
{
    const struct dlist *list = dlist_get(item, "ANNOTATIONS");
    for (const struct dlist *d = list ? list->first : NULL; d; d = d->next) {
        struct slice entry, userid, value;
        if (!dlist_str(d, "ENTRY", &entry) || !dlist_str(d, "USERID", &userid) || !dlist_str(d, "VALUE", &value))
            return false;
        if (value.n)
            r->crc_annot ^= wire_annotation_crc(r->uid, entry, userid, value);
    }
    return true;
}

static uint32_t read_flags(const struct dlist *item, bool *expunged)
{
    const struct dlist *list = dlist_get(item, "FLAGS");
    uint32_t crc = 0;
    for (const struct dlist *d = list ? list->first : NULL; d; d = d->next) {
        if (slice_caseeqs(d->str, "\\Expunged"))
            *expunged = true;
        else
            crc ^= sync_crc_flag(d->str);
    }
    return crc;
}

/* One RECORD item; its tree is forgotten afterwards. */
static struct err *take_record(void *ctx, const struct dlist *item)
{
    struct work *w = ctx;
    struct replica_records *l = &w->replica_records;
    int64_t internaldate;
    l->r = arena_grow(&w->unit->arena, l->r, l->n, &l->cap, sizeof *l->r);
    struct replica_record *r = &l->r[l->n];
    *r = (struct replica_record){ 0 };
    if (!dlist_u32(item, "UID", &r->uid) || !dlist_u64(item, "MODSEQ", &r->modseq) ||
        !dlist_i64(item, "LAST_UPDATED", &r->last_updated) || !dlist_i64(item, "INTERNALDATE", &internaldate) ||
        !dlist_guid(item, "GUID", &r->guid) || !read_annotations(item, r))
        return err_new(ERR_PROTOCOL, "RECORD of " SLICE_FMT " with a missing or ill-typed key",
                       SLICE_ARG(w->entry->name));
    if (l->n && r->uid <= l->r[l->n - 1].uid)
        return err_new(ERR_PROTOCOL, "RECORD of " SLICE_FMT ": uid %u after uid %u", SLICE_ARG(w->entry->name), r->uid,
                       l->r[l->n - 1].uid);
    uint32_t flags = read_flags(item, &r->expunged);
    r->crc_basic = sync_crc_basic(r->uid, r->modseq, r->last_updated, flags, internaldate, &r->guid);
    l->n++;
    return NULL;
}

static void failed_if_refused(void *ctx, const struct answer *a)
{
    struct work *w = ctx;
    if (a->err)
        work_fail(w, err_copy(a->err));
}

/*
 * The answer brings the mailbox's header with it, of the same instant as the records. The one
 * that decided to ask may be older: what is planned from it would not fit the records.
 */
static void full_answered(void *ctx, const struct answer *a)
{
    struct work *w = ctx;
    struct replica_state s = { 0 };
    struct err *err = a->err ? err_copy(a->err) : NULL;
    if (!err)
        err = state_add_lines(&w->unit->arena, &s, a->lines, a->nlines);
    if (!err && (s.mailboxes.n != 1 || !slice_eq(s.mailboxes.m[0].uniqueid, w->entry->uniqueid)))
        err = err_new(ERR_CHANGED, "the replica has another mailbox under this name since it was asked");
    if (err)
        work_fail(w, err);
    else
        w->r = &s.mailboxes.m[0];
}

static struct err *ask_full(struct work *w)
{
    struct session *s = w->unit->engine->session;
    struct arena *a = &w->unit->arena;
    struct dlist_hooks hooks = { .ctx = w, .watch_key = "RECORD", .item = take_record };
    w->replica_records = (struct replica_records){ 0 };
    log_progress("FULLMAILBOX " SLICE_FMT, SLICE_ARG(w->entry->name));
    dlist_write_str(session_begin(s, "GET FULLMAILBOX", a, &hooks, full_answered, w), w->entry->name);
    allow_records(w);
    return session_end(s);
}

/* ---- deciding ---- */

/* Says the first few differences; the numbers are for the operator who has to choose. */
struct err *compare_conflict(struct work *w, const struct compare_result *c, bool annotations, struct err *why)
{
    enum { TOLD = 3 };
    struct buf b = BUF_INIT;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->d[i].row == ROW_STALE)
            continue;
        if (n++ < TOLD)
            buf_printf(&b, "%suid %u %s", n > 1 ? "; " : "", c->d[i].uid, compare_row_text(c->d[i].row));
    }
    if (n > TOLD)
        buf_adds(&b, "; ...");
    if (annotations)
        buf_printf(&b, "%sits annotations differ", n ? "; " : "");
    struct err *err = err_new(ERR_CONFLICT, "both sides have changed, and %s: %zu messages differ: %s",
                              why ? why->msg : "the master may not be changed", n, buf_cstr(&b));
    err_free(why);
    log_msg(LOG_ERR, "SYNCERROR: both sides have changed: mailbox=<" SLICE_FMT "> messages=<%zu>",
            SLICE_ARG(w->entry->name), n);
    w->unit->engine->counters.conflicts++;
    buf_free(&b);
    return err;
}

struct err *compare_expunge(struct work *w, const uint32_t *uid, size_t n)
{
    struct session *s = w->unit->engine->session;
    struct buf *b = session_begin(s, "APPLY EXPUNGE", NULL, NULL, failed_if_refused, w);
    buf_adds(b, "%(");
    dlist_put_str(b, "MBOXNAME", w->entry->name);
    dlist_put_str(b, "UNIQUEID", w->entry->uniqueid);
    dlist_put_list(b, "UID");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(b, ' ');
        buf_add_u64(b, uid[i]);
    }
    buf_adds(b, "))");
    return session_end(s);
}

/* The master's side is read again, whole: the answer took its time. */
struct err *compare_load_all(struct work *w)
{
    struct unit *u = w->unit;
    struct mailbox *mb;
    TRY(store_mailbox_open(u->engine->o.store, &u->arena, w->entry->name, &mb));
    w->m = mailbox_header(mb);
    struct err *err = mailbox_records(mb, &u->arena, 0, 0, &w->rec);
    store_mailbox_close(mb);
    if (err)
        return err;
    w->computed = sync_crc_compute(w->m, &w->rec);
    work_use_computed(w);
    return NULL;
}

static size_t count_row(const struct compare_result *c, enum compare_row row)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->d[i].row == row;
    return n;
}

/* Whether the two sides can only meet if the master changes. */
static bool wants_master(const struct work *w, const struct compare_result *c)
{
    return count_row(c, ROW_STALE) + count_row(c, ROW_EXPUNGE_AGAIN) < c->n || diff_replica_is_ahead(w->m, w->r) ||
           work_raises_foldermodseq(w);
}

/* Records that the update carries although their modseq does not ask for it. */
static void mark_also(struct work *w, const struct compare_result *c, enum compare_row row)
{
    struct map uids = MAP_INIT;
    for (size_t k = 0; k < c->n; k++)
        if (c->d[k].row == row)
            map_put(&uids, slice_of((const char *)&c->d[k].uid, sizeof c->d[k].uid), w);
    w->also = arena_array(&w->unit->arena, w->rec.n, sizeof *w->also);
    for (size_t i = 0; i < w->rec.n; i++)
        w->also[i] = map_get(&uids, slice_of((const char *)&w->rec.uid[i], sizeof w->rec.uid[i])) != NULL;
    map_free(&uids);
}

struct err *compare_update(struct work *w, const struct compare_result *c, const uint32_t *uid, size_t n)
{
    w->have = diff_bounds(w->r);
    w->part = diff_part(w->m, &w->rec, w->have, w->unit->engine->o.batchsize);
    w->guard = w->unit->engine->o.force && w->have.since_uid > 0; /* -O has made its expunges before */
    w->state = WORK_SEND;
    mark_also(w, c, ROW_EXPUNGE_AGAIN);
    return n ? compare_expunge(w, uid, n) : NULL;
}

static uint32_t *uids_of(struct work *w, const struct compare_result *c, enum compare_row x, enum compare_row y,
                         size_t *n)
{
    uint32_t *uid = arena_array(&w->unit->arena, c->n, sizeof *uid);
    *n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->d[i].row == x || c->d[i].row == y)
            uid[(*n)++] = c->d[i].uid;
    return uid;
}

uint32_t *compare_stale(struct work *w, const struct compare_result *c, size_t *n)
{
    return uids_of(w, c, ROW_STALE, ROW_STALE, n);
}

/* Expunges what the master has forgotten, and has the update sent. */
static struct err *update(struct work *w, const struct compare_result *c)
{
    size_t n;
    uint32_t *stale = compare_stale(w, c, &n);
    return compare_update(w, c, stale, n);
}

/* ---- -O: the replica follows, or nothing is sent (spec/algorithm.md §7.8) ---- */

/* The replica's server ends at once when it is told a lower modseq for a record, FORCE or not. */
static bool is_lower_here(const struct work *w, uint32_t uid)
{
    size_t i = diff_find_record(&w->rec, uid);
    const struct replica_record *r = diff_find_theirs(&w->replica_records, uid);
    return i != SIZE_MAX && r && r->modseq > w->rec.modseq[i];
}

/* FORCE lets the counters fall, but brings no message back and removes none; nor may a uid that
 * the replica has used be given out again. */
static bool can_be_forced(const struct work *w, const struct compare_result *c)
{
    const struct replica_records *l = &w->replica_records;
    for (size_t k = 0; k < c->n; k++) {
        enum compare_row row = c->d[k].row;
        if (row == ROW_TOUCH ? is_lower_here(w, c->d[k].uid) : row != ROW_STALE && row != ROW_EXPUNGE_AGAIN)
            return false;
    }
    return l->n == 0 || l->r[l->n - 1].uid <= w->m->last_uid;
}

/* A replica that says impossible things is not believed what it says of its records either. */
static struct err *may_be_forced(struct work *w, const struct compare_result *c)
{
    struct err *why = copyback_fence(w);
    return why || !can_be_forced(w, c) ? compare_conflict(w, c, false, why) : NULL;
}

static struct err *force_update(struct work *w, const struct compare_result *c)
{
    TRY(compare_update(w, c, NULL, 0));
    mark_also(w, c, ROW_TOUCH);
    w->part = (struct record_part){ true, w->m->last_uid, w->m->highestmodseq };
    return NULL;
}

/* What an EXPUNGE leaves is not known by its sums, so the update behind it could not tell a message that came to the
 * replica meanwhile, and would take its counters below it. So the two sides are compared once more. */
static struct err *expunge_and_compare(struct work *w, const uint32_t *uid, size_t n, struct compare_result *c)
{
    TRY(compare_expunge(w, uid, n));
    TRY(session_drain(w->unit->engine->session));
    if (w->state != WORK_FAILED)
        TRY(ask_full(w));
    TRY(session_drain(w->unit->engine->session));
    if (w->state == WORK_FAILED)
        return NULL;
    struct err *err = compare_load_all(w);
    if (err)
        work_fail(w, err);
    else
        *c = diff_compare(&w->unit->arena, w->m, &w->rec, w->r, &w->replica_records);
    return NULL;
}

static struct err *force(struct work *w, struct compare_result c)
{
    size_t n;
    struct err *conflict = may_be_forced(w, &c);
    uint32_t *gone = uids_of(w, &c, ROW_STALE, ROW_EXPUNGE_AGAIN, &n);
    if (!conflict && n) {
        TRY(expunge_and_compare(w, gone, n, &c));
        if (w->state == WORK_FAILED)
            return NULL;
        conflict = may_be_forced(w, &c);
        uids_of(w, &c, ROW_STALE, ROW_EXPUNGE_AGAIN, &n);
        if (!conflict && n)
            conflict = err_new(ERR_CHANGED, "the replica changed while it was brought back to the master's state");
    }
    if (!conflict)
        return force_update(w, &c);
    work_fail(w, conflict);
    return NULL;
}

/* Implausible numbers stop everything; too many expunges, and having nobody to tell the master, only copyback. */
static struct err *mend_or_withhold(struct work *w, const struct compare_result *c)
{
    struct engine *e = w->unit->engine;
    struct err *why = copyback_fence(w);
    if (why) {
        tell_differences(w, c);
        work_fail(w, compare_conflict(w, c, false, why));
        return NULL;
    }
    why = diff_brake(w->m, c, &e->o.max_expunge);
    if (!why && e->o.connect_master && master_session(e)) {
        tell_differences(w, c);
        return copyback_run(w, *c);
    }
    return withhold_run(w, c, why);
}

static struct err *compare_one(struct work *w)
{
    struct engine *e = w->unit->engine;
    struct err *err = compare_load_all(w);
    if (err) {
        work_fail(w, err);
        return NULL;
    }
    struct compare_result c = diff_compare(&w->unit->arena, w->m, &w->rec, w->r, &w->replica_records);
    bool ahead = wants_master(w, &c);
    if (!ahead && !(e->o.force && c.n))
        return update(w, &c);
    if (!e->o.force)
        return mend_or_withhold(w, &c);
    if (ahead)
        tell_differences(w, &c);
    return force(w, c);
}

/* ---- the phase ---- */

static struct err *each_to_compare(struct unit *units, size_t n, struct err *(*fn)(struct work *))
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < units[k].nwork; i++)
            if (units[k].work[i].state == WORK_COMPARE)
                TRY(fn(&units[k].work[i]));
    return NULL;
}

struct err *window_compare(struct engine *e, struct unit *units, size_t n)
{
    TRY(each_to_compare(units, n, ask_full));
    if (!session_outstanding(e->session))
        return NULL;
    TRY(session_drain(e->session));
    TRY(each_to_compare(units, n, compare_one));
    return session_outstanding(e->session) ? session_drain(e->session) : NULL;
}
