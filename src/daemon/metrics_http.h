/*
 * The metrics over HTTP, for a monitoring system on this machine (libmicrohttpd). Main thread;
 * no thread of its own: whoever polls its descriptor runs it.
 */
#ifndef FANSYNC_DAEMON_METRICS_HTTP_H
#define FANSYNC_DAEMON_METRICS_HTTP_H

#include <stddef.h>
#include "daemon/status.h"
#include "fansync/err.h"

struct metrics_http;

/* address: "127.0.0.1:9109" or "localhost:9109"; anything but this machine's loopback is
 * ERR_CONFIG. view is borrowed. GET /metrics is answered, nothing else. */
struct err *metrics_http_new(const char *address, const struct status_view *view, struct metrics_http **out);
void metrics_http_free(struct metrics_http *m);
/* To poll for reading; then metrics_http_run. */
int metrics_http_fd(const struct metrics_http *m);
void metrics_http_run(struct metrics_http *m);

#endif
