/*
 * How the jobs of a batch end (sync/batch_internal.h). What succeeded is done, what is locked is
 * for later, and what failed is handed to a larger job of a later list, if there is one that may
 * mend it (spec/operation.md §3.4, B.8).
 *
 * An entry is confirmed only when the replica's state was compared with the master's after the
 * entry's record had been read. A job that ends without an error although it compared nothing (a
 * USER of somebody without INBOX) confirms nothing but its own record.
 */
#include "sync/batch_internal.h"

#include "fansync/log.h"
#include "fansync/names.h"
#include "fansync/store.h"

/* Of a chain of renames one of whose names has failed. */
struct failure {
    bool final;       /* no larger job helps */
    struct job **into; /* the larger jobs */
    size_t n, cap;
};

struct progress *batch_progress(const struct batch *b, const struct batch_entry *e)
{
    return &b->progress[e - b->entries];
}

void batch_take_entries(struct batch *b, struct job *from, struct job *to)
{
    for (size_t i = 0; i < from->nentries; i++) {
        batch_concern(b, to, from->entry[i]);
        batch_progress(b, from->entry[i])->held--;
    }
    from->nentries = 0;
}

/* One of its jobs lets go of an entry. */
static void end_entry(struct batch *b, struct batch_entry *e, enum batch_result result, struct reason why)
{
    struct progress *p = batch_progress(b, e);
    if (result >= p->worst) {
        p->worst = result;
        p->reason = why;
    }
    if (--p->held > 0)
        return;
    e->result = p->worst;
    e->why = p->reason.text;
    e->kind = p->reason.kind;
}

static const struct reason no_reason = { "", ERR_IO };

static struct reason reason_of(struct batch *b, const struct err *err)
{
    return err ? (struct reason){ arena_dup(&b->arena, slice_str(err->msg)).p, err->kind } : no_reason;
}

void batch_end_entries(struct batch *b, struct job *j, enum batch_result result, const struct err *why)
{
    struct reason reason = reason_of(b, why);
    for (size_t i = 0; i < j->nentries; i++)
        end_entry(b, j->entry[i], result, reason);
    j->nentries = 0;
}

/* ---- promotion ---- */

static void say_promoted(struct slice name, const struct job *j, const struct job *to)
{
    static const char *const words[LISTS] = { "MAILBOX", "QUOTA", "ANNOTATION", "SEEN", "SUB", "META",
                                              "USER", "UNUSER", "META" };
    log_msg(LOG_INFO, "  Promoting: %s " SLICE_FMT "%s" SLICE_FMT " -> %s " SLICE_FMT, words[j->list],
            SLICE_ARG(name), j->b.n ? " " : "", SLICE_ARG(j->b), words[to->list], SLICE_ARG(to->a));
}

/* The larger job, if it will run: one that is covered by a deletion would hold its entries for ever, and they would be
 * tried again at once, without end. */
static struct job *if_it_runs(struct job *to)
{
    return to->dropped ? NULL : to;
}

/* The larger job that may mend what failed, or NULL. Promotion is always into a list that comes
 * later. */
static struct job *promotion(struct batch *b, const struct job *j)
{
    const struct slice none = { NULL, 0 };
    struct slice owner = none;
    switch (j->list) {
    case LIST_QUOTA:
        owner = batch_owner_of(b, j->a);
        break;
    case LIST_SEEN:
    case LIST_SUB:
        return if_it_runs(batch_get_job(b, LIST_META, j->a, none));
    case LIST_META:
        owner = j->a;
        break;
    default:
        break;
    }
    return owner.n ? if_it_runs(batch_get_job(b, LIST_USER, owner, none)) : NULL;
}

static bool is_only_failure(const struct job *j)
{
    size_t n = 0;
    for (size_t i = 0; i < j->nnames; i++)
        n += j->failed[i];
    return n == 1;
}

/* No larger job helps where the replica goes away, one of the hosts has run out of something, both sides have
 * changed, or a script is at fault. */
static bool is_final(const struct job *j, const struct err *err)
{
    switch (err->kind) {
    case ERR_BYE:
    case ERR_SHORTAGE:
    case ERR_AILING:
    case ERR_CONFLICT:
        return true;
    case ERR_BADSIEVE:
        return is_only_failure(j);
    case ERR_INVALID_USER:
        return j->list == LIST_META;
    default:
        return false;
    }
}

/* ---- mailboxes: those that are up to date have no part in the failure of their group ---- */

static struct failure *failure_of(struct batch *b, struct slice name)
{
    return name.n ? chain_of(&b->renamed, name)->user : NULL;
}

static void add_larger(struct batch *b, struct failure *f, struct job *to)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->into[i] == to)
            return;
    f->into = arena_grow(&b->arena, f->into, f->n, &f->cap, sizeof(struct job *));
    f->into[f->n++] = to;
}

/* The whole chain of a name shares its failure: half a chain of renames is not to be told from a
 * deletion or a new mailbox. A shared mailbox has no USER (§3.6). */
static void note_failure(struct batch *b, const struct job *j, struct slice name, bool final)
{
    struct chain *c = chain_of(&b->renamed, name);
    struct slice owner = batch_owner_of(b, name);
    if (!c->user)
        c->user = arena_alloc(&b->arena, sizeof(struct failure));
    struct failure *f = c->user;
    f->final |= final || owner.n == 0;
    struct job *to = f->final ? NULL : if_it_runs(batch_get_job(b, LIST_USER, owner, slice_of(NULL, 0)));
    if (!to) {
        f->final = true;
        return;
    }
    say_promoted(name, j, to);
    add_larger(b, f, to);
}

static void hand_on(struct batch *b, struct batch_entry *e, const struct failure *f)
{
    for (size_t i = 0; f && i < f->n; i++)
        batch_concern(b, f->into[i], e);
}

static void fail_mailboxes(struct batch *b, struct job *j, const struct err *err)
{
    bool final = is_final(j, err);
    struct reason why = reason_of(b, err);
    for (size_t i = 0; i < j->nnames; i++)
        if (j->failed[i])
            note_failure(b, j, j->names[i], final);
    for (size_t i = 0; i < j->nentries; i++) {
        struct batch_entry *e = j->entry[i];
        const struct failure *f = failure_of(b, e->action.a), *g = failure_of(b, e->action.b);
        if (!f && !g)
            end_entry(b, e, BATCH_DONE, no_reason);
        else if ((f && f->final) || (g && g->final))
            end_entry(b, e, BATCH_FAILED, why);
        else {
            hand_on(b, e, f);
            hand_on(b, e, g == f ? NULL : g);
            batch_progress(b, e)->reason = why;
            batch_progress(b, e)->held--;
        }
    }
    j->nentries = 0;
}

/* ---- any job ---- */

static void fail_job(struct batch *b, struct job *j, const struct err *err)
{
    if (j->list == LIST_MAILBOXES) {
        fail_mailboxes(b, j, err);
        return;
    }
    struct job *to = is_final(j, err) ? NULL : promotion(b, j);
    if (!to) {
        batch_end_entries(b, j, BATCH_FAILED, err);
        return;
    }
    struct reason why = reason_of(b, err);
    for (size_t i = 0; i < j->nentries; i++)
        batch_progress(b, j->entry[i])->reason = why;
    say_promoted(j->a, j, to);
    batch_take_entries(b, j, to);
}

/* A user without INBOX has nothing to be compared: what was handed to his job is still undone. */
static void end_absent(struct batch *b, struct job *j)
{
    static const struct reason why = { "the user has no INBOX here", ERR_INVALID_USER };
    for (size_t i = 0; i < j->nentries; i++) {
        struct batch_entry *e = j->entry[i];
        struct reason before = batch_progress(b, e)->reason;
        if (e->action.kind == ACTION_USER)
            end_entry(b, e, BATCH_DONE, no_reason);
        else
            end_entry(b, e, BATCH_FAILED, *before.text ? before : why);
    }
    j->nentries = 0;
}

/* All entries of j are another job's, too. */
static void share_entries(struct batch *b, const struct job *j, struct job *with)
{
    for (size_t i = 0; i < j->nentries; i++)
        batch_concern(b, with, j->entry[i]);
}

/*
 * What a replica keeps by the user's name outlives his INBOX. If the name was another one's before, his settings were
 * perhaps compared when the former INBOX was still there, and nothing else need ever ask for the new user's.
 */
static void compare_settings(struct batch *b, const struct job *j)
{
    const struct slice none = { NULL, 0 };
    for (size_t i = 0; i < j->nnames; i++) {
        struct slice user = batch_owner_of(b, j->names[i]);
        if (user.n == 0 || !slice_eq(j->names[i], names_inbox(&b->arena, b->names, user)))
            continue;
        struct job *settings = batch_get_job(b, LIST_META, user, none);
        if (!settings->dropped) /* else a larger job has them */
            share_entries(b, j, settings);
    }
}

/* Has the settings sent of everybody who had the INBOX of a removed user before. */
static struct err *send_again(struct batch *b, const struct job *j)
{
    const struct slice none = { NULL, 0 };
    struct name_list now;
    if (j->a.n == 0)
        return NULL;
    TRY(store_present_names(b->store, &b->arena, names_inbox(&b->arena, b->names, j->a), &now));
    for (size_t i = 0; i < now.n; i++) {
        struct slice user = batch_owner_of(b, now.name[i]);
        if (user.n)
            share_entries(b, j, batch_get_job(b, LIST_RENAMED, user, none));
    }
    return NULL;
}

/*
 * UNUSER of a renamed user's old id takes his subscriptions and seen states with it, because a
 * replica finds them by the uniqueid of the INBOX. They are sent again, and the UNUSER is done
 * when they have arrived.
 */
static void end_removed(struct batch *b, struct job *j)
{
    struct err *err = send_again(b, j);
    batch_end_entries(b, j, err ? BATCH_FAILED : BATCH_DONE, err);
    err_free(err);
}

/* Somebody made the user or mailbox again before its deletion was carried out: the next try sees
 * another object. */
static bool is_for_later(const struct job *j, const struct err *err)
{
    return err->kind == ERR_LOCKED || err->kind == ERR_SKIPPED ||
           (err->kind == ERR_BUSY && j->list == LIST_UNUSER);
}

void batch_end_job(struct batch *b, struct job *j, const struct err *err)
{
    if (j->made_inbox)
        compare_settings(b, j);
    if (!err && j->absent)
        end_absent(b, j);
    else if (!err && j->list == LIST_UNUSER)
        end_removed(b, j);
    else if (!err)
        batch_end_entries(b, j, BATCH_DONE, NULL);
    else if (is_for_later(j, err))
        batch_end_entries(b, j, BATCH_LOCKED, err);
    else
        fail_job(b, j, err);
}
