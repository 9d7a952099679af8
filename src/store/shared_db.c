/*
 * Keeping a database in memory (store/shared_db.h). Whether the kept one is still true is
 * told by inode, size and time: a commit appends or replaces the file (spec/store.md §3.3 -
 * §3.5), and the kept one holds the inode open, so that its number is not used again.
 */
#include "store/shared_db.h"

#include <stdlib.h>
#include <string.h>

#include "fansync/mem.h"
#include "store/same_file.h"

/* A search in the file costs about as much as reading so many bytes of it: a file is read
 * when the searches since its last change would have paid for that. */
#define LOOK_WORTH 4096
#define LARGEST_KEPT (64u << 20)

void shared_db_init(struct shared_db *s)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->guard, NULL);
}

static void free_kept(struct shared_db_kept *k)
{
    if (k)
        db_free(k->db);
    free(k);
}

void shared_db_destroy(struct shared_db *s)
{
    free_kept(s->kept);
    pthread_mutex_destroy(&s->guard);
}

/* Under the guard. True: the caller shall read the whole file. */
static bool is_worth_reading(struct shared_db *s, const struct stat *st)
{
    if (!stat_same_file(&s->last, st)) {
        s->last = *st;
        s->looks = 0;
    }
    s->looks++;
    uint64_t size = (uint64_t)st->st_size;
    return !s->loading && size <= LARGEST_KEPT && s->looks * LOOK_WORTH >= size;
}

/* The new one's first user is the caller. */
static void publish(struct shared_db *s, struct shared_db_kept *k)
{
    struct shared_db_kept *old = NULL;
    pthread_mutex_lock(&s->guard);
    s->loading = false;
    if (k) {
        old = s->kept && s->kept->users == 0 ? s->kept : NULL;
        k->users = 1;
        s->kept = k;
    }
    pthread_mutex_unlock(&s->guard);
    free_kept(old);
}

static struct err *read_whole(struct shared_db *s, const char *path, enum db_text_backend text,
                              struct shared_db_look *out)
{
    struct err *e = db_read(path, text, 0, &out->db);
    if (!e && db_stat(out->db)) {
        out->kept = mem_alloc(sizeof *out->kept);
        out->kept->db = out->db;
    }
    publish(s, out->kept);
    return e;
}

/* The kept one if it is true; else *whole tells whether to read the file or to search it. */
static struct shared_db_kept *take_kept(struct shared_db *s, const struct stat *st, bool *whole)
{
    struct shared_db_kept *k = NULL;
    pthread_mutex_lock(&s->guard);
    if (s->kept && stat_same_file(db_stat(s->kept->db), st)) {
        k = s->kept;
        k->users++;
    } else if (is_worth_reading(s, st)) {
        *whole = s->loading = true;
    }
    pthread_mutex_unlock(&s->guard);
    return k;
}

struct err *shared_db_get(struct shared_db *s, const char *path, enum db_text_backend text,
                          struct shared_db_look *out)
{
    struct stat st;
    bool whole = false;
    *out = (struct shared_db_look){ NULL, NULL };
    if (stat(path, &st) == 0)
        out->kept = take_kept(s, &st, &whole);
    if (whole)
        return read_whole(s, path, text, out);
    if (!out->kept)
        return db_read(path, text, DB_ON_DISK, &out->db);
    out->db = out->kept->db;
    return NULL;
}

void shared_db_put(struct shared_db *s, struct shared_db_look *look)
{
    if (!look->kept) {
        db_free(look->db);
        return;
    }
    pthread_mutex_lock(&s->guard);
    bool last = --look->kept->users == 0 && look->kept != s->kept;
    pthread_mutex_unlock(&s->guard);
    if (last)
        free_kept(look->kept);
}
