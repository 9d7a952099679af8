/*
 * The full comparison of a mailbox's records, row by row of the decision table
 * (spec/algorithm.md §7.2). It decides what has to become of each record; who does it, and
 * whether it can be done without changing the master, is the engine's affair. Pure.
 *
 * A live record of both sides is equal when its two sync CRCs are: they cover everything
 * that §7.3 compares. A record whose modseq is above the replica's HIGHESTMODSEQ is sent
 * by an ordinary update, whatever else is the matter with it.
 */
#include "fansync/diff.h"

#include "fansync/sync_crc.h"

struct comparison {
    const struct mailbox_header *m;
    const struct records *rec;
    const struct replica_mailbox *r;
    struct arena *a;
    struct compare_result out;
};

const char *compare_row_text(enum compare_row row)
{
    switch (row) {
    case ROW_NOTHING: return "agrees";
    case ROW_TAKE_FLAGS: return "was changed on the replica";
    case ROW_TOUCH: return "differs, and is not newer here";
    case ROW_EXPUNGE_AGAIN: return "is expunged here and live on the replica";
    case ROW_EXPUNGE_HERE: return "is live here and expunged on the replica";
    case ROW_RENUMBER: return "exists here under a uid that the replica has used otherwise";
    case ROW_APPEND_HERE: return "was added on the replica";
    case ROW_STALE: return "was expunged and forgotten here";
    case ROW_COPYBACK: return "is on the replica another message than here, or there only";
    }
    return "";
}

static void add(struct comparison *c, enum compare_row row, uint32_t uid)
{
    if (row == ROW_NOTHING)
        return;
    c->out.d = arena_grow(c->a, c->out.d, c->out.n, &c->out.cap, sizeof *c->out.d);
    c->out.d[c->out.n++] = (struct compare_difference){ row, uid };
}

static bool expunged(const struct comparison *c, size_t i)
{
    return c->rec->flags[i] & REC_EXPUNGED;
}

/* Above what the replica has seen: an ordinary update carries it. */
static bool will_be_sent(const struct comparison *c, size_t i)
{
    return c->rec->modseq[i] > c->r->highestmodseq;
}

/* [R1] - [R4]; also the replica's half of two messages under one uid [S2 S3]. */
static enum compare_row only_replica(const struct comparison *c, const struct replica_record *r)
{
    if (r->expunged)
        return ROW_NOTHING;
    if (r->uid > c->m->last_uid)
        return ROW_APPEND_HERE;
    return r->modseq < c->m->deletedmodseq ? ROW_STALE : ROW_COPYBACK;
}

/* [M1] - [M4]. */
static enum compare_row only_master(const struct comparison *c, size_t i)
{
    if (c->rec->uid[i] <= c->r->last_uid)
        return expunged(c, i) ? ROW_NOTHING : ROW_RENUMBER;
    return ROW_NOTHING; /* new to the replica: sent whatever its modseq (records.c) */
}

/* [S2] - [S4]: two messages under one uid. The smaller GUID goes first, so that whoever
 * mends it gives out the same new uids. */
static void two_messages(struct comparison *c, size_t i, const struct replica_record *r)
{
    bool theirs_first = memcmp(r->guid.b, c->rec->guid[i].b, GUID_SIZE) < 0;
    if (theirs_first)
        add(c, only_replica(c, r), r->uid);
    if (!expunged(c, i))
        add(c, ROW_RENUMBER, c->rec->uid[i]);
    if (!theirs_first)
        add(c, only_replica(c, r), r->uid);
}

/* [S5] - [S7]: one message, live on both sides. Where both changed it the higher modseq wins, the master's if they
 * are equal; the times do not count, because the two clocks need not agree. */
static enum compare_row both_live(const struct comparison *c, size_t i, const struct replica_record *r)
{
    struct sync_crcs crc = sync_crc_record(c->m, c->rec, i);
    if (crc.basic == r->crc_basic && crc.annot == r->crc_annot)
        return ROW_NOTHING;
    if (r->modseq > c->rec->modseq[i])
        return ROW_TAKE_FLAGS;
    return will_be_sent(c, i) ? ROW_NOTHING : ROW_TOUCH;
}

static void same_uid(struct comparison *c, size_t i, const struct replica_record *r)
{
    if (expunged(c, i) && r->expunged)
        return; /* [S1] */
    if (!guid_eq(&c->rec->guid[i], &r->guid))
        two_messages(c, i, r);
    else if (r->expunged)
        add(c, ROW_EXPUNGE_HERE, r->uid);
    else if (expunged(c, i))
        add(c, will_be_sent(c, i) && r->modseq <= c->rec->modseq[i] ? ROW_NOTHING : ROW_EXPUNGE_AGAIN, r->uid);
    else
        add(c, both_live(c, i, r), r->uid);
}

struct compare_result diff_compare(struct arena *a, const struct mailbox_header *m, const struct records *rec,
                                   const struct replica_mailbox *r, const struct replica_records *rrec)
{
    struct comparison c = { m, rec, r, a, { NULL, 0, 0 } };
    size_t i = 0, j = 0;
    while (i < rec->n || j < rrec->n) {
        const struct replica_record *there = j < rrec->n ? &rrec->r[j] : NULL;
        if (i == rec->n || (there && there->uid < rec->uid[i])) {
            add(&c, only_replica(&c, there), there->uid);
            j++;
        } else if (!there || rec->uid[i] < there->uid) {
            add(&c, only_master(&c, i), rec->uid[i]);
            i++;
        } else {
            same_uid(&c, i, there);
            i++;
            j++;
        }
    }
    return c.out;
}
