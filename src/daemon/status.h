/*
 * What a running process tells of itself: over a Unix socket in each folder whose log it follows,
 * and in the log for SIGUSR1. Everything is the main thread's; it reads what senders and the
 * tailing thread write down (daemon/line.h, daemon/tailing.h).
 *
 * A client connects to FOLDER/status.socket, sends one line ("text", "json", "metrics" or "faults")
 * and reads to the end of file.
 */
#ifndef FANSYNC_DAEMON_STATUS_H
#define FANSYNC_DAEMON_STATUS_H

#include <poll.h>
#include <stddef.h>
#include "daemon/line.h"
#include "daemon/tailing.h"
#include "fansync/buf.h"

enum status_format {
    STATUS_TEXT,
    STATUS_JSON,
    STATUS_METRICS,
    STATUS_FAULTS, /* a line "faults", then a line for each thing that needs an operator */
};

/* What there is to look at. */
struct status_view {
    struct line *const *lines;
    size_t n;
    struct tailing *tailing;
    const struct buf *faults; /* what was found when all was set up, a line each; or NULL */
};

/* Appends the state of all lines. */
void status_write(struct buf *out, enum status_format format, const struct status_view *v);
/* The text, a NOTICE a line. */
void status_log(const struct status_view *v);

struct status_server;
/* Listens in every folder whose log is followed, hubs' too; one that cannot be listened in is told in the log and left
 * out. v is borrowed. */
struct status_server *status_server_new(const struct status_view *v);
void status_server_free(struct status_server *s);
/* Appends to the array *f, of which n places are taken, what is to be polled; the number of places taken then. */
size_t status_server_fds(const struct status_server *s, struct pollfd **f, size_t n, size_t *cap);
/* After the poll, whether or not something came: f is the first that status_server_fds appended. Never waits;
 * a client is given five seconds. */
void status_server_serve(struct status_server *s, const struct pollfd *f);

/* The client's side: asks the process that follows the logs of that folder, and writes its answer
 * to stdout. *faulty: something needs an operator. ERR_CONNECT: there is none; ERR_BUSY: it does not answer within five
 * seconds. */
struct err *status_ask(const char *folder, enum status_format format, bool *faulty);

#endif
