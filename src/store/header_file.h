/* cyrus.header (spec/store.md §5.1): quota root and user flag names. Pure. */
#ifndef FANSYNC_STORE_HEADER_FILE_H
#define FANSYNC_STORE_HEADER_FILE_H

#include "fansync/arena.h"
#include "fansync/err.h"
#include "fansync/slice.h"

enum { MAX_USER_FLAGS = 128 };

struct header_file {
    struct slice quotaroot;
    struct slice *flag; /* by bit; n == 0: unused */
    size_t nflags;
};

/* Both forms; slices live in a. Errors are ERR_CORRUPT and name path and offset. */
struct err *header_file_parse(struct arena *a, const char *path, struct slice text, struct header_file *out);

#endif
