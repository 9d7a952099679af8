/*
 * Records carried out once, as one batch: those of a file (-R -f FILE, spec/operation.md §1.6),
 * or of the channel's log (-R -1). Main thread.
 */
#ifndef FANSYNC_CLI_REPLAY_H
#define FANSYNC_CLI_REPLAY_H

#include <stdbool.h>
#include "cli/modes.h"

/* *failed: something could not be done, or the file not be read; told in the log. An error ends
 * the run early (a signal, no connection). */

/* path "-": standard input. log: of the channel; what is locked by another client is appended
 * to it. The file stays as it is. */
struct err *replay_file(struct run *r, const char *path, const char *log, bool *failed);

/* At most one log of the folder; what could not be done is appended to its new one. */
struct err *replay_log(struct run *r, const char *folder, const char *log, bool *failed);

#endif
