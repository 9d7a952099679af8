/*
 * What a window has learnt about the replica, for the cache (fansync/cache.h): mailboxes that
 * were found equal, and those that the replica has confirmed. What failed is forgotten. Called
 * by the engine's thread at the end of a window, when every answer is in.
 */
#include "sync/command.h"
#include "sync/unit.h"

void engine_forget_name(struct engine *e, struct slice name)
{
    if (e->o.cache)
        cache_drop(&e->remembered, name);
}

bool engine_remembers(struct engine *e, const struct replica_mailbox *r)
{
    struct arena a = ARENA_INIT;
    struct replica_mailbox known;
    bool same = e->o.cache && cache_get(e->o.cache, &a, r->name, &known) && slice_eq(known.uniqueid, r->uniqueid);
    arena_free(&a);
    return same;
}

/* The state that a complete MAILBOX command leaves behind: what it said. */
static void remember_sent(struct work *w)
{
    const struct mailbox_header *m = w->m;
    char letters[4];
    struct replica_mailbox r = {
        .name = m->entry.name, .uniqueid = m->entry.uniqueid, .type = w->type, .partition = w->partition,
        .acl = m->entry.acl, .quotaroot = m->quotaroot, .createdmodseq = m->createdmodseq, .options = command_options(m->options, letters), .sync_crc = w->sync_crc,
        .sync_crc_annot = w->sync_crc_annot, .last_uid = m->last_uid, .uidvalidity = m->uidvalidity,
        .recentuid = m->recentuid, .highestmodseq = m->highestmodseq, .foldermodseq = m->entry.foldermodseq,
        .xconvmodseq = m->xconvmodseq, .raclmodseq = m->raclmodseq, .recenttime = m->recenttime,
        .pop3_last_login = m->pop3_last_login, .pop3_show_after = m->pop3_show_after, .annotations = m->annotations,
    };
    cache_put(&w->unit->engine->remembered, m->entry.name, &r);
}

static void remember(struct work *w)
{
    struct cache_changes *l = &w->unit->engine->remembered;
    switch (w->state) {
    case WORK_SAME:
        if (w->r && w->m && !w->r->remembered)
            cache_put(l, w->entry->name, w->r);
        break;
    case WORK_DONE:
        remember_sent(w);
        break;
    case WORK_COMPARE:
    case WORK_SEND:
    case WORK_FAILED:
        cache_drop(l, w->entry->name);
        break;
    }
}

void unit_remember(struct unit *u)
{
    for (size_t i = 0; i < u->nwork; i++)
        remember(&u->work[i]);
}
