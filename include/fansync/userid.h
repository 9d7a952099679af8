/* What can be a user id. Pure; any thread. */
#ifndef FANSYNC_USERID_H
#define FANSYNC_USERID_H

#include <stdbool.h>
#include "fansync/arena.h"
#include "fansync/slice.h"

/* False for what no user of Cyrus can be called: nothing, a control byte, a separator of paths or of
 * domains, or a name that is too long for a file. */
bool userid_is_possible(struct slice s);

/* A user id as it is spelled inside a mailbox name ("j^doe") or by itself ("j.doe"): the latter,
 * which lives in a. */
struct slice userid_plain(struct arena *a, struct slice s);

#endif
