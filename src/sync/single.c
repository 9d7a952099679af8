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

static bool is_deleted_copy(struct unit *u, const struct replica_mailbox *r)
{
    return names_from_internal(&u->arena, store_names(u->engine->o.store), r->name).deleted_time != 0;
}

/*
 * UNUSER deletes whatever the replica has under the user's name. A mailbox that lives here under
 * another name, because it was renamed or the user was, is not his any more: it has to be moved first.
 * *lives: a folder that Cyrus has left behind when it deleted the user: it lives here, so it has to live there; or NULL.
 */
static struct err *find_living(struct unit *u, const struct replica_mailbox **lives)
{
    *lives = NULL;
    const struct replica_mailbox_list *l = &u->replica.mailboxes;
    for (size_t i = 0; i < l->n; i++) {
        const struct replica_mailbox *r = &l->m[i];
        struct fate fate;
        TRY(fate_of(u, r, &fate));
        if (fate.kind != FATE_HERE)
            continue;
        if (!slice_eq(fate.here.name, r->name))
            return err_new(ERR_MOVED, "user " SLICE_FMT " is not deleted there: the replica's " SLICE_FMT
                           " is " SLICE_FMT " here and has to be renamed first", SLICE_ARG(u->item->userid),
                           SLICE_ARG(r->name), SLICE_ARG(fate.here.name));
        if (!is_deleted_copy(u, r))
            *lives = r;
    }
    return NULL;
}

/* Besides copies in the deleted tree. */
static bool has_mailbox(struct unit *u)
{
    const struct replica_mailbox_list *l = &u->replica.mailboxes;
    for (size_t i = 0; i < l->n; i++)
        if (!is_deleted_copy(u, &l->m[i]))
            return true;
    return false;
}

/* Before 3.6 UNUSER takes the copies in the deleted tree, too, which only a record of it is reason enough for. */
static bool takes_too_much(const struct unit *u)
{
    return u->item->keep_copies && (session_capabilities(u->engine->session) & CAP_BEFORE_3_6);
}

/*
 * A replica finds subscriptions and the like by a tombstone of the INBOX. If that was renamed, they are those of the user
 * who has it now, whether the replica tells them or not. Before 3.6 they went by the user's name, and stay under it.
 */
static struct err *settings_are_anothers(struct unit *u, struct slice inbox, bool *out)
{
    struct name_list now = { NULL, 0, 0 };
    *out = false;
    if (session_capabilities(u->engine->session) & CAP_BEFORE_3_6)
        return NULL;
    TRY(store_present_names(u->engine->o.store, &u->arena, inbox, &now));
    *out = now.n > 0;
    return NULL;
}

enum removal { REMOVE_ALL, REMOVE_SETTINGS, REMOVE_NOTHING };

static struct err *plan_removal(struct unit *u, struct slice inbox, enum removal *out)
{
    const struct replica_mailbox *lives;
    bool anothers;
    TRY(find_living(u, &lives));
    TRY(settings_are_anothers(u, inbox, &anothers));
    if (lives)
        log_msg(LOG_NOTICE, "SYNCNOTICE: a folder of a deleted user lives on: mailbox=<" SLICE_FMT "> userid=<" SLICE_FMT ">",
                SLICE_ARG(lives->name), SLICE_ARG(u->item->userid));
    if (anothers && (lives || !has_mailbox(u)))
        *out = REMOVE_NOTHING;
    else
        *out = lives || takes_too_much(u) ? REMOVE_SETTINGS : REMOVE_ALL;
    return NULL;
}

static struct err *send_removal(struct unit *u, struct slice inbox, enum removal what)
{
    if (what == REMOVE_NOTHING)
        return NULL;
    if (what == REMOVE_SETTINGS)
        return meta_drop_settings(u, &(const struct identity){ .userid = u->item->userid, .is_gone = true });
    if (u->engine->o.cache)
        cache_drop_tree(&u->engine->remembered, inbox);
    return send_name(u, "APPLY UNUSER", "APPLY LOCAL_UNUSER", u->item->userid);
}

static struct err *send_unuser(struct unit *u)
{
    struct mbentry here;
    bool found;
    struct slice userid = u->item->userid;
    enum removal what = REMOVE_NOTHING;
    if (userid.n == 0) {
        log_msg(LOG_WARNING, "ignoring attempt to do_unuser() without userid");
        return NULL;
    }
    struct slice inbox = names_inbox(&u->arena, store_names(u->engine->o.store), userid);
    struct err *err = store_lookup(u->engine->o.store, &u->arena, inbox, &here, &found);
    if (!err && found && !mbentry_is_gone(&here))
        err = err_new(ERR_BUSY, "user " SLICE_FMT " has been made again", SLICE_ARG(userid));
    if (!err)
        err = plan_removal(u, inbox, &what);
    if (!err)
        return send_removal(u, inbox, what);
    unit_fail(u, err);
    return NULL;
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
