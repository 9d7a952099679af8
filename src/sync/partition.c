/* Partitions of the replica (sync/partition.h). The engine's thread. */
#include "sync/partition.h"

#include <string.h>
#include <time.h>

#include "fansync/clock.h"
#include "fansync/engine.h"
#include "fansync/log.h"

#define BLANKS " \t,"

enum {
    ASIDE_MOST = 60, /* seconds; 1, 2, 4 ... until then */
    STRIKES = 2, /* of users who were tried alone; a message of one of them may be at fault */
    STRIKES_PROVED = 3, /* of a partition that has taken something before */
};

struct state {
    bool proved;
    unsigned strikes; /* since it last took something */
    int64_t aside_until; /* monotonic seconds; 0: it is not set aside */
    int64_t aside_for;   /* seconds, the last time; 0: it has taken something since */
    const char *why;
};

/* ---- names ---- */

/* The next "ours=theirs" of the map; false at its end, or if it is none. */
static bool next_pair(const char **map, struct slice *ours, struct slice *theirs)
{
    const char *p = *map + strspn(*map, BLANKS);
    size_t n = strcspn(p, BLANKS "=");
    *ours = slice_of(p, n);
    if (n == 0 || p[n] != '=')
        return false;
    p += n + 1;
    n = strcspn(p, BLANKS "=");
    *theirs = slice_of(p, n);
    *map = p + n;
    return n > 0 && p[n] != '=';
}

struct err *engine_check_partition_map(const char *map)
{
    struct slice ours, theirs;
    const char *p = map;
    while (p && p[strspn(p, BLANKS)])
        if (!next_pair(&p, &ours, &theirs))
            return err_new(ERR_CONFIG, "sync_partition_map: '%s': the form is OURS=THEIRS, separated by blanks", map);
    return NULL;
}

struct slice partition_there(const struct partitions *p, struct slice here)
{
    struct slice ours, theirs;
    for (const char *map = p->map; map && next_pair(&map, &ours, &theirs);)
        if (slice_eq(ours, here))
            return theirs;
    return here;
}

/* ---- what they can do ---- */

static struct state *state_of(struct partitions *p, struct slice name)
{
    struct state *s = map_get(&p->state, name);
    if (!s) {
        s = arena_alloc(&p->arena, sizeof *s);
        map_put(&p->state, arena_dup(&p->arena, name), s);
    }
    return s;
}

const char *partition_aside(const struct partitions *p, struct slice name)
{
    const struct state *s = map_get(&p->state, name);
    return s && s->aside_until ? s->why : NULL;
}

void partition_worked(struct partitions *p, struct slice name)
{
    struct state *s = state_of(p, name);
    s->proved = true;
    s->strikes = 0;
    s->aside_for = 0;
}

/* How the servers end when they have no directory of the partition: no message is at fault. */
static bool says_that_there_is_none(const struct err *err)
{
    return strstr(err->msg, "assertion failed") && strstr(err->msg, "base != NULL");
}

void partition_failed(struct partitions *p, struct slice name, const struct err *err, bool alone)
{
    struct state *s = state_of(p, name);
    bool sure = !s->proved && says_that_there_is_none(err);
    s->strikes += alone;
    if (s->aside_until || (!sure && s->strikes < (s->proved ? STRIKES_PROVED : STRIKES)))
        return;
    s->aside_for = s->aside_for * 2 < ASIDE_MOST ? s->aside_for * 2 + !s->aside_for : ASIDE_MOST;
    s->aside_until = clock_s() + s->aside_for;
    struct slice hint = partition_hint(&p->arena, name, err, !s->proved);
    s->why = arena_printf(&p->arena, "partition " SLICE_FMT " of the replica is set aside: %s" SLICE_FMT, SLICE_ARG(name),
                          err->msg, SLICE_ARG(hint)).p;
    log_msg(LOG_ERR, "SYNCERROR: %s", s->why);
}

static void look(void *ctx, struct slice name, void *value)
{
    struct state *s = value;
    (void)name;
    if (s->aside_until && s->aside_until <= *(const int64_t *)ctx) {
        s->aside_until = 0;
        s->strikes = 0;
    }
}

void partitions_look(struct partitions *p)
{
    int64_t now = clock_s();
    map_each(&p->state, look, &now);
}

void partitions_free(struct partitions *p)
{
    map_free(&p->state);
    arena_free(&p->arena);
}

/* ---- words ---- */

struct slice partition_hint(struct arena *a, struct slice name, const struct err *err, bool makes)
{
    static const char *const words[] = { "Fatal error", "Unknown error", "System I/O error", "Failed to parse APPLY line" };
    bool fits = false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        fits |= strstr(err->msg, words[i]) != NULL;
    if (!fits)
        return slice_of("", 0);
    if (makes)
        return arena_printf(a, " (the replica may have no partition '" SLICE_FMT "', it may not be mounted, or its disk may be full)",
                            SLICE_ARG(name));
    return arena_printf(a, " (the disk of the replica's partition '" SLICE_FMT "' may be full, or not be mounted)",
                        SLICE_ARG(name));
}
