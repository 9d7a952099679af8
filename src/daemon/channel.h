/*
 * A channel: one replica with its configuration, its log and its files (spec/operation.md §2.1,
 * §5.3). One-shot modes have one, rolling mode one for each name of -n. Immutable after
 * channel_open; engines are made from it, one for each connection.
 */
#ifndef FANSYNC_DAEMON_CHANNEL_H
#define FANSYNC_DAEMON_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include "daemon/connect.h"
#include "daemon/notify.h"
#include "fansync/cache.h"
#include "fansync/config.h"
#include "fansync/engine.h"
#include "fansync/store.h"

/* From the command line; strings outlive the channel. */
struct channel_options {
    struct connect_options connect;
    bool no_copyback;      /* -O */
    bool skip_locked;      /* -N */
    bool stage_to_archive; /* -a */
    bool local_only;       /* -L */
    bool cached;           /* use the replica state cache */
    const char *partition; /* -p, or NULL */
};

struct channel {
    const struct config *config;
    struct store *store;
    struct channel_options o;
    const char *name; /* NULL: the default channel, without a name */
    char *folder;     /* of its logs, with a slash at the end */
    char *log;
    struct connector replica, master;
    struct expunge_limit max_expunge;
    struct notify notify;
    struct cache *cache; /* NULL: none */
};

/* config and store must outlive the channel. ERR_NONEXISTENT: no host is configured; ERR_CONFIG. A
 * cache that cannot be had is told in the log and done without. */
struct err *channel_open(struct channel *c, const struct config *config, struct store *store,
                         const struct channel_options *o);
void channel_close(struct channel *c);

/* A new engine, with a connect function and its context. */
struct engine *channel_engine(struct channel *c, struct err *(*connect)(void *ctx, struct session **out), void *ctx);

#endif
