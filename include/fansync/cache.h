/*
 * What a replica is known to hold of each mailbox, so that a change need not begin with a
 * question (spec/algorithm.md §3.3). One file for each channel, in SQLite; it may be deleted at
 * any time, and no damage of it ends the process (docs/decisions/cache.md). Only what the replica has confirmed, or was found equal, is in it, and a
 * change that rests on it carries SINCE_* (but for a mailbox that is empty there, where the
 * replica's own checks do): a wrong entry costs one refused command. What is unchanged here is
 * not asked about, so a change made on the replica alone shows with the next change here.
 *
 * Never wrong after a crash: a process that dies leaves the last committed state, which is
 * older, never newer, than the replica's. After a crash of the machine the file is thrown away:
 * it is not forced to disk.
 *
 * A struct cache may be used by several threads (the senders of a channel).
 */
#ifndef FANSYNC_CACHE_H
#define FANSYNC_CACHE_H

#include <stdbool.h>
#include "fansync/arena.h"
#include "fansync/err.h"
#include "fansync/replica.h"
#include "fansync/slice.h"

struct cache;

/* replica: whom it is about (host and port as configured); a file about another one, or of an earlier
 * start of the machine, is replaced; so is one that cannot be used, with a line in the log. An error means that
 * there can be none: the folder cannot be written, or another process has the file. */
struct err *cache_open(const char *path, const char *replica, struct cache **out);
void cache_close(struct cache *c);

/* Everything of *out lives in a. Faults count as not found; the file is then made anew. */
bool cache_get(struct cache *c, struct arena *a, struct slice name, struct replica_mailbox *out);

/* Changes gather in a list of the caller's and are committed together. */
struct cache_changes {
    struct arena arena;
    struct cache_change *first, **last;
};
void cache_changes_init(struct cache_changes *l);
/* Copies what it is given. */
void cache_put(struct cache_changes *l, struct slice name, const struct replica_mailbox *r);
void cache_drop(struct cache_changes *l, struct slice name);
/* The mailbox and all below it, by internal name. */
void cache_drop_tree(struct cache_changes *l, struct slice name);
/* Empties the list. A cache that cannot be written is made anew or done without, with one line. */
void cache_commit(struct cache *c, struct cache_changes *l);
void cache_changes_free(struct cache_changes *l);

#endif
