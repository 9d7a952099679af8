/*
 * What the status tells, gathered once for an answer: of each channel one walk through its queue, of each log what the
 * tailing thread wrote down. The figures, with their names, are one table for a channel and one for a log; whatever
 * writes them (status.c) takes all of it, so a new figure is added in one place. Main thread.
 */
#ifndef FANSYNC_DAEMON_STATUS_LOOK_H
#define FANSYNC_DAEMON_STATUS_LOOK_H

#include "daemon/status.h"

enum {
    RETRIES_TOLD = 50,
    STUCK_TRIES = 5, /* a record that has failed so often needs somebody to look */
    FIGURES_MOST = 40,
};

/* A record that is tried again. */
struct retry {
    int64_t first_ns, due_ns;
    unsigned tries;
    struct buf record, why;
};

/* A channel. */
struct picture {
    const struct line *line;
    const char *name; /* empty: the default channel */
    const char *server;
    struct queue_counters q;
    struct sender_status sum;    /* counters over its connections; the last error of all */
    struct sender_status *sender; /* each connection's */
    unsigned senders, connected, paused, blocked;
    double lag, oldest_retry, waiting; /* seconds */
    uint64_t stuck;   /* records that failed STUCK_TRIES times */
    uint64_t retries; /* all of them */
    size_t told;      /* of these in retry, the oldest first */
    struct retry retry[RETRIES_TOLD];
};

struct figure {
    const char *name; /* of JSON, and behind a prefix of metrics */
    const char *type; /* of OpenMetrics: gauge or counter */
    const char *help;
    double value;
};

void picture_take(struct picture *p, struct line *l);
void picture_free(struct picture *p);

/* Fill f, which has FIGURES_MOST places; how many there are: the same for all channels, and for all logs. */
size_t figures_of_channel(const struct picture *p, struct figure *f);
size_t figures_of_log(const struct tail_stats *s, struct figure *f);

/* How long ago, in seconds, a time of the monotonic clock was. */
double seconds_since(int64_t ns);

/* What needs an operator, a line each. */
void faults_write(struct buf *out, const struct status_view *v, const struct picture *pictures);

#endif
