/*
 * -R -f FILE: the records of a file carried out once as one batch (spec/operation.md §1.6).
 * Main thread.
 */
#ifndef FANSYNC_CLI_REPLAY_H
#define FANSYNC_CLI_REPLAY_H

#include <stdbool.h>
#include "cli/modes.h"
#include "fansync/slice.h"

/* path "-": standard input. log: of the channel; what is locked by another client is appended
 * to it. *failed: something could not be done, or the file not be read; told in the log. An
 * error ends the run early (a signal, no connection). */
struct err *replay_file(struct run *r, const char *path, const char *log, bool *failed);

#endif
