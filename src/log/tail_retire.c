/*
 * How bytes leave the disk: a settled log is emptied in place, a settled log-run unlinked,
 * and a log that is never at rest is moved aside first (spec/operation.md §2.9, safe
 * protocols 1 and 2). Called by tail_folder.c in the tailer's thread.
 *
 * Why nothing is lost: a writer appends only while it has the lock of a file that the name
 * log means. We empty that file only under the same lock, when its size is what we read and
 * all of that is settled.
 */
#include "log/tail_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "log/files.h"
#include "fansync/clock.h"

enum {
    LOCK_TRIES = 5, /* for a lock that writers have for some 10 us, or as long as an fsync takes */
    LOCK_PAUSE_US = 200,
    IN_USE_MS = 1000, /* a log read from so lately is in use */
    GROW_MOST_MS = 600000,
};

static bool lock_soon(int fd)
{
    const struct timespec pause = { 0, LOCK_PAUSE_US * 1000 };
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (files_try_lock(fd) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

/* The log-run that we finished goes, unless somebody put another one there. */
static bool unlink_run(struct folder *f, const struct segment *s)
{
    if (s->name != NAMED_RUN || !files_same(s->fd, f->run))
        return true;
    if (unlink(f->run) < 0) {
        folder_say(f, LOG_ERR, "Unlink %s failed: %s", f->run, strerror(errno));
        folder_wake(f, RETRY_MS);
        return false;
    }
    f->unlinked_ms = clock_ms();
    return true;
}

void retire_drained(struct folder *f)
{
    for (struct segment *s = f->segments, *next; s; s = next) {
        next = s->next;
        if (s->phase == DRAINED && segment_settled(f, s) && unlink_run(f, s))
            segment_free(f, s); /* one that is not settled is tried again by tailer_retire */
    }
}

/* With the lock. */
static bool empty_locked(struct folder *f, struct segment *s, bool *more)
{
    struct stat st;
    *more = true; /* renamed, or grown: the next look tells */
    if (!files_same(s->fd, f->log) || fstat(s->fd, &st) < 0 || (uint64_t)st.st_size != s->off)
        return false;
    *more = false;
    if (ftruncate(s->fd, 0) == 0)
        return true;
    folder_say(f, LOG_ERR, "%s: cannot truncate: %s", f->log, strerror(errno));
    folder_wake(f, RETRY_MS);
    return false;
}

static void begin_again(struct folder *f, struct segment *s)
{
    const struct tail_hooks *h = &f->tailer->o.hooks;
    if (s->slot >= 0)
        h->end_segment(h->ctx, s->slot);
    s->slot = -1;
    s->off = 0;
    f->grow_ms = f->tailer->o.grow_ms;
    f->left_ms = 0;
    f->compacted_ms = clock_ms();
    f->stats.truncations++;
}

static bool may_be_emptied(const struct segment *s)
{
    return s->off > 0 && !s->unfinished && !s->skipping;
}

static bool empty_log(struct folder *f, struct segment *s)
{
    bool more;
    if (!lock_soon(s->fd)) {
        folder_wake(f, f->tailer->o.compact_ms);
        return false;
    }
    bool emptied = empty_locked(f, s, &more);
    files_unlock(s->fd);
    if (emptied)
        begin_again(f, s);
    return more;
}

bool retire_compact(struct folder *f, struct segment *s)
{
    const struct tailer *t = f->tailer;
    int64_t due = f->compacted_ms + t->o.compact_ms;
    if (!may_be_emptied(s) || !segment_settled(f, s))
        return false;
    if (t->now_ms < due) {
        folder_wake(f, due - t->now_ms);
        return false;
    }
    return empty_log(f, s);
}

void retire_last(struct folder *f)
{
    retire_drained(f);
    struct segment *s = folder_named(f, NAMED_LOG);
    if (s && may_be_emptied(s) && segment_settled(f, s))
        empty_log(f, s);
}

/* rename that never replaces: 0, or -1 and errno. Some file systems need two steps; a
 * process killed between them leaves one file with both names, whose records come twice. */
static int move_aside(const struct folder *f)
{
    if (renameat2(AT_FDCWD, f->log, AT_FDCWD, f->run, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return link(f->log, f->run) < 0 ? -1 : unlink(f->log);
}

static bool try_move_aside(struct folder *f)
{
    if (move_aside(f) == 0) {
        f->rotated_ms = clock_ms();
        f->stats.rotations++;
        return true;
    }
    if (errno != EEXIST && errno != ENOENT)
        folder_say(f, LOG_ERR, "Rename %s -> %s failed: %s", f->log, f->run, strerror(errno));
    folder_wake(f, RETRY_MS);
    return false;
}

/* It was in use for so long without being empty once, because somebody always writes or a record keeps failing. */
static bool is_never_empty(const struct folder *f, const struct segment *s)
{
    int64_t now = f->tailer->now_ms;
    return now - s->begun_ms > f->grow_ms && now - s->read_ms < IN_USE_MS;
}

static bool wants_rotation(const struct folder *f, const struct segment *s)
{
    const struct tailer *t = f->tailer;
    const struct tail_hooks *h = &t->o.hooks;
    if (s->off == 0 || folder_named(f, NAMED_RUN) || t->now_ms - f->rotated_ms < t->o.rotate_ms)
        return false;
    if (s->off <= t->o.grow_bytes && !is_never_empty(f, s))
        return false;
    return s->slot < 0 || !h->worth_moving || h->worth_moving(h->ctx, s->slot);
}

/* The next one for the same reason comes later: what is left of this log will be in the next one. */
static void back_off(struct folder *f, const struct segment *s)
{
    if (s->off <= f->tailer->o.grow_bytes && f->grow_ms < GROW_MOST_MS)
        f->grow_ms = f->grow_ms * 2 < GROW_MOST_MS ? f->grow_ms * 2 : GROW_MOST_MS;
}

/* The file that was open stays open: it is read on to its end. Had somebody else moved it
 * just before us, it is another one that is now called log-run; folder_look finds it, and
 * that it is ours. */
bool retire_rotate(struct folder *f, struct segment *s)
{
    if (!wants_rotation(f, s) || !try_move_aside(f))
        return false;
    back_off(f, s);
    bool ours = files_same(s->fd, f->run);
    s->name = ours ? NAMED_RUN : NAMED_NOTHING;
    s->phase = BARRIER;
    f->started = ours; /* not ours: look for a log-run as at the start */
    return true;
}

/* An empty log is most likely one that a writer is just about to write to. */
static bool worth_taking(struct folder *f)
{
    struct stat st;
    if (stat(f->log, &st) < 0) {
        if (errno != ENOENT)
            folder_say(f, LOG_ERR, "Failed to stat %s: %s", f->log, strerror(errno));
        return false;
    }
    return st.st_size > 0 || time(NULL) - st.st_mtime > 1;
}

bool retire_handover(struct folder *f)
{
    const struct tailer *t = f->tailer;
    int64_t due = f->unlinked_ms + t->o.handover_ms;
    if (folder_named(f, NAMED_RUN) || !worth_taking(f))
        return false;
    if (t->now_ms < due) {
        folder_wake(f, due - t->now_ms);
        return false;
    }
    if (!try_move_aside(f))
        return false;
    int fd = open(f->run, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        folder_say(f, LOG_ERR, "Failed to open %s: %s", f->run, strerror(errno));
        f->started = false; /* take it as one that was left over */
        return false;
    }
    segment_new(f, fd, NAMED_RUN, BARRIER);
    return true;
}
