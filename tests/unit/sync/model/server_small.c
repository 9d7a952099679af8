/* The other APPLY commands of the model's servers (server.h, spec/commands.md §3). */
#include "server.h"

#include <stdio.h>

/* ---- messages ---- */

static bool has_message(const struct model_mailbox *m, const struct guid *g)
{
    for (size_t i = 0; i < m->n; i++)
        if (guid_eq(&m->rec[i].guid, g) && !(m->rec[i].flags & REC_UNLINKED))
            return true;
    return false;
}

static bool is_in_one(const struct connection *c, const struct dlist *names, const struct guid *g)
{
    for (const struct dlist *name = names->first; name; name = name->next) {
        const struct model_mailbox *m = model_box(c->server->host, model_intern(name->str));
        if (m && has_message(m, g))
            return true;
    }
    return false;
}

const char *server_apply_reserve(struct connection *c, const struct dlist *d)
{
    const struct dlist *names = dlist_get(d, "MBOXNAME"), *guids = dlist_get(d, "GUID");
    bool any = false;
    const char *partition = server_key(d, "PARTITION");
    if (!partition || !names || !guids)
        return SERVER_BAD_PARAMETERS;
    for (const struct dlist *item = guids->first; item; item = item->next) {
        struct guid g;
        if (!guid_parse(item->str, &g))
            return SERVER_BAD_PARAMETERS;
        if (server_is_staged(c, partition, &g))
            continue;
        if (is_in_one(c, names, &g)) {
            server_stage(c, partition, &g);
            continue;
        }
        buf_adds(&c->out, any ? "" : "* MISSING (");
        dlist_item_guid(&c->out, &g);
        any = true;
    }
    buf_adds(&c->out, any ? ")\r\n" : "");
    return SERVER_OK;
}

const char *server_apply_message(struct connection *c, const struct dlist *d)
{
    for (const struct dlist *f = d->first; f; f = f->next) {
        struct guid g;
        if (f->type != DLIST_FILE)
            continue;
        struct sha1 *h = sha1_new();
        sha1_add(h, f->str.p, f->str.n);
        sha1_final(h, &g);
        sha1_free(h);
        if (!guid_eq(&g, &f->guid))
            model_violation("a message is uploaded whose bytes are not its GUID's");
        const char *partition = model_intern(f->partition);
        if (partition != model_partition(0) && partition != model_partition(1))
            model_violation("a message is uploaded to partition %s", partition);
        server_stage(c, partition, &f->guid);
    }
    return SERVER_OK;
}

/* ---- mailboxes ---- */

/*
 * A live message of the replica that goes without the master having it is lost, but for the one
 * case that the algorithm allows: its modseq is below what the master has cleaned up, so it may be
 * one that the master knew (R3).
 */
static void watch_expunge(const struct connection *c, const struct model_mailbox *m, const struct model_record *r)
{
    const struct model_mailbox *there = model_box_of_id(c->server->peer, m->uniqueid);
    if (!there && model_pass.master_edited && ledger_is_killed(m, &r->guid))
        return; /* expunged by a user, and then the mailbox was deleted while the engine was at it */
    if (!there) {
        model_violation("%s uid %u expunged on the replica, and the master has no such mailbox", m->name, r->uid);
        return;
    }
    for (size_t i = 0; i < there->n; i++)
        if (guid_eq(&there->rec[i].guid, &r->guid))
            return; /* live elsewhere, or expunged by a user: the ledger tells which */
    if (r->uid <= there->last_uid && r->modseq < there->deletedmodseq)
        ledger_given_up(m, &r->guid);
    else if (!ledger_is_killed(m, &r->guid))
        model_violation("%s uid %u expunged on the replica, and the master does not have its message", m->name,
                        r->uid);
}

const char *server_apply_expunge(struct connection *c, const struct dlist *d)
{
    const char *name = server_key(d, "MBOXNAME"), *id = server_key(d, "UNIQUEID");
    const struct dlist *uids = dlist_get(d, "UID");
    const char *answer = SERVER_OK;
    if (!name || !id || !uids)
        return SERVER_BAD_PARAMETERS;
    struct model_mailbox *m = model_box(c->server->host, name);
    if (!m)
        return SERVER_NONEXISTENT;
    if (m->uniqueid != id)
        return SERVER_MOVED;
    for (const struct dlist *u = uids->first; u; u = u->next) {
        char text[16];
        unsigned uid = 0;
        snprintf(text, sizeof text, SLICE_FMT, SLICE_ARG(u->str));
        sscanf(text, "%u", &uid);
        struct model_record *r = model_find(m, uid);
        answer = r ? SERVER_OK : SERVER_UNKNOWN; /* that of the last one */
        if (!r)
            continue;
        if (!(r->flags & REC_EXPUNGED))
            watch_expunge(c, m, r);
        r->flags |= REC_EXPUNGED;
    }
    return answer;
}

/* Subscriptions and seen states are found by the INBOX: they go where it goes. */
static void move_settings(struct model_host *h, const char *from, const char *to)
{
    for (unsigned x = 0; x < MODEL_USERS; x++)
        for (unsigned y = 0; y < MODEL_USERS; y++)
            if (from == model_box_name(x, 0) && to == model_box_name(y, 0)) {
                model_drop_settings(h, model_user(y));
                model_rename_settings(h, model_user(x), model_user(y));
            }
}

const char *server_apply_rename(struct connection *c, const struct dlist *d)
{
    struct model_host *h = c->server->host;
    const char *from = server_key(d, "OLDMBOXNAME"), *to = server_key(d, "NEWMBOXNAME");
    const char *partition = server_key(d, "PARTITION");
    if (!from || !to || !partition)
        return SERVER_BAD_PARAMETERS;
    struct model_mailbox *m = model_box(h, from);
    if (!m)
        return SERVER_NONEXISTENT;
    if (from != to && model_box(h, to))
        return SERVER_UNKNOWN;
    m->partition = partition;
    if (from != to) {
        model_move_box(h, m, to);
        move_settings(h, from, to);
    }
    if (m->foldermodseq < m->highestmodseq)
        m->foldermodseq = m->highestmodseq;
    return SERVER_OK;
}

/* Only what the master has deleted may go, or what is in the way and never had a message, or with -O. */
const char *server_apply_unmailbox(struct connection *c, const struct dlist *d)
{
    struct model_host *h = c->server->host;
    uint32_t uidvalidity;
    if (h->unmailbox_id && (!server_key(d, "UNIQUEID") || !dlist_u32(d, "UIDVALIDITY", &uidvalidity)))
        model_violation("UNMAILBOX does not say which mailbox it means");
    struct model_mailbox *m = model_box(h, h->unmailbox_id ? server_key(d, "MBOXNAME") : model_intern(d->str));
    if (!m)
        return SERVER_NONEXISTENT;
    if (h->unmailbox_id && (m->uniqueid != server_key(d, "UNIQUEID") || m->uidvalidity != uidvalidity))
        return SERVER_MOVED;
    bool deleted = false;
    for (size_t i = 0; i < c->server->peer->ngone; i++)
        deleted |= c->server->peer->gone[i].uniqueid == m->uniqueid;
    deleted |= (m->last_uid == 0 || h->forced) && model_box(c->server->peer, m->name);
    if (!deleted || model_box_of_id(c->server->peer, m->uniqueid))
        model_violation("UNMAILBOX %s, which the master has not deleted", m->name);
    model_drop_box(h, m);
    return SERVER_OK;
}

/* ---- a user's other things ---- */

static const char *subscribe(struct connection *c, const struct dlist *d, bool on)
{
    const char *userid = server_key(d, "USERID"), *name = server_key(d, "MBOXNAME");
    if (!userid || !name)
        return SERVER_BAD_PARAMETERS;
    model_set_sub(c->server->host, userid, name, on);
    return SERVER_OK;
}

const char *server_apply_sub(struct connection *c, const struct dlist *d)
{
    return subscribe(c, d, true);
}

const char *server_apply_unsub(struct connection *c, const struct dlist *d)
{
    return subscribe(c, d, false);
}

const char *server_apply_seen(struct connection *c, const struct dlist *d)
{
    const char *userid = server_key(d, "USERID"), *id = server_key(d, "UNIQUEID"), *uids = server_key(d, "SEENUIDS");
    int64_t lastread, lastchange;
    uint32_t lastuid;
    if (!userid || !id || !uids || !dlist_i64(d, "LASTREAD", &lastread) || !dlist_u32(d, "LASTUID", &lastuid) ||
        !dlist_i64(d, "LASTCHANGE", &lastchange))
        return SERVER_BAD_PARAMETERS;
    struct model_seen *s = model_set_seen(c->server->host, userid, id);
    *s = (struct model_seen){ userid, id, uids, lastread, lastchange, lastuid };
    return SERVER_OK;
}

const char *server_apply_quota(struct connection *c, const struct dlist *d)
{
    static const char *const names[] = { "STORAGE", "MESSAGE", "X-ANNOTATION-STORAGE", "X-NUM-FOLDERS" };
    const char *root = server_key(d, "ROOT");
    uint32_t v;
    if (!root)
        return SERVER_BAD_PARAMETERS;
    struct model_quota *q = model_set_quota(c->server->host, root);
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        if (dlist_u32(d, names[i], &v))
            q->limit[i] = v;
    return SERVER_OK;
}

const char *server_apply_unquota(struct connection *c, const struct dlist *d)
{
    model_drop_quota(c->server->host, model_intern(d->str));
    return SERVER_OK;
}

const char *server_apply_force(struct connection *c, const struct dlist *d)
{
    (void)d;
    c->server->host->forced = true;
    return SERVER_OK;
}
