/*
 * A mailbox in conflict whose master must stay as it is: there is no copyback, or it would be too much for it. What
 * cannot lose anything of the replica's is sent all the same (diff/withhold.c), under the higher of both sides'
 * counters and without a sum, because the two sides do not become equal. The rest is told by uid, and the
 * mailbox fails when the replica has confirmed what was sent. Called by the full comparison.
 */
#include "sync/unit.h"

#include "fansync/log.h"

/* What is sent of the mailbox itself. Its sums say nothing: the replica does not compare them. */
static const struct mailbox_header *merged_header(struct work *w, const struct withheld *h)
{
    struct mailbox_header *m = arena_alloc(&w->unit->arena, sizeof *m);
    *m = diff_merged_header(w->m, w->r);
    m->sync_crc = m->sync_crc_annot = 0;
    if (h->keeps_annotations)
        m->annotations = w->r->annotations;
    return m;
}

static bool is_any_sent(const struct work *w, const struct withheld *h)
{
    for (size_t i = 0; i < w->rec.n; i++) {
        uint64_t modseq;
        bool in_part = diff_record_in_part(&w->rec, i, w->have, &w->part, &modseq);
        if (!h->hold[i] && (in_part || h->also[i]))
            return true;
    }
    return false;
}

static struct err *send(struct work *w, const struct withheld *h, const uint32_t *stale, size_t nstale)
{
    w->also = h->also;
    w->hold = h->hold;
    w->have = diff_bounds(w->r);
    w->part = (struct record_part){ true, w->m->last_uid, w->m->highestmodseq };
    w->sync_crc = w->sync_crc_annot = 0;
    bool header = diff_mailbox(w->m, w->type, w->r, w->unit->engine->o.reverseacls, NULL) != MAILBOX_UNCHANGED;
    if (!header && !is_any_sent(w, h))
        w->state = WORK_SAME;
    else
        w->state = WORK_SEND;
    w->guard = nstale == 0 && w->have.since_uid > 0; /* an EXPUNGE changes the sums */
    return nstale ? compare_expunge(w, stale, nstale) : NULL;
}

/* A message that a copyback, cut off or refused before its end, has put on the master is expunged on the replica. */
static struct err *settle_copied(struct work *w, const struct compare_result *c, struct compare_result *out)
{
    struct arena *a = &w->unit->arena;
    struct compare_result may = diff_may_be_copied(a, &w->rec, &w->replica_records, c);
    *out = *c;
    if (may.n == 0)
        return NULL;
    TRY(detail_ask(w, &may));
    if (w->state != WORK_FAILED)
        *out = diff_settle_copied(a, &w->rec, &w->replica_records, c, &w->details);
    return NULL;
}

struct err *withhold_run(struct work *w, const struct compare_result *found, struct err *why)
{
    struct compare_result settled, *c = &settled;
    struct withheld h;
    size_t nstale;
    struct err *err = settle_copied(w, found, c);
    if (err || w->state == WORK_FAILED) {
        err_free(why);
        return err;
    }
    diff_withhold(&w->unit->arena, w->m, &w->rec, w->r, &w->replica_records, c, &h);
    if (why || h.kept.n || h.keeps_annotations) {
        if (!why)
            master_session(w->unit->engine); /* says why it cannot be had */
        tell_differences(w, found);
        w->conflict = compare_conflict(w, &h.kept, h.keeps_annotations, why);
    }
    uint32_t *stale = compare_stale(w, c, &nstale);
    w->m = merged_header(w, &h);
    TRY(send(w, &h, stale, nstale));
    if (w->state == WORK_SAME)
        withhold_settle(w);
    return NULL;
}

void withhold_settle(struct work *w)
{
    struct err *err = w->conflict;
    w->conflict = NULL;
    if (err)
        work_fail(w, err);
}
