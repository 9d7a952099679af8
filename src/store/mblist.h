/*
 * mailboxes.db read once and kept: keys sorted, values parsed when asked for
 * (spec/store.md §4). A struct mblist never changes after mblist_load, so any number of
 * threads may search one at the same time; who frees it is store_list_put's affair.
 */
#ifndef STORE_MBLIST_H
#define STORE_MBLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include "fansync/arena.h"
#include "fansync/map.h"
#include "fansync/err.h"
#include "fansync/names.h"
#include "fansync/snapshot.h"
#include "store/db.h"
#include "store/rows.h"

struct mbrows {
    struct db_row *row; /* sorted */
    size_t n;
    size_t cap;
};

struct mblist {
    struct db *db;
    bool old_form;
    bool mbox_order; /* rows are sorted by it, else bytewise */
    struct mbrows names;
    struct mbrows ids;    /* by uniqueid; none in the old form */
    struct mbrows groups; /* keys behind "UG": user 0x1E group and the reverse */
    struct slice servername; /* an entry of another server is remote */
    unsigned users; /* guarded by the store's mutex */
};

/* servername outlives the list. improved_sort: the option improved_mboxlist_sort. */
struct err *mblist_load(const char *path, enum db_text_backend text, bool improved_sort,
                        struct slice servername, struct mblist **out);
void mblist_free(struct mblist *l);
/* False: the file has changed since. */
bool mblist_is(const struct mblist *l, const struct stat *st);

/* The key under which a mailbox is listed. */
struct slice mblist_key(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                        const struct mbname *m);
/* The row with that key, or NULL. */
const struct db_row *mblist_find(const struct mblist *l, const struct mbrows *rows, struct slice key);
/* The rows whose key begins with prefix: [*first, *end). */
void mblist_range(const struct mblist *l, const struct mbrows *rows, struct slice prefix, size_t *first,
                  size_t *end);
/* The entry of that uniqueid; a tombstone only if no mailbox has it. The old form is searched. */
struct err *mblist_by_id(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                         struct slice uniqueid, struct mbentry *out, bool *found);
/* Does the list keep former names of the mailbox with that uniqueid (H, spec/store.md §4.3)?
 * False for an unknown one, and for the old form, which keeps none. */
struct err *mblist_has_former_names(const struct mblist *l, struct slice uniqueid, bool *out);
/* The names, in a, of mailboxes outside the deleted tree that had the key before. The old form, which keeps no former
 * names, knows the one whose tombstone the key has. Entries that cannot be read are passed over. */
struct name_list mblist_present_names(const struct mblist *l, struct arena *a, const struct namespace_options *o, struct slice key);
/* The names, in a, that the mailboxes had whose uniqueid is a key of ids: those of tombstones of it, and its former names.
 * Entries that cannot be read are passed over. */
struct name_list mblist_former_names(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                                     const struct map *ids);
/* What a row says, in a. ERR_CORRUPT, ERR_NOTSUPPORTED (an unknown type letter, a value
 * of Cyrus 2) name the key. */
struct err *mblist_entry(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                         const struct db_row *row, struct mbentry *out);

#endif
