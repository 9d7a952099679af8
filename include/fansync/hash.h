/*
 * A hash of bytes, seeded per process, so that names chosen by users cannot make a table
 * slow. Any thread. Not to be stored: another process gets other values.
 */
#ifndef FANSYNC_HASH_H
#define FANSYNC_HASH_H

#include <stdint.h>
#include "fansync/slice.h"

/* begin distinguishes tables or chains several parts: the result of one part begins the next. */
uint64_t hash_bytes(uint64_t begin, struct slice s);

#endif
