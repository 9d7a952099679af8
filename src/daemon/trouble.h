/*
 * Whose fault it is that items fail: their own, or the replica's or this host's. An item whose fault it is not
 * must not pay for it: it would be deferred for up to an hour because a disk was full for a minute. One whose
 * fault it is must not hold up the others. Pure; each sender has one, of its thread.
 *
 * What is known after each batch, and what follows from it:
 *
 *   something was done               the others' failures are their own; nothing is common
 *   nothing, and the error says that
 *     this host has run out          common at once
 *     the replica's system fails     the items wait for it; common when it has met several owners
 *   nothing, and all that failed     common when it has met several owners
 *     failed in the same way
 *   only items that have failed      their own
 *     while others succeeded
 *
 * What is common pauses the channel, 1 s, doubling to a minute, and no try of an item counts. Items that
 * were deferred for something that may be common bear its mark (queue_item.user). The first success of one of them, or
 * of any item after a pause, shows that it is over: all with that mark are due at once.
 */
#ifndef FANSYNC_DAEMON_TROUBLE_H
#define FANSYNC_DAEMON_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/batch.h"
#include "fansync/queue.h"

enum trouble_cause { /* a later one explains more than an earlier one */
    CAUSE_ITEM,    /* can only be the item's own */
    CAUSE_ALIKE,   /* says nothing of its cause */
    CAUSE_REPLICA, /* ERR_AILING */
    CAUSE_HOST,    /* ERR_SHORTAGE */
    CAUSES
};

struct trouble {
    /* Failures in that way since anything succeeded, of items that never failed while others succeeded. */
    enum trouble_cause cause;
    enum err_kind kind;
    uint64_t owner; /* a hash: the first one's */
    bool several;   /* owners */
    int64_t wait;   /* seconds, the last one's; 0: none since anything succeeded */
    bool paused;    /* the channel was, and nothing has succeeded since */
    char mark[CAUSES];
};

struct verdict {
    enum trouble_cause cause; /* what is common; CAUSE_ITEM: nothing */
    bool pause;     /* the channel */
    int64_t wait;   /* seconds, for the channel or the items */
    size_t example; /* the index of a failure that shows it */
    bool over;      /* a pause was the last thing that happened, and something has succeeded */
};

enum trouble_cause trouble_cause_of(enum err_kind kind);

/* The batch has run. */
struct verdict trouble_judge(struct trouble *t, struct queue_item *const *items, const struct batch_entry *entries,
                             size_t n);

/* Whether that failed entry's try counts, in a batch with that verdict. */
bool trouble_counts(const struct verdict *v, const struct batch_entry *e);

#endif
