/*
 * Bad lines of a log: told, but only so many a minute, and kept in FOLDER/rejected, which is moved to
 * rejected.1 when it has grown too much. Called by tail_segment.c and tail_folder.c in the tailer's thread.
 *
 * While the file cannot be written, bad lines wait in memory up to a limit. Beyond it they are left where
 * they are: the segment is held, that is not settled, from the first of them on (unkept), and reading goes
 * on. When the file can be written again, the segment is read again from there; its good records come a
 * second time, which does no harm.
 */
#include "log/tail_internal.h"

#include <stdio.h>
#include <sys/stat.h>
#include <syslog.h>

#include "fansync/log.h"
#include "fansync/synclog.h"
#include "log/append.h"

enum {
    MOST_REJECTS = 1 << 20,      /* bytes of bad lines in memory while their file cannot be written */
    MOST_IN_FILE = 16 << 20,     /* bytes of the file; the one before it has as many */
    REJECTS_WAIT_MS = 50,
    TOLD_A_MINUTE = 10,
    MINUTE_MS = 60000,
};

/* ---- telling ---- */

void rejects_tell_rest(struct folder *f, bool now)
{
    if (!now && f->tailer->now_ms - f->rejects_minute_ms < MINUTE_MS)
        return;
    if (f->rejects_untold > 0)
        log_msg(LOG_ERR, "%s: %u more bad lines, see %s", f->log, f->rejects_untold, f->rejected);
    f->rejects_told = f->rejects_untold = 0;
    f->rejects_minute_ms = f->tailer->now_ms;
}

static void tell(struct folder *f, const struct segment *s, uint64_t off, struct slice line, const char *why)
{
    struct buf b = BUF_INIT;
    rejects_tell_rest(f, false);
    f->stats.rejected++;
    if (f->rejects_told == TOLD_A_MINUTE) {
        f->rejects_untold++;
        return;
    }
    f->rejects_told++;
    synclog_escape(&b, line);
    log_msg(LOG_ERR, "%s: offset %llu: %s: \"%s\"", s->name == NAMED_RUN ? f->run : f->log,
            (unsigned long long)off, why, buf_cstr(&b));
    buf_free(&b);
}

/* ---- keeping ---- */

static void rotate(const struct folder *f)
{
    struct buf old = BUF_INIT;
    struct stat st;
    if (stat(f->rejected, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < MOST_IN_FILE)
        return;
    buf_printf(&old, "%s.1", f->rejected);
    if (rename(f->rejected, buf_cstr(&old)) == 0)
        log_msg(LOG_NOTICE, "%s has grown to %lld bytes: it is now %s", f->rejected, (long long)st.st_size,
                buf_cstr(&old));
    buf_free(&old);
}

bool rejects_flush(struct folder *f)
{
    if (buf_len(&f->rejects) == 0)
        return true;
    rotate(f);
    struct err *e = append_within(f->rejected, buf_slice(&f->rejects), REJECTS_WAIT_MS);
    if (e) {
        folder_say(f, LOG_ERR, "%s", e->msg);
        err_free(e);
        folder_wake(f, RETRY_MS);
        return false;
    }
    buf_clear(&f->rejects);
    return true;
}

/* off: where the line began. */
static void keep(struct folder *f, struct segment *s, uint64_t off, struct slice bytes, bool ended)
{
    if (s->held)
        return; /* it comes again */
    if (buf_len(&f->rejects) > MOST_REJECTS && !rejects_flush(f)) {
        s->held = true;
        s->unkept = off;
        return;
    }
    buf_add(&f->rejects, bytes.p, bytes.n);
    if (ended)
        buf_addc(&f->rejects, '\n');
}

void reject_line(struct folder *f, struct segment *s, uint64_t off, struct slice line, const char *why)
{
    tell(f, s, off, line, why);
    keep(f, s, off, line, true);
}

void reject_begins(struct folder *f, struct segment *s, struct slice piece, const char *why)
{
    s->long_line = s->off;
    tell(f, s, s->off, piece, why);
    keep(f, s, s->off, piece, false);
}

void reject_goes_on(struct folder *f, struct segment *s, struct slice piece, bool ended)
{
    keep(f, s, s->long_line, piece, ended);
}

void rejects_release(struct folder *f, struct segment *s)
{
    if (!s->held || !rejects_flush(f))
        return;
    s->held = s->skipping = false;
    s->off = s->unkept;
    if (s->phase == DRAINED)
        s->phase = DRAINING;
}
