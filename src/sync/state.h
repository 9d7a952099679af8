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

#endif
