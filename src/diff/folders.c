/*
 * Folder matching of the diff core (spec/algorithm.md §2.1): the uniqueid alone decides
 * which mailbox of the replica is which of the master's; a name only tells that a
 * mailbox has to be renamed, or that its place is taken. Pure.
 */
#include "fansync/diff.h"

#include "fansync/map.h"

static struct map by_key(const struct replica_mailbox_list *list, bool by_name)
{
    struct map m = MAP_INIT;
    for (size_t i = 0; i < list->n; i++) {
        struct slice key = by_name ? list->m[i].name : list->m[i].uniqueid;
        if (key.n && !map_get(&m, key)) /* of two with one uniqueid the first counts */
            map_put(&m, key, &list->m[i]);
    }
    return m;
}

static struct folder_match match_one(const struct mbentry *e, struct replica_mailbox *same,
                                     struct replica_mailbox *at_name, struct slice partition)
{
    struct folder_match f = { same, false, false, at_name != same ? at_name : NULL };
    if (!same)
        return f;
    struct slice wanted = partition.n ? partition : e->partition;
    f.renamed = !slice_eq(e->name, same->name);
    f.moved = same->partition.n > 0 && wanted.n > 0 && !slice_eq(wanted, same->partition);
    return f;
}

struct folder_matches diff_folders(struct arena *a, const struct mbentry *master, size_t n,
                                   const struct replica_mailbox_list *replica, struct slice partition)
{
    struct folder_matches out = { .match = arena_array(a, n, sizeof *out.match), .n = n };
    struct map by_id = by_key(replica, false);
    struct map by_name = by_key(replica, true);
    bool *taken = arena_array(a, replica->n, sizeof *taken);

    for (size_t i = 0; i < n; i++) {
        struct replica_mailbox *same = map_get(&by_id, master[i].uniqueid);
        if (same && taken[same - replica->m])
            same = NULL;
        out.match[i] = match_one(&master[i], same, map_get(&by_name, master[i].name), partition);
        if (same)
            taken[same - replica->m] = true;
    }
    out.matched = taken;
    out.extra = arena_array(a, replica->n, sizeof(struct replica_mailbox *));
    for (size_t i = 0; i < replica->n; i++)
        if (!taken[i])
            out.extra[out.nextra++] = &replica->m[i];
    map_free(&by_id);
    map_free(&by_name);
    return out;
}
