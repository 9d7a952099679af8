/*
 * Folders of a unit that lie under another name on the replica, or that the master has
 * deleted (spec/algorithm.md §2.2, §2.3). They are settled before contents: UNMAILBOX for
 * what a tombstone of the same uniqueid proves deleted, then the renames in an order in
 * which every target is free, all in one burst; then the replica is asked again.
 *
 * Absence is never taken for deletion: what exists on the replica only and has no
 * tombstone here stays, with a notice.
 */
#include "sync/unit.h"

#include "fansync/log.h"

bool unit_wants_folders(const struct unit *u)
{
    return u->ndoomed || u->nrenames;
}

/* ---- planning ---- */

/*
 * A tombstone of 3.12 for what is deleted at once has no uniqueid: there the name decides. With 3.2
 * a mailbox that is deleted at once and has children leaves an intermediate of its uniqueid.
 */
static bool is_tombstone_of(const struct mbentry *e, const struct replica_mailbox *r)
{
    if (e->flags & MB_DELETED)
        return e->uniqueid.n == 0 || slice_eq(e->uniqueid, r->uniqueid);
    return (e->flags & MB_INTERMEDIATE) && !replica_is_intermediate(r) && slice_eq(e->uniqueid, r->uniqueid);
}

/* An empty mailbox under a name that another one has by now: later replicas replace it
 * themselves, one before 3.6 refuses the new one (spec/algorithm.md §2.4). */
static bool is_in_the_way(const struct unit *u, const struct mbentry *e, const struct replica_mailbox *r)
{
    const unsigned no_mailbox = MB_DELETED | MB_INTERMEDIATE | MB_MOVING | MB_REMOTE | MB_RESERVED;
    bool replaces = session_capabilities(u->engine->session) & CAP_SIEVE_MAILBOX;
    return !replaces && !(e->flags & no_mailbox) && r->last_uid == 0;
}

static bool has_to_go(struct unit *u, const struct replica_mailbox *r)
{
    struct mbentry e;
    bool found;
    struct err *err = store_lookup(u->engine->o.store, &u->arena, r->name, &e, &found);
    if (err) {
        unit_fail(u, err);
        return false;
    }
    return found && (is_tombstone_of(&e, r) || is_in_the_way(u, &e, r));
}

static bool is_occupant(const struct folder_matches *f, const struct replica_mailbox *r)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->match[i].occupant == r)
            return true;
    return false;
}

/* Copies that outlive the master's in the deleted tree, and names without a mailbox, are
 * nothing to tell an operator of. */
static bool is_ordinary(const struct unit *u, const struct replica_mailbox *r)
{
    struct arena a = ARENA_INIT;
    struct mbname m = names_from_internal(&a, store_names(u->engine->o.store), r->name);
    bool deleted = m.deleted_time != 0;
    arena_free(&a);
    return !deleted && !replica_is_intermediate(r);
}

/*
 * Whether a mailbox of the replica is one that the master has deleted: the list says so, or it
 * has forgotten the uniqueid, and a record of the log says that the name was deleted or the
 * cache that the master had this mailbox. Without either it may be the replica's own, and
 * stays.
 */
static bool is_dead(struct unit *u, const struct replica_mailbox *r)
{
    struct mbentry e;
    bool found = false;
    struct err *err = store_lookup_id(u->engine->o.store, &u->arena, r->uniqueid, &e, &found);
    if (err) {
        unit_fail(u, err);
        return false;
    }
    if (found)
        return e.flags & MB_DELETED;
    return (u->item->deleted && map_get(u->item->deleted, r->name)) || engine_remembers(u->engine, r);
}

/*
 * A name that was deleted and made again between two syncs: the tombstone is hidden by the
 * new mailbox (§2.4 no. 3). The replica's server would refuse the new mailbox for ever.
 */
static void plan_dead_occupants(struct unit *u, const struct folder_matches *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct replica_mailbox *r = f->match[i].occupant;
        if (r && !map_get(&u->refused, r->uniqueid) && (is_dead(u, r) || has_to_go(u, r)))
            u->doomed[u->ndoomed++] = r;
    }
}

static void plan_deletions(struct unit *u, const struct folder_matches *f)
{
    for (size_t i = 0; i < f->nextra; i++) {
        const struct replica_mailbox *r = f->extra[i];
        const struct err *refused = map_get(&u->refused, r->uniqueid);
        if (is_occupant(f, r))
            continue;
        if (refused)
            unit_fail(u, err_wrap(err_copy(refused), "deletion of " SLICE_FMT, SLICE_ARG(r->name)));
        else if (has_to_go(u, r))
            u->doomed[u->ndoomed++] = r;
        else if (is_ordinary(u, r))
            log_msg(LOG_NOTICE, "SYNCNOTICE: no tombstone for deleted mailbox " SLICE_FMT " (" SLICE_FMT ")",
                    SLICE_ARG(r->name), SLICE_ARG(r->uniqueid));
    }
}

static void plan_renames(struct unit *u, const struct folder_matches *f)
{
    struct slice target = slice_str(u->engine->o.partition);
    struct rename_op *ops = arena_array(&u->arena, f->n, sizeof *ops);
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        const struct mbentry *e = &u->entries.e[i];
        const struct folder_match *m = &f->match[i];
        if ((m->renamed || m->moved) && !map_get(&u->refused, e->uniqueid))
            ops[n++] = (struct rename_op){
                m->r->name, e->name, target.n ? target : e->partition, e->uidvalidity, e->uniqueid,
            };
    }
    if (n)
        u->renames = diff_order_renames(&u->arena, ops, n, &u->nrenames);
}

void unit_plan_folders(struct unit *u, const struct folder_matches *f)
{
    u->doomed = arena_array(&u->arena, f->n + f->nextra, sizeof(struct replica_mailbox *));
    plan_dead_occupants(u, f);
    if (u->item->kind == ITEM_USER) /* a list of names may hold half of a rename */
        plan_deletions(u, f);
    plan_renames(u, f);
}

/* ---- sending ---- */

struct folder_change {
    struct unit *unit;
    struct slice uniqueid;
};

static void changed(void *ctx, const struct answer *a)
{
    struct folder_change *c = ctx;
    if (!a->err || a->err->kind == ERR_NONEXISTENT)
        return; /* the next question shows what is left to do */
    if (a->unknown)
        unit_fail(c->unit, err_copy(a->err));
    else if (!map_get(&c->unit->refused, c->uniqueid))
        map_put(&c->unit->refused, c->uniqueid, err_copy(a->err));
}

static struct folder_change *change_of(struct unit *u, struct slice uniqueid)
{
    struct folder_change *c = arena_alloc(&u->arena, sizeof *c);
    *c = (struct folder_change){ u, uniqueid };
    return c;
}

static struct err *send_deletion(struct unit *u, const struct replica_mailbox *r)
{
    struct engine *e = u->engine;
    const char *verb = e->o.local_only ? "APPLY LOCAL_UNMAILBOX" : "APPLY UNMAILBOX";
    engine_forget_name(e, r->name);
    log_progress("%s " SLICE_FMT, verb + 6, SLICE_ARG(r->name));
    struct buf *b = session_begin(e->session, verb, NULL, NULL, changed, change_of(u, r->uniqueid));
    dlist_write_str(b, r->name);
    return session_end(e->session);
}

static struct err *send_rename(struct unit *u, const struct rename_op *op)
{
    struct engine *e = u->engine;
    const char *verb = e->o.local_only ? "APPLY LOCAL_RENAME" : "APPLY RENAME";
    engine_forget_name(e, op->from);
    engine_forget_name(e, op->to);
    log_progress("%s " SLICE_FMT " -> " SLICE_FMT " (" SLICE_FMT ")", verb + 6, SLICE_ARG(op->from),
                 SLICE_ARG(op->to), SLICE_ARG(op->partition));
    struct buf *b = session_begin(e->session, verb, NULL, NULL, changed, change_of(u, op->uniqueid));
    buf_adds(b, "%(");
    dlist_put_str(b, "OLDMBOXNAME", op->from);
    dlist_put_str(b, "NEWMBOXNAME", op->to);
    dlist_put_str(b, "PARTITION", op->partition);
    dlist_put_u64(b, "UIDVALIDITY", op->uidvalidity);
    buf_addc(b, ')');
    return session_end(e->session);
}

struct err *unit_send_folders(struct unit *u)
{
    for (size_t i = 0; i < u->ndoomed; i++)
        TRY(send_deletion(u, u->doomed[i]));
    for (size_t i = 0; i < u->nrenames; i++)
        TRY(send_rename(u, &u->renames[i]));
    return NULL;
}

void unit_replan(struct unit *u)
{
    u->replica = (struct replica_state){ 0 };
    u->entries = u->intermediates = (struct mbentry_list){ NULL, 0, 0 };
    u->work = NULL;
    u->nwork = u->ndoomed = u->nrenames = 0;
    u->asked = u->planned = false;
    u->fresh = true;
}
