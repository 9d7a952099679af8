/*
 * One look at one folder: what became of the files that are open, which new ones there are,
 * and what is to be read (states: tail_internal.h). Called by tail.c for each tailer_poll,
 * in the tailer's thread.
 */
#include "log/tail_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>

#include "fansync/log.h"
#include "fansync/mem.h"
#include "log/files.h"

enum {
    TURNS = 8,           /* of one look, before the other folders have theirs */
    SAY_AGAIN_MS = 60000,
};

void folder_wake(struct folder *f, int64_t ms)
{
    if (f->wake_ms > f->tailer->now_ms + ms)
        f->wake_ms = f->tailer->now_ms + ms;
}

void folder_say(struct folder *f, int priority, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (priority == LOG_ERR) {
        f->faulty = true;
        snprintf(f->stats.fault, sizeof f->stats.fault, "%s", buf_cstr(&b));
    }
    int64_t now = f->tailer->now_ms;
    if (!f->said || strcmp(f->said, buf_cstr(&b)) != 0 || now - f->said_ms >= SAY_AGAIN_MS) {
        log_msg(priority, "%s", buf_cstr(&b));
        free(f->said);
        f->said = mem_strdup(buf_cstr(&b));
        f->said_ms = now;
    }
    buf_free(&b);
}

struct segment *folder_named(const struct folder *f, enum segment_name name)
{
    struct segment *s = f->segments;
    while (s && s->name != name)
        s = s->next;
    return s;
}

/* A log-run left by a process that ended, or by a foreign one that went away. */
static void adopt_run(struct folder *f)
{
    int fd = open(f->run, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    f->foreign.seen = false;
    if (fd < 0 && errno != ENOENT) {
        folder_say(f, LOG_ERR, "Failed to open %s: %s", f->run, strerror(errno));
        folder_wake(f, RETRY_MS);
        return;
    }
    f->started = true;
    if (fd < 0)
        return;
    log_msg(LOG_NOTICE, "Reprocessing sync log file %s", f->run);
    segment_new(f, fd, NAMED_RUN, BARRIER);
}

/* Somebody else reads this log in the old way. His log-run is his while he is at it. */
static void watch_foreign(struct folder *f, const struct stat *st)
{
    struct foreign *w = &f->foreign;
    int64_t now = f->tailer->now_ms;
    if (!w->seen)
        folder_say(f, LOG_WARNING, "%s appeared: another sync_client or squatter reads this log", f->run);
    if (!w->seen || w->ino != st->st_ino || w->size != st->st_size ||
        w->mtime.tv_sec != st->st_mtim.tv_sec || w->mtime.tv_nsec != st->st_mtim.tv_nsec) {
        *w = (struct foreign){ true, st->st_ino, st->st_size, st->st_mtim, now };
        return;
    }
    if (now - w->since_ms < f->tailer->o.takeover_ms)
        return;
    log_msg(LOG_WARNING, "%s was left alone: taking it over", f->run);
    adopt_run(f);
}

static void look_at_run(struct folder *f)
{
    struct stat st;
    if (folder_named(f, NAMED_RUN))
        return;
    if (stat(f->run, &st) == 0) {
        if (f->started)
            watch_foreign(f, &st);
        else
            adopt_run(f);
    } else if (errno == ENOENT) {
        f->started = true;
        f->foreign.seen = false;
    } else {
        folder_say(f, LOG_ERR, "Failed to stat %s: %s", f->run, strerror(errno));
    }
}

/* One lock, after the name is gone from the file, proves that no writer is at it and none
 * will be; the lock need not be kept for reading. */
static void pass_barrier(struct folder *f, struct segment *s)
{
    if (files_try_lock(s->fd) == 0) {
        files_unlock(s->fd);
        s->phase = DRAINING;
        return;
    }
    if (errno != EAGAIN)
        folder_say(f, LOG_ERR, "%s: cannot lock: %s", f->path, strerror(errno));
    folder_wake(f, errno == EAGAIN ? BUSY_MS : RETRY_MS);
}

/* Reads what is not the log any more. True if nothing of it is left to read. */
static bool drain(struct folder *f)
{
    bool all = true;
    for (struct segment *s = f->segments; s; s = s->next) {
        if (s->phase == BARRIER)
            pass_barrier(f, s);
        rejects_release(f, s);
        if (s->phase != BARRIER && s->phase != DRAINING)
            continue;
        if (segment_read(f, s) == READ_END && s->phase == DRAINING) {
            segment_reject_rest(f, s);
            s->phase = DRAINED;
        }
        all = all && s->phase == DRAINED;
    }
    return all;
}

static struct segment *open_log(struct folder *f)
{
    int fd = open(f->log, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        return segment_new(f, fd, NAMED_LOG, GROWING);
    if (errno != ENOENT) {
        folder_say(f, LOG_ERR, "Failed to open %s: %s", f->log, strerror(errno));
        folder_wake(f, RETRY_MS);
    }
    return NULL;
}

/* Somebody emptied it, which no reader that knows the rules does. */
static void check_size(struct folder *f, struct segment *s)
{
    struct stat st;
    if (fstat(s->fd, &st) == 0 && (uint64_t)st.st_size < s->off) {
        folder_say(f, LOG_WARNING, "%s was truncated by somebody else", f->log);
        s->off = 0;
        s->skipping = s->held = false;
    }
}

/* True if another turn is wanted at once. */
static bool look_at_log(struct folder *f)
{
    struct segment *s = folder_named(f, NAMED_LOG);
    if (!s && f->tailer->o.paced_handover)
        return retire_handover(f);
    if (!s)
        s = open_log(f);
    if (!s)
        return false;
    if (!files_same(s->fd, f->log)) {
        f->stats.foreign++;
        s->name = NAMED_NOTHING;
        s->phase = BARRIER;
        return true;
    }
    check_size(f, s);
    if (segment_read(f, s) == READ_END && retire_compact(f, s))
        return true;
    return retire_rotate(f, s);
}

static bool turn(struct folder *f)
{
    look_at_run(f);
    bool drained = drain(f);
    retire_drained(f);
    return f->started && drained && look_at_log(f);
}

/* Each second: a folder that was removed comes back, and with it the lock and the watch. */
static bool still_ours(struct folder *f)
{
    if (f->lock_fd >= 0 && f->tailer->now_ms - f->checked_ms < LOOK_MS)
        return true;
    f->checked_ms = f->tailer->now_ms;
    return own_check(f);
}

static void take_turns(struct folder *f)
{
    for (int i = 0; turn(f); i++) {
        if (i == TURNS) {
            folder_wake(f, 0);
            break;
        }
    }
}

void folder_look(struct folder *f)
{
    f->wake_ms = f->tailer->now_ms + LOOK_MS;
    f->faulty = false;
    rejects_tell_rest(f, false);
    if (still_ours(f))
        take_turns(f);
    if (!f->faulty)
        f->stats.fault[0] = '\0';
}
