/*
 * What a replica may cost: bytes, memory and time of one answer, memory of a burst of answers. Part of
 * a session (session_internal.h); its thread only.
 *
 * Bytes: in proportion to what was asked. Each kind of command has a usual length of its answer, to which
 * the length of the command itself and what the caller announced (session_allow) are added.
 *
 * Time: an answer has the session's time limit, and a second more for each BOUNDS_FLOOR bytes that moved
 * in either direction since the answer before it. So whoever sends one byte now and then gains nothing,
 * and a large upload or answer has the time that it needs on any line that is of use. Only the time that
 * we spent waiting or moving bytes counts.
 */
#ifndef FANSYNC_WIRE_BOUNDS_H
#define FANSYNC_WIRE_BOUNDS_H

#include <stddef.h>
#include <stdint.h>

#include "fansync/err.h"

struct session;

enum { BOUNDS_FLOOR = 1000 }; /* bytes a second, below which a line is of no use */

struct bounds {
    /* of the answer that is being read */
    uint64_t bytes;        /* so far */
    size_t memory_before;  /* of its arena, when it began */
    int64_t waited_ms;     /* for it, in earlier waits */
    uint64_t moved_before; /* bytes both ways, when the one before it was complete */
    int64_t wait_began;    /* of this wait */
    /* of all answers since nothing was outstanding */
    uint64_t memory;
};

/* The usual length of an answer to this command. */
uint64_t bounds_usual(const char *verb);
/* How much longer the answer to a command of that length may be. */
uint64_t bounds_of_length(const char *verb, uint64_t length);

/* The answer to the oldest command begins. */
void bounds_begin(struct session *s);
/* So many bytes of it have been taken. */
void bounds_took(struct session *s, size_t n);
/* ERR_PROTOCOL if it has become too long or too large. */
struct err *bounds_check(const struct session *s);
/* It is complete. */
void bounds_end(struct session *s);

void bounds_wait_begin(struct session *s);
void bounds_wait_end(struct session *s);
/* When the wait that has begun has to be over: the answer is late then, or nothing came for too long. */
int64_t bounds_deadline(const struct session *s);

#endif
