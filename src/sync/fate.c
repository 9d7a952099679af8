/*
 * What has become here of a mailbox of the replica (sync/fate.h). Called by the engine's thread.
 *
 *   its uniqueid, in the master's list      says
 *   a mailbox, whatever its name            it exists here
 *   a tombstone                             deleted
 *   an intermediate                         deleted while it had children, perhaps after a rename
 *   nothing, and its name is
 *     a tombstone without a uniqueid        deleted (3.12 writes such ones for what goes at once)
 *     a tombstone of this uniqueid          deleted
 *     another mailbox, and the cache says
 *     that ours had this one                deleted: Cyrus forgets a dead uniqueid when the name is
 *                                           used again
 *     another mailbox or tombstone, an
 *     intermediate or nothing, and a record
 *     of the log says that the mailbox of
 *     this name was deleted                 deleted: there 3.12 keeps no tombstone of what had children
 *     anything else                         unknown
 *
 * A record that tells of several of that name is the last one's: the place in the deleted tree that it names is another
 * one's if that lives there.
 *
 * A tombstone under the name proves nothing while the uniqueid lives: the old name of every
 * renamed mailbox has one.
 */
#include "sync/fate.h"

bool fate_is_told(const struct unit *u, struct slice name, struct slice *moved_to)
{
    const struct slice *to = u->item->deleted ? map_get(u->item->deleted, name) : NULL;
    *moved_to = to ? *to : slice_of("", 0);
    return to != NULL;
}

static void by_id(const struct replica_mailbox *r, const struct mbentry *e, struct fate *out)
{
    if (e->flags & MB_DELETED)
        out->kind = FATE_DEAD;
    else if (!(e->flags & MB_INTERMEDIATE))
        out->kind = FATE_HERE;
    else if (!replica_is_intermediate(r))
        out->kind = FATE_DEAD;
    out->here = *e;
}

static void by_name(struct unit *u, const struct replica_mailbox *r, const struct mbentry *e, bool found, struct fate *out)
{
    bool tombstone = found && (e->flags & MB_DELETED), live = found && mbentry_is_live(e);
    if (tombstone && (e->uniqueid.n == 0 || slice_eq(e->uniqueid, r->uniqueid)))
        out->kind = FATE_DEAD;
    else if ((!found || live || mbentry_is_gone(e)) && fate_is_told(u, r->name, &out->moved_to))
        out->kind = FATE_DEAD;
    else if (live && engine_remembers(u->engine, r))
        out->kind = FATE_DEAD;
}

struct err *fate_of(struct unit *u, const struct replica_mailbox *r, struct fate *out)
{
    struct store *store = u->engine->o.store;
    struct mbentry e;
    bool found = false;
    *out = (struct fate){ .kind = FATE_UNKNOWN };
    if (r->uniqueid.n == 0)
        return NULL; /* a name without a mailbox, as 3.12 keeps them */
    TRY(store_lookup_id(store, &u->arena, r->uniqueid, &e, &found));
    if (found) {
        by_id(r, &e, out);
        return NULL;
    }
    TRY(store_lookup(store, &u->arena, r->name, &e, &found));
    by_name(u, r, &e, found, out);
    if (out->moved_to.n == 0)
        return NULL;
    TRY(store_lookup(store, &u->arena, out->moved_to, &e, &found));
    if (found && mbentry_is_live(&e))
        out->moved_to = slice_of("", 0);
    return NULL;
}
