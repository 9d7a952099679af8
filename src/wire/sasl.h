/*
 * One authentication exchange of libsasl2, without I/O. Any thread, one at a time for
 * each object; sasl_library_init once per process before.
 */
#ifndef FANSYNC_WIRE_SASL_H
#define FANSYNC_WIRE_SASL_H

#include <stdbool.h>

#include "fansync/buf.h"
#include "fansync/err.h"
#include "fansync/session.h"
#include "fansync/slice.h"

struct sasl_exchange;

struct err *sasl_library_init(void);

/* host: the name connected to. The strings of o must outlive the exchange. */
struct err *sasl_exchange_new(const struct session_options *o, const char *host, struct sasl_exchange **out);
void sasl_exchange_free(struct sasl_exchange *x);

/* Chooses among mechs (separated by blanks). *initial is base64, "=" for an empty first
 * message, or of length 0 if the mechanism lets the server begin. */
struct err *sasl_exchange_start(struct sasl_exchange *x, const char *mechs, const char **mech,
                                struct buf *initial);
/* Answers a challenge; both in base64. */
struct err *sasl_exchange_step(struct sasl_exchange *x, struct slice challenge, struct buf *response);

#endif
