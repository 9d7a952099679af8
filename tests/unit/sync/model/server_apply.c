/*
 * APPLY MAILBOX of the model's servers: the checks of spec/algorithm.md §5.3 in their order, what
 * each value does (spec/store.md §8.5), and for the master's own server the rules of copyback.
 */
#include "server.h"

#include <stdlib.h>

#include "fansync/mem.h"

struct header {
    const char *uniqueid, *name, *partition, *acl, *options;
    uint32_t last_uid, recentuid, uidvalidity, crc, crc_annot, since_crc, since_crc_annot;
    uint64_t highestmodseq, foldermodseq, createdmodseq, since_modseq, xconvmodseq;
    int64_t recenttime, last_appenddate, pop3_last_login, pop3_show_after;
    const struct dlist *records, *annotations, *userflags;
};

/* ---- reading ---- */

static bool read_header(const struct dlist *d, struct header *h)
{
    *h = (struct header){ .uniqueid = server_key(d, "UNIQUEID"), .name = server_key(d, "MBOXNAME"),
                          .partition = server_key(d, "PARTITION"), .acl = server_key(d, "ACL"),
                          .options = server_key(d, "OPTIONS"), .records = dlist_get(d, "RECORD"),
                          .annotations = dlist_get(d, "ANNOTATIONS"), .userflags = dlist_get(d, "USERFLAGS") };
    dlist_i64(d, "POP3_SHOW_AFTER", &h->pop3_show_after);
    dlist_u64(d, "FOLDERMODSEQ", &h->foldermodseq);
    dlist_u64(d, "CREATEDMODSEQ", &h->createdmodseq);
    dlist_u32(d, "SYNC_CRC", &h->crc);
    dlist_u32(d, "SYNC_CRC_ANNOT", &h->crc_annot);
    dlist_u64(d, "XCONVMODSEQ", &h->xconvmodseq);
    dlist_u64(d, "SINCE_MODSEQ", &h->since_modseq);
    dlist_u32(d, "SINCE_CRC", &h->since_crc);
    dlist_u32(d, "SINCE_CRC_ANNOT", &h->since_crc_annot);
    return h->uniqueid && h->name && h->partition && h->acl && h->options && h->records &&
           h->records->type == DLIST_LIST && dlist_u32(d, "LAST_UID", &h->last_uid) &&
           dlist_u64(d, "HIGHESTMODSEQ", &h->highestmodseq) && dlist_u32(d, "RECENTUID", &h->recentuid) &&
           dlist_i64(d, "RECENTTIME", &h->recenttime) && dlist_i64(d, "LAST_APPENDDATE", &h->last_appenddate) &&
           dlist_i64(d, "POP3_LAST_LOGIN", &h->pop3_last_login) && dlist_u32(d, "UIDVALIDITY", &h->uidvalidity);
}

static bool read_annotations(const struct dlist *list, struct model_annots *out, struct model_record *r)
{
    for (const struct dlist *d = list ? list->first : NULL; d; d = d->next) {
        const char *entry = server_key(d, "ENTRY"), *userid = server_key(d, "USERID");
        const char *value = server_key(d, "VALUE");
        uint64_t modseq;
        if (!entry || !userid || !value || !dlist_u64(d, "MODSEQ", &modseq))
            return false;
        if (r && entry == model_str("/vendor/cmu/cyrus-imapd/thrid"))
            r->cid = strtoull(value, NULL, 16);
        else if (r && entry == model_str("/vendor/cmu/cyrus-imapd/savedate"))
            r->savedate = strtoll(value, NULL, 10);
        else if (r && entry == model_str("/vendor/cmu/cyrus-imapd/createdmodseq"))
            r->createdmodseq = strtoull(value, NULL, 10);
        else
            model_annot_set(out, entry, userid, value, modseq);
    }
    return true;
}

static void read_flag(struct model_mailbox *m, struct slice flag, struct model_record *r)
{
    static const struct { const char *name; uint32_t bit; } known[] = {
        { "\\Deleted", REC_DELETED }, { "\\Answered", REC_ANSWERED }, { "\\Flagged", REC_FLAGGED },
        { "\\Draft", REC_DRAFT },     { "\\Expunged", REC_EXPUNGED }, { "\\Seen", REC_SEEN },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_caseeqs(flag, known[i].name)) {
            r->flags |= known[i].bit;
            return;
        }
    r->userflags |= model_userflag(m, model_intern(flag));
}

/* As a real server: the flags' names enter the table even if the command is refused later. */
static bool read_record(struct model_mailbox *m, const struct dlist *d, struct model_record *r)
{
    uint64_t size;
    const struct dlist *flags = dlist_get(d, "FLAGS");
    *r = (struct model_record){ 0 };
    if (!flags || flags->type != DLIST_LIST || !dlist_u32(d, "UID", &r->uid) || !dlist_u64(d, "MODSEQ", &r->modseq) ||
        !dlist_i64(d, "LAST_UPDATED", &r->last_updated) || !dlist_i64(d, "INTERNALDATE", &r->internaldate) ||
        !dlist_u64(d, "SIZE", &size) || !dlist_guid(d, "GUID", &r->guid))
        return false;
    r->size = (uint32_t)size;
    for (const struct dlist *f = flags->first; f; f = f->next)
        read_flag(m, f->str, r);
    return read_annotations(dlist_get(d, "ANNOTATIONS"), &r->annots, r);
}

static uint32_t option_bits(const char *letters)
{
    uint32_t bits = 0;
    for (; *letters; letters++)
        bits |= *letters == 'P' ? (uint32_t)MBOPT_POP3_NEW_UIDL : *letters == 'S' ? (uint32_t)MBOPT_SHARED_SEEN :
                *letters == 'D' ? (uint32_t)MBOPT_DUPLICATE_DELIVER : 0;
    return bits;
}

/* ---- no. 3: which mailbox ---- */

/* A user's first mailbox is his INBOX. */
static bool lacks_inbox(const struct model_host *host, const char *name)
{
    if (model_is_deleted_name(name))
        return false;
    for (unsigned user = 0; user < MODEL_USERS; user++)
        if (model_is_of_user(name, model_user(user)) && name != model_box_name(user, 0))
            return !model_box(host, model_box_name(user, 0));
    return false;
}

static struct model_mailbox *create(struct model_host *host, const struct header *h)
{
    struct model_mailbox *m = model_add_box(host, h->name, h->uniqueid);
    m->partition = h->partition;
    m->acl = h->acl;
    m->uidvalidity = h->uidvalidity;
    m->foldermodseq = h->foldermodseq;
    m->createdmodseq = h->createdmodseq;
    m->highestmodseq = h->highestmodseq; /* what stays if a check fails */
    return m;
}

static const char *find_or_create(struct connection *c, const struct header *h, struct model_mailbox **out, bool *made)
{
    struct model_host *host = c->server->host;
    struct model_mailbox *m = model_box(host, h->name);
    *made = false;
    if (m && m->uniqueid != h->uniqueid) {
        if (m->last_uid > 0 && !host->forced)
            return SERVER_MOVED;
        model_drop_box(host, m);
        m = NULL;
    }
    if (!m) {
        if (model_box_of_id(host, h->uniqueid))
            return SERVER_MOVED;
        if (lacks_inbox(host, h->name))
            return SERVER_UNKNOWN;
        m = create(host, h);
        *made = true;
    }
    *out = m;
    return NULL;
}

/* ---- no. 4 - 7: checks ---- */

static bool differ(uint32_t x, uint32_t y)
{
    return x && y && x != y;
}

static bool is_changed(const struct model_host *host, const struct model_mailbox *m, const struct header *h,
                       uint64_t highestmodseq)
{
    struct sync_crcs c = model_crcs(m);
    return h->since_modseq != highestmodseq || differ(h->since_crc, c.basic) ||
           differ(h->since_crc_annot, model_annot_crc(host, &c));
}

/* A record of the command; mine NULL: unknown here. NULL: fine. */
static const char *check_record(const struct model_host *host, const struct model_mailbox *m,
                                const struct model_record *r, const struct model_record *mine)
{
    bool expunged = r->flags & REC_EXPUNGED;
    if (!mine)
        return r->uid <= m->last_uid && !expunged ? SERVER_CHECKSUM : NULL;
    bool was_expunged = mine->flags & REC_EXPUNGED;
    if (expunged && was_expunged)
        return NULL;
    if (!guid_eq(&mine->guid, &r->guid) || (mine->modseq > r->modseq && !host->forced) || was_expunged)
        return SERVER_CHECKSUM;
    return NULL;
}

static const char *dry_run(struct connection *c, struct model_mailbox *m, const struct header *h)
{
    uint32_t before = 0;
    for (const struct dlist *d = h->records->first; d; d = d->next) {
        struct model_record r;
        if (!read_record(m, d, &r))
            return "NO IMAP_PROTOCOL_ERROR Protocol error";
        if (r.uid <= before)
            model_violation("%s: uid %u behind uid %u in a command", m->name, r.uid, before);
        /* What is new and expunged may be ahead of its part: no server takes another modseq later. */
        bool ahead = r.modseq > h->highestmodseq && !((r.flags & REC_EXPUNGED) && r.uid > m->last_uid);
        if (r.uid > h->last_uid || ahead)
            model_violation("%s: uid %u modseq %llu above LAST_UID %u or HIGHESTMODSEQ %llu", m->name, r.uid,
                            (unsigned long long)r.modseq, h->last_uid, (unsigned long long)h->highestmodseq);
        before = r.uid;
        const char *refused = check_record(c->server->host, m, &r, model_find(m, r.uid));
        if (refused)
            return refused;
    }
    return NULL;
}

/* ---- no. 8: writing ---- */

static void update_record(struct model_record *mine, const struct model_record *r)
{
    uint32_t uid = mine->uid, size = mine->size, kept = mine->flags & REC_UNLINKED;
    struct guid guid = mine->guid;
    *mine = *r;
    mine->uid = uid;
    mine->size = size;
    mine->guid = guid;
    mine->flags |= kept;
}

/* False: the process dies, as the real one does. */
static bool append_record(struct connection *c, struct model_mailbox *m, const struct model_record *r)
{
    bool staged = server_is_staged(c, m->partition, &r->guid);
    if (!staged && !(r->flags & REC_EXPUNGED)) {
        model_violation("%s: uid %u is live, and its message was not sent", m->name, r->uid);
        return false;
    }
    struct model_record *mine = model_append(m, r->uid);
    *mine = *r;
    if (!staged)
        mine->flags |= REC_UNLINKED;
    return true;
}

static bool write_records(struct connection *c, struct model_mailbox *m, const struct header *h)
{
    uint32_t last_uid = m->last_uid;
    for (const struct dlist *d = h->records->first; d; d = d->next) {
        struct model_record r;
        if (!read_record(m, d, &r))
            return false;
        struct model_record *mine = model_find(m, r.uid);
        bool changes = mine ? !(mine->flags & REC_EXPUNGED) : r.uid > last_uid;
        if (mine && changes)
            update_record(mine, &r);
        else if (changes && !append_record(c, m, &r))
            return false;
        if (changes)
            model_converse(c->server->host, m, &r);
    }
    return true;
}

static void write_header(const struct model_host *host, struct model_mailbox *m, const struct header *h,
                         const struct model_annots *annots)
{
    bool raises = host->raises_folders && !model_annots_equal(annots, &m->annots);
    uint64_t foldermodseq = h->foldermodseq && !raises ? h->foldermodseq : h->highestmodseq;
    m->acl = h->acl;
    if (m->foldermodseq < foldermodseq)
        m->foldermodseq = foldermodseq;
    m->annots = *annots;
    for (const struct dlist *f = h->userflags ? h->userflags->first : NULL; f; f = f->next)
        model_userflag(m, model_intern(f->str));
}

static void write_counters(struct model_mailbox *m, const struct header *h)
{
    m->last_uid = h->last_uid;
    m->highestmodseq = h->highestmodseq;
    m->uidvalidity = h->uidvalidity;
    m->recentuid = h->recentuid;
    m->recenttime = h->recenttime;
    m->last_appenddate = h->last_appenddate;
    m->pop3_last_login = h->pop3_last_login;
    m->pop3_show_after = h->pop3_show_after;
    m->createdmodseq = h->createdmodseq;
    m->options = option_bits(h->options);
    if (m->xconvmodseq < h->xconvmodseq)
        m->xconvmodseq = h->xconvmodseq;
}

/* ---- the rules of copyback ---- */

static bool same_options(const struct model_mailbox *m, const struct header *h)
{
    uint32_t mine = m->options | (model_live(m) ? 0 : MBOPT_POP3_NEW_UIDL);
    return mine == option_bits(h->options);
}

static void watch_records(const struct connection *c, struct model_mailbox *m, const struct header *h)
{
    const struct model_mailbox *there = model_box_of_id(c->server->peer, m->uniqueid);
    uint64_t above = m->highestmodseq;
    if (there && !model_pass.replica_edited && there->highestmodseq > above)
        above = there->highestmodseq;
    for (const struct dlist *d = h->records->first; d; d = d->next) {
        struct model_record r;
        if (!read_record(m, d, &r))
            continue;
        const struct model_record *mine = model_find(m, r.uid);
        if (r.modseq <= above)
            model_violation("copyback: %s uid %u modseq %llu is not above %llu", m->name, r.uid,
                            (unsigned long long)r.modseq, (unsigned long long)above);
        if (mine && (mine->flags & REC_EXPUNGED) && !(r.flags & REC_EXPUNGED))
            model_violation("copyback: %s uid %u would be un-expunged", m->name, r.uid);
        if (!mine && r.uid <= m->last_uid)
            model_violation("copyback: %s uid %u is not above the last uid", m->name, r.uid);
    }
}

static void watch(const struct connection *c, struct model_mailbox *m, const struct header *h, bool made,
                  const struct model_annots *annots)
{
    const struct model_mailbox *there = model_box_of_id(c->server->peer, m->uniqueid);
    if (made)
        model_violation("copyback: %s is created", m->name);
    if (m->acl != h->acl || !same_options(m, h) || m->recentuid != h->recentuid || m->recenttime != h->recenttime ||
        m->last_appenddate != h->last_appenddate || m->pop3_last_login != h->pop3_last_login ||
        m->pop3_show_after != h->pop3_show_after || m->createdmodseq != h->createdmodseq)
        model_violation("copyback: %s: a value of the mailbox is not echoed", m->name);
    if (!model_annots_equal(annots, &m->annots) && !(there && model_annots_equal(annots, &there->annots)) &&
        !model_pass.replica_edited)
        model_violation("copyback: %s: the annotations are neither side's", m->name);
    watch_records(c, m, h);
}

/* ---- the command ---- */

void server_check_host(const struct model_host *h)
{
    for (size_t i = 0; i < h->nbox; i++) {
        const struct model_mailbox *m = h->box[i];
        for (size_t k = 0; k < m->n; k++) {
            const struct model_record *r = &m->rec[k];
            /* FORCE leaves an expunged record alone, and lowers the header all the same; parts send it ahead */
            bool above = r->modseq > m->highestmodseq && !(r->flags & REC_EXPUNGED);
            if (r->uid > m->last_uid || above || (k && r->uid <= m->rec[k - 1].uid))
                model_violation("%s: %s uid %u modseq %llu, but last uid %u, highestmodseq %llu", h->label, m->name,
                                r->uid, (unsigned long long)r->modseq, m->last_uid,
                                (unsigned long long)m->highestmodseq);
        }
    }
}

static const char *apply(struct connection *c, const struct header *h, const struct model_annots *annots)
{
    const struct model_host *host = c->server->host;
    struct model_mailbox *m = NULL;
    bool made = false;
    const char *refused = find_or_create(c, h, &m, &made);
    if (refused)
        return refused;
    uint64_t highestmodseq = made ? 0 : m->highestmodseq;
    if (h->since_modseq && is_changed(host, m, h, highestmodseq))
        return SERVER_CHANGED;
    if (c->server->is_master)
        watch(c, m, h, made, annots);
    if ((h->highestmodseq < highestmodseq || h->uidvalidity < m->uidvalidity || h->last_uid < m->last_uid) &&
        !host->forced)
        return SERVER_CHECKSUM;
    if (host->conversations && h->xconvmodseq && h->xconvmodseq < m->xconvmodseq && !host->forced)
        return SERVER_CHECKSUM;
    refused = dry_run(c, m, h);
    if (refused)
        return refused;
    write_header(host, m, h, annots);
    if (!write_records(c, m, h))
        return NULL;
    write_counters(m, h);
    server_check_host(host);
    struct sync_crcs sums = model_crcs(m);
    return differ(h->crc, sums.basic) || differ(h->crc_annot, model_annot_crc(host, &sums)) ? SERVER_CHECKSUM : SERVER_OK;
}

const char *server_apply_mailbox(struct connection *c, const struct dlist *d)
{
    struct header h;
    struct model_annots annots = { 0 };
    if (d->type != DLIST_KVLIST || !read_header(d, &h) || !read_annotations(h.annotations, &annots, NULL))
        return SERVER_BAD_PARAMETERS;
    if (c->server->is_master && (!h.since_modseq || !dlist_get(d, "SINCE_CRC") || !dlist_get(d, "SINCE_CRC_ANNOT")))
        model_violation("copyback: %s without SINCE_*", h.name);
    if (c->server->is_master && (!dlist_get(d, "SYNC_CRC") || !dlist_get(d, "SYNC_CRC_ANNOT")))
        model_violation("copyback: %s without the sums of the result", h.name);
    const char *answer = apply(c, &h, &annots);
    /* A change of another folder may have raised XCONVMODSEQ, which no SINCE_* notices: it is planned again. */
    const struct model_mailbox *m = model_box_of_id(c->server->host, h.uniqueid);
    bool raced = m && h.xconvmodseq && h.xconvmodseq < m->xconvmodseq;
    if (c->server->is_master && answer && strstr(answer, "IMAP_SYNC_CHECKSUM") && !raced)
        model_violation("copyback: %s was refused with CHECKSUM", h.name);
    return answer;
}
