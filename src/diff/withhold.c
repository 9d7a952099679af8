/*
 * A conflict that only a change on the master could settle, and the master must stay as it is: what of the
 * update can be sent all the same. The rest is told, and stays on both sides as it is. Pure.
 *
 * A change of the master's is sent only if the replica's record is one that the master once sent, so that nothing
 * of the replica's is overwritten. That is proven by modseqs, which only grow on each side: it is at most the
 * createdmodseq, or at most that of a record on which both sides agree (what the two had in common then, the replica
 * has not changed since).
 */
#include "fansync/diff.h"

#include "fansync/sync_crc.h"

struct holder {
    const struct mailbox_header *m;
    const struct records *rec;
    const struct replica_mailbox *r;
    const struct replica_records *rrec;
    uint64_t common; /* the highest modseq on which both sides agree */
    struct withheld *out;
    struct arena *a;
};

/* ---- what is known of two records ---- */

static bool is_equal(const struct holder *h, size_t i, const struct replica_record *r)
{
    if (h->rec->modseq[i] != r->modseq || !guid_eq(&h->rec->guid[i], &r->guid))
        return false;
    bool expunged = h->rec->flags[i] & REC_EXPUNGED;
    if (expunged || r->expunged)
        return expunged && r->expunged;
    struct sync_crcs c = sync_crc_record(h->m, h->rec, i);
    return c.basic == r->crc_basic && c.annot == r->crc_annot;
}

/* Flags, dates and annotations are equal; the numbers that a change leaves are not. */
static bool differs_in_numbers_only(const struct holder *h, size_t i, const struct replica_record *r)
{
    uint32_t basic = sync_crc_basic_as(h->m, h->rec, i, r->modseq, r->last_updated);
    return basic == r->crc_basic && sync_crc_record(h->m, h->rec, i).annot == r->crc_annot;
}

static bool is_as_once_sent(const struct holder *h, size_t i, const struct replica_record *r)
{
    return r->modseq <= h->common || r->modseq <= h->rec->createdmodseq[i];
}

static void find_common(struct holder *h)
{
    for (size_t k = 0; k < h->rrec->n; k++) {
        const struct replica_record *r = &h->rrec->r[k];
        size_t i = r->modseq > h->common ? diff_find_record(h->rec, r->uid) : SIZE_MAX;
        if (i != SIZE_MAX && is_equal(h, i, r))
            h->common = r->modseq;
    }
}

/* ---- the rows ---- */

static void keep(struct holder *h, const struct compare_difference *d)
{
    struct compare_result *k = &h->out->kept;
    k->d = arena_grow(h->a, k->d, k->n, &k->cap, sizeof *k->d);
    k->d[k->n++] = *d;
}

/* [S6 S7] One message, live on both sides. */
static void both_live(struct holder *h, size_t i, const struct compare_difference *d)
{
    const struct replica_record *r = diff_find_theirs(h->rrec, d->uid);
    bool numbers = differs_in_numbers_only(h, i, r);
    bool newer = h->rec->modseq[i] > r->modseq && is_as_once_sent(h, i, r);
    h->out->also[i] = newer || (numbers && h->rec->modseq[i] >= r->modseq);
    h->out->hold[i] = !h->out->also[i];
    if (!h->out->also[i] && !numbers)
        keep(h, d);
}

static void decide(struct holder *h, const struct compare_difference *d)
{
    size_t i = diff_find_record(h->rec, d->uid);
    switch (d->row) {
    case ROW_NOTHING:
    case ROW_STALE: /* settled on the replica alone */
        break;
    case ROW_EXPUNGE_AGAIN:
        h->out->also[i] = true;
        break;
    case ROW_TAKE_FLAGS:
    case ROW_TOUCH:
        both_live(h, i, d);
        break;
    case ROW_EXPUNGE_HERE:
    case ROW_RENUMBER:
    case ROW_APPEND_HERE:
    case ROW_COPYBACK:
        if (i != SIZE_MAX)
            h->out->hold[i] = true;
        keep(h, d);
        break;
    }
}

void diff_withhold(struct arena *a, const struct mailbox_header *m, const struct records *rec,
                   const struct replica_mailbox *r, const struct replica_records *rrec, const struct compare_result *c,
                   struct withheld *out)
{
    struct holder h = { m, rec, r, rrec, 0, out, a };
    *out = (struct withheld){ .also = arena_array(a, rec->n, sizeof *out->also),
                              .hold = arena_array(a, rec->n, sizeof *out->hold) };
    find_common(&h);
    for (size_t k = 0; k < c->n; k++)
        decide(&h, &c->d[k]);
    out->keeps_annotations = r->highestmodseq > m->highestmodseq &&
                             !diff_annotations_equal(&m->annotations, &r->annotations);
}
