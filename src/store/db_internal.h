/*
 * Between db.c and the backends: an open database is either a table of its live records
 * in memory, or (DB_ON_DISK, a clean file) a cursor that searches the locked file.
 */
#ifndef STORE_DB_INTERNAL_H
#define STORE_DB_INTERNAL_H

#include <stdint.h>
#include "fansync/bigendian.h"
#include "fansync/buf.h"
#include "store/db.h"
#include "store/rows.h"

struct db {
    char *path;
    int fd; /* kept open so that the inode's number is not given to another file; -1: missing file */
    struct stat st;
    enum db_text_backend text;
    unsigned flags;
    const struct db_cursor *cursor; /* not NULL: search the file; the rest below is for it */
    struct buf window;              /* bytes of the file that were read last */
    uint64_t window_at;
    uint64_t top; /* twoskip: current_size; skiplist: the file's size */

    char *mem; /* the whole file, up to st.st_size */
    struct db_row *rows;
    size_t nrows;
    size_t caprows;
    bool mbox_order; /* rows rise in mailbox order, else bytewise */
};

/* A record found by a cursor; slices live until the next call. */
struct db_found {
    bool found;
    uint64_t at;
    struct slice key;
    struct slice value;
};

struct db_cursor {
    /* The first record with a key >= key. */
    struct err *(*seek)(struct db *d, struct slice key, struct db_found *f);
    /* The one behind f; f->key has been used up. */
    struct err *(*next)(struct db *d, struct db_found *f);
};

/* n bytes at an offset, from memory or from the file; until the next call (in memory:
 * until db_free). ERR_CORRUPT if they are not all below the end of the file. */
struct err *db_at(struct db *d, uint64_t off, uint64_t n, const char **p);

void db_add_row(struct db *d, struct slice key, struct slice value);
struct err *db_corrupt(const struct db *d, uint64_t off, const char *what)
    __attribute__((warn_unused_result));

/* The order of §3.2.2. */
int mbox_cmp(struct slice a, struct slice b);

/* The backends: fill the table, from memory. */
struct err *twoskip_load(struct db *d);
struct err *skiplist_load(struct db *d);
struct err *flat_load(struct db *d);

/* True if a cursor can search the file as it is now. */
struct err *twoskip_is_clean(struct db *d, bool *clean);
struct err *skiplist_is_clean(struct db *d, bool *clean);
extern const struct db_cursor twoskip_cursor;
extern const struct db_cursor skiplist_cursor;

#endif
