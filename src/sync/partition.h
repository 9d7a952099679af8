/*
 * Partitions of the replica (sync/partition.c): under which name one of the master's goes over the
 * wire, and which of them cannot take messages at present.
 *
 * A replica's server that is sent a message for a partition that it does not have ends its process; one
 * whose disk is full, or not mounted, answers BAD. A partition to which that happens is set aside, with
 * its mailboxes, so that the others arrive and the server is not made to end again and again. One that
 * has taken something in this process is given more chances. A single user's messages are never
 * enough, unless the server says so: one of them may be at fault.
 * It is tried again after 1, 2, 4 ... seconds, a minute at most, until it takes something.
 */
#ifndef FANSYNC_SYNC_PARTITION_H
#define FANSYNC_SYNC_PARTITION_H

#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/err.h"
#include "fansync/map.h"

struct partitions {
    const char *map; /* "big=default two=other", or NULL */
    struct map state;
    struct arena arena;
};

/* The replica's name for the master's partition. */
struct slice partition_there(const struct partitions *p, struct slice here);
/* Why nothing is sent to that partition of the replica; NULL: it is. */
const char *partition_aside(const struct partitions *p, struct slice name);
/* Messages for it were taken; an upload for it ended with err, of a user who was tried alone or in a window. */
void partition_worked(struct partitions *p, struct slice name);
void partition_failed(struct partitions *p, struct slice name, const struct err *err, bool alone);
/* Those that have been set aside for long enough are tried again. */
void partitions_look(struct partitions *p);
void partitions_free(struct partitions *p);

/* What may be the matter when the replica cannot make a mailbox there, or change one: in words for
 * an operator, which live in a. Empty if err says something else. */
struct slice partition_hint(struct arena *a, struct slice name, const struct err *err, bool makes);

#endif
