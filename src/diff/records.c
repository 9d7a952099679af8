/*
 * Which records of a changed mailbox are sent, and in how many parts (spec/algorithm.md
 * §4.3, §5.2). Pure.
 *
 * One rule differs from the stock client's: a record whose uid is above the replica's
 * LAST_UID is always sent, whatever its modseq. Stock leaves it out when its modseq is not
 * above the replica's HIGHESTMODSEQ, the replica's LAST_UID then passes it, and the
 * repair gives it a new uid on the master (spec/algorithm.md §12 no. 3).
 *
 * And one differs in parts: a new record that is expunged has its true modseq at once, even if it is above
 * that of the part. Servers take it so, and take no other one later: whatever they are told of a record
 * that is expunged on both sides, they leave it as it is. Held back until a later part it would be lost, because the
 * replica's LAST_UID has passed it then.
 */
#include "fansync/diff.h"

struct record_bounds diff_bounds(const struct replica_mailbox *r)
{
    struct record_bounds b = { 0, 0 };
    if (r && r->last_uid > 0) {
        b.since_modseq = r->highestmodseq;
        b.since_uid = r->last_uid;
    }
    return b;
}

struct record_part diff_part(const struct mailbox_header *m, const struct records *rec,
                             struct record_bounds replica, uint32_t batchsize)
{
    const struct record_part all = { true, m->last_uid, m->highestmodseq };
    struct record_part p = { false, replica.since_uid, m->highestmodseq };
    uint32_t fresh = 0;

    if (batchsize == 0)
        return all;
    for (size_t i = 0; i < rec->n; i++) {
        if (rec->uid[i] <= replica.since_uid)
            continue;
        if (fresh < batchsize)
            p.to_uid = rec->uid[i];
        else if (rec->modseq[i] <= p.to_modseq)
            p.to_modseq = rec->modseq[i] - 1; /* the part ends before every later record */
        if (rec->flags[i] & REC_UNLINKED)
            continue; /* costs no upload, so it does not count */
        fresh++;
    }
    bool between = replica.since_modseq < p.to_modseq && p.to_modseq < m->highestmodseq;
    return fresh > batchsize && between ? p : all;
}

bool diff_record_in_part(const struct records *rec, size_t i, struct record_bounds replica,
                         const struct record_part *part, uint64_t *modseq)
{
    *modseq = rec->modseq[i];
    if (rec->modseq[i] <= replica.since_modseq && rec->uid[i] <= replica.since_uid)
        return false; /* went with an earlier part */
    if (part->complete)
        return true;
    if (rec->uid[i] > part->to_uid)
        return false;
    if (rec->modseq[i] <= part->to_modseq)
        return true;
    if (rec->uid[i] <= replica.since_uid)
        return false; /* a change of a known record: travels with a later part */
    if (!(rec->flags[i] & REC_EXPUNGED))
        *modseq = part->to_modseq; /* its true modseq follows with a later part */
    return true;
}
