/*
 * Phase 1: what does the replica hold? One GET a unit, all of a window written before the
 * first answer is read (spec/algorithm.md §1.2, §1.3).
 */
#include "sync/unit.h"

#include "fansync/log.h"
#include "sync/fate.h"
#include "sync/state.h"

static struct err *learn(struct unit *u, const struct answer *a)
{
    if (!a->err)
        return err_wrap(state_add_lines(&u->arena, &u->replica, a->lines, a->nlines), "%s",
                        session_peer(u->engine->session));
    if (a->err->kind == ERR_NONEXISTENT)
        return NULL; /* nothing there yet */
    return engine_is_denied(u->engine, a->err) ? engine_denied(u->engine) : err_copy(a->err);
}

void unit_state_answered(void *ctx, const struct answer *a)
{
    struct unit *u = ctx;
    struct err *err = learn(u, a);
    if (err)
        unit_fail(u, err);
    else
        u->asked = true;
}

/* Takes what the cache knows of the names; the others are left to be asked. */
static struct slice *names_to_ask(struct unit *u, size_t *n)
{
    const struct engine_item *item = u->item;
    struct replica_mailbox_list *l = &u->replica.mailboxes;
    struct cache *cache = u->engine->o.cache;
    struct slice *names = arena_array(&u->arena, item->nnames, sizeof *names);
    *n = 0;
    for (size_t i = 0; i < item->nnames; i++) {
        l->m = arena_grow(&u->arena, l->m, l->n, &l->cap, sizeof *l->m);
        struct replica_mailbox *m = &l->m[l->n];
        struct slice moved_to; /* what is to be deleted is not taken from memory */
        if (cache && !u->fresh && u->attempt == 0 && !fate_is_told(u, item->names[i], &moved_to) && cache_get(cache, &u->arena, item->names[i], m) &&
            slice_eq(m->name, item->names[i])) {
            m->remembered = true;
            l->n++;
        } else {
            names[(*n)++] = item->names[i];
        }
    }
    return names;
}

static struct err *ask_mailboxes(struct unit *u)
{
    struct session *s = u->engine->session;
    size_t n;
    struct slice *names = names_to_ask(u, &n);
    if (n == 0) {
        u->asked = true;
        return NULL;
    }
    struct buf *b = session_begin(s, "GET MAILBOXES", &u->arena, NULL, unit_state_answered, u);
    buf_addc(b, '(');
    for (size_t i = 0; i < n; i++)
        dlist_item_str(b, names[i]);
    buf_addc(b, ')');
    return session_end(s);
}

/* Under a former name there may be another mailbox by now, which is nobody's business here. */
static void former_answered(void *ctx, const struct answer *a)
{
    struct unit *u = ctx;
    struct replica_mailbox_list *l = &u->replica.mailboxes;
    if (a->err && a->err->kind != ERR_NONEXISTENT)
        unit_fail(u, err_copy(a->err));
    for (size_t i = 0; i < a->nlines && !a->err; i++) {
        struct replica_mailbox m = { 0 };
        struct err *err = slice_caseeqs(a->lines[i]->key, "MAILBOX") ? state_read_mailbox(&u->arena, a->lines[i], &m) : NULL;
        if (err) {
            unit_fail(u, err_wrap(err, "%s", session_peer(u->engine->session)));
            return;
        }
        if (m.uniqueid.n == 0 || !map_get(&u->asked_ids, m.uniqueid))
            continue;
        l->m = arena_grow(&u->arena, l->m, l->n, &l->cap, sizeof *l->m);
        l->m[l->n++] = m;
    }
}

static struct err *ask_former(struct unit *u)
{
    struct session *s = u->engine->session;
    struct buf *b = session_begin(s, "GET MAILBOXES", &u->arena, NULL, former_answered, u);
    buf_addc(b, '(');
    for (size_t i = 0; i < u->former.n; i++)
        dlist_item_str(b, u->former.name[i]);
    buf_addc(b, ')');
    return session_end(s);
}

struct err *unit_ask_ids(struct unit *u)
{
    struct session *s = u->engine->session;
    if (u->former.n)
        return ask_former(u);
    struct buf *b = session_begin(s, "GET UNIQUEIDS", &u->arena, NULL, unit_state_answered, u);
    buf_addc(b, '(');
    for (size_t i = 0; i < u->nsought; i++) {
        map_put(&u->asked_ids, u->sought[i], u);
        dlist_item_str(b, u->sought[i]);
    }
    buf_addc(b, ')');
    return session_end(s);
}

static void say_mailboxes(const struct engine_item *item)
{
    struct buf line = BUF_INIT;
    for (size_t i = 0; i < item->nnames; i++)
        buf_printf(&line, " " SLICE_FMT, SLICE_ARG(item->names[i]));
    log_progress("MAILBOXES%s", buf_cstr(&line));
    buf_free(&line);
}

static void announce(struct unit *u)
{
    const struct engine_item *item = u->item;
    if (u->attempt > 0 || u->announced)
        return;
    u->announced = true;
    if (item->kind == ITEM_MAILBOXES)
        say_mailboxes(item);
    else
        log_progress("%s " SLICE_FMT, item->kind == ITEM_USER ? "USER" : "META", SLICE_ARG(item->userid));
}

/* The usual length of an answer is enough for all but a few users, so it is the second try that counts. */
static void allow_mailboxes(struct unit *u)
{
    enum { MAILBOX_BYTES = 2048 };
    struct arena a = ARENA_INIT;
    struct mbentry_list list = { 0 };
    struct err *damaged = NULL;
    if (u->attempt == 0)
        return;
    err_free(store_user_mailboxes(u->engine->o.store, &a, u->item->userid, &list, &damaged)); /* told by the plan */
    err_free(damaged);
    session_allow(u->engine->session, (uint64_t)list.n * MAILBOX_BYTES);
    arena_free(&a);
}

struct err *unit_ask(struct unit *u)
{
    struct session *s = u->engine->session;
    const struct engine_item *item = u->item;
    if (item_is_single(item))
        return single_ask(u);
    if (item->kind == ITEM_MAILBOXES && item->nnames == 0) {
        u->asked = true;
        return NULL;
    }
    announce(u);
    if (item->kind == ITEM_MAILBOXES)
        return ask_mailboxes(u);
    const char *verb = item->kind == ITEM_USER ? "GET USER" : "GET META";
    dlist_write_str(session_begin(s, verb, &u->arena, NULL, unit_state_answered, u), item->userid);
    allow_mailboxes(u);
    TRY(session_end(s));
    return item->kind == ITEM_META ? identity_ask(u) : NULL;
}
