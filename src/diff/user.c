/*
 * Comparison of the things a user has besides mailboxes (spec/algorithm.md §8): sets of
 * names, quota limits, seen states. Pure.
 */
#include "fansync/diff.h"

#include "fansync/map.h"

struct subscription_list diff_names(struct arena *arena, const struct subscription_list *a,
                                    const struct subscription_list *b)
{
    struct subscription_list out = { arena_array(arena, a->n, sizeof *out.name), 0 };
    struct map have = MAP_INIT;
    for (size_t i = 0; i < b->n; i++)
        map_put(&have, b->name[i], &b->name[i]);
    for (size_t i = 0; i < a->n; i++)
        if (!map_get(&have, a->name[i]))
            out.name[out.n++] = a->name[i];
    map_free(&have);
    return out;
}

bool diff_quota_equal(const struct quota *a, const struct quota *b)
{
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        if (a->limit[i] != b->limit[i])
            return false;
    return true;
}

bool diff_seen_equal(const struct seen_row *a, const struct seen_row *b)
{
    return a->lastread == b->lastread && a->lastuid == b->lastuid && a->lastchange == b->lastchange &&
           slice_eq(a->uids, b->uids);
}
