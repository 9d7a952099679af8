/*
 * Batches of actions (fansync/batch.h). Entries become jobs, one for each thing to be done;
 * jobs are run list by list in Cyrus's order, a whole list as one run of the engine, so that
 * the number of round trips does not grow with the number of jobs. A job that fails hands its
 * entries to a larger job of a later list (spec/operation.md §3.4).
 *
 * States of a job: waiting, done, locked, failed; only run_list and finish_job change them.
 */
#include "fansync/batch.h"

#include <stdint.h>
#include <stdlib.h>

#include "fansync/arena.h"
#include "fansync/log.h"
#include "fansync/map.h"
#include "fansync/mem.h"
#include "fansync/names.h"
#include "fansync/store.h"

enum list { /* in order of execution (§3.3) */
    LIST_MAILBOXES,
    LIST_QUOTA,
    LIST_ANNOTATION,
    LIST_SEEN,
    LIST_SUB,
    LIST_UNMAILBOX,
    LIST_META,
    LIST_USER,
    LIST_UNUSER,
    LISTS
};

struct job {
    enum list list;
    struct slice a; /* MAILBOXES, USER, META, UNUSER, SEEN, SUB: the user; else the object */
    struct slice b; /* SEEN: uniqueid; SUB: name */
    struct slice *names; /* MAILBOXES */
    bool *failed;        /* parallel to them once the job has run */
    size_t nnames, names_cap;
    struct map known; /* its names -> index + 1 */
    struct batch_entry **entry; /* whom its end concerns */
    size_t nentries, entries_cap;
    bool dropped; /* covered by a larger job, which has its entries */
    struct job *next; /* of its list */
};

struct batch {
    struct engine *engine;
    const struct namespace_options *names;
    struct arena arena;
    struct map jobs; /* list, a, b -> job */
    struct map joined;  /* owners whose group is that of another owner -> job */
    struct map deleted; /* names of UNMAILBOX records */
    struct store *store;
    struct job *first[LISTS], **last[LISTS];
};

struct batch *batch_new(struct engine *e, struct store *store)
{
    struct batch *b = mem_alloc(sizeof *b);
    *b = (struct batch){ .engine = e, .names = store_names(store), .store = store };
    return b;
}

static void forget(struct batch *b)
{
    for (int l = 0; l < LISTS; l++) {
        for (struct job *j = b->first[l]; j; j = j->next)
            map_free(&j->known);
        b->first[l] = NULL;
        b->last[l] = &b->first[l];
    }
    map_free(&b->jobs);
    map_free(&b->joined);
    map_free(&b->deleted);
    arena_reset(&b->arena);
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    forget(b);
    arena_free(&b->arena);
    free(b);
}

/* ---- jobs ---- */

static struct slice job_key(struct arena *a, enum list list, struct slice x, struct slice y)
{
    struct buf key = BUF_INIT;
    buf_printf(&key, "%d ", (int)list);
    buf_add(&key, x.p, x.n);
    buf_addc(&key, '\0');
    buf_add(&key, y.p, y.n);
    struct slice k = arena_dup(a, buf_slice(&key));
    buf_free(&key);
    return k;
}

static struct job *find_job(struct batch *b, enum list list, struct slice x, struct slice y)
{
    return map_get(&b->jobs, job_key(&b->arena, list, x, y));
}

static struct job *get_job(struct batch *b, enum list list, struct slice x, struct slice y)
{
    struct slice key = job_key(&b->arena, list, x, y);
    struct job *j = map_get(&b->jobs, key);
    if (j)
        return j;
    j = arena_alloc(&b->arena, sizeof *j);
    j->list = list;
    j->a = x;
    j->b = y;
    map_put(&b->jobs, key, j);
    *b->last[list] = j;
    b->last[list] = &j->next;
    return j;
}

static void concern(struct batch *b, struct job *j, struct batch_entry *e)
{
    j->entry = arena_grow(&b->arena, j->entry, j->nentries, &j->entries_cap, sizeof(struct batch_entry *));
    j->entry[j->nentries++] = e;
}

static void add_name(struct batch *b, struct job *j, struct slice name)
{
    if (name.n == 0 || map_get(&j->known, name))
        return;
    j->names = arena_grow(&b->arena, j->names, j->nnames, &j->names_cap, sizeof *j->names);
    j->names[j->nnames++] = name;
    map_put(&j->known, name, (void *)(uintptr_t)j->nnames);
}

static struct slice owner_of(struct batch *b, struct slice name)
{
    return names_userid_of_internal(&b->arena, b->names, name);
}

static const struct slice none = { NULL, 0 };

/* The group of the first name's owner (§3.1). Shared mailboxes are each for themselves: there is
 * no USER into which a failure of one could be promoted, and it must not be the others' (§3.6). */
static struct job *group_of(struct batch *b, const struct action *a)
{
    struct slice owner = owner_of(b, a->a);
    struct job *j = owner.n ? map_get(&b->joined, owner) : NULL;
    if (!j)
        j = get_job(b, LIST_MAILBOXES, owner, owner.n ? none : a->a);
    add_name(b, j, a->a);
    add_name(b, j, a->b);
    return j;
}

/* A mailbox that moved from one owner to another makes one group of both: each half alone would
 * see a deletion or a new mailbox. */
static void join_owners(struct batch *b, const struct action *a)
{
    struct slice from = owner_of(b, a->a), to = owner_of(b, a->b);
    struct job *j = group_of(b, a);
    if (to.n && !slice_eq(from, to) && !map_get(&b->joined, to))
        map_put(&b->joined, to, j);
}

/* A change of a #sieve mailbox is one of its owner's scripts, where these go one by one. */
static bool is_of_scripts(struct batch *b, const struct action *a)
{
    struct mbentry e;
    bool found = false;
    if (engine_takes_sieve_mailboxes(b->engine))
        return false;
    struct err *err = store_lookup(b->store, &b->arena, a->a, &e, &found);
    bool is = !err && found && e.kind == 'f';
    err_free(err); /* the mailbox's own job meets it again */
    return is;
}

static struct job *job_of(struct batch *b, const struct action *a)
{
    switch (a->kind) {
    case ACTION_MAILBOX:
        if (is_of_scripts(b, a))
            return get_job(b, LIST_META, owner_of(b, a->a), none);
        return group_of(b, a);
    case ACTION_RENAME:
        return group_of(b, a);
    case ACTION_QUOTA:
        return get_job(b, LIST_QUOTA, a->a, none);
    case ACTION_ANNOTATION: /* a mailbox's travel with the mailbox */
        return a->a.n ? group_of(b, a) : get_job(b, LIST_ANNOTATION, none, none);
    case ACTION_SEEN:
        return get_job(b, LIST_SEEN, a->a, a->b);
    case ACTION_SUB:
        return get_job(b, LIST_SUB, a->a, a->b);
    case ACTION_UNMAILBOX:
        return get_job(b, LIST_UNMAILBOX, a->a, none);
    case ACTION_META:
        return get_job(b, LIST_META, a->a, none);
    case ACTION_USER:
        return get_job(b, LIST_USER, a->a, none);
    case ACTION_UNUSER:
        return get_job(b, LIST_UNUSER, a->a, none);
    case ACTION_KINDS:
        break;
    }
    return NULL;
}

static void take_entries(struct batch *b, struct job *from, struct job *to)
{
    for (size_t i = 0; i < from->nentries; i++)
        concern(b, to, from->entry[i]);
    from->nentries = 0;
}

static void cover(struct batch *b, struct job *by, struct job *covered)
{
    covered->dropped = true;
    take_entries(b, covered, by);
}

/* A USER that failed before says more than that the user exists: it is not dropped. */
static bool is_retry(const struct job *j)
{
    for (size_t i = 0; i < j->nentries; i++)
        if (j->entry[i]->retry)
            return true;
    return false;
}

/* What a user's larger job covers (§3.2). */
static void drop_redundant(struct batch *b)
{
    static const enum list small[] = { LIST_SEEN, LIST_SUB, LIST_META, LIST_USER };
    static const enum list large[] = { LIST_UNUSER, LIST_USER, LIST_META };
    for (size_t s = 0; s < sizeof small / sizeof *small; s++)
        for (struct job *j = b->first[small[s]]; j; j = j->next)
            for (size_t l = 0; l < sizeof large / sizeof *large && large[l] > small[s] && !j->dropped; l++) {
                struct job *by = find_job(b, large[l], j->a, none);
                if (by && !(small[s] == LIST_USER && is_retry(j)))
                    cover(b, by, j);
            }
}

/* ---- how jobs end ---- */

static struct action as_action(const struct job *j)
{
    static const enum action_kind kinds[LISTS] = {
        ACTION_MAILBOX, ACTION_QUOTA, ACTION_ANNOTATION, ACTION_SEEN, ACTION_SUB,
        ACTION_UNMAILBOX, ACTION_META, ACTION_USER, ACTION_UNUSER,
    };
    return (struct action){ kinds[j->list], j->a, j->b };
}

static void end_entries(struct batch *b, struct job *j, enum batch_result result, const char *why)
{
    struct slice text = arena_dup(&b->arena, slice_str(why));
    for (size_t i = 0; i < j->nentries; i++) {
        struct batch_entry *e = j->entry[i];
        e->result = result;
        e->why = text.p;
        e->again = j->list == LIST_MAILBOXES ? e->action : as_action(j);
    }
}

static void say_promoted(const struct job *j, const struct job *to)
{
    static const char *const words[LISTS] = { "MAILBOX", "QUOTA", "ANNOTATION", "SEEN", "SUB", "UNMAILBOX", "META",
                                              "USER", "UNUSER" };
    const char *from = words[j->list], *into = words[to->list];
    for (size_t i = 0; i < j->nnames; i++)
        log_msg(LOG_INFO, "  Promoting: %s " SLICE_FMT " -> %s " SLICE_FMT, from, SLICE_ARG(j->names[i]), into,
                SLICE_ARG(to->a));
    if (j->nnames == 0)
        log_msg(LOG_INFO, "  Promoting: %s " SLICE_FMT "%s" SLICE_FMT " -> %s " SLICE_FMT, from, SLICE_ARG(j->a),
                j->b.n ? " " : "", SLICE_ARG(j->b), into, SLICE_ARG(to->a));
}

/* The larger job that may mend what failed (§3.4, B.8), or NULL. Promotion is always into a list
 * that comes later. */
static struct job *promotion(struct batch *b, const struct job *j)
{
    struct slice owner = none;
    switch (j->list) {
    case LIST_MAILBOXES:
        owner = j->a;
        break;
    case LIST_QUOTA:
        owner = owner_of(b, j->a);
        break;
    case LIST_SEEN:
    case LIST_SUB:
        return get_job(b, LIST_META, j->a, none);
    case LIST_META:
        owner = j->a;
        break;
    default:
        break;
    }
    return owner.n ? get_job(b, LIST_USER, owner, none) : NULL;
}

static bool has_failed(const struct job *j, struct slice name)
{
    uintptr_t i = (uintptr_t)map_get(&j->known, name);
    return i && j->failed[i - 1];
}

/* The mailboxes of a group that are up to date have no part in its failure. */
static void end_healthy(struct job *j)
{
    size_t left = 0;
    for (size_t i = 0; i < j->nentries; i++) {
        struct batch_entry *e = j->entry[i];
        if (has_failed(j, e->action.a) || has_failed(j, e->action.b))
            j->entry[left++] = e;
        else
            e->result = BATCH_DONE;
    }
    j->nentries = left;
    for (size_t i = left = 0; i < j->nnames; i++)
        if (j->failed[i])
            j->names[left++] = j->names[i];
    j->nnames = left;
}

/* No larger action helps where the replica goes away, or where both sides have changed. */
static bool is_final(const struct job *j, const struct err *err)
{
    return err->kind == ERR_BYE || err->kind == ERR_CONFLICT ||
           (j->list == LIST_META && err->kind == ERR_INVALID_USER);
}

static void fail_job(struct batch *b, struct job *j, const struct err *err)
{
    bool final = is_final(j, err);
    if (j->list == LIST_MAILBOXES)
        end_healthy(j);
    struct job *to = final ? NULL : promotion(b, j);
    if (!to) {
        end_entries(b, j, BATCH_FAILED, err->msg);
        return;
    }
    say_promoted(j, to);
    take_entries(b, j, to);
}

struct running {
    struct batch *batch;
    struct job **job; /* parallel to the items */
    const struct engine_item *items;
};

static void finish_job(void *ctx, const struct engine_item *item, const struct err *err)
{
    struct running *r = ctx;
    struct job *j = r->job[item - r->items];
    if (!err)
        end_entries(r->batch, j, BATCH_DONE, "");
    else if (err->kind == ERR_LOCKED || err->kind == ERR_SKIPPED)
        end_entries(r->batch, j, BATCH_LOCKED, err->msg);
    else
        fail_job(r->batch, j, err);
}

/* ---- running ---- */

static struct engine_item item_of(const struct batch *b, const struct job *j)
{
    static const enum engine_item_kind kinds[LISTS] = {
        ITEM_MAILBOXES, ITEM_QUOTA, ITEM_ANNOTATIONS, ITEM_SEEN, ITEM_SUB,
        ITEM_UNMAILBOX, ITEM_META, ITEM_USER, ITEM_UNUSER,
    };
    struct engine_item item = {
        .kind = kinds[j->list], .names = j->names, .nnames = j->nnames, .failed = j->failed,
        .deleted = &b->deleted,
    };
    bool is_object = j->list == LIST_QUOTA || j->list == LIST_UNMAILBOX;
    item.userid = is_object ? none : j->a;
    item.object = is_object ? j->a : j->b;
    return item;
}

static struct err *run_list(struct batch *b, enum list list)
{
    size_t n = 0;
    for (const struct job *j = b->first[list]; j; j = j->next)
        n += !j->dropped;
    if (n == 0)
        return NULL;
    struct engine_item *items = arena_array(&b->arena, n, sizeof *items);
    struct running r = { b, arena_array(&b->arena, n, sizeof(struct job *)), items };
    n = 0;
    for (struct job *j = b->first[list]; j; j = j->next)
        if (!j->dropped) {
            if (j->nnames)
                j->failed = arena_array(&b->arena, j->nnames, sizeof *j->failed);
            r.job[n] = j;
            items[n++] = item_of(b, j);
        }
    return engine_run(b->engine, items, n, finish_job, &r);
}

/* The user who has the INBOX of a removed one, if that was a renaming. */
static struct err *find_renamed(struct batch *b, const struct job *j, struct slice *now_called)
{
    struct mbentry old, now;
    bool found = false;
    *now_called = none;
    if (j->a.n == 0)
        return NULL;
    struct slice inbox = names_inbox(&b->arena, b->names, j->a);
    TRY(store_lookup(b->store, &b->arena, inbox, &old, &found));
    if (!found || !(old.flags & MB_DELETED))
        return NULL;
    TRY(store_lookup_id(b->store, &b->arena, old.uniqueid, &now, &found));
    if (found && !(now.flags & MB_DELETED) && !slice_eq(now.name, inbox))
        *now_called = owner_of(b, now.name);
    return NULL;
}

/*
 * A user who was renamed: UNUSER of his old id takes his subscriptions and seen states with it,
 * because a replica finds them by the uniqueid of the INBOX. They are sent again, and the
 * UNUSER is done when they have arrived: it counts as not tried until then.
 */
static struct err *mend_renamed(struct batch *b)
{
    size_t n = 0;
    for (const struct job *j = b->first[LIST_UNUSER]; j; j = j->next)
        n++;
    struct engine_item *items = arena_array(&b->arena, n, sizeof *items);
    struct running r = { b, arena_array(&b->arena, n, sizeof(struct job *)), items };
    n = 0;
    for (struct job *j = b->first[LIST_UNUSER]; j; j = j->next) {
        struct slice user = none;
        struct err *err = find_renamed(b, j, &user);
        if (err) {
            end_entries(b, j, BATCH_FAILED, err->msg);
            err_free(err);
        } else if (user.n && j->nentries && j->entry[0]->result == BATCH_DONE) {
            end_entries(b, j, BATCH_PENDING, "");
            r.job[n] = j;
            items[n++] = (struct engine_item){ .kind = ITEM_META, .userid = user };
        }
    }
    return n ? engine_run(b->engine, items, n, finish_job, &r) : NULL;
}

struct err *batch_run(struct batch *b, struct batch_entry *entries, size_t n)
{
    forget(b);
    for (size_t i = 0; i < n; i++) {
        const struct action *a = &entries[i].action;
        entries[i].result = BATCH_PENDING;
        entries[i].why = "";
        if (a->kind == ACTION_RENAME)
            join_owners(b, a);
        if (a->kind == ACTION_UNMAILBOX)
            map_put(&b->deleted, a->a, b);
    }
    for (size_t i = 0; i < n; i++)
        concern(b, job_of(b, &entries[i].action), &entries[i]);
    drop_redundant(b);
    for (int l = 0; l < LISTS; l++)
        TRY(run_list(b, (enum list)l));
    return b->first[LIST_UNUSER] ? mend_renamed(b) : NULL;
}
