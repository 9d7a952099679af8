/* mailboxes.db: rows of a flat file, old form and new, their entries and names. */
#include "fuzz.h"

#include "store/mblist.h"

struct looked {
    const struct mblist *list;
    struct arena arena;
    struct namespace_options names;
};

/* A name survives being taken apart, in both forms. */
static void name(struct looked *l, struct slice internal)
{
    struct mbname m = names_from_internal(&l->arena, &l->names, internal);
    struct slice again = names_to_internal(&l->arena, &l->names, &m), key = names_to_db(&l->arena, &l->names, &m);
    struct mbname n = names_from_internal(&l->arena, &l->names, again);
    must(slice_eq(names_to_internal(&l->arena, &l->names, &n), again));
    names_from_db(&l->arena, &l->names, key);
    names_userid(&l->arena, &m);
}

static void row(struct looked *l, const struct db_row *r)
{
    struct mbentry e, other;
    bool found = false;
    if (fuzz_refused(mblist_entry(l->list, &l->arena, &l->names, r, &e)))
        return;
    name(l, e.name);
    mbentry_is_live(&e);
    fuzz_refused(mblist_by_id(l->list, &l->arena, &l->names, e.uniqueid, &other, &found));
    fuzz_refused(mblist_has_former_names(l->list, e.uniqueid, &found));
    mblist_present_names(l->list, &l->arena, &l->names, r->key);
}

static void rows(struct looked *l, const struct mbrows *all)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct db_row *found = mblist_find(l->list, all, all->row[i].key);
        size_t first, end;
        must(found && slice_eq(found->key, all->row[i].key));
        mblist_range(l->list, all, all->row[i].key, &first, &end);
        must(first <= i && i < end && end <= all->n);
        row(l, &all->row[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice in = slice_of((const char *)data, n);
    uint8_t bits = fuzz_byte(&in);
    struct mblist *list;
    struct looked l = { .arena = ARENA_INIT,
                        .names = { bits & 1, bits & 2, slice_str("example.com"), slice_str("DELETED") } };
    const char *path = fuzz_file(in);
    if (!fuzz_refused(mblist_load(path, DB_TEXT_FLAT, bits & 4, slice_str("master"), &list))) {
        l.list = list;
        rows(&l, &list->names);
        mblist_free(list);
    }
    arena_free(&l.arena);
    return 0;
}
