/* Messages of the replica for the master's own server; used by copyback.c only. */
#ifndef FANSYNC_SYNC_FETCH_H
#define FANSYNC_SYNC_FETCH_H

#include "sync/unit.h"

/* Brings every message of the mend that only the replica has into the staging area of the
 * master's server. *fault: why this mailbox cannot be mended, or NULL; owned by the caller. An
 * error is the replica's session's. */
struct err *fetch_to_master(struct work *w, const struct mend *m, struct err **fault);

#endif
