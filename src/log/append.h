/* For the rest of this room: synclog_append with another patience. Any thread. */
#ifndef FANSYNC_LOG_APPEND_H
#define FANSYNC_LOG_APPEND_H

#include <stdint.h>
#include "fansync/err.h"
#include "fansync/slice.h"

/* As synclog_append, but waits wait_ms at most for the lock. */
struct err *append_within(const char *path, struct slice lines, int64_t wait_ms)
    __attribute__((warn_unused_result));

#endif
