/*
 * From a connected stream to one that takes commands: greeting, STARTTLS, AUTHENTICATE,
 * COMPRESS. Used by session_open only.
 */
#ifndef FANSYNC_WIRE_LOGIN_H
#define FANSYNC_WIRE_LOGIN_H

#include "connect.h"
#include "fansync/session.h"
#include "transport.h"

/* *capabilities: CAP_ bits of the last greeting. */
struct err *login_run(struct transport *t, const struct endpoint *ep, const struct connection *c,
                      const struct session_options *o, unsigned *capabilities);

#endif
