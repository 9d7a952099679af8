/*
 * What has become here of a mailbox that the replica has: the question before anything of a
 * replica is deleted, or moved away because its name is wanted. Only the uniqueid tells which
 * mailbox it is; a name is never asked but to find a tombstone. Used by folders.c.
 */
#ifndef FANSYNC_SYNC_FATE_H
#define FANSYNC_SYNC_FATE_H

#include "sync/unit.h"

enum fate_kind {
    FATE_UNKNOWN, /* nothing here tells of it: it may be the replica's own */
    FATE_DEAD,    /* it was deleted here, which the list or a record of the log says */
    FATE_HERE,    /* it exists here, perhaps under another name or on another server */
};

struct fate {
    enum fate_kind kind;
    struct mbentry here; /* FATE_HERE: the list's entry */
    struct slice moved_to; /* FATE_DEAD: the name in the deleted tree that a record gave it, or empty */
};

/* An error means that the list could not be read: nothing is known then. Lives in the unit's arena. */
struct err *fate_of(struct unit *u, const struct replica_mailbox *r, struct fate *out)
    __attribute__((warn_unused_result));

/* Whether a record says that the mailbox of this name was deleted (engine_item.deleted); *moved_to as above. */
bool fate_is_told(const struct unit *u, struct slice name, struct slice *moved_to);

#endif
