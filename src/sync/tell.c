/*
 * What a full comparison found, told in the log: operators match on these lines
 * (spec/operation.md §6). Called by the engine's thread before anything is mended.
 */
#include "sync/unit.h"

#include "fansync/log.h"

enum { TOLD = 1000 }; /* lines of one mailbox */

static void tell_guids(const struct work *w, uint32_t uid, size_t i, const struct replica_record *r)
{
    char mine[GUID_HEX + 1] = "", other[GUID_HEX + 1] = "";
    guid_format(&w->rec.guid[i], mine);
    guid_format(&r->guid, other);
    log_msg(LOG_ERR, "SYNCERROR: guid mismatch: mailbox=<" SLICE_FMT "> uid=<%u> rguid=<%s> mguid=<%s>",
            SLICE_ARG(w->entry->name), uid, other, mine);
}

static void tell_lone(const struct work *w, const char *where, uint32_t uid, const struct guid *g)
{
    char guid[GUID_HEX + 1];
    guid_format(g, guid);
    log_msg(LOG_ERR, "SYNCNOTICE: record only exists on %s: mailbox=<" SLICE_FMT "> uid=<%u> guid=<%s>", where,
            SLICE_ARG(w->entry->name), uid, guid);
}

static void tell_mismatch(const struct work *w, size_t i, const struct replica_record *r, const char *what)
{
    log_msg(LOG_NOTICE, "SYNCNOTICE: record mismatch with replica: " SLICE_FMT " %s", SLICE_ARG(w->entry->name), what);
    log_msg(LOG_NOTICE, "SYNCNOTICE: master uid:%u modseq:%llu last_updated:%lld%s", w->rec.uid[i],
            (unsigned long long)w->rec.modseq[i], (long long)w->rec.last_updated[i],
            w->rec.flags[i] & REC_EXPUNGED ? " expunged" : "");
    log_msg(LOG_NOTICE, "SYNCNOTICE: replica uid:%u modseq:%llu last_updated:%lld%s", r->uid,
            (unsigned long long)r->modseq, (long long)r->last_updated, r->expunged ? " expunged" : "");
}

static void tell(const struct work *w, const struct compare_difference *d)
{
    size_t i = diff_find_record(&w->rec, d->uid);
    bool here = i != SIZE_MAX;
    const struct replica_record *r = diff_find_theirs(&w->replica_records, d->uid);
    if (here && r && !guid_eq(&w->rec.guid[i], &r->guid))
        tell_guids(w, d->uid, i, r);
    else if (here && r)
        tell_mismatch(w, i, r, compare_row_text(d->row));
    else if (r)
        tell_lone(w, "replica", d->uid, &r->guid);
    else if (here)
        tell_lone(w, "master", d->uid, &w->rec.guid[i]);
}

void tell_differences(const struct work *w, const struct compare_result *c)
{
    for (size_t k = 0; k < c->n && k < TOLD; k++)
        tell(w, &c->d[k]);
    if (c->n > TOLD)
        log_msg(LOG_NOTICE, "SYNCNOTICE: " SLICE_FMT ": %zu more differences", SLICE_ARG(w->entry->name), c->n - TOLD);
    if (w->r->highestmodseq > w->m->highestmodseq)
        log_msg(LOG_NOTICE, "SYNCNOTICE: highestmodseq higher on replica, updating: mailbox=<" SLICE_FMT
                "> oldhighestmodseq=<%llu> newhighestmodseq=<%llu>", SLICE_ARG(w->entry->name),
                (unsigned long long)w->m->highestmodseq, (unsigned long long)w->r->highestmodseq);
    if (w->r->uidvalidity > w->m->uidvalidity)
        log_msg(LOG_NOTICE, "SYNCNOTICE: uidvalidity higher on replica, updating: mailbox=<" SLICE_FMT
                "> olduidvalidity=<%u> newuidvalidity=<%u>", SLICE_ARG(w->entry->name), w->m->uidvalidity,
                w->r->uidvalidity);
}
