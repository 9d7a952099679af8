/*
 * Sorted rows of a database in memory, and searching them: what db.c reads and what
 * mblist.c keeps of mailboxes.db. Pure; any thread.
 */
#ifndef FANSYNC_STORE_ROWS_H
#define FANSYNC_STORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include "fansync/slice.h"

struct db_row {
    struct slice key;
    struct slice value;
};

/* The first of n rows whose key is not below key; mbox_order: sorted by mbox_cmp, else
 * bytewise. */
size_t rows_lower_bound(const struct db_row *rows, size_t n, bool mbox_order, struct slice key);

#endif
