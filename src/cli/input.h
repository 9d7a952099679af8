/*
 * The file of names that -f gives to -u and -m (spec/operation.md §1.5.1). Used by main,
 * after the connection is made and privileges are dropped.
 */
#ifndef FANSYNC_CLI_INPUT_H
#define FANSYNC_CLI_INPUT_H

#include <stddef.h>
#include "fansync/arena.h"
#include "fansync/err.h"
#include "fansync/slice.h"

/* One name a line, as it stands: only the line's end is removed, and empty lines and those
 * that begin with '#' are left out. Lines may have any length. Everything lives in a. The
 * error's message is the one to log at NOTICE: "Unable to open PATH: reason". */
struct err *input_read(const char *path, struct arena *a, struct slice **names, size_t *n);

#endif
