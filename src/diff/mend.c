/*
 * What the master has to be told after a full comparison (spec/algorithm.md §7.1, §7.7): the
 * rows of diff_compare become records of one APPLY MAILBOX to the master's own server. Called
 * by the engine's copyback. Pure: the same input gives the same records, so that two runs of
 * which the first was cut off anywhere end in the same state.
 */
#include <stdlib.h>
#include <string.h>

#include "fansync/diff.h"
#include "diff/copies.h"
#include "fansync/sync_crc.h"

#define SYSTEM_FLAGS ((uint32_t)(REC_ANSWERED | REC_FLAGGED | REC_DELETED | REC_DRAFT | REC_SEEN))

enum { MOST_USERFLAGS = 128 };

struct mender {
    struct arena *a;
    const struct mailbox_header *m;
    const struct records *rec;
    const struct replica_mailbox *r;
    const struct replica_records *rrec;
    const struct replica_details *details;
    struct mend *out;
    struct copies copies;
    size_t *live;      /* for each of the master's records: the live record that takes its place, plus 1; or 0 */
    struct found_copy {
        size_t i;
        const struct replica_detail *t; /* the original */
    } *found;
    size_t nfound;
    uint64_t modseq;   /* the last one given out */
    uint32_t last_uid; /* likewise */
    int64_t now;
};

bool compare_row_wants_detail(enum compare_row row)
{
    return row == ROW_TAKE_FLAGS || row == ROW_APPEND_HERE || row == ROW_COPYBACK;
}

/* ---- making records ---- */

static size_t new_record(struct mender *d, uint32_t uid)
{
    struct records *o = &d->out->rec;
    size_t k = o->n++;
    o->uid[k] = uid;
    o->modseq[k] = ++d->modseq;
    o->last_updated[k] = d->now;
    return k;
}

static size_t copy_record(struct mender *d, size_t i, uint32_t uid)
{
    struct records *o = &d->out->rec;
    size_t k = new_record(d, uid);
    o->internaldate[k] = d->rec->internaldate[i];
    o->size[k] = d->rec->size[i];
    o->flags[k] = d->rec->flags[i];
    memcpy(o->userflags[k], d->rec->userflags[i], sizeof o->userflags[k]);
    o->guid[k] = d->rec->guid[i];
    o->cid[k] = d->rec->cid[i];
    o->savedate[k] = d->rec->savedate[i];
    o->createdmodseq[k] = d->rec->createdmodseq[i];
    if (d->rec->annotations)
        o->annotations[k] = d->rec->annotations[i];
    d->live[i] = k + 1;
    return k;
}

static void set_userflag(struct mender *d, size_t k, struct slice name)
{
    struct mailbox_header *m = &d->out->m;
    size_t bit = 0;
    while (bit < m->nuserflags && !slice_caseeq(m->userflags[bit], name))
        bit++;
    if (bit == MOST_USERFLAGS)
        return; /* the mailbox knows as many as it can */
    if (bit == m->nuserflags)
        m->userflags[m->nuserflags++] = name;
    d->out->rec.userflags[k][bit / 32] |= 1u << (bit % 32);
}

static void take_flags(struct mender *d, size_t k, const struct replica_detail *t)
{
    struct records *o = &d->out->rec;
    o->flags[k] = (o->flags[k] & ~SYSTEM_FLAGS) | (t->flags & SYSTEM_FLAGS);
    memset(o->userflags[k], 0, sizeof o->userflags[k]);
    for (size_t f = 0; f < t->nuserflags; f++)
        set_userflag(d, k, t->userflags[f]);
    o->cid[k] = t->cid;
    o->annotations[k] = t->annotations;
}

static void need_message(struct mender *d, size_t k, uint32_t uid, bool from_replica)
{
    d->out->messages[d->out->nmessages++] = (struct mend_message){ k, uid, from_replica };
}

static size_t append_theirs(struct mender *d, const struct replica_detail *t, uint32_t uid)
{
    struct records *o = &d->out->rec;
    size_t k = new_record(d, uid);
    o->internaldate[k] = t->internaldate;
    o->size[k] = t->size;
    o->guid[k] = t->guid;
    o->savedate[k] = t->savedate;
    o->createdmodseq[k] = copies_created(t);
    take_flags(d, k, t);
    need_message(d, k, t->uid, true);
    return k;
}

static void expunge_there(struct mender *d, uint32_t uid)
{
    d->out->expunge[d->out->nexpunge++] = uid;
}

/* ---- the rows ---- */

static void renumber(struct mender *d, size_t i)
{
    size_t old = copy_record(d, i, d->rec->uid[i]);
    d->out->rec.flags[old] |= REC_EXPUNGED;
    size_t k = copy_record(d, i, ++d->last_uid);
    need_message(d, k, d->rec->uid[i], false);
}

static void copyback(struct mender *d, const struct replica_detail *t)
{
    size_t i;
    if (copies_find(&d->copies, t, &i))
        d->found[d->nfound++] = (struct found_copy){ i, t };
    else
        d->out->rec.createdmodseq[append_theirs(d, t, ++d->last_uid)] = t->modseq; /* see copies.c */
    expunge_there(d, t->uid);
}

/*
 * The original may have been changed between a copy and the expunge that did not follow it: its modseq
 * tells. Done when all other rows have their records, because the copy may be in one of them, under its own uid or
 * a new one: a command has each uid once.
 */
static void take_changes_of_originals(struct mender *d)
{
    for (size_t f = 0; f < d->nfound; f++) {
        size_t i = d->found[f].i;
        const struct replica_detail *t = d->found[f].t;
        const struct replica_detail *there = copies_detail(d->rrec, d->details, d->rec->uid[i]); /* if the copy is changed there too */
        if (t->modseq == d->rec->createdmodseq[i] || (there && there->modseq > t->modseq))
            continue;
        take_flags(d, d->live[i] ? d->live[i] - 1 : copy_record(d, i, d->rec->uid[i]), t);
    }
}

static bool carry_out(struct mender *d, const struct compare_difference *row)
{
    size_t i = diff_find_record(d->rec, row->uid);
    const struct replica_detail *t = NULL;
    if (compare_row_wants_detail(row->row) && !(t = copies_detail(d->rrec, d->details, row->uid)))
        return false;
    switch (row->row) {
    case ROW_NOTHING:
    case ROW_EXPUNGE_AGAIN: /* the server takes no change of an expunged record: the update tells the replica */
        break;
    case ROW_TAKE_FLAGS:
        take_flags(d, copy_record(d, i, row->uid), t);
        break;
    case ROW_TOUCH:
        copy_record(d, i, row->uid);
        break;
    case ROW_EXPUNGE_HERE:
        d->out->rec.flags[copy_record(d, i, row->uid)] |= REC_EXPUNGED;
        break;
    case ROW_RENUMBER:
        renumber(d, i);
        break;
    case ROW_APPEND_HERE:
        append_theirs(d, t, row->uid);
        break;
    case ROW_STALE:
        expunge_there(d, row->uid);
        break;
    case ROW_COPYBACK:
        copyback(d, t);
        break;
    }
    return true;
}

/* ---- header and sums ---- */

static uint64_t larger(uint64_t x, uint64_t y)
{
    return x > y ? x : y;
}

/* Copies of the lists that grow; counters are raised when the records are known. */
static void begin_header(struct mender *d)
{
    struct mailbox_header *m = &d->out->m;
    *m = *d->m;
    m->userflags = arena_array(d->a, MOST_USERFLAGS, sizeof *m->userflags);
    m->nuserflags = d->m->nuserflags < MOST_USERFLAGS ? d->m->nuserflags : MOST_USERFLAGS;
    if (m->nuserflags)
        memcpy(m->userflags, d->m->userflags, m->nuserflags * sizeof *m->userflags);
}

/* The maximum of both sides; annotations are the side's whose modseq is higher (§7.6). */
static void end_header(struct mender *d, uint64_t floor)
{
    struct mailbox_header *m = &d->out->m;
    const struct replica_mailbox *r = d->r;
    bool raised = diff_replica_is_ahead(d->m, r) || d->last_uid > d->m->last_uid ||
                  r->foldermodseq > d->m->entry.foldermodseq;
    if (r->highestmodseq > d->m->highestmodseq && !diff_annotations_equal(&m->annotations, &r->annotations))
        m->annotations = r->annotations;
    m->uidvalidity = r->uidvalidity > m->uidvalidity ? r->uidvalidity : m->uidvalidity;
    if (m->xconvmodseq)
        m->xconvmodseq = larger(m->xconvmodseq, r->xconvmodseq);
    m->entry.foldermodseq = larger(m->entry.foldermodseq, r->foldermodseq);
    m->last_uid = d->last_uid;
    d->out->needed = raised || d->out->rec.n > 0;
    if (d->out->rec.n > 0)
        m->highestmodseq = d->modseq;
    else if (raised)
        m->highestmodseq = larger(larger(m->highestmodseq, r->highestmodseq), floor) + 1;
}

static void sum(struct sync_crcs *s, struct sync_crcs c)
{
    s->basic ^= c.basic;
    s->annot ^= c.annot;
    s->annot_long ^= c.annot_long;
}

static void sum_result(struct mender *d)
{
    struct sync_crcs *s = &d->out->crc;
    const struct records *o = &d->out->rec;
    *s = sync_crc_compute(d->m, d->rec);
    for (size_t k = 0; k < o->n; k++) {
        size_t i = diff_find_record(d->rec, o->uid[k]);
        if (i != SIZE_MAX && !(d->rec->flags[i] & REC_EXPUNGED))
            sum(s, sync_crc_record(d->m, d->rec, i));
        if (!(o->flags[k] & REC_EXPUNGED))
            sum(s, sync_crc_record(&d->out->m, o, k));
    }
    if (d->m->minor < 13)
        s->annot = s->annot_long = 0;
}

/* ---- order ---- */

struct place {
    uint32_t uid;
    size_t k;
};

static int compare_places(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    return (a->uid > b->uid) - (a->uid < b->uid);
}

static void move_record(struct records *to, size_t t, const struct records *from, size_t f)
{
    to->uid[t] = from->uid[f];
    to->modseq[t] = from->modseq[f];
    to->last_updated[t] = from->last_updated[f];
    to->internaldate[t] = from->internaldate[f];
    to->size[t] = from->size[f];
    to->flags[t] = from->flags[f];
    memcpy(to->userflags[t], from->userflags[f], sizeof to->userflags[t]);
    to->guid[t] = from->guid[f];
    to->cid[t] = from->cid[f];
    to->savedate[t] = from->savedate[f];
    to->createdmodseq[t] = from->createdmodseq[f];
    to->annotations[t] = from->annotations[f];
}

/* Records were made in walk order; the command wants them by uid. */
static void sort_records(struct mender *d)
{
    struct records *o = &d->out->rec, sorted;
    struct place *p = arena_array(d->a, o->n, sizeof *p);
    size_t *where = arena_array(d->a, o->n, sizeof *where);
    for (size_t k = 0; k < o->n; k++)
        p[k] = (struct place){ o->uid[k], k };
    if (o->n > 1)
        qsort(p, o->n, sizeof *p, compare_places);
    records_make(d->a, o->n, &sorted);
    sorted.annotations = arena_array(d->a, o->n, sizeof *sorted.annotations);
    for (size_t k = 0; k < o->n; k++) {
        move_record(&sorted, k, o, p[k].k);
        where[p[k].k] = k;
    }
    for (size_t k = 0; k < d->out->nmessages; k++)
        d->out->messages[k].i = where[d->out->messages[k].i];
    *o = sorted;
}

uint32_t mend_double(const struct mend *m)
{
    for (size_t k = 1; k < m->rec.n; k++)
        if (m->rec.uid[k] <= m->rec.uid[k - 1])
            return m->rec.uid[k];
    return 0;
}

bool diff_mend(struct arena *a, const struct mailbox_header *m, const struct records *rec,
               const struct replica_mailbox *r, const struct replica_records *rrec, const struct compare_result *c,
               const struct replica_details *details, uint64_t floor, int64_t now, struct mend *out)
{
    *out = (struct mend){ 0 };
    struct mender d = {
        .a = a, .m = m, .rec = rec, .r = r, .rrec = rrec, .details = details, .out = out,
        .modseq = larger(larger(m->highestmodseq, r->highestmodseq), floor),
        .last_uid = m->last_uid > r->last_uid ? m->last_uid : r->last_uid, .now = now,
    };
    d.live = arena_array(a, rec->n, sizeof *d.live);
    d.found = arena_array(a, c->n, sizeof *d.found);
    records_make(a, 2 * c->n, &out->rec); /* a renumbered message makes two */
    out->rec.annotations = arena_array(a, 2 * c->n, sizeof *out->rec.annotations);
    out->rec.n = 0;
    out->messages = arena_array(a, c->n, sizeof *out->messages);
    out->expunge = arena_array(a, c->n, sizeof *out->expunge);
    begin_header(&d);
    copies_index(&d.copies, a, rec, c);
    bool complete = true;
    for (size_t k = 0; k < c->n && complete; k++)
        complete = carry_out(&d, &c->d[k]);
    copies_free(&d.copies);
    if (!complete)
        return false;
    take_changes_of_originals(&d);
    end_header(&d, floor);
    sum_result(&d);
    sort_records(&d);
    return true;
}
