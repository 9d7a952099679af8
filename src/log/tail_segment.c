/*
 * One file being read: lines split and handed out, bad ones put aside (states:
 * tail_internal.h). Called by tail_folder.c and tail_retire.c in the tailer's thread.
 *
 * Reading takes no lock. So the last line may be half there, and is read again from its
 * first byte later: bytes of an unfinished line are never kept, since a writer that failed
 * may take them back. Whole lines are never taken back.
 */
#include "log/tail_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "fansync/log.h"
#include "fansync/mem.h"
#include "fansync/synclog.h"

enum {
    FIRST_CHUNK = 64 * 1024,
    ONE_TURN = 1 << 20,     /* bytes read before other folders have their turn */
};

struct segment *segment_new(struct folder *f, int fd, enum segment_name name, enum segment_phase phase)
{
    struct segment *s = mem_alloc(sizeof *s), **end = &f->segments;
    s->fd = fd;
    s->name = name;
    s->phase = phase;
    s->slot = -1;
    while (*end)
        end = &(*end)->next;
    *end = s;
    return s;
}

void segment_free(struct folder *f, struct segment *s)
{
    struct segment **p = &f->segments;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    if (s->slot >= 0)
        f->tailer->o.hooks.end_segment(f->tailer->o.hooks.ctx, s->slot);
    close(s->fd);
    free(s);
}

bool segment_settled(const struct folder *f, const struct segment *s)
{
    const struct tail_hooks *h = &f->tailer->o.hooks;
    return buf_len(&f->rejects) == 0 && !s->held && (s->slot < 0 || h->settled(h->ctx, s->slot));
}

static void hand_out(struct folder *f, struct segment *s, uint64_t off, struct slice line)
{
    struct tailer *t = f->tailer;
    struct action action;
    bool any = false;
    struct err *e = line.n > SYNCLOG_LONGEST_LINE ? err_new(ERR_CORRUPT, "Line too long")
                                                 : synclog_parse(&t->arena, line, &action, &any);
    if (e) {
        reject_line(f, s, off, line, e->msg);
    } else if (any) {
        f->stats.records++;
        t->o.hooks.record(t->o.hooks.ctx, f->source, s->slot, &action);
    }
    err_free(e);
    arena_reset(&t->arena);
}

/* Hands out the whole lines; returns how many bytes they are. */
static size_t split(struct folder *f, struct segment *s, struct slice bytes)
{
    size_t used = 0;
    for (const char *lf; (lf = memchr(bytes.p + used, '\n', bytes.n - used)) != NULL;) {
        struct slice line = slice_of(bytes.p + used, (size_t)(lf - bytes.p) - used);
        if (s->skipping) {
            reject_goes_on(f, s, line, true);
            s->skipping = false;
        } else {
            hand_out(f, s, s->off + used, line);
        }
        used += line.n + 1;
    }
    return used;
}

/* No line is so long: its beginning is rejected here, the rest as it comes. */
static void reject_piece(struct folder *f, struct segment *s, struct slice bytes)
{
    if (!s->skipping)
        reject_begins(f, s, bytes, "Line too long");
    else
        reject_goes_on(f, s, bytes, false);
    s->skipping = true;
    s->off += bytes.n;
}

static bool have_slot(struct folder *f, struct segment *s)
{
    const struct tail_hooks *h = &f->tailer->o.hooks;
    if (s->slot < 0) {
        s->slot = h->begin_segment(h->ctx, f->source);
        s->begun_ms = f->tailer->now_ms;
        s->since_ms = f->left_ms ? f->left_ms : s->begun_ms;
    }
    if (s->slot < 0) {
        folder_say(f, LOG_WARNING, "%s is not read on: too many parts of it wait to be confirmed (--status says for "
                   "what)", f->log);
        folder_wake(f, SLOT_MS);
    }
    return s->slot >= 0;
}

/* What is at s->off, as much as the chunk takes; -1 after an error, which is told. */
static ssize_t fill(struct folder *f, const struct segment *s, size_t want)
{
    struct buf *chunk = &f->tailer->chunk;
    ssize_t n;
    buf_clear(chunk);
    do
        n = pread(s->fd, buf_reserve(chunk, want), want, (off_t)s->off);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        folder_say(f, LOG_ERR, "%s: cannot read: %s", s->name == NAMED_RUN ? f->run : f->log, strerror(errno));
        folder_wake(f, RETRY_MS);
        return -1;
    }
    buf_added(chunk, (size_t)n);
    return n;
}

static enum read_result read_turn(struct folder *f, struct segment *s)
{
    size_t want = FIRST_CHUNK;
    uint64_t end = s->off + ONE_TURN;
    while (s->off < end) {
        ssize_t n = fill(f, s, want);
        struct slice bytes = buf_slice(&f->tailer->chunk);
        if (n < 0)
            return READ_STUCK;
        s->unfinished = n > 0 && bytes.p[n - 1] != '\n';
        if (n == 0)
            return READ_END;
        bool whole = memchr(bytes.p, '\n', bytes.n) != NULL, full = bytes.n == want;
        if (!whole && !full)
            return READ_END;
        if (!whole && want <= SYNCLOG_LONGEST_LINE) {
            want *= 2;
            continue;
        }
        if (!have_slot(f, s))
            return READ_STUCK;
        s->read_ms = f->tailer->now_ms;
        if (whole)
            s->off += split(f, s, bytes);
        else
            reject_piece(f, s, bytes);
    }
    return READ_MORE;
}

enum read_result segment_read(struct folder *f, struct segment *s)
{
    rejects_release(f, s);
    enum read_result r = read_turn(f, s);
    rejects_flush(f);
    if (r == READ_MORE)
        folder_wake(f, 0);
    return r;
}

void segment_reject_rest(struct folder *f, struct segment *s)
{
    ssize_t n = s->unfinished ? fill(f, s, 2 * SYNCLOG_LONGEST_LINE) : 0;
    if (n > 0)
        reject_line(f, s, s->off, buf_slice(&f->tailer->chunk), "The last line does not end in a newline");
    s->unfinished = false;
    rejects_flush(f);
}
