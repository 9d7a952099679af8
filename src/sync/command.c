/*
 * APPLY MAILBOX as text: header keys, then every record of the part
 * (spec/commands.md §4.1, §4.3; values: spec/algorithm.md §5.1). Called by the engine's
 * thread while it writes to its session.
 */
#include "sync/command.h"

#include <stdio.h>

struct slice command_options(uint32_t options, char letters[4])
{
    static const struct { uint32_t bit; char letter; } known[] = {
        { MBOPT_POP3_NEW_UIDL, 'P' },
        { MBOPT_SHARED_SEEN, 'S' },
        { MBOPT_DUPLICATE_DELIVER, 'D' },
        { MBOPT_HAS_ALARMS, 'A' },
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (options & known[i].bit)
            letters[n++] = known[i].letter;
    return slice_of(letters, n);
}

static void put_options(struct buf *b, uint32_t options)
{
    char letters[4];
    dlist_put_str(b, "OPTIONS", command_options(options, letters));
}

static void put_annotation(struct buf *b, struct slice entry, struct slice userid, uint64_t modseq,
                           struct slice value)
{
    if (buf_ptr(b)[buf_len(b) - 1] != '(')
        buf_addc(b, ' ');
    buf_adds(b, "%(");
    dlist_put_str(b, "ENTRY", entry);
    dlist_put_str(b, "USERID", userid);
    dlist_put_u64(b, "MODSEQ", modseq);
    dlist_put_str(b, "VALUE", value);
    buf_addc(b, ')');
}

static void put_annotations(struct buf *b, const struct annotation_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        put_annotation(b, l->a[i].entry, l->a[i].userid, l->a[i].modseq, l->a[i].value);
}

/* Shared, without modseq: values that live in the index record itself. */
static void put_virtual(struct buf *b, const char *name, const char *fmt, unsigned long long v)
{
    char entry[64], value[32];
    int ne = snprintf(entry, sizeof entry, "/vendor/cmu/cyrus-imapd/%s", name);
    int nv = snprintf(value, sizeof value, fmt, v);
    put_annotation(b, slice_of(entry, (size_t)ne), slice_of("", 0), 0, slice_of(value, (size_t)nv));
}

static void put_record_annotations(struct buf *b, const struct records *rec, size_t i)
{
    bool stored = rec->annotations && rec->annotations[i].n;
    if (!stored && !rec->cid[i] && !rec->savedate[i] && !rec->createdmodseq[i])
        return;
    dlist_put_list(b, "ANNOTATIONS");
    if (stored)
        put_annotations(b, &rec->annotations[i]);
    if (rec->cid[i])
        put_virtual(b, "thrid", "%016llx", rec->cid[i]);
    if (rec->savedate[i])
        put_virtual(b, "savedate", "%lld", (unsigned long long)rec->savedate[i]);
    if (rec->createdmodseq[i])
        put_virtual(b, "createdmodseq", "%llu", rec->createdmodseq[i]);
    buf_addc(b, ')');
}

static void put_flags(struct buf *b, const struct mailbox_header *m, const struct records *rec, size_t i)
{
    static const struct { uint32_t bit; const char *name; } system_flags[] = {
        { REC_DELETED, "\\Deleted" }, { REC_ANSWERED, "\\Answered" }, { REC_FLAGGED, "\\Flagged" },
        { REC_DRAFT, "\\Draft" },     { REC_EXPUNGED, "\\Expunged" }, { REC_SEEN, "\\Seen" },
    };
    dlist_put_list(b, "FLAGS");
    for (size_t k = 0; k < sizeof system_flags / sizeof *system_flags; k++)
        if (rec->flags[i] & system_flags[k].bit)
            dlist_item_flag(b, slice_str(system_flags[k].name));
    for (size_t k = 0; k < m->nuserflags; k++)
        if (m->userflags[k].n && rec->userflags[i][k / 32] & (1u << (k % 32)))
            dlist_item_flag(b, m->userflags[k]);
    buf_addc(b, ')');
}

static void put_record(struct buf *b, const struct mailbox_header *m, const struct records *rec, size_t i,
                       uint64_t modseq)
{
    buf_adds(b, "%(");
    dlist_put_u64(b, "UID", rec->uid[i]);
    dlist_put_u64(b, "MODSEQ", modseq);
    dlist_put_i64(b, "LAST_UPDATED", rec->last_updated[i]);
    put_flags(b, m, rec, i);
    dlist_put_i64(b, "INTERNALDATE", rec->internaldate[i]);
    dlist_put_u64(b, "SIZE", rec->size[i]);
    dlist_put_guid(b, "GUID", &rec->guid[i]);
    put_record_annotations(b, rec, i);
    buf_addc(b, ')');
}

/* A part leaves alone what only the whole settles: it keeps the replica's values. XCONVMODSEQ is left out:
 * the replica's own conversations raise it with each part, and it would refuse the next one. */
static void put_part_header(struct buf *b, const struct mailbox_command *c)
{
    const struct replica_mailbox *r = c->r;
    dlist_put_u64(b, "SYNC_CRC", 0);
    dlist_put_u64(b, "LAST_UID", c->part.to_uid);
    dlist_put_u64(b, "HIGHESTMODSEQ", c->part.to_modseq);
    dlist_put_u64(b, "RECENTUID", r ? r->recentuid : 0);
    dlist_put_i64(b, "RECENTTIME", r ? r->recenttime : 0);
    dlist_put_i64(b, "LAST_APPENDDATE", 0);
    dlist_put_i64(b, "POP3_LAST_LOGIN", r ? r->pop3_last_login : 0);
    dlist_put_i64(b, "POP3_SHOW_AFTER", r ? r->pop3_show_after : 0);
}

static void put_full_header(struct buf *b, const struct mailbox_command *c)
{
    const struct mailbox_header *m = c->m;
    dlist_put_u64(b, "SYNC_CRC", c->sync_crc);
    dlist_put_u64(b, "SYNC_CRC_ANNOT", c->sync_crc_annot);
    dlist_put_u64(b, "LAST_UID", m->last_uid);
    dlist_put_u64(b, "HIGHESTMODSEQ", m->highestmodseq);
    dlist_put_u64(b, "RECENTUID", m->recentuid);
    dlist_put_i64(b, "RECENTTIME", m->recenttime);
    dlist_put_i64(b, "LAST_APPENDDATE", m->last_appenddate);
    dlist_put_i64(b, "POP3_LAST_LOGIN", m->pop3_last_login);
    dlist_put_i64(b, "POP3_SHOW_AFTER", m->pop3_show_after);
    if (m->xconvmodseq > (c->r ? c->r->xconvmodseq : 0))
        dlist_put_u64(b, "XCONVMODSEQ", m->xconvmodseq); /* only to raise it: a change of another folder may have */
    if (m->raclmodseq)
        dlist_put_u64(b, "RACLMODSEQ", m->raclmodseq);
    if (m->usergroups.n)
        dlist_put_str(b, "USERGROUPS", m->usergroups);
}

static void put_identity(struct buf *b, const struct mbentry *e, struct slice type)
{
    dlist_put_str(b, "UNIQUEID", e->uniqueid);
    dlist_put_str(b, "MBOXNAME", e->name);
    if (type.n)
        dlist_put_str(b, "MBOXTYPE", type);
}

static void put_common_header(struct buf *b, const struct mailbox_command *c)
{
    const struct mailbox_header *m = c->m;
    dlist_put_u64(b, "UIDVALIDITY", m->uidvalidity);
    dlist_put_str(b, "PARTITION", c->partition);
    dlist_put_str(b, "ACL", m->entry.acl);
    put_options(b, m->options);
    if (m->quotaroot.n)
        dlist_put_str(b, "QUOTAROOT", m->quotaroot);
    if (m->createdmodseq)
        dlist_put_u64(b, "CREATEDMODSEQ", m->createdmodseq);
    if (m->entry.foldermodseq)
        dlist_put_u64(b, "FOLDERMODSEQ", m->entry.foldermodseq);
    if (m->deletedmodseq) /* taken by servers from 3.13.7 on, when they make the mailbox; others ignore it */
        dlist_put_u64(b, "DELETEDMODSEQ", m->deletedmodseq);
    if (m->annotations.n) {
        dlist_put_list(b, "ANNOTATIONS");
        put_annotations(b, &m->annotations);
        buf_addc(b, ')');
    }
    dlist_put_list(b, "USERFLAGS");
    for (size_t k = 0; k < m->nuserflags; k++)
        if (m->userflags[k].n)
            dlist_item_flag(b, m->userflags[k]);
    buf_addc(b, ')');
}

static void put_guard(struct buf *b, const struct replica_mailbox *r)
{
    dlist_put_u64(b, "SINCE_MODSEQ", r->highestmodseq);
    dlist_put_u64(b, "SINCE_CRC", r->sync_crc);
    dlist_put_u64(b, "SINCE_CRC_ANNOT", r->sync_crc_annot);
}

static bool is_sent(const struct mailbox_command *c, size_t i, uint64_t *modseq)
{
    bool in_part = diff_record_in_part(c->rec, i, c->have, &c->part, modseq);
    if (c->hold && c->hold[i])
        return false;
    if (!c->also || !c->part.complete || !c->also[i])
        return in_part;
    if (c->rec->flags[i] & REC_EXPUNGED)
        *modseq = c->m->highestmodseq;
    return true;
}

struct err *mailbox_command_write(struct session *s, struct buf *b, const struct mailbox_command *c,
                                  uint64_t *nrecords)
{
    *nrecords = 0;
    buf_adds(b, "%(");
    put_identity(b, &c->m->entry, c->type);
    if (c->part.complete)
        put_full_header(b, c);
    else
        put_part_header(b, c);
    put_common_header(b, c);
    if (c->guard)
        put_guard(b, c->r);
    dlist_put_list(b, "RECORD");
    for (size_t i = 0; i < c->rec->n; i++) {
        uint64_t modseq;
        if (!is_sent(c, i, &modseq))
            continue;
        if (*nrecords) {
            /* the blank goes in before the flow, which may leave the buffer empty */
            buf_addc(b, ' ');
            TRY(session_flow(s));
        }
        put_record(b, c->m, c->rec, i, modseq);
        ++*nrecords;
    }
    buf_adds(b, "))");
    return NULL;
}
