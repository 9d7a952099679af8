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

static void answered(void *ctx, const struct answer *a)
{
    struct unit *u = ctx;
    struct err *err = a->err ? err_copy(a->err) : NULL;
    for (size_t i = 0; i < a->nlines && !err; i++)
        err = state_add_line(&u->arena, &u->replica, a->lines[i]);
    if (err) {
        unit_fail(u, err);
        u->asked = false;
    }
}

struct err *identity_ask(struct unit *u)
{
    struct session *s = u->engine->session;
    struct buf *b = session_begin(s, "GET MAILBOXES", &u->arena, NULL, answered, u);
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

void identity_found(struct unit *u)
{
    struct identity *identity = arena_alloc(&u->arena, sizeof *identity);
    *identity = (struct identity){ u->item->userid };
    u->identity = identity;
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
    if (!err && r && !replica_is_intermediate(r) && !(found && slice_eq(e.uniqueid, r->uniqueid)))
        err = err_new(ERR_MOVED, "the replica's user " SLICE_FMT " is another one than here (uniqueid of the INBOX "
                      SLICE_FMT ", here " SLICE_FMT "): nothing of that user is changed", SLICE_ARG(u->item->userid),
                      SLICE_ARG(r->uniqueid), SLICE_ARG(found ? e.uniqueid : slice_str("none")));
    if (err)
        unit_fail(u, err);
    else
        identity_found(u);
}
