/*
 * The life of one unit of work: its locks, its errors, its end (sync/unit.h).
 */
#include "sync/unit.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

bool error_may_pass(enum err_kind kind)
{
    switch (kind) {
    case ERR_BUSY:
    case ERR_CHECKSUM:
    case ERR_CHANGED:
    case ERR_PROTOCOL:
    case ERR_BYE:
    case ERR_CONNECT:
        return true;
    default:
        return false;
    }
}

static void note_error(struct unit *u, struct err *err)
{
    u->retry |= error_may_pass(err->kind);
    if (u->err)
        err_free(err); /* the first one is told; the others often follow from it */
    else
        u->err = err;
}

void unit_fail(struct unit *u, struct err *err)
{
    u->broken = true;
    note_error(u, err);
}

void allow_records(const struct work *w)
{
    enum { RECORD_BYTES = 1024 }; /* on the wire, annotations included */
    session_allow(w->unit->engine->session, w->m ? (uint64_t)w->m->num_records * RECORD_BYTES : 0);
}

void work_fail(struct work *w, struct err *err)
{
    if (w->state == WORK_FAILED) {
        err_free(err);
        return;
    }
    w->state = WORK_FAILED;
    w->err = err;
    note_error(w->unit, err_wrap(err_copy(err), SLICE_FMT, SLICE_ARG(w->entry->name)));
}

static int compare_slices(const void *x, const void *y)
{
    return slice_cmp(*(const struct slice *)x, *(const struct slice *)y);
}

static size_t owners_of_names(struct unit *u, struct slice *all)
{
    const struct engine_item *item = u->item;
    for (size_t i = 0; i < item->nnames; i++)
        all[i] = names_userid_of_internal(&u->arena, store_names(u->engine->o.store), item->names[i]);
    if (item->nnames)
        qsort(all, item->nnames, sizeof *all, compare_slices);
    size_t n = 0;
    for (size_t i = 0; i < item->nnames; i++)
        if (n == 0 || !slice_eq(all[n - 1], all[i]))
            all[n++] = all[i];
    return n;
}

/* Whose sync locks a unit needs, sorted: the order in which every client takes them. The
 * same items take one as in the stock client (spec/operation.md §3.5). */
static size_t owners(struct unit *u, struct slice **out)
{
    const struct engine_item *item = u->item;
    *out = arena_array(&u->arena, item->nnames + 1, sizeof **out);
    switch (item->kind) {
    case ITEM_USER:
    case ITEM_SEEN:
    case ITEM_ANNOTATIONS: /* nobody's: the lock of what is shared */
        (*out)[0] = item->userid;
        return 1;
    case ITEM_QUOTA:
        (*out)[0] = names_userid_of_internal(&u->arena, store_names(u->engine->o.store), item->object);
        return 1;
    case ITEM_MAILBOXES:
        return owners_of_names(u, *out);
    case ITEM_META:
    case ITEM_SUB:
    case ITEM_UNUSER:
        break;
    }
    return 0;
}

/* As in Cyrus 3.12 (spec/operation.md §2.10): looked at wherever the lock is taken. */
static struct err *check_skip_file(const struct engine *e, struct slice owner)
{
    struct buf path = BUF_INIT;
    struct err *err = NULL;
    if (e->o.skip_folder && owner.n && !memchr(owner.p, '/', owner.n)) {
        buf_printf(&path, "%s/skipuser-" SLICE_FMT, e->o.skip_folder, SLICE_ARG(owner));
        if (access(buf_cstr(&path), F_OK) == 0)
            err = err_new(ERR_SKIPPED, "%s exists: the user is left alone", buf_cstr(&path));
    }
    buf_free(&path);
    return err;
}

/* A bounded wait at a time, so that a signal is noticed. */
static struct err *lock_one(struct unit *u, struct slice owner, bool wait, struct user_lock **out)
{
    const struct engine *e = u->engine;
    for (;;) {
        struct err *err = store_user_lock(e->o.store, slice_str(e->o.server), owner, false, out);
        if (!err || !wait || err->kind != ERR_LOCKED)
            return err;
        err_free(err);
        if (engine_stopping(e))
            return err_new(ERR_INTERRUPTED, "interrupted while waiting for the sync lock of " SLICE_FMT,
                           SLICE_ARG(owner));
        nanosleep(&(struct timespec){ 0, 50 * 1000 * 1000 }, NULL);
    }
}

/* Once for all units of the window. */
static struct err *lock_owner(struct unit *u, struct slice owner, bool wait)
{
    struct engine *e = u->engine;
    struct user_lock *lock;
    TRY(check_skip_file(e, owner));
    if (map_get(&e->locks, owner))
        return NULL;
    TRY(lock_one(u, owner, wait, &lock));
    map_put(&e->locks, arena_dup(&e->locks_arena, owner), lock);
    return NULL;
}

struct err *unit_lock(struct unit *u, bool wait)
{
    struct slice *who = NULL;
    size_t n = owners(u, &who);
    for (size_t i = 0; i < n; i++)
        TRY(lock_owner(u, who[i], wait));
    return NULL;
}

struct err *unit_lock_owner(struct unit *u, struct slice name)
{
    return lock_owner(u, names_userid_of_internal(&u->arena, store_names(u->engine->o.store), name), false);
}

static void unlock_one(void *ctx, struct slice owner, void *lock)
{
    (void)ctx;
    (void)owner;
    store_user_unlock(lock);
}

void window_unlock(struct engine *e)
{
    map_each(&e->locks, unlock_one, NULL);
    map_free(&e->locks);
    arena_reset(&e->locks_arena);
}

static void free_refusal(void *ctx, struct slice uniqueid, void *err)
{
    (void)ctx;
    (void)uniqueid;
    err_free(err);
}

void unit_free(struct unit *u)
{
    map_each(&u->refused, free_refusal, NULL);
    map_free(&u->refused);
    map_free(&u->asked_ids);
    map_free(&u->asked_trees);
    for (size_t i = 0; i < u->nwork; i++) {
        err_free(u->work[i].err);
        err_free(u->work[i].conflict);
    }
    err_free(u->err);
    arena_free(&u->arena);
    struct unit fresh = {
        .engine = u->engine, .item = u->item, .attempt = u->attempt, .poison = u->poison, .aside = u->aside, .bad_script = u->bad_script, .mismatch = u->mismatch,
        .roots = u->roots, .keep = u->keep,
    };
    *u = fresh;
}

void unit_forget_plan(struct unit *u)
{
    u->whole = NULL;
    u->identity = NULL;
    u->entries = u->intermediates = (struct mbentry_list){ NULL, 0, 0 };
    u->sought = NULL;
    u->former = (struct name_list){ NULL, 0, 0 };
    u->trees = NULL;
    u->trees_cap = 0;
    u->astray = NULL;
    u->work = NULL;
    u->nwork = u->ndoomed = u->nrenames = u->nsought = u->ntrees = 0;
    u->planned = false;
}

void unit_replan(struct unit *u)
{
    unit_forget_plan(u);
    map_free(&u->asked_ids);
    map_free(&u->asked_trees);
    u->replica = (struct replica_state){ 0 };
    u->asked = false;
    u->fresh = true;
}
