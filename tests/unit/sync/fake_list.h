/* A mailbox list in memory, in place of src/store's: what the tests of a file that only looks names up need. */
#ifndef FANSYNC_TESTS_FAKE_LIST_H
#define FANSYNC_TESTS_FAKE_LIST_H

#include "fansync/store.h"

struct store {
    struct namespace_options names;
    struct mbentry e[16];
    size_t n;
    const char *damaged; /* the name whose entry cannot be read, or NULL */
};

static struct store list = { .names = { .unixhierarchysep = true, .deletedprefix = { "DELETED", 7 } } };

static inline struct mbentry *list_add(const char *name, const char *uniqueid, unsigned flags)
{
    struct mbentry *e = &list.e[list.n++];
    *e = (struct mbentry){ .name = slice_str(name), .uniqueid = slice_str(uniqueid), .kind = 'e', .flags = flags };
    return e;
}

static inline void list_clear(void)
{
    list.n = 0;
    list.damaged = NULL;
}

const struct namespace_options *store_names(const struct store *s)
{
    return &s->names;
}

static inline struct err *list_find(const struct store *s, struct slice text, bool by_id, struct mbentry *out, bool *found)
{
    *found = false;
    for (size_t i = 0; i < s->n && !*found; i++) {
        const struct mbentry *e = &s->e[i];
        if (!slice_eq(by_id ? e->uniqueid : e->name, text))
            continue;
        if (s->damaged && slice_eqs(e->name, s->damaged))
            return err_new(ERR_CORRUPT, "mailboxes.db: entry %s cannot be read", s->damaged);
        *out = *e;
        *found = true;
    }
    return NULL;
}

struct err *store_lookup(struct store *s, struct arena *a, struct slice name, struct mbentry *out, bool *found)
{
    (void)a;
    return list_find(s, name, false, out, found);
}

struct err *store_lookup_id(struct store *s, struct arena *a, struct slice uniqueid, struct mbentry *out, bool *found)
{
    (void)a;
    return list_find(s, uniqueid, true, out, found);
}

#endif
