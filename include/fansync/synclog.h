/*
 * Sync logs: the files in which Cyrus's daemons leave a line for everything that they
 * change (spec/operation.md §2). Reading lines, writing them, reading a whole file, and
 * appending to a log that daemons write at the same time. Following a log is tail.h.
 * No state is shared: any thread may call anything here.
 */
#ifndef FANSYNC_SYNCLOG_H
#define FANSYNC_SYNCLOG_H

#include <stdbool.h>
#include <stddef.h>
#include "fansync/action.h"
#include "fansync/arena.h"
#include "fansync/buf.h"
#include "fansync/err.h"
#include "fansync/slice.h"

/* No line that Cyrus writes is longer than 4096 bytes; one beyond this is an error. */
#define SYNCLOG_LONGEST_LINE ((size_t)1 << 20)

/*
 * One line, without its LF; a CR at its end is dropped. *any is false, and out untouched,
 * for a line that asks for nothing (empty, or a type alone). The slices of *out point into
 * line or into a. An error (ERR_CORRUPT) means that this line is to be skipped; its
 * message is one line of printable text, whatever the bytes were.
 */
struct err *synclog_parse(struct arena *a, struct slice line, struct action *out, bool *any)
    __attribute__((warn_unused_result));

/*
 * Appends the action as one line with its LF, as Cyrus's writers spell it: parse gives the
 * same action back. False, and nothing appended, for what no line can carry: a NUL, CR or
 * LF in a name, or a name missing that the type needs.
 */
bool synclog_format(struct buf *b, const struct action *a);

/* Appends the bytes for a message: what does not print becomes \xHH, and a long run is cut
 * after some hundred bytes with "...". */
void synclog_escape(struct buf *b, struct slice bytes);

typedef void (*synclog_fn)(void *ctx, const struct action *a);

/*
 * Reads a file to its end for "-R -f FILE" (§1.6) and calls fn for each action, whose
 * slices are valid during the call. The file is only read; a daemon that is just writing to it is
 * waited for; "-" is standard input. Bad lines are logged (ERR with file, line number and content),
 * counted in *bad, appended to bad_lines unless that is NULL, and skipped. A last line without LF is processed, with a warning. Messages are those to log:
 * "No sync log filename" for a missing file, "Failed to open PATH: reason".
 */
struct err *synclog_read_file(const char *path, synclog_fn fn, void *ctx, size_t *bad, struct buf *bad_lines)
    __attribute__((warn_unused_result));

/*
 * The hand-over of a log to one batch (-1; §2.8): owns the folder as a tailer does, and moves its
 * log aside unless a log that was moved aside before is still there. *path: what is to be
 * processed, NULL if there is nothing; *left_over: it is of an earlier run.
 */
struct synclog_taken;
struct err *synclog_take(const char *folder, struct synclog_taken **out, const char **path, bool *left_over)
    __attribute__((warn_unused_result));
/* Removes what was taken, if it is done with, and gives the folder back. */
struct err *synclog_untake(struct synclog_taken *t, bool done) __attribute__((warn_unused_result));

/*
 * Appends whole lines (each with its LF) to a log by the rules of Cyrus's writers, so that
 * daemons and readers on the same log take no harm, and forces them to disk. Folders are
 * made as needed. Tries for ten seconds (ERR_BUSY). After an error some of the lines may be
 * in the log, whole ones only: append them all again.
 */
struct err *synclog_append(const char *path, struct slice lines) __attribute__((warn_unused_result));

#endif
