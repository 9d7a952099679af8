/* Reading a replica's answers into the plain structures of fansync/replica.h. */
#ifndef FANSYNC_SYNC_STATE_H
#define FANSYNC_SYNC_STATE_H

#include "fansync/arena.h"
#include "fansync/dlist.h"
#include "fansync/err.h"
#include "fansync/replica.h"

/* Adds one untagged line of GET USER, GET META or GET MAILBOXES. The line's tree must live
 * as long as the state. Lines of unknown kind are ignored; one that lacks a mandatory key
 * is ERR_PROTOCOL. */
struct err *state_add_line(struct arena *a, struct replica_state *s, const struct dlist *line);
/* All lines of an answer, up to the first that is an error. */
struct err *state_add_lines(struct arena *a, struct replica_state *s, struct dlist *const *lines, size_t n);

/* The keys of a MAILBOX line. */
struct err *state_read_mailbox(struct arena *a, const struct dlist *d, struct replica_mailbox *m);
/* The same the other way: "%(UNIQUEID ...)", which state_read_mailbox reads. */
void state_write_mailbox(struct buf *b, const struct replica_mailbox *m);

#endif
