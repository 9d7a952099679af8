/*
 * The master's own sync_server, started by ourselves where no copyback service is configured. It
 * speaks through one session, belongs to whoever has that session, and ends with it. Any thread; a
 * session ends at the latest with the thread that opened it.
 */
#ifndef FANSYNC_DAEMON_PRIVATE_SERVER_H
#define FANSYNC_DAEMON_PRIVATE_SERVER_H

#include <stdbool.h>
#include "fansync/buf.h"
#include "fansync/config.h"
#include "fansync/session.h"

/* Puts the path of the master's sync_server into the buffer: in the folder that cyrus_bindir
 * names, else beside this program, which may stand in the stock client's place, else where Cyrus was when this program
 * was built. False: there is none, and the path is where it was looked for last. */
bool private_server_program(const struct config *config, struct buf *path);

/* Starts a server and opens a session with it. o: as for session_open, without server and
 * credentials. ERR_CONNECT, ERR_INTERRUPTED. */
struct err *private_server_open(const struct config *config, const struct session_options *o, struct session **out);

#endif
