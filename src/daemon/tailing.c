/*
 * The tailing thread (daemon/tailing.h). It owns the tailer and is the only producer of all
 * queues.
 *
 * A segment of a log is held by every action that stands for one of its records. Where one stays
 * for long, because a replica is away or an action keeps failing, the lines concerned are asked
 * to write what waits into their own logs: a hub's log is then retired for the others' sake, and
 * a log that was moved aside can go.
 */
#include "daemon/tailing.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "fansync/log.h"
#include "fansync/mem.h"

enum { SPILL_AFTER = 5 /* seconds that a segment may hold up a log */ };

#define SECOND ((int64_t)1000 * 1000 * 1000)

struct source {
    char *folder;
    char *run; /* its log that was moved aside */
    struct line **line;
    size_t nlines;
    bool own; /* of one line: its own log */
    struct tail_stats stats; /* guarded */
};

struct slot {
    struct source *source;
    int64_t began;
};

struct tailing {
    struct store *store;
    struct acks *acks;
    struct tailer *tailer;
    struct source **source; /* pointers: the tailer keeps them */
    size_t n, cap;
    struct slot slot[ACKS_SLOTS];
    struct arena arena; /* of one record */
    pthread_t thread;
    bool started;
    atomic_int closing;
    int wake_fd;
    pthread_mutex_t guard;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* ---- the tailer's hooks ---- */

static int begin_segment(void *ctx, void *source)
{
    struct tailing *t = ctx;
    int slot = acks_open(t->acks);
    if (slot >= 0)
        t->slot[slot] = (struct slot){ source, now_ns() };
    return slot;
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

static void take_record(void *ctx, void *source, int slot, const struct action *a)
{
    struct tailing *t = ctx;
    struct source *s = source;
    struct slice owner = owner_of(t, a);
    int64_t now = now_ns();
    for (size_t i = 0; i < s->nlines; i++)
        queue_push(s->line[i]->queue, a, owner, 1u << slot, now);
    arena_reset(&t->arena);
}

static bool is_settled(void *ctx, int slot)
{
    struct tailing *t = ctx;
    return acks_unsettled(t->acks, (unsigned)slot) == 0;
}

/* At the end of the process a segment may be given up that is not settled: its slot is then
 * never used again. */
static void end_segment(void *ctx, int slot)
{
    struct tailing *t = ctx;
    t->slot[slot] = (struct slot){ NULL, 0 };
    if (is_settled(ctx, slot))
        acks_close(t->acks, (unsigned)slot);
}

/* ---- setting up ---- */

struct tailing *tailing_new(struct store *store, struct acks *acks, bool paced)
{
    struct tailing *t = mem_alloc(sizeof *t);
    t->store = store;
    t->acks = acks;
    const struct tailer_options o = {
        .hooks = { t, begin_segment, take_record, is_settled, end_segment },
        .paced_handover = paced,
    };
    t->tailer = tailer_new(&o);
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&t->guard, NULL);
    return t;
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

static bool is_oldest(const struct tailing *t, unsigned slot)
{
    for (unsigned i = 0; i < ACKS_SLOTS; i++)
        if (t->slot[i].source == t->slot[slot].source && t->slot[i].began < t->slot[slot].began)
            return false;
    return true;
}

/* Whether a segment is in the way: of a hub always, of a line's own log when it was moved aside. */
static bool is_in_the_way(const struct tailing *t, unsigned slot)
{
    const struct source *s = t->slot[slot].source;
    return !s->own || (is_oldest(t, slot) && access(s->run, F_OK) == 0);
}

static void look_for_old_segments(struct tailing *t)
{
    int64_t now = now_ns();
    for (unsigned i = 0; i < ACKS_SLOTS; i++) {
        const struct slot *x = &t->slot[i];
        if (!x->source || now - x->began < SPILL_AFTER * SECOND || acks_unsettled(t->acks, i) == 0 ||
            !is_in_the_way(t, i))
            continue;
        for (size_t k = 0; k < x->source->nlines; k++)
            line_want_spill(x->source->line[k], 1u << i);
    }
}

static void write_down_stats(struct tailing *t)
{
    pthread_mutex_lock(&t->guard);
    for (size_t i = 0; i < t->n; i++)
        tailer_stats(t->tailer, t->source[i]->folder, &t->source[i]->stats);
    pthread_mutex_unlock(&t->guard);
}

static void wait_for_news(struct tailing *t)
{
    struct pollfd f[2] = { { .fd = t->wake_fd, .events = POLLIN }, { .fd = tailer_fd(t->tailer), .events = POLLIN } };
    poll(f, 2, tailer_next_ms(t->tailer));
}

static void *tailing_main(void *ctx)
{
    struct tailing *t = ctx;
    int64_t next_look = 0;
    queue_thread_begin();
    while (!atomic_load(&t->closing)) {
        tailer_poll(t->tailer);
        if (now_ns() >= next_look) {
            next_look = now_ns() + SECOND / 2;
            look_for_old_segments(t);
            write_down_stats(t);
        }
        wait_for_news(t);
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
    close(t->wake_fd);
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
