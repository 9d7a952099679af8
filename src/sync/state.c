/*
 * What a replica says that it holds: MAILBOX, QUOTA, LSUB, SEEN and SIEVE lines
 * (spec/commands.md §2, §4.1) become plain structures for the diff core. Called by the
 * engine's thread for each answer.
 */
#include "sync/state.h"

#include <stdlib.h>

static int compare_annotations(const void *x, const void *y)
{
    const struct annotation *a = x, *b = y;
    int c = slice_cmp(a->entry, b->entry);
    return c ? c : slice_cmp(a->userid, b->userid);
}

static struct err *read_annotation(const struct dlist *d, struct annotation *out)
{
    if (!dlist_str(d, "ENTRY", &out->entry) || !dlist_str(d, "USERID", &out->userid) ||
        !dlist_str(d, "VALUE", &out->value))
        return err_new(ERR_PROTOCOL, "annotation without ENTRY, USERID or VALUE");
    dlist_u64(d, "MODSEQ", &out->modseq);
    return NULL;
}

static struct err *read_annotations(struct arena *a, const struct dlist *list, struct annotation_list *out)
{
    out->a = arena_array(a, dlist_count(list), sizeof *out->a);
    for (const struct dlist *d = list->first; d; d = d->next)
        TRY(read_annotation(d, &out->a[out->n++]));
    if (out->n > 1)
        qsort(out->a, out->n, sizeof *out->a, compare_annotations);
    return NULL;
}

/* 3.12 keeps intermediates without uniqueid: NIL. */
static bool read_uniqueid(const struct dlist *d, struct replica_mailbox *m)
{
    return dlist_str(d, "UNIQUEID", &m->uniqueid) || replica_is_intermediate(m);
}

struct err *state_read_mailbox(struct arena *a, const struct dlist *d, struct replica_mailbox *m)
{
    dlist_str(d, "MBOXTYPE", &m->type);
    if (!dlist_str(d, "MBOXNAME", &m->name) || !read_uniqueid(d, m))
        return err_new(ERR_PROTOCOL, "MAILBOX without UNIQUEID or MBOXNAME");
    if (!dlist_u32(d, "LAST_UID", &m->last_uid) || !dlist_u64(d, "HIGHESTMODSEQ", &m->highestmodseq) ||
        !dlist_u32(d, "UIDVALIDITY", &m->uidvalidity) || !dlist_u32(d, "RECENTUID", &m->recentuid) ||
        !dlist_i64(d, "RECENTTIME", &m->recenttime) || !dlist_str(d, "ACL", &m->acl) ||
        !dlist_str(d, "OPTIONS", &m->options))
        return err_new(ERR_PROTOCOL, "MAILBOX " SLICE_FMT ": a mandatory key is missing or ill-typed",
                       SLICE_ARG(m->name));
    dlist_str(d, "PARTITION", &m->partition);
    dlist_str(d, "QUOTAROOT", &m->quotaroot);
    dlist_u32(d, "SYNC_CRC", &m->sync_crc);
    dlist_u32(d, "SYNC_CRC_ANNOT", &m->sync_crc_annot);
    dlist_i64(d, "POP3_LAST_LOGIN", &m->pop3_last_login);
    dlist_i64(d, "POP3_SHOW_AFTER", &m->pop3_show_after);
    dlist_u64(d, "CREATEDMODSEQ", &m->createdmodseq);
    dlist_u64(d, "FOLDERMODSEQ", &m->foldermodseq);
    dlist_u64(d, "XCONVMODSEQ", &m->xconvmodseq);
    dlist_u64(d, "RACLMODSEQ", &m->raclmodseq);
    const struct dlist *annotations = dlist_get(d, "ANNOTATIONS");
    return annotations ? read_annotations(a, annotations, &m->annotations) : NULL;
}

static void write_annotations(struct buf *b, const struct annotation_list *l)
{
    dlist_put_list(b, "ANNOTATIONS");
    for (size_t i = 0; i < l->n; i++) {
        buf_adds(b, i ? " %(" : "%(");
        dlist_put_str(b, "ENTRY", l->a[i].entry);
        dlist_put_str(b, "USERID", l->a[i].userid);
        dlist_put_u64(b, "MODSEQ", l->a[i].modseq);
        dlist_put_str(b, "VALUE", l->a[i].value);
        buf_addc(b, ')');
    }
    buf_addc(b, ')');
}

void state_write_mailbox(struct buf *b, const struct replica_mailbox *m)
{
    buf_adds(b, "%(");
    dlist_put_str(b, "UNIQUEID", m->uniqueid);
    dlist_put_str(b, "MBOXNAME", m->name);
    dlist_put_u64(b, "LAST_UID", m->last_uid);
    dlist_put_u64(b, "HIGHESTMODSEQ", m->highestmodseq);
    dlist_put_u64(b, "UIDVALIDITY", m->uidvalidity);
    dlist_put_u64(b, "RECENTUID", m->recentuid);
    dlist_put_i64(b, "RECENTTIME", m->recenttime);
    dlist_put_str(b, "ACL", m->acl);
    dlist_put_str(b, "OPTIONS", m->options);
    dlist_put_str(b, "MBOXTYPE", m->type);
    if (m->partition.n)
        dlist_put_str(b, "PARTITION", m->partition);
    if (m->quotaroot.n)
        dlist_put_str(b, "QUOTAROOT", m->quotaroot);
    dlist_put_u64(b, "SYNC_CRC", m->sync_crc);
    dlist_put_u64(b, "SYNC_CRC_ANNOT", m->sync_crc_annot);
    dlist_put_i64(b, "POP3_LAST_LOGIN", m->pop3_last_login);
    dlist_put_i64(b, "POP3_SHOW_AFTER", m->pop3_show_after);
    dlist_put_u64(b, "CREATEDMODSEQ", m->createdmodseq);
    dlist_put_u64(b, "FOLDERMODSEQ", m->foldermodseq);
    dlist_put_u64(b, "XCONVMODSEQ", m->xconvmodseq);
    dlist_put_u64(b, "RACLMODSEQ", m->raclmodseq);
    write_annotations(b, &m->annotations);
    buf_addc(b, ')');
}

static void read_limit(const struct dlist *d, const char *key, int64_t *limit)
{
    uint32_t v;
    if (dlist_u32(d, key, &v))
        *limit = v;
}

/* Newer replicas say each of two resources under two names (spec/commands.md §5.1). */
static struct err *read_quota(const struct dlist *d, struct quota *q)
{
    if (!dlist_str(d, "ROOT", &q->root))
        return err_new(ERR_PROTOCOL, "QUOTA without ROOT");
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        q->limit[i] = QUOTA_UNLIMITED;
    read_limit(d, "STORAGE", &q->limit[QUOTA_STORAGE]);
    read_limit(d, "MESSAGE", &q->limit[QUOTA_MESSAGE]);
    read_limit(d, "X-ANNOTATION-STORAGE", &q->limit[QUOTA_ANNOTATION]);
    read_limit(d, "ANNOTATION-STORAGE", &q->limit[QUOTA_ANNOTATION]);
    read_limit(d, "X-NUM-FOLDERS", &q->limit[QUOTA_FOLDERS]);
    read_limit(d, "MAILBOX", &q->limit[QUOTA_FOLDERS]);
    dlist_u64(d, "MODSEQ", &q->modseq);
    return NULL;
}

static struct err *read_seen(const struct dlist *d, struct seen_row *row)
{
    if (!dlist_str(d, "UNIQUEID", &row->uniqueid) || !dlist_i64(d, "LASTREAD", &row->lastread) ||
        !dlist_u32(d, "LASTUID", &row->lastuid) || !dlist_i64(d, "LASTCHANGE", &row->lastchange) ||
        !dlist_str(d, "SEENUIDS", &row->uids))
        return err_new(ERR_PROTOCOL, "SEEN line with a missing or ill-typed key");
    return NULL;
}

/* A server says all in one LSUB line; more of them add to it. */
static struct err *read_subscriptions(struct arena *a, const struct dlist *list, struct replica_state *s)
{
    struct subscription_list *out = &s->subscriptions;
    for (const struct dlist *d = list->first; d; d = d->next) {
        if (d->type != DLIST_STRING)
            return err_new(ERR_PROTOCOL, "LSUB with something that is no name");
        out->name = arena_grow(a, out->name, out->n, &s->subscriptions_cap, sizeof *out->name);
        out->name[out->n++] = d->str;
    }
    return NULL;
}

static struct err *read_script(const struct dlist *d, struct replica_script *script)
{
    struct slice guid;
    uint32_t active = 0;
    *script = (struct replica_script){ .last_update = 0 };
    if (!dlist_str(d, "FILENAME", &script->file))
        return err_new(ERR_PROTOCOL, "SIEVE without FILENAME");
    dlist_i64(d, "LAST_UPDATE", &script->last_update);
    if (dlist_str(d, "GUID", &guid))
        guid_parse(guid, &script->guid);
    script->active = dlist_u32(d, "ISACTIVE", &active) && active;
    return NULL;
}

static struct err *expect(const struct dlist *d, enum dlist_type type)
{
    if (d->type == type)
        return NULL;
    return err_new(ERR_PROTOCOL, SLICE_FMT " line of an unexpected form", SLICE_ARG(d->key));
}

struct err *state_add_line(struct arena *a, struct replica_state *s, const struct dlist *line)
{
    if (slice_caseeqs(line->key, "MAILBOX")) {
        TRY(expect(line, DLIST_KVLIST));
        struct replica_mailbox_list *l = &s->mailboxes;
        l->m = arena_grow(a, l->m, l->n, &l->cap, sizeof *l->m);
        return state_read_mailbox(a, line, &l->m[l->n++]);
    }
    if (slice_caseeqs(line->key, "QUOTA")) {
        TRY(expect(line, DLIST_KVLIST));
        struct replica_quota_list *l = &s->quotas;
        l->q = arena_grow(a, l->q, l->n, &l->cap, sizeof *l->q);
        return read_quota(line, &l->q[l->n++]);
    }
    if (slice_caseeqs(line->key, "SEEN")) {
        TRY(expect(line, DLIST_KVLIST));
        s->seen.row = arena_grow(a, s->seen.row, s->seen.n, &s->seen_cap, sizeof *s->seen.row);
        return read_seen(line, &s->seen.row[s->seen.n++]);
    }
    if (slice_caseeqs(line->key, "LSUB")) {
        TRY(expect(line, DLIST_LIST));
        return read_subscriptions(a, line, s);
    }
    if (slice_caseeqs(line->key, "ANNOTATION")) {
        TRY(expect(line, DLIST_KVLIST));
        struct annotation_list *l = &s->annotations;
        l->a = arena_grow(a, l->a, l->n, &s->annotations_cap, sizeof *l->a);
        return read_annotation(line, &l->a[l->n++]);
    }
    if (slice_caseeqs(line->key, "SIEVE")) {
        TRY(expect(line, DLIST_KVLIST));
        struct replica_script_list *l = &s->scripts;
        l->s = arena_grow(a, l->s, l->n, &l->cap, sizeof *l->s);
        return read_script(line, &l->s[l->n++]);
    }
    return NULL;
}

struct err *state_add_lines(struct arena *a, struct replica_state *s, struct dlist *const *lines, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(state_add_line(a, s, lines[i]));
    return NULL;
}
