/*
 * Whose user is it? (sync/unit.h: struct identity.) What a user has besides mailboxes is kept by his
 * name on the wire, and a replica finds it by the INBOX that has the name. If he was renamed here
 * and the replica does not know yet, or if the replica has a user of its own of that name, sending
 * his subscriptions would change another one's. Called by the engine's thread.
 */
#include "sync/state.h"
#include "sync/unit.h"

static struct slice inbox_of(struct unit *u)
{
    return names_inbox(&u->arena, store_names(u->engine->o.store), u->item->userid);
}

struct err *identity_ask(struct unit *u)
{
    struct session *s = u->engine->session;
    struct buf *b = session_begin(s, "GET MAILBOXES", &u->arena, NULL, unit_state_answered, u);
    buf_addc(b, '(');
    dlist_item_str(b, inbox_of(u));
    buf_addc(b, ')');
    return session_end(s);
}

static const struct replica_mailbox *replica_inbox(const struct unit *u, struct slice name)
{
    for (size_t i = 0; i < u->replica.mailboxes.n; i++)
        if (slice_eq(u->replica.mailboxes.m[i].name, name))
            return &u->replica.mailboxes.m[i];
    return NULL;
}

void identity_found(struct unit *u, bool is_new)
{
    struct identity *identity = arena_alloc(&u->arena, sizeof *identity);
    *identity = (struct identity){ .userid = u->item->userid, .is_new = is_new };
    u->identity = identity;
}

/*
 * Of a user who was deleted a replica still tells subscriptions, seen states and scripts: it finds them by
 * the tombstone of the INBOX. The new INBOX has another uniqueid, and so has the new user nothing of that.
 */
struct err *identity_ask_again(struct unit *u, bool *asked)
{
    struct replica_state *r = &u->replica;
    if (u->item->kind != ITEM_USER || !u->identity || !u->identity->is_new ||
        r->subscriptions.n + r->seen.n + r->scripts.n == 0)
        return NULL;
    *asked = true;
    r->subscriptions.n = r->seen.n = r->scripts.n = 0;
    dlist_write_str(session_begin(u->engine->session, "GET META", &u->arena, NULL, unit_state_answered, u), u->item->userid);
    return session_end(u->engine->session);
}

/* An administrator has subscriptions without an INBOX: then there must be none on the replica either. */
void identity_find(struct unit *u)
{
    struct slice inbox = inbox_of(u);
    const struct replica_mailbox *r = replica_inbox(u, inbox);
    struct mbentry e;
    bool found;
    struct err *err = store_lookup(u->engine->o.store, &u->arena, inbox, &e, &found);
    if (!err && found && !mbentry_is_live(&e)) {
        u->absent = true; /* deleted or renamed, which has records of its own; or on another server */
        return;
    }
    if (!err && found && (!r || replica_is_intermediate(r)))
        err = err_new(ERR_MOVED, "the replica has no INBOX of " SLICE_FMT ": he has to be replicated first (-u " SLICE_FMT ")",
                      SLICE_ARG(u->item->userid), SLICE_ARG(u->item->userid));
    if (!err && r && !replica_is_intermediate(r) && !(found && slice_eq(e.uniqueid, r->uniqueid)))
        err = err_new(ERR_MOVED, "the replica's user " SLICE_FMT " is another one than here (uniqueid of the INBOX "
                      SLICE_FMT ", here " SLICE_FMT "): nothing of that user is changed", SLICE_ARG(u->item->userid),
                      SLICE_ARG(r->uniqueid), SLICE_ARG(found ? e.uniqueid : slice_str("none")));
    if (err)
        unit_fail(u, err);
    else
        identity_found(u, false);
}

/* ---- mailboxes that are named alone ---- */

/* The INBOX of the tree that mailbox i has to be made in or renamed into; empty: there is none to ask for. */
static struct slice tree_of(struct unit *u, const struct folder_matches *f, size_t i)
{
    const struct namespace_options *names = store_names(u->engine->o.store);
    const struct slice none = { NULL, 0 };
    struct slice name = u->entries.e[i].name;
    struct mbname m = names_from_internal(&u->arena, names, name);
    bool stays = f->match[i].r && !f->match[i].renamed;
    if (stays || m.localpart.n == 0 || m.deleted_time || m.nboxes == 0)
        return none;
    return names_inbox(&u->arena, names, names_userid_of_internal(&u->arena, names, name));
}

/* An INBOX that is among the unit's mailboxes is made or renamed with them, if it can be. */
static bool is_of_unit(struct unit *u, const struct folder_matches *f, struct slice inbox, const char **astray)
{
    size_t i = 0;
    while (i < f->n && !slice_eq(u->entries.e[i].name, inbox))
        i++;
    const struct folder_match *m = i < f->n ? &f->match[i] : NULL;
    bool is_there = m && m->r && !m->renamed;
    if (m && !is_there && (unit_keeps_name(u, m) || map_get(&u->refused, u->entries.e[i].uniqueid)))
        *astray = "the INBOX that the replica has there is another one's";
    return m != NULL;
}

static void tree_answered(void *ctx, const struct answer *a)
{
    struct tree *t = ctx;
    struct err *err = a->err && a->err->kind != ERR_NONEXISTENT ? err_copy(a->err) : NULL;
    for (size_t i = 0; i < a->nlines && !a->err && !err; i++)
        if (slice_caseeqs(a->lines[i]->key, "MAILBOX"))
            err = state_read_mailbox(&t->unit->arena, a->lines[i], &t->inbox);
    if (err)
        unit_fail(t->unit, err);
}

struct err *identity_ask_trees(struct unit *u)
{
    struct session *s = u->engine->session;
    for (size_t i = 0; i < u->ntrees; i++) {
        struct tree *t = arena_alloc(&u->arena, sizeof *t);
        *t = (struct tree){ .unit = u };
        map_put(&u->asked_trees, u->trees[i], t);
        struct buf *b = session_begin(s, "GET MAILBOXES", &u->arena, NULL, tree_answered, t);
        buf_addc(b, '(');
        dlist_item_str(b, u->trees[i]);
        buf_addc(b, ')');
        TRY(session_end(s));
    }
    return NULL;
}

/* Why the tree is not its owner's on the replica; NULL: it is. */
static const char *strangeness(struct unit *u, struct slice inbox, const struct tree *t)
{
    struct slice owner = names_userid_of_internal(&u->arena, store_names(u->engine->o.store), inbox);
    struct mbentry e;
    bool found;
    struct err *err = store_lookup(u->engine->o.store, &u->arena, inbox, &e, &found);
    if (err) {
        unit_fail(u, err);
        return "the list could not be read";
    }
    if (!found || !mbentry_is_live(&e)) {
        bool refuses = !(session_capabilities(u->engine->session) & CAP_BEFORE_3_6) && t->inbox.uniqueid.n == 0;
        return refuses ? arena_printf(&u->arena, "user " SLICE_FMT " has no INBOX, here or there: a replica makes no folder for "
                                      "him, it is to be deleted here", SLICE_ARG(owner)).p : NULL;
    }
    if (t->inbox.uniqueid.n == 0)
        return arena_printf(&u->arena, "user " SLICE_FMT " has no INBOX on the replica: he has to be replicated first (-u "
                            SLICE_FMT ")", SLICE_ARG(owner), SLICE_ARG(owner)).p;
    if (slice_eq(t->inbox.uniqueid, e.uniqueid))
        return NULL;
    return arena_printf(&u->arena, "the replica's user " SLICE_FMT " is another one than here (uniqueid of the INBOX "
                        SLICE_FMT ", here " SLICE_FMT "): nothing is made in his tree until he is replicated (-u " SLICE_FMT ")",
                        SLICE_ARG(owner), SLICE_ARG(t->inbox.uniqueid), SLICE_ARG(e.uniqueid), SLICE_ARG(owner)).p;
}

static bool is_among(const struct unit *u, struct slice inbox)
{
    for (size_t i = 0; i < u->ntrees; i++)
        if (slice_eq(u->trees[i], inbox))
            return true;
    return false;
}

bool identity_seeks_tree(struct unit *u, struct slice inbox)
{
    if (map_get(&u->asked_trees, inbox))
        return false;
    if (!is_among(u, inbox)) {
        u->trees = arena_grow(&u->arena, u->trees, u->ntrees, &u->trees_cap, sizeof *u->trees);
        u->trees[u->ntrees++] = inbox;
    }
    return true;
}

bool identity_of_tree(struct unit *u, struct slice inbox)
{
    const struct tree *t = map_get(&u->asked_trees, inbox);
    return t && t->inbox.uniqueid.n && !strangeness(u, inbox, t);
}

bool identity_lacks_tree(struct unit *u, struct slice inbox)
{
    const struct tree *t = map_get(&u->asked_trees, inbox);
    return t && t->inbox.name.n == 0;
}

bool identity_seeks_trees(struct unit *u, const struct folder_matches *f)
{
    if (u->item->kind != ITEM_MAILBOXES)
        return false;
    u->astray = arena_array(&u->arena, f->n, sizeof *u->astray);
    for (size_t i = 0; i < f->n; i++) {
        struct slice inbox = tree_of(u, f, i);
        const struct tree *t = inbox.n ? map_get(&u->asked_trees, inbox) : NULL;
        if (t)
            u->astray[i] = strangeness(u, inbox, t);
        else if (inbox.n && !is_of_unit(u, f, inbox, &u->astray[i]))
            identity_seeks_tree(u, inbox);
    }
    return u->ntrees > 0;
}
