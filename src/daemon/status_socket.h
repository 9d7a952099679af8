/*
 * What the two ends of the status socket share: status_server.c in the process that runs, status_ask.c in
 * the one that asks. A path may be longer than a socket's address can hold, so it is reached through
 * the descriptor of its folder.
 */
#ifndef FANSYNC_DAEMON_STATUS_SOCKET_H
#define FANSYNC_DAEMON_STATUS_SOCKET_H

#include <sys/un.h>

#include "daemon/status.h"

#define STATUS_SOCKET "status.socket"

/* A socket, and the address of FOLDER/status.socket; *folder_fd is to be closed after use. flags: beside
 * SOCK_CLOEXEC. -1: errno says why. */
int status_socket(const char *folder, int flags, struct sockaddr_un *address, int *folder_fd);

/* The line that asks for it. */
const char *status_word(enum status_format format);

#endif
