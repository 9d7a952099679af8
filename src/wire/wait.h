/*
 * Waiting for a descriptor with a deadline and an ear for the signal to end. Used by
 * everything in this folder that waits, so that no wait escapes either.
 */
#ifndef FANSYNC_WIRE_WAIT_H
#define FANSYNC_WIRE_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fansync/err.h"

/* The deadline that is so many seconds from now; none for 0 or less. */
int64_t wait_deadline(int seconds);

/* Waits until fd has one of the events, an error included: *ready. The deadline passed:
 * *ready is false. ERR_INTERRUPTED when *stop becomes non-zero (stop may be NULL). */
struct err *wait_ready(int fd, short events, int64_t deadline, const atomic_int *stop,
                       bool *ready);

#endif
