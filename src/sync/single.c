/*
 * Items that are one object: what a record of a sync log names besides users and mailboxes
 * (spec/algorithm.md §8, §9). A record only says that something changed; what is sent
 * follows from the state here, now. They go out in the phase of metadata, in their order.
 */
#include "sync/unit.h"

#include <stdlib.h>

#include "fansync/log.h"
#include "sync/fate.h"

bool item_is_single(const struct engine_item *item)
{
    return item->kind != ITEM_USER && item->kind != ITEM_MAILBOXES && item->kind != ITEM_META;
}

/* ---- questions ---- */

struct err *single_ask(struct unit *u)
{
    struct session *s = u->engine->session;
    switch (u->item->kind) {
    case ITEM_SUB:
    case ITEM_SEEN:
        return identity_ask(u);
    case ITEM_UNUSER:
        dlist_write_str(session_begin(s, "GET USER", &u->arena, NULL, unit_state_answered, u), u->item->userid);
        return session_end(s);
    case ITEM_ANNOTATIONS:
        dlist_write_str(session_begin(s, "GET ANNOTATION", &u->arena, NULL, unit_state_answered, u), slice_of("", 0));
        return session_end(s);
    default: /* a quota is sent without a question */
        u->asked = true;
        return NULL;
    }
}

/* ---- the server's annotations (§8.6) ---- */

static struct err *send_annotation(struct unit *u, const char *verb, const struct annotation *an, bool value)
{
    struct session *s = u->engine->session;
    log_progress("%s " SLICE_FMT, verb + 6, SLICE_ARG(an->entry));
    struct buf *b = session_begin(s, verb, NULL, NULL, unit_change_answered, u);
    buf_adds(b, "%(");
    dlist_put_str(b, "MBOXNAME", slice_of("", 0));
    dlist_put_str(b, "ENTRY", an->entry);
    dlist_put_str(b, "USERID", an->userid);
    if (value)
        dlist_put_str(b, "VALUE", an->value);
    buf_addc(b, ')');
    return session_end(s);
}

static int compare(const void *a, const void *b)
{
    const struct annotation *x = a, *y = b;
    int c = slice_cmp(x->entry, y->entry);
    return c ? c : slice_cmp(x->userid, y->userid);
}

static struct err *send_annotations(struct unit *u)
{
    struct annotation_list here, *there = &u->replica.annotations;
    struct err *err = store_server_annotations(u->engine->o.store, &u->arena, &here);
    if (err) {
        unit_fail(u, err);
        return NULL;
    }
    if (there->n > 1)
        qsort(there->a, there->n, sizeof *there->a, compare);
    size_t i = 0, j = 0;
    while (i < here.n || j < there->n) {
        int c = i == here.n ? 1 : j == there->n ? -1 : compare(&here.a[i], &there->a[j]);
        if (c > 0)
            TRY(send_annotation(u, "APPLY UNANNOTATION", &there->a[j++], false));
        else if (c < 0 || !slice_eq(here.a[i].value, there->a[j].value))
            TRY(send_annotation(u, "APPLY ANNOTATION", &here.a[i], true));
        i += c <= 0;
        j += c == 0;
    }
    return NULL;
}

/* ---- subscriptions, seen states ---- */

static struct err *send_subscription(struct unit *u)
{
    struct subscription_list l = { NULL, 0 };
    struct err *err = store_subscriptions(u->engine->o.store, &u->arena, u->item->userid, &l);
    if (err) {
        unit_fail(u, err);
        return NULL;
    }
    bool subscribed = false;
    for (size_t i = 0; i < l.n; i++)
        subscribed |= slice_eq(l.name[i], u->item->object);
    return meta_subscription(u, u->identity, u->item->object, subscribed);
}

/* A uniqueid that the database does not know is left alone: an empty state would wipe the
 * replica's. */
static struct err *send_seen(struct unit *u)
{
    struct seen_list l = { NULL, 0 };
    struct err *err = store_seen(u->engine->o.store, &u->arena, u->item->userid, &l);
    if (err) {
        unit_fail(u, err);
        return NULL;
    }
    for (size_t i = 0; i < l.n; i++)
        if (slice_eq(l.row[i].uniqueid, u->item->object))
            return meta_seen(u, u->identity, &l.row[i]);
    return NULL;
}

/* ---- deletions (§2.3) ---- */

static struct err *send_name(struct unit *u, const char *verb, const char *local, struct slice name)
{
    struct session *s = u->engine->session;
    if (u->engine->o.local_only)
        verb = local;
    log_progress("%s " SLICE_FMT, verb + 6, SLICE_ARG(name));
    dlist_write_str(session_begin(s, verb, NULL, NULL, unit_change_answered, u), name);
    return session_end(s);
}

/* *here: the entry of that name, if there is one. */
static bool look_up(struct unit *u, struct slice name, struct mbentry *here, bool *found)
{
    struct err *err = store_lookup(u->engine->o.store, &u->arena, name, here, found);
    if (err)
        unit_fail(u, err);
    return !err;
}

/*
 * UNUSER deletes whatever the replica has under the user's name. A mailbox that lives here under
 * another name, because it was renamed or the user was, is not his any more: it has to be moved first.
 */
static bool has_mailbox_of_others(struct unit *u)
{
    const struct replica_mailbox_list *l = &u->replica.mailboxes;
    for (size_t i = 0; i < l->n; i++) {
        struct fate fate;
        struct err *err = fate_of(u, &l->m[i], &fate);
        if (!err && fate.kind == FATE_HERE && !slice_eq(fate.here.name, l->m[i].name))
            err = err_new(ERR_MOVED, "user " SLICE_FMT " is not deleted there: the replica's " SLICE_FMT
                          " is " SLICE_FMT " here and has to be renamed first", SLICE_ARG(u->item->userid),
                          SLICE_ARG(l->m[i].name), SLICE_ARG(fate.here.name));
        if (err) {
            unit_fail(u, err);
            return true;
        }
    }
    return false;
}

/* Besides copies in the deleted tree. */
static bool has_mailbox(struct unit *u)
{
    const struct replica_mailbox_list *l = &u->replica.mailboxes;
    for (size_t i = 0; i < l->n; i++)
        if (names_from_internal(&u->arena, store_names(u->engine->o.store), l->m[i].name).deleted_time == 0)
            return true;
    return false;
}

/*
 * The replica has no mailbox of the user's any more, but tells subscriptions and the like: it finds them by a tombstone
 * of the INBOX. If that was renamed, they are those of the user who has it now, and UNUSER would delete them.
 */
static bool has_settings_of_another(struct unit *u, struct slice inbox)
{
    const struct replica_state *r = &u->replica;
    bool moved_on = false;
    if (has_mailbox(u) || r->subscriptions.n + r->seen.n + r->scripts.n == 0)
        return false;
    struct err *err = store_name_moved_on(u->engine->o.store, inbox, &moved_on);
    if (err)
        unit_fail(u, err);
    return err || moved_on;
}

static struct err *send_unuser(struct unit *u)
{
    struct mbentry here;
    bool found;
    struct slice userid = u->item->userid;
    if (userid.n == 0) {
        log_msg(LOG_WARNING, "ignoring attempt to do_unuser() without userid");
        return NULL;
    }
    struct slice inbox = names_inbox(&u->arena, store_names(u->engine->o.store), userid);
    if (!look_up(u, inbox, &here, &found))
        return NULL;
    if (found && !mbentry_is_gone(&here)) {
        unit_fail(u, err_new(ERR_BUSY, "user " SLICE_FMT " has been made again", SLICE_ARG(userid)));
        return NULL;
    }
    if (has_mailbox_of_others(u) || has_settings_of_another(u, inbox))
        return NULL;
    if (u->engine->o.cache)
        cache_drop_tree(&u->engine->remembered, inbox);
    return send_name(u, "APPLY UNUSER", "APPLY LOCAL_UNUSER", userid);
}

struct err *single_send(struct unit *u)
{
    switch (u->item->kind) {
    case ITEM_QUOTA:
        return meta_quota(u, u->item->object, true);
    case ITEM_ANNOTATIONS:
        return send_annotations(u);
    case ITEM_SEEN:
        return u->identity ? send_seen(u) : NULL;
    case ITEM_SUB:
        return u->identity ? send_subscription(u) : NULL;
    case ITEM_UNUSER:
        return send_unuser(u);
    case ITEM_USER:
    case ITEM_MAILBOXES:
    case ITEM_META:
        break;
    }
    return NULL;
}
