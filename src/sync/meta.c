/*
 * Phase 6: what a user has besides mailboxes: quota limits, subscriptions, seen states
 * (spec/algorithm.md §8). The commands go out behind the window's MAILBOX commands, in
 * the same burst; each sets a state, so repeating one does no harm.
 */
#include "sync/unit.h"

#include "fansync/log.h"

/* A limit as the wire has room for it (spec/commands.md §5.1). */
static uint32_t wire_limit(const struct quota *q, enum quota_resource res)
{
    if (q->limit[res] < (int64_t)UINT32_MAX)
        return (uint32_t)q->limit[res];
    log_msg(LOG_WARNING, "quota root " SLICE_FMT ": a limit of %lld does not fit the protocol, %u is sent",
            SLICE_ARG(q->root), (long long)q->limit[res], UINT32_MAX - 1);
    return UINT32_MAX - 1;
}

void unit_change_answered(void *ctx, const struct answer *a)
{
    struct unit *u = ctx;
    if (a->err && a->err->kind != ERR_NONEXISTENT)
        unit_fail(u, err_copy(a->err));
}

/* A seen state that the replica refuses does not fail its user (§8.4). */
static void seen_answered(void *ctx, const struct answer *a)
{
    if (a->unknown)
        unit_change_answered(ctx, a);
}

/* ---- quota (§8.2) ---- */

static struct err *send_quota(struct unit *u, const struct quota *q)
{
    static const struct { enum quota_resource res; const char *name[2]; } keys[] = {
        { QUOTA_STORAGE, { "STORAGE", NULL } },
        { QUOTA_MESSAGE, { "MESSAGE", NULL } },
        { QUOTA_ANNOTATION, { "ANNOTATION-STORAGE", "X-ANNOTATION-STORAGE" } },
        { QUOTA_FOLDERS, { "MAILBOX", "X-NUM-FOLDERS" } },
    };
    struct session *s = u->engine->session;
    log_progress("QUOTA " SLICE_FMT, SLICE_ARG(q->root));
    struct buf *b = session_begin(s, "APPLY QUOTA", NULL, NULL, unit_change_answered, u);
    buf_adds(b, "%(");
    dlist_put_str(b, "ROOT", q->root);
    dlist_put_u64(b, "LIMIT", q->limit[QUOTA_STORAGE] == QUOTA_UNLIMITED ? UINT32_MAX : wire_limit(q, QUOTA_STORAGE));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int k = 0; k < 2 && keys[i].name[k]; k++)
            if (q->limit[keys[i].res] != QUOTA_UNLIMITED)
                dlist_put_u64(b, keys[i].name[k], wire_limit(q, keys[i].res));
    if (q->modseq)
        dlist_put_u64(b, "MODSEQ", q->modseq);
    buf_addc(b, ')');
    return session_end(s);
}

/* A server refuses others as the name of a root, set or unset. */
static bool may_be_root(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '\0' || strchr("/*%?", name.p[i]))
            return false;
    return name.n > 0 && name.p[0] != '.';
}

static struct err *send_unquota(struct unit *u, struct slice root)
{
    if (!may_be_root(root))
        return NULL;
    log_progress("UNQUOTA " SLICE_FMT, SLICE_ARG(root));
    struct buf *b = session_begin(u->engine->session, "APPLY UNQUOTA", NULL, NULL, unit_change_answered, u);
    dlist_write_str(b, root);
    return session_end(u->engine->session);
}

static const struct quota *replica_quota(const struct unit *u, struct slice root)
{
    for (size_t i = 0; i < u->replica.quotas.n; i++)
        if (slice_eq(u->replica.quotas.q[i].root, root))
            return &u->replica.quotas.q[i];
    return NULL;
}

struct err *meta_quota(struct unit *u, struct slice root, bool always)
{
    struct quota q;
    bool found;
    struct err *err = store_quota(u->engine->o.store, &u->arena, root, &q, &found);
    if (err) {
        unit_fail(u, err);
        return NULL;
    }
    const struct quota *r = replica_quota(u, root);
    bool left = map_get(&u->roots, root) != NULL; /* by mailboxes that are gone: the replica does not tell it any more */
    if (!found)
        return r || always || left ? send_unquota(u, root) : NULL;
    return r && !always && diff_quota_equal(&q, r) ? NULL : send_quota(u, &q);
}

/*
 * A root of the replica that none of the unit's mailboxes names. That is no reason to delete it: some of
 * them may not have been read. The master's own list of roots is asked, by name.
 */
static struct err *drop_if_gone(struct unit *u, struct slice root)
{
    struct quota q;
    bool found;
    struct err *err = store_quota(u->engine->o.store, &u->arena, root, &q, &found);
    if (err)
        unit_fail(u, err);
    return err || found ? NULL : send_unquota(u, root);
}

struct leftovers {
    struct unit *unit;
    const struct map *seen;
    struct err *err;
};

static void drop_leftover(void *ctx, struct slice root, void *value)
{
    struct leftovers *l = ctx;
    (void)value;
    if (!l->err && !map_get(l->seen, root))
        l->err = drop_if_gone(l->unit, root);
}

/* Roots of mailboxes that the unit has deleted or renamed on the replica: nobody names them any more there. */
static struct err *drop_leftovers(struct unit *u, const struct map *seen)
{
    struct leftovers l = { u, seen, NULL };
    map_each(&u->roots, drop_leftover, &l);
    return l.err;
}

/*
 * A mailbox that the replica gets under a name at which an earlier one had a root: while no mailbox names it nobody
 * tells of it, and it takes hold of the new one. Unsetting what is not there does no harm. A user whom the replica
 * does not know has left nothing there.
 */
static struct err *drop_from_new(struct unit *u, struct map *seen)
{
    for (size_t i = 0; i < u->nwork && u->replica.mailboxes.n; i++) {
        const struct work *w = &u->work[i];
        if (w->m && !w->r && map_put(seen, w->entry->name, u))
            TRY(drop_if_gone(u, w->entry->name));
    }
    return NULL;
}

static struct err *sync_quotas(struct unit *u)
{
    struct map seen = MAP_INIT;
    struct err *err = NULL;
    for (size_t i = 0; i < u->nwork && !err; i++) {
        const struct mailbox_header *m = u->work[i].m;
        if (m && m->quotaroot.n && map_put(&seen, m->quotaroot, u))
            err = meta_quota(u, m->quotaroot, false);
    }
    for (size_t i = 0; i < u->replica.quotas.n && !err; i++)
        if (map_put(&seen, u->replica.quotas.q[i].root, u))
            err = drop_if_gone(u, u->replica.quotas.q[i].root);
    if (!err)
        err = drop_leftovers(u, &seen);
    if (!err)
        err = drop_from_new(u, &seen);
    map_free(&seen);
    return err;
}

/* ---- subscriptions (§8.3) ---- */

struct err *meta_subscription(struct unit *u, const struct identity *who, struct slice name, bool subscribed)
{
    const char *verb = subscribed ? "APPLY SUB" : "APPLY UNSUB";
    struct session *s = u->engine->session;
    log_progress("%s " SLICE_FMT " " SLICE_FMT, verb + 6, SLICE_ARG(who->userid), SLICE_ARG(name));
    struct buf *b = session_begin(s, verb, NULL, NULL, unit_change_answered, u);
    buf_adds(b, "%(");
    dlist_put_str(b, "USERID", who->userid);
    dlist_put_str(b, "MBOXNAME", name);
    buf_addc(b, ')');
    return session_end(s);
}

static struct err *send_names(struct unit *u, const struct identity *who, bool subscribed,
                              const struct subscription_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        TRY(meta_subscription(u, who, l->name[i], subscribed));
    return NULL;
}

static struct err *sync_subscriptions(struct unit *u, const struct identity *who)
{
    struct err *err = store_subscriptions(u->engine->o.store, &u->arena, who->userid, &u->subscriptions);
    if (err) {
        log_msg(LOG_ERR, "IOERROR: fetching subscriptions failed: userid=<" SLICE_FMT ">", SLICE_ARG(who->userid));
        unit_fail(u, err);
        return NULL;
    }
    struct subscription_list add = diff_names(&u->arena, &u->subscriptions, &u->replica.subscriptions);
    struct subscription_list drop = diff_names(&u->arena, &u->replica.subscriptions, &u->subscriptions);
    if (!who->is_gone)
        TRY(send_names(u, who, true, &add));
    return send_names(u, who, false, &drop);
}

struct err *meta_drop_settings(struct unit *u, const struct identity *who)
{
    TRY(sync_subscriptions(u, who));
    return session_capabilities(u->engine->session) & CAP_BEFORE_3_6 ? unit_sieve(u) : NULL;
}

/* ---- seen states of mailboxes that keep them per user (§8.4) ---- */

static struct err *send_seen(struct unit *u, const struct identity *who, const struct seen_row *row, answer_fn fn)
{
    struct session *s = u->engine->session;
    log_progress("SEEN " SLICE_FMT " " SLICE_FMT, SLICE_ARG(who->userid), SLICE_ARG(row->uniqueid));
    struct buf *b = session_begin(s, "APPLY SEEN", NULL, NULL, fn, u);
    buf_adds(b, "%(");
    dlist_put_str(b, "USERID", who->userid);
    dlist_put_str(b, "UNIQUEID", row->uniqueid);
    dlist_put_i64(b, "LASTREAD", row->lastread);
    dlist_put_u64(b, "LASTUID", row->lastuid);
    dlist_put_i64(b, "LASTCHANGE", row->lastchange);
    dlist_put_str(b, "SEENUIDS", row->uids);
    buf_addc(b, ')');
    return session_end(s);
}

struct err *meta_seen(struct unit *u, const struct identity *who, const struct seen_row *row)
{
    return send_seen(u, who, row, unit_change_answered);
}

static struct err *sync_seen(struct unit *u, const struct identity *who)
{
    struct seen_list here = { NULL, 0 };
    struct err *err = store_seen(u->engine->o.store, &u->arena, who->userid, &here);
    if (err) {
        log_msg(LOG_ERR, "IOERROR: fetching seen states failed: userid=<" SLICE_FMT "> error=<%s>",
                SLICE_ARG(who->userid), err->msg);
        err_free(err);
        return NULL;
    }
    struct map there = MAP_INIT;
    for (size_t i = 0; i < u->replica.seen.n; i++)
        map_put(&there, u->replica.seen.row[i].uniqueid, &u->replica.seen.row[i]);
    for (size_t i = 0; i < here.n && !err; i++) {
        const struct seen_row *r = map_get(&there, here.row[i].uniqueid);
        if (!r || !diff_seen_equal(&here.row[i], r))
            err = send_seen(u, who, &here.row[i], seen_answered);
    }
    map_free(&there);
    return err;
}

struct err *unit_meta(struct unit *u)
{
    if (item_is_single(u->item))
        return u->err ? NULL : single_send(u);
    if (u->item->kind == ITEM_MAILBOXES)
        return drop_leftovers(u, &(const struct map)MAP_INIT);
    if (!u->identity)
        return NULL; /* why has been told */
    if (u->item->kind == ITEM_USER)
        TRY(sync_quotas(u));
    TRY(sync_subscriptions(u, u->identity));
    TRY(unit_sieve(u));
    return sync_seen(u, u->identity);
}
