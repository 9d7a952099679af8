/* Looking up records of the two sides by uid; both lists ascend. Pure. */
#include "fansync/diff.h"

#include <stdlib.h>

size_t diff_find_record(const struct records *rec, uint32_t uid)
{
    size_t lo = 0, hi = rec->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (rec->uid[mid] < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < rec->n && rec->uid[lo] == uid ? lo : SIZE_MAX;
}

static int compare_uid(const void *key, const void *element)
{
    const uint32_t *uid = key;
    const struct replica_record *r = element;
    return (*uid > r->uid) - (*uid < r->uid);
}

const struct replica_record *diff_find_theirs(const struct replica_records *rrec, uint32_t uid)
{
    return rrec->n ? bsearch(&uid, rrec->r, rrec->n, sizeof *rrec->r, compare_uid) : NULL;
}
