/*
 * What a replica says is checked before anything of it reaches the master: a hostile or damaged replica could
 * otherwise wrap the master's counters, use up its uids or have its mail expunged. Pure.
 */
#include "fansync/diff.h"

/* Above the largest that the owner has here: no replica counts so many changes by itself. */
#define MODSEQ_ROOM ((uint64_t)1 << 32)
#define MODSEQ_MOST ((uint64_t)INT64_MAX)
/* uids that have to be left: IMAP has 32 bits for them. */
#define UID_ROOM ((uint32_t)1 << 24)
/* uidvalidities are times; a clock may be wrong by a day. */
#define VALIDITY_ROOM 86400

struct fence {
    const struct replica_mailbox *r;
    uint64_t most; /* plausible modseq */
};

static struct err *implausible(const char *what, uint64_t value, const char *why)
{
    return err_new(ERR_CONFLICT, "the replica's %s %llu is not plausible: %s; nothing of it is taken over. reconstruct the "
                   "mailbox on the replica, or delete it there", what, (unsigned long long)value, why);
}

static struct err *check_modseq(const struct fence *f, const char *what, uint64_t modseq)
{
    if (modseq > MODSEQ_MOST)
        return implausible(what, modseq, "modseqs have 63 bits");
    return modseq > f->most ? implausible(what, modseq, "it is more than 4294967296 above all of the owner's here") : NULL;
}

/* Only what a part of a mailbox brought, expunged, may be ahead of the header (records.c). */
static struct err *check_record(const struct fence *f, const struct replica_record *r)
{
    if (r->uid > f->r->last_uid)
        return implausible("uid", r->uid, "it is above its LAST_UID");
    if (r->modseq > f->r->highestmodseq && !r->expunged)
        return implausible("record's MODSEQ", r->modseq, "it is above its HIGHESTMODSEQ");
    return check_modseq(f, "record's MODSEQ", r->modseq);
}

static uint64_t larger(uint64_t x, uint64_t y)
{
    return x > y ? x : y;
}

static uint64_t largest_here(const struct mailbox_header *m, uint64_t floor)
{
    return larger(larger(m->highestmodseq, floor), larger(m->xconvmodseq, m->entry.foldermodseq));
}

static struct err *check_counters(const struct mailbox_header *m, const struct fence *f, int64_t now)
{
    const struct replica_mailbox *r = f->r;
    TRY(check_modseq(f, "HIGHESTMODSEQ", r->highestmodseq));
    TRY(check_modseq(f, "FOLDERMODSEQ", r->foldermodseq));
    TRY(check_modseq(f, "XCONVMODSEQ", r->xconvmodseq));
    if (r->last_uid > UINT32_MAX - UID_ROOM)
        return implausible("LAST_UID", r->last_uid, "too few uids would be left");
    if (r->uidvalidity > m->uidvalidity && r->uidvalidity > now + VALIDITY_ROOM)
        return implausible("UIDVALIDITY", r->uidvalidity, "it is a time in the future");
    return NULL;
}

struct err *diff_fence(const struct mailbox_header *m, const struct replica_mailbox *r,
                       const struct replica_records *rrec, uint64_t floor, int64_t now)
{
    uint64_t base = largest_here(m, floor);
    struct fence f = { r, base < MODSEQ_MOST - MODSEQ_ROOM ? base + MODSEQ_ROOM : MODSEQ_MOST };
    TRY(check_counters(m, &f, now));
    if (m->last_uid > UINT32_MAX - UID_ROOM)
        return err_new(ERR_CONFLICT, "the mailbox has nearly used up its uids (LAST_UID %u): nothing is added to it",
                       m->last_uid);
    for (size_t k = 0; k < rrec->n; k++)
        TRY(check_record(&f, &rrec->r[k]));
    return NULL;
}

struct err *diff_brake(const struct mailbox_header *m, const struct compare_result *c,
                       const struct expunge_limit *limit)
{
    uint32_t n = 0;
    for (size_t k = 0; k < c->n; k++)
        n += c->d[k].row == ROW_EXPUNGE_HERE;
    bool many = n > limit->messages;
    bool large = (uint64_t)n * 100 > (uint64_t)limit->percent * m->exists;
    if (!limit->set || !many || !large)
        return NULL;
    return err_new(ERR_CONFLICT, "%u of %u messages are expunged on the replica: more than sync_copyback_max_expunge "
                   "(%u and %u%%) allows to expunge on the master", n, m->exists, limit->messages, limit->percent);
}
