/*
 * Rolling mode: all channels of the process, their lines, the tailing thread, and the main
 * thread that looks after them (spec/operation.md §4). Main thread only.
 */
#ifndef FANSYNC_DAEMON_ROLLING_H
#define FANSYNC_DAEMON_ROLLING_H

#include <stdatomic.h>
#include <stdbool.h>
#include "daemon/channel.h"
#include "fansync/config.h"
#include "fansync/store.h"

struct rolling_options {
    struct channel_options channel; /* connect.channel is not used; connect.stop is rolling's own */
    char *const *channels;    /* of -n; none: the default channel */
    size_t nchannels;
    const char *shutdown_file; /* -F, or NULL */
    int delay;                 /* -d, seconds; negative: as configured */
    int session_limit;         /* -t */
    bool once;                 /* -1 */
    /* What signals have asked for; the main thread's. */
    const atomic_int *stop;
    atomic_int *hangup;
    atomic_int *tell; /* SIGUSR1 */
    /* Asked at SIGHUP: is there a configuration to go on with? False: this run goes on as it is. */
    bool (*renew)(void *ctx);
    void *renew_ctx;
};

enum rolling_end {
    ROLLING_ENDED,  /* all lines have: *status */
    ROLLING_STOP,   /* a signal */
    ROLLING_AGAIN,  /* SIGHUP: with the configuration as it is now */
};

/* Runs until it ends. *status: 0, or 1 when something failed (-1, -o). An error: it could not
 * begin (ERR_NONEXISTENT, ERR_CONFIG: as channel_open; ERR_LOCKED: another process follows the log). */
struct err *rolling_run(const struct config *config, struct store *store, const struct rolling_options *o,
                        enum rolling_end *end, int *status);

/* Whether that configuration can work, without touching anything that a run of the old one has: the mail store
 * is opened, each channel and each fan-out is read, its folder can be written. The error says what is wrong. */
struct err *rolling_check(const struct config *config, const struct rolling_options *o);

#endif
