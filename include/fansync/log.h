/*
 * What operators read: syslog lines, and the progress lines of -v and -l. Whatever bytes a message has, it is
 * one line and commands no terminal (fansync/escape.h).
 * Any thread may call; the settings are made once, before threads start.
 */
#ifndef FANSYNC_LOG_H
#define FANSYNC_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <syslog.h>

/* Opens syslog with ident and facility (copied). to_stderr copies each message there
 * as "ident[pid]: text" (-v -v, spec/operation.md §1.9). */
void log_open(const char *ident, int facility, bool to_stderr);

/* One syslog message: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG. */
void log_msg(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Where progress lines go: stdout (-v) and syslog INFO (-l), or nowhere. */
void log_progress_to(bool to_stdout, bool to_syslog);
bool log_progress_wanted(void);
/* One progress line, without newline. */
void log_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One line on stderr, without newline. */
void log_stderr(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Puts "[tag] " in front of all that this thread says from now on, so that channels of one
 * process can be told apart; NULL: nothing. Borrowed. */
void log_tag(const char *tag);

#endif
