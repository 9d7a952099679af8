/*
 * A mailbox whose stored sync CRC is not that of its records: Cyrus stored a value that its index cannot hold (a date
 * beyond 2106), or annotations or records were lost since. Every update that rests on the stored sum is refused
 * once. The store is never written by us; but the master's own server calculates the sums anew when it is told of a
 * change that is none, with the sums of the records. Without a copyback service it is said once, with
 * what mends it.
 */
#include "sync/unit.h"

#include "fansync/log.h"

static bool is_new(struct engine *e, struct slice name)
{
    if (map_get(&e->told_sums, name))
        return false;
    map_put(&e->told_sums, arena_dup(&e->told_arena, name), e);
    return true;
}

static void recalculate(struct work *w)
{
    struct engine *e = w->unit->engine;
    struct slice name = w->entry->name;
    if (!is_new(e, name))
        return;
    struct err *fault = NULL;
    bool asked = e->o.connect_master && master_session(e);
    if (asked)
        fault = copyback_recalculate(w);
    if (asked && !fault)
        log_msg(LOG_NOTICE, "SYNCNOTICE: the master's server has corrected a stored checksum: mailbox=<" SLICE_FMT ">",
                SLICE_ARG(name));
    else
        log_msg(LOG_NOTICE, "SYNCNOTICE: the stored checksum of a mailbox is not that of its records, reconstruct(8) corrects "
                "it: mailbox=<" SLICE_FMT ">%s%s", SLICE_ARG(name), fault ? " error=" : "", fault ? fault->msg : "");
    err_free(fault);
}

void window_recalculate(struct unit *units, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < units[k].nwork; i++)
            if (units[k].work[i].wrong_sums)
                recalculate(&units[k].work[i]);
}
