/*
 * poll(2) in short slices: a signal that arrives between the look at *stop and the poll
 * is noticed at the end of the slice at the latest. Any thread.
 */
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>

#include "fansync/clock.h"

enum { SLICE_MS = 100 };

int64_t wait_deadline(int seconds)
{
    return seconds > 0 ? clock_ms() + (int64_t)seconds * 1000 : INT64_MAX;
}

struct err *wait_ready(int fd, short events, int64_t deadline, const atomic_int *stop,
                       bool *ready)
{
    struct pollfd p = { .fd = fd, .events = events };
    *ready = false;
    for (;;) {
        if (stop && *stop)
            return err_new(ERR_INTERRUPTED, "interrupted by a signal");
        int64_t left = deadline - clock_ms();
        if (left <= 0)
            return NULL;
        int n = poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS);
        if (n > 0) {
            *ready = true;
            return NULL;
        }
        if (n < 0 && errno != EINTR)
            return err_errno("poll");
    }
}
