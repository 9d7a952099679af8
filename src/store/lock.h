/*
 * Cyrus's locks as open-file-description locks (spec/store.md §7). The caller keeps the
 * order: user sync lock, namespace, name, cyrus.index, databases; nothing here waits for
 * ever, and a wait that is too long is ERR_BUSY. One descriptor per holder: never dup a
 * locked descriptor. Any thread may call.
 */
#ifndef STORE_LOCK_H
#define STORE_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/err.h"
#include "fansync/names.h"
#include "fansync/slice.h"
#include "store/paths.h"

enum lock_mode { LOCK_SHARED, LOCK_EXCLUSIVE };

#define LOCK_WAIT_MS 60000 /* what every caller gives, but for tries (0) and tests */

/* Locks the whole open file; shared needs a readable, exclusive a writable descriptor.
 * wait_ms 0: one try. what names the file in errors. */
struct err *lock_fd(int fd, enum lock_mode mode, int64_t wait_ms, const char *what);
void lock_drop(int fd);

/*
 * Opens path (flags: O_RDONLY…; O_CLOEXEC is added), locks it, and makes sure that the
 * path still names the locked file, else starts over: for files that are replaced by
 * rename (databases, cyrus.index). ERR_NONEXISTENT if it is not there.
 */
struct err *lock_open(const char *path, int flags, enum lock_mode mode, int64_t wait_ms, int *fd);

/* A lock file, made where Cyrus would make it; closing its descriptor unlocks it. */
struct err *lock_file(const struct paths *p, const char *path, enum lock_mode mode, int64_t wait_ms,
                      int *fd);

/* The name lock of a mailbox, shared: its uniqueid, or its name if it is legacy. */
struct err *lock_mailbox_name(const struct paths *p, const struct mbentry *e, int *fd);

/* The namespace lock of whom the mailbox belongs to (nobody: that of the shared ones),
 * shared, under both names that versions give it. */
struct namespace_lock {
    int fd[2]; /* -1: not held */
};
#define NAMESPACE_LOCK_INIT { { -1, -1 } }
struct err *lock_namespace(const struct paths *p, const struct mbname *m, struct namespace_lock *out);
void lock_namespace_drop(struct namespace_lock *l); /* idempotent */

#endif
