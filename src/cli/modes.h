/*
 * The one-shot modes -u, -m, -A, -s: from names to items of the engine, and from how the
 * items ended to messages and an exit status (spec/operation.md §1.5, §1.10). Main thread.
 */
#ifndef FANSYNC_CLI_MODES_H
#define FANSYNC_CLI_MODES_H

#include <stdbool.h>
#include "fansync/engine.h"
#include "fansync/store.h"

/* What every mode works with; made by main. */
struct run {
    struct store *store;
    struct engine *engine;
    bool verbose;     /* -v: messages about failed items on stderr too */
    bool skip_locked; /* -N */
    uint64_t impossible;     /* names that were refused */
    uint64_t failed_records; /* of a log, after all that was tried in their place */
};

/* Each sets *failed when an item failed, and returns an error only when the run had to
 * end early (a signal, no connection). Names are as typed. */
struct err *mode_users(struct run *r, const struct slice *users, size_t n, bool *failed);
struct err *mode_meta(struct run *r, const struct slice *users, size_t n, bool *failed);
struct err *mode_mailboxes(struct run *r, const struct slice *names, size_t n, bool *failed);
/* prefix: of internal names, may be empty. */
struct err *mode_all(struct run *r, struct slice prefix, bool *failed);

#endif
