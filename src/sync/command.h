/* The argument of APPLY MAILBOX, written from a snapshot. */
#ifndef FANSYNC_SYNC_COMMAND_H
#define FANSYNC_SYNC_COMMAND_H

#include <stdbool.h>
#include "fansync/diff.h"
#include "fansync/session.h"

struct mailbox_command {
    const struct mailbox_header *m;
    const struct records *rec;
    struct slice type;      /* MBOXTYPE; empty: plain mail */
    struct slice partition; /* wanted on the replica */
    const struct replica_mailbox *r; /* NULL: new there */
    struct record_bounds have;       /* what the replica has of the records */
    struct record_part part;
    /* Records to send besides, with the last part; parallel to rec, or NULL. An expunged one
     * gets the highest modseq, so that the replica's, which is live, cannot be newer. */
    const bool *also;
    const bool *hold; /* records not to send, whatever else says so; parallel to rec, or NULL */
    bool guard; /* send SINCE_*: refuse if the replica is not in the state r */
    uint32_t sync_crc;
    uint32_t sync_crc_annot;
};

/* OPTIONS as letters, in the caller's four bytes. */
struct slice command_options(uint32_t options, char letters[4]);

/* Writes "%(UNIQUEID ... RECORD (...))" into the command that session_begin gave buf for;
 * *nrecords counts the records written. An error is the session's. */
struct err *mailbox_command_write(struct session *s, struct buf *b, const struct mailbox_command *c,
                                  uint64_t *nrecords);

#endif
