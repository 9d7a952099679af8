/*
 * The one-shot modes (cli/modes.h). Every mode tries all of its items; a failure is told
 * in the stock client's words, which operators match on, and shows in the exit status.
 */
#include "cli/modes.h"

#include <stdio.h>

#include "fansync/log.h"
#include "fansync/map.h"
#include "fansync/userid.h"

/* How the items of a run ended. */
struct outcome {
    struct run *run;
    const char *what; /* the function name that the stock client's messages carry */
    bool all_users;   /* -A: a locked user is skipped, no error */
    bool failed;
};

static void say_failed(const struct outcome *o, struct slice name)
{
    log_msg(LOG_ERR, "Error in %s(" SLICE_FMT "): bailing out!", o->what, SLICE_ARG(name));
    if (o->run->verbose)
        log_stderr("Error from %s(" SLICE_FMT "): bailing out!", o->what, SLICE_ARG(name));
}

static void say_skipped(const struct outcome *o, const struct engine_item *item, struct slice name)
{
    const char *kind = item->kind == ITEM_MAILBOXES ? "mailbox" : "user";
    log_msg(LOG_INFO, "Skipping locked %s " SLICE_FMT, kind, SLICE_ARG(name));
    if (o->run->verbose)
        log_stderr("Skipping locked %s " SLICE_FMT, kind, SLICE_ARG(name));
}

static void item_done(void *ctx, const struct engine_item *item, const struct err *err)
{
    struct outcome *o = ctx;
    struct slice name = item->userid;
    if (!err)
        return;
    if (item->kind == ITEM_MAILBOXES)
        name = o->all_users ? item->names[0] : slice_of("", 0);
    if (o->all_users && (err->kind == ERR_SKIPPED || (o->run->skip_locked && err->kind == ERR_LOCKED))) {
        say_skipped(o, item, name);
        return;
    }
    o->failed = true;
    say_failed(o, name);
}

static struct err *run_items(struct run *r, const struct engine_item *items, size_t n, struct outcome *o,
                             bool *failed)
{
    o->run = r;
    struct err *err = engine_run(r->engine, items, n, item_done, o);
    *failed |= o->failed;
    return err;
}

/* A name that cannot be one is an error of its own, the others are done (B.9). */
static void say_impossible(struct run *r, struct slice name, struct err *err, bool *failed)
{
    log_msg(LOG_ERR, "SYNCERROR: " SLICE_FMT ": %s", SLICE_ARG(name), err->msg);
    if (r->verbose)
        log_stderr(SLICE_FMT ": %s", SLICE_ARG(name), err->msg);
    err_free(err);
    r->impossible++;
    *failed = true;
}

/* Whoever is named twice, whatever the spelling, is synced once. */
static struct err *run_users(struct run *r, enum engine_item_kind kind, const char *what,
                             const struct slice *users, size_t n, bool *failed)
{
    struct arena a = ARENA_INIT;
    struct map known = MAP_INIT;
    struct engine_item *items = arena_array(&a, n, sizeof *items);
    size_t nitems = 0;
    for (size_t i = 0; i < n; i++) {
        struct slice user = userid_plain(&a, users[i]);
        if (!userid_is_possible(user))
            say_impossible(r, users[i], err_new(ERR_CONFIG, "no user can be called so"), failed);
        else if (map_put(&known, user, items))
            items[nitems++] = (struct engine_item){ .kind = kind, .userid = user };
    }
    struct err *err = run_items(r, items, nitems, &(struct outcome){ .what = what }, failed);
    map_free(&known);
    arena_free(&a);
    return err;
}

struct err *mode_users(struct run *r, const struct slice *users, size_t n, bool *failed)
{
    return run_users(r, ITEM_USER, "sync_do_user", users, n, failed);
}

struct err *mode_meta(struct run *r, const struct slice *users, size_t n, bool *failed)
{
    return run_users(r, ITEM_META, "sync_do_meta", users, n, failed);
}

struct err *mode_mailboxes(struct run *r, const struct slice *names, size_t n, bool *failed)
{
    struct arena a = ARENA_INIT;
    struct map known = MAP_INIT;
    struct slice *internal = arena_array(&a, n, sizeof *internal);
    struct engine_item item = { .kind = ITEM_MAILBOXES, .names = internal };
    for (size_t i = 0; i < n; i++) {
        struct err *err = names_from_external(&a, store_names(r->store), names[i], &internal[item.nnames]);
        if (err)
            say_impossible(r, names[i], err, failed);
        else if (map_put(&known, internal[item.nnames], r))
            item.nnames++;
    }
    struct err *err = run_items(r, &item, 1, &(struct outcome){ .what = "sync_do_mailboxes" }, failed);
    map_free(&known);
    arena_free(&a);
    return err;
}

/* ---- -A ---- */

/* What a user has in the deleted tree. */
struct copies {
    struct slice *name;
    size_t n, cap;
};

struct collector {
    struct run *run;
    struct arena arena;
    struct map users;   /* those who are here */
    struct map deleted; /* owner -> struct copies */
    struct engine_item *items;
    size_t n, cap;
};

static struct engine_item *add_item(struct collector *c)
{
    c->items = arena_grow(&c->arena, c->items, c->n, &c->cap, sizeof *c->items);
    return &c->items[c->n++];
}

static void collect_copy(struct collector *c, struct slice user, struct slice name)
{
    struct copies *of = map_get(&c->deleted, user);
    if (!of) {
        of = arena_alloc(&c->arena, sizeof *of);
        map_put(&c->deleted, user, of);
    }
    of->name = arena_grow(&c->arena, of->name, of->n, &of->cap, sizeof *of->name);
    of->name[of->n++] = name;
}

/* Users once each, shared mailboxes one by one. Deleted mailboxes go with their user. */
static void collect(struct collector *c, const struct mbentry *e)
{
    if (!mbentry_is_live(e))
        return;
    struct mbname parts = names_from_internal(&c->arena, store_names(c->run->store), e->name);
    if (parts.localpart.n == 0) {
        struct slice *name = arena_alloc(&c->arena, sizeof *name);
        *name = e->name;
        *add_item(c) = (struct engine_item){ .kind = ITEM_MAILBOXES, .names = name, .nnames = 1 };
        return;
    }
    struct slice user = names_userid(&c->arena, &parts);
    if (parts.deleted_time != 0)
        collect_copy(c, user, e->name);
    else if (map_put(&c->users, user, c))
        *add_item(c) = (struct engine_item){ .kind = ITEM_USER, .userid = user };
}

/*
 * Of a user who is not here any more, the list tells what was deleted as long as it has the copies. If the replica still has
 * one of them under its old name, it goes where it is here. What it has not, or has expired, is not made.
 */
static void add_copies(void *ctx, struct slice user, void *value)
{
    struct collector *c = ctx;
    const struct copies *of = value;
    if (!map_get(&c->users, user))
        *add_item(c) = (struct engine_item){ .kind = ITEM_MAILBOXES, .names = of->name, .nnames = of->n, .if_there = true };
}

struct err *mode_all(struct run *r, struct slice prefix, bool *failed)
{
    struct collector c = { .run = r, .arena = ARENA_INIT, .users = MAP_INIT, .deleted = MAP_INIT };
    struct mbentry_list list = { NULL, 0, 0 };
    struct err *err = store_all_mailboxes(r->store, &c.arena, prefix, &list);
    for (size_t i = 0; !err && i < list.n; i++)
        collect(&c, &list.e[i]);
    map_each(&c.deleted, add_copies, &c);
    if (!err)
        err = run_items(r, c.items, c.n, &(struct outcome){ .what = "do_user", .all_users = true }, failed);
    map_free(&c.users);
    map_free(&c.deleted);
    arena_free(&c.arena);
    return err;
}
