/*
 * Messages of the replica that a copyback has put on the master before (copies.h, spec/algorithm.md §10.1). Such a
 * run was cut off, or refused, before the original was expunged on the replica: the message must not be copied again,
 * and must not stay on the replica under both uids. Pure.
 */
#include "diff/copies.h"

#include <stdlib.h>

struct same_guid {
    size_t *i;
    size_t n, cap;
};

/* ---- finding by uid ---- */

static int compare_uid(const void *key, const void *element)
{
    const uint32_t *uid = key;
    const struct replica_detail *d = element;
    return (*uid > d->uid) - (*uid < d->uid);
}

const struct replica_detail *copies_detail(const struct replica_records *rrec, const struct replica_details *details,
                                           uint32_t uid)
{
    const struct replica_record *seen = diff_find_theirs(rrec, uid);
    const struct replica_detail *found =
        details->n ? bsearch(&uid, details->d, details->n, sizeof *found, compare_uid) : NULL;
    if (!found || !seen || !guid_eq(&found->guid, &seen->guid) || found->modseq != seen->modseq)
        return NULL;
    return found;
}

/* ---- the master's messages by GUID ---- */

static struct slice guid_key(const struct guid *g)
{
    return slice_of((const char *)g->b, GUID_SIZE);
}

static void index_messages(struct copies *c)
{
    for (size_t i = 0; i < c->rec->n; i++) {
        if (c->rec->flags[i] & REC_EXPUNGED)
            continue;
        struct same_guid *s = map_get(&c->by_guid, guid_key(&c->rec->guid[i]));
        if (!s) {
            s = arena_alloc(c->a, sizeof *s);
            map_put(&c->by_guid, guid_key(&c->rec->guid[i]), s);
        }
        s->i = arena_grow(c->a, s->i, s->n, &s->cap, sizeof *s->i);
        s->i[s->n++] = i;
    }
}

/* The records whose uid has that row. */
static bool *mark(struct arena *a, const struct records *rec, const struct compare_result *rows, enum compare_row row)
{
    bool *marked = arena_array(a, rec->n, sizeof *marked);
    for (size_t k = 0; k < rows->n; k++) {
        size_t i = rows->d[k].row == row ? diff_find_record(rec, rows->d[k].uid) : SIZE_MAX;
        if (i != SIZE_MAX)
            marked[i] = true;
    }
    return marked;
}

void copies_index(struct copies *c, struct arena *a, const struct records *rec, const struct compare_result *rows)
{
    *c = (struct copies){ .a = a, .rec = rec, .by_guid = MAP_INIT, .dying = mark(a, rec, rows, ROW_EXPUNGE_HERE) };
    index_messages(c);
}

void copies_free(struct copies *c)
{
    map_free(&c->by_guid);
}

/*
 * A copy keeps all that says when the message came into being, which no second delivery and
 * no COPY of a user shares. Its createdmodseq is the modseq that the original had when it was copied: at least
 * the original's own createdmodseq, at most its modseq now. A copy that the replica has already, and that
 * was expunged there, is none: its original is what somebody wanted to keep.
 */
uint64_t copies_created(const struct replica_detail *t)
{
    return t->createdmodseq < t->modseq ? t->createdmodseq : t->modseq;
}

static bool is_copy(const struct copies *c, size_t i, const struct replica_detail *t)
{
    const struct records *rec = c->rec;
    return rec->uid[i] > t->uid && rec->internaldate[i] == t->internaldate && rec->size[i] == t->size &&
           rec->savedate[i] == t->savedate && rec->createdmodseq[i] >= copies_created(t) &&
           rec->createdmodseq[i] <= t->modseq && !c->dying[i];
}

bool copies_find(struct copies *c, const struct replica_detail *t, size_t *copy)
{
    struct same_guid *s = map_get(&c->by_guid, guid_key(&t->guid));
    size_t best = SIZE_MAX;
    for (size_t k = 0; s && k < s->n; k++)
        if (is_copy(c, s->i[k], t) &&
            (best == SIZE_MAX || c->rec->createdmodseq[s->i[k]] < c->rec->createdmodseq[s->i[best]]))
            best = k;
    if (best == SIZE_MAX)
        return false;
    *copy = s->i[best];
    s->i[best] = s->i[--s->n];
    return true;
}

/* ---- what needs no change of the master any more ---- */

/* A copy that the update brings, or that the replica has; of an original that nobody has changed since. */
static bool replaces(const struct records *rec, size_t i, const bool *renumbered, uint64_t modseq)
{
    return rec->createdmodseq[i] == modseq && !renumbered[i];
}

struct compare_result diff_may_be_copied(struct arena *a, const struct records *rec,
                                         const struct replica_records *rrec, const struct compare_result *rows)
{
    struct compare_result out = { arena_array(a, rows->n, sizeof *out.d), 0, rows->n };
    const bool *renumbered = mark(a, rec, rows, ROW_RENUMBER);
    struct copies c;
    copies_index(&c, a, rec, rows);
    for (size_t k = 0; k < rows->n; k++) {
        const struct replica_record *r = rows->d[k].row == ROW_COPYBACK ? diff_find_theirs(rrec, rows->d[k].uid) : NULL;
        const struct same_guid *s = r ? map_get(&c.by_guid, guid_key(&r->guid)) : NULL;
        bool may = false;
        for (size_t j = 0; s && j < s->n && !may; j++)
            may = rec->uid[s->i[j]] > r->uid && replaces(rec, s->i[j], renumbered, r->modseq);
        if (may)
            out.d[out.n++] = rows->d[k];
    }
    copies_free(&c);
    return out;
}

struct compare_result diff_settle_copied(struct arena *a, const struct records *rec,
                                         const struct replica_records *rrec, const struct compare_result *rows,
                                         const struct replica_details *details)
{
    struct compare_result out = { arena_array(a, rows->n, sizeof *out.d), rows->n, rows->n };
    const bool *renumbered = mark(a, rec, rows, ROW_RENUMBER);
    struct copies c;
    copies_index(&c, a, rec, rows);
    for (size_t k = 0; k < rows->n; k++) {
        bool copyback = rows->d[k].row == ROW_COPYBACK;
        const struct replica_detail *t = copyback ? copies_detail(rrec, details, rows->d[k].uid) : NULL;
        size_t i;
        out.d[k] = rows->d[k];
        if (t && copies_find(&c, t, &i) && replaces(rec, i, renumbered, t->modseq))
            out.d[k].row = ROW_STALE;
    }
    copies_free(&c);
    return out;
}
