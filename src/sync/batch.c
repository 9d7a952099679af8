/*
 * Batches of actions (fansync/batch.h). Entries become jobs, one for each thing to be done;
 * jobs are run list by list in Cyrus's order, a whole list as one run of the engine, so that
 * the number of round trips does not grow with the number of jobs. batch_end.c has how they end.
 */
#include "sync/batch_internal.h"

#include <stdlib.h>

#include "fansync/mem.h"
#include "fansync/names.h"
#include "fansync/store.h"

static const struct slice none = { NULL, 0 };

struct batch *batch_new(struct engine *e, struct store *store)
{
    struct batch *b = mem_alloc(sizeof *b);
    *b = (struct batch){ .engine = e, .names = store_names(store), .store = store };
    b->groups.arena = b->renamed.arena = &b->arena;
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
    chains_free(&b->groups);
    chains_free(&b->renamed);
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

static struct job *new_job(struct batch *b, enum list list, struct slice x, struct slice y)
{
    struct job *j = arena_alloc(&b->arena, sizeof *j);
    j->list = list;
    j->a = x;
    j->b = y;
    *b->last[list] = j;
    b->last[list] = &j->next;
    return j;
}

struct job *batch_get_job(struct batch *b, enum list list, struct slice x, struct slice y)
{
    struct slice key = job_key(&b->arena, list, x, y);
    struct job *j = map_get(&b->jobs, key);
    if (!j) {
        j = new_job(b, list, x, y);
        map_put(&b->jobs, key, j);
    }
    return j;
}

void batch_concern(struct batch *b, struct job *j, struct batch_entry *e)
{
    j->entry = arena_grow(&b->arena, j->entry, j->nentries, &j->entries_cap, sizeof(struct batch_entry *));
    j->entry[j->nentries++] = e;
    batch_progress(b, e)->held++;
}

static void add_name(struct batch *b, struct job *j, struct slice name)
{
    if (name.n == 0 || !map_put(&j->known, name, j))
        return;
    j->names = arena_grow(&b->arena, j->names, j->nnames, &j->names_cap, sizeof *j->names);
    j->names[j->nnames++] = name;
}

struct slice batch_owner_of(struct batch *b, struct slice name)
{
    return names_userid_of_internal(&b->arena, b->names, name);
}

/* ---- groups of mailboxes ---- */

/*
 * What keeps mailboxes in one job. A user's are together (§3.1). Shared ones are each for
 * themselves: there is no USER into which a failure of one could be promoted, and it must not be
 * the others' (§3.6). No user id has a slash in front.
 */
static struct slice group_key(struct batch *b, struct slice name)
{
    struct slice owner = batch_owner_of(b, name);
    return owner.n ? owner : arena_printf(&b->arena, "/" SLICE_FMT, SLICE_ARG(name));
}

static struct job *group_of(struct batch *b, const struct action *a)
{
    struct chain *c = chain_of(&b->groups, group_key(b, a->a));
    if (!c->user)
        c->user = new_job(b, LIST_MAILBOXES, none, none);
    add_name(b, c->user, a->a);
    add_name(b, c->user, a->b);
    return c->user;
}

/*
 * A chain of renames, over any number of names and owners, is one job: each part alone would see a
 * deletion or a new mailbox, and the replica refuses a mailbox that it has under a name that
 * nobody asked for.
 */
static void join_groups(struct batch *b, const struct action *a)
{
    chain_join(&b->groups, group_key(b, a->a), group_key(b, a->b));
    chain_join(&b->renamed, a->a, a->b);
}

static bool is_deleted_name(struct batch *b, struct slice name)
{
    return names_from_internal(&b->arena, b->names, name).deleted_time != 0;
}

/* From the last record to the first: a mailbox that was renamed and then deleted was also the one
 * that had the former names. With delayed deletion the last rename leads into the deleted tree. */
static void note_deletions(struct batch *b, const struct batch_entry *entries, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        const struct action *a = &entries[i].action;
        struct slice *to = a->kind == ACTION_RENAME ? map_get(&b->deleted, a->b) : NULL;
        if (!to && (a->kind == ACTION_UNMAILBOX || (a->kind == ACTION_RENAME && is_deleted_name(b, a->b)))) {
            to = arena_alloc(&b->arena, sizeof *to);
            *to = a->b;
        }
        if (to)
            map_put(&b->deleted, a->a, to);
    }
}

/* ---- what a record asks for ---- */

enum { GONE, NO_MAILBOX, HERE };

/* A fault of the list counts as GONE: the job's own look-up meets it again. */
static int look_up(struct batch *b, struct slice name, struct mbentry *e)
{
    bool found = false;
    struct err *err = store_lookup(b->store, &b->arena, name, e, &found);
    bool unknown = err != NULL;
    err_free(err);
    if (unknown || !found || (e->flags & MB_DELETED))
        return GONE;
    return e->flags & MB_INTERMEDIATE ? NO_MAILBOX : HERE;
}

static bool user_is_here(struct batch *b, struct slice userid)
{
    struct mbentry e;
    return userid.n && look_up(b, names_inbox(&b->arena, b->names, userid), &e) == HERE;
}

/* A change of a #sieve mailbox, or its deletion, is one of its owner's scripts where these go one
 * by one. */
static bool is_of_scripts(struct batch *b, struct slice name)
{
    struct mbentry e;
    if (engine_takes_sieve_mailboxes(b->engine))
        return false;
    struct mbname m = names_from_internal(&b->arena, b->names, name);
    if (m.localpart.n == 0 || m.deleted_time)
        return false;
    return (m.nboxes == 1 && slice_eqs(m.boxes[0], "#sieve")) || (look_up(b, name, &e) == HERE && e.kind == 'f');
}

/* One who was made again is to be compared, not deleted. */
static struct job *unuser_job(struct batch *b, struct slice userid)
{
    struct job *j = batch_get_job(b, user_is_here(b, userid) ? LIST_USER : LIST_UNUSER, userid, none);
    j->told = true;
    return j;
}

static struct job *job_of(struct batch *b, const struct action *a)
{
    switch (a->kind) {
    case ACTION_MAILBOX:
    case ACTION_UNMAILBOX:
        if (is_of_scripts(b, a->a))
            return batch_get_job(b, LIST_META, batch_owner_of(b, a->a), none);
        return group_of(b, a); /* what became of the name is seen there, by uniqueid */
    case ACTION_RENAME:
        return group_of(b, a);
    case ACTION_QUOTA:
        return batch_get_job(b, LIST_QUOTA, a->a, none);
    case ACTION_ANNOTATION: /* a mailbox's travel with the mailbox */
        return a->a.n ? group_of(b, a) : batch_get_job(b, LIST_ANNOTATION, none, none);
    case ACTION_SEEN:
        return batch_get_job(b, LIST_SEEN, a->a, a->b);
    case ACTION_SUB:
        return batch_get_job(b, LIST_SUB, a->a, a->b);
    case ACTION_META:
        return batch_get_job(b, LIST_META, a->a, none);
    case ACTION_USER:
        return batch_get_job(b, LIST_USER, a->a, none);
    case ACTION_UNUSER:
        return unuser_job(b, a->a);
    case ACTION_KINDS:
        break;
    }
    return NULL;
}

/*
 * A master before 3.6 logs no UNUSER of a user who was deleted, only what became of his mailboxes: his INBOX was deleted,
 * or moved into the deleted tree. What he had besides mailboxes has to go as well, the more so if he was made again.
 */
static struct slice user_without_inbox(struct batch *b, const struct action *a, struct slice name)
{
    struct mbname m = names_from_internal(&b->arena, b->names, name);
    bool deleted = m.deleted_time != 0 || a->kind == ACTION_UNMAILBOX;
    return deleted && m.localpart.n && m.nboxes == 0 ? batch_owner_of(b, name) : none;
}

static void concern_settings(struct batch *b, struct batch_entry *e)
{
    const struct action *a = &e->action;
    if (b->logs_unuser || (a->kind != ACTION_MAILBOX && a->kind != ACTION_UNMAILBOX && a->kind != ACTION_RENAME))
        return;
    for (int i = 0; i < 2; i++) {
        struct slice user = user_without_inbox(b, a, i ? a->b : a->a);
        if (user.n)
            batch_concern(b, batch_get_job(b, user_is_here(b, user) ? LIST_META : LIST_UNUSER, user, none), e);
    }
}

/* A root may have had the old name. Only mailboxes tell the replica's roots, and after a rename none names this one: if
 * the session ends between the two, nothing else would come back to it. */
static void concern_root(struct batch *b, struct batch_entry *e)
{
    if (e->action.kind == ACTION_RENAME)
        batch_concern(b, batch_get_job(b, LIST_QUOTA, e->action.a, none), e);
}

/* If the list cannot be read: each job that needs it meets that again, and fails. */
static bool logs_unuser(struct store *store)
{
    bool has = false;
    err_free(store_has_sieve_mailboxes(store, &has));
    return has; /* both since 3.6 */
}

/* ---- what larger jobs cover (§3.2) ---- */

static void cover(struct batch *b, struct job *by, struct job *covered)
{
    covered->dropped = true;
    batch_take_entries(b, covered, by);
}

/* A USER that failed before says more than that the user exists: it is not dropped. */
static bool is_retry(const struct job *j)
{
    for (size_t i = 0; i < j->nentries; i++)
        if (j->entry[i]->retry)
            return true;
    return false;
}

static bool covers(struct batch *b, const struct job *by, const struct job *j)
{
    if (j->list == LIST_USER && is_retry(j))
        return false;
    return by->list != LIST_USER || user_is_here(b, by->a); /* else his USER compares nothing */
}

static void drop_redundant(struct batch *b)
{
    static const enum list small[] = { LIST_SEEN, LIST_SUB, LIST_META, LIST_USER };
    static const enum list large[] = { LIST_UNUSER, LIST_USER, LIST_META };
    for (size_t s = 0; s < sizeof small / sizeof *small; s++)
        for (struct job *j = b->first[small[s]]; j; j = j->next)
            for (size_t l = 0; l < sizeof large / sizeof *large && large[l] > small[s] && !j->dropped; l++) {
                struct job *by = find_job(b, large[l], j->a, none);
                if (by && covers(b, by, j))
                    cover(b, by, j);
            }
}

/* ---- running ---- */

static struct engine_item item_of(const struct batch *b, struct job *j)
{
    static const enum engine_item_kind kinds[LISTS] = {
        ITEM_MAILBOXES, ITEM_QUOTA, ITEM_ANNOTATIONS, ITEM_SEEN, ITEM_SUB,
        ITEM_META, ITEM_USER, ITEM_UNUSER, ITEM_META,
    };
    struct engine_item item = {
        .kind = kinds[j->list], .names = j->names, .nnames = j->nnames, .failed = j->failed,
        .deleted = &b->deleted, .absent = &j->absent, .made_inbox = &j->made_inbox, .keep_copies = !j->told,
    };
    bool is_object = j->list == LIST_QUOTA || j->list == LIST_MAILBOXES;
    item.userid = is_object ? none : j->a;
    item.object = is_object ? j->a : j->b;
    return item;
}

struct running {
    struct batch *batch;
    struct job **job; /* parallel to the items */
    const struct engine_item *items;
};

static void finish_job(void *ctx, const struct engine_item *item, const struct err *err)
{
    const struct running *r = ctx;
    batch_end_job(r->batch, r->job[item - r->items], err);
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

static void begin(struct batch *b, struct batch_entry *entries, size_t n)
{
    forget(b);
    b->entries = entries;
    b->logs_unuser = logs_unuser(b->store);
    b->progress = arena_array(&b->arena, n, sizeof *b->progress);
    for (size_t i = 0; i < n; i++) {
        entries[i].result = BATCH_PENDING;
        entries[i].why = b->progress[i].reason.text = "";
        if (entries[i].action.kind == ACTION_RENAME)
            join_groups(b, &entries[i].action);
    }
    note_deletions(b, entries, n);
}

struct err *batch_run(struct batch *b, struct batch_entry *entries, size_t n)
{
    begin(b, entries, n);
    for (size_t i = 0; i < n; i++) {
        batch_concern(b, job_of(b, &entries[i].action), &entries[i]);
        concern_settings(b, &entries[i]);
        concern_root(b, &entries[i]);
    }
    drop_redundant(b);
    for (int l = 0; l < LISTS; l++)
        TRY(run_list(b, (enum list)l));
    return NULL;
}
