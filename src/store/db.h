/*
 * Reading a cyrusdb file of any backend (spec/store.md §3): twoskip, skiplist and flat,
 * recognised by content. Opening locks the file shared, makes sure that the path still
 * names it, and reads it; nothing is ever written or repaired. An unclean file gives its
 * last committed state. Damage is ERR_CORRUPT and names file and offset: a missing key
 * is never the answer to a damaged file.
 *
 * Threads: a struct db never changes once it is open, so any number of threads may read
 * it; but one opened with DB_ON_DISK belongs to the thread that opened it.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <stdbool.h>
#include <sys/stat.h>
#include "fansync/err.h"
#include "fansync/slice.h"

/* What a file is that has no magic, from the configured backend: only "flat" makes text
 * legal, under every other setting such a file is damaged. */
enum db_text_backend { DB_TEXT_REFUSED, DB_TEXT_FLAT };

enum {
    DB_MUST_EXIST = 1 << 0, /* missing is ERR_NONEXISTENT, 0 bytes ERR_CORRUPT; else both are empty */
    DB_MBOX_ORDER = 1 << 1, /* a twoskip file's keys may be in mailbox order (§3.2.2) */
    /* Look up in the file instead of reading it all: for a few keys of a big file. The
     * shared lock is held until db_free, and a writer waits for it: free it soon. */
    DB_ON_DISK = 1 << 2,
};

struct db;

/* backend: the option's value ("twoskip", "flat", …): sql and unknown ones are ERR_CONFIG. */
struct err *db_text_backend(const char *option, const char *backend, enum db_text_backend *out);

/* Waits for the lock as lock_fd does (ERR_BUSY). */
struct err *db_read(const char *path, enum db_text_backend text, unsigned flags, struct db **out);
void db_free(struct db *d); /* NULL is fine */

/* The file as it was under the lock; NULL for a missing one. */
const struct stat *db_stat(const struct db *d);

/*
 * Calls fn for every live record whose key begins with prefix, in the file's order; an
 * error of fn ends the walk and is returned. The slices live until db_free; with
 * DB_ON_DISK only during the call.
 */
typedef struct err *db_fn(void *ctx, struct slice key, struct slice value);
struct err *db_foreach(struct db *d, struct slice prefix, db_fn *fn, void *ctx);

/* *value lives until db_free; with DB_ON_DISK until the next call. */
struct err *db_get(struct db *d, struct slice key, struct slice *value, bool *found);

#endif
