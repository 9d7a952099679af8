/*
 * Folders of a unit that lie under another name on the replica, or that the master has
 * deleted (spec/algorithm.md §2.2, §2.3). They are settled before contents: UNMAILBOX for
 * what is known to be deleted (fate.h), then the renames in an order in which every target is
 * free, all in one burst; then the replica is asked again.
 *
 * Nothing is deleted because it was not met on a walk: each deletion rests on what the master's list
 * says of that very uniqueid. What exists on the replica only and is not known to be deleted
 * stays, with a notice.
 *
 * A name that the unit needs may be held by a mailbox that has another name here, in the
 * tree of somebody else. It is moved there first, if the run concerns that place too, else left alone.
 * Commands that touch names outside the unit are sent alone, not in a window: two units of
 * one window would move the same mailboxes to and fro.
 */
#include "sync/fate.h"

#include <stdlib.h>

#include "fansync/log.h"

bool unit_wants_folders(const struct unit *u)
{
    return u->ndoomed || u->nrenames;
}

/* ---- what a plan gathers ---- */

struct plan {
    struct unit *unit;
    const struct folder_matches *f;
    struct rename_op *ops;
    size_t nops;
    bool *settled; /* parallel to the replica's list: a command of the plan concerns it */
};

static size_t index_of(const struct plan *p, const struct replica_mailbox *r)
{
    return (size_t)(r - p->unit->replica.mailboxes.m);
}

/* The cache may be wrong: what is deleted or moved away is asked for first. */
static bool is_certain(struct unit *u, const struct replica_mailbox *r)
{
    if (r->remembered)
        unit_fail(u, err_new(ERR_CHANGED, "the cache may be wrong about " SLICE_FMT, SLICE_ARG(r->name)));
    return !r->remembered;
}

/* A root that is gone here goes there too, even if no mailbox names it any more then. */
static void note_root(struct unit *u, const struct replica_mailbox *r)
{
    if (r->quotaroot.n)
        map_put(&u->roots, arena_dup(&u->keep, r->quotaroot), u);
}

static bool is_of_unit(const struct unit *u, struct slice name)
{
    const struct engine_item *item = u->item;
    struct arena a = ARENA_INIT;
    bool is = false;
    if (item->kind == ITEM_USER)
        is = slice_eq(names_userid_of_internal(&a, store_names(u->engine->o.store), name), item->userid);
    for (size_t i = 0; i < item->nnames && !is; i++)
        is = slice_eq(item->names[i], name);
    arena_free(&a);
    return is;
}

/* Names outside the unit need their owner's lock, and nobody else of a window at work. */
static bool may_touch(struct unit *u, struct slice name)
{
    if (is_of_unit(u, name))
        return true;
    struct err *err = NULL;
    if (u->attempt == 0)
        err = err_new(ERR_CHANGED, SLICE_FMT " has to be renamed first", SLICE_ARG(name));
    else
        err = unit_lock_owner(u, name);
    if (err)
        unit_fail(u, err);
    return !err;
}

static void add_rename(struct plan *p, const struct replica_mailbox *r, const struct mbentry *e)
{
    struct unit *u = p->unit;
    struct slice target = slice_str(u->engine->o.partition);
    if (!is_certain(u, r) || !may_touch(u, r->name) || !may_touch(u, e->name))
        return;
    note_root(u, r);
    p->settled[index_of(p, r)] = true;
    p->ops[p->nops++] = (struct rename_op){
        r->name, e->name, target.n ? target : e->partition, e->uidvalidity, e->uniqueid,
    };
}

static bool is_taken(const struct unit *u, struct slice name)
{
    for (size_t i = 0; i < u->replica.mailboxes.n; i++)
        if (slice_eq(u->replica.mailboxes.m[i].name, name))
            return true;
    return false;
}

/* Deleted on the replica, or put where the master had put it before it was gone for good: if that is another one's place,
 * it was not this one that the master had there. */
static void bury(struct plan *p, const struct replica_mailbox *r, struct slice moved_to)
{
    struct unit *u = p->unit;
    size_t i = index_of(p, r);
    if (p->settled[i] || !is_certain(u, r))
        return;
    note_root(u, r);
    p->settled[i] = true;
    if (moved_to.n && !is_taken(u, moved_to))
        p->ops[p->nops++] = (struct rename_op){ r->name, moved_to, r->partition, r->uidvalidity, r->uniqueid };
    else
        u->doomed[u->ndoomed++] = r;
}

/* On demand only (sync_delete_extra), and only what a list lacks that was read whole. */
static bool may_delete_extra(const struct unit *u, const struct replica_mailbox *r)
{
    if (!u->engine->o.delete_extra || !u->whole || replica_is_intermediate(r))
        return false;
    for (size_t i = 0; i < u->whole->entries.n; i++)
        if (slice_eq(u->whole->entries.e[i].uniqueid, r->uniqueid))
            return false;
    return true;
}

/* ---- mailboxes of the replica that have names which are needed ---- */

/*
 * An empty mailbox that nothing here knows makes room. A later replica replaces it by itself when
 * the new one is made, one before 3.6 does not (§2.4), and none does for a rename. With -O a filled one
 * goes too, as when a new mailbox is made.
 */
static bool makes_room(const struct unit *u, const struct folder_match *m)
{
    bool replaces = session_capabilities(u->engine->session) & CAP_SIEVE_MAILBOX;
    if (may_delete_extra(u, m->occupant))
        return true;
    return m->occupant->last_uid == 0 ? m->r || !replaces : m->r && u->engine->o.force;
}

static void plan_occupant(struct plan *p, const struct folder_match *m)
{
    struct unit *u = p->unit;
    const struct replica_mailbox *r = m->occupant;
    struct fate fate;
    if (!r || p->f->matched[index_of(p, r)] || map_get(&u->refused, r->uniqueid))
        return;
    struct err *err = fate_of(u, r, &fate);
    if (err) {
        unit_fail(u, err);
        return;
    }
    if (fate.kind == FATE_DEAD || (fate.kind == FATE_UNKNOWN && makes_room(u, m)))
        bury(p, r, fate.moved_to);
    else if (fate.kind == FATE_HERE && mbentry_is_live(&fate.here) && engine_runs(u->engine, fate.here.name)) {
        u->waits = true; /* if it cannot be moved now: its new name may be held by a third one */
        if (!p->settled[index_of(p, r)])
            add_rename(p, r, &fate.here);
    }
}

/*
 * Cyrus gives the uniqueid of a tombstone to a mailbox that is made again as the parent of another.
 * If a record says that the name was deleted, and the two are not the same yet, the replica's is the
 * old one: its mail was deleted, and must not come back by an update or a copyback.
 */
static bool is_former_life(struct unit *u, const struct mbentry *e, const struct replica_mailbox *r)
{
    struct slice moved_to;
    struct mailbox *mb;
    if (!slice_eq(e->name, r->name) || !fate_is_told(u, e->name, &moved_to) || moved_to.n)
        return false;
    struct err *err = store_mailbox_open(u->engine->o.store, &u->arena, e->name, &mb);
    if (err) {
        err_free(err); /* its own turn tells why */
        return false;
    }
    const struct mailbox_header *m = mailbox_header(mb);
    bool one_life = m->createdmodseq > 1 && m->createdmodseq == r->createdmodseq && m->uidvalidity == r->uidvalidity;
    bool same = one_life || diff_mailbox(m, mbentry_wire_type(&u->arena, e), r, false, NULL) == MAILBOX_UNCHANGED;
    store_mailbox_close(mb);
    return !same;
}

static void plan_names(struct plan *p)
{
    struct unit *u = p->unit;
    for (size_t i = 0; i < p->f->n; i++) {
        const struct mbentry *e = &u->entries.e[i];
        const struct folder_match *m = &p->f->match[i];
        plan_occupant(p, m);
        if (!m->r || map_get(&u->refused, e->uniqueid) || (u->astray && u->astray[i]))
            continue;
        if (is_former_life(u, e, m->r))
            bury(p, m->r, slice_of("", 0));
        else if (m->renamed || m->moved)
            add_rename(p, m->r, e);
    }
}

/* ---- mailboxes of the replica that nothing here matches ---- */

/* Copies that outlive the master's in the deleted tree: each host expires its own. */
static bool is_deleted_copy(const struct unit *u, const struct replica_mailbox *r)
{
    struct arena a = ARENA_INIT;
    struct mbname m = names_from_internal(&a, store_names(u->engine->o.store), r->name);
    bool deleted = m.deleted_time != 0;
    arena_free(&a);
    return deleted;
}

/*
 * Who owns a mailbox that has another name here asks for it by its uniqueid. A replica before 3.6 cannot be asked so, and the
 * list may not remember the former name, which another mailbox has had since: then only who meets the mailbox there can
 * tell. *inbox: of the tree where it belongs, perhaps itself; empty for one that is nobody's or goes into the deleted tree.
 */
static bool is_ours_to_move(struct unit *u, const struct replica_mailbox *r, const struct fate *fate, struct slice *inbox)
{
    const struct namespace_options *names = store_names(u->engine->o.store);
    bool frail = session_capabilities(u->engine->session) & CAP_BEFORE_3_6;
    if (!frail || fate->kind != FATE_HERE || !mbentry_is_live(&fate->here) || slice_eq(fate->here.name, r->name))
        return false;
    struct mbname m = names_from_internal(&u->arena, names, fate->here.name);
    *inbox = slice_of("", 0);
    if (m.localpart.n && !m.deleted_time)
        *inbox = names_inbox(&u->arena, names, names_userid_of_internal(&u->arena, names, fate->here.name));
    return true;
}

bool unit_seeks_homes(struct unit *u, const struct folder_matches *f)
{
    bool seeks = false;
    for (size_t i = 0; i < f->nextra; i++) {
        struct fate fate;
        struct slice inbox;
        struct err *err = fate_of(u, f->extra[i], &fate);
        if (!err && is_ours_to_move(u, f->extra[i], &fate, &inbox) && inbox.n)
            seeks |= identity_seeks_tree(u, inbox);
        err_free(err); /* met again, and told, by the plan */
    }
    return seeks;
}

static bool moves_home(struct unit *u, const struct replica_mailbox *r, const struct fate *fate)
{
    struct slice inbox;
    if (!is_ours_to_move(u, r, fate, &inbox))
        return false;
    if (slice_eq(inbox, fate->here.name))
        return identity_lacks_tree(u, inbox);
    return inbox.n == 0 || identity_of_tree(u, inbox);
}

static void say_elsewhere(const struct unit *u, const struct replica_mailbox *r, const struct mbentry *here)
{
    if (slice_eq(here->name, r->name) || engine_runs(u->engine, here->name))
        return; /* it takes no part, or its turn comes */
    log_msg(LOG_NOTICE, "SYNCNOTICE: left alone on the replica, it has another name here: mailbox=<" SLICE_FMT
            "> here=<" SLICE_FMT "> uniqueid=<" SLICE_FMT ">", SLICE_ARG(r->name), SLICE_ARG(here->name),
            SLICE_ARG(r->uniqueid));
}

static void plan_extra(struct plan *p, const struct replica_mailbox *r)
{
    struct unit *u = p->unit;
    struct fate fate;
    const struct err *refused = map_get(&u->refused, r->uniqueid);
    if (p->settled[index_of(p, r)] || is_deleted_copy(u, r))
        return;
    struct err *err = refused ? err_wrap(err_copy(refused), "deletion of " SLICE_FMT, SLICE_ARG(r->name))
                              : fate_of(u, r, &fate);
    if (err)
        unit_fail(u, err);
    else if (fate.kind == FATE_DEAD || (fate.kind == FATE_UNKNOWN && may_delete_extra(u, r)))
        bury(p, r, fate.moved_to);
    else if (moves_home(u, r, &fate))
        add_rename(p, r, &fate.here);
    else if (fate.kind == FATE_HERE)
        say_elsewhere(u, r, &fate.here);
    else if (u->item->kind == ITEM_USER && !replica_is_intermediate(r))
        log_msg(LOG_NOTICE, "SYNCNOTICE: no tombstone for deleted mailbox " SLICE_FMT " (" SLICE_FMT ")",
                SLICE_ARG(r->name), SLICE_ARG(r->uniqueid));
}

static void plan_extras(struct plan *p)
{
    bool *occupies = arena_array(&p->unit->arena, p->unit->replica.mailboxes.n, sizeof *occupies);
    for (size_t i = 0; i < p->f->n; i++)
        if (p->f->match[i].occupant)
            occupies[index_of(p, p->f->match[i].occupant)] = true;
    for (size_t i = 0; i < p->f->nextra; i++)
        if (!occupies[index_of(p, p->f->extra[i])])
            plan_extra(p, p->f->extra[i]);
}

void unit_plan_folders(struct unit *u, const struct folder_matches *f)
{
    size_t there = u->replica.mailboxes.n;
    struct plan p = {
        .unit = u, .f = f, .ops = arena_array(&u->arena, there, sizeof *p.ops),
        .settled = arena_array(&u->arena, there, sizeof *p.settled),
    };
    u->doomed = arena_array(&u->arena, there, sizeof(struct replica_mailbox *));
    plan_names(&p);
    plan_extras(&p);
    if (p.nops)
        u->renames = diff_order_renames(&u->arena, p.ops, p.nops, &u->nrenames);
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

/* A replica that can refuse to delete another mailbox than the one that is meant is told which. */
static struct err *send_deletion(struct unit *u, const struct replica_mailbox *r)
{
    struct engine *e = u->engine;
    const char *verb = e->o.local_only ? "APPLY LOCAL_UNMAILBOX" : "APPLY UNMAILBOX";
    engine_forget_name(e, r->name);
    log_progress("%s " SLICE_FMT, verb + 6, SLICE_ARG(r->name));
    struct buf *b = session_begin(e->session, verb, NULL, NULL, changed, change_of(u, r->uniqueid));
    if (session_capabilities(e->session) & CAP_UNMAILBOX_ID) {
        buf_adds(b, "%(");
        dlist_put_str(b, "MBOXNAME", r->name);
        dlist_put_str(b, "UNIQUEID", r->uniqueid);
        dlist_put_u64(b, "UIDVALIDITY", r->uidvalidity);
        buf_addc(b, ')');
    } else {
        dlist_write_str(b, r->name);
    }
    return session_end(e->session);
}

static struct err *write_rename(struct unit *u, const struct rename_op *op, answer_fn answered, void *ctx)
{
    struct engine *e = u->engine;
    const char *verb = e->o.local_only ? "APPLY LOCAL_RENAME" : "APPLY RENAME";
    engine_forget_name(e, op->from);
    engine_forget_name(e, op->to);
    log_progress("%s " SLICE_FMT " -> " SLICE_FMT " (" SLICE_FMT ")", verb + 6, SLICE_ARG(op->from),
                 SLICE_ARG(op->to), SLICE_ARG(op->partition));
    struct buf *b = session_begin(e->session, verb, NULL, NULL, answered, ctx);
    buf_adds(b, "%(");
    dlist_put_str(b, "OLDMBOXNAME", op->from);
    dlist_put_str(b, "NEWMBOXNAME", op->to);
    dlist_put_str(b, "PARTITION", op->partition);
    dlist_put_u64(b, "UIDVALIDITY", op->uidvalidity);
    buf_addc(b, ')');
    return session_end(e->session);
}

/* Mostly there is none. Why it could not be renamed shows when the scripts are compared. */
static void scripts_renamed(void *ctx, const struct answer *a)
{
    (void)ctx;
    (void)a;
}

/*
 * Scripts that go one by one are kept in a #sieve mailbox all the same by a replica from 3.6 on, which tells nobody of it.
 * Left under the old name of a user who is renamed, they could not be changed or deleted any more.
 */
static struct err *send_rename_of_scripts(struct unit *u, const struct rename_op *inbox)
{
    struct engine *e = u->engine;
    const struct namespace_options *names = store_names(e->o.store);
    if (e->sieve_mailbox || !(session_capabilities(e->session) & CAP_SIEVE_MAILBOX) || slice_eq(inbox->from, inbox->to))
        return NULL;
    struct mbname old = names_from_internal(&u->arena, names, inbox->from), now = names_from_internal(&u->arena, names, inbox->to);
    if (!old.localpart.n || old.nboxes || old.deleted_time || !now.localpart.n || now.nboxes || now.deleted_time)
        return NULL;
    struct rename_op op = *inbox;
    op.from = arena_printf(&u->arena, SLICE_FMT ".#sieve", SLICE_ARG(inbox->from));
    op.to = arena_printf(&u->arena, SLICE_FMT ".#sieve", SLICE_ARG(inbox->to));
    op.uidvalidity = 0;
    return write_rename(u, &op, scripts_renamed, NULL);
}

static struct err *send_rename(struct unit *u, const struct rename_op *op)
{
    TRY(write_rename(u, op, changed, change_of(u, op->uniqueid)));
    return send_rename_of_scripts(u, op);
}

static int by_name(const void *x, const void *y)
{
    const struct replica_mailbox *const *a = x, *const *b = y;
    return slice_cmp((*a)->name, (*b)->name);
}

/*
 * Children first, in whatever order they were asked for: a mailbox that is deleted before what is below it leaves its
 * name behind. With 3.12 the name has no uniqueid, nothing removes it, and should that host become a master, its stock
 * client dies of it (signal 11) whenever it replicates the user.
 */
static struct err *send_deletions(struct unit *u)
{
    if (u->ndoomed > 1)
        qsort(u->doomed, u->ndoomed, sizeof *u->doomed, by_name);
    for (size_t i = u->ndoomed; i-- > 0;)
        TRY(send_deletion(u, u->doomed[i]));
    return NULL;
}

struct err *unit_send_folders(struct unit *u)
{
    TRY(send_deletions(u));
    for (size_t i = 0; i < u->nrenames; i++)
        TRY(send_rename(u, &u->renames[i]));
    return NULL;
}
