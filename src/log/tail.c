/*
 * The tailer's folders, its inotify descriptor and its clock (fansync/tail.h). The work is
 * in tail_folder.c (what to look at), tail_segment.c (reading) and tail_retire.c (removing);
 * the states are told in tail_internal.h. Called by the rolling mode's tailer thread only.
 */
#include "log/tail_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fansync/clock.h"
#include "fansync/log.h"
#include "fansync/mem.h"
#include "log/files.h"

enum { MOST_READS = 64 }; /* of events: more may come as fast as we read */

static void set_default(int64_t *v, int64_t value)
{
    if (*v == 0)
        *v = value;
}

struct tailer *tailer_new(const struct tailer_options *options)
{
    struct tailer *t = mem_alloc(sizeof *t);
    t->o = *options;
    set_default(&t->o.compact_ms, 100);
    set_default(&t->o.handover_ms, 20);
    set_default(&t->o.rotate_ms, 1000);
    set_default(&t->o.grow_ms, 5000);
    set_default(&t->o.takeover_ms, 60000);
    if (t->o.grow_bytes == 0)
        t->o.grow_bytes = 1 << 20;
    t->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (t->inotify < 0)
        log_msg(LOG_WARNING, "inotify: %s: sync logs are looked at once a second", strerror(errno));
    t->now_ms = clock_ms();
    return t;
}

static void free_folder(struct folder *f)
{
    rejects_tell_rest(f, true);
    if (f->lock_fd >= 0)
        retire_last(f); /* an idle log is left empty */
    while (f->segments)
        segment_free(f, f->segments);
    if (f->watch >= 0)
        inotify_rm_watch(f->tailer->inotify, f->watch);
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    buf_free(&f->rejects);
    free(f->said);
    free(f->path);
    free(f->log);
    free(f->run);
    free(f->rejected);
    free(f->lock);
    free(f);
}

void tailer_free(struct tailer *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        free_folder(t->folders[i]);
    free(t->folders);
    arena_free(&t->arena);
    buf_free(&t->chunk);
    if (t->inotify >= 0)
        close(t->inotify);
    free(t);
}

/* The same watch again if there is one, a new one if the folder was made anew. */
static void watch_folder(struct folder *f)
{
    const uint32_t what = IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
    if (f->tailer->inotify < 0)
        return;
    f->watch = inotify_add_watch(f->tailer->inotify, f->path, what);
    if (f->watch < 0 && errno != ENOENT)
        folder_say(f, LOG_WARNING, "%s: cannot be watched, is looked at once a second: %s", f->path,
                   strerror(errno));
}

/* No truncation or rotation before its pause, measured from the start. */
static struct folder *new_folder(struct tailer *t, const char *path, void *source)
{
    struct folder *f = mem_alloc(sizeof *f);
    f->tailer = t;
    f->source = source;
    f->path = mem_strdup(path);
    f->log = files_path(path, "log");
    f->run = files_path(path, "log-run");
    f->rejected = files_path(path, "rejected");
    f->lock = files_path(path, ".sync-reader.lock");
    f->lock_fd = -1;
    f->watch = -1;
    f->grow_ms = t->o.grow_ms;
    f->compacted_ms = f->rotated_ms = f->unlinked_ms = f->checked_ms = clock_ms();
    f->wake_ms = f->checked_ms;
    return f;
}

/*
 * The age of the oldest line outlives the process as the lock file's time. What is in the logs at the start is
 * as old as that says; without one, nobody knows, and it counts from now.
 */
static void learn_age(struct folder *f)
{
    struct stat st, log;
    bool left = (stat(f->log, &log) == 0 && log.st_size > 0) || (stat(f->run, &log) == 0 && log.st_size > 0);
    if (!left || stat(f->lock, &st) < 0)
        return;
    int64_t age = (int64_t)(time(NULL) - st.st_mtime) * 1000;
    f->left_ms = clock_ms() - (age > 0 ? age : 0);
}

static void note_age(struct folder *f, int64_t since_ms)
{
    int64_t wall = time(NULL) - (clock_ms() - since_ms) / 1000;
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t)wall } };
    if (since_ms == f->noted_ms || f->lock_fd < 0)
        return;
    f->noted_ms = since_ms;
    if (futimens(f->lock_fd, times) < 0)
        folder_say(f, LOG_WARNING, "%s: %s", f->lock, strerror(errno));
}

struct err *tailer_add(struct tailer *t, const char *folder, void *source)
{
    struct folder *f = new_folder(t, folder, source);
    learn_age(f);
    struct err *e = own_take(f->path, f->lock, &f->lock_fd);
    if (e) {
        free_folder(f);
        return e;
    }
    if (f->left_ms)
        note_age(f, f->left_ms);
    watch_folder(f);
    t->folders = mem_grow(t->folders, t->n, &t->cap, sizeof *t->folders);
    t->folders[t->n++] = f;
    return NULL;
}

static size_t find(const struct tailer *t, const char *folder)
{
    size_t i = 0;
    while (i < t->n && strcmp(t->folders[i]->path, folder) != 0)
        i++;
    return i;
}

void tailer_remove(struct tailer *t, const char *folder)
{
    size_t i = find(t, folder);
    if (i == t->n)
        return;
    free_folder(t->folders[i]);
    for (t->n--; i < t->n; i++)
        t->folders[i] = t->folders[i + 1];
}

int tailer_fd(const struct tailer *t)
{
    return t->inotify;
}

int tailer_next_ms(const struct tailer *t)
{
    int64_t now = clock_ms(), least = LOOK_MS;
    for (size_t i = 0; i < t->n; i++) {
        int64_t ms = t->folders[i]->wake_ms - now;
        if (ms < least)
            least = ms > 0 ? ms : 0;
    }
    return (int)least;
}

/* Which folder changed does not matter: all are looked at. */
static void drop_events(const struct tailer *t)
{
    char events[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
    if (t->inotify < 0)
        return;
    for (int i = 0; i < MOST_READS && read(t->inotify, events, sizeof events) > 0;)
        i++;
}

void tailer_poll(struct tailer *t)
{
    drop_events(t); /* before the look: what comes after it is told again */
    for (size_t i = 0; i < t->n; i++) {
        struct folder *f = t->folders[i];
        t->now_ms = clock_ms();
        if (f->watch < 0 || t->now_ms - f->checked_ms >= LOOK_MS)
            watch_folder(f);
        folder_look(f);
    }
}

static bool has_settled(const struct folder *f)
{
    for (const struct segment *s = f->segments; s; s = s->next)
        if (s->slot >= 0 && segment_settled(f, s))
            return true;
    return false;
}

void tailer_retire(struct tailer *t)
{
    for (size_t i = 0; i < t->n; i++) {
        t->now_ms = clock_ms();
        if (has_settled(t->folders[i]))
            folder_look(t->folders[i]);
    }
}

/* Of the files that are open, and of a log that is not, because it cannot be or another has to be read first. */
static uint64_t unread(const struct folder *f)
{
    struct stat st;
    uint64_t n = 0;
    if (!folder_named(f, NAMED_LOG) && stat(f->log, &st) == 0)
        n = (uint64_t)st.st_size;
    for (const struct segment *s = f->segments; s; s = s->next)
        if (fstat(s->fd, &st) == 0 && (uint64_t)st.st_size > s->off)
            n += (uint64_t)st.st_size - s->off;
    return n;
}

bool tailer_stats(struct tailer *t, const char *folder, struct tail_stats *out)
{
    size_t i = find(t, folder);
    if (i == t->n)
        return false;
    struct folder *f = t->folders[i];
    int64_t now = clock_ms();
    *out = f->stats;
    out->unread = unread(f);
    for (const struct segment *s = f->segments; s; s = s->next) {
        out->segments++;
        out->bytes += s->off;
        if (s->slot >= 0 && now - s->since_ms > out->oldest_ms)
            out->oldest_ms = now - s->since_ms;
    }
    if (out->oldest_ms > 0)
        note_age(f, now - out->oldest_ms);
    return true;
}
