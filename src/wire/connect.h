/*
 * Where a replica is, and a connected socket to it. Used by session_open only.
 */
#ifndef FANSYNC_WIRE_CONNECT_H
#define FANSYNC_WIRE_CONNECT_H

#include <stdbool.h>

#include "fansync/err.h"
#include "fansync/session.h"

struct endpoint { /* spec/operation.md §5.4 */
    bool is_path;  /* a Unix socket: host is its path */
    char *host;
    char *port;    /* number or service name; NULL: csync */
    bool tls;      /* from the first byte */
    bool noauth;
};

/* Takes "host[:port][/option...]" or "/path" apart; a port there beats default_port. ERR_CONFIG: an option
 * that there is not; then ep need not be cleared. */
struct err *endpoint_parse(struct endpoint *ep, const char *server, const char *default_port);
void endpoint_clear(struct endpoint *ep);

struct connection {
    int fd;     /* non-blocking */
    bool local; /* the peer is on this host */
    char *peer; /* "host:port" or the path */
};

/* Tries all addresses in order, o->connect_timeout seconds each. ERR_CONNECT with the
 * fault of the last one, ERR_INTERRUPTED. */
struct err *endpoint_connect(const struct endpoint *ep, const struct session_options *o,
                             struct connection *c);

#endif
