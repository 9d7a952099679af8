/* What must hold of the two hosts (history.h). */
#include "history.h"

#include <stdarg.h>
#include <stdio.h>

static char text[512];

static const char *say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return text;
}

/* ---- from pass to pass ---- */

static const char *records_monotonic(const struct model_mailbox *b, const struct model_mailbox *m, bool forced)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct model_record *r = &m->rec[i], *was = model_find(b, r->uid);
        if (!was && r->uid <= b->last_uid)
            return say("%s uid %u came into being below the last uid %u", m->name, r->uid, b->last_uid);
        if (!was)
            continue;
        bool expunged = r->flags & REC_EXPUNGED;
        if (!guid_eq(&was->guid, &r->guid))
            return say("%s uid %u got another message", m->name, r->uid);
        if ((was->flags & REC_EXPUNGED) && !expunged)
            return say("%s uid %u was expunged and is live", m->name, r->uid);
        if (!forced && r->modseq < was->modseq)
            return say("%s uid %u: modseq %llu after %llu", m->name, r->uid, (unsigned long long)r->modseq,
                       (unsigned long long)was->modseq);
    }
    return NULL;
}

const char *check_monotonic(const struct model_host *before, const struct model_host *now, bool forced)
{
    for (size_t i = 0; i < now->nbox; i++) {
        const struct model_mailbox *m = now->box[i], *b = model_box_of_id(before, m->uniqueid);
        if (!b)
            continue;
        if (!forced && (m->highestmodseq < b->highestmodseq || m->uidvalidity < b->uidvalidity ||
                        m->last_uid < b->last_uid || m->foldermodseq < b->foldermodseq ||
                        m->xconvmodseq < b->xconvmodseq))
            return say("%s %s: highestmodseq %llu uidvalidity %u last_uid %u foldermodseq %llu after %llu %u %u %llu",
                       now->label, m->name, (unsigned long long)m->highestmodseq, m->uidvalidity, m->last_uid,
                       (unsigned long long)m->foldermodseq, (unsigned long long)b->highestmodseq, b->uidvalidity,
                       b->last_uid, (unsigned long long)b->foldermodseq);
        const char *bad = records_monotonic(b, m, forced);
        if (bad)
            return bad;
    }
    return NULL;
}

/* ---- both the same ---- */

static bool same_userflags(const struct model_mailbox *m, const struct model_record *x, const struct model_mailbox *r,
                           const struct model_record *y)
{
    size_t nx = 0, ny = 0, both = 0;
    for (size_t i = 0; i < m->nuserflags; i++)
        nx += (x->userflags >> i) & 1;
    for (size_t k = 0; k < r->nuserflags; k++)
        ny += (y->userflags >> k) & 1;
    for (size_t i = 0; i < m->nuserflags; i++)
        for (size_t k = 0; k < r->nuserflags; k++)
            both += m->userflag[i] == r->userflag[k] && (x->userflags >> i & 1) && (y->userflags >> k & 1);
    return nx == both && ny == both;
}

static const char *record_difference(const struct model_mailbox *m, const struct model_record *x,
                                     const struct model_mailbox *r, const struct model_record *y, enum equality exact)
{
    bool ahead = exact == EQUAL_TO_USERS && y->modseq > x->modseq;
    if (!guid_eq(&x->guid, &y->guid))
        return "guid";
    if (x->modseq != y->modseq && !ahead)
        return "modseq";
    if (x->last_updated != y->last_updated && !ahead)
        return "last_updated";
    if (x->internaldate != y->internaldate)
        return "internaldate";
    if (x->size != y->size)
        return "size";
    if ((x->flags ^ y->flags) & ~(uint32_t)REC_UNLINKED)
        return "flags";
    if (x->cid != y->cid || x->savedate != y->savedate || x->createdmodseq != y->createdmodseq)
        return "virtual annotations";
    if (!model_annots_equal(&x->annots, &y->annots))
        return "annotations";
    return same_userflags(m, x, r, y) ? NULL : "user flags";
}

/*
 * The sums of a mailbox are the XOR of a CRC-32 for each record: the same change of the same digit in two
 * records cancels out, and then neither client nor server can tell the two sides apart.
 */
static bool sums_collide(const struct model_mailbox *m, const struct model_mailbox *r)
{
    struct sync_crcs x = model_crcs(m), y = model_crcs(r);
    return x.basic == y.basic && x.annot == y.annot;
}

static const char *records_equal(const struct model_mailbox *m, const struct model_mailbox *r, enum equality exact)
{
    size_t i = 0, k = 0;
    for (;; i++, k++) {
        while (i < m->n && (m->rec[i].flags & REC_EXPUNGED))
            i++;
        while (k < r->n && (r->rec[k].flags & REC_EXPUNGED))
            k++;
        if (i == m->n && k == r->n)
            return NULL;
        if (i == m->n || k == r->n || m->rec[i].uid != r->rec[k].uid)
            return say("%s: the master's next live uid is %u, the replica's %u", m->name,
                       i < m->n ? m->rec[i].uid : 0, k < r->n ? r->rec[k].uid : 0);
        const char *what = record_difference(m, &m->rec[i], r, &r->rec[k], exact);
        if (what && guid_eq(&m->rec[i].guid, &r->rec[k].guid) && sums_collide(m, r))
            history_counters.collisions++;
        else if (what)
            return say("%s uid %u: %s differ", m->name, m->rec[i].uid, what);
    }
}

/* What is expunged on both sides: a server that knows a record as expunged takes nothing of it any more. */
static const char *expunged_equal(const struct model_mailbox *m, const struct model_mailbox *r)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct model_record *x = &m->rec[i], *y = model_find(r, x->uid);
        if (!y || !(x->flags & y->flags & REC_EXPUNGED))
            continue;
        const char *what = record_difference(m, x, r, y, EQUAL_HISTORY);
        if (what)
            return say("%s uid %u, expunged on both sides: %s differ", m->name, x->uid, what);
    }
    return NULL;
}

static const char *header_difference(const struct model_mailbox *m, const struct model_mailbox *r,
                                     enum equality exact)
{
    uint32_t empty = model_live(m) ? 0 : (uint32_t)MBOPT_POP3_NEW_UIDL;
    if (m->name != r->name || m->partition != r->partition)
        return "name or partition";
    bool ahead = exact == EQUAL_TO_USERS && m->last_uid <= r->last_uid && m->highestmodseq <= r->highestmodseq &&
                 m->uidvalidity <= r->uidvalidity;
    bool same = m->last_uid == r->last_uid && m->highestmodseq == r->highestmodseq &&
                m->uidvalidity == r->uidvalidity;
    if (!same && !ahead)
        return "last_uid, highestmodseq or uidvalidity";
    if (m->recentuid != r->recentuid || m->recenttime != r->recenttime || m->pop3_last_login != r->pop3_last_login ||
        m->pop3_show_after != r->pop3_show_after)
        return "recent or pop3 values";
    if ((m->options | empty) != (r->options | empty))
        return "options";
    if (m->xconvmodseq > r->xconvmodseq)
        return "xconvmodseq, of which the replica's may only be higher,";
    if (exact >= EQUAL_COUNTERS && m->foldermodseq != r->foldermodseq)
        return "foldermodseq";
    if (m->acl != r->acl)
        return "acl";
    return model_annots_equal(&m->annots, &r->annots) ? NULL : "annotations";
}

/* The name of the master's mailbox is another one's on the replica. */
static bool is_stuck(const struct model_mailbox *m, const struct model_host *replica)
{
    const struct model_mailbox *there = model_box(replica, m->name);
    return there && there->uniqueid != m->uniqueid;
}

bool check_is_stuck(const struct model_host *m, const struct model_host *r, const char *userid)
{
    for (size_t i = 0; i < m->nbox; i++)
        if (model_is_of_user(m->box[i]->name, userid) && is_stuck(m->box[i], r))
            return true;
    return false;
}

static const char *seen_equal(const struct model_host *m, const struct model_host *r, const char *userid)
{
    for (size_t i = 0; i < m->nseen; i++) {
        const struct model_seen *x = &m->seen[i];
        bool same = x->userid != userid;
        for (size_t k = 0; k < r->nseen && !same; k++) {
            const struct model_seen *y = &r->seen[k];
            same = x->userid == y->userid && x->uniqueid == y->uniqueid && x->uids == y->uids &&
                   x->lastread == y->lastread && x->lastuid == y->lastuid && x->lastchange == y->lastchange;
        }
        if (!same)
            return say("seen state of %s for %s differs", x->userid, x->uniqueid);
    }
    return NULL;
}

static bool has_sub(const struct model_host *h, const struct model_sub *s)
{
    for (size_t i = 0; i < h->nsub; i++)
        if (h->sub[i].userid == s->userid && h->sub[i].name == s->name)
            return true;
    return false;
}

static const char *subs_equal(const struct model_host *x, const struct model_host *y, const char *userid)
{
    for (size_t i = 0; i < x->nsub; i++)
        if (x->sub[i].userid == userid && !has_sub(y, &x->sub[i]))
            return say("only the %s has a subscription of %s to %s", x->label, userid, x->sub[i].name);
    return NULL;
}

static const char *quota_equal(const struct model_host *m, const struct model_host *r, const struct model_mailbox *box)
{
    const struct model_quota *x = model_quota_of(m, box->name), *y = model_quota_of(r, box->name);
    if (model_is_deleted_name(box->name) || (!x && !y))
        return NULL;
    bool same = x && y && x->root == y->root && memcmp(x->limit, y->limit, sizeof x->limit) == 0;
    return same ? NULL : say("quota of %s differs", box->name);
}

/* A root that is gone here goes there. If no mailbox has its name there, nobody tells of it: a record of the log does. */
static const char *roots_equal(const struct model_host *m, const struct model_host *r, const char *userid)
{
    for (size_t i = 0; i < r->nquota; i++)
        if (model_is_of_user(r->quota[i].root, userid) && model_box(r, r->quota[i].root) &&
            !model_quota(m, r->quota[i].root))
            return say("only the replica has the quota root %s", r->quota[i].root);
    return NULL;
}

static bool has_tombstone(const struct model_host *h, const char *uniqueid)
{
    for (size_t i = 0; i < h->ntomb; i++)
        if (h->tomb[i].uniqueid == uniqueid)
            return true;
    return false;
}

/* Copies in the deleted tree are left to each host's own cleaning. */
static const char *deleted_are_gone(const struct model_host *m, const struct model_host *r, const char *userid)
{
    for (size_t i = 0; i < r->nbox; i++) {
        const struct model_mailbox *y = r->box[i];
        if (model_is_of_user(y->name, userid) && !model_is_deleted_name(y->name) &&
            !model_box_of_id(m, y->uniqueid) && has_tombstone(m, y->uniqueid))
            return say("%s was deleted and is still on the replica", y->name);
    }
    return NULL;
}

const char *check_equal(const struct model_host *m, const struct model_host *r, const char *userid,
                        enum equality exact)
{
    bool stuck = check_is_stuck(m, r, userid);
    const char *bad = NULL;
    for (size_t i = 0; i < m->nbox && !bad; i++) {
        const struct model_mailbox *x = m->box[i];
        if (!model_is_of_user(x->name, userid) || is_stuck(x, r))
            continue;
        const struct model_mailbox *y = model_box_of_id(r, x->uniqueid);
        if (!y)
            return say("%s is not on the replica", x->name);
        const char *what = header_difference(x, y, exact);
        if (what)
            return say("%s: %s differ", x->name, what);
        bad = records_equal(x, y, exact);
        if (!bad && exact == EQUAL_HISTORY)
            bad = expunged_equal(x, y);
        if (!bad && !stuck)
            bad = quota_equal(m, r, x);
    }
    if (!bad && !stuck)
        bad = roots_equal(m, r, userid);
    if (!bad && !stuck)
        bad = deleted_are_gone(m, r, userid);
    bad = bad ? bad : seen_equal(m, r, userid);
    bad = bad ? bad : subs_equal(m, r, userid);
    return bad ? bad : subs_equal(r, m, userid);
}

const char *check_arrived(const struct model_host *m, const struct model_host *r, const char *userid)
{
    for (size_t i = 0; i < m->nbox; i++) {
        const struct model_mailbox *x = m->box[i], *y = model_box_of_id(r, x->uniqueid);
        if (model_is_of_user(x->name, userid) && y && y->last_uid < x->last_uid)
            return say("%s: a conflict keeps the messages from uid %u on away", x->name, y->last_uid + 1);
    }
    return NULL;
}

/* ---- nothing lost, nothing doubled ---- */

static size_t live_copies(const struct model_mailbox *m, const struct guid *g)
{
    size_t n = 0;
    for (size_t i = 0; m && i < m->n; i++)
        n += guid_eq(&m->rec[i].guid, g) && !(m->rec[i].flags & REC_EXPUNGED);
    return n;
}

static const char *check_entry(const struct ledger_entry *e, const struct model_mailbox *m, const char *label,
                               bool wanted)
{
    size_t n = live_copies(m, &e->guid);
    char hex[GUID_HEX + 1];
    guid_format(&e->guid, hex);
    if (m && wanted && n == 0)
        return say("%s: message %s of %s is lost", label, hex, m->name);
    if (n > e->born[MASTER] + e->born[REPLICA])
        return say("%s: message %s of %s is there %zu times", label, hex, m->name, n);
    return NULL;
}

/* A user without INBOX here is not replicated, nor is one whose INBOX is another's there. */
static bool takes_part(const struct model_host *m, const struct model_host *r, const struct model_mailbox *box)
{
    for (unsigned u = 0; u < MODEL_USERS; u++) {
        const struct model_mailbox *inbox = model_box(m, model_box_name(u, 0));
        if (inbox && model_is_of_user(box->name, model_user(u)))
            return !is_stuck(inbox, r);
    }
    return false;
}

/* With copyback what was put anywhere is live on both sides; without, where it was put. */
const char *check_ledger(const struct model_host *m, const struct model_host *r, enum history_mode mode)
{
    bool merged = mode == ONE_WAY || mode == TWO_WAY;
    for (size_t i = 0; i < ledger.n; i++) {
        const struct ledger_entry *e = &ledger.e[i];
        const struct model_mailbox *here = model_box_of_id(m, e->uniqueid), *there = model_box_of_id(r, e->uniqueid);
        bool kept = !e->killed && !e->given_up;
        bool here_too = merged ? !here || (!is_stuck(here, r) && takes_part(m, r, here)) : e->born[MASTER] > 0;
        const char *bad = check_entry(e, here, "master", kept && here_too);
        if (!bad)
            bad = check_entry(e, there, "replica", kept && e->born[REPLICA] > 0 && (!here || takes_part(m, r, here)));
        if (bad)
            return bad;
    }
    return NULL;
}

const char *check_flags(const struct model_host *m, const struct model_host *r, bool replicas_too)
{
    for (size_t i = 0; i < ledger.n; i++) {
        const struct ledger_entry *e = &ledger.e[i];
        const struct model_mailbox *here = model_box_of_id(m, e->uniqueid);
        bool known = e->flagged[MASTER] ? !e->flagged[REPLICA] : e->flagged[REPLICA] && replicas_too;
        bool meets = here && takes_part(m, r, here) && !is_stuck(here, r);
        if (!meets || !known || e->killed || e->given_up || e->born[MASTER] + e->born[REPLICA] > 1)
            continue;
        for (size_t k = 0; k < here->n; k++) {
            const struct model_record *x = &here->rec[k];
            if (guid_eq(&x->guid, &e->guid) && !(x->flags & REC_EXPUNGED) && x->flags != e->flags)
                return say("%s uid %u: flags %x, set by a user to %x", here->name, x->uid, x->flags, e->flags);
        }
    }
    return NULL;
}
