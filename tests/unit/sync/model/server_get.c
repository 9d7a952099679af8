/* GET commands of the model's servers (server.h, spec/commands.md §2). */
#include "server.h"

#include <stdio.h>

static void put_annotation(struct buf *b, const char *entry, const char *userid, uint64_t modseq, const char *value)
{
    if (buf_ptr(b)[buf_len(b) - 1] != '(')
        buf_addc(b, ' ');
    buf_adds(b, "%(");
    dlist_put_str(b, "ENTRY", slice_str(entry));
    dlist_put_str(b, "USERID", slice_str(userid));
    dlist_put_u64(b, "MODSEQ", modseq);
    dlist_put_str(b, "VALUE", slice_str(value));
    buf_addc(b, ')');
}

static void put_annotations(struct buf *b, const struct model_annots *l)
{
    for (size_t i = 0; i < l->n; i++)
        put_annotation(b, l->a[i].entry, l->a[i].userid, l->a[i].modseq, l->a[i].value);
}

static void put_virtual(struct buf *b, const char *name, const char *fmt, unsigned long long v)
{
    char entry[64], value[32];
    snprintf(entry, sizeof entry, "/vendor/cmu/cyrus-imapd/%s", name);
    snprintf(value, sizeof value, fmt, v);
    if (v)
        put_annotation(b, entry, "", 0, value);
}

static void put_flags(struct buf *b, const struct model_mailbox *m, const struct model_record *r)
{
    static const struct { uint32_t bit; const char *name; } names[] = {
        { REC_DELETED, "\\Deleted" }, { REC_ANSWERED, "\\Answered" }, { REC_FLAGGED, "\\Flagged" },
        { REC_DRAFT, "\\Draft" },     { REC_EXPUNGED, "\\Expunged" }, { REC_SEEN, "\\Seen" },
    };
    dlist_put_list(b, "FLAGS");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (r->flags & names[i].bit)
            dlist_item_flag(b, slice_str(names[i].name));
    for (size_t i = 0; i < m->nuserflags; i++)
        if (r->userflags & (1u << i))
            dlist_item_flag(b, slice_str(m->userflag[i]));
    buf_addc(b, ')');
}

static void put_record(struct buf *b, const struct model_mailbox *m, const struct model_record *r)
{
    buf_adds(b, "%(");
    dlist_put_u64(b, "UID", r->uid);
    dlist_put_u64(b, "MODSEQ", r->modseq);
    dlist_put_i64(b, "LAST_UPDATED", r->last_updated);
    put_flags(b, m, r);
    dlist_put_i64(b, "INTERNALDATE", r->internaldate);
    dlist_put_u64(b, "SIZE", r->size);
    dlist_put_guid(b, "GUID", &r->guid);
    if (r->annots.n || r->cid || r->savedate || r->createdmodseq) {
        dlist_put_list(b, "ANNOTATIONS");
        put_annotations(b, &r->annots);
        put_virtual(b, "thrid", "%016llx", r->cid);
        put_virtual(b, "savedate", "%llu", (unsigned long long)r->savedate);
        put_virtual(b, "createdmodseq", "%llu", r->createdmodseq);
        buf_addc(b, ')');
    }
    buf_addc(b, ')');
}

static void put_options(struct buf *b, uint32_t options)
{
    char letters[5];
    snprintf(letters, sizeof letters, "%s%s%s%s", options & MBOPT_POP3_NEW_UIDL ? "P" : "",
             options & MBOPT_SHARED_SEEN ? "S" : "", options & MBOPT_DUPLICATE_DELIVER ? "D" : "",
             options & MBOPT_HAS_ALARMS ? "A" : "");
    dlist_put_str(b, "OPTIONS", slice_str(letters));
}

static void put_counters(struct buf *b, const struct mailbox_header *h)
{
    dlist_put_u64(b, "SYNC_CRC", h->sync_crc);
    dlist_put_u64(b, "SYNC_CRC_ANNOT", h->sync_crc_annot);
    dlist_put_u64(b, "LAST_UID", h->last_uid);
    dlist_put_u64(b, "HIGHESTMODSEQ", h->highestmodseq);
    dlist_put_u64(b, "RECENTUID", h->recentuid);
    dlist_put_i64(b, "RECENTTIME", h->recenttime);
    dlist_put_i64(b, "LAST_APPENDDATE", h->last_appenddate);
    dlist_put_i64(b, "POP3_LAST_LOGIN", h->pop3_last_login);
    dlist_put_i64(b, "POP3_SHOW_AFTER", h->pop3_show_after);
    dlist_put_u64(b, "UIDVALIDITY", h->uidvalidity);
}

static void put_mailbox(struct connection *c, const struct model_mailbox *m, bool full)
{
    struct buf *b = &c->out;
    struct mailbox_header h;
    model_header(&c->arena, c->server->host, m, &h);
    buf_adds(b, "* MAILBOX %(");
    dlist_put_str(b, "UNIQUEID", h.entry.uniqueid);
    dlist_put_str(b, "MBOXNAME", h.entry.name);
    put_counters(b, &h);
    dlist_put_str(b, "PARTITION", h.entry.partition);
    dlist_put_str(b, "ACL", h.entry.acl);
    put_options(b, h.options);
    if (h.quotaroot.n)
        dlist_put_str(b, "QUOTAROOT", h.quotaroot);
    if (h.createdmodseq)
        dlist_put_u64(b, "CREATEDMODSEQ", h.createdmodseq);
    if (h.entry.foldermodseq)
        dlist_put_u64(b, "FOLDERMODSEQ", h.entry.foldermodseq);
    if (h.xconvmodseq)
        dlist_put_u64(b, "XCONVMODSEQ", h.xconvmodseq);
    if (m->annots.n) {
        dlist_put_list(b, "ANNOTATIONS");
        put_annotations(b, &m->annots);
        buf_addc(b, ')');
    }
    if (full) {
        dlist_put_list(b, "RECORD");
        for (size_t i = 0; i < m->n; i++) {
            if (i)
                buf_addc(b, ' ');
            put_record(b, m, &m->rec[i]);
        }
        buf_addc(b, ')');
    }
    buf_adds(b, ")\r\n");
}

static void put_quota(struct buf *b, const struct model_quota *q)
{
    static const char *const names[] = { "STORAGE", "MESSAGE", "X-ANNOTATION-STORAGE", "X-NUM-FOLDERS" };
    buf_adds(b, "* QUOTA %(");
    dlist_put_str(b, "ROOT", slice_str(q->root));
    dlist_put_u64(b, "LIMIT", q->limit[0] == QUOTA_UNLIMITED ? UINT32_MAX : (uint64_t)q->limit[0]);
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        if (q->limit[i] != QUOTA_UNLIMITED)
            dlist_put_u64(b, names[i], (uint64_t)q->limit[i]);
    buf_adds(b, ")\r\n");
}

static void put_meta(struct connection *c, const char *userid)
{
    const struct model_host *h = c->server->host;
    struct buf *b = &c->out;
    for (size_t i = 0; i < h->nseen; i++) {
        const struct model_seen *s = &h->seen[i];
        if (s->userid != userid)
            continue;
        buf_adds(b, "* SEEN %(");
        dlist_put_str(b, "UNIQUEID", slice_str(s->uniqueid));
        dlist_put_i64(b, "LASTREAD", s->lastread);
        dlist_put_u64(b, "LASTUID", s->lastuid);
        dlist_put_i64(b, "LASTCHANGE", s->lastchange);
        dlist_put_str(b, "SEENUIDS", slice_str(s->uids));
        buf_adds(b, ")\r\n");
    }
    bool any = false;
    for (size_t i = 0; i < h->nsub; i++) {
        if (h->sub[i].userid != userid)
            continue;
        buf_adds(b, any ? "" : "* LSUB (");
        dlist_item_str(b, slice_str(h->sub[i].name));
        any = true;
    }
    buf_adds(b, any ? ")\r\n" : "");
}

static void put_user_boxes(struct connection *c, const char *userid, bool deleted, bool *any)
{
    const struct model_host *h = c->server->host;
    for (size_t i = 0; i < h->nbox; i++)
        if (model_is_of_user(h->box[i]->name, userid) && model_is_deleted_name(h->box[i]->name) == deleted) {
            put_mailbox(c, h->box[i], false);
            *any = true;
        }
}

/* Roots are told as they are met on the way through the mailboxes. */
static bool is_met(const struct model_host *h, const struct model_quota *q, const char *userid)
{
    for (size_t i = 0; i < h->nbox; i++)
        if (model_is_of_user(h->box[i]->name, userid) && !model_is_deleted_name(h->box[i]->name) &&
            model_quota_of(h, h->box[i]->name) == q)
            return true;
    return false;
}

const char *server_get_user(struct connection *c, const struct dlist *d)
{
    const struct model_host *h = c->server->host;
    const char *userid = model_intern(d->str);
    bool any = false;
    put_user_boxes(c, userid, false, &any);
    put_user_boxes(c, userid, true, &any);
    for (size_t i = 0; i < h->nquota; i++)
        if (is_met(h, &h->quota[i], userid))
            put_quota(&c->out, &h->quota[i]);
    if (any)
        put_meta(c, userid);
    return SERVER_OK;
}

const char *server_get_meta(struct connection *c, const struct dlist *d)
{
    put_meta(c, model_intern(d->str));
    return SERVER_OK;
}

const char *server_get_mailboxes(struct connection *c, const struct dlist *d)
{
    for (const struct dlist *name = d->first; name; name = name->next) {
        const struct model_mailbox *m = model_box(c->server->host, model_intern(name->str));
        if (m)
            put_mailbox(c, m, false);
    }
    return SERVER_OK;
}

const char *server_get_uniqueids(struct connection *c, const struct dlist *d)
{
    for (const struct dlist *id = d->first; id; id = id->next) {
        const struct model_mailbox *m = model_box_of_id(c->server->host, model_intern(id->str));
        if (m)
            put_mailbox(c, m, false);
    }
    return SERVER_OK;
}

const char *server_get_fullmailbox(struct connection *c, const struct dlist *d)
{
    const struct model_mailbox *m = model_box(c->server->host, model_intern(d->str));
    if (!m)
        return SERVER_NONEXISTENT;
    put_mailbox(c, m, true);
    return SERVER_OK;
}

const char *server_get_fetch(struct connection *c, const struct dlist *d)
{
    const char *name = server_key(d, "MBOXNAME"), *id = server_key(d, "UNIQUEID");
    const char *partition = server_key(d, "PARTITION");
    struct guid g;
    uint32_t uid;
    char hex[GUID_HEX + 1];
    if (!name || !id || !partition || !dlist_guid(d, "GUID", &g) || !dlist_u32(d, "UID", &uid))
        return SERVER_BAD_PARAMETERS;
    const struct model_mailbox *m = model_box_of_id(c->server->host, id);
    const struct model_record *r = m ? model_find(m, uid) : NULL;
    if (!r || (r->flags & REC_UNLINKED) || m->partition != partition)
        return SERVER_NONEXISTENT;
    if (!guid_eq(&r->guid, &g)) {
        buf_adds(&c->out, "* MESSAGE NIL\r\n");
        return SERVER_OK;
    }
    struct slice text = model_text_of(&c->arena, &g);
    guid_format(&g, hex);
    buf_printf(&c->out, "* MESSAGE %%{%s %s %zu}\r\n", partition, hex, text.n);
    buf_add(&c->out, text.p, text.n);
    buf_adds(&c->out, "\r\n");
    return SERVER_OK;
}
