/*
 * The tailer's parts (fansync/tail.h), shared by src/log/tail*.c and by nobody else. All of
 * it belongs to the tailer's one thread.
 *
 * A segment is an open file of which records were or will be read. Its states, and the only
 * places where they change:
 *
 *   GROWING   is FOLDER/log; read as it grows, cut to zero when settled
 *             begins: folder_look opens the log
 *   BARRIER   is not the log any more, but a writer that locked it before may still append;
 *             begins: GROWING and the name was moved (folder_look), we rotated (rotate.c),
 *             or a log-run was found (folder.c)
 *   DRAINING  we had the lock once after the name was gone, so nobody appends any more: a
 *             writer that gets the lock from now on sees that the name means another file
 *             begins: BARRIER and one successful lock (folder.c)
 *   DRAINED   read to its end; waits to be settled, is then unlinked if it is FOLDER/log-run
 *             and ours, and freed (retire.c)
 *
 * The log is opened only while every other segment is DRAINED, so records come in the order
 * of their files. At most one segment is called log, at most one log-run.
 */
#ifndef FANSYNC_LOG_TAIL_INTERNAL_H
#define FANSYNC_LOG_TAIL_INTERNAL_H

#include <sys/types.h>
#include "fansync/arena.h"
#include "fansync/buf.h"
#include "fansync/tail.h"

enum segment_name {
    NAMED_LOG,     /* FOLDER/log, as far as we know */
    NAMED_RUN,     /* FOLDER/log-run, and ours to unlink */
    NAMED_NOTHING, /* somebody else moved or removed it: nothing of it is ours */
};

enum segment_phase { GROWING, BARRIER, DRAINING, DRAINED };

struct segment {
    struct segment *next; /* younger */
    int fd;
    enum segment_name name;
    enum segment_phase phase;
    int slot;         /* of the hooks; -1 until there is a line */
    uint64_t off;     /* where the next line begins; what is before it was handed out */
    bool unfinished;  /* bytes behind off that do not end in a newline, at the last look */
    bool skipping;    /* off is in the middle of a line that is too long */
    bool held;          /* bad lines from unkept on are nowhere but in it: tail_reject.c */
    uint64_t unkept;
    uint64_t long_line; /* skipping: where it begins */
    int64_t begun_ms; /* when its first line was read */
    int64_t read_ms;  /* when its last one was */
    int64_t since_ms; /* how old its first line is: begun_ms, or earlier if it was there at the start */
};

/* A log-run that is not ours. */
struct foreign {
    bool seen;
    ino_t ino;
    off_t size;
    struct timespec mtime;
    int64_t since_ms; /* it looks like this */
};

struct folder {
    struct tailer *tailer;
    void *source;
    char *path, *log, *run, *rejected, *lock; /* file names */
    int lock_fd;
    int watch;
    bool started;             /* whether a log-run was left over is known */
    struct segment *segments; /* oldest first */
    struct foreign foreign;
    struct buf rejects;       /* bad lines not yet in the file */
    int64_t rejects_minute_ms; /* when the minute began in which so many were told, so many not */
    unsigned rejects_told, rejects_untold;
    char *said;               /* the last complaint, and when: see folder_say */
    int64_t said_ms;
    bool faulty;              /* this look met an error */
    int64_t left_ms;          /* since when what was left by an earlier process waits */
    int64_t noted_ms;         /* of the oldest line: what the lock file's time says for a later one */
    int64_t grow_ms;          /* of the options, longer after each rotation for it */
    int64_t compacted_ms, rotated_ms, unlinked_ms, checked_ms;
    int64_t wake_ms;          /* look again then */
    struct tail_stats stats;
};

struct tailer {
    struct tailer_options o;
    int inotify;
    struct folder **folders;
    size_t n, cap;
    struct arena arena; /* of the line at hand */
    struct buf chunk;   /* what is being split into lines */
    int64_t now_ms;     /* of this tailer_poll */
};

enum {
    LOOK_MS = 1000,  /* without any event */
    RETRY_MS = 1000, /* after an error */
    BUSY_MS = 2,     /* a writer has the lock */
    SLOT_MS = 20,    /* no slot is free */
};

/* tail_folder.c: looks at one folder; sets wake_ms. */
void folder_look(struct folder *f);
/* Look again in ms, or before. */
void folder_wake(struct folder *f, int64_t ms);
/* Logs a complaint, but not the same one again and again. */
void folder_say(struct folder *f, int priority, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct segment *folder_named(const struct folder *f, enum segment_name name);

/* tail_segment.c */
struct segment *segment_new(struct folder *f, int fd, enum segment_name name, enum segment_phase phase);
void segment_free(struct folder *f, struct segment *s); /* ends its slot, forgets the file */
bool segment_settled(const struct folder *f, const struct segment *s);
enum read_result {
    READ_END,   /* nothing more is there now */
    READ_MORE,  /* there may be more; others want their turn */
    READ_STUCK, /* not now: no slot, or an error */
};
/* Reads lines and hands them out. */
enum read_result segment_read(struct folder *f, struct segment *s);
/* The rest of a file that nobody writes any more ends without newline: rejects it. */
void segment_reject_rest(struct folder *f, struct segment *s);

/* tail_reject.c: a bad line, told and kept. One that is too long comes in pieces. */
void reject_line(struct folder *f, struct segment *s, uint64_t off, struct slice line, const char *why);
void reject_begins(struct folder *f, struct segment *s, struct slice piece, const char *why);
void reject_goes_on(struct folder *f, struct segment *s, struct slice piece, bool ended);
/* Writes f->rejects to its file; false if that failed. */
bool rejects_flush(struct folder *f);
/* If the segment is held and the file can be written again, it is read again. */
void rejects_release(struct folder *f, struct segment *s);
/* How many were not told, when their minute is over, or now. */
void rejects_tell_rest(struct folder *f, bool now);

/* tail_retire.c */
void retire_drained(struct folder *f);
/* Empties the log if all of it is settled and read. True if there is more to look at now. */
bool retire_compact(struct folder *f, struct segment *s);
/* At the end: what is settled goes, whenever the last time was. Nothing is read. */
void retire_last(struct folder *f);
/* Moves a log aside that grows and is never at rest. True if it did. */
bool retire_rotate(struct folder *f, struct segment *s);
/* paced_handover: moves the log aside if it is time. True if it did. */
bool retire_handover(struct folder *f);

/* tail_own.c: the lock that says whose folder it is. */
struct err *own_take(const char *folder, const char *lock, int *fd) __attribute__((warn_unused_result));
/* True if it is still ours; takes it again if the folder was made anew. */
bool own_check(struct folder *f);

#endif
