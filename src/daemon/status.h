/*
 * What a running process tells of itself: over a Unix socket in each folder whose log it follows,
 * and in the log for SIGUSR1. Everything is the main thread's; it reads what senders and the
 * tailing thread write down (daemon/line.h, daemon/tailing.h).
 *
 * A client connects to FOLDER/status.socket, sends one line ("text", "json" or "metrics") and
 * reads to the end of file.
 */
#ifndef FANSYNC_DAEMON_STATUS_H
#define FANSYNC_DAEMON_STATUS_H

#include <poll.h>
#include <stddef.h>
#include "daemon/line.h"
#include "daemon/tailing.h"
#include "fansync/buf.h"

enum status_format { STATUS_TEXT, STATUS_JSON, STATUS_METRICS };

/* Appends the state of all lines. */
void status_write(struct buf *out, enum status_format format, struct line *const *lines, size_t n,
                  struct tailing *tailing);
/* One NOTICE a channel. */
void status_log(struct line *const *lines, size_t n, struct tailing *tailing);

struct status_server;
/* Listens in every folder whose log is followed, hubs' too; one that cannot be listened in is told in the log and left
 * out. lines and tailing are borrowed. */
struct status_server *status_server_new(struct line *const *lines, size_t n, struct tailing *tailing);
void status_server_free(struct status_server *s);
/* Appends to the array *f, of which n places are taken, what is to be polled; the number of places taken then. */
size_t status_server_fds(const struct status_server *s, struct pollfd **f, size_t n, size_t *cap);
/* After the poll, whether or not something came: f is the first that status_server_fds appended. Never waits;
 * a client is given five seconds. */
void status_server_serve(struct status_server *s, const struct pollfd *f);

/* The client's side: asks the process that follows the logs of that folder, and writes its answer
 * to stdout. ERR_CONNECT: there is none; ERR_BUSY: it does not answer within five seconds. */
struct err *status_ask(const char *folder, enum status_format format);

#endif
