/*
 * A window: several units taken through the phases together, each phase one burst of
 * commands and one pass over the answers (invariant 5 of the design). Large mailboxes go
 * in parts: the rounds of upload and apply are repeated until no unit has a part left.
 *
 * Whatever goes wrong with one mailbox or one unit is noted there and the others go on.
 * When the session dies, every unit of the window that is not known to be done is marked
 * for another try.
 */
#include "sync/unit.h"

/* Snapshots of a window hold at most about this many records, a single mailbox aside. */
enum { WINDOW_RECORDS = 200000, FOLDER_PASSES = 8 };

static void lock_all(struct unit *units, size_t n)
{
    bool alone = units[0].attempt > 0;
    for (size_t k = 0; k < n; k++) {
        struct unit *u = &units[k];
        struct err *err = unit_lock(u, alone && !u->engine->o.skip_locked);
        if (!err)
            continue;
        unit_fail(u, err);
        /* A lock that is waited for is waited for alone, without holding others. */
        if (u->err->kind == ERR_LOCKED && !u->engine->o.skip_locked)
            u->retry = true;
    }
}

static bool going(const struct unit *u)
{
    return !u->err && !u->absent && !u->postponed;
}

static void restart_answered(void *ctx, const struct answer *a)
{
    struct engine *e = ctx;
    if (!a->err)
        e->restart_due = false;
}

/* The replica forgets what it has staged: between windows nobody relies on it. */
static struct err *send_restart(struct engine *e)
{
    if (!e->restart_due)
        return NULL;
    engine_forget_staged(e);
    session_begin(e->session, "RESTART", NULL, NULL, restart_answered, e);
    return session_end(e->session);
}

static struct err *ask_all(struct engine *e, struct unit *units, size_t n)
{
    TRY(send_restart(e));
    for (size_t k = 0; k < n; k++)
        if (!units[k].err)
            TRY(unit_ask(&units[k]));
    TRY(session_drain(e->session));
    return e->denied ? engine_denied(e) : NULL;
}

static void plan_all(struct engine *e, struct unit *units, size_t n)
{
    e->window_records = 0;
    for (size_t k = 0; k < n; k++) {
        struct unit *u = &units[k];
        if (u->err)
            continue;
        if (e->window_records > WINDOW_RECORDS)
            u->postponed = true;
        else
            unit_plan(u);
    }
}

static bool has_more(const struct unit *units, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < units[k].nwork; i++)
            if (units[k].work[i].state == WORK_SEND)
                return true;
    return false;
}

/* A last round leaves its answers outstanding: what follows is written behind it. */
static bool last_round(const struct unit *units, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < units[k].nwork; i++)
            if (units[k].work[i].state == WORK_SEND && !units[k].work[i].part.complete)
                return false;
    return true;
}

static struct err *run_rounds(struct engine *e, struct unit *units, size_t n)
{
    while (has_more(units, n)) {
        bool last = last_round(units, n);
        TRY(window_reserve(e, units, n));
        TRY(window_upload(e, units, n));
        for (size_t k = 0; k < n; k++)
            TRY(unit_apply(&units[k]));
        if (last)
            return NULL;
        TRY(session_drain(e->session));
    }
    return NULL;
}

static bool is_unsettled(const struct unit *u)
{
    return going(u) && (u->nsought || u->ntrees || unit_wants_folders(u));
}

static bool any_unsettled(const struct unit *units, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (is_unsettled(&units[k]))
            return true;
    return false;
}

/* What is sought is asked for before anything is renamed: it may have to be renamed too. */
static struct err *settle_unit(struct unit *u)
{
    if (u->nsought)
        return unit_ask_ids(u);
    return u->ntrees ? identity_ask_trees(u) : unit_send_folders(u);
}

static struct err *settle_once(struct engine *e, struct unit *units, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (is_unsettled(&units[k]))
            TRY(settle_unit(&units[k]));
    TRY(session_drain(e->session));
    for (size_t k = 0; k < n; k++) {
        if (!is_unsettled(&units[k]))
            continue;
        if (units[k].nsought || units[k].ntrees) {
            unit_forget_plan(&units[k]);
        } else {
            unit_replan(&units[k]);
            TRY(unit_ask(&units[k]));
        }
    }
    if (session_outstanding(e->session))
        TRY(session_drain(e->session));
    for (size_t k = 0; k < n; k++)
        if (going(&units[k]) && units[k].asked && !units[k].planned)
            unit_plan(&units[k]);
    return NULL;
}

/* Renames and deletions of all units in one burst, then their states anew. What the replica
 * refuses is not tried again, so two passes are the rule, three more ask for mailboxes that are
 * elsewhere and for the trees of those that are new, and another two settle what moves between names and
 * partitions. */
static struct err *settle_folders(struct engine *e, struct unit *units, size_t n)
{
    for (int pass = 0; pass < FOLDER_PASSES && any_unsettled(units, n); pass++)
        TRY(settle_once(e, units, n));
    for (size_t k = 0; k < n; k++)
        if (is_unsettled(&units[k]))
            unit_fail(&units[k], err_new(ERR_CHANGED, "folders keep being renamed"));
    return NULL;
}

static bool has_metadata(const struct unit *u)
{
    return !u->absent && !u->postponed && u->asked && u->planned;
}

static struct err *ask_again(struct engine *e, struct unit *units, size_t n)
{
    bool asked = false;
    for (size_t k = 0; k < n; k++)
        if (has_metadata(&units[k]))
            TRY(identity_ask_again(&units[k], &asked));
    return asked ? session_drain(e->session) : NULL;
}

static struct err *run_phases(struct engine *e, struct unit *units, size_t n)
{
    TRY(ask_all(e, units, n));
    plan_all(e, units, n);
    if (engine_stopping(e))
        return err_new(ERR_INTERRUPTED, "interrupted");
    TRY(settle_folders(e, units, n));
    TRY(window_compare(e, units, n));
    window_recalculate(units, n);
    TRY(run_rounds(e, units, n));
    TRY(ask_again(e, units, n));
    for (size_t k = 0; k < n; k++)
        if (has_metadata(&units[k]))
            TRY(unit_meta(&units[k]));
    return session_outstanding(e->session) ? session_drain(e->session) : NULL;
}

struct err *window_run(struct engine *e, struct unit *units, size_t n)
{
    TRY(engine_session(e)); /* before any lock: it may take as long as the replica is away */
    lock_all(units, n);
    struct err *err = run_phases(e, units, n);
    window_unlock(e);
    for (size_t k = 0; k < n && e->o.cache; k++)
        unit_remember(&units[k]);
    if (e->o.cache)
        cache_commit(e->o.cache, &e->remembered);
    for (size_t k = 0; k < n; k++)
        if (err && going(&units[k]))
            unit_fail(&units[k], err_copy(err));
    if (!err || err->kind == ERR_INTERRUPTED)
        return err;
    /* What the replica has staged and done is not known any more: begin anew. */
    engine_drop_session(e);
    if (e->denied)
        return err;
    err_free(err);
    return NULL;
}
