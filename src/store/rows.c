/* Searching sorted rows (store/rows.h). */
#include "store/rows.h"

#include "store/db_internal.h"

size_t rows_lower_bound(const struct db_row *rows, size_t n, bool mbox_order, struct slice key)
{
    int (*cmp)(struct slice, struct slice) = mbox_order ? mbox_cmp : slice_cmp;
    size_t from = 0, to = n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (cmp(rows[mid].key, key) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}
