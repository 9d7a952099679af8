/*
 * The process around a run (spec/operation.md §1.4, §4.6, §5.7): descriptors,
 * background, configuration, user, syslog, signals and how it ends. Called by main, in
 * the order of this header, before any thread is started.
 */
#ifndef FANSYNC_CLI_PROCESS_H
#define FANSYNC_CLI_PROCESS_H

#include <stdatomic.h>
#include <sys/types.h>
#include "cli/options.h"
#include "fansync/config.h"
#include "fansync/err.h"

/* "Fatal error: text" on stderr and in syslog, and exits with status (of <sysexits.h>). */
_Noreturn void process_fatal(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Goes into the background if the options and the environment say so: the parent then
 * exits with 0 here. Afterwards descriptors 0-2 exist. */
void process_begin(const struct options *o);

/* Reads the configuration, opens syslog and the progress lines, becomes the Cyrus user
 * (if started by root), sets the umask. Ends the process if it cannot: 78, or 64 for the user. */
struct config *process_configure(const struct options *o);

/* -w: tells on stderr and sleeps; nothing for 0. */
void process_delay(int seconds);

/* TERM, INT, QUIT set the stop flag; two seconds after the first of them the process ends with 75, whatever
 * hangs (cli/hard_end.h). HUP and USR1 set flags of their own,
 * and end a sleep; USR2 and PIPE do nothing. */
void process_catch_signals(void);

/* Not 0: SIGHUP, SIGUSR1 has come. Whoever acts on it sets it back. */
atomic_int *process_hangup_flag(void);
atomic_int *process_tell_flag(void);

/* Not 0: one of the signals that ask to end has come. For session_options, engine_options. */
const atomic_int *process_stop_flag(void);

/* Says "graceful shutdown" and who asked for it, if it was not our parent; returns 75. */
int process_stopped(void);

/* ---- parts, for tests ---- */

/* The facility that a name of imapd.conf means, any case; -1: none. */
int process_facility(const char *name);

/* "077" and the like, octal; ERR_CONFIG for anything else. */
struct err *process_parse_umask(const char *text, mode_t *out);

#endif
