/* Whose fault it is that items fail (daemon/trouble.h). */
#include "daemon/trouble.h"

#include "fansync/hash.h"

enum { WAIT_MOST = 60 }; /* seconds */

enum trouble_cause trouble_cause_of(enum err_kind kind)
{
    switch (kind) {
    case ERR_SHORTAGE:
        return CAUSE_HOST;
    case ERR_AILING:
        return CAUSE_REPLICA;
    case ERR_CORRUPT:
    case ERR_BUSY:
    case ERR_INVALID_USER:
    case ERR_LOCKED:
    case ERR_MOVED:
    case ERR_CHECKSUM:
    case ERR_CHANGED:
    case ERR_BADSIEVE:
    case ERR_SKIPPED:
    case ERR_CONFLICT:
        return CAUSE_ITEM;
    default:
        return CAUSE_ALIKE;
    }
}

static bool is_new_failure(const struct queue_item *item, const struct batch_entry *e)
{
    return e->result == BATCH_FAILED && e->kind != ERR_BYE && item->attempts == 0;
}

/* The strongest explanation that a new failure of the batch gives, and which one does. */
static enum trouble_cause explain(struct queue_item *const *items, const struct batch_entry *entries, size_t n,
                                  size_t *example)
{
    enum trouble_cause most = CAUSE_ITEM;
    for (size_t i = 0; i < n; i++) {
        enum trouble_cause cause = trouble_cause_of(entries[i].kind);
        if (is_new_failure(items[i], &entries[i]) && cause > most) {
            most = cause;
            *example = i;
        }
    }
    return most;
}

static bool any_done(const struct batch_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entries[i].result == BATCH_DONE)
            return true;
    return false;
}

/* Shared mailboxes are owners of their own. */
static uint64_t owner_of(const struct queue_item *item)
{
    return hash_bytes(0, item->owner.n ? item->owner : item->action.a);
}

static void add_owner(struct trouble *t, const struct queue_item *item, bool first)
{
    uint64_t owner = owner_of(item);
    if (first)
        t->owner = owner;
    t->several |= owner != t->owner;
}

/* False if failures that say nothing are of different kinds. */
static bool add_failures(struct trouble *t, enum trouble_cause cause, enum err_kind kind,
                         struct queue_item *const *items, const struct batch_entry *entries, size_t n)
{
    bool first = t->cause != cause || t->kind != kind;
    if (first)
        t->several = false;
    t->cause = cause;
    t->kind = kind;
    for (size_t i = 0; i < n; i++) {
        if (!is_new_failure(items[i], &entries[i]) || trouble_cause_of(entries[i].kind) == CAUSE_ITEM)
            continue;
        if (cause == CAUSE_ALIKE && entries[i].kind != kind)
            return false;
        add_owner(t, items[i], first);
        first = false;
    }
    return true;
}

static struct verdict well_again(struct trouble *t)
{
    struct verdict v = { .cause = CAUSE_ITEM, .over = t->paused };
    *t = (struct trouble){ .cause = CAUSE_ITEM };
    return v;
}

struct verdict trouble_judge(struct trouble *t, struct queue_item *const *items, const struct batch_entry *entries,
                             size_t n)
{
    struct verdict v = { .cause = CAUSE_ITEM };
    if (any_done(entries, n))
        return well_again(t);
    enum trouble_cause cause = explain(items, entries, n, &v.example);
    if (cause == CAUSE_ITEM)
        return v;
    if (!add_failures(t, cause, entries[v.example].kind, items, entries, n)) {
        t->cause = CAUSE_ITEM; /* the next batch begins anew */
        return v;
    }
    v.pause = cause == CAUSE_HOST || t->several;
    if (cause == CAUSE_ALIKE && !v.pause)
        return v;
    t->wait = t->wait * 2 < WAIT_MOST ? t->wait * 2 + !t->wait : WAIT_MOST;
    t->paused |= v.pause;
    v.cause = cause;
    v.wait = t->wait;
    return v;
}

bool trouble_counts(const struct verdict *v, const struct batch_entry *e)
{
    return v->cause == CAUSE_ITEM || trouble_cause_of(e->kind) == CAUSE_ITEM;
}
