/*
 * The end that does not wait: some time after a signal has asked the process to end it ends, whatever
 * hangs: a file server, a name server, a network that is cut. The logs make that safe: what was not
 * confirmed is still in them (docs/architecture.md).
 *
 * A thread of its own waits for the first signal: told by the handler, or, where the main thread has
 * signals blocked and is stuck, by the kernel, which shows what is pending.
 */
#ifndef FANSYNC_CLI_HARD_END_H
#define FANSYNC_CLI_HARD_END_H

#include <signal.h>

enum { HARD_END_MS = 2000 };

/* Begins to watch for these signals; status: of the process. Once, before other threads. */
void hard_end_watch(const sigset_t *signals, int status);
/* From the handler of such a signal. Async-signal-safe. */
void hard_end_told(void);
/* Everything has ended by itself. */
void hard_end_off(void);

#endif
