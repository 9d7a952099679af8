/*
 * The tailing thread (daemon/tailing.h). It owns the tailer and is the only producer of all
 * queues.
 *
 * A part of a log (what the tailer calls a segment) has a slot in the acks of every line that it feeds,
 * and is held there by every action that stands for one of its records. No line's slots are another's: a
 * line that lets none go holds up its own log only. Of a line's slots its own log gets OWN_SLOTS, the rest is
 * for hubs. A hub's records for a line that has no slot left are put into the line's own log at once
 * instead of into its queue, by the rules of Cyrus's writers, before the part counts as settled: so a hub
 * is never held up by one of its lines.
 *
 * Where a part stays for long, because a replica is away or an action keeps failing, the lines concerned are asked
 * to write what waits into their own logs: a hub's log is then retired for the others' sake, and
 * a log that was moved aside can go, if that gains anything (gains).
 *
 * Who lets go of the last hold makes settled_fd readable, and the parts are looked at (docs/model/queue.pml).
 */
#include "daemon/tailing.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "fansync/acks.h"
#include "fansync/clock.h"
#include "fansync/log.h"
#include "fansync/mem.h"
#include "fansync/synclog.h"
#include "log/append.h"

enum {
    SPILL_AFTER = 5, /* seconds that a part may hold up a log; then as long, twice as long ... */
    SPILL_MOST = 60, /* until it is asked for again: what is being sent, or cannot be written, stays */
    OWN_SLOTS = ACKS_SLOTS * 3 / 4,
    NO_SLOT = -1,
    APPEND_WAIT_MS = 200, /* for the lock of a line's log, which writers have for some 10 us */
    KEPT_MOST = 256 << 10, /* bytes of a line that wait to be appended */
};


struct source {
    char *folder;
    char *run; /* its log that was moved aside */
    struct line **line;
    size_t nlines;
    bool own; /* of one line: its own log */
    struct tail_stats stats; /* guarded */
};

/* What a part is to one of the lines that it feeds. */
struct share {
    int slot; /* in the line's acks, or NO_SLOT */
    struct buf kept; /* NO_SLOT: records on their way to the line's own log */
};

struct part {
    struct source *source; /* NULL: free */
    int64_t began;
    int64_t next_spill, spill_wait; /* when its lines are asked to spill, and how long after that again */
    uint64_t records; /* that were read from it */
    struct share *share; /* parallel to the source's lines */
};

struct tailing {
    struct store *store;
    struct tailer *tailer;
    struct source **source; /* pointers: the tailer keeps them */
    size_t n, cap;
    struct part *part; /* as many as there ever were at a time; the tailer knows them by their index */
    size_t nparts, parts_cap;
    struct arena arena; /* of one record */
    pthread_t thread;
    bool started;
    atomic_int closing;
    int wake_fd;
    int settled_fd;
    pthread_mutex_t guard;
};

/* ---- the tailer's hooks ---- */

static size_t own_parts(const struct tailing *t, const struct source *s)
{
    size_t n = 0;
    for (size_t i = 0; i < t->nparts; i++)
        n += t->part[i].source == s;
    return n;
}

static size_t free_part(struct tailing *t)
{
    size_t i = 0;
    while (i < t->nparts && t->part[i].source)
        i++;
    if (i < t->nparts)
        return i;
    t->part = mem_grow(t->part, t->nparts, &t->parts_cap, sizeof *t->part);
    return t->nparts++;
}

/* A line's own log waits for a slot; a hub's does without, see above. */
static int begin_segment(void *ctx, void *source)
{
    struct tailing *t = ctx;
    struct source *s = source;
    if (s->own && own_parts(t, s) >= OWN_SLOTS)
        return -1;
    int first = acks_open(s->line[0]->acks);
    if (s->own && first == NO_SLOT)
        return -1;
    size_t i = free_part(t);
    struct part *p = &t->part[i];
    *p = (struct part){ .source = s, .began = clock_ns(), .spill_wait = SPILL_AFTER * CLOCK_SECOND_NS,
                        .share = mem_array(s->nlines, sizeof *p->share) };
    p->next_spill = p->began + p->spill_wait;
    p->share[0] = (struct share){ first, BUF_INIT };
    for (size_t k = 1; k < s->nlines; k++)
        p->share[k] = (struct share){ acks_open(s->line[k]->acks), BUF_INIT };
    return (int)i;
}

/* The user an action belongs to: all of his go through one sender, in their order. */
static struct slice owner_of(struct tailing *t, const struct action *a)
{
    switch (a->kind) {
    case ACTION_USER:
    case ACTION_UNUSER:
    case ACTION_META:
    case ACTION_SEEN:
    case ACTION_SUB:
        return a->a;
    default:
        return names_userid_of_internal(&t->arena, store_names(t->store), a->a);
    }
}

/* True if nothing is left to be appended. */
static bool append_kept(const struct line *l, struct share *x)
{
    if (buf_len(&x->kept) == 0)
        return true;
    struct err *err = append_within(l->channel.log, buf_slice(&x->kept), APPEND_WAIT_MS);
    if (err)
        log_msg(LOG_ERR, "IOERROR: records of a hub wait to be kept: %s", err->msg);
    else
        buf_clear(&x->kept);
    bool done = !err;
    err_free(err);
    return done;
}

static void give(struct line *l, struct share *x, const struct action *a, struct slice owner, int64_t now)
{
    if (x->slot != NO_SLOT)
        queue_push(l->queue, a, owner, 1u << x->slot, now);
    else if (synclog_format(&x->kept, a) && buf_len(&x->kept) > KEPT_MOST)
        append_kept(l, x);
}

static void take_record(void *ctx, void *source, int part, const struct action *a)
{
    struct tailing *t = ctx;
    struct source *s = source;
    struct slice owner = owner_of(t, a);
    int64_t now = clock_ns();
    t->part[part].records++;
    for (size_t k = 0; k < s->nlines; k++)
        give(s->line[k], &t->part[part].share[k], a, owner, now);
    arena_reset(&t->arena);
}

static bool is_settled(void *ctx, int part)
{
    struct tailing *t = ctx;
    const struct part *p = &t->part[part];
    bool settled = true;
    for (size_t k = 0; k < p->source->nlines; k++) {
        struct share *x = &p->share[k];
        if (x->slot == NO_SLOT)
            settled &= append_kept(p->source->line[k], x);
        else
            settled &= acks_unsettled(p->source->line[k]->acks, (unsigned)x->slot) == 0;
    }
    return settled;
}

static uint64_t records_of(const struct tailing *t, const struct source *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < t->nparts; i++)
        if (t->part[i].source == s)
            n += t->part[i].records;
    return n;
}

/*
 * Whether a part of a line's own log may be replaced by its waiting actions, written to the end of the same
 * log. Only if that is half of what the log has by now, or less: else nothing is gained, and the same records would be
 * written again and again while the replica is away. So no more is written than came, and the log has no more
 * than twice what waits (and what a log may have in any case).
 */
static bool gains(const struct tailing *t, const struct part *p)
{
    long waiting = acks_unsettled(p->source->line[0]->acks, (unsigned)p->share[0].slot);
    return 2 * (uint64_t)waiting <= records_of(t, p->source);
}

/* A hub's log is moved aside whenever it wants to be: others wait for it. */
static bool worth_moving(void *ctx, int part)
{
    const struct tailing *t = ctx;
    const struct part *p = &t->part[part];
    return !p->source->own || gains(t, p);
}

/* At the end of the process a part may be given up that is not settled: its slots are then
 * never used again. */
static void end_segment(void *ctx, int part)
{
    struct tailing *t = ctx;
    struct part *p = &t->part[part];
    for (size_t k = 0; k < p->source->nlines; k++) {
        struct share *x = &p->share[k];
        struct acks *acks = p->source->line[k]->acks;
        if (x->slot != NO_SLOT && acks_unsettled(acks, (unsigned)x->slot) == 0)
            acks_close(acks, (unsigned)x->slot);
        buf_free(&x->kept);
    }
    free(p->share);
    *p = (struct part){ .source = NULL };
}

/* ---- setting up ---- */

struct err *tailing_new(struct store *store, bool paced, struct tailing **out)
{
    struct tailing *t = mem_alloc(sizeof *t);
    t->store = store;
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    t->settled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const struct tailer_options o = {
        .hooks = { t, begin_segment, take_record, is_settled, worth_moving, end_segment },
        .paced_handover = paced,
    };
    t->tailer = tailer_new(&o);
    pthread_mutex_init(&t->guard, NULL);
    if (t->wake_fd < 0 || t->settled_fd < 0) {
        tailing_free(t);
        return err_errno("eventfd");
    }
    *out = t;
    return NULL;
}

int tailing_settled_fd(const struct tailing *t)
{
    return t->settled_fd;
}

struct err *tailing_add(struct tailing *t, const char *folder, struct line *const *lines, size_t n)
{
    struct source *s = mem_alloc(sizeof *s);
    struct buf run = BUF_INIT;
    buf_printf(&run, "%slog-run", folder);
    s->run = mem_strdup(buf_cstr(&run));
    buf_free(&run);
    s->folder = mem_strdup(folder);
    s->line = mem_array(n, sizeof(struct line *));
    memcpy(s->line, lines, n * sizeof(struct line *));
    s->nlines = n;
    s->own = n == 1 && strcmp(lines[0]->channel.folder, folder) == 0;
    t->source = mem_grow(t->source, t->n, &t->cap, sizeof(struct source *));
    t->source[t->n++] = s;
    return tailer_add(t->tailer, folder, s);
}

/* ---- the thread ---- */

static bool is_oldest(const struct tailing *t, const struct part *p)
{
    for (size_t i = 0; i < t->nparts; i++)
        if (t->part[i].source == p->source && t->part[i].began < p->began)
            return false;
    return true;
}

/* Whether a part is in the way: of a hub always, of a line's own log when it was moved aside and there is something to
 * gain. */
static bool is_in_the_way(const struct tailing *t, const struct part *p)
{
    return !p->source->own || (is_oldest(t, p) && access(p->source->run, F_OK) == 0 && gains(t, p));
}

static void ask_for_spills(const struct part *p)
{
    for (size_t k = 0; k < p->source->nlines; k++) {
        const struct share *x = &p->share[k];
        if (x->slot != NO_SLOT && acks_unsettled(p->source->line[k]->acks, (unsigned)x->slot) > 0)
            line_want_spill(p->source->line[k], 1u << x->slot);
    }
}

static void look_for_old_parts(struct tailing *t)
{
    int64_t now = clock_ns();
    for (size_t i = 0; i < t->nparts; i++) {
        struct part *p = &t->part[i];
        if (!p->source || now < p->next_spill || !is_in_the_way(t, p))
            continue;
        ask_for_spills(p);
        p->spill_wait = p->spill_wait * 2 < SPILL_MOST * CLOCK_SECOND_NS ? p->spill_wait * 2 : SPILL_MOST * CLOCK_SECOND_NS;
        p->next_spill = now + p->spill_wait;
    }
}

static void write_down_stats(struct tailing *t)
{
    pthread_mutex_lock(&t->guard);
    for (size_t i = 0; i < t->n; i++)
        tailer_stats(t->tailer, t->source[i]->folder, &t->source[i]->stats);
    pthread_mutex_unlock(&t->guard);
}

enum { NEWS_LOGS = 1, NEWS_SETTLED = 2 };

/* Which of them came; a time-out is for the logs. */
static int wait_for_news(struct tailing *t)
{
    struct pollfd f[] = {
        { .fd = t->wake_fd, .events = POLLIN },
        { .fd = t->settled_fd, .events = POLLIN },
        { .fd = tailer_fd(t->tailer), .events = POLLIN },
    };
    eventfd_t ignored;
    int n = poll(f, sizeof f / sizeof *f, tailer_next_ms(t->tailer));
    int news = n == 0 || f[2].revents ? NEWS_LOGS : 0;
    if (n > 0 && f[1].revents && eventfd_read(t->settled_fd, &ignored) == 0)
        news |= NEWS_SETTLED; /* read before the look: see fansync/acks.h */
    return news;
}

static void *tailing_main(void *ctx)
{
    struct tailing *t = ctx;
    int64_t next_look = 0;
    int news = NEWS_LOGS;
    queue_thread_begin();
    while (!atomic_load(&t->closing)) {
        if (news & NEWS_SETTLED)
            tailer_retire(t->tailer);
        if ((news & NEWS_LOGS) || tailer_next_ms(t->tailer) == 0)
            tailer_poll(t->tailer);
        if (clock_ns() >= next_look) {
            next_look = clock_ns() + CLOCK_SECOND_NS / 2;
            look_for_old_parts(t);
            write_down_stats(t);
        }
        news = wait_for_news(t);
    }
    queue_thread_end();
    return NULL;
}

struct err *tailing_start(struct tailing *t)
{
    int rc = pthread_create(&t->thread, NULL, tailing_main, t);
    if (rc)
        return err_new(ERR_IO, "cannot start a thread: error %d", rc);
    t->started = true;
    return NULL;
}

void tailing_stop(struct tailing *t)
{
    atomic_store(&t->closing, 1);
    eventfd_write(t->wake_fd, 1);
    if (t->started)
        pthread_join(t->thread, NULL);
    t->started = false;
}

void tailing_free(struct tailing *t)
{
    if (!t)
        return;
    tailing_stop(t);
    tailer_free(t->tailer);
    for (size_t i = 0; i < t->n; i++) {
        free(t->source[i]->folder);
        free(t->source[i]->run);
        free(t->source[i]->line);
        free(t->source[i]);
    }
    free(t->source);
    free(t->part);
    if (t->wake_fd >= 0)
        close(t->wake_fd);
    if (t->settled_fd >= 0)
        close(t->settled_fd);
    pthread_mutex_destroy(&t->guard);
    arena_free(&t->arena);
    free(t);
}

bool tailing_status(struct tailing *t, size_t i, struct tailing_status *out)
{
    if (i >= t->n)
        return false;
    pthread_mutex_lock(&t->guard);
    *out = (struct tailing_status){ t->source[i]->folder, t->source[i]->stats };
    pthread_mutex_unlock(&t->guard);
    return true;
}
