/*
 * After a copyback: the master's own sync_server keeps what it is told out of the logs, so
 * the other channels hear of it from us (spec/store.md §8.5). Any thread.
 */
#ifndef FANSYNC_DAEMON_NOTIFY_H
#define FANSYNC_DAEMON_NOTIFY_H

#include "fansync/config.h"
#include "fansync/slice.h"

struct notify {
    const struct config *config;
    const char *channel; /* our own, or NULL */
};

/* ctx is a struct notify; the engine's changed_master. Appends MAILBOX to the log of every
 * channel that the service "synclocal" does not write itself, but our own. */
void notify_channels(void *ctx, struct slice name);

#endif
