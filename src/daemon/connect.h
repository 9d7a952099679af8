/*
 * Connecting to the replica as often as it takes (spec/operation.md §4.4). Made by a
 * channel from configuration and options; session_connect_retry is the engine's connect
 * function in one-shot modes. Belongs to one thread.
 */
#ifndef FANSYNC_DAEMON_CONNECT_H
#define FANSYNC_DAEMON_CONNECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "fansync/config.h"
#include "fansync/err.h"
#include "fansync/session.h"

/* What the command line says of connections; strings outlive the connector. */
struct connect_options {
    const char *channel; /* NULL: none */
    const char *server;  /* -S, or NULL */
    bool once;           /* -o */
    bool require_compression; /* -z */
    bool trace;          /* -v -v */
    const atomic_int *stop; /* a signal asks to end */
};

struct connector {
    struct session_options session; /* its strings live in the options and the config */
    int64_t maxwait; /* seconds between two attempts at most; <= 0: no limit */
    bool once;       /* -o */
    /* Of the master's own server: */
    const struct config *private; /* it is started by ourselves (private_server.h); or NULL */
    const char *missing;          /* why there is none, with what would help; or NULL */
};

/* config must outlive the connector. ERR_NONEXISTENT: no host is configured; ERR_CONFIG: an
 * override of the channel is malformed. */
struct err *connector_init(struct connector *c, const struct config *config, const struct connect_options *o);

/*
 * ctx is a struct connector. Opens a session; while that fails, says so on stderr and the
 * cause in syslog, waits 15, 30, 60, ... seconds and tries again. Returns an error
 * without further attempts for -o (ERR_CONNECT, ERR_AUTH), for -z if there is no compression
 * (ERR_NOTSUPPORTED) and for a signal (ERR_INTERRUPTED). The first two have then been
 * told: the caller only has to exit with 1, with 75 for the third.
 */
struct err *session_connect_retry(void *ctx, struct session **out);

/*
 * The same for the master's own sync_server (copyback), as sync_copyback says: the service that is
 * configured, one of our own, or none. What is not said of it is as for the replica.
 * connect_master is the engine's: one attempt.
 */
void connector_init_master(struct connector *c, const struct config *config, const struct connect_options *o);
struct err *connect_master(void *ctx, struct session **out);

/* Whether there is no use in trying again after err (-o, -z, a signal); then it has been told,
 * else its cause has been logged. */
bool connect_is_final(const struct connector *c, const struct err *err);

/* The wait that follows one of that length (0: the first). For tests. */
int64_t connect_next_wait(int64_t previous, int64_t maxwait);

/* What restricts the SASL mechanisms for that server, or NULL (§5.6). For tests. */
const char *connect_mechs(const struct config *c, const char *server);

#endif
