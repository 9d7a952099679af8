/*
 * Records of the replica with everything that they say (spec/commands.md §4.3): asked for a
 * second time, because only a full comparison tells which few of a mailbox's records are
 * wanted. Called by the engine's copyback.
 */
#include "sync/unit.h"

#include <stdlib.h>

#include "fansync/log.h"

#define VIRTUAL "/vendor/cmu/cyrus-imapd/"

static struct slice key_of(const uint32_t *uid)
{
    return slice_of((const char *)uid, sizeof *uid);
}

static struct slice copy(struct work *w, struct slice s)
{
    return arena_dup(&w->unit->arena, s); /* the item's own tree is forgotten */
}

static uint32_t system_flag(struct slice name)
{
    static const struct { const char *name; uint32_t bit; } known[] = {
        { "\\Deleted", REC_DELETED }, { "\\Answered", REC_ANSWERED }, { "\\Flagged", REC_FLAGGED },
        { "\\Draft", REC_DRAFT },     { "\\Expunged", REC_EXPUNGED }, { "\\Seen", REC_SEEN },
    };
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (slice_caseeqs(name, known[k].name))
            return known[k].bit;
    return 0;
}

static void take_flags(struct work *w, const struct dlist *item, struct replica_detail *t)
{
    const struct dlist *list = dlist_get(item, "FLAGS");
    t->userflags = arena_array(&w->unit->arena, list ? dlist_count(list) : 0, sizeof *t->userflags);
    for (const struct dlist *d = list ? list->first : NULL; d; d = d->next) {
        uint32_t bit = system_flag(d->str);
        if (bit)
            t->flags |= bit;
        else if (d->str.n)
            t->userflags[t->nuserflags++] = copy(w, d->str);
    }
}

static bool number(struct slice s, int base, uint64_t *out)
{
    char text[32], *end;
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *out = strtoull(text, &end, base);
    return *end == '\0';
}

/* True for values that live in the index record itself (spec/records.md, virtual annotations). */
static bool take_virtual(struct slice entry, struct slice userid, struct slice value, struct replica_detail *t)
{
    uint64_t v;
    if (userid.n)
        return false;
    if (slice_eqs(entry, VIRTUAL "thrid") && number(value, 16, &v)) {
        t->cid = v;
        return true;
    }
    if (slice_eqs(entry, VIRTUAL "savedate") && number(value, 10, &v)) {
        t->savedate = (int64_t)v;
        return true;
    }
    if (slice_eqs(entry, VIRTUAL "createdmodseq") && number(value, 10, &v)) {
        t->createdmodseq = v;
        return true;
    }
    return false;
}

static int compare_annotations(const void *x, const void *y)
{
    const struct annotation *a = x, *b = y;
    int c = slice_cmp(a->entry, b->entry);
    return c ? c : slice_cmp(a->userid, b->userid);
}

static struct err *take_annotations(struct work *w, const struct dlist *item, struct replica_detail *t)
{
    const struct dlist *list = dlist_get(item, "ANNOTATIONS");
    struct annotation_list *l = &t->annotations;
    l->a = arena_array(&w->unit->arena, list ? dlist_count(list) : 0, sizeof *l->a);
    for (const struct dlist *d = list ? list->first : NULL; d; d = d->next) {
        struct annotation *an = &l->a[l->n];
        struct slice entry, userid, value;
        if (!dlist_str(d, "ENTRY", &entry) || !dlist_str(d, "USERID", &userid) || !dlist_str(d, "VALUE", &value))
            return err_new(ERR_PROTOCOL, "ANNOTATIONS item without ENTRY, USERID or VALUE");
        if (take_virtual(entry, userid, value, t))
            continue;
        *an = (struct annotation){ copy(w, entry), copy(w, userid), copy(w, value), 0 };
        dlist_u64(d, "MODSEQ", &an->modseq);
        l->n++;
    }
    if (l->n > 1)
        qsort(l->a, l->n, sizeof *l->a, compare_annotations);
    return NULL;
}

/* One RECORD item. */
static struct err *take_record(void *ctx, const struct dlist *item)
{
    struct work *w = ctx;
    struct replica_details *l = &w->details;
    struct replica_detail t = { 0 };
    if (!dlist_u32(item, "UID", &t.uid) || !map_get(&w->wanted, key_of(&t.uid)))
        return NULL;
    if (!dlist_u64(item, "MODSEQ", &t.modseq) || !dlist_i64(item, "LAST_UPDATED", &t.last_updated) ||
        !dlist_i64(item, "INTERNALDATE", &t.internaldate) || !dlist_u64(item, "SIZE", &t.size) ||
        !dlist_guid(item, "GUID", &t.guid))
        return err_new(ERR_PROTOCOL, "RECORD of " SLICE_FMT " with a missing or ill-typed key",
                       SLICE_ARG(w->entry->name));
    take_flags(w, item, &t);
    TRY(take_annotations(w, item, &t));
    l->d = arena_grow(&w->unit->arena, l->d, l->n, &l->cap, sizeof *l->d);
    l->d[l->n++] = t;
    return NULL;
}

static void answered(void *ctx, const struct answer *a)
{
    struct work *w = ctx;
    if (a->err)
        work_fail(w, err_copy(a->err));
}

static size_t collect_wanted(struct work *w, const struct compare_result *c)
{
    for (size_t k = 0; k < c->n; k++)
        if (compare_row_wants_detail(c->d[k].row))
            map_put(&w->wanted, key_of(&c->d[k].uid), w);
    return w->wanted.n;
}

struct err *detail_ask(struct work *w, const struct compare_result *c)
{
    struct session *s = w->unit->engine->session;
    struct dlist_hooks hooks = { .ctx = w, .watch_key = "RECORD", .item = take_record };
    struct err *err = NULL;
    w->details = (struct replica_details){ NULL, 0, 0 };
    if (collect_wanted(w, c)) {
        dlist_write_str(session_begin(s, "GET FULLMAILBOX", NULL, &hooks, answered, w), w->entry->name);
        allow_records(w);
        err = session_end(s);
        if (!err)
            err = session_drain(s);
    }
    map_free(&w->wanted);
    return err;
}
