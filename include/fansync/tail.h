/*
 * The tailer: follows the sync logs of many folders (one for each channel) within
 * milliseconds while Cyrus's daemons write them, and removes records only when they are
 * done (spec/operation.md §2.9). One thread owns a tailer: it alone calls everything here,
 * and the hooks are called in it, from tailer_poll, tailer_remove and tailer_free.
 *
 * Records come in segments: what was read from one log between two points at which it was
 * empty or moved aside. A segment's bytes leave the disk when the owner of the hooks says
 * that all of it is settled; until then a process killed at any instant reads them again at
 * its next start. So a record may come more than once, and never not at all.
 *
 *   loop: poll(tailer_fd, tailer_next_ms); tailer_poll
 *   something settled: tailer_retire
 */
#ifndef FANSYNC_TAIL_H
#define FANSYNC_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/action.h"
#include "fansync/err.h"

struct tailer;

/* What the owner does with records. source is what tailer_add was given. Hooks must not
 * call the tailer. */
struct tail_hooks {
    void *ctx;
    /* A segment begins: its slot (>= 0), by which it is meant from now on, or -1 if none is
     * free: nothing is read until one is. */
    int (*begin_segment)(void *ctx, void *source);
    /* A record; the action's slices are valid during the call. */
    void (*record)(void *ctx, void *source, int slot, const struct action *a);
    /* True if every record given so far for the slot is confirmed, or queued again in a
     * durable place. Asked when there is something to remove, after each tailer_retire for one; must be
     * quick. More records may follow. */
    bool (*settled)(void *ctx, int slot);
    /* Whether it would gain anything to move the log aside, so that it can be removed when its records are settled or
     * written elsewhere. NULL: always. */
    bool (*worth_moving)(void *ctx, int slot);
    /* The slot is free. Its bytes are gone from the disk, or the folder was removed from the
     * tailer and they will be read again by whoever comes next. */
    void (*end_segment)(void *ctx, int slot);
};

/* Zero means the default. */
struct tailer_options {
    struct tail_hooks hooks;
    bool paced_handover;  /* the stock client's hand-over by log-run, always: for other tools' sake */
    int64_t compact_ms;   /* 100: least time between two truncations of a log */
    int64_t handover_ms;  /* 20: least time between two paced hand-overs */
    int64_t rotate_ms;    /* 1000: least time between two rotations of a log that grows */
    int64_t grow_ms;      /* 5000: a log in use that was not empty for so long is rotated; twice as long each time, up to
                           * 10 minutes, until it has been empty again */
    uint64_t grow_bytes;  /* 1 MiB: a log that is longer is rotated */
    int64_t takeover_ms;  /* 60000: a foreign log-run that stands still so long becomes ours */
};

/* What monitoring shows of a folder. */
struct tail_stats {
    uint64_t records;     /* given to the hooks */
    uint64_t rejected;    /* bad lines, now in the file "rejected" */
    uint64_t truncations; /* of the log in place */
    uint64_t rotations;   /* of ours: log became log-run */
    uint64_t foreign;     /* rotations by somebody else */
    uint64_t bytes;       /* read and not yet settled */
    int64_t oldest_ms;    /* age of the oldest segment that is not settled; known over restarts */
    size_t segments;      /* held now */
    uint64_t unread;      /* bytes of the log and of log-run that were not read yet */
    char fault[200];      /* why it cannot be read or retired at present; empty: nothing */
};

/* A tailer without folders. Never fails; without inotify it looks once a second. */
struct tailer *tailer_new(const struct tailer_options *options);

/* Ends all segments and gives all folders back. What is settled leaves the disk, what is not stays there. Nothing is
 * read any more: no hook is called for a record. */
void tailer_free(struct tailer *t);

/*
 * Follows FOLDER/log from the next tailer_poll on. Makes the folder if it is missing and
 * owns it by an exclusive lock on FOLDER/.sync-reader.lock; ERR_LOCKED, naming that file, if
 * somebody else does.
 */
struct err *tailer_add(struct tailer *t, const char *folder, void *source)
    __attribute__((warn_unused_result));

/* The same for one folder. */
void tailer_remove(struct tailer *t, const char *folder);

/* Readable when a log changed; -1 without inotify. */
int tailer_fd(const struct tailer *t);

/* How long one may sleep before the next tailer_poll, if tailer_fd stays silent: at most
 * 1000. */
int tailer_next_ms(const struct tailer *t);

/* Reads what is there, in every folder, and removes what is settled. Does not wait but for
 * a millisecond or so for the lock of a log. Call it as often as one likes: early, for one,
 * when something was settled. */
void tailer_poll(struct tailer *t);

/* Looks only at folders of which something has been settled, to remove it. To be called whenever a slot
 * may have become settled: nobody asks by himself. */
void tailer_retire(struct tailer *t);

/* False if the folder is not followed. To be called every second or so: what it finds is noted for a later process. */
bool tailer_stats(struct tailer *t, const char *folder, struct tail_stats *out);

#endif
